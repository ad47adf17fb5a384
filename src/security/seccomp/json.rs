//! Docker's JSON format of seccomp profiles, and podman's additions to it (`errno` by name): read into a [`Document`].
//!
//! Accepted is what docker and runc accept; a member that is not known is not an error, as there. What would change the
//! meaning is never passed over: an action, an operator, an argument or a capability that is not known is refused.

use std::borrow::Cow;

use nix::errno::Errno;
use serde::Deserialize;

use super::document::{Action, Condition, Document, Group, Test, When};
use super::syscalls::Arch;
use crate::security::capabilities;
use crate::{Error, Result, Step};

/// Reads a profile; `origin` (its path, or what else it came from) is for errors only.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Document> {
    let file: File = serde_json::from_str(text).map_err(|error| refused(origin, error.to_string()))?;
    file.document().map_err(|why| refused(origin, why))
}

fn refused(origin: &str, why: String) -> Error {
    Error::invalid(Step::ReadSeccompProfile, origin, why)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u32>,
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    syscalls: Option<Vec<Syscall>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl File {
    fn document(self) -> std::result::Result<Document, String> {
        if self.listener_path.is_some_and(|path| !path.is_empty()) {
            return Err("listenerPath asks for a program that decides calls, which ctr does not offer".into());
        }
        let architectures = self.architectures.unwrap_or_default();
        let map = self.arch_map.unwrap_or_default();
        if !architectures.is_empty() && !map.is_empty() {
            return Err("it has both architectures and archMap".into());
        }
        let native = Arch::NATIVE.map(oci_name);
        let of_map = map.into_iter().filter(|entry| Some(entry.architecture.as_str()) == native);
        let arches: Vec<String> = architectures
            .into_iter()
            .chain(of_map.flat_map(|entry| entry.sub_architectures.unwrap_or_default()))
            .collect();
        if let Some(unknown) = arches.iter().find(|name| !name.starts_with("SCMP_ARCH_")) {
            return Err(format!("{unknown:?} is not an architecture"));
        }
        let mut flags = 0;
        for flag in self.flags.unwrap_or_default() {
            flags |= match flag.as_str() {
                // The filter is loaded while there is one thread only.
                "SECCOMP_FILTER_FLAG_TSYNC" => 0,
                "SECCOMP_FILTER_FLAG_LOG" => libc::SECCOMP_FILTER_FLAG_LOG as u32,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32,
                _ => return Err(format!("the flag {flag:?} is not known")),
            };
        }
        let groups = self.syscalls.unwrap_or_default().into_iter().map(Syscall::group);
        Ok(Document {
            default: action(&self.default_action, self.default_errno_ret, self.default_errno.as_deref())?,
            i386: arches.iter().any(|name| name == "SCMP_ARCH_X86"),
            flags,
            groups: groups.collect::<std::result::Result<_, _>>()?,
        })
    }
}

impl Syscall {
    fn group(self) -> std::result::Result<Group, String> {
        let names = match (self.name.filter(|name| !name.is_empty()), self.names.unwrap_or_default()) {
            (Some(name), names) if names.is_empty() => vec![name],
            (None, names) if !names.is_empty() => names,
            (None, _) => return Err("a rule names no system call".into()),
            (Some(name), _) => return Err(format!("the rule for {name} has both name and names")),
        };
        let args = self.args.unwrap_or_default();
        let conditions = args.iter().map(Arg::condition).collect::<std::result::Result<Vec<_>, _>>()?;
        let repeats = args.iter().enumerate().any(|(at, arg)| args[..at].iter().any(|other| other.index == arg.index));
        Ok(Group {
            names: names.into_iter().map(Cow::Owned).collect(),
            action: action(&self.action, self.errno_ret, self.errno.as_deref())?,
            // As runc has it: an argument that is tested twice means any of the tests instead of all.
            alternatives: match conditions.len() {
                0 => Vec::new(),
                _ if repeats => conditions.into_iter().map(|condition| vec![condition]).collect(),
                _ => vec![conditions],
            },
            when: when(self.includes.unwrap_or_default(), self.excludes.unwrap_or_default())?,
        })
    }
}

impl Arg {
    fn condition(&self) -> std::result::Result<Condition, String> {
        if self.index > 5 {
            return Err(format!("there is no argument {}", self.index));
        }
        let test = match self.op.as_str() {
            "SCMP_CMP_EQ" => Test::Eq(self.value),
            "SCMP_CMP_NE" => Test::Ne(self.value),
            "SCMP_CMP_LT" => Test::Lt(self.value),
            "SCMP_CMP_LE" => Test::Le(self.value),
            "SCMP_CMP_GT" => Test::Gt(self.value),
            "SCMP_CMP_GE" => Test::Ge(self.value),
            "SCMP_CMP_MASKED_EQ" => Test::MaskedEq { mask: self.value, value: self.value_two },
            other => return Err(format!("the operator {other:?} is not known")),
        };
        Ok(Condition { argument: self.index, test })
    }
}

fn when(includes: Filter, excludes: Filter) -> std::result::Result<When, String> {
    Ok(When {
        caps: caps(includes.caps)?,
        no_caps: caps(excludes.caps)?,
        arches: arches(includes.arches),
        no_arches: arches(excludes.arches),
        kernel: kernel(includes.min_kernel)?,
        no_kernel: kernel(excludes.min_kernel)?,
    })
}

fn caps(names: Option<Vec<String>>) -> std::result::Result<u64, String> {
    names.unwrap_or_default().iter().try_fold(0, |mask, name| {
        let number = capabilities::number(name).ok_or_else(|| format!("the capability {name:?} is not known"))?;
        Ok(mask | 1 << number)
    })
}

/// Docker's names for the machine itself; of a foreign one only that it is not ours matters.
fn arches(names: Option<Vec<String>>) -> Vec<Option<Arch>> {
    let ours = |name: String| match name.as_str() {
        "amd64" => Some(Arch::X86_64),
        "arm64" => Some(Arch::Aarch64),
        _ => None,
    };
    names.unwrap_or_default().into_iter().map(ours).collect()
}

/// "4.8" of minKernel.
fn kernel(version: Option<String>) -> std::result::Result<Option<(u32, u32)>, String> {
    let Some(version) = version.filter(|version| !version.is_empty()) else { return Ok(None) };
    let parsed = version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.map(Some).ok_or_else(|| format!("{version:?} is not a kernel version like \"4.8\""))
}

fn action(name: &str, number: Option<u32>, by_name: Option<&str>) -> std::result::Result<Action, String> {
    let takes_errno = matches!(name, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
    if !takes_errno && (number.is_some() || by_name.is_some_and(|errno| !errno.is_empty())) {
        return Err(format!("{name} takes no errno"));
    }
    let named = by_name.filter(|errno| !errno.is_empty()).map(errno).transpose()?;
    if let (Some(number), Some(named)) = (number, named)
        && number != named
    {
        return Err(format!("errno is given twice, as {number} and as {named}"));
    }
    let errno = number.or(named).unwrap_or(libc::EPERM as u32);
    let errno = u16::try_from(errno).ok().filter(|errno| *errno < 4096);
    let errno = errno.ok_or("an errno is greater than 4095")?;
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::ALLOW,
        "SCMP_ACT_ERRNO" => Action::errno(errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => Action::KILL_PROCESS,
        "SCMP_ACT_TRAP" => Action::TRAP,
        "SCMP_ACT_TRACE" => Action::trace(errno),
        "SCMP_ACT_LOG" => Action::LOG,
        "SCMP_ACT_NOTIFY" => {
            return Err("SCMP_ACT_NOTIFY asks for a program that decides, which ctr does not offer".into());
        }
        other => return Err(format!("the action {other:?} is not known")),
    })
}

/// The number of an errno(3) by its name.
fn errno(name: &str) -> std::result::Result<u32, String> {
    let number = (1..=133).find(|number| format!("{:?}", Errno::from_raw(*number)) == name);
    number.map(|number| number as u32).ok_or_else(|| format!("the errno {name:?} is not known"))
}

fn oci_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "SCMP_ARCH_X86_64",
        Arch::I386 => "SCMP_ARCH_X86",
        Arch::Aarch64 => "SCMP_ARCH_AARCH64",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Profile;

    #[test]
    fn a_profile_is_read_from_a_regular_file_of_a_few_mebibytes() {
        let place = std::env::temp_dir().join(format!("ctr-profile-{}", std::process::id()));
        let refused = |path: &Path, why: &str| {
            let error = Profile::from_file(path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&path.display().to_string()), "{error}");
        };
        nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Without anybody who writes to it.
        refused(&place, "it is no regular file");
        std::fs::remove_file(&place).unwrap();
        refused(Path::new("/dev/zero"), "it is no regular file");
        refused(&std::env::temp_dir(), "it is no regular file");
        let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
        std::fs::write(&place, format!("{profile}{}", " ".repeat(1 << 20))).unwrap();
        assert!(Profile::from_file(&place).is_ok());
        let endless = std::fs::File::create(&place).unwrap();
        endless.set_len(1 << 40).unwrap();
        refused(&place, "it has more than 4 MiB");
        std::fs::remove_file(&place).unwrap();
        refused(&place, "ENOENT");
    }
}
