//! Where a socket inside is connected to, or listens: an address of ip(7) or ipv6(7) with a port, or a path, unix(7).

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::AddressFamily;

use crate::{Error, Result, Step};

/// An address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// In the container's network.
    Inet(SocketAddr),
    /// In the container's root.
    Path(PathBuf),
}

impl Address {
    /// Takes what a person writes. Names are not looked up: whose resolver would be asked, and what it may answer, nobody could
    /// tell who calls this.
    pub fn new(step: Step, address: &OsStr, port: u16) -> Result<Self> {
        let bad = |why: &str| Err(Error::invalid(step, address.display(), why));
        if address.as_bytes().first() == Some(&b'/') {
            return match (address.len(), port) {
                (_, 1..) => bad("a path has no port"),
                (PATH_MAX.., _) => bad("the path of a socket has at most 107 bytes"),
                _ if address.as_bytes().contains(&0) => bad("a path has no NUL in it"),
                _ => Ok(Self::Path(Path::new(address).into())),
            };
        }
        let ip = match address.to_str() {
            Some("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(text) => text.parse().ok(),
            None => None,
        };
        match ip {
            Some(ip) => Ok(Self::Inet(SocketAddr::new(ip, port))),
            None => bad("it is no address: names are not looked up; 127.0.0.1, ::1, localhost or an absolute path are"),
        }
    }

    /// Its family.
    pub fn family(&self) -> AddressFamily {
        match self {
            Self::Inet(SocketAddr::V4(_)) => AddressFamily::Inet,
            Self::Inet(SocketAddr::V6(_)) => AddressFamily::Inet6,
            Self::Path(_) => AddressFamily::Unix,
        }
    }

    /// The struct sockaddr of its family.
    pub fn raw(&self) -> Vec<u8> {
        let mut raw = (self.family() as libc::sa_family_t).to_ne_bytes().to_vec();
        match self {
            Self::Inet(SocketAddr::V4(at)) => {
                raw.extend(at.port().to_be_bytes());
                raw.extend(at.ip().octets());
                raw.extend([0; 8]);
            }
            Self::Inet(SocketAddr::V6(at)) => {
                raw.extend(at.port().to_be_bytes());
                raw.extend([0; 4]);
                raw.extend(at.ip().octets());
                raw.extend([0; 4]);
            }
            Self::Path(path) => {
                raw.extend(path.as_os_str().as_bytes());
                raw.push(0);
            }
        }
        raw
    }
}

/// What a struct sockaddr of ip(7) or ipv6(7) says, as the kernel writes one.
pub fn socket_address(raw: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*raw.first_chunk()?);
    let port = u16::from_be_bytes(*raw.get(2..)?.first_chunk()?);
    let ip: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*raw.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*raw.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Of struct sockaddr_un, with the NUL.
const PATH_MAX: usize = 108;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(at) => at.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, port: u16) -> Result<Address> {
        Address::new(Step::ConnectTo, OsStr::new(text), port)
    }

    #[test]
    fn an_address_is_a_literal_localhost_or_a_path() {
        for (text, port, shown) in [
            ("127.0.0.1", 80, "127.0.0.1:80"),
            ("localhost", 5432, "127.0.0.1:5432"),
            ("::1", 80, "[::1]:80"),
            ("/run/db.sock", 0, "/run/db.sock"),
        ] {
            assert_eq!(address(text, port).unwrap().to_string(), shown);
        }
        let long = format!("/{}", "x".repeat(107));
        for (text, port) in
            [("web", 80), ("", 80), ("127.1", 80), ("::1%lo", 80), ("/run/x", 1), (&long, 0), ("/a\0b", 0)]
        {
            let error = address(text, port).unwrap_err();
            assert_eq!((error.code(), error.failed_step()), (crate::ErrorCode::Invalid, Step::ConnectTo), "{error}");
        }
        assert!(address(&long[1..], 0).is_err() && address(&long[..107], 0).is_ok());
    }

    #[test]
    fn the_records_are_those_of_the_man_pages() {
        for (text, port) in [("127.0.0.1", 4242), ("::1", 80)] {
            let at = address(text, port).unwrap();
            assert_eq!(socket_address(&at.raw()).map(Address::Inet), Some(at));
        }
        assert_eq!(socket_address(&[1, 0, b'/']), None);
        let raw = |text, port| address(text, port).unwrap().raw();
        assert_eq!(raw("127.0.0.1", 4242), [2, 0, 0x10, 0x92, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let v6 = raw("::1", 80);
        assert_eq!((v6.len(), &v6[..4], v6[23]), (size_of::<libc::sockaddr_in6>(), &[10, 0, 0, 80][..], 1));
        assert_eq!(raw("/a", 0), [1, 0, b'/', b'a', 0]);
    }
}
