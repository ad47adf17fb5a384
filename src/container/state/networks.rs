//! Named networks on record, in the directory `networks` of the state directory: `NAME.json` says what a network is and who is in it,
//! `NAME.hosts` is the file of names that its members have. A member is on its container's record first ([`super::Resource::Network`]),
//! so whoever sweeps that takes it out here, with its interface; with the last one goes the bridge.
//!
//! One lock for all, flock(2) of the file `lock`: whoever makes a network looks at all of them for a subnet that is free, and the kernel
//! has one lock for all interfaces as well.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;
use serde::{Deserialize, Serialize};

use super::directory::{StateDir, add_hint};
use super::name::check_network;
use crate::network::{FIRST_MEMBER, Netlink, Subnet, link, roster};
use crate::sys::fs::{self, FlockArg};
use crate::{Error, ErrorCode, Result, Step, sys};

/// A network, as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    pub name: String,
    pub subnet: Subnet,
    pub ipv6: Option<Subnet>,
    /// The name of its bridge.
    pub bridge: String,
    /// The network namespace of this machine that the bridge is in, by the numbers of its file, while it has members.
    #[serde(default)]
    pub namespace: (u64, u64),
    /// The number that was handed out last.
    #[serde(default)]
    pub newest: u32,
    /// In the order in which they came.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// A container in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub container: String,
    /// Of its addresses in the subnets.
    pub number: u32,
    /// The name of its interface on this machine.
    pub link: String,
    /// What it is called in the network.
    pub names: Vec<String>,
}

impl NetworkRecord {
    /// The addresses of a member.
    pub fn addresses(&self, member: &Member) -> Vec<IpAddr> {
        self.subnets().filter_map(|subnet| subnet.address(member.number)).collect()
    }

    /// Its subnets.
    pub fn subnets(&self) -> impl Iterator<Item = Subnet> {
        [Some(self.subnet), self.ipv6].into_iter().flatten()
    }

    /// A container's place in it.
    pub fn member(&self, container: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.container == container)
    }

    /// The number behind the last one that was handed out, or the next that no member has: an address is not somebody else's a moment after
    /// its member has gone.
    pub fn free_number(&self) -> Option<u32> {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let some = |first: u32| first..=first.saturating_add(count);
        let is_free = |number: &u32| self.members.iter().all(|member| member.number != *number);
        let numbers = some(self.newest.saturating_add(1).max(FIRST_MEMBER)).chain(some(FIRST_MEMBER));
        numbers.filter(is_free).find(|number| self.subnet.address(*number).is_some())
    }
}

/// The networks of a state directory, locked.
pub struct Networks {
    path: PathBuf,
    dir: OwnedFd,
    lock: OwnedFd,
}

impl Drop for Networks {
    fn drop(&mut self) {
        // Not by its last descriptor: a child that somebody forks has one.
        _ = fs::flock(&self.lock, FlockArg::Unlock);
    }
}

