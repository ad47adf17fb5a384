//! What a container's programs find when they look up names: the texts of /etc/hosts and /etc/resolv.conf; see hosts(5),
//! resolv.conf(5).

use std::io::Read;

/// Whose network a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// A new one, with loopback only, or that of a container that has such.
    Loopback,
    /// A new one that is a member of a named network.
    Members,
    /// The caller's.
    Host,
    /// Another's, about which nothing is known.
    Other,
}

const LOCALHOST: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Another address than localhost's, as Debian has it, so that the address too is called by the name.
const OWN: &str = "127.0.1.1";

/// The text of /etc/hosts, with these names of the container's own. Whoever shares the host's network shares what its /etc/hosts
/// says.
pub fn hosts(net: Net, names: &[&str]) -> String {
    let of_the_host = || read("/etc/hosts").filter(|text| !text.trim().is_empty());
    let mut text =
        matches!(net, Net::Host | Net::Other).then(of_the_host).flatten().unwrap_or_else(|| LOCALHOST.into());
    for name in names.iter().filter(|name| is_name(name)) {
        let known = text.lines().any(|line| words(line).skip(1).any(|word| word == *name));
        if !known {
            // By the first of its names an address is called: host.example before host.
            let short = name.split('.').next().filter(|short| short != name && is_name(short));
            let short = short.map(|short| format!(" {short}")).unwrap_or_default();
            text.push_str(&format!("{OWN}\t{name}{short}\n"));
        }
    }
    text
}

/// The text of /etc/resolv.conf: no server that can't answer. The host's own, links followed, where its network is the host's.
pub fn resolv_conf(net: Net) -> String {
    match net {
        Net::Loopback => "# This network has loopback only: there is nobody to ask.\n".into(),
        Net::Members => {
            "# The members of this network have their names in /etc/hosts: there is nobody to ask.\n".into()
        }
        Net::Host => read("/etc/resolv.conf").unwrap_or_default(),
        Net::Other => {
            let text = read("/etc/resolv.conf").unwrap_or_default();
            let reachable = without_loopback(&text);
            // A local resolver of the host's is not in this network; those that it asks may be reached.
            match servers(&reachable) {
                0 if servers(&text) > 0 => {
                    read("/run/systemd/resolve/resolv.conf").map_or(reachable, |text| without_loopback(&text))
                }
                _ => reachable,
            }
        }
    }
}

/// As much as is taken over; a list of half the Internet is not what anybody means.
const MAX: u64 = 32 << 10;

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    crate::sys::file::open(path).ok()?.take(MAX).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 == MAX {
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(end);
        bytes.extend_from_slice(b"# The host's file is longer, and ends here.\n");
    }
    let mut text = String::from_utf8_lossy(&bytes).replace('\0', "");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Some(text)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace()
}

fn server(line: &str) -> Option<&str> {
    let mut words = words(line);
    words.next().filter(|word| *word == "nameserver").and(words.next())
}

fn servers(text: &str) -> usize {
    text.lines().filter_map(server).count()
}

fn without_loopback(text: &str) -> String {
    let local = |address: &str| address.starts_with("127.") || address == "::1";
    text.lines().filter(|line| !server(line).is_some_and(local)).map(|line| format!("{line}\n")).collect()
}

/// A name that a line of /etc/hosts can have: a hostname is any bytes.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_found_on_loopback() {
        assert_eq!(hosts(Net::Loopback, &["web"]), format!("{LOCALHOST}127.0.1.1\tweb\n"));
        let text = hosts(Net::Loopback, &["web.example.org", "localhost"]);
        assert_eq!(
            text,
            format!("{LOCALHOST}127.0.1.1\tweb.example.org web\n"),
            "the full name comes first, none twice"
        );
    }

    #[test]
    fn a_name_is_no_way_to_write_lines() {
        for name in ["a b", "x\n1.2.3.4 bank.example", "#", "", ".x", "a\0"] {
            assert_eq!(hosts(Net::Loopback, &[name]), LOCALHOST, "{name:?}");
        }
    }

    #[test]
    fn servers_on_loopback_are_told_from_others() {
        let text =
            "# nameserver 9.9.9.9\nnameserver 127.0.0.53 # stub\nsearch a b\nnameserver ::1\n nameserver 10.0.0.1\n";
        assert_eq!(servers(text), 3);
        assert_eq!(without_loopback(text), "# nameserver 9.9.9.9\nsearch a b\n nameserver 10.0.0.1\n");
    }
}
