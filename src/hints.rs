//! What a user can do about what a machine lacks. An error says it when something fails for it, `probe` says it before
//! anything does: the same words, which stand here only.

use std::path::Path;

use crate::sys;

/// newuidmap is missing.
pub const UIDMAP: &str = "install the package uidmap or shadow-utils";

/// No ranges of ids, or they are not given.
pub const SUBIDS: &str = "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, which writes \
     /etc/subuid and /etc/subgid; ranges of two users must not overlap";

/// The programs refused what the files seem to allow.
pub const NEWUIDMAP: &str = "do /etc/subuid and /etc/subgid have lines for this user, as USER:100000:65536, and are newuidmap \
     and newgidmap setuid root?";

/// Nothing by which a container can be paused.
pub const FREEZER: &str = "pausing takes cgroup v2, or a freezer hierarchy in which this user may make cgroups when the container \
     is created: mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer";

/// How limits are given up where they can't be had.
pub const NO_CGROUP: &str =
    "do without the limits that can't be had: cgroup=\"optional\", --cgroup optional, CTR_CGROUP_OPTIONAL";

/// A hierarchy of v1 in which this user may not make cgroups, in this directory of it.
pub fn cgroups_of_v1(place: &Path) -> String {
    format!(
        "as root, in the hierarchy of each controller: mkdir {0}/USER && chown USER {0}/USER; that is then the parent to choose, \
         cgroup_parent, --cgroup-parent or CTR_CGROUP_PARENT=/USER",
        place.display()
    )
}

/// A tree of v2 in which this user may not make cgroups, or none with controllers.
pub fn cgroups_of_v2() -> &'static str {
    // As sd_booted(3) finds out.
    if Path::new("/run/systemd/system").exists() {
        return "start the program in cgroups of its user's own: systemd-run --user --scope -p Delegate=yes PROGRAM";
    }
    "start the program in the lower one of two cgroups of its user's own, which root makes in /sys/fs/cgroup: mkdir -p USER/main && \
     chown -R USER USER && echo +memory +pids +cpu > cgroup.subtree_control"
}

/// A cgroup of v2 to which the one above it does not hand a controller on.
pub fn not_handed_on(above: &Path, controller: &str) -> String {
    format!(
        "as root: echo +{controller} > {}/cgroup.subtree_control; where it is systemd's, Delegate=cpu cpuset io memory pids in \
         user@.service (systemctl edit user@.service) or in the service",
        above.display()
    )
}

/// A label of a security module that there isn't.
pub const NO_MODULE: &str = "leave the label out, make labels optional, or start the kernel with that module: \
     lsm=…,apparmor or lsm=…,selinux; libctr doctor names those that are active";

/// A label that the security module refuses.
pub fn refused_label(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT => {
            "no profile of this name is loaded: apparmor_parser -r FILE, as root, loads one, and \
             /sys/kernel/security/apparmor/profiles lists them"
        }
        libc::EINVAL => "the policy that is loaded has no such context: seinfo and /etc/selinux tell which there are",
        libc::EACCES | libc::EPERM => {
            "this process is under a label itself, which doesn't let it change to that one: AppArmor wants the rule \
             change_profile in its profile, SELinux the permissions setexec and transition"
        }
        _ => "",
    }
}

/// What the zygote mounts outside of the container's namespaces, with the rights that its caller has.
pub const ZYGOTE_MOUNTS: &str = "it is mounted outside of the container, where this process needs the capability SYS_ADMIN, and a security module \
     or an outer container can forbid it all the same: allow it there, or leave the devices out";

/// A clock of a time namespace that is set off too far.
pub const CLOCK_RANGE: &str =
    "the clock counts from the machine's boot on: it can't be before that, nor more than 146 years after it";

/// A list of devices on cgroup v2.
pub const DEVICE_LIST: &str =
    "it takes CAP_BPF and CAP_NET_ADMIN in the machine's own user namespace, or who attached one above allows no other";

/// A process whose namespaces can't be opened.
pub const CLOSED_PROCESS: &str =
    "that process is another user's, or closed to its own; a container of ctr is joined by its name";

/// A namespace that another user namespace owns.
pub const FOREIGN_NAMESPACE: &str = "it takes rights in the user namespace that owns it: join that one too, or, as root of the machine, share the host's";

/// Container users other than root.
pub const SINGLE_ID: &str = "run it as root inside, or get further ids: libctr doctor says what is missing";

