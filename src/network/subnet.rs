//! The addresses of a network: `10.0.3.0/24`, `fd00:1::/64`. Members have the same number in both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Step};

/// A part of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet {
    base: IpAddr,
    prefix: u8,
}

/// The first number that a member can have: 0 is the subnet itself, 1 is kept for a gateway.
pub const FIRST: u32 = 2;

impl Subnet {
    /// The addresses that begin with the first `prefix` bits of `address`.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then(|| Self { base: address, prefix }.with_base())
    }

    fn with_base(self) -> Self {
        let base = match self.base {
            IpAddr::V4(ip) => IpAddr::V4((ip & Ipv4Addr::from_bits(mask(32, self.prefix) as u32)).to_bits().into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & mask(128, self.prefix)).into()),
        };
        Self { base, ..self }
    }

    /// How many bits all its addresses have in common.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is one of IPv6.
    pub fn is_v6(&self) -> bool {
        self.base.is_ipv6()
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address, self.prefix) == Some(*self)
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.prefix <= other.prefix { self.contains(other.base) } else { other.contains(self.base) }
    }

    /// The address of a number, where it is one of a member's.
    pub fn address(&self, number: u32) -> Option<IpAddr> {
        (FIRST..=self.last()).contains(&number).then(|| match self.base {
            IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() + number)),
            IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() + u128::from(number))),
        })
    }

    /// The number of an address.
    pub fn number(&self, address: Ipv4Addr) -> Option<u32> {
        let IpAddr::V4(base) = self.base else { return None };
        let number = address.to_bits().checked_sub(base.to_bits())?;
        self.address(number).map(|_| number)
    }

    /// The greatest number; the last address of IPv4 is for all.
    fn last(&self) -> u32 {
        let free = u32::from(bits(self.base) - self.prefix);
        1_u32.checked_shl(free).map_or(u32::MAX, |count| count.saturating_sub(2))
    }

    /// What a person asks for. `least` and `most`: how long its prefix may be.
    pub fn asked(text: &str, v6: bool) -> Result<Self> {
        let bad = |why: &str| Err(Error::invalid(Step::ChooseSubnet, text, why));
        let (example, least, most) = if v6 { ("fd00:1::/64", 16, 120) } else { ("10.0.3.0/24", 8, 29) };
        let Ok(subnet) = text.parse::<Self>() else { return bad(&format!("a subnet is written as {example}")) };
        if subnet.is_v6() != v6 {
            return bad(&format!("it is of another family than {example}"));
        }
        if !(least..=most).contains(&subnet.prefix) {
            return bad(&format!("its prefix has to have {least} to {most} bits"));
        }
        if text.split('/').next().and_then(|base| base.parse().ok()) != Some(subnet.base) {
            return bad(&format!("that is an address in {subnet}"));
        }
        let special = match subnet.base {
            IpAddr::V4(base) => {
                base.is_loopback() || base.octets()[0] >= 224 || base.octets()[0] == 0 || base.is_link_local()
            }
            IpAddr::V6(base) => base.is_loopback() || base.is_multicast() || base.is_unicast_link_local(),
        };
        if special { bad("these addresses are not for a network") } else { Ok(subnet) }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first `prefix` of `bits` bits.
fn mask(bits: u32, prefix: u8) -> u128 {
    let all = u128::MAX >> (128 - bits);
    all & !(all.checked_shr(prefix.into()).unwrap_or(0))
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').ok_or("it has no prefix")?;
        let (address, prefix) = (address.parse().ok(), prefix.parse().ok());
        address.zip(prefix).and_then(|(address, prefix)| Self::new(address, prefix)).ok_or("it is no subnet")
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn members_have_the_numbers_between_the_gateway_s_and_the_last() {
        let small = subnet("10.0.3.8/29");
        let of = |number| small.address(number).map(|it| it.to_string());
        assert_eq!([of(1), of(2), of(6), of(7)], [None, Some("10.0.3.10".into()), Some("10.0.3.14".into()), None]);
        assert_eq!(small.number("10.0.3.10".parse().unwrap()), Some(2));
        for other in ["10.0.3.8", "10.0.3.9", "10.0.3.15", "10.0.3.16", "10.0.2.10"] {
            assert_eq!(small.number(other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(subnet("fd00:1::/64").address(300).unwrap().to_string(), "fd00:1::12c");
        assert_eq!(subnet("fd00:1::/120").address(254).unwrap().to_string(), "fd00:1::fe");
        assert_eq!(subnet("fd00:1::/120").address(255), None);
    }

    #[test]
    fn subnets_overlap_where_one_is_in_the_other() {
        for (one, other, overlap) in [
            ("10.0.3.0/24", "10.0.0.0/8", true),
            ("10.0.3.0/24", "10.0.3.128/25", true),
            ("10.0.3.0/24", "10.0.2.0/24", false),
            ("10.0.3.0/24", "fd00::/16", false),
            ("0.0.0.0/0", "10.0.3.0/24", true),
            ("fd00:1::/64", "fd00:1::5/128", true),
        ] {
            assert_eq!(subnet(one).overlaps(&subnet(other)), overlap, "{one} {other}");
            assert_eq!(subnet(other).overlaps(&subnet(one)), overlap, "{other} {one}");
        }
    }

    #[test]
    fn what_is_no_subnet_is_refused_by_name() {
        for (text, v6) in [
            ("10.0.3.0", false),
            ("10.0.3.1/24", false),
            ("10.0.3.0/33", false),
            ("10.0.3.0/30", false),
            ("127.0.0.0/8", false),
            ("224.0.0.0/8", false),
            ("169.254.0.0/16", false),
            ("fd00:1::/64", false),
            ("10.0.3.0/24", true),
            ("fe80::/64", true),
            ("fd00:1::1/64", true),
            ("web", true),
        ] {
            let error = Subnet::asked(text, v6).unwrap_err();
            assert_eq!((error.failed_step(), error.object()), (Step::ChooseSubnet, text), "{error}");
        }
        assert_eq!(Subnet::asked("10.0.3.0/24", false).unwrap().to_string(), "10.0.3.0/24");
        assert_eq!(Subnet::asked("fd00:1::/64", true).unwrap().to_string(), "fd00:1::/64");
    }
}
