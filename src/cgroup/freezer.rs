//! What stops processes where they are and lets them go on.
//!
//! On v2 every directory but the root has `cgroup.freeze`, and frozen processes die by SIGKILL. v1 has a hierarchy for it, in which a
//! container gets a directory when it is paused first; processes that are frozen there die once they are thawed.
//!
//! Rests on "cgroup.freeze" of Documentation/admin-guide/cgroup-v2.rst, and on .../cgroup-v1/freezer-subsystem.rst.

use std::path::Path;

use nix::errno::Errno;

use super::control;
use super::controller::{At, Row, When};
use super::directory::{Directory, without};
use crate::{Result, Step};

const V1_STATE: &str = "freezer.state";
pub(super) const FROZEN: &str = "FROZEN";
const V2_FREEZE: &str = "cgroup.freeze";
const V2_EVENTS: &str = "cgroup.events";

pub(super) const ROW: Row = Row {
    name: "freezer",
    v1_name: "freezer",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: true,
    v2_file: "",
    purpose: "its freezer cgroup",
    count: |_, _| Ok(()),
};

/// Has all of it stop, which takes a moment.
pub(super) fn freeze(at: At<'_>) -> Result<()> {
    match at {
        At::V1(directory) => directory.write(V1_STATE, FROZEN),
        At::V2(directory) => control::write(&directory.fd, V2_FREEZE, "1").map_err(|errno| match errno {
            Errno::ENOENT if !directory.is_removed() => {
                without(ROW.name).with_hint("pausing on cgroup v2 takes Linux 5.2, and a cgroup other than the root")
            }
            _ => directory.error(Step::Write, V2_FREEZE, errno),
        }),
    }
}

/// Lets all of it go on.
pub(super) fn thaw_at(at: At<'_>) -> Result<()> {
    match at {
        At::V1(directory) => directory.write(V1_STATE, "THAWED"),
        At::V2(directory) => directory.write(V2_FREEZE, "0"),
    }
}

/// Whether all of it stands still.
pub(super) fn is_frozen(at: At<'_>) -> Result<bool> {
    match at {
        At::V1(directory) => {
            if is_in(directory, FROZEN) {
                Ok(true)
            } else {
                directory.check_not_removed().map(|()| false)
            }
        }
        At::V2(directory) => {
            let frozen = control::read_keyed(&directory.fd, V2_EVENTS, "frozen");
            Ok(frozen.map_err(|errno| directory.error(Step::Read, V2_EVENTS, errno))? == Some(1))
        }
    }
}

/// Whether a cgroup above keeps it still, as far as it can be seen.
pub(super) fn is_frozen_above(at: At<'_>) -> bool {
    match at {
        At::V1(directory) => matches!(directory.read_number("freezer.parent_freezing"), Ok(Some(1))),
        At::V2(directory) => {
            let above = directory.path.ancestors().skip(1);
            let frozen = |path: &Path| crate::sys::file::read_to_string(path.join(V2_FREEZE));
            above.map_while(|path| frozen(path).ok()).any(|text| text.trim() == "1")
        }
    }
}

/// Whether a directory of v1 is in this state.
pub(super) fn is_in(directory: &Directory, state: &str) -> bool {
    control::has_word(&directory.fd, V1_STATE, state)
}
