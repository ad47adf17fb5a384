//! How much a container may change in memory, while it runs. What takes the changes is a tmpfs that is mounted nowhere any more; PID 1
//! holds a directory of it, by which a helper in the container's namespaces has it reconfigured: fspick(2) and fsconfig(2) take the root
//! of a mount, and CAP_SYS_ADMIN in the user namespace that the file system belongs to. The kernel refuses less than is in use
//! (`shmem_reconfigure` of mm/shmem.c).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::statfs::fstatfs;

use super::blueprint::{LEAST_INODES, LEAST_OF_UPPER, inodes_of_changes, size_of_changes};
use super::export;
use super::shared::Shared;
use super::state::Root;
use super::within::Within;
use crate::helper::add_hint;
use crate::plan::{Fd, Plan};
use crate::{ChangesLimit, Error, ErrorCode, Limit, Result, Step};

/// Sets it; `None` is what a container has that asked for nothing.
pub fn set(container: &Shared, which: ChangesLimit, value: Option<u64>) -> Result<()> {
    let (step, least) = of(which);
    let refused = |code, errno, why: String| Err(Error::new(code, step, container.called(), errno, why));
    let (directory, is_overlay) = directory(container, step)?;
    let memory = || container.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.limit(Limit::Memory));
    let value = match (which, value) {
        (_, Some(value)) if value < least => {
            let why = format!("{value} is too little: the smallest is {least}");
            return refused(ErrorCode::Invalid, libc::EINVAL, why);
        }
        (_, Some(value)) => value.to_string(),
        // Half of the machine's memory, as the kernel has it without a word.
        (ChangesLimit::Size, None) => size_of_changes(None, memory()?).map_or("50%".into(), |size| size.to_string()),
        (ChangesLimit::Inodes, None) => {
            inodes_of_changes(None, told(&directory, ChangesLimit::Size, step)?).unwrap_or(0).to_string()
        }
    };
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let helper = within.start(CloneFlags::empty()).start()?;
    let mut plan = Plan::new();
    let directory = plan.send(Fd::Borrowed(directory.as_fd()));
    within.enter(&mut plan);
    plan.step(step, container.called().to_string(), "", "");
    let mut root = directory;
    if is_overlay {
        // What is held is one of two directories in it.
        root = plan.slot();
        let above = plan.string(c"..");
        plan.openat(directory, above, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).out(root);
    }
    let (context, empty) = (plan.slot(), plan.string(c""));
    plan.fspick(root, empty).out(context);
    let name = match which {
        ChangesLimit::Size => plan.string(c"size"),
        ChangesLimit::Inodes => plan.string(c"nr_inodes"),
    };
    let text = plan.bytes(value.as_bytes());
    plan.fsconfig_set_string(context, name, text);
    plan.fsconfig_reconfigure(context);
    match helper.run(&plan, &[]) {
        Err(error) if error.failed_step() == step && error.errno() == libc::EINVAL => {
            refused(ErrorCode::System, libc::EBUSY, format!("EBUSY, the changes take more than {value} already"))
        }
        outcome => outcome.map(drop).map_err(add_hint),
    }
}

/// What it is; `None` where there is no such limit.
pub fn get(container: &Shared, which: ChangesLimit) -> Result<Option<u64>> {
    let (step, _) = of(which);
    told(&directory(container, step)?.0, which, step)
}

/// As many bytes and inodes as the container may change in memory; `None` leaves it to the kernel.
pub fn size_without_one(container: &Shared) -> Result<[Option<u64>; 2]> {
    let config = &container.record.config;
    let memory = container.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.limit(Limit::Memory))?;
    let size = size_of_changes(config.upper_size, memory);
    Ok([size, inodes_of_changes(config.upper_inodes, size)])
}

fn of(which: ChangesLimit) -> (Step, u64) {
    match which {
        ChangesLimit::Size => (Step::LimitSizeOfChanges, LEAST_OF_UPPER),
        ChangesLimit::Inodes => (Step::LimitInodesOfChanges, LEAST_INODES),
    }
}

fn told(directory: &OwnedFd, which: ChangesLimit, step: Step) -> Result<Option<u64>> {
    let stat = fstatfs(directory).map_err(|errno| Error::system(step, "the changes", errno as i32))?;
    let number = match which {
        ChangesLimit::Size => stat.blocks().saturating_mul(u64::try_from(stat.block_size()).unwrap_or(0)),
        ChangesLimit::Inodes => stat.files(),
    };
    Ok(Some(number).filter(|&number| number != 0))
}

/// A directory on the tmpfs that takes its changes; whether it is that of an overlay, else it is the root of a mount.
fn directory(container: &Shared, step: Step) -> Result<(OwnedFd, bool)> {
    container.check_running()?;
    let why = match &container.record.root {
        Root::Directory(_) | Root::Image(_) if container.record.upper().is_some() => "its changes go to disk",
        Root::Host => return Ok((export::held_tmpfs(container, false)?, false)),
        Root::Directory(_) | Root::Image(_) => return Ok((export::held_tmpfs(container, true)?, true)),
        Root::Direct => "its root is a directory as it is, on which nothing is limited",
        Root::Foreign => "only a container has changes, and this is another process's namespaces",
    };
    Err(Error::new(ErrorCode::Unsupported, step, container.called(), libc::EOPNOTSUPP, why)
        .with_hint("only those in memory have a size; a quota of the disk's file system bounds the others"))
}
