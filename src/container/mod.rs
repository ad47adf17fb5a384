//! A container's whole story: create, exec, join, limits, destroy. The only room that knows every other one.
//!
//! `client` is how callers come to containers, `blueprint` decides and plans, `create` and `spawn` carry out, `exec` and `lookup` start
//! programs, `join` enters what others made, `shared` is what the handles of a container have in common, `request` how its PID 1 is
//! asked, `kill` how it ends, `process` is what `exec` answers, `program` what there is of it without that
//! handle, `state` is the ledger.
//! `walls` tells of every wall whether it stands and why, `inspect` all that is known of a running container.
//! `end` ends one whose record is of no use. `ids` decides whose ids a container has, `clocks` sets its clocks off, `devices` decides
//! which devices it has, `watch` tells what happens to it, `pause` lets it stand still, `snapshot` makes an image meanwhile, `mounts` mounts
//! into it while it runs, by a helper `within` its namespaces, `given` opens what that is, `mounted` lists it and takes it off, `sockets` are
//! made inside by the same means and held outside, `network` makes it a member of a named network, which `networks` makes and lists, `ports`
//! of the host lead into it, `files` are opened by a `file_helper`; those two are `kept` for a while. `copy` has trees made by one. `volumes`
//! of the store are taken into use. `unmapped` finds the mount that can't be id-mapped by trying it out.

mod blueprint;
mod changes;
mod client;
mod clocks;
mod copy;
mod cpu_time;
mod create;
mod disks;
mod end;
mod env;
mod exec;
mod exit;
mod explain;
mod export;
mod file_helper;
mod files;
mod given;
mod ids;
mod inherit;
mod inspect;
mod join;
mod kept;
mod kill;
mod lookup;
mod mounted;
mod mounts;
mod namespaces;
mod network;
mod networks;
mod opened;
mod pause;
mod peer;
mod ports;
mod process;
mod program;
mod request;
mod scratch;
mod scratches;
mod shared;
mod snapshot;
mod sockets;
mod spawn;
mod state;
mod stop;
mod throttle;
mod unmapped;
mod user;
mod volumes;
mod walls;
mod watch;
mod watchers;
mod within;

pub use client::{Client, explain};
pub use exit::{Exit, ExitReason};
pub use inspect::{InspectedLimits, InspectedMount, InspectedNamespace, Inspection};
pub use join::NamespaceSet;
pub use mounted::MountInfo;
pub use networks::NamedNetwork;
pub use ports::Port;
pub(crate) use ports::address as socket_address;
pub use process::Process;
pub use sockets::{Connecting, SocketType};
pub use state::ContainerInfo;
pub(crate) use state::StateDir;
pub use stop::Stopping;
pub(crate) use unmapped::id_map;
pub use volumes::Volumes;
pub use walls::{Wall, WallState};
pub use watch::{Event, EventKind, Watch};

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shared::Shared;
use state::Resource;

use crate::cgroup::{self, Place, Stats};
use crate::image::{Difference, ExportOptions, Image, ImageConfig, MakeOptions, Output, Report};
use crate::rootfs::FileStat;
use crate::{ChangesLimit, Config, Error, ErrorCode, ExecConfig, Limit, ListLimit, Mount, Result, Step};

/// A running container. Dropping the handle of a container that this process made (and did not detach) destroys it; a
/// joined or detached one lives on. Any thread may call any method at any time. In a forked child nothing can be done with
/// it, and dropping it ends nothing: the container is the parent's. The child may make and join its own.
pub struct Container {
    shared: Arc<Shared>,
    /// Dropping this handle ends the container.
    ends: bool,
}

