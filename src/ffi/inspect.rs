//! ctr_walls and ctr_inspect: what holds a running container, and all that is known of it.

use std::ffi::{CString, c_char, c_int};

use super::border::{at, border, new_string, out};
use super::container::container;
use super::handle::{Ref, Table};
use super::types::{ctr_container, ctr_walls};
use crate::{Result, Wall};

static WALLS: Table<Vec<Line>> = Table::new("walls", 13);

struct Line {
    state: c_int,
    name: CString,
    says: CString,
    why: CString,
}

/// Every wall of a running container, whether it stands and why: user namespace, capabilities, seccomp and so on, as the
/// kernel shows them now, for a container of ctr_join() too. For ctr_join_pid() they are the walls around what is started
/// by that handle. ctr_explain() prints the same list for a container that is not made yet.
///
/// Return value: 0 and the list in *out, which ctr_walls_free() frees; CTR_ERR_DESTROYED, CTR_ERR_TIMED_OUT when its PID 1
/// does not answer, CTR_ERR_INVALID. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_walls_of(c: *const ctr_container, out: *mut *mut ctr_walls) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = WALLS.insert(container(c)?.container.walls()?.into_iter().map(line).collect())?;
        Ok(0)
    })
}

/// How many walls are in a list; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_count(walls: *const ctr_walls) -> c_int {
    border(|| Ok(c_int::try_from(lines(walls)?.len()).unwrap_or(c_int::MAX)))
}

/// What a wall is, as "seccomp". Names don't change; later releases may add some.
///
/// Return value: a string that is good until ctr_walls_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_name(walls: *const ctr_walls, index: c_int) -> *const c_char {
    border(|| at(&lines(walls)?, index, "walls").map(|line| line.name.as_ptr()))
}

/// Whether a wall stands.
///
/// Return value: one of enum ctr_wall_state; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_state(walls: *const ctr_walls, index: c_int) -> c_int {
    border(|| at(&lines(walls)?, index, "walls").map(|line| line.state))
}

/// How it stands, in a few words; may be "".
///
/// Return value: as ctr_walls_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_says(walls: *const ctr_walls, index: c_int) -> *const c_char {
    border(|| at(&lines(walls)?, index, "walls").map(|line| line.says.as_ptr()))
}

/// Why it is so: the preset, what was asked for, what this machine lacks.
///
/// Return value: as ctr_walls_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_why(walls: *const ctr_walls, index: c_int) -> *const c_char {
    border(|| at(&lines(walls)?, index, "walls").map(|line| line.why.as_ptr()))
}

/// Frees a list of walls and its strings. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_walls_free(walls: *mut ctr_walls) {
    border(|| if walls.is_null() { Ok(()) } else { WALLS.release(walls).map(drop) });
}

/// Describes a running container as a JSON object: "name", "pid", "paused", "image", "image_digest", "created" (seconds since
/// the Epoch), "owner", "detached", "preset", "warning", "state_dir", "store_dir", "upper", "cgroups",
/// "cgroup_place", "warnings", "limits", "network", "namespaces", "uid_map", "capabilities", "mounts",
/// "given_mounts" (what ctr_mounts_of() lists), and "walls" with "name", "state" ("on", "partly", "off"), "says" and "why" of each. Later releases may add members.
///
/// Return value: 0 and the text in *json, which ctr_string_free() frees; else as ctr_walls_of(), and *json is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_inspect(c: *const ctr_container, json: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let json = unsafe { out("json", json) }?;
        *json = new_string(&container(c)?.container.inspect()?.to_json())?;
        Ok(0)
    })
}

fn lines(walls: *const ctr_walls) -> Result<Ref<'static, Vec<Line>>> {
    WALLS.get(walls)
}

fn line(wall: Wall) -> Line {
    let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
    Line { state: wall.state as c_int, name: text(wall.name), says: text(&wall.says), why: text(&wall.why) }
}
