//! What a container can be limited in, when it is made and while it runs. A limit is a number, or a list, which has a text:
//! that of the kernel's own files where these agree between cgroup v1 and v2.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Step};

/// No limit, not even that of the preset: for those of [`crate::Config`] that are numbers.
pub const UNLIMITED: u64 = u64::MAX;

/// A limit that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of memory, swap not included.
    Memory,
    /// Processes and threads at one time.
    Pids,
    /// Time of processors, in thousandths of a processor.
    Cpus,
    /// Bytes of memory above which it is reclaimed.
    MemoryHigh,
    /// Bytes of memory that are reclaimed last.
    MemoryLow,
    /// Bytes of swap, memory not included.
    Swap,
    /// Its share of processors beside others, 1 to 10000.
    CpuWeight,
    /// Its share of block devices beside others, 1 to 10000.
    IoWeight,
}

/// A limit that is a list, and is written as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListLimit {
    /// Processors: `0-1,3`.
    Cpuset,
    /// Memory nodes: `0`.
    CpusetMems,
    /// Rates of block devices, a line each, see [`IoLimit`].
    Io,
    /// Bytes of huge pages, a line for each of their sizes, see [`HugetlbLimit`].
    Hugetlb,
}

/// A limit of what a container may change in memory: no cgroup keeps it, but the tmpfs that takes the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangesLimit {
    /// Bytes, see [`crate::Config::upper_size`].
    Size,
    /// Files, directories and links, see [`crate::Config::upper_inodes`].
    Inodes,
}

impl ChangesLimit {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Size, Self::Inodes];

    /// What its field of [`crate::Config`] is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "upper_size",
            Self::Inodes => "upper_inodes",
        }
    }
}

/// A number for each limit, in the order of [`Limit::ALL`]; none where there is no limit.
pub(crate) type LimitNumbers = [Option<u64>; Limit::ALL.len()];

/// A text for each limit, in the order of [`ListLimit::ALL`]; none where there is no limit.
pub(crate) type LimitLists = [Option<String>; ListLimit::ALL.len()];

impl Limit {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::Pids,
        Self::Cpus,
        Self::MemoryHigh,
        Self::MemoryLow,
        Self::Swap,
        Self::CpuWeight,
        Self::IoWeight,
    ];

    /// What its field of [`crate::Config`] is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpus => "cpus",
            Self::MemoryHigh => "memory_high",
            Self::MemoryLow => "memory_low",
            Self::Swap => "swap",
            Self::CpuWeight => "cpu_weight",
            Self::IoWeight => "io_weight",
        }
    }

    /// The number as people write it.
    pub(crate) fn text(self, number: u64) -> String {
        match self {
            Self::Cpus => (number as f64 / 1000.0).to_string(),
            _ => number.to_string(),
        }
    }
}

impl ListLimit {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Cpuset, Self::CpusetMems, Self::Io, Self::Hugetlb];

    /// What its field of [`crate::Config`] is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpuset => "cpuset",
            Self::CpusetMems => "cpuset_mems",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
        }
    }
}

/// A line for each.
pub(super) fn lines<T: ToString>(items: &[T]) -> Option<String> {
    let lines: Vec<_> = items.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// How fast a block device may be used: `/dev/sda rbps=1048576 wiops=100`, a line of `io.max` of cgroup v2, where the device may also
/// be a path. A rate of `max`, `u64::MAX`, lifts what an earlier line says of it. For serde it is this text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct IoLimit {
    /// A device node, or any file or directory, which means the disk that it lies on; or `MAJOR:MINOR`.
    pub device: PathBuf,
    /// Bytes read a second.
    pub rbps: Option<u64>,
    /// Bytes written a second.
    pub wbps: Option<u64>,
    /// Reads a second.
    pub riops: Option<u64>,
    /// Writes a second.
    pub wiops: Option<u64>,
}

impl IoLimit {
    /// What the rates are called, in the order of [`IoLimit::rates`].
    pub(crate) const RATES: [&str; 4] = ["rbps", "wbps", "riops", "wiops"];

    /// Its rates.
    pub(crate) fn rates(&self) -> [Option<u64>; 4] {
        [self.rbps, self.wbps, self.riops, self.wiops]
    }

    /// One with these rates.
    pub(crate) fn with_rates(device: impl Into<PathBuf>, [rbps, wbps, riops, wiops]: [Option<u64>; 4]) -> Self {
        Self { device: device.into(), rbps, wbps, riops, wiops }
    }
}

