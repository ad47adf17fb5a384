//! ctr_container_list: what runs.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::border::{at, border, bytes, out};
use super::handle::{Ref, Table};
use super::types::ctr_container_list;
use crate::{Client, Container, ContainerInfo, Result};

static LISTS: Table<Vec<Line>> = Table::new("list", 5);

struct Line {
    name: CString,
    image: CString,
    info: ContainerInfo,
}

/// The running containers of this user, oldest first, as they are now. It also removes what dead owners left. A host
/// need not call it for that: the first ctr_create() of a process, and some of the later ones, remove it too, at a
/// bounded cost.
///
/// Return value: 0 and the list in *out, which ctr_list_free() frees; CTR_ERR_SYSTEM when the state directory can't be
/// read, CTR_ERR_INVALID. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_list(out: *mut *mut ctr_container_list) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = new_list(Container::list()?)?;
        Ok(0)
    })
}

/// As ctr_list(), for the containers that were made with ctr_config_set_state_dir().
///
/// Return value: as ctr_list().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_list_in(state_dir: *const c_char, out: *mut *mut ctr_container_list) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, dir) = unsafe { (self::out("out", out)?, bytes("state_dir", state_dir)?) };
        *out = new_list(Client::new().with_state_dir(Path::new(dir)).list()?)?;
        Ok(0)
    })
}

/// How many containers are in a list; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_count(list: *const ctr_container_list) -> c_int {
    border(|| Ok(c_int::try_from(LISTS.get(list)?.len()).unwrap_or(c_int::MAX)))
}

/// The name of a container, as ctr_join() takes it.
///
/// Return value: a string that is good until ctr_list_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_name(list: *const ctr_container_list, index: c_int) -> *const c_char {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.name.as_ptr()))
}

/// What a container was made from, as ctr_create() got it.
///
/// Return value: as ctr_list_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_image(list: *const ctr_container_list, index: c_int) -> *const c_char {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.image.as_ptr()))
}

/// The pid of a container's PID 1 on the host.
///
/// Return value: the pid; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_pid(list: *const ctr_container_list, index: c_int) -> i32 {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.info.pid))
}

/// The pid of the process that made a container.
///
/// Return value: as ctr_list_pid().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_owner(list: *const ctr_container_list, index: c_int) -> i32 {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.info.owner))
}

/// When a container was made, in milliseconds since the Epoch, time(7).
///
/// Return value: the time; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_created(list: *const ctr_container_list, index: c_int) -> i64 {
    border(|| {
        let lines = lines(list)?;
        let since = at(&lines, index, "lines")?.info.created.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Whether a container outlives its owner.
///
/// Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_detached(list: *const ctr_container_list, index: c_int) -> c_int {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.info.detached.into()))
}

/// Whether a container is paused, ctr_pause().
///
/// Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_paused(list: *const ctr_container_list, index: c_int) -> c_int {
    border(|| at(&lines(list)?, index, "lines").map(|line| line.info.paused.into()))
}

/// Frees a list and its strings. NULL is allowed. The containers are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_list_free(list: *mut ctr_container_list) {
    border(|| if list.is_null() { Ok(()) } else { LISTS.release(list).map(drop) });
}

fn lines(list: *const ctr_container_list) -> Result<Ref<'static, Vec<Line>>> {
    LISTS.get(list)
}

fn new_list(infos: Vec<ContainerInfo>) -> Result<*mut ctr_container_list> {
    let line = |info: ContainerInfo| Line { name: string(&info.name), image: string(&info.image), info };
    LISTS.insert(infos.into_iter().map(line).collect())
}

/// Neither a name nor a path can have a NUL, so this is the string itself.
fn string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}
