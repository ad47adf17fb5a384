//! The network of a container: the loopback device of its own namespace, see netdevice(7), who may do what there, and the addresses
//! of its sockets. And what named networks are made of: interfaces (`link`, by `netlink`), addresses (`subnet`), and the file of names
//! (`roster`).

mod address;
pub mod link;
mod names;
mod netlink;
pub mod roster;
mod subnet;

pub use address::{Address, socket_address};
pub use names::{Net, hosts, is_name, resolv_conf};
pub use netlink::Netlink;
pub use subnet::{FIRST as FIRST_MEMBER, Subnet};

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};

use crate::Step;
use crate::plan::{CWD, Plan, Shell};

/// Brings the loopback device up, as every program expects it.
pub fn loopback(setup: &mut Plan<'_>) {
    setup.step(Step::BringUpLoopback, "lo", "localhost works; nothing else is there", "ip link set {} up");
    let socket = setup.slot();
    setup.socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty()).out(socket);
    // struct ifreq: the name in 16 bytes, then the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&((libc::IFF_UP | libc::IFF_RUNNING) as u16).to_ne_bytes());
    let request = setup.data(&request, 8);
    setup.set_interface_flags(socket, request);
    setup.close(socket);
}

/// In a network namespace of its own nobody is harmed by who listens on a low port or sends an echo request: every user may, as
/// in docker; see ip(7), icmp(7). `last_group` is the last one that may be named. Kernels without one of the two do without.
pub fn open_to_users(setup: &mut Plan<'_>, last_group: u64, own_root: bool) {
    let last_group = format!("0 {last_group}");
    let opened = [
        ("net.ipv4.ip_unprivileged_port_start", "0", "every user inside may listen on port 80"),
        ("net.ipv4.ping_group_range", &last_group, "every user inside may send an echo request, as ping does"),
    ];
    for (object, value, why) in opened {
        let (name, text) = (object.trim_start_matches("net.ipv4."), value.to_string());
        let shell = Shell::later(move || {
            let proc = if own_root { "$ROOT/proc" } else { "/proc" };
            format!("echo {text} > {proc}/sys/net/ipv4/{name}")
        });
        setup.step(Step::SetSysctl, object, why, shell);
        // A procfs that was made a moment ago in the working directory, or the caller's own: nothing of an image is in the path.
        let proc = if own_root { "proc" } else { "/proc" };
        let path = setup.bytes([proc, "/sys/net/ipv4/", name].concat());
        let (file, text) = (setup.slot(), setup.bytes(value));
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        setup.openat(CWD, path, flags).out(file).optional();
        setup.write(file, text, value.len()).optional();
        setup.close(file);
    }
}
