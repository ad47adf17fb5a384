//! The host: a process that does what the supervisor says, one operation of the library after the other, and says what came of
//! each.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctr::image::{ImportOptions, Input, Store};
use ctr::{
    Bind, CgroupPolicy, Client, Config, Container, Disk, ErrorCode, ExecConfig, ExitReason, Mount, Namespace,
    NamespaceSet, Result, SocketType, Stdio, Tmpfs, Upper, Winsize,
};

use crate::fence::scratch;
use crate::supervisor::{BEGINS, HYPERCALL, IS_OVER, KILL_ZYGOTES, NEXT, SAYS};

/// What the host can do. The number is what the supervisor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Operation {
    /// Create, in a process that has no zygote, or rather a dead one.
    FirstCreate,
    Create,
    CreateOnDisk,
    /// Create, with what few ask for: a device, a list of devices, clocks.
    CreateGiven,
    Destroy,
    Exec,
    ExecOnTerminal,
    Join,
    JoinPid,
    /// Mounts into a container that runs, and out of it.
    Mount,
    /// A create with a disk, and another disk while it runs. Where there can be none, it is a create.
    Disk,
    /// Sockets inside that are held outside.
    Sockets,
    List,
    Import,
    /// All of a container's life, for kills.
    Life,
    /// A create and an exec; what the exec's error says is said.
    LateWall,
}

impl Operation {
    pub const ALL: [Self; 14] = [
        Self::FirstCreate,
        Self::Create,
        Self::CreateOnDisk,
        Self::CreateGiven,
        Self::Destroy,
        Self::Exec,
        Self::ExecOnTerminal,
        Self::Join,
        Self::JoinPid,
        Self::Mount,
        Self::Disk,
        Self::Sockets,
        Self::List,
        Self::Import,
    ];

    fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Life, Self::LateWall]).find(|operation| *operation as i64 == number)
    }
}

/// What the names of all containers start with; another one for each test behind its own fence.
pub fn prefix() -> String {
    let fence = scratch().file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("fault-{}-", fence.split('-').nth(2).unwrap_or_default())
}

/// Where they are written down.
pub fn state_dir() -> PathBuf {
    scratch().join("state")
}

/// Where images are kept.
pub fn store_dir() -> PathBuf {
    scratch().join("store")
}

/// The image of a disk, where there can be any.
pub fn disk() -> Option<PathBuf> {
    Some(scratch().join("disk")).filter(|image| image.exists())
}

/// A configuration that uses every room.
fn config(count: &mut u64) -> Config {
    *count += 1;
    Config::default().with(|c| {
        c.name = Some(format!("{}{}-{count}", prefix(), std::process::id()));
        c.memory = Some(64 << 20);
        c.pids = Some(100);
        c.cgroup = CgroupPolicy::Optional;
        c.mounts = vec![
            Mount::Bind(Bind::new(scratch().join("outside"), "/outside").with(|b| b.read_only = true)),
            Mount::Tmpfs(Tmpfs::new("/scratch").with(|t| t.size = Some(1 << 20))),
        ];
    })
}

/// One of the supervisor's own system calls.
fn say(kind: u64, a: u64, b: u64) -> i64 {
    // SAFETY: the supervisor answers it, and reads no more than it is shown.
    unsafe { libc::syscall(HYPERCALL, kind, a, b) }
}

#[test]
#[ignore = "a role"]
fn role_host() {
    load_filter();
    let mut count = 0;
    let mut held = None;
    loop {
        let number = say(NEXT, u64::from(held.is_some()), 0);
        let Some(operation) = Operation::of(number) else { break };
        let start = Instant::now();
        let outcome = carry_out(operation, &mut count, &mut held);
        let done = start.elapsed();
        let outcome = outcome.and_then(|()| is_usable(&mut count, &mut held));
        let said = match outcome {
            Ok(()) if start.elapsed() > SLOW => format!("it took {done:?}, and {:?} in all", start.elapsed()),
            Ok(()) => "fine".to_string(),
            Err(complaint) => complaint,
        };
        say(SAYS, said.as_ptr() as u64, said.len() as u64);
    }
}

/// Nothing that is done here takes so long, on the busiest machine, but by waiting for what does not come: the library gives up
/// after 30 seconds or more.
const SLOW: Duration = Duration::from_secs(25);

/// Does `body` while faults may come.
fn during<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    say(BEGINS, 0, 0);
    let outcome = body();
    say(IS_OVER, 0, 0);
    outcome
}

