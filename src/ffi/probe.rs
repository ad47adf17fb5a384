//! ctr_probe: what this machine allows.

use std::ffi::{CString, c_char, c_int};

use super::border::{at, border, out};
use super::handle::{Ref, Table};
use super::types::ctr_report;
use crate::{Check, Result};

static REPORTS: Table<Vec<Line>> = Table::new("report", 12);

struct Line {
    ok: bool,
    name: CString,
    says: CString,
    hint: CString,
}

/// Checks what this machine allows this user and what it does not, and says what to do about it: namespaces, mounts,
/// ids, limits, filters, the system calls that containers are made with, where state and images are kept. Each check
/// does what a container would need, in a process that ends at once; nothing is left. `libctr doctor` prints the
/// same.
///
/// Return value: 0 and the report in *out, which ctr_report_free() frees; CTR_ERR_INVALID. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_probe(out: *mut *mut ctr_report) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = REPORTS.insert(crate::probe().into_iter().map(line).collect())?;
        Ok(0)
    })
}

/// How many checks are in a report; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_count(report: *const ctr_report) -> c_int {
    border(|| Ok(c_int::try_from(REPORTS.get(report)?.len()).unwrap_or(c_int::MAX)))
}

/// What was checked, as "user namespaces". Names don't change; later releases may add some.
///
/// Return value: a string that is good until ctr_report_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_name(report: *const ctr_report, index: c_int) -> *const c_char {
    border(|| at(&lines(report)?, index, "checks").map(|line| line.name.as_ptr()))
}

/// Whether it is allowed.
///
/// Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_ok(report: *const ctr_report, index: c_int) -> c_int {
    border(|| at(&lines(report)?, index, "checks").map(|line| line.ok.into()))
}

/// What was found; where it is not allowed, why, and what is lost.
///
/// Return value: as ctr_report_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_says(report: *const ctr_report, index: c_int) -> *const c_char {
    border(|| at(&lines(report)?, index, "checks").map(|line| line.says.as_ptr()))
}

/// What to do about it; "" where there is nothing to do, or nothing known.
///
/// Return value: as ctr_report_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_hint(report: *const ctr_report, index: c_int) -> *const c_char {
    border(|| at(&lines(report)?, index, "checks").map(|line| line.hint.as_ptr()))
}

/// Frees a report and its strings. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_report_free(report: *mut ctr_report) {
    border(|| if report.is_null() { Ok(()) } else { REPORTS.release(report).map(drop) });
}

fn lines(report: *const ctr_report) -> Result<Ref<'static, Vec<Line>>> {
    REPORTS.get(report)
}

fn line(check: Check) -> Line {
    let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
    Line { ok: check.ok, name: text(check.name), says: text(&check.says), hint: text(&check.hint) }
}