/// A procfs or sysfs of the container's own is refused.
pub const MASKED: &str = "parts of /proc or /sys are hidden here (an outer container masks them), and the kernel then refuses a \
     new one: start the outer container with them unmasked, ctr's with the preset privileged, docker's and podman's with \
     --security-opt systempaths=unconfined (unmask=ALL); or a PID namespace was joined without the user namespace that owns \
     it";

/// A file system with an image that can't be id-mapped.
pub const IDMAP: &str = "the file system it lies on can't be id-mapped, as overlay (in a docker container), FUSE and NFS can't: have it \
     on ext4, xfs, btrfs or a tmpfs (Linux 6.3 or later), with CTR_STORE_DIR or store_dir; or import a tarball of it, and keep changes in \
     memory: the store has copies where it can't be id-mapped; or give the container the host's user namespace, where root inside is \
     root outside";

/// A store on an overlay.
pub const STORE: &str = "is the store on an overlay, as in a docker container? set CTR_STORE_DIR to a directory on ext4, xfs, btrfs or a \
     tmpfs (Linux 6.3 or later)";

/// The same of what is bound.
pub const IDMAP_BIND: &str = "the file system it lies on can't be id-mapped, as overlay (in a docker container), FUSE, NFS and /proc can't: \
     bind it read-only, which does without where everybody may read it; or from ext4, xfs, btrfs or a tmpfs (Linux 6.3 or later); or give \
     the container the host's user namespace, where root inside is root outside";

/// The same of what is mounted somewhere below what is bound.
pub const IDMAP_BELOW: &str = "unmount it; or bind only directories that it is not in; or bind all of it read-only, which does without where \
     everybody may read it; or give the container the host's user namespace, where root inside is root outside";

/// A mount that can't be id-mapped for want of rights over it.
pub const IDMAP_REFUSED: &str = "it is id-mapped already, or was mounted in another user namespace: bind what it was made from, or bind it \
     read-only, which does without where everybody may read it";

/// Another owner for what an ordinary user binds.
pub const OWNER: &str = "a program that runs as root inside is you outside, and can use your files: run it with user 0; or let the image's user write \
     there, chmod o+w; or make the container as root";

/// A place inside, for something to be mounted at, that isn't there.
pub const NO_PLACE: &str = "the place is not there, and what is above it can't be written to, as /usr, /etc and the like of \"host\", or is a link that \
     leads nowhere: choose one that is there, or below /mnt, /srv or /opt";

/// A mount that programs use.
pub const BUSY_MOUNT: &str = "programs have files of it open or work in it, or something else is mounted on it: end that first, or unmount lazily, so \
     that it is gone for all others";

/// Whose mounts of disks are not root's.
pub const DISK_AS_USER: &str = "as an ordinary user, mount it on the host with squashfuse, fuse2fs -o ro or erofsfuse (packages squashfuse, fuse2fs and \
     erofsfuse), and bind the directory: Bind, -v";

/// Root that is not root of the machine.
pub const DISK_NOT_ROOT: &str = "only root of the machine mounts file systems of disks: in a container, also as its root, bind what is mounted \
     outside";

/// There are no loop devices.
pub const LOOP: &str = "an image, or a partition, takes a loop device: as root, modprobe loop, and in a container give it /dev/loop-control and \
     /dev/loop0 and so on";

/// The kernel has made a device that /dev doesn't have.
pub fn loop_node(number: u32) -> String {
    format!(
        "all loop devices that /dev has are in use: as root, mknod /dev/loop{number} b 7 {number}, or end some that losetup -l lists"
    )
}

/// What the kernel doesn't take for a file system.
pub const DAMAGED_DISK: &str = "it is damaged, of another file system than was said, or uses what this kernel lacks: the kernel's log, dmesg, says which; \
     fsck on a copy of it may help";

/// A device that is mounted otherwise.
pub const BUSY_DISK: &str = "it is mounted already, and read-only where this one is not or the other way round, or swap, or a part of another device";

/// No other address leads anywhere.
pub const LOOPBACK_ONLY: &str = "a container's own network has 127.0.0.1, and ::1 where the kernel has IPv6";

/// openat2(2) with RESOLVE_NO_MAGICLINKS says so too.
pub const LINKS_INSIDE: &str = "links of /proc that lead to what a process has open are not followed";

