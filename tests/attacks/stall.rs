//! own-pid1-stall: nothing that runs inside keeps a call of the host from coming back, nor a time limit from being kept.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ctr::image::{ExportOptions, MakeOptions, Output};
use ctr::{Bind, Config, Container, ErrorCode, ExecConfig, Exit, ExitReason, Mount, Preset, Stdio};

use crate::attack;
use crate::fence::{defaults, is_well, payload, with};

/// The longest that any call may take here: PID 1 gives a start up after ten seconds, the host a request after thirty, and some
/// calls make several.
const BOUND: Duration = Duration::from_secs(300);

const PRESETS: [Preset; 3] = [Preset::Default, Preset::Strict, Preset::Privileged];

/// Does it in a thread, since it may never end.
fn within<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(act()));
    receiver.recv_timeout(BOUND).unwrap_or_else(|_| panic!("{what} does not come back"))
}

/// A public call of a container.
type Act = Box<dyn FnOnce(&Container) -> ctr::Result<()> + Send>;

fn quiet() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

/// A root without programs of its own.
fn image() -> PathBuf {
    let root = crate::fence::scratch().join("image");
    if !root.exists() {
        for directory in ["usr", "etc", "tmp"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n").unwrap();
        for name in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
    }
    root
}

/// A container in which the payload is at work, and what it has said by then.
fn stalled(preset: Preset, way: &'static str) -> (Arc<Container>, String) {
    let devices = if way == "fuse" { vec!["/dev/fuse".parse().unwrap()] } else { Vec::new() };
    // This machine's programs in a root that is an image, so that there is something to compare with.
    let mounts = vec![Mount::Bind(Bind::new("/usr", "/usr").with(|b| b.read_only = true))];
    let config = Config::default().with(|c| {
        c.preset = preset;
        c.pids = Some(200);
        c.devices = devices;
        c.mounts = mounts;
    });
    let container = Arc::new(Container::create(image(), &config).unwrap());
    let config = quiet().with(|c| c.stdout = Stdio::Pipe);
    let script = payload("stall");
    let stall = container.exec(["/usr/bin/python3", "-I", "-c", &script, way], &config).unwrap();
    let mut said = String::new();
    for line in BufReader::new(fs::File::from(stall.take_stdout().unwrap())).lines().map_while(Result::ok) {
        if line == "ready" {
            return (container, said);
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("the payload did not get so far: {said}");
}

/// How a process has ended. What waits in the kernel for a FUSE, as a loader for /etc/ld.so.cache, no signal ends before its
/// server is gone: then that is the answer, after half a minute.
fn is_end(end: ctr::Result<Option<Exit>>, way: &str) -> Option<Exit> {
    match end {
        Err(error) if way == "fuse" && error.code() == ErrorCode::TimedOut => None,
        end => Some(end.unwrap().expect("a process that was killed has ended")),
    }
}

/// A container in which a payload is at work.
struct Stalled {
    container: Arc<Container>,
    preset: Preset,
    way: &'static str,
    /// Of both, for whoever reads a failure.
    name: String,
}

impl Stalled {
    /// Does it within the bound; that it fails is no failure.
    fn call(&self, what: &str, act: Act) {
        let c = Arc::clone(&self.container);
        if let Err(error) = within(&format!("{what}, {}", self.name), move || act(&c)) {
            println!("{what}, {}: {error}", self.name);
        }
    }
}

/// Every public call comes back, and every limit is kept. Most of it is waiting for bounds, so presets are tried side by side; and
/// so are the parts, each in a container of its own, unless the payload is busy all the time.
fn all_come_back(presets: &[Preset], way: &'static str) {
    let parts: [fn(&Stalled); 4] =
        [limited_starts_come_back, starts_come_back, calls_come_back, silent_places_come_back];
    let at_once = if matches!(way, "fuse" | "lease") { 1 } else { parts.len() };
    image();
    std::thread::scope(|scope| {
        for &preset in presets {
            scope.spawn(move || those_of_a_dead_container_come_back(preset, way));
            for parts in parts.chunks(at_once).map(<[_]>::to_vec) {
                scope.spawn(move || part_comes_back(preset, way, &parts));
            }
        }
    });
}

/// What is asked of processes whose container is gone answers all the same.
fn those_of_a_dead_container_come_back(preset: Preset, way: &str) {
    let container = with(&Config::default().with(|c| {
        c.preset = preset;
        c.pids = Some(200);
    }));
    let limited = quiet().with(|c| c.time_limit = Some(Duration::from_secs(3)));
    let early = container.exec(["/bin/sleep", "1000"], &limited).unwrap();
    let victim = container.exec(["/bin/sleep", "1000"], &quiet()).unwrap();
    drop(container);
    for process in [early, victim] {
        let end = within(&format!("wait, {way} in {preset:?}"), move || process.wait(None)).unwrap().unwrap();
        assert_eq!(end.reason, ExitReason::Destroyed);
    }
}

fn part_comes_back(preset: Preset, way: &'static str, parts: &[fn(&Stalled)]) {
    let name = format!("{way} in {preset:?}");
    let (container, said) = stalled(preset, way);
    println!("{name}: {said}");
    let held = way != "prlimit" || !matches!(preset, Preset::Privileged);
    if way == "prlimit" && held {
        assert!(!said.contains("set"), "PID 1's limits can be set from inside: {said}");
    }
    let stalled = Stalled { container, preset, way, name };
    parts.iter().for_each(|part| part(&stalled));
    stalled.call("kill_all", Box::new(|c| c.kill_all(libc::SIGKILL)));
    is_well(&defaults());
    if held {
        // The payload is dead, and all is as it was before.
        is_well(&stalled.container);
    }
    stalled.call("destroy", Box::new(Container::destroy));
    assert!(!stalled.container.is_running());
}

fn limited_starts_come_back(Stalled { container, way, name, .. }: &Stalled) {
    let way = *way;
    let leased = if way == "lease" { "/tmp/leased" } else { "/bin/sleep" };
    // A silent file system stalls each of them, the others some.
    for _ in 0..if way == "fuse" { 1 } else { 3 } {
        let c = Arc::clone(container);
        let begun = within(&format!("exec, {name}"), move || {
            c.exec([leased, "1000"], &quiet().with(|c| c.time_limit = Some(Duration::from_millis(500))))
        });
        match begun {
            Ok(process) => {
                let end = within(&format!("wait, {name}"), move || process.wait(None));
                assert!(is_end(end, way).is_none_or(|end| end.signal == libc::SIGKILL || way == "lease"), "{name}");
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
}

fn starts_come_back(Stalled { container, way, name, .. }: &Stalled) {
    let started = {
        let c = Arc::clone(container);
        within(&format!("exec without limits, {name}"), move || c.exec(["/bin/sleep", "1000"], &quiet()))
    };
    if let Ok(process) = started {
        let end = within(&format!("kill and wait, {name}"), move || {
            _ = process.kill_group(libc::SIGTERM);
            process.kill(libc::SIGKILL).unwrap();
            process.wait(None)
        });
        is_end(end, way);
    }
}

fn calls_come_back(stalled: &Stalled) {
    let exported = format!("exported-{}-{:?}.tar", stalled.way, stalled.preset);
    stalled.call("commit", Box::new(|c| c.commit(&MakeOptions::default(), &mut |_| true).map(drop)));
    stalled.call("inspect", Box::new(|c| c.inspect().map(drop)));
    stalled.call("walls", Box::new(|c| c.walls().map(drop)));
    stalled.call("diff", Box::new(|c| c.diff().map(drop)));
    stalled.call(
        "export",
        Box::new(move |c| {
            let path = crate::fence::scratch().join(exported);
            c.export(Output::Path(&path), &ExportOptions::default(), &mut |_| true).map(drop)
        }),
    );
    stalled.call("limits", Box::new(|c| c.set_memory_limit(Some(300 << 20))));
    stalled.call("list", Box::new(|_| Container::list().map(drop)));
    // What has started can be stopped as well, and then it is for its limit to end it.
    stalled.call(
        "join",
        Box::new(|c| {
            let config = quiet().with(|c| c.time_limit = Some(Duration::from_secs(5)));
            Container::join(c.name())?.exec(["/bin/true"], &config)?.wait(None).map(drop)
        }),
    );
    stalled
        .call("user", Box::new(|c| c.exec(["/bin/true"], &quiet().with(|c| c.user = Some("daemon".into()))).map(drop)));
}

fn silent_places_come_back(stalled: &Stalled) {
    for (what, argv, config) in [
        ("a working directory", "/bin/true", quiet().with(|c| c.cwd = Some("/tmp/silent".into()))),
        ("a program", "/tmp/silent/program", quiet()),
        ("a PATH", "no-such-program", quiet().with(|c| c.env = vec![("PATH".into(), "/tmp/silent:/bin".into())])),
        ("a start with a bound", "/tmp/silent/x", quiet().with(|c| c.start_timeout = Some(Duration::from_millis(500)))),
    ] {
        stalled.call(what, Box::new(move |c| c.exec([argv], &config)?.kill(libc::SIGKILL)));
    }
}

attack!(own_pid1_stall_by_prlimit, {
    all_come_back(&PRESETS, "prlimit");
});

attack!(own_pid1_stall_by_sigstop, {
    all_come_back(&PRESETS, "stop");
});

attack!(own_pid1_stall_by_a_lease, {
    all_come_back(&PRESETS, "lease");
});

attack!(own_pid1_stall_by_orphans, {
    all_come_back(&PRESETS, "orphans");
});

// Only where the device is given, and mounts are: a file system that answers to be mounted, and then does not.
attack!(own_pid1_stall_by_fuse, {
    if fs::metadata("/dev/fuse").is_err() {
        return println!("SKIPPED own_pid1_stall_by_fuse: there is no /dev/fuse");
    }
    all_come_back(&[Preset::Privileged], "fuse");
});

attack!(in_a_shared_pid_namespace_limits_and_scheduling_of_others_are_out_of_reach, {
    let shared = ctr::Namespaces::default().with(|n| n.pid = ctr::Namespace::Host);
    let container = with(&Config::default().with(|c| c.namespaces = shared));
    let script = "import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    done = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return done if done >= 0 else -ctypes.get_errno()
parent, both, old = os.getppid(), struct.pack('QQ', 100, 100), ctypes.create_string_buffer(16)
others = [call(302, parent, 0, both, 0), call(144, parent, 0, struct.pack('i', 0)), call(142, parent, struct.pack('i', 0)),
          call(314, parent, struct.pack('IIQiIQQQ', 48, 0, 0, 1, 0, 0, 0, 0), 0), call(203, parent, 8, struct.pack('Q', 1)),
          call(141, 0, parent, 1), call(141, 2, 0, 1), call(251, 1, parent, 0x6000), call(251, 3, 0, 0x6000)]
own = [call(302, 0, 7, 0, old), call(302, os.getpid(), 7, 0, old), call(302, 0, 4, struct.pack('QQ', 0, 0), 0), call(141, 0, 0, 1),
       call(203, 0, 8, struct.pack('Q', 1))]
print(others, own)
sys.exit(0 if all(o == -1 for o in others) and all(o >= 0 for o in own) else 42)";
    let said = crate::fence::run(&container, &["/usr/bin/python3", "-I", "-c", script], &ExecConfig::default());
    assert_eq!(said.code, 0, "{}", said.text);
});