/// Carries an operation out and sees that the library is well afterwards. What is wrong is said: anything but success and
/// errors that name themselves.
fn carry_out(operation: Operation, count: &mut u64, held: &mut Option<Container>) -> std::result::Result<(), String> {
    let mut outcome = Ok(());
    if ![Operation::Exec, Operation::ExecOnTerminal, Operation::Join, Operation::JoinPid, Operation::List]
        .contains(&operation)
    {
        // It would keep its zygote, and its zygote a child, where a fault makes us start another.
        drop(held.take());
    }
    match operation {
        Operation::FirstCreate | Operation::Create | Operation::CreateOnDisk | Operation::CreateGiven => {
            let mut config = config(count);
            if operation == Operation::FirstCreate {
                say(KILL_ZYGOTES, 0, 0);
            }
            if operation == Operation::CreateOnDisk {
                config.upper = Upper::Disk;
                config.detached = true;
            }
            if operation == Operation::CreateGiven {
                config.devices = ["/dev/null:/dev/given", "c 10:229 r"].map(|device| device.parse().unwrap()).to_vec();
                config.namespaces.time = Some(Namespace::New);
                config.time_offsets.boottime.secs = 1;
            }
            match during(|| Container::create("host", &config)) {
                Ok(container) => {
                    outcome = works_or_is_gone(&container);
                    container.destroy().map_err(|e| format!("destroy after it: {e}"))?;
                }
                Err(error) => outcome = named(&error),
            }
        }
        Operation::Destroy => {
            let container =
                Container::create("host", &config(count).with(|c| c.upper = Upper::Disk)).map_err(|e| e.to_string())?;
            if let Err(error) = during(|| container.destroy()) {
                outcome = named(&error);
                container.destroy().map_err(|e| format!("destroy after a destroy that failed: {e}"))?;
            }
        }
        Operation::Exec | Operation::ExecOnTerminal => {
            let container = keep(held, count)?;
            let pty = (operation == Operation::ExecOnTerminal).then_some(Winsize { rows: 24, cols: 80 });
            let outcome_of = during(|| {
                let user = Some("0:0".into());
                let config = if pty.is_some() {
                    quiet().with(|c| {
                        c.pty = pty;
                        c.user = user;
                    })
                } else {
                    captured()
                };
                let process = container.exec(["sh", "-c", "exit 7"], &config)?;
                if let Some(out) = process.take_stdout() {
                    _ = File::from(out).read_to_end(&mut Vec::new());
                }
                process.wait(Some(Duration::from_secs(20)))
            });
            outcome = match outcome_of {
                Ok(Some(exit)) if exit.code == 7 => Ok(()),
                // PID 1 could not say how it ended, and closed the channel.
                Ok(Some(exit)) if exit.reason == ExitReason::Destroyed => Ok(()),
                Ok(other) => Err(format!("the program did not end as it should: {other:?}")),
                Err(error) => named(&error),
            };
        }
        Operation::Join | Operation::JoinPid => {
            let container = keep(held, count)?;
            let sleeper = container.exec(["sleep", "100"], &quiet()).map_err(|e| e.to_string())?;
            let pid = sleeper.host_pid().map_err(|e| e.to_string())?;
            let joined = during(|| match operation {
                Operation::Join => Client::new().with_state_dir(state_dir()).join(container.name()),
                _ => Container::join_pid(pid, NamespaceSet::ALL),
            });
            match joined {
                Ok(joined) => {
                    works("the joined container", &joined)?;
                    if operation == Operation::JoinPid {
                        joined.destroy().map_err(|e| format!("destroy of the joined: {e}"))?;
                    }
                }
                Err(error) => outcome = named(&error),
            }
            sleeper.kill(libc::SIGKILL).map_err(|e| e.to_string())?;
            sleeper.wait(Some(Duration::from_secs(20))).map_err(|e| e.to_string())?;
            if operation == Operation::JoinPid {
                works("the container that was there before", container)?;
                drop(held.take());
            }
        }
        Operation::Disk => {
            let disks = |place: &str| disk().map(|image| Disk::new(image, place).into()).into_iter();
            let made = during(|| {
                let mut config = config(count);
                config.mounts.extend(disks("/mnt/made"));
                let container = Container::create("host", &config)?;
                let done = disks("/mnt/live").try_for_each(|disk: Mount| {
                    container.mount(&disk)?;
                    container.unmount("/mnt/live", false)
                });
                done.and(container.destroy()).inspect_err(|_| _ = container.destroy())
            });
            if let Err(error) = made {
                outcome = named(&error);
            }
        }
        Operation::Mount => {
            let container = Container::create("host", &config(count)).map_err(|e| e.to_string())?;
            let bind: Mount = Bind::new(scratch().join("outside"), "/mnt/bind").into();
            let tmpfs: Mount = Tmpfs::new("/mnt/tmpfs").into();
            let places = ["/mnt/bind", "/mnt/tmpfs"];
            let done = during(|| {
                [&bind, &tmpfs].into_iter().try_for_each(|mount| container.mount(mount))?;
                places.into_iter().try_for_each(|place| container.unmount(place, false))
            });
            if let Err(error) = done {
                outcome = named(&error);
            }
            // Whatever of it is there, or may be, can be taken off; but the fault may have been one of its zygote's, or of its walls.
            if is_there(&container)? {
                for place in places {
                    match container.unmount(place, false) {
                        Err(error) if error.code() != ErrorCode::NotFound => {
                            return Err(format!("unmount after it: {error}"));
                        }
                        _ => {}
                    }
                }
                let look = container.exec(["sh", "-c", "! grep ' /mnt/' /proc/self/mountinfo"], &quiet());
                let exit = look.and_then(|look| look.wait(Some(Duration::from_secs(20))));
                if !matches!(&exit, Ok(Some(exit)) if exit.code == 0) {
                    return Err(format!("a mount is left: {exit:?}"));
                }
            }
            container.destroy().map_err(|e| format!("destroy after it: {e}"))?;
        }
        Operation::Sockets => {
            // One of its own: another zygote may take over, and then the one of a container that is kept stays beside it.
            let container = Container::create("host", &config(count)).map_err(|e| e.to_string())?;
            let at = "127.0.0.1";
            let done = during(|| {
                let listener = TcpListener::from(container.listen(SocketType::Stream, at, 80)?);
                container.wait_for_port(at, 80, Some(Duration::from_secs(20)))?;
                drop(container.connect(SocketType::Stream, at, 80, Some(Duration::from_secs(20)))?);
                drop(listener);
                match container.connect(SocketType::Stream, "/nowhere", 0, Some(Duration::from_secs(20))) {
                    Err(error) if error.errno() == libc::ENOENT => {}
                    Err(error) => return Err(error),
                    Ok(_) => panic!("nothing is there"),
                }
                let port = container.publish(at, 0, at, 80)?;
                container.unpublish(at, port.address.port())
            });
            if let Err(error) = done {
                outcome = named(&error);
            }
            // Whatever of it is there, or may be, can be ended.
            if is_there(&container)? {
                let ports = container.ports().map_err(|e| format!("ports after it: {e}"))?;
                for port in ports {
                    container.unpublish(at, port.address.port()).map_err(|e| format!("unpublish after it: {e}"))?;
                }
            }
            container.destroy().map_err(|e| format!("destroy after it: {e}"))?;
        }
        Operation::List => {
            keep(held, count)?;
            match during(|| Client::new().with_state_dir(state_dir()).list()) {
                Ok(running) if running.len() == 1 => {}
                Ok(running) => outcome = Err(format!("{} are listed of one that runs", running.len())),
                Err(error) => outcome = named(&error),
            }
        }
        Operation::Import => {
            let store = Store::open(Some(&store_dir())).map_err(|e| e.to_string())?;
            let tar = scratch().join("image.tar.gz");
            let options = ImportOptions::default().with(|o| o.name = Some("small".into()));
            let imported = during(|| store.import(Input::Path(&tar), &options, &mut |_| true));
            if let Err(error) = imported {
                outcome = named(&error);
            }
            let again = store.import(Input::Path(&tar), &options, &mut |_| true);
            again.map_err(|e| format!("import after it: {e}"))?;
            store.remove("small").map_err(|e| format!("remove after it: {e}"))?;
            store.prune().map_err(|e| format!("prune after it: {e}"))?;
        }
        Operation::LateWall => {
            let told = during(|| {
                let container = Container::create("host", &config(count))?;
                let first = container.exec(["true"], &quiet()).map(drop);
                let second = container.exec(["true"], &quiet()).map(drop);
                container.destroy()?;
                Ok((first, second))
            });
            outcome = match told.map_err(|error| format!("create or destroy: {error}"))? {
                (Ok(()), Ok(())) => Ok(()),
                (Err(first), Err(second)) if first == second => {
                    Err(format!("{:?}, {}, {}: {first}", first.code(), first.errno(), first.step_id()))
                }
                told => Err(format!("two errors of the same: {told:?}")),
            };
        }
        Operation::Life => {
            let outcome_of = during(|| {
                let mut config = config(count).with(|c| c.upper = Upper::Disk);
                config.mounts.extend(disk().map(|image| Disk::new(image, "/mnt/disk").into()));
                let container = Container::create("host", &config)?;
                let process = container.exec(["true"], &captured())?;
                process.wait(Some(Duration::from_secs(20)))?;
                container.mount(&Bind::new(scratch().join("outside"), "/mnt/live").into())?;
                container.unmount("/mnt/live", false)?;
                container.destroy()
            });
            if let Err(error) = outcome_of {
                outcome = named(&error);
            }
        }
    }
    outcome
}

