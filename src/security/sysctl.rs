//! Kernel parameters of a container, sysctl(8): those that belong to one of its own namespaces, and no other.
//!
//! A name is taken apart here and put together again from checked parts, and each value is one line of plain text, so
//! that no parameter can smuggle another (CVE-2022-0811).

use std::path::PathBuf;

use super::procfs;
use crate::plan::Plan;
use crate::{Error, Result, Step};

/// Which namespaces a container has for itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    pub(crate) ipc: bool,
    pub(crate) net: bool,
    pub(crate) uts: bool,
    pub(crate) user: bool,
}

/// A parameter that may be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// Below /proc/sys.
    path: PathBuf,
    value: String,
}

/// What the value of a parameter looks like.
#[derive(Clone, Copy)]
enum Shape {
    /// So many numbers.
    Numbers(usize),
    /// 0 or 1.
    Switch,
    /// A word of a name.
    Word,
    /// Numbers, words and lists of them.
    Any,
}

/// Parameters of the IPC namespace, ipc_namespaces(7).
const IPC: [(&str, Shape); 16] = [
    ("kernel/msgmax", Shape::Numbers(1)),
    ("kernel/msgmnb", Shape::Numbers(1)),
    ("kernel/msgmni", Shape::Numbers(1)),
    ("kernel/msg_next_id", Shape::Numbers(1)),
    ("kernel/sem", Shape::Numbers(4)),
    ("kernel/sem_next_id", Shape::Numbers(1)),
    ("kernel/shmall", Shape::Numbers(1)),
    ("kernel/shmmax", Shape::Numbers(1)),
    ("kernel/shmmni", Shape::Numbers(1)),
    ("kernel/shm_next_id", Shape::Numbers(1)),
    ("kernel/shm_rmid_forced", Shape::Switch),
    ("fs/mqueue/queues_max", Shape::Numbers(1)),
    ("fs/mqueue/msg_max", Shape::Numbers(1)),
    ("fs/mqueue/msgsize_max", Shape::Numbers(1)),
    ("fs/mqueue/msg_default", Shape::Numbers(1)),
    ("fs/mqueue/msgsize_default", Shape::Numbers(1)),
];

impl Sysctl {
    /// A parameter by name, with dots or slashes as in sysctl(8), for a container with the namespaces `own`.
    pub(crate) fn new(name: &str, value: &str, own: Own) -> Result<Self> {
        let bad = |why: &str| Error::invalid(Step::SetSysctl, name, why);
        let path =
            path(name).ok_or_else(|| bad("it is not a name of letters, digits, _ and - with dots or slashes"))?;
        let need = |has: bool, namespace: &str| {
            let why = format!("the container shares its {namespace} namespace, so this would change others, too");
            if has { Ok(()) } else { Err(bad(&why).with_hint(format!("give it a {namespace} namespace of its own"))) }
        };
        let shape = if let Some((_, shape)) = IPC.iter().find(|(known, _)| *known == path) {
            need(own.ipc, "ipc")?;
            *shape
        } else if path.starts_with("net/") {
            need(own.net, "net")?;
            Shape::Any
        } else if path == "kernel/domainname" {
            need(own.uts, "uts")?;
            Shape::Word
        } else if path == "kernel/hostname" {
            return Err(bad("the container's hostname has a setting of its own").with_hint("set hostname instead"));
        } else if path.starts_with("user/") {
            need(own.user, "user")?;
            Shape::Numbers(1)
        } else {
            return Err(bad("it belongs to the machine, not to a container"));
        };
        if !shape.fits(value) {
            return Err(bad(&format!("{value:?} is not a value that it can have")));
        }
        Ok(Self { path: path.into(), value: value.to_string() })
    }
}

impl Shape {
    fn fits(self, value: &str) -> bool {
        let number = |word: &str| {
            let digits = word.strip_prefix('-').unwrap_or(word);
            !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,:".contains(&byte);
        let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty()).peekable();
        if value.len() > 255 || words.peek().is_none() {
            return false;
        }
        match self {
            Self::Numbers(count) => words.clone().count() == count && words.all(number),
            Self::Switch => value == "0" || value == "1",
            Self::Word => value.bytes().all(plain),
            Self::Any => words.all(|word| word.bytes().all(plain)),
        }
    }
}

