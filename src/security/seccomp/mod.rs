//! Which system calls a container may make: profiles, and the filters that they become; seccomp(2).
//!
//! A [`Profile`] is one of ours (`builtin`) or a file in docker's format (`json`). [`filter`] settles it for this machine
//! and a container's capabilities (`document`) and turns it into classic BPF (`compile`), once: whoever asks again for
//! the same gets the same instructions. That takes some hundred microseconds a process, which reading a cache on disk
//! would not undercut by enough to be worth a file that someone could write to.

mod builtin;
mod compile;
mod document;
mod json;
mod syscalls;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libc::sock_filter;
use nix::sys::utsname::uname;

use crate::{Error, ErrorCode, Result, Step};
pub(crate) use document::Action;
use document::{Document, Setting};

/// A choice of system calls; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    rules: Arc<Rules>,
    refusal: Option<Action>,
}

/// Programs by the answer to what is refused and by the capabilities that matter.
type Compiled = BTreeMap<(Option<Action>, u64), Arc<[sock_filter]>>;

/// What a set of rules has become so far.
#[derive(Debug)]
struct Rules {
    document: Document,
    compiled: Mutex<Compiled>,
}

/// Our own two, each for a PID namespace of its own and for a shared one.
static DEFAULT: [OnceLock<Arc<Rules>>; 2] = [const { OnceLock::new() }; 2];
static STRICT: [OnceLock<Arc<Rules>>; 2] = [const { OnceLock::new() }; 2];

/// The instructions for `profile` in a container that has the capabilities `caps`.
pub(crate) fn filter(profile: &Profile, caps: u64) -> Result<Arc<[sock_filter]>> {
    let rules = &profile.rules;
    let key = (profile.refusal, caps & rules.document.relevant_caps());
    let mut compiled = rules.compiled.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = compiled.get(&key) {
        return Ok(program.clone());
    }
    let tables = rules.document.tables(&setting(caps)?, profile.refusal);
    let program: Arc<[sock_filter]> = compile::compile(&tables)?.into();
    compiled.insert(key, program.clone());
    Ok(program)
}

impl Profile {
    /// The profile of every container that asks for no other.
    pub(crate) fn default_profile() -> Self {
        Self::of(DEFAULT[0].get_or_init(|| Rules::of(builtin::default(false))).clone())
    }

    /// The profile for programs of strangers.
    pub(crate) fn strict() -> Self {
        Self::of(STRICT[0].get_or_init(|| Rules::of(builtin::strict(false))).clone())
    }

    /// The same profile for a container in the PID namespace of others: ours let it change nothing of those then.
    #[must_use]
    pub(crate) fn among_others(mut self) -> Self {
        for (rules, document) in [(&DEFAULT, builtin::default as fn(bool) -> Document), (&STRICT, builtin::strict)] {
            if rules[0].get().is_some_and(|own| Arc::ptr_eq(own, &self.rules)) {
                self.rules = rules[1].get_or_init(|| Rules::of(document(true))).clone();
                break;
            }
        }
        self
    }

    /// A profile in docker's JSON format; `origin` is what an error calls it.
    pub(crate) fn from_json(text: &str, origin: &str) -> Result<Self> {
        Ok(Self::of(Rules::of(json::parse(text, origin)?)))
    }

    /// As [`Profile::from_json`], from a regular file. A device or a pipe may have no end, or keep us waiting.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        /// Docker's has some 16 KiB.
        const MAX: u64 = 4 << 20;
        let origin = path.display();
        let failed = |error| Error::io(Step::ReadSeccompProfile, &origin, &error);
        let refused = |why: String| Err(Error::invalid(Step::ReadSeccompProfile, &origin, why));
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = crate::sys::file::open_with(&options, path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return refused("it is no regular file".into());
        }
        let mut text = String::new();
        if file.take(MAX + 1).read_to_string(&mut text).map_err(failed)? as u64 > MAX {
            return refused(format!("it has more than {} MiB", MAX >> 20));
        }
        Self::from_json(&text, &origin.to_string())
    }

    /// The same profile with another answer to what it refuses by default: an errno, death, or [`Action::LOG`], which
    /// refuses nothing and finds out what a program needs.
    #[must_use]
    pub(crate) fn refuse_with(mut self, action: Action) -> Self {
        self.refusal = Some(action);
        self
    }

    /// Whether no program under it finds a key by a system call, keyrings(7).
    pub(crate) fn closes_keyrings(&self) -> bool {
        let document = &self.rules.document;
        let lets = |group: &document::Group| {
            let keys = ["keyctl", "add_key", "request_key"];
            group.action.permits() && group.names.iter().any(|name| keys.contains(&name.as_ref()))
        };
        !self.refusal.unwrap_or(document.default).permits() && !document.groups.iter().any(lets)
    }

    /// SECCOMP_FILTER_FLAG_* for seccomp(2).
    pub(crate) fn flags(&self) -> u32 {
        self.rules.document.flags
    }

    fn of(rules: Arc<Rules>) -> Self {
        Self { rules, refusal: None }
    }
}

impl Rules {
    fn of(document: Document) -> Arc<Self> {
        Arc::new(Self { document, compiled: Mutex::default() })
    }
}

/// This machine, and `caps`.
fn setting(caps: u64) -> Result<Setting> {
    let Some(native) = syscalls::Arch::NATIVE else {
        let why = "ctr has no table of system calls for this machine";
        return Err(Error::new(ErrorCode::Unsupported, Step::CompileSeccompProfile, "", libc::ENOSYS, why)
            .with_hint("turn seccomp off"));
    };
    let name = uname().map_err(|errno| Error::system(Step::AskForKernelVersion, "", errno as i32))?;
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    Ok(Setting { native, kernel: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)), caps })
}
