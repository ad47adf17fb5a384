//! Files of a container that are opened from outside, while programs inside do what they can to have others opened.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};

use ctr::{Container, ExecConfig, Process, Stdio, Step};

use crate::attack;
use crate::fence::{defaults, is_well, payload, run, scratch, secret};

/// A program that swaps the directory /tmp/w/place for links to where these lead, there and back, all the time.
fn swapping(container: &Container, links: &[&str]) -> Process {
    let streams = ExecConfig::default().with(|c| c.stdout = Stdio::Pipe);
    let script = payload("swap_places");
    let argv = [&["/usr/bin/python3", "-I", "-c", &script], links].concat();
    let swapping = container.exec(argv, &streams).unwrap();
    let mut said = String::new();
    BufReader::new(fs::File::from(swapping.take_stdout().unwrap())).read_line(&mut said).unwrap();
    assert_eq!(said, "swapping\n");
    swapping
}

// docker CVE-2018-15664, of `open`: what is a directory at one look is a link at the next.
attack!(an_open_whose_way_is_swapped_for_links_stays_inside, {
    secret();
    let outside = scratch().join("outside");
    let container = defaults();
    let up = format!("../../../../../../../..{}", outside.display());
    let links = [outside.to_str().unwrap(), &up, "/proc", "/proc/1/root", "/proc/self/fd", "/sys", "/dev"];
    let swapping = swapping(&container, &links);
    // The same name inside, so that a way that leads astray finds something in either place.
    let (name, new) = ("/tmp/w/place/in/secret", "/tmp/w/place/in/new");
    let (mut written, mut read, mut failed) = (0, 0, 0);
    for round in 0..2000 {
        let path = if round % 2 == 0 { name } else { new };
        match container.open(path, libc::O_RDWR | libc::O_CREAT, 0o600, None) {
            Ok(file) => {
                let mut file = fs::File::from(file);
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert!(text.is_empty() || text.chars().all(|c| c == 'x'), "{text:?}");
                file.write_all(b"x").unwrap();
                written += 1;
            }
            Err(error) => {
                assert_eq!(error.failed_step(), Step::OpenInside, "{error}");
                failed += 1;
            }
        }
        // By the directory itself: what is in it is the container's.
        match container.list_dir("/tmp/w/place") {
            Ok(names) => {
                assert!(!names.iter().any(|name| name == "secret"), "{names:?}");
                read += 1;
            }
            Err(error) => assert_eq!(error.failed_step(), Step::ListInside, "{error}"),
        }
        assert!(container.stat("/tmp/w/place/secret", true).is_err());
    }
    println!("{written} written, {failed} refused, {read} lists");
    assert!(written > 20 && read > 20 && failed > 20);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made on the host");
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "the host's secret");
    is_well(&container);
    swapping.kill(libc::SIGKILL).unwrap();
    swapping.wait(None).unwrap();
});

// What is a file when it is looked at is a FIFO, a socket or a device of the container's a moment later: nobody waits for it.
attack!(an_open_of_a_file_that_turns_into_a_fifo_does_not_wait, {
    let container = defaults();
    let script = "import os, socket\nos.mkdir('/tmp/w')\nos.chdir('/tmp/w')\nprint('ready', flush=True)\nwhile True:\n \
                  open('f', 'w').close(); os.unlink('f'); os.mkfifo('f'); os.unlink('f')\n \
                  os.symlink('/dev/tty', 'f'); os.unlink('f'); os.symlink('/dev/ptmx', 'f'); os.unlink('f')\n \
                  s = socket.socket(socket.AF_UNIX); s.bind('f'); s.close(); os.unlink('f')";
    let streams = ExecConfig::default().with(|c| c.stdout = Stdio::Pipe);
    let churn = container.exec(["/usr/bin/python3", "-I", "-c", script], &streams).unwrap();
    BufReader::new(fs::File::from(churn.take_stdout().unwrap())).read_line(&mut String::new()).unwrap();
    let began = std::time::Instant::now();
    let mut opened = 0;
    for round in 0..4000 {
        let flags = [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR | libc::O_CREAT][round % 3];
        match container.open("/tmp/w/f", flags, 0o600, None) {
            Ok(file) => {
                assert!(fs::File::from(file).metadata().unwrap().is_file());
                opened += 1;
            }
            Err(error) => assert_eq!(error.failed_step(), Step::OpenInside, "{error}"),
        }
    }
    println!("{opened} of 4000 were files, in {:?}", began.elapsed());
    assert!(opened > 20 && began.elapsed() < std::time::Duration::from_secs(60));
    churn.kill(libc::SIGKILL).unwrap();
    churn.wait(None).unwrap();
    is_well(&container);
});

// Who may not be root inside does not become so by a file that root has opened: the helper is nobody's to look into.
attack!(the_helper_that_opens_files_is_out_of_reach, {
    let container = defaults();
    drop(container.open("/etc/passwd", libc::O_RDONLY, 0, None).unwrap());
    let script =
        "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in ctr-helper) echo seen;; esac; done; true";
    let said = run(&container, &["/bin/sh", "-c", script], &ExecConfig::default());
    assert_eq!((said.text.as_str(), said.code), ("", 0));
});

/// Files of the host that are to be copied.
fn source() -> std::path::PathBuf {
    let top = scratch().join("source");
    fs::create_dir_all(top.join("sub")).unwrap();
    for number in 0..20 {
        fs::write(top.join(format!("sub/f{number}")), "ours").unwrap();
    }
    fs::write(top.join("secret"), "ours").unwrap();
    fs::write(top.join("large"), vec![b'x'; 200_000]).unwrap();
    top
}