impl Container {
    /// Starts a program inside, as `docker exec`: `argv` is all there is. Empty, it is what the image says
    /// ([`ImageConfig::command`]).
    pub fn exec<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>, config: &ExecConfig) -> Result<Process> {
        let mut argv: Vec<OsString> = argv.into_iter().map(|argument| argument.as_ref().to_os_string()).collect();
        if argv.is_empty() {
            self.shared.check_running()?;
            argv = self.image_config().command(argv)?;
        }
        let argv: Vec<&OsStr> = argv.iter().map(AsRef::as_ref).collect();
        exec::exec(&self.shared, &argv, config)
    }

    /// Starts what `docker run IMAGE ARGS…` would: the image's entrypoint, then `args`, or where there are none its Cmd.
    pub fn exec_image<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        config: &ExecConfig,
    ) -> Result<Process> {
        self.shared.check_running()?;
        self.exec(self.image_config().command(args)?, config)
    }

    /// What the image says about how it is run; empty where it is no image or says nothing. Its Env, WorkingDir and User
    /// hold for every program, its Volumes are there and writable, [`Process::stop`] uses its StopSignal.
    pub fn image_config(&self) -> &ImageConfig {
        &self.shared.record.run
    }

    /// The digest of the image it was made from, `sha256:HEX`; `None` where it was none of the store.
    pub fn image_digest(&self) -> Option<&str> {
        match &self.shared.record.root {
            state::Root::Image(digest) => Some(digest),
            _ => None,
        }
    }

    /// The store that its image is in, and what [`Container::commit`] makes of it.
    pub fn store_dir(&self) -> &Path {
        &self.shared.record.store
    }

    /// Refuses in a forked child.
    pub(crate) fn check_holder(&self) -> Result<()> {
        self.shared.check_holder()
    }

    /// The name that [`Container::join`] takes; empty for a joined pid.
    pub fn name(&self) -> &str {
        &self.shared.record.name
    }

    /// The pid of the container's PID 1 on the host.
    pub fn pid(&self) -> i32 {
        self.shared.pid
    }

    /// A pidfd of the container's PID 1, readable when the container has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.shared.pidfd.as_fd()
    }

    /// What was asked for and could not be had, where that was let pass (limits, with the cgroup policy "optional"; a stop
    /// signal of the image's that there is not): one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.shared.record.warnings
    }

    /// Whether it runs: neither destroyed nor ended from outside. In a forked child false: there it is nobody's.
    pub fn is_running(&self) -> bool {
        self.check_holder().is_ok() && !self.shared.destroyed.load(Ordering::Acquire) && self.shared.lives()
    }

    /// Why it has ended; `None` while it runs. [`ExitReason::TimedOut`] and [`ExitReason::OutOfCpuTime`] where its lifetime or its
    /// processor time was over ([`Config::lifetime`], [`Config::cpu_time`]), and programs that ran till then say the same; else
    /// [`ExitReason::Destroyed`]. [`Container::pidfd`] tells when it has. Where another process made it and the kernel is older than
    /// Linux 6.15, it may be told as destroyed.
    pub fn end_reason(&self) -> Option<ExitReason> {
        self.shared.end_reason()
    }

    /// Sends a signal to every program of the container, with all that they have started; the container lives on. SIGKILL ends
    /// them all, however they fork meanwhile. In a joined pid's namespaces, and in a PID namespace that is shared, those are the
    /// programs that were started by [`Container::exec`], and their descendants.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        self.shared.kill_all(signal)
    }

    /// Ends it as `docker stop`: the first half of [`Container::stop`], which sends the stop signal.
    pub fn ask_to_stop(&self) -> Result<Stopping> {
        self.shared.ask_to_stop()
    }

    /// Ends it as `docker stop`: sends the stop signal of its image, SIGTERM where that names none, to its programs, waits until
    /// they have ended, at most `grace`, and destroys it. What a program has started itself is left to that program.
    pub fn stop(&self, grace: Duration) -> Result<()> {
        self.ask_to_stop()?.wait(grace)?;
        self.destroy()
    }

    /// Stops every process of it where it is, PID 1 too, within `timeout` (`None`: however long that takes), or none of them: then
    /// it is the error [`ErrorCode::TimedOut`]. A container that is paused already is no error. The processes keep all that they have,
    /// their memory above all; clocks and time limits run on.
    ///
    /// What takes an answer of PID 1 ([`Container::exec`], [`Container::kill_all`], [`Container::export`] and the like) is refused
    /// with EBUSY while it is paused. Signals reach programs when it is resumed (SIGKILL on cgroup v2 at once), which
    /// [`Process::wait`] waits for; limits and what is used can be asked and set, [`Container::stop`] lets it go on, and
    /// [`Container::destroy`] ends it as any other.
    pub fn pause(&self, timeout: Option<Duration>) -> Result<()> {
        self.shared.pause(timeout)
    }

    /// Lets a paused container go on; one that runs already is no error. EBUSY where a cgroup above its own is frozen, by which
    /// it stands still.
    pub fn resume(&self) -> Result<()> {
        self.shared.resume()
    }

    /// Whether it stands still: by [`Container::pause`], by whomever, or because a cgroup above its own is frozen.
    pub fn paused(&self) -> Result<bool> {
        self.shared.is_paused()
    }

    /// Sets a limit, live; `None` lifts it. What happens to programs that have more than that already, docs/limits.md says of
    /// each limit.
    pub fn set_limit(&self, limit: Limit, value: Option<u64>) -> Result<()> {
        let value = value.filter(|value| *value != crate::UNLIMITED);
        self.cgroup()?.set(limit, value, &self.acquire_cgroup())?;
        if limit == Limit::Cpus && value.is_some() {
            self.shared.leave_processor_limit_to_zygote();
        }
        self.shared.may_have_killed.fetch_or(limit == Limit::Memory, Ordering::Relaxed);
        Ok(())
    }

    /// Sets a limit that is a list, live: all of it, so what is not in the list is not limited. `None` lifts it.
    pub fn set_list_limit(&self, limit: ListLimit, list: Option<&str>) -> Result<()> {
        self.cgroup()?.set_list(limit, list, &self.acquire_cgroup())
    }

    /// Sets a limit of what it may change in memory, live, whatever it is now; `None` is the default: half of the memory limit, or of the
    /// machine's memory, and a file for each 4 KiB of the size. EBUSY where more is in use, and the old one stays. Refused
    /// ([`ErrorCode::Unsupported`]) where changes go elsewhere than to memory.
    pub fn set_changes_limit(&self, limit: ChangesLimit, value: Option<u64>) -> Result<()> {
        changes::set(&self.shared, limit, value.filter(|value| *value != crate::UNLIMITED))
    }

    /// A limit of what it may change in memory, as the kernel has it.
    pub fn changes_limit(&self, limit: ChangesLimit) -> Result<Option<u64>> {
        changes::get(&self.shared, limit)
    }

    fn acquire_cgroup(&self) -> impl Fn(&Place, &mut dyn FnMut() -> Result<()>) -> Result<()> {
        |place, make| self.shared.acquire(Resource::Cgroup(place.clone()), make)
    }

    /// A limit that is a list, as the kernel has it; `None` where there is none, as in a container without a cgroup.
    pub fn list_limit(&self, limit: ListLimit) -> Result<Option<String>> {
        self.shared.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.list_limit(limit))
    }

    /// A limit that is a list as it holds in the end, see [`Container::effective_limit`].
    pub fn effective_list_limit(&self, limit: ListLimit) -> Result<Option<String>> {
        self.shared.maybe_cgroup()?;
        cgroup::effective_list(self.pid(), limit)
    }

    /// A limit, as the kernel has it; `None` where there is none, as in a container without a cgroup.
    pub fn limit(&self, limit: Limit) -> Result<Option<u64>> {
        self.shared.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.limit(limit))
    }

    /// A limit as it holds in the end: the lowest of the container's own and those of the cgroups above, as far as they can be seen
    /// from here; `None` where there is none. Also of a container without a cgroup, for which its caller's hold. A weight counts beside
    /// those of its neighbours alone.
    pub fn effective_limit(&self, limit: Limit) -> Result<Option<u64>> {
        self.shared.maybe_cgroup()?;
        Ok(cgroup::effective(self.pid())?[limit as usize])
    }

    /// Sets the memory limit, live; `None` lifts it. Below present use the kernel reclaims; what can't be reclaimed
    /// makes the call fail with EBUSY and the old limit stays.
    pub fn set_memory_limit(&self, bytes: Option<u64>) -> Result<()> {
        self.set_limit(Limit::Memory, bytes)
    }

    /// The memory limit; `None` where there is none, as in a container without a cgroup.
    pub fn memory_limit(&self) -> Result<Option<u64>> {
        self.limit(Limit::Memory)
    }

    /// Bytes in use, and the most that ever were.
    pub fn memory_usage(&self) -> Result<(u64, u64)> {
        self.cgroup()?.memory_usage()
    }

    /// What it uses: memory by kind, time of processors, processes, input and output, pressure. Numbers that are not counted here are
    /// `None`. Of a joined container too; also while it is paused.
    pub fn stats(&self) -> Result<Stats> {
        self.shared.own_cgroup(Step::CountUsage)?.stats()
    }

    /// Watches it: kills for memory, limits that were met, the ends of programs, its own end, as events from now on. `kinds` are those
    /// that are wanted, of which each has to be had here; where it is empty, all are that can be. [`EventKind::End`] comes always.
    ///
    /// [`EventKind::Exit`] is told of programs that this handle starts from now on, and of those that [`Watch::add`] is given: the
    /// kernel tells nobody but root of all others. It costs a descriptor or five, and nothing where nobody watches.
    pub fn watch(&self, kinds: &[EventKind]) -> Result<Watch> {
        Watch::new(&self.shared, kinds)
    }

    /// How many of its processes, main programs or their children, the kernel's OOM killer has ended so far. A program
    /// whose child was killed may well exit with 0: whoever judges programs looks here too.
    pub fn oom_kills(&self) -> Result<u64> {
        self.cgroup()?.oom_kills()
    }

    /// Sets the most processes and threads, live; `None` lifts it.
    pub fn set_pids_limit(&self, count: Option<u64>) -> Result<()> {
        self.set_limit(Limit::Pids, count)
    }

    /// The most processes and threads; `None` where there is no limit, as in a container without a cgroup.
    pub fn pids_limit(&self) -> Result<Option<u64>> {
        self.limit(Limit::Pids)
    }

    /// Which directory counts a limit, and whether it is one of cgroup v2.
    pub(crate) fn counts(&self, limit: Limit) -> Option<(&Path, bool)> {
        self.shared.cgroup.as_ref()?.counts(limit)
    }

    /// The same of a limit that is a list.
    pub(crate) fn counts_list(&self, limit: ListLimit) -> Option<(&Path, bool)> {
        self.shared.cgroup.as_ref()?.counts_list(limit)
    }

    fn cgroup(&self) -> Result<&crate::cgroup::Cgroup> {
        self.shared.own_cgroup(Step::LimitContainer)
    }

    /// What was done to make it, as the shell commands a person would type; see [`explain()`].
    pub fn explain(&self) -> Result<String> {
        match &self.shared.made_from {
            Some((image, config)) => {
                let config = Config { name: Some(self.name().to_string()), ..config.clone() };
                create::explain(image, &config, &mut |_| true)
            }
            None => Err(Error::new(
                ErrorCode::Unsupported,
                Step::ExplainContainer,
                self.shared.called(),
                libc::EOPNOTSUPP,
                "only the process that made it knows how",
            )
            .with_hint("ctr_walls_of(), Container.walls() and libctr inspect show what stands")),
        }
    }

    /// Every wall, whether it stands and why: read from the kernel where it tells, also of a container that was joined. Of
    /// a joined pid it is what stands around the programs that this handle starts.
    pub fn walls(&self) -> Result<Vec<Wall>> {
        inspect::walls_of(&self.shared)
    }

    /// All that is known of it: its walls, limits, mounts, namespaces, where it is written down.
    pub fn inspect(&self) -> Result<Inspection> {
        inspect::inspect(&self.shared)
    }

    /// Mounts something into it while it runs: programs that run see it at once. Everything is as it is for
    /// [`Config::mounts`]: the same places, the same walls, whose files they are; but that a tmpfs without a size is one of its own, as
    /// large as the changes may be. Programs that have made a mount namespace of their own don't see it. Where a mount of the
    /// caller's is already, EBUSY.
    pub fn mount(&self, mount: &Mount) -> Result<()> {
        mounts::mount(&self.shared, mount)
    }

    /// A socket of this process that is connected to something in the container's network, or to a socket at an absolute path
    /// inside (then `port` is 0). It needs no address of the host, no published port and no rights: it works with
    /// [`crate::Network::None`] too. `address` is an IPv4 or IPv6 address or "localhost", which is 127.0.0.1: names are not looked
    /// up. In a container that shares the host's network it is a socket of the host's.
    ///
    /// It is blocking, close-on-exec, and no lower than 3. A socket lives on when the container ends; nobody answers then.
    pub fn connect(
        &self,
        kind: SocketType,
        address: impl AsRef<OsStr>,
        port: u16,
        timeout: Option<Duration>,
    ) -> Result<OwnedFd> {
        self.connecting(kind, address, port)?.finish(timeout)
    }

    /// The first half of [`Container::connect`]: it is to be waited for.
    pub fn connecting(&self, kind: SocketType, address: impl AsRef<OsStr>, port: u16) -> Result<Connecting> {
        Connecting::start(&self.shared, kind, address.as_ref(), port)
    }

    /// A socket of this process that listens in the container's network (for datagrams: is bound there), as a program inside would:
    /// those inside connect to it, and nobody else. Port 0 is a free one, which getsockname(2) tells. All else is as for
    /// [`Container::connect`].
    pub fn listen(&self, kind: SocketType, address: impl AsRef<OsStr>, port: u16) -> Result<OwnedFd> {
        sockets::listen(&self.shared, kind, address.as_ref(), port)
    }

    /// Waits until something inside listens for TCP at this address, at most `timeout`: then [`ErrorCode::TimedOut`]. It is tried by
    /// connecting, about a hundred times a second; whoever listens accepts one connection that is closed at once.
    pub fn wait_for_port(&self, address: impl AsRef<OsStr>, port: u16, timeout: Option<Duration>) -> Result<()> {
        sockets::wait_for_port(&self.shared, address.as_ref(), port, timeout)
    }

    /// Opens a file or directory of it, open(2), without a program inside: an image without a shell will do. `path` begins at its
    /// root, and links lead nowhere else, whatever programs inside do to directories meanwhile. `flags` are those of open(2), but not
    /// O_PATH, O_TMPFILE and O_DIRECT; a file that is made (O_CREAT) gets `mode`, and belongs to `user`, as in [`ExecConfig::user`]: `None`
    /// is the container's root. What that user may not open is not opened.
    ///
    /// A FIFO, a device, a socket and the kernel's own files (of /proc and /sys) are refused with EOPNOTSUPP, and none of them is opened
    /// or waited for. A link of /proc to what a process has open is not followed (ELOOP); no file is made through a link. It works in
    /// a paused container, with a name for `user` not. The descriptor is close-on-exec, no lower than 3, and lives on when the
    /// container ends; so long its file system does, too.
    ///
    /// It takes about 0.1 ms, but the first time or after some seconds as long as it takes to start a program: a helper process is there
    /// for it, which ends ten seconds after its last use. No file system inside is waited for longer than these.
    pub fn open(&self, path: impl AsRef<OsStr>, flags: i32, mode: u32, user: Option<&str>) -> Result<OwnedFd> {
        files::open(&self.shared, path.as_ref(), flags, mode, user)
    }

    /// What stat(2) tells of a file of it, or lstat(2) where a link at the path is not to be followed. Owners are as inside. Also of
    /// FIFOs, devices and the kernel's files. All else is as for [`Container::open`].
    pub fn stat(&self, path: impl AsRef<OsStr>, follow: bool) -> Result<FileStat> {
        files::stat(&self.shared, path.as_ref(), follow)
    }

    /// The names in a directory of it, without `.` and `..`, in no order; of more than 64 MiB of names EOVERFLOW. All else is as for
    /// [`Container::open`].
    pub fn list_dir(&self, path: impl AsRef<OsStr>) -> Result<Vec<OsString>> {
        files::list(&self.shared, path.as_ref())
    }

    /// Copies a file or tree of the host into it while it runs, as `docker cp`. Into a directory that is there it goes under its own name,
    /// or what is in it does where `source` ends in `/.`; where nothing is there, it is made under that name, in a directory that is there.
    /// Files belong to root inside and keep their modes and times, links stay links, also hard ones, holes stay holes; sockets are left
    /// out, devices refused. With `archive` owners are kept, as far as it has these ids. A file in the way is replaced, a directory
    /// is filled. Programs inside can't lead it elsewhere, whatever they swap meanwhile. Where it fails, what was copied before is there,
    /// and no half of a file. `report` as in [`Container::export`].
    pub fn copy_in(
        &self,
        source: impl AsRef<Path>,
        target: impl AsRef<OsStr>,
        archive: bool,
        report: Report<'_>,
    ) -> Result<()> {
        copy::copy_in(&self.shared, source.as_ref(), target.as_ref(), archive, report)
    }

    /// As [`Container::copy_in`], from a tar archive, not compressed, into a directory that is there.
    pub fn copy_in_tar(
        &self,
        input: &mut dyn Read,
        target: impl AsRef<OsStr>,
        archive: bool,
        report: Report<'_>,
    ) -> Result<()> {
        copy::copy_in_tar(&self.shared, input, target.as_ref(), archive, report)
    }

    /// Copies a file or tree of it to the host while it runs: [`Container::copy_in`] the other way round. What is mounted there is a part
    /// of it, but for the kernel's own file systems (/proc, /sys). Files belong to the caller, and none is set-user-ID; with `archive`
    /// they keep owners, as they are inside, and these bits: only root has use for that. How much it is, is for programs inside
    /// to say.
    pub fn copy_out(
        &self,
        source: impl AsRef<OsStr>,
        target: impl AsRef<Path>,
        archive: bool,
        report: Report<'_>,
    ) -> Result<()> {
        copy::copy_out(&self.shared, source.as_ref(), target.as_ref(), archive, report)
    }

    /// Writes a file or tree of it as a tar archive, with owners as they are inside. Answers how many bytes.
    pub fn copy_out_tar(&self, source: impl AsRef<OsStr>, output: &mut dyn Write) -> Result<u64> {
        copy::copy_out_tar(&self.shared, source.as_ref(), output)
    }

    /// Publishes `to` and `to_port` of the container's network at an address and a port of the host, for TCP: whoever connects there is
    /// connected to the server inside. It takes no route, no rule and no rights, and works with [`crate::Network::None`] too. Port 0 is a
    /// free one, which the answer tells. Whoever can reach the address reaches the server: 127.0.0.1 is for this machine alone,
    /// "0.0.0.0" and "::" for everybody. Addresses are as for [`Container::connect`].
    ///
    /// A process of ours forwards, which ends by [`Container::unpublish`] or with the container, also where this process ends before.
    /// The server sees connections from its own network. If nothing listens inside, who connects sees a reset.
    pub fn publish(&self, address: impl AsRef<OsStr>, port: u16, to: impl AsRef<OsStr>, to_port: u16) -> Result<Port> {
        let (address, to) = (ports::address(address.as_ref(), port)?, ports::address(to.as_ref(), to_port)?);
        ports::publish(&self.shared, address, to)
    }

    /// Ends what [`Container::publish`] has published at this address and port, whoever did it: with its connections, and the port is
    /// free.
    pub fn unpublish(&self, address: impl AsRef<OsStr>, port: u16) -> Result<()> {
        ports::unpublish(&self.shared, ports::address(address.as_ref(), port)?)
    }

    /// The named networks that it is in, and its addresses there; none where it is in no such network.
    pub fn addresses(&self) -> Result<Vec<(String, Vec<IpAddr>)>> {
        network::addresses(&self.shared)
    }

    /// The ports of the host that lead into it, whoever has published them.
    pub fn ports(&self) -> Result<Vec<Port>> {
        ports::ports(&self.shared)
    }

    /// What was mounted into it for its caller and for those that joined it, when it was made and since, in that order: what
    /// [`Container::unmount`] takes off. [`Inspection::mounts`] are all that it has, also its own.
    pub fn mounts(&self) -> Result<Vec<MountInfo>> {
        mounted::mounts(&self.shared)
    }

    /// Takes off what [`Container::mount`] or [`Config::mounts`] has mounted at this place, whoever did it; the last one where there
    /// are several. While programs use it: EBUSY. With `lazy` it is gone all the same, for whoever looks for it from then on, and ends
    /// with its last use, as umount2(2) with MNT_DETACH; one that has further mounts below it always ends so, and these with it. What
    /// the container has for itself, as /proc and /dev, stays: [`ErrorCode::Invalid`].
    pub fn unmount(&self, target: impl AsRef<Path>, lazy: bool) -> Result<()> {
        mounted::unmount(&self.shared, target.as_ref(), lazy)
    }

    /// Writes its root as a tar archive, as `docker export`: all that the container sees as its files, with owners as they are
    /// inside, without what is mounted (/proc, /dev, /sys, binds, tmpfs; of `"host"` that is nearly everything). Volumes of
    /// the image are part of the root. It goes on running; what it changes meanwhile is in the archive or not. `report` is
    /// called some ten times a second on the calling thread; when it answers false, the export ends with
    /// [`ErrorCode::Interrupted`] and leaves no file. There is no bound where the root's own file system does not answer (a directory
    /// on a FUSE, the root of a joined pid). Answers how many bytes were written.
    pub fn export(&self, output: Output<'_>, options: &ExportOptions, report: Report<'_>) -> Result<u64> {
        export::running(&self.shared)?.export(output, options, report)
    }

    /// What it has changed of its image, as `docker diff`, by path: files that were added, changed (content, owner, mode, time
    /// or kind) or deleted. What is in volumes is data and not told of. [`Client::diff`] can stop it.
    pub fn diff(&self) -> Result<Vec<Difference>> {
        export::running(&self.shared)?.diff(&mut |_| true)
    }

    /// Makes a new image of its files, as `docker commit`: the layers of its image, and one more of what [`Container::diff`]
    /// tells. Where nothing differs, there is none. A container of a directory becomes an image of one layer. It goes on
    /// running; what it changes meanwhile is in the image or not. `report` as in [`Container::export`].
    pub fn commit(&self, options: &MakeOptions, report: Report<'_>) -> Result<Image> {
        export::running(&self.shared)?.commit(options, report)
    }

    /// Makes a new image of its changes as they lie there, in as long as it takes to copy these: what [`Container::commit`] does without
    /// packing them. Where its changes and the store are on one file system that can do so (`upper="disk"` on btrfs or xfs), files share
    /// their blocks. It stands still meanwhile, [`Container::pause`], where that can be: then the image is what there was at one
    /// moment. Its layer is known in this store only, and has another digest once it is saved. `report` as in [`Container::export`].
    pub fn snapshot(&self, options: &MakeOptions, report: Report<'_>) -> Result<Image> {
        snapshot::snapshot(&self.shared, options, report)
    }

    /// Kills every process, reaps them and removes all that was made for it. In any state, and twice too.
    pub fn destroy(&self) -> Result<()> {
        self.shared.destroy()
    }

    /// Releases the handle without ending the container where it is joined or detached; otherwise as drop.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let ours = self.shared.check_holder().is_ok();
        if self.ends && ours && !self.shared.destroyed.load(Ordering::Acquire) {
            // Nobody is there to be told; what could not be removed stays on record for the next sweep.
            _ = self.shared.destroy();
        }
    }
}
