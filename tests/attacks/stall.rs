//! own-pid1-stall: nothing that runs inside keeps a call of the host from coming back, nor a time limit from being kept.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ctr::image::{ExportOptions, MakeOptions, Output};
use ctr::{Config, Container, ErrorCode, ExecConfig, Exit, ExitReason, Mount, Preset, Stdio};

use crate::attack;
use crate::fence::{defaults, is_well, payload, with};

/// The longest that any call may take here: PID 1 gives a start up after ten seconds, the host a request after thirty, and some
/// calls make several.
const BOUND: Duration = Duration::from_secs(300);

/// Does it in a thread, since it may never end.
fn within<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(act()));
    receiver.recv_timeout(BOUND).unwrap_or_else(|_| panic!("{what} does not come back"))
}

/// A public call of a container.
type Act = Box<dyn FnOnce(&Container) -> ctr::Result<()> + Send>;

fn quiet() -> ExecConfig {
    ExecConfig { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null, ..ExecConfig::default() }
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
    let mounts = vec![Mount::Bind { source: "/usr".into(), target: "/usr".into(), read_only: true }];
    let config = Config { preset, pids: Some(200), devices, mounts, ..Config::default() };
    let container = Arc::new(Container::create(image(), &config).unwrap());
    let config = ExecConfig { stdout: Stdio::Pipe, ..quiet() };
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

/// Every public call comes back, and every limit is kept.
fn all_come_back(preset: Preset, way: &'static str) {
    let name = format!("{way} in {preset:?}");
    let container = Arc::new(with(&Config { preset, pids: Some(200), ..Config::default() }));
    let limit = |ms| ExecConfig { time_limit: Some(Duration::from_millis(ms)), ..quiet() };
    let early = container.exec(["/bin/sleep", "1000"], &limit(3000)).unwrap();
    let victim = container.exec(["/bin/sleep", "1000"], &quiet()).unwrap();
    drop(container);
    // Their container is gone: what is asked of them answers all the same.
    for process in [early, victim] {
        let end = within(&format!("wait, {name}"), move || process.wait(None)).unwrap().unwrap();
        assert_eq!(end.reason, ExitReason::Destroyed);
    }

    let (container, said) = stalled(preset, way);
    println!("{name}: {said}");
    let held = way != "prlimit" || !matches!(preset, Preset::Privileged);
    if way == "prlimit" && held {
        assert!(!said.contains("set"), "PID 1's limits can be set from inside: {said}");
    }
    let c = Arc::clone(&container);
    let leased = if way == "lease" { "/tmp/leased" } else { "/bin/sleep" };
    for _ in 0..3 {
        let c = Arc::clone(&c);
        let begun = within(&format!("exec, {name}"), move || {
            c.exec([leased, "1000"], &ExecConfig { time_limit: Some(Duration::from_millis(500)), ..quiet() })
        });
        match begun {
            Ok(process) => {
                let end = within(&format!("wait, {name}"), move || process.wait(None));
                assert!(is_end(end, way).is_none_or(|end| end.signal == libc::SIGKILL || way == "lease"), "{name}");
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
    let started = {
        let c = Arc::clone(&c);
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
    let call = |what: &str, act: Act| {
        let c = Arc::clone(&container);
        if let Err(error) = within(&format!("{what}, {name}"), move || act(&c)) {
            println!("{what}, {name}: {error}");
        }
    };
    call("commit", Box::new(|c| c.commit(&MakeOptions::default(), &mut |_| true).map(drop)));
    call("inspect", Box::new(|c| c.inspect().map(drop)));
    call("walls", Box::new(|c| c.walls().map(drop)));
    call("diff", Box::new(|c| c.diff().map(drop)));
    call(
        "export",
        Box::new(|c| {
            let path = crate::fence::scratch().join("exported.tar");
            c.export(Output::Path(&path), &ExportOptions::default(), &mut |_| true).map(drop)
        }),
    );
    call("limits", Box::new(|c| c.set_memory_limit(Some(300 << 20))));
    call("list", Box::new(|_| Container::list().map(drop)));
    // What has started can be stopped as well, and then it is for its limit to end it.
    call(
        "join",
        Box::new(|c| {
            let config = ExecConfig { time_limit: Some(Duration::from_secs(5)), ..quiet() };
            Container::join(c.name())?.exec(["/bin/true"], &config)?.wait(None).map(drop)
        }),
    );
    call("user", Box::new(|c| c.exec(["/bin/true"], &ExecConfig { user: Some("daemon".into()), ..quiet() }).map(drop)));
    for (what, argv, config) in [
        ("a working directory", "/bin/true", ExecConfig { cwd: Some("/tmp/silent".into()), ..quiet() }),
        ("a program", "/tmp/silent/program", quiet()),
        ("a PATH", "no-such-program", ExecConfig { env: vec![("PATH".into(), "/tmp/silent:/bin".into())], ..quiet() }),
        (
            "a start with a bound",
            "/tmp/silent/x",
            ExecConfig { start_timeout: Some(Duration::from_millis(500)), ..quiet() },
        ),
    ] {
        call(what, Box::new(move |c| c.exec([argv], &config)?.kill(libc::SIGKILL)));
    }
    call("kill_all", Box::new(|c| c.kill_all(libc::SIGKILL)));
    is_well(&defaults());
    if held {
        // The payload is dead, and all is as it was before.
        is_well(&container);
    }
    call("destroy", Box::new(Container::destroy));
    assert!(!container.is_running());
}

attack!(own_pid1_stall_by_prlimit, {
    for preset in [Preset::Default, Preset::Strict, Preset::Privileged] {
        all_come_back(preset, "prlimit");
    }
});

attack!(own_pid1_stall_by_sigstop, {
    for preset in [Preset::Default, Preset::Strict, Preset::Privileged] {
        all_come_back(preset, "stop");
    }
});

attack!(own_pid1_stall_by_a_lease, {
    for preset in [Preset::Default, Preset::Strict, Preset::Privileged] {
        all_come_back(preset, "lease");
    }
});

attack!(own_pid1_stall_by_orphans, {
    for preset in [Preset::Default, Preset::Strict, Preset::Privileged] {
        all_come_back(preset, "orphans");
    }
});

// Only where the device is given, and mounts are: a file system that answers to be mounted, and then does not.
attack!(own_pid1_stall_by_fuse, {
    if fs::metadata("/dev/fuse").is_err() {
        return println!("SKIPPED own_pid1_stall_by_fuse: there is no /dev/fuse");
    }
    all_come_back(Preset::Privileged, "fuse");
});

attack!(in_a_shared_pid_namespace_limits_and_scheduling_of_others_are_out_of_reach, {
    let shared = ctr::Namespaces { pid: ctr::Namespace::Host, ..ctr::Namespaces::default() };
    let container = with(&Config { namespaces: shared, ..Config::default() });
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