/// An overlay over an overlay.
pub const OVERLAY: &str =
    "the kernel refuses an overlay there: is the image on an overlay itself? choose another store_dir";

/// A scratch mount is refused.
pub const SCRATCH: &str = "the kernel refuses an overlay over that directory: is something mounted below it, or does it lie on an overlay of \
     overlays? copy it in (copy_in), or bind it";

/// Overlays in user namespaces are refused whatever they lie on.
pub const OVERLAY_MODULE: &str = "Linux 5.11 or later lets ordinary users mount overlays; as root: modprobe overlay";

/// fork fails.
pub const PROCESSES: &str = "too many processes: ulimit -u, or the pids limit of the cgroup we are in";

/// fork, or execve(2) after it, fails inside.
pub const CONTAINER_PROCESSES: &str = "the container's pids limit, or this user's (ulimit -u), is reached";

/// Named networks are root's.
pub const NETWORK_RIGHTS: &str = "named networks take root, with the capability NET_ADMIN over this machine's network: network=\"host\" shares that, \
     and c.connect(), c.listen() and ports reach a container without any network";

/// A port of the host that somebody has.
pub const PORT_IN_USE: &str =
    "a program of this machine, or another container's port, is there: ss -ltnp shows it; port 0 is one that is free";

/// A container without a cgroup, or without one of some controller.
pub const WITHOUT_CGROUP: &str =
    "libctr doctor, ctr.probe() and ctr_probe() say what this machine lacks; cgroup=\"required\" has create say it";

/// What is copied to has no room left.
pub const FULL: &str =
    "no room is left; a container's changes in memory have a size: libctr update --upper-size, CTR_LIMIT_UPPER_SIZE";

/// Owners that can't be set on what is copied.
pub const KEPT_OWNERS: &str =
    "archive (-a) keeps owners: that takes root outside, and inside ids that the container has; do without it";

/// A path that the host has, and the container does not.
pub const PROGRAM_OF_HOST: &str =
    "this machine has it, the container does not: bind it (-v, mounts=); for a Python see ctr.this_python()";

/// devpts has no more.
pub const TERMINALS: &str =
    "256 terminals are open in the container, or all that the machine has (kernel.pty.max): close some";

/// No descriptor is free.
pub const DESCRIPTORS: &str = "close files, or raise the limit on them (ulimit -n, RLIMIT_NOFILE)";

/// A program of 21 KB is too large a file.
pub const FILE_SIZE: &str = "raise the limit on the size of files (ulimit -f, RLIMIT_FSIZE)";

/// A record that names what is not its container's.
pub const FORGED_RECORD: &str = "somebody has written to its record, or moved it to another cgroup: libctr rm, ctr.destroy() and \
     ctr_destroy_named() end it all the same";

/// A container whose record can't be read.
pub const DAMAGED_RECORD: &str =
    "the process that made it can still use it; libctr rm, ctr.destroy() and ctr_destroy_named() end it";

/// A container that an earlier version has made.
pub const OLDER_RECORD: &str = "that version can use it; libctr rm, ctr.destroy() and ctr_destroy_named() end it";

/// Landlock or seccomp was refused to a container that was made in hope of it.
pub const LATE_WALL: &str = "make the container again: ctr now waits for its walls, and fails at once if they can't be put up; libctr doctor says \
     what this machine lacks";

/// The zygote can't be started.
pub const MEMFD: &str = "programs can't be run from memory here: is the sysctl vm.memfd_noexec set?";

/// A value of net.ipv4.ping_group_range that the kernel refuses.
pub const PING_GROUPS: &str = "both groups have to exist inside, as /proc/self/gid_map there says: a container with a single id has \
     only the group 0";

/// A user has as many keys as one may have.
pub const KEYS: &str = "this user has as many keys as the sysctls kernel.keys.maxkeys and maxbytes let one have, and each session \
     keyring is one: /proc/key-users counts them; raise these, or choose a preset whose filter refuses keyctl, default or strict, \
     which does without";

/// New user namespaces are refused (EPERM): what of this machine's settings does that.
pub fn user_namespaces() -> String {
    let mut causes = Vec::new();
    if sysctl("kernel/unprivileged_userns_clone") == Some(0) {
        causes.push("as root: sysctl -w kernel.unprivileged_userns_clone=1".to_string());
    }
    if sysctl("user/max_user_namespaces") == Some(0) {
        causes.push("as root: sysctl -w user.max_user_namespaces=15000".to_string());
    }
    causes.extend(apparmor());
    causes.extend(confined());
    causes.extend(filter());
    if causes.is_empty() {
        causes.push("a security module, an outer container or a chroot forbids them: allow them there".to_string());
    }
    causes.join("; ")
}

