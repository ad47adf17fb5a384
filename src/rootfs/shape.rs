//! What tells containers apart before they have a root.

use super::Context;
use super::etc::EtcFiles;

/// What decides the look of a setup.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The SELinux context of what is mounted.
    pub context: Context<'a>,
    /// The user namespace is a new one, so mounts of the host come as slaves, and kernel file systems need namespaces of the
    /// same owner.
    pub own_user: bool,
    /// The group tty, 5, is mapped.
    pub has_tty: bool,
    /// The PID namespace is not the host's.
    pub own_pid: bool,
    /// The network namespace is a new one.
    pub own_net: bool,
    /// The IPC namespace is a new one.
    pub own_ipc: bool,
    /// The IPC namespace is the host's.
    pub host_ipc: bool,
    /// Its own /etc/hosts and the like, where it has them.
    pub etc_files: Option<&'a EtcFiles>,
    /// Most bytes of the tmpfs that has the changes and all that is writable and has no size of its own; half of the machine's
    /// memory where there is none.
    pub size: Option<u64>,
    /// Most files, directories and links there; as many as half of the machine's memory has pages where there is none.
    pub inodes: Option<u64>,
}

impl Shape<'_> {
    /// The options of that tmpfs, tmpfs(5), where they are other than the usual ones.
    pub fn tmpfs_options(&self) -> Option<String> {
        let [size, inodes] = [("size", self.size), ("nr_inodes", self.inodes)]
            .map(|(key, number)| number.map_or_else(String::new, |number| format!(",{key}={number}")));
        (!size.is_empty() || !inodes.is_empty()).then(|| format!("mode=755{size}{inodes}"))
    }
}
