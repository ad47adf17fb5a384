//! Getting out through the engine: its root, its working directories, its descriptors, its own program.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use ctr::{Bind, Config, Container, ExecConfig, Mount, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::attack;
use crate::fence::{bites, defaults, held, inside, is_well, run, scratch, secret, try_run, with, without_walls};

attack!(chroot_break, {
    let secret = secret();
    let secret = secret.to_str().unwrap();
    let container = defaults();
    held(&inside(&container, "chroot_break", &[secret], &ExecConfig::default()));
    let jail = scratch().join("jail");
    fs::create_dir_all(jail.join("tmp")).unwrap();
    bites(&without_walls("chroot_break", &[secret, jail.to_str().unwrap()]));
});

// runc CVE-2019-5736: the engine is made to run its own program inside, and that is written to. There is no engine's program
// to write to where there are no walls, so the test has no counterpart; what it catches is printed.
attack!(cve_2019_5736, {
    let container = defaults();
    let (stop, stdin) = {
        let (read, write) = nix::unistd::pipe().unwrap();
        (write, read)
    };
    let config = ExecConfig::default().with(|c| {
        c.stdin = Stdio::Fd(stdin.as_raw_fd());
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    });
    let watcher =
        container.exec(["/usr/bin/python3", "-I", "-c", &crate::fence::payload("self_exe")], &config).unwrap();
    let mut output = BufReader::new(fs::File::from(watcher.take_stdout().unwrap()));
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    assert_eq!(text, "watching\n");
    // The program is PID 1's own: what the kernel calls /proc/self/exe in the process that is about to become it. It waits for
    // requests on a socket, as long as somebody else has a lock on what its descriptor 1 is: the watcher has all the time it wants.
    let lifeline = fs::File::create(std::env::temp_dir().join("lifeline")).unwrap();
    let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    nix::fcntl::fcntl(&lifeline, nix::fcntl::FcntlArg::F_SETLK(&lock)).unwrap();
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let [stdin, stdout] = [theirs.as_raw_fd(), lifeline.as_raw_fd()].map(Stdio::Fd);
    let engine_config = ExecConfig::default().with(|c| {
        c.stdin = stdin;
        c.stdout = stdout;
    });
    let engine = container.exec(["/proc/self/exe"], &engine_config).unwrap();
    drop(theirs);
    for _ in 0..20 {
        _ = try_run(&container, &["/proc/self/exe"], &ExecConfig::default());
        _ = try_run(&container, &["/proc/1/exe"], &ExecConfig::default());
    }
    text.clear();
    output.read_line(&mut text).unwrap();
    assert_eq!(text, "caught one\n");
    drop(ours);
    engine.wait(None).unwrap();
    nix::unistd::write(&stop, b"x").unwrap();
    output.read_to_string(&mut text).unwrap();
    println!("{text}");
    assert_eq!(watcher.wait(None).unwrap().unwrap().code, 0, "{text}");
    is_well(&container);
    // Whatever was written, the next container starts from the same program.
    is_well(&defaults());
});

// runc CVE-2024-21626: a working directory that leads through a descriptor of the engine's.
attack!(cve_2024_21626, {
    let secret = secret();
    let secret = secret.to_str().unwrap();
    // Its published form is a link in the image.
    let links = scratch().join("links");
    fs::create_dir(&links).unwrap();
    for fd in 0..64 {
        symlink(format!("/proc/self/fd/{fd}"), links.join(fd.to_string())).unwrap();
    }
    let bind = Mount::Bind(Bind::new(links, "/links").with(|b| b.read_only = true));
    let container = ctr::Container::create("host", &Config::default().with(|c| c.mounts = vec![bind])).unwrap();
    let links = (0..64).map(|fd| format!("/links/{fd}"));
    let places = (0..64).map(|fd| format!("/proc/self/fd/{fd}"));
    let others =
        ["/proc/self/cwd", "/proc/1/cwd", "/proc/1/root", "/proc/self/root/..", "/proc/self/fd", "/proc/1/fd/3"];
    let deep = (0..16).map(|fd| format!("/proc/self/fd/{fd}/../../../../../../.."));
    let mut started = 0;
    for place in places.chain(links).chain(others.map(String::from)).chain(deep) {
        let config = ExecConfig::default().with(|c| c.cwd = Some(place.clone().into()));
        let script = crate::fence::payload("working_directory");
        match try_run(&container, &["/usr/bin/python3", "-I", "-c", &script, secret], &config) {
            Ok(said) => {
                started += 1;
                held(&said);
            }
            Err(error) => assert_eq!(error.step_id(), "change-to-working-directory", "{place}: {error}"),
        }
    }
    assert!(started > 0, "no place could be entered, not even /proc/self/root/..");
    bites(&without_walls("working_directory", &[secret]));
});

attack!(no_descriptor_of_the_host_is_seen, {
    // Descriptors that a careless host leaves inheritable.
    let file = fs::File::open(secret()).unwrap();
    let leaked = nix::unistd::dup(&file).unwrap();
    let container = defaults();
    let said = inside(&container, "seen_from_inside", &[], &ExecConfig::default());
    let fds = said.text.lines().find_map(|line| line.strip_prefix("fds ")).unwrap();
    // The fourth is the listing's own.
    assert_eq!(fds, "0 1 2 3", "{}", said.text);
    drop(leaked);
});

attack!(no_secret_of_the_host_is_seen, {
    let container = {
        // SAFETY: behind the fence there is one thread, which runs this test.
        unsafe { std::env::set_var("CTR_TEST_SECRET", "the host's secret") };
        defaults()
    };
    let script = "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; env; cat /etc/shadow /etc/gshadow; ls -a /root";
    let said = run(&container, &["/bin/sh", "-c", script], &ExecConfig::default());
    assert!(!said.text.contains("the host's secret"), "{}", said.text);
    assert!(!said.text.contains(":*:") && !said.text.contains(":!:"), "/etc/shadow can be read:\n{}", said.text);
});

// bubblewrap CVE-2019-12439, moby CVE-2021-41091: what the engine keeps is nobody else's to reach.
attack!(cve_2019_12439, {
    let image = scratch().join("image");
    fs::create_dir(&image).unwrap();
    fs::copy("/bin/busybox", image.join("busybox")).expect("busybox-static is installed");
    fs::set_permissions(image.join("busybox"), fs::Permissions::from_mode(0o4755)).unwrap();
    let tar = scratch().join("image.tar");
    assert!(Command::new("tar").arg("cf").arg(&tar).arg("-C").arg(&image).arg(".").status().unwrap().success());
    let container = Container::create(&tar, &Config::default()).unwrap();
    assert_eq!(run(&container, &["/busybox", "true"], &ExecConfig::default()).code, 0);
    for name in ["state", "store"] {
        let place = scratch().join(name);
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", place.display());
    }
});

// containerd CVE-2020-15257: a container in the host's network namespace finds no socket of the engine's to talk to.
attack!(cve_2020_15257, {
    let before = abstract_sockets();
    let config =
        Config::default().with(|c| c.namespaces = ctr::Namespaces::default().with(|n| n.net = ctr::Namespace::Host));
    let container = with(&config);
    let new: Vec<_> = abstract_sockets().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new, Vec::<String>::new(), "abstract sockets of ours");
    is_well(&container);
});

fn abstract_sockets() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|name| name.starts_with('@'))
        .map(String::from)
        .collect()
}