/// A user namespace was made, but its map of ids can't be written.
pub fn map_refused() -> &'static str {
    let own = std::fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&std::process::id().to_string()));
    if !own {
        return "/proc shows another PID namespace than the one we are in: mount -t proc proc /proc";
    }
    "root can't map itself without the capability SETFCAP (since Linux 5.12): keep that, or run as an ordinary user"
}

/// New namespaces are refused because there would be too many (ENOSPC, EUSERS).
pub fn namespace_limits() -> String {
    let kinds = ["user", "mnt", "pid", "net", "uts", "ipc", "cgroup"];
    let names = kinds.map(|kind| format!("user/max_{kind}_namespaces"));
    let none = names.iter().find(|name| sysctl(name) == Some(0));
    if let Some(name) = none {
        return format!("none are allowed; as root: sysctl -w {}=15000", name.replace('/', "."));
    }
    let least = names.iter().filter_map(|name| Some((sysctl(name)?, name))).min();
    let least = least.map(|(count, name)| format!(", of which the least is {}={count}", name.replace('/', ".")));
    let least = least.unwrap_or_default();
    format!("too many namespaces, or nested too deep (32): see the sysctls user.max_*_namespaces{least}")
}

/// A user namespace was made, but root in it may not mount (EPERM, EACCES).
pub fn mounts() -> String {
    let causes: Vec<_> = [apparmor(), confined(), filter()].into_iter().flatten().collect();
    if causes.is_empty() {
        return "a security module refuses mounts in user namespaces: allow them in its policy".into();
    }
    causes.join("; ")
}

/// The system call `name` is refused, or missing: `why` is what is lost, if anything is known.
pub fn refused_call(name: &str) -> String {
    let since = match name {
        "open_tree" | "move_mount" | "fsopen" | "fsconfig" | "fsmount" => "it is in Linux since 5.2",
        "clone3" | "pidfd_open" => "it is in Linux since 5.3",
        "openat2" => "it is in Linux since 5.6",
        "close_range" => "it is in Linux since 5.9",
        "mount_setattr" => "it is in Linux since 5.12",
        "landlock_create_ruleset" | "landlock_add_rule" | "landlock_restrict_self" => "it is in Linux since 5.13",
        _ => "it is in every kernel",
    };
    match filter() {
        Some(filter) => filter,
        None => format!("{since}: use a newer kernel, or what filters it away must let it through"),
    }
}

/// AppArmor's restriction of Ubuntu, where it is on: a user namespace is made, but whoever is in it has no capabilities.
pub fn apparmor() -> Option<String> {
    (sysctl("kernel/apparmor_restrict_unprivileged_userns") == Some(1)).then(|| {
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with the \
         rule \"userns,\""
            .to_string()
    })
}

/// The AppArmor profile that confines this process, which may be what refuses.
pub fn confined() -> Option<String> {
    let label = sys::file::read_to_string("/proc/self/attr/current").ok()?;
    profile(&label).map(|profile| {
        format!(
            "this process is under the AppArmor profile {profile}, which needs the rules \"userns,\", \"capability,\" and \"mount,\""
        )
    })
}

/// The profile of a label that is enforced: "docker-default (enforce)". An SELinux context has no mode.
fn profile(label: &str) -> Option<&str> {
    label.trim_end_matches(['\n', '\0']).strip_suffix(" (enforce)")
}

/// A seccomp filter on this process, which may be what refuses.
fn filter() -> Option<String> {
    const FILTER: i32 = 2;
    (sys::seccomp_mode() == FILTER).then(|| {
        "this process is under a seccomp filter, an outer container's or sandbox's, which must let that through: of ctr the \
         preset privileged, of docker and podman --security-opt seccomp=unconfined"
            .to_string()
    })
}

fn sysctl(name: &str) -> Option<i64> {
    crate::sys::file::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_one_that_is_enforced() {
        assert_eq!(profile("docker-default (enforce)\n"), Some("docker-default"));
        for label in ["unconfined\n", "ubu (complain)\n", "system_u:system_r:init_t:s0\0", ""] {
            assert_eq!(profile(label), None, "{label}");
        }
    }
}
