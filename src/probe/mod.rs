//! What this machine allows, what it does not, and what to do about it: `libctr doctor`, `ctr.probe()`, `ctr_probe()`.
//!
//! Nothing is told from a version: each check does what a container would need, in a process of ctr's own that ends at
//! once (`helper::Start`), or makes a container and destroys it. What goes wrong is explained by the errors that a
//! create would give, from the same texts (`hint`).

mod calls;
mod check;
mod mounts;

pub use check::Check;

use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use crate::container::StateDir;
use crate::helper::{Start, SubIds};
use crate::image::Store;
use crate::security::landlock;
use crate::sys::landlock::landlock_abi;
use crate::{CgroupPolicy, Config, Container, DeviceList, Error, Limit, ListLimit, Result, Step, hints, sys, zygote};

/// Checks everything that containers need or can use, in the order in which a container needs it. Takes some tens of
/// milliseconds and leaves nothing.
pub fn probe() -> Vec<Check> {
    let mut checks = vec![state_directory(), store()];
    if let Err(error) = zygote::current() {
        checks.push(Check::of("programs from memory", Err(error), ""));
        return checks;
    }
    let user = Start::new(libc::CLONE_NEWUSER).try_out();
    let allowed = user.is_ok();
    checks.push(Check::of("user namespaces", user, "root inside is an id without rights outside"));
    if allowed {
        checks.push(further_ids());
        checks.push(Check::of("other namespaces", mounts::namespaces(), "mount, PID, network, IPC, UTS, cgroup, time"));
        checks.extend(mounts::checks());
    }
    checks.extend(calls::checks());
    checks.push(Check::of("seccomp", calls::seccomp(), "system calls can be filtered"));
    checks.push(landlock_wall());
    let modules = sys::security_modules();
    let modules = modules.unwrap_or_else(|| "not known: /sys/kernel/security is not mounted".into());
    checks.push(Check::of("security modules", Ok(()), modules));
    let counts = |limit: Limit| move |container: &Container| counted(container.counts(limit));
    checks.push(limit("memory limit", counts(Limit::Memory), Config { memory: Some(64 << 20), ..Config::default() }));
    checks.push(limit("pids limit", counts(Limit::Pids), Config { pids: Some(64), ..Config::default() }));
    checks.push(limit("cpu limit", counts(Limit::Cpus), Config { cpus: Some(1000), ..Config::default() }));
    let cpuset = |container: &Container| counted(container.counts_list(ListLimit::Cpuset));
    checks.push(limit("cpuset limit", cpuset, Config { cpuset: own_processors(), ..Config::default() }));
    checks.push(device_list());
    let config = Config { cgroup: CgroupPolicy::Off, ..Config::default() };
    let made = Container::create("host", &config).and_then(|container| container.destroy());
    checks.push(Check::of("a container", made, "one of this machine's own programs was made and destroyed"));
    checks
}

fn state_directory() -> Check {
    let found = StateDir::open(None).and_then(|state| writable(state.path(), Step::UseStateDirectory).map(|()| state));
    let path = found.as_ref().map(|state| state.path().display().to_string()).unwrap_or_default();
    Check::of("state directory", found.map(drop), path)
}

fn store() -> Check {
    let found = Store::open(None).map(|store| store.path().to_path_buf());
    let path = found.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let usable = found.and_then(|path| {
        // It is made with the first image; what is there of it has to take it.
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        writable(there, Step::UseStore)
            .map_err(|error| error.with_hint("choose another with CTR_STORE_DIR, or store_dir"))
    });
    Check::of("store", usable, path)
}

fn writable(path: &Path, step: Step) -> Result<()> {
    faccessat(AT_FDCWD, path, AccessFlags::W_OK | AccessFlags::X_OK, AtFlags::AT_EACCESS)
        .map_err(|errno| Error::system(step, path.display(), errno as i32))
}

/// The ids of a container beside root.
fn further_ids() -> Check {
    const NAME: &str = "further ids";
    if zygote::current().is_ok_and(|zygote| zygote.mapped().is_some()) {
        return Check::of(NAME, Ok(()), "this user may give ids away themselves: every container has many");
    }
    match SubIds::of_this_user() {
        Ok(ids) => {
            let says = format!("from /etc/subuid and /etc/subgid: {}", ids.commands());
            Check::of(NAME, Start::with_ranges(ids).try_out(), says)
        }
        Err(missing) => {
            let ranges = missing.0.contains("/etc/sub");
            let installable = missing.0.contains("is not in PATH");
            let hint = if ranges { hints::SUBIDS } else { hints::UIDMAP };
            let check = Check {
                name: NAME,
                ok: false,
                says: missing.0,
                hint: if ranges || installable { hint.into() } else { String::new() },
            };
            check.lost("containers have the single id 0, so no other users inside")
        }
    }
}

fn landlock_wall() -> Check {
    const NAME: &str = "Landlock";
    let mut start = Start::new(libc::CLONE_NEWUSER);
    let abi = landlock_abi();
    let lost = "the second wall behind mounts and seccomp is missing";
    match landlock::Ruleset::of(abi) {
        Some(ruleset) => {
            landlock::restrict(&mut start.setup, &ruleset);
            Check::of(NAME, start.try_out(), format!("ABI {abi}")).lost(lost)
        }
        None => {
            calls::landlock(&mut start.setup);
            let says = format!("ABI {abi} of the kernel is too old, 2 is needed");
            let check = Check::of(NAME, start.try_out(), "");
            let check = if check.ok { Check { ok: false, says, ..check } } else { check };
            check.lost(lost)
        }
    }
}

/// Whether a container can have this limit, and in which cgroup.
fn limit(name: &'static str, counts: impl Fn(&Container) -> Option<(PathBuf, bool)>, config: Config) -> Check {
    let config = Config { cgroup: CgroupPolicy::Auto, ..config };
    let made = Container::create("host", &config).and_then(|container| {
        let counted = counts(&container);
        container.destroy().map(|()| counted)
    });
    let counted = made.as_ref().ok().cloned().flatten();
    let says = counted.map_or_else(String::new, |(path, v2)| {
        let parent = path.parent().unwrap_or(&path).display();
        format!("cgroup v{}, in {parent}", if v2 { 2 } else { 1 })
    });
    Check::of(name, made.map(drop), says).lost("containers that ask for none are made all the same")
}

fn counted(place: Option<(&Path, bool)>) -> Option<(PathBuf, bool)> {
    place.map(|(path, v2)| (path.to_path_buf(), v2))
}

/// The processors that this process may run on, as proc_pid_status(5) lists them.
fn own_processors() -> Option<String> {
    let status = sys::file::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_string())
}

/// Whether a container's cgroup can list its devices.
fn device_list() -> Check {
    let config = Config { device_list: DeviceList::Required, ..Config::default() };
    let made = Container::create("host", &config).and_then(|container| container.destroy());
    Check::of("device list", made, "the cgroup of a container can list what devices it may open")
        .lost("containers have none; in a user namespace of their own no device node works that they make")
}
