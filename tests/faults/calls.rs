//! An error at every system call of every operation: it is survived, or it is an error that names itself. Nothing is left, and
//! the library goes on in the same process.

use std::time::Instant;

use crate::errnos::plausible;
use crate::fence::{behind, scratch};
use crate::host::Operation;
use crate::left;
use crate::supervisor::{Event, Fault, Supervisor, What};

#[test]
fn an_error_at_any_system_call_is_named_and_leaves_nothing() {
    behind("calls::an_error_at_any_system_call_is_named_and_leaves_nothing", || {
        let _swept = prepare();
        let mut findings = Vec::new();
        let (mut total, mut planned) = (0, 0);
        let mut hosts = Hosts::default();
        for operation in Operation::ALL {
            if std::env::var("CTR_TEST_FAULTS_OF").is_ok_and(|only| only != format!("{operation:?}")) {
                continue;
            }
            let start = Instant::now();
            let faults = faults_of(&mut hosts, operation);
            let mut happened = 0;
            for &fault in &faults {
                let outcome = hosts.carry_out(operation, Some(fault));
                happened += usize::from(outcome.happened.is_some());
                // A record that this user may not read is none of his: somebody's hand has been at it.
                let unreadable = operation == Operation::List && fault.what == What::Errno(libc::EACCES);
                if let Some(complaint) = outcome.complaint.filter(|_| !unreadable) {
                    let fault = outcome.happened.unwrap_or_else(|| format!("no fault ({fault:?})"));
                    println!("{operation:?}, {fault}: {complaint}");
                    findings.push(format!("{operation:?}, {fault}: {complaint}"));
                }
            }
            total += happened;
            planned += faults.len();
            println!("{operation:?}: {happened} of {} faults in {:?}", faults.len(), start.elapsed());
        }
        hosts.end();
        // A child that is made ahead of time makes its calls before or after, as it happens; but not most of them.
        assert!(total * 2 > planned, "only {total} of {planned} faults happened");
        assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    });
}

/// Sweeps what a test that failed has left.
pub struct Swept;

impl Drop for Swept {
    fn drop(&mut self) {
        _ = ctr::Client::new().with_state_dir(crate::host::state_dir()).list();
    }
}

/// What the operations need: an image, a directory to bind.
pub fn prepare() -> Swept {
    let image = scratch().join("image");
    std::fs::create_dir_all(image.join("etc")).unwrap();
    std::fs::create_dir_all(scratch().join("outside")).unwrap();
    std::fs::write(image.join("etc/hello"), "hello\n").unwrap();
    std::os::unix::fs::symlink("hello", image.join("etc/link")).unwrap();
    let tar = scratch().join("image.tar.gz");
    let status = std::process::Command::new("tar").arg("-czf").arg(tar).arg("-C").arg(image).arg(".").status();
    assert!(status.unwrap().success());
    // Where there are loop devices, and mke2fs.
    let disk = scratch().join("disk");
    if nix::unistd::geteuid().is_root() && std::path::Path::new("/dev/loop-control").exists() {
        std::fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
        let made = std::process::Command::new("/usr/sbin/mke2fs").args(["-q", "-F"]).arg(&disk).status();
        if !made.is_ok_and(|status| status.success()) {
            std::fs::remove_file(disk).unwrap();
        }
    }
    Swept
}

/// The hosts, one after the other: another one where a fault has ended the last.
#[derive(Default)]
pub struct Hosts {
    supervisor: Option<Supervisor>,
    /// What a host that has done everything once has: descriptors (without a container, with one), mounts, images.
    baseline: Option<([usize; 2], usize, Vec<String>)>,
}

/// What came of an operation.
pub struct Outcome {
    /// The fault that happened.
    pub happened: Option<String>,
    /// What is wrong.
    pub complaint: Option<String>,
}

impl Hosts {
    fn supervisor(&mut self) -> &mut Supervisor {
        let supervisor = self.supervisor.get_or_insert_with(|| {
            let mut supervisor = Supervisor::start("host::role_host");
            assert!(matches!(supervisor.event(), Event::Next { .. }), "the host begins");
            supervisor
        });
        if self.baseline.is_none() {
            // Everything is done once, so that what is opened once is open.
            let mut descriptors = [0; 2];
            for operation in Operation::ALL.into_iter().chain(Operation::ALL) {
                supervisor.order(operation as i64, None);
                match (supervisor.event(), supervisor.event()) {
                    (Event::Said(said), Event::Next { held }) => {
                        assert_eq!(said, "fine", "{operation:?} without a fault");
                        descriptors[held] = left::descriptors(supervisor.child.id()).len();
                    }
                    _ => panic!("{operation:?} without a fault does not come to its end"),
                }
            }
            self.baseline = Some((descriptors, left::mounts(), left::in_the_store()));
        }
        supervisor
    }