impl FromStr for IoLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            let hint = "write DEVICE and one at least of rbps=, wbps=, riops=, wiops=, numbers or \"max\": /dev/sda rbps=1048576";
            Error::invalid(Step::LimitIo, text, why).with_hint(hint)
        };
        // A path may have spaces: what is behind it is known by its form.
        let mut device = text.trim();
        let mut rates = [None; 4];
        let mut some = false;
        while let Some((before, last)) = device.rsplit_once([' ', '\t']) {
            let Some((key, value)) = last.split_once('=') else { break };
            let Some(at) = Self::RATES.iter().position(|known| *known == key) else { break };
            let number = match value {
                "max" => u64::MAX,
                _ => value.parse().map_err(|_| bad(&format!("{last} is no rate")))?,
            };
            if number == 0 {
                return Err(bad(&format!("{last} would let nothing pass")));
            }
            // Those behind count.
            rates[at] = rates[at].or(Some(number));
            (device, some) = (before.trim_end(), true);
        }
        if !some || device.is_empty() || text.contains('\n') {
            return Err(bad("it is no limit of a device"));
        }
        Ok(Self::with_rates(device, rates))
    }
}

impl fmt::Display for IoLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.device.display().fmt(f)?;
        let rates: Vec<_> = Self::RATES.into_iter().zip(self.rates()).collect();
        for (key, rate) in rates.iter().filter_map(|(key, rate)| Some((key, rate.as_ref()?))) {
            match *rate {
                u64::MAX => write!(f, " {key}=max")?,
                rate => write!(f, " {key}={rate}")?,
            }
        }
        Ok(())
    }
}

/// How much of the huge pages of a size may be used: `2MB=67108864`. For serde it is this text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct HugetlbLimit {
    /// Bytes of such a page.
    pub page_size: u64,
    /// Bytes of all of them together; 0 for none, `u64::MAX` for any.
    pub bytes: u64,
}

impl HugetlbLimit {
    /// The page size as the kernel's files have it: `2MB`.
    pub(crate) fn page_name(self) -> String {
        match self.page_size {
            size if size >= 1 << 30 => format!("{}GB", size >> 30),
            size if size >= 1 << 20 => format!("{}MB", size >> 20),
            size => format!("{}KB", size >> 10),
        }
    }
}

impl FromStr for HugetlbLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad =
            |why: &str| Error::invalid(Step::LimitHugetlb, text, why).with_hint("write PAGESIZE=BYTES: 2MB=67108864");
        let (size, bytes) = text.trim().split_once('=').ok_or_else(|| bad("it is no limit of huge pages"))?;
        let page_size = page_size(size).ok_or_else(|| bad(&format!("{size} is no page size")))?;
        let bytes = match bytes {
            "max" => u64::MAX,
            _ => bytes.parse().map_err(|_| bad(&format!("{bytes} is no number of bytes")))?,
        };
        Ok(Self { page_size, bytes })
    }
}

/// `2M`, `2MB`, `2MiB`, or bytes.
fn page_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|size| size.is_power_of_two() && *size > 1024)
}

impl fmt::Display for HugetlbLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            u64::MAX => write!(f, "{}=max", self.page_name()),
            bytes => write!(f, "{}={bytes}", self.page_name()),
        }
    }
}

/// Both by their texts, for serde.
macro_rules! by_text {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(limit: $type) -> Self {
                limit.to_string()
            }
        }
    )*};
}

by_text!(IoLimit, HugetlbLimit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_a_device_has_its_path_before_its_rates() {
        let limit: IoLimit = "/dev/my disk  rbps=5 wiops=max riops=7".parse().unwrap();
        assert_eq!(limit, IoLimit::with_rates("/dev/my disk", [Some(5), None, Some(7), Some(u64::MAX)]));
        assert_eq!(limit.to_string(), "/dev/my disk rbps=5 riops=7 wiops=max");
        assert_eq!("8:0 wbps=1 wbps=2".parse::<IoLimit>().unwrap().wbps, Some(2));
        let lifted: IoLimit = "8:0 rbps=max".parse().unwrap();
        assert_eq!(lifted.to_string().parse::<IoLimit>().unwrap(), lifted);
        for bad in [
            "",
            "/dev/sda",
            "rbps=5",
            "/dev/sda rbps",
            "/dev/sda rbps=-1",
            "/dev/sda rbps=0",
            "/dev/sda rbps=5M",
            "a\nb rbps=5",
        ] {
            let error = bad.parse::<IoLimit>().unwrap_err();
            assert!(error.hint().contains("rbps="), "{bad}: {error}");
        }
        assert!("/dev/sda rbps=5M".parse::<IoLimit>().unwrap_err().to_string().contains("rbps=5M"));
    }

    #[test]
    fn huge_pages_are_called_as_the_kernel_calls_them() {
        for (text, name) in [
            ("2M=0", "2MB=0"),
            ("2MiB=7", "2MB=7"),
            ("1gb=0", "1GB=0"),
            ("65536=1", "64KB=1"),
            ("16m=2", "16MB=2"),
            ("2M=max", "2MB=max"),
        ] {
            assert_eq!(text.parse::<HugetlbLimit>().unwrap().to_string(), name);
        }
        for bad in ["", "2M", "2M=", "2M=x", "2M=-1", "3M=0", "0=0", "M=0", "2X=0", "99999999999G=0"] {
            assert!(bad.parse::<HugetlbLimit>().unwrap_err().hint().contains("2MB="), "{bad}");
        }
    }
}