/// `net.ipv4.conf.eth0/1.rp_filter` and `net/ipv4/conf/eth0.1/rp_filter` as the path below /proc/sys. As in sysctl(8), the
/// first separator decides which of the two separates, and the other one then stands for a dot.
fn path(name: &str) -> Option<String> {
    let separator = name.find(['.', '/']).map(|at| name.as_bytes()[at])?;
    let swap = |c: char| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    let path: String = if separator == b'.' { name.chars().map(swap).collect() } else { name.to_string() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    (path.len() <= 255 && path.split('/').all(part)).then_some(path)
}

/// Writes the parameters through the `proc` of the working directory, a procfs that is ours, before any of it is made
/// read-only.
pub(crate) fn set(plan: &mut Plan<'_>, sysctls: &[Sysctl]) {
    if sysctls.is_empty() {
        return;
    }
    let proc = procfs::open(plan, true);
    for Sysctl { path, value } in sysctls {
        let name = path.display().to_string();
        let command = format!("echo {} > $ROOT/proc/sys/{name}", crate::plan::quote(value));
        plan.step(Step::SetSysctl, name.replace('/', "."), "it belongs to a namespace of the container's", command);
        procfs::write(plan, proc, &format!("sys/{name}"), value, procfs::Links::None);
    }
    plan.close(proc);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Own = Own { ipc: true, net: true, uts: true, user: true };

    #[test]
    fn parameters_of_own_namespaces_are_let_through() {
        for (name, value, path) in [
            ("kernel.msgmax", "65536", "kernel/msgmax"),
            ("kernel.sem", "250 32000 100 128", "kernel/sem"),
            ("kernel.sem", "250\t32000\t100\t128", "kernel/sem"),
            ("kernel/shm_rmid_forced", "1", "kernel/shm_rmid_forced"),
            ("fs.mqueue.msg_max", "20", "fs/mqueue/msg_max"),
            ("net.ipv4.ip_forward", "1", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.rp_filter", "0", "net/ipv4/conf/eth0.1/rp_filter"),
            ("net/ipv4/conf/eth0.1/rp_filter", "0", "net/ipv4/conf/eth0.1/rp_filter"),
            ("net.ipv4.ip_local_port_range", "1024 65535", "net/ipv4/ip_local_port_range"),
            ("net.ipv4.ip_local_reserved_ports", "80,8000-8080", "net/ipv4/ip_local_reserved_ports"),
            ("net.ipv4.tcp_congestion_control", "cubic", "net/ipv4/tcp_congestion_control"),
            ("user.max_user_namespaces", "0", "user/max_user_namespaces"),
            ("kernel.domainname", "example.org", "kernel/domainname"),
        ] {
            let sysctl = Sysctl::new(name, value, ALL).unwrap();
            assert_eq!(sysctl.path, PathBuf::from(path));
        }
    }

    #[test]
    fn parameters_of_the_machine_are_refused() {
        for name in [
            "kernel.core_pattern",
            "kernel.modprobe",
            "kernel.hotplug",
            "kernel.yama.ptrace_scope",
            "kernel.unprivileged_bpf_disabled",
            "kernel.hostname",
            "kernel.msgmax.x",
            "fs.suid_dumpable",
            "fs.mqueue.nonsense",
            "vm.overcommit_memory",
            "dev.tty.legacy_tiocsti",
            "debug.exception-trace",
        ] {
            let error = Sysctl::new(name, "1", ALL).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    /// cri-o CVE-2022-0811: a plus sign in a value made pinns set a second parameter. Here: names that lead elsewhere, and
    /// values that are more than one line of plain text.
    #[test]
    fn no_name_leads_elsewhere_and_no_value_carries_another_parameter() {
        for name in [
            "net/../kernel/core_pattern",
            "net...kernel.core_pattern",
            "net.//kernel/core_pattern",
            "net/./ipv4/ip_forward",
            "/net/ipv4/ip_forward",
            "net/ipv4/ip_forward/",
            "net.ipv4.ip_forward\0",
            "net.ipv4.ip_forward=1",
            "net.ipv4.ip forward",
            "net",
            "",
            ".",
            "/",
        ] {
            assert!(Sysctl::new(name, "1", ALL).is_err(), "{name:?}");
        }
        for value in
            ["", " ", "1\n", "1\nkernel.core_pattern=|/x", "1+kernel.core_pattern=|/bin/sh", "1\0", "|/x %p", "é"]
        {
            assert!(Sysctl::new("net.ipv4.ip_forward", value, ALL).is_err(), "{value:?}");
            assert!(Sysctl::new("kernel.msgmax", value, ALL).is_err(), "{value:?}");
        }
        for (name, value) in [("kernel.sem", "1 2 3"), ("kernel.msgmax", "ten"), ("kernel.shm_rmid_forced", "2")] {
            assert!(Sysctl::new(name, value, ALL).is_err(), "{name}={value}");
        }
        assert!(Sysctl::new("net.ipv4.ip_forward", &"1".repeat(256), ALL).is_err());
    }

    #[test]
    fn a_shared_namespace_is_not_changed() {
        for (name, own, namespace) in [
            ("kernel.msgmax", Own { ipc: false, ..ALL }, "ipc"),
            ("net.ipv4.ip_forward", Own { net: false, ..ALL }, "net"),
            ("kernel.domainname", Own { uts: false, ..ALL }, "uts"),
            ("user.max_user_namespaces", Own { user: false, ..ALL }, "user"),
        ] {
            let error = Sysctl::new(name, "1", own).unwrap_err().to_string();
            assert!(error.contains(&format!("a {namespace} namespace of its own")), "{error}");
        }
    }
}