impl StateDir {
    /// Locks the networks, and makes their directory where it is missing.
    pub fn networks(&self) -> Result<Networks> {
        let path = self.path().join(DIRECTORY);
        let fail = |errno: Errno| add_hint(Error::system(Step::UseNetworks, path.display(), errno as i32));
        match fs::mkdirat(self, DIRECTORY, Mode::from_bits_truncate(0o700)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let dir = sys::openat(self, DIRECTORY, flags, Mode::empty()).map_err(fail)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW;
        let lock = sys::openat(&dir, "lock", flags, Mode::from_bits_truncate(0o600)).map_err(fail)?;
        while let Err(errno) = fs::flock(&lock, FlockArg::LockExclusive) {
            if errno != Errno::EINTR {
                return Err(fail(errno));
            }
        }
        Ok(Networks { path, dir, lock })
    }

    /// The file of names of a network.
    pub fn network_hosts(&self, name: &str) -> PathBuf {
        self.path().join(DIRECTORY).join(format!("{name}.hosts"))
    }

    /// A network that is there, and the lock.
    pub fn network(&self, step: Step, name: &str) -> Result<(Networks, NetworkRecord)> {
        check_network(name)?;
        let networks = self.networks()?;
        match networks.read(name)? {
            Some(record) => Ok((networks, record)),
            None => Err(Error::new(ErrorCode::NotFound, step, name, libc::ENOENT, "there is none of this name")
                .with_hint("ctr.network(), ctr_network() and libctr network create make one")),
        }
    }

    /// Takes a container out of a network, and its interface down. That it isn't in there is no error.
    pub fn leave_network(&self, name: &str, container: &str) -> Result<()> {
        let networks = self.networks()?;
        let Some(mut record) = networks.read(name)? else { return Ok(()) };
        networks.drop_members(&mut record, |member| member.container == container)?;
        networks.write(&record)
    }
}

const DIRECTORY: &str = "networks";

impl Networks {
    /// A network, where it is there.
    pub fn read(&self, name: &str) -> Result<Option<NetworkRecord>> {
        let path = self.path.join(format!("{name}.json"));
        let text = match sys::file::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|e| Error::io(Step::UseNetworks, path.display(), &e))?,
        };
        let record = serde_json::from_slice::<NetworkRecord>(&text).ok().filter(|record| record.name == name);
        record.map(Some).ok_or_else(|| {
            Error::new(ErrorCode::System, Step::UseNetworks, path.display(), libc::EUCLEAN, "it is damaged")
                .with_hint("remove the file and the one beside it that ends in .hosts, when none of its members run")
        })
    }

    /// All of them, by their names. What is damaged is passed over.
    pub fn all(&self) -> Result<Vec<NetworkRecord>> {
        let names = sys::file::names(&self.path).map_err(|e| Error::io(Step::UseNetworks, self.path.display(), &e))?;
        let names = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".json"));
        let mut all: Vec<_> = names.filter_map(|name| self.read(name).ok()?).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Writes one down, in the place of what was there.
    pub fn write(&self, record: &NetworkRecord) -> Result<()> {
        let name = format!("{}.json", record.name);
        let fail = |e: std::io::Error| add_hint(Error::io(Step::UseNetworks, self.path.join(&name).display(), &e));
        let text = serde_json::to_vec(record).map_err(|e| fail(e.into()))?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
        let file = sys::openat(&self.dir, NEW, flags, Mode::from_bits_truncate(0o600)).map_err(|e| fail(e.into()))?;
        File::from(file).write_all(&text).map_err(fail)?;
        fs::renameat(&self.dir, NEW, &self.dir, name.as_str()).map_err(|e| fail(e.into()))
    }

    /// Makes its file of names, empty but for localhost.
    pub fn make_hosts(&self, name: &str) -> Result<()> {
        let file = self.hosts(name, OFlag::O_CREAT)?;
        let write = file.write_all_at(&roster::head(), 0);
        // Everybody inside reads it, whatever the umask is.
        let open = || fs::fchmod(&file, Mode::from_bits_truncate(0o644)).map_err(std::io::Error::from);
        write.and_then(|()| open()).map_err(|e| self.fail_hosts(name, &e))
    }

    /// Writes a member into the file of names.
    pub fn add_names(&self, record: &NetworkRecord, member: &Member) -> Result<()> {
        let file = self.hosts(&record.name, OFlag::empty())?;
        let add = |address| roster::add(&file, address, &member.names);
        record.addresses(member).into_iter().try_for_each(add).map_err(|e| self.fail_hosts(&record.name, &e))
    }

    fn hosts(&self, name: &str, flags: OFlag) -> Result<File> {
        let flags = flags | OFlag::O_RDWR | OFlag::O_NOFOLLOW;
        let opened = sys::openat(&self.dir, format!("{name}.hosts").as_str(), flags, Mode::from_bits_truncate(0o644));
        opened.map(File::from).map_err(|errno| self.fail_hosts(name, &errno.into()))
    }

    fn fail_hosts(&self, name: &str, e: &std::io::Error) -> Error {
        add_hint(Error::io(Step::UseNetworks, self.path.join(format!("{name}.hosts")).display(), e))
    }

    /// Takes members out of a record, which is not written yet. The kernel removes an interface with its namespace, which it keeps as long
    /// as anybody has a socket of the container's; the address may be another's by then, so it is taken down here. To remove it takes the
    /// caller tens of milliseconds (`rcu_barrier` of net/core/dev.c).
    pub fn drop_members(&self, record: &mut NetworkRecord, out: impl Fn(&Member) -> bool) -> Result<()> {
        let fail = |errno: Errno| Error::system(Step::LeaveNetwork, &record.name, errno as i32);
        let gone: Vec<_> = record.members.iter().filter(|member| out(member)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let hosts = match self.hosts(&record.name, OFlag::empty()) {
            Err(error) if error.errno() == libc::ENOENT => None,
            hosts => Some(hosts?),
        };
        for address in gone.iter().flat_map(|member| record.addresses(member)) {
            if let Some(hosts) = &hosts {
                roster::remove(hosts, address).map_err(|e| self.fail_hosts(&record.name, &e))?;
            }
        }
        let links = gone.iter().map(|member| &member.link);
        let is_last = gone.len() == record.members.len();
        // From another namespace nothing can be done about them: they end with theirs, or are used again.
        if record.namespace == own_namespace() {
            let mut netlink = Netlink::open().map_err(fail)?;
            for name in links {
                link::take_down(&mut netlink, name).map_err(fail)?;
            }
            if is_last {
                link::remove(&mut netlink, &record.bridge).map_err(fail)?;
            }
        }
        if is_last && let Some(hosts) = &hosts {
            fs::ftruncate(hosts, roster::head().len() as i64)
                .map_err(|errno| self.fail_hosts(&record.name, &errno.into()))?;
        }
        record.members.retain(|member| !out(member));
        Ok(())
    }

    /// Forgets a network that has no members.
    pub fn remove(&self, record: &NetworkRecord) -> Result<()> {
        for name in [format!("{}.json", record.name), format!("{}.hosts", record.name)] {
            match fs::unlinkat(&self.dir, name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(Error::system(Step::RemoveNetwork, &record.name, errno as i32)),
            }
        }
        Ok(())
    }
}

/// Where a record is written before it takes its place. No network has this name.
const NEW: &str = ".new";

/// The calling thread's network namespace, by the numbers of its file.
pub fn own_namespace() -> (u64, u64) {
    let opened = sys::open("/proc/thread-self/ns/net", OFlag::O_RDONLY, Mode::empty());
    opened.map_or((0, 0), |namespace| sys::identity(namespace.as_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_handed_out_again_when_all_others_were() {
        let member = |number| Member { container: String::new(), number, link: String::new(), names: Vec::new() };
        let record = |newest: u32, numbers: &[u32]| NetworkRecord {
            name: "n".into(),
            subnet: "10.0.3.0/29".parse().unwrap(),
            ipv6: None,
            bridge: String::new(),
            namespace: (0, 0),
            newest,
            members: numbers.iter().copied().map(member).collect(),
        };
        for (newest, taken, free) in [
            (0, &[][..], Some(2)),
            (2, &[], Some(3)),
            (3, &[4, 5], Some(6)),
            (6, &[5, 6], Some(2)),
            (6, &[2, 6], Some(3)),
            (4, &[2, 3, 4, 5, 6], None),
            (6, &[4, 3, 2, 6], Some(5)),
        ] {
            assert_eq!(record(newest, taken).free_number(), free, "{newest} {taken:?}");
        }
    }
}