    /// Has the host carry out an operation; what is wrong afterwards.
    pub fn carry_out(&mut self, operation: Operation, fault: Option<Fault>) -> Outcome {
        let supervisor = self.supervisor();
        supervisor.order(operation as i64, fault);
        let mut complaint = match supervisor.event() {
            Event::Said(said) => (said != "fine").then_some(said),
            Event::Gone => Some("the host has died".into()),
            Event::Hangs => Some("the host hangs".into()),
            Event::Next { .. } => Some("the host says nothing".into()),
        };
        let happened = supervisor.happened.take();
        let held = match supervisor.event() {
            Event::Next { held } => held,
            _ => {
                supervisor.end();
                self.supervisor = None;
                _ = ctr::Client::new().with_state_dir(crate::host::state_dir()).list();
                let left = left::on_the_machine(0, || {});
                let dead = complaint.unwrap_or_default();
                return Outcome { happened, complaint: Some(format!("{dead}; left: {left:?}")) };
            }
        };
        complaint = complaint.or_else(|| self.left(held));
        Outcome { happened, complaint }
    }

    /// Ends the last host; nothing may be left of it.
    pub fn end(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            assert!(supervisor.end(), "processes outlive their host");
        }
        assert_eq!(ctr::Client::new().with_state_dir(crate::host::state_dir()).list().unwrap(), Vec::new());
        assert_eq!(left::on_the_machine(0, || {}), Vec::<String>::new());
    }

    fn left(&mut self, held: usize) -> Option<String> {
        let (descriptors, mounts, images) = self.baseline.clone()?;
        let supervisor = self.supervisor.as_mut()?;
        let left = left::on_the_machine(held, || supervisor.serve());
        if !left.is_empty() {
            return Some(format!("left on the machine: {left:?}"));
        }
        if left::mounts() != mounts {
            return Some(format!("{} mounts instead of {mounts}", left::mounts()));
        }
        if left::in_the_store() != images {
            return Some(format!("left in the store: {:?}", left::in_the_store()));
        }
        let open = left::descriptors(supervisor.child.id());
        if open.len() > descriptors[held] {
            self.baseline.as_mut()?.0[held] = open.len();
            return Some(format!("{} descriptors instead of {}: {open:?}", open.len(), descriptors[held]));
        }
        // A zygote and its child in the pool, the same again for what is held.
        let most = 2 + 2 * held;
        let start = Instant::now();
        let living = loop {
            let living = supervisor.living();
            if living.len() <= most || start.elapsed().as_secs() > 3 {
                break living;
            }
            supervisor.serve();
        };
        if living.len() > most {
            let shown: Vec<_> = living.iter().map(|&pid| left::process(pid)).collect();
            return Some(format!("{} processes instead of {most}: {shown:?}", living.len()));
        }
        None
    }
}

/// The faults that are tried: each error that each call may have, or a part of them.
fn faults_of(hosts: &mut Hosts, operation: Operation) -> Vec<Fault> {
    // Without a fault first, to see which calls there are. Twice, since the first time leaves things to be done beside it.
    for _ in 0..2 {
        let outcome = hosts.carry_out(operation, None);
        assert_eq!(outcome.complaint, None, "{operation:?} without a fault");
    }
    let mut counts = [0usize; 3];
    let mut faults = Vec::new();
    for call in &hosts.supervisor().seen {
        let at = &mut counts[call.who as usize];
        let errnos = plausible(call.who, &call.data);
        faults.extend(errnos.into_iter().map(|errno| Fault { who: call.who, at: *at, what: What::Errno(errno) }));
        *at += 1;
    }
    println!("{operation:?}: {counts:?} calls of host, zygote and PID 1, {} faults", faults.len());
    part(faults, 16)
}

/// One in `of` of the faults, or all of them where that is asked for. Each time another part, so that all of them have
/// their turn; the same one for who wants to see it again.
pub fn part(faults: Vec<Fault>, of: usize) -> Vec<Fault> {
    if crate::all() {
        return faults;
    }
    let seed = std::env::var("CTR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    });
    println!("CTR_TEST_SEED={seed} is the same part of them");
    faults
        .into_iter()
        .enumerate()
        .filter(|(i, _)| (i + seed as usize).is_multiple_of(of))
        .map(|(_, fault)| fault)
        .collect()
}
