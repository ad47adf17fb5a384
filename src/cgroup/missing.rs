//! Why a container can't have a cgroup with a controller, for the errors and `libctr doctor`.

use std::path::Path;

use nix::errno::Errno;

use super::controller::Version;
use crate::{Error, ErrorCode, Step, hints};

/// Why a controller can't be had, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) errno: i32,
    why: String,
    hint: String,
}

impl Missing {
    pub(super) fn not_mounted() -> Self {
        Self {
            errno: libc::ENOENT,
            why: "no cgroup file system is mounted".into(),
            hint: "mount -t cgroup2 none /sys/fs/cgroup; in a container, start the outer one with its cgroups mounted"
                .into(),
        }
    }

    pub(super) fn no_controller(path: &Path, controller: &str) -> Self {
        let why = format!("{} does not have the {controller} controller", path.display());
        // Only the root of the whole tree has none of these.
        if path.join("cgroup.events").exists() {
            let hint = hints::not_handed_on(path.parent().unwrap_or(path), controller);
            return Self { errno: libc::ENOENT, why, hint };
        }
        Self {
            errno: libc::ENOENT,
            why,
            hint: format!(
                "start the kernel without cgroup_disable={controller} (on some boards: with cgroup_enable={controller}); or {}",
                hints::cgroups_of_v2()
            ),
        }
    }

    pub(super) fn not_writable(version: Version, path: &Path, errno: Errno) -> Self {
        let hint = match errno {
            Errno::ENOENT => format!("make it first, or choose another: mkdir {}", path.display()),
            Errno::EROFS => {
                format!(
                    "it is mounted read-only; start the outer container with its cgroups writable, as by docker run --privileged \
                     --cgroupns=private, or in a pod of Kubernetes securityContext.privileged; or {}",
                    hints::NO_CGROUP
                )
            }
            _ => {
                let own = match version {
                    Version::V1 => hints::cgroups_of_v1(path),
                    Version::V2 => hints::cgroups_of_v2().into(),
                };
                format!("{own}; or {}", hints::NO_CGROUP)
            }
        };
        let why = match errno {
            Errno::ENOENT => format!("there is no cgroup {}", path.display()),
            _ => format!("this user may not make cgroups in {}", path.display()),
        };
        Self { errno: errno as i32, why, hint }
    }

    pub(super) fn has_processes(path: &Path) -> Self {
        Self {
            errno: libc::EBUSY,
            why: format!(
                "{} has processes of its own and so can't hand controllers on (cgroups(7), \"no internal processes\")",
                path.display()
            ),
            hint: format!(
                "move them into a leaf: mkdir {0}/host; for p in $(cat {0}/cgroup.procs); do echo $p > {0}/host/cgroup.procs; done",
                path.display()
            ),
        }
    }

    /// Why, and who knows what to do about it.
    pub(super) fn words(&self) -> String {
        format!("{} (libctr doctor says what to do)", self.why)
    }

    /// What a caller that needs the controller is told.
    pub(super) fn error(&self, controller: &str) -> Error {
        let cgroup = format!("{controller} cgroup");
        Error::new(ErrorCode::Unsupported, Step::MakeControllerCgroup, cgroup, self.errno, self.why.clone())
            .with_hint(self.hint.clone())
    }
}
