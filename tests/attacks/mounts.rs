//! Mounts into a container that runs, while programs inside do what they can to have them elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};

use ctr::image::Conflicts;
use ctr::{Bind, ErrorCode, ExecConfig, Mount, Scratch, Stdio, Step, Tmpfs};

use crate::attack;
use crate::fence::{defaults, is_well, payload, run, scratch, secret};

/// Mount point and file system of everything that a process sees.
fn mounts(pid: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let fields = |line: &str| line.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" ");
    text.lines().map(fields).collect()
}

// runc CVE-2021-30465 and docker CVE-2018-15664, live: the place is swapped for a link while it is looked for.
attack!(a_live_mount_whose_place_is_swapped_stays_inside, {
    secret();
    let outside = scratch().join("outside");
    let data = scratch().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "shared").unwrap();
    let container = defaults();
    let streams = ExecConfig::default().with(|c| c.stdout = Stdio::Pipe);
    let script = payload("swap_places");
    let up = format!("../../../../../../../..{}", outside.display());
    let argv = [
        "/usr/bin/python3",
        "-I",
        "-c",
        &script,
        outside.to_str().unwrap(),
        &up,
        "/proc",
        "/proc/1/root",
        "/sys",
        "/dev",
    ];
    let swapping = container.exec(argv, &streams).unwrap();
    let mut said = String::new();
    BufReader::new(fs::File::from(swapping.take_stdout().unwrap())).read_line(&mut said).unwrap();
    assert_eq!(said, "swapping\n");

    let (ours, theirs) = (mounts("self"), mounts(&container.pid().to_string()));
    let kinds: [Mount; 2] = [Bind::new(&data, "/tmp/w/place/in").into(), Tmpfs::new("/tmp/w/place/in").into()];
    let mut done = 0;
    for round in 0..400 {
        match container.mount(&kinds[round % 2]) {
            Ok(()) => {
                done += 1;
                let more: Vec<_> = mounts(&container.pid().to_string()).difference(&theirs).cloned().collect();
                assert_eq!(more.len(), 1, "{more:?}");
                // Wherever it is, it is inside, and nothing of the kernel's is covered.
                let place = more[0].rsplit(' ').next().unwrap();
                assert!(!place.starts_with("/proc") && !place.starts_with("/sys"), "{more:?}");
                container.unmount("/tmp/w/place/in", false).unwrap();
            }
            Err(error) => {
                let steps = [Step::BindIntoContainer, Step::MountTmpfs, Step::MountAt];
                assert!(steps.contains(&error.failed_step()), "{error}");
            }
        }
        assert_eq!(mounts(&container.pid().to_string()), theirs, "in round {round}");
    }
    println!("{done} of 400 were mounted");
    assert!(done > 20);
    assert_eq!(mounts("self"), ours);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made on the host");
    is_well(&container);
    // Without the swapping it works as ever.
    swapping.kill(libc::SIGKILL).unwrap();
    swapping.wait(None).unwrap();
    container.mount(&Bind::new(&data, "/mnt/data").into()).unwrap();
    assert_eq!(run(&container, &["/bin/cat", "/mnt/data/file"], &ExecConfig::default()).text, "shared");
});

// Who has no right to a source inside gets none by a mount of it: its walls are a bind's.
attack!(a_live_bind_can_not_be_opened_up_from_inside, {
    let data = scratch().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "shared").unwrap();
    let container = defaults();
    container.mount(&Bind::new(&data, "/mnt/data").with(|b| b.read_only = true).into()).unwrap();
    for command in [
        "mount -o remount,rw,bind /mnt/data",
        "umount /mnt/data",
        "umount -l /mnt/data",
        "echo x > /mnt/data/file",
        "touch /mnt/data/new",
        "chmod 777 /mnt/data/file",
    ] {
        let said = run(&container, &["/bin/sh", "-c", &format!("{command} 2>&1")], &ExecConfig::default());
        assert_ne!(said.code, 0, "{command}: {}", said.text);
    }
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "shared");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    is_well(&container);
});

// The record says which mount is taken off. One that somebody has written there is none of the caller's.
attack!(a_forged_record_unmounts_no_wall, {
    let container = defaults();
    let theirs = mounts(&container.pid().to_string());
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).unwrap();
    let masked = text.lines().find(|line| line.split(' ').nth(4) == Some("/proc/sys")).unwrap();
    let number: u64 = masked.split(' ').next().unwrap().parse().unwrap();
    let path = scratch().join("state").join(format!("{}.json", container.name()));
    let line = format!(
        r#"{{"has":{{"mount":{{"number":{number},"mount":{{"tmpfs":{{"target":"/mnt/x","size":null,"mode":null}}}}}}}}}}"#
    );
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}\n{line}\n")).unwrap();
    let error = container.unmount("/mnt/x", true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    assert_eq!(mounts(&container.pid().to_string()), theirs);
    is_well(&container);
});

// Changes are applied by the caller's own rights, while programs inside swap directories for links, as in docker CVE-2018-15664.
attack!(apply_goes_nowhere_while_directories_are_swapped_for_links, {
    secret();
    let (outside, tree) = (scratch().join("apart"), scratch().join("tree"));
    for dir in [&outside, &tree] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("f"), "outside").unwrap();
    }
    let container = defaults();
    container.mount(&Scratch::new(&tree, "/mnt/src").into()).unwrap();
    let up = format!("../../../../../../../..{}", outside.display());
    let script = format!(
        "cd /mnt/src; mkdir d; while :; do echo $$ > d/f; echo $$ > f; mv d e; ln -s {up} d; rm d; ln -s {} d; rm d; mv e d; \
         rm -rf n; mkdir -p n/m; echo > n/m/f; mv n/m/f n/g; ln -sf / n/m/f; mv n/m n/f; done 2> /dev/null",
        outside.display()
    );
    let busy = container.exec(["/bin/sh", "-c", &script], &ExecConfig::default()).unwrap();
    let mut done = 0;
    for _ in 0..300 {
        let applied = container.apply_scratch("/mnt/src", Conflicts::Keep).unwrap();
        // Nobody has changed the host's.
        assert!(applied.conflicts.is_empty(), "{applied:?}");
        done += applied.changes.len();
    }
    println!("{done} changes were applied");
    assert!(done > 300);
    busy.kill(libc::SIGKILL).unwrap();
    busy.wait(None).unwrap();
    container.apply_scratch("/mnt/src", Conflicts::Keep).unwrap();
    assert_eq!(container.diff_scratch("/mnt/src").unwrap(), []);
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "outside");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made on the host");
    let left = fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".ctr-")), "{left:?}");
    is_well(&container);
});