/// The container that is kept for what needs one; a new one where a fault has ended it.
fn keep<'a>(held: &'a mut Option<Container>, count: &mut u64) -> std::result::Result<&'a Container, String> {
    if held.is_none() {
        *held = Some(Container::create("host", &config(count)).map_err(|e| format!("keep one: {e}"))?);
    }
    held.as_ref().ok_or_else(String::new)
}

fn is_usable(count: &mut u64, held: &mut Option<Container>) -> std::result::Result<(), String> {
    if let Some(container) = held
        && let Err(error) = works("the container that was there before", container)
    {
        *held = None;
        return Err(error);
    }
    let container = Container::create("host", &config(count)).map_err(|e| format!("not usable afterwards: {e}"))?;
    works("a container made afterwards", &container)?;
    container.destroy().map_err(|e| format!("not usable afterwards: {e}"))?;
    let running = Client::new().with_state_dir(state_dir()).list().map_err(|e| format!("list afterwards: {e}"))?;
    if running.len() != usize::from(held.is_some()) {
        return Err(format!("still listed: {running:?}"));
    }
    Ok(())
}

/// A create is done before the last walls stand, where such have stood before: where one then falls, the container is gone.
fn works_or_is_gone(container: &Container) -> std::result::Result<(), String> {
    is_there(container).map(drop)
}

