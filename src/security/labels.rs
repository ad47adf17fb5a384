//! Labels of security modules, apparmor(7) and selinux(8): under which profile or context the programs of a container run, and
//! what its own mounts are labelled with. Policies are not ours: a label names what the administrator has loaded.
//!
//! A label is written to the `exec` attribute of proc_pid_attr(5). It counts for the next execve(2), which PID 1 never does;
//! whoever it starts inherits the attribute, and has the label from its execve on. So it is written once, when the container
//! is made, and costs a program nothing; and no program runs without it, whoever asked for it.

use std::ffi::CString;
use std::path::Path;

use super::procfs;
use crate::plan::{Plan, quote};
use crate::{Config, Error, ErrorCode, Result, Step, hints};

/// A security module that gives labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    AppArmor,
    SELinux,
}

/// The labels that a container has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    programs: Vec<(Module, String)>,
    /// The context of its mounts.
    pub(crate) mounts: Option<CString>,
}

impl Chosen {
    /// Those of `config` that this machine can give. One that it can't is an error, unless they are optional.
    pub(crate) fn of(config: &Config) -> Result<Self> {
        let mut chosen = Self::default();
        for (module, label) in [(Module::AppArmor, &config.apparmor), (Module::SELinux, &config.selinux)] {
            let Some(label) = label else { continue };
            if module.is_there_for(label, config.labels_optional)? {
                chosen.programs.push((module, label.clone()));
            }
        }
        if let Some(label) = &config.selinux_mounts
            && Module::SELinux.is_there_for(label, config.labels_optional)?
        {
            chosen.mounts = CString::new(label.as_bytes()).ok();
        }
        Ok(chosen)
    }
}

/// Whether this machine has AppArmor, and SELinux.
pub(crate) fn active() -> [bool; 2] {
    [Module::AppArmor, Module::SELinux].map(Module::is_active)
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::AppArmor => "AppArmor",
            Self::SELinux => "SELinux",
        }
    }

    fn is_active(self) -> bool {
        match self {
            Self::AppArmor => crate::sys::file::read("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|text| text.starts_with(b"Y")),
            // Registered only where it is turned on.
            Self::SELinux => {
                crate::sys::file::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("selinuxfs"))
            }
        }
    }

    /// Whether `label` can be given; it is checked either way.
    fn is_there_for(self, label: &str, optional: bool) -> Result<bool> {
        let step = match self {
            Self::AppArmor => Step::UseApparmorLabel,
            Self::SELinux => Step::UseSelinuxLabel,
        };
        let plain = |c: char| !c.is_control() && c != '"';
        if label.is_empty() || label.len() > 4000 || !label.chars().all(plain) {
            return Err(Error::invalid(step, label, "a label is one line of text, without quotes, and not empty"));
        }
        // Whoever asks for no profile has what they ask for.
        if self.is_active() || optional || (self == Self::AppArmor && label == "unconfined") {
            return Ok(self.is_active());
        }
        let why = format!("{} is not active on this machine", self.name());
        Err(Error::new(ErrorCode::Unsupported, step, label, libc::EOPNOTSUPP, why).with_hint(hints::NO_MODULE))
    }

    /// Below /proc/thread-self/attr: AppArmor's own file where the kernel has one, else the one that is the first module's.
    fn file(self) -> &'static str {
        match self {
            Self::AppArmor if Path::new("/proc/self/attr/apparmor/exec").exists() => "thread-self/attr/apparmor/exec",
            _ => "thread-self/attr/exec",
        }
    }

    fn command(self, label: &str) -> String {
        match self {
            Self::AppArmor => format!("aa-exec -p {} bash", quote(label)),
            Self::SELinux => format!("runcon {} bash", quote(label)),
        }
    }
}

/// Writes the labels of programs, by the container's own procfs in the working directory, or the caller's at `/proc`
/// (CVE-2019-16884: written to something else, a label would be lost in silence).
pub(crate) fn set(plan: &mut Plan<'_>, labels: &Chosen, own_proc: bool) {
    if labels.programs.is_empty() {
        return;
    }
    let proc = procfs::open(plan, own_proc);
    for (module, label) in &labels.programs {
        let what = format!("the {} label {label}", module.name());
        plan.step(
            Step::RunProgramsUnder,
            what,
            "rules of the machine's administrator hold inside",
            module.command(label),
        );
        let text = if *module == Module::AppArmor { format!("exec {label}") } else { label.clone() };
        procfs::write(plan, proc, module.file(), &text, procfs::Links::OfOurselves);
    }
    plan.close(proc);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_and_its_module_is_asked_for_first() {
        for label in ["", "a\nb", "a\0b", "a\"b", &"x".repeat(5000)] {
            let config = Config { apparmor: Some(label.into()), labels_optional: true, ..Config::default() };
            assert_eq!(Chosen::of(&config).unwrap_err().code(), ErrorCode::Invalid, "{label:?}");
        }
        for module in [Module::AppArmor, Module::SELinux].into_iter().filter(|module| !module.is_active()) {
            let error = module.is_there_for("x", false).unwrap_err();
            assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EOPNOTSUPP));
            assert!(error.to_string().contains(module.name()) && !error.hint().is_empty(), "{error}");
            assert!(!module.is_there_for("x", true).unwrap());
        }
        assert!(Module::AppArmor.is_there_for("unconfined", false).is_ok());
    }

    #[test]
    fn each_label_is_written_once_where_its_module_reads_it() {
        let chosen = Chosen {
            programs: vec![(Module::AppArmor, "docker-default".into()), (Module::SELinux, "u:r:t:s0:c1,c2".into())],
            mounts: None,
        };
        let mut plan = Plan::new();
        set(&mut plan, &chosen, true);
        let commands = plan.commands().into_iter().map(|(_, command)| command).collect::<String>();
        assert!(
            commands.contains("aa-exec -p docker-default") && commands.contains("runcon u:r:t:s0:c1,c2"),
            "{commands}"
        );
        let data = String::from_utf8_lossy(plan.bytes_so_far());
        for text in ["exec docker-default\0", "u:r:t:s0:c1,c2\0"] {
            assert_eq!(data.matches(text).count(), 1, "{text} in {data:?}");
        }
        let mut empty = Plan::new();
        set(&mut empty, &Chosen::default(), true);
        assert_eq!(empty.len(), 0);
    }
}
