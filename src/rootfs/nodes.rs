//! Device nodes that the caller gives a container beside the usual ones.
//!
//! Root of the machine gives a copy: the host's node belongs to ids that don't exist inside, and devtmpfs can't be id-mapped,
//! so root inside could not open it. The zygote makes the copy in a tmpfs that nobody else sees; one that the container mounts
//! itself has no devices (nodev of its user namespace). Everybody else gives the host's node itself, with its permissions.

use std::ffi::CString;
use std::path::PathBuf;

use super::mounts::mount_at;
use super::root::Source;
use super::{Context, attach, new_tmpfs};
use crate::plan::{CWD, Plan, Slot, quote};
use crate::sys::mount::{AT_EMPTY_PATH, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE};
use crate::{Result, Step};

/// A node that a container is given.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its path on the host, without links.
    pub path: PathBuf,
    /// Where it is inside.
    pub target: PathBuf,
    /// S_IFCHR or S_IFBLK.
    pub kind: u32,
    /// What it stands for: st_rdev.
    pub device: u64,
}

/// In the staging tree: where the copies are mounted.
const NODES: &std::ffi::CStr = c"nodes";

/// What a copy is called there.
fn copy(i: usize) -> CString {
    CString::new(i.to_string()).unwrap_or_default()
}

/// The zygote's part: makes copies of the nodes, in a tmpfs that is handed over in the slot `handed`.
pub fn make_nodes(parent: &mut Plan<'_>, nodes: &[Node], handed: Slot, context: Context<'_>) {
    parent.step(Step::MakeTmpfsForNodes, "device nodes", "one that the container mounts itself has none", "");
    new_tmpfs(parent, &[(c"mode", c"755")], context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, handed);
    for (i, node) in nodes.iter().enumerate() {
        let kind = if node.kind == libc::S_IFBLK { "b" } else { "c" };
        let (major, minor) = (libc::major(node.device), libc::minor(node.device));
        let path = node.path.to_string_lossy().into_owned();
        let command = format!("mknod -m 666 $MAPPED/node{i} {kind} {major} {minor}");
        parent.step(Step::MakeNode, path, "a copy, which everybody inside may use", command);
        let name = parent.string(copy(i));
        let mode = node.kind | 0o666;
        parent.mknodat(handed, name, mode, node.device);
        // The caller's umask counts.
        parent.fchmodat(handed, name, 0o666);
    }
}

/// Puts the nodes into the root: the copies in the tmpfs of the slot `made`, or, where there is none, the host's own.
pub fn nodes(plan: &mut Plan<'_>, root: Slot, nodes: &[Node], made: Option<Slot>) -> Result<()> {
    if let Some(made) = made {
        plan.step(Step::AttachDeviceNodes, "the device nodes", "", "");
        plan.mkdir(NODES, 0o755);
        let name = plan.string(NODES);
        attach(plan, made, CWD, name);
        plan.close(made);
    }
    for (i, node) in nodes.iter().enumerate() {
        let from = if made.is_some() { format!("$MAPPED/node{i}") } else { quote(&node.path.to_string_lossy()) };
        let target = node.target.to_string_lossy().into_owned();
        let place = quote(&target);
        let command = format!(
            "mkdir -p \"$(dirname $ROOT{place})\" && touch $ROOT{place} && mount --bind -o nosuid,noexec {from} $ROOT{place}"
        );
        plan.step(Step::GiveDevice, target, "the caller has asked for it", command);
        let slot = if made.is_some() {
            let slot = plan.slot();
            let name = plan.bytes([NODES.to_bytes(), b"/", copy(i).to_bytes()].concat());
            let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
            plan.open_tree(CWD, name, flags).out(slot);
            slot
        } else {
            Source::Path(node.path.clone()).mount(plan)?
        };
        plan.set_attributes(slot, c"", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, AT_EMPTY_PATH);
        mount_at(plan, root, &node.target, slot, false)?;
    }
    Ok(())
}