/// Whether it works, or has ended.
fn is_there(container: &Container) -> std::result::Result<bool, String> {
    match container.exec(["true"], &quiet()) {
        Err(error) if error.code() == ErrorCode::Destroyed => named(&error).map(|()| false),
        _ => works("the container", container).map(|()| true),
    }
}

fn works(what: &str, container: &Container) -> std::result::Result<(), String> {
    let process = container.exec(["true"], &quiet()).map_err(|e| format!("{what} starts nothing: {e}"))?;
    match process.wait(Some(Duration::from_secs(20))) {
        Ok(Some(exit)) if exit.code == 0 => Ok(()),
        other => Err(format!("{what} does not work: {other:?}")),
    }
}

/// An error has to say what was done, to what, and why it failed.
fn named(error: &ctr::Error) -> std::result::Result<(), String> {
    let says = !error.step().is_empty() && error.errno() > 0 && error.code() != ErrorCode::Internal;
    if says { Ok(()) } else { Err(format!("an error that says nothing: {error:?}")) }
}

fn quiet() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

fn captured() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Pipe;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    })
}

/// Has the supervisor asked about every system call of this thread and of all that comes of it, but for those that only
/// wait for another thread or end one.
fn load_filter() {
    const NOT_ASKED: [i64; 8] = [
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_getpid,
        libc::SYS_gettid,
    ];
    const ARCH_X86_64: u32 = 0xc000_003e;
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let jump = |k, jt, jf| libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt, jf, k };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut program = vec![statement(load, 4), jump(ARCH_X86_64, 0, NOT_ASKED.len() as u8 + 2), statement(load, 0)];
    for (i, nr) in NOT_ASKED.iter().enumerate() {
        program.push(jump(*nr as u32, (NOT_ASKED.len() - i) as u8, 0));
    }
    program.push(statement(answer, libc::SECCOMP_RET_USER_NOTIF));
    program.push(statement(answer, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // A signal must not cut a question short, or it would be counted twice. Linux 5.19.
    const WAIT_KILLABLE: u64 = 1 << 5;
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE;
    // SAFETY: the program outlives the call; this process is the test's own.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    assert!(listener >= 0, "seccomp(2): {}", std::io::Error::last_os_error());
    // It stays open: the supervisor takes it out of our table by its number.
    _ = File::open("/proc/self/fd").map(|file| file.as_raw_fd());
}
