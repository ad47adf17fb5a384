//! Taking what belongs to everybody: processes, memory, descriptors.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use ctr::{Config, ExecConfig, ExitReason, Stdio};

use crate::attack;
use crate::fence::{defaults, inside, is_well, payload, run, with};

attack!(a_fork_bomb_stops_at_the_pids_limit, {
    let container = with(&Config::default().with(|c| c.pids = Some(64)));
    let config = ExecConfig::default().with(|c| c.stdout = Stdio::Pipe);
    let bomb = container.exec(["/usr/bin/python3", "-I", "-c", &payload("fork_bomb")], &config).unwrap();
    let mut lines = BufReader::new(fs::File::from(bomb.take_stdout().unwrap())).lines();
    let said = lines.next().unwrap().unwrap();
    assert_eq!(said, "stopped by EAGAIN");
    let inside = processes_in(container.pid());
    assert!((32..=64).contains(&inside), "{inside} processes inside");
    // Everybody else goes on as before.
    assert!(Command::new("/bin/true").status().unwrap().success());
    let refused = container.exec(["/bin/true"], &ExecConfig::default());
    assert!(refused.is_err_and(|error| error.errno() == libc::EAGAIN), "one more process was let in");
    is_well(&defaults());
    let pid = container.pid();
    container.destroy().unwrap();
    assert_eq!(processes_in(pid), 0, "processes are left");
});

/// How many processes are in the PID namespace of `pid`, as the host sees them: PID 1 and its descendants.
fn processes_in(pid: i32) -> usize {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![pid];
    while let Some((child, _)) =
        parents.iter().find(|(child, parent)| family.contains(parent) && !family.contains(child))
    {
        family.push(*child);
    }
    if fs::metadata(format!("/proc/{pid}")).is_ok() { family.len() } else { family.len() - 1 }
}

attack!(a_memory_hog_dies_alone, {
    let container = with(&Config::default().with(|c| c.memory = Some(64 << 20)));
    let bystander = container.exec(["/bin/sleep", "1000"], &ExecConfig::default()).unwrap();
    let said = inside(&container, "memory_hog", &[], &ExecConfig::default());
    let exit = said.exit.unwrap();
    assert_eq!((exit.reason, exit.signal), (ExitReason::OutOfMemory, libc::SIGKILL), "{}", said.text);
    is_well(&container);
    assert!(container.is_running());
    assert_eq!(bystander.wait(Some(Duration::ZERO)).unwrap(), None, "the bystander is dead");
    is_well(&defaults());
});

attack!(a_program_that_closes_and_floods_descriptors_harms_itself_only, {
    let container = defaults();
    let before = fs::read_dir("/proc/self/fd").unwrap().count();
    assert_eq!(inside(&container, "descriptors", &[], &ExecConfig::default()).code, 0);
    is_well(&container);
    assert_eq!(fs::read_dir("/proc/self/fd").unwrap().count(), before);
});

attack!(a_container_that_fills_its_disk_fills_no_other, {
    let container = with(&Config::default().with(|c| c.memory = Some(64 << 20)));
    let script =
        "dd if=/dev/zero of=/root/full bs=1M count=4096 2>/dev/null; dd if=/dev/zero of=/dev/shm/full bs=1M count=4096";
    let begun = Instant::now();
    let said = run(&container, &["/bin/sh", "-c", script], &ExecConfig::default());
    println!("{} after {:?}", said.text, begun.elapsed());
    container.destroy().unwrap();
    is_well(&defaults());
});