// docker CVE-2018-15664 and CVE-2021-41089: where a copy goes is swapped for links while it is on its way.
attack!(a_copy_into_a_place_that_is_swapped_for_links_stays_inside, {
    secret();
    let outside = scratch().join("outside");
    let (container, source) = (defaults(), source());
    let up = format!("../../../../../../../..{}", outside.display());
    let links = [outside.to_str().unwrap(), &up, "/proc", "/proc/1/root", "/sys", "/dev"];
    let swapping = swapping(&container, &links);
    let (mut done, mut failed) = (0, 0);
    for round in 0..600 {
        let target = ["/tmp/w/place/in", "/tmp/w/place", "/tmp/w"][round % 3];
        // What is in it goes there, and so into the directory that is swapped: sub is one of the container's then.
        let from = if round % 2 == 0 { source.join(".") } else { source.clone() };
        match container.copy_in(&from, target, false, &mut |_| true) {
            Ok(()) => done += 1,
            Err(error) => {
                assert_eq!(error.failed_step(), Step::CopyTo, "{error}");
                failed += 1;
            }
        }
    }
    println!("{done} copied, {failed} refused");
    assert!(done > 20 && failed > 20);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made on the host");
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "the host's secret");
    is_well(&container);
    swapping.kill(libc::SIGKILL).unwrap();
    swapping.wait(None).unwrap();
});

// The same the other way round: what is copied out is the container's, and it lands where it is to.
attack!(a_copy_out_of_a_place_that_is_swapped_for_links_has_nothing_of_the_hosts, {
    secret();
    let outside = scratch().join("outside");
    let (container, source, out) = (defaults(), source(), scratch().join("out"));
    let up = format!("../../../../../../../..{}", outside.display());
    let links = [outside.to_str().unwrap(), &up, "/proc", "/proc/1/root", "/sys", "/dev"];
    container.copy_in(&source, "/tmp/source", false, &mut |_| true).unwrap();
    let swapping = swapping(&container, &links);
    run(&container, &["/bin/sh", "-c", "cp -r /tmp/source /tmp/w/place/in/ || true"], &ExecConfig::default());
    let mut done = 0;
    for round in 0..400 {
        let from = ["/tmp/w/place/in", "/tmp/w/place", "/tmp/w", "/tmp/w/place/in/source/secret"][round % 4];
        fs::create_dir(&out).unwrap();
        match container.copy_out(from, &out, false, &mut |_| true) {
            Ok(()) => done += 1,
            Err(error) => assert!([Step::CopyFrom, Step::CopyTo, Step::Pack].contains(&error.failed_step()), "{error}"),
        }
        for found in files(&out) {
            let text = fs::read_to_string(&found).unwrap();
            assert!(!text.contains("host"), "{} has the host's secret", found.display());
        }
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{done} of 400 were copied");
    assert!(done > 20);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made on the host");
    swapping.kill(libc::SIGKILL).unwrap();
    swapping.wait(None).unwrap();
    is_well(&container);
});

/// The files below a directory, without following links.
fn files(top: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![top.to_path_buf()]);
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => todo.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

// A target on the host that the container can write to: it puts links into the way of what comes out.
attack!(a_copy_out_into_a_directory_of_the_containers_follows_no_link_there, {
    secret();
    let (outside, shared) = (scratch().join("outside"), scratch().join("shared"));
    fs::create_dir(&shared).unwrap();
    let config = ctr::Config::default().with(|c| c.mounts = vec![ctr::Bind::new(&shared, "/mnt/shared").into()]);
    let container = crate::fence::with(&config);
    let link = format!("mkdir -p /tmp/t/d && echo evil >/tmp/t/d/secret && ln -s {0} /mnt/shared/d", outside.display());
    assert_eq!(run(&container, &["/bin/sh", "-c", &link], &ExecConfig::default()).code, 0);
    let error = container.copy_out("/tmp/t/.", &shared, false, &mut |_| true).unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOTDIR, Step::CopyTo), "{error}");
    let swap = "cd /mnt/shared; rm d; while :; do mkdir d; rmdir d || rm -r d; ln -s ../outside d; rm d; done";
    let streams = ExecConfig::default().with(|c| (c.stdout, c.stderr) = (Stdio::Null, Stdio::Null));
    let swapping = container.exec(["/bin/sh", "-c", swap], &streams).unwrap();
    for _ in 0..500 {
        _ = container.copy_out("/tmp/t/.", &shared, false, &mut |_| true);
    }
    swapping.kill(libc::SIGKILL).unwrap();
    swapping.wait(None).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "the host's secret");
});

// Deep trees and long names: refused by their names, or copied, and never for ever.
attack!(a_deep_tree_is_copied_or_told_of, {
    let container = defaults();
    let script = "import os\nos.mkdir('/tmp/deep')\nos.chdir('/tmp/deep')\nfor _ in range(600):\n os.mkdir('d' * 200); os.chdir('d' * 200)";
    let said = run(&container, &["/usr/bin/python3", "-I", "-c", script], &ExecConfig::default());
    assert_eq!(said.code, 0, "{}", said.text);
    let error = container.copy_out("/tmp/deep", scratch().join("deep"), false, &mut |_| true).unwrap_err();
    assert!([Step::CopyTo, Step::Pack].contains(&error.failed_step()), "{error}");
    assert!(error.to_string().len() < 2000);
    is_well(&container);
});
