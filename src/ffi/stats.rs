//! ctr_stats: what a container uses.

use std::ffi::c_int;
use std::time::Duration;

use super::border::border;
use super::container::container;
use super::types::{CTR_NOT_COUNTED, ctr_container, ctr_stat};
use crate::{Error, Pressure, Result, Stall, Stats, Step};

/// What a container uses at this moment, as its cgroup counts it; of a joined container too, and while it is paused. It asks
/// the kernel only, and takes 60 to 100 microseconds, half of that from the second call on: the handle then keeps some ten
/// files of the cgroup open, as far as all handles of the process have no more than 128 of them.
///
/// values   gets the numbers, each at its index of enum ctr_stat. One that is not counted on this machine, or for a
///          container without the limit that it belongs to, is CTR_NOT_COUNTED, never 0. Times and sums only grow
/// count    how many values has room for. Those that this release doesn't know are CTR_NOT_COUNTED, and those that the
///          caller has no room for are left out, so that a program and a library of different releases fit. What has
///          room for CTR_STAT_OOM_KILLS, say, is uint64_t now[CTR_STAT_OOM_KILLS + 1]
///
/// Return value: how many numbers this release knows, however many values has room for; CTR_ERR_UNSUPPORTED when the
/// container has no cgroup, and for ctr_join_pid(); CTR_ERR_DESTROYED; CTR_ERR_INVALID, also when count is negative. On
/// failure all values are CTR_NOT_COUNTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_stats(c: *mut ctr_container, values: *mut u64, count: c_int) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let values = unsafe { array(values, count) }?;
        values.fill(CTR_NOT_COUNTED);
        let numbers = numbers(&container(c)?.container.stats()?);
        for (value, number) in values.iter_mut().zip(numbers) {
            *value = number.unwrap_or(CTR_NOT_COUNTED);
        }
        Ok(KNOWN as c_int)
    })
}

/// As many as there are.
const KNOWN: usize = ctr_stat::CTR_STAT_PRESSURE_IO_FULL_TOTAL as usize + 1;

/// In the order of `ctr_stat`.
fn numbers(stats: &Stats) -> [Option<u64>; KNOWN] {
    let micros = |time: Option<Duration>| time.map(|time| time.as_micros() as u64);
    let (memory, cpu, pressure) = (&stats.memory, &stats.cpu, &stats.pressure);
    let own = [
        memory.current,
        memory.peak,
        memory.anon,
        memory.file,
        memory.kernel,
        memory.sock,
        memory.shmem,
        micros(cpu.user),
        micros(cpu.system),
        micros(cpu.throttled),
        cpu.periods,
        cpu.throttled_periods,
        stats.pids.current,
        stats.io.read,
        stats.io.written,
        stats.oom_kills,
    ];
    let stalls = |pressure: Option<Pressure>| [pressure.map(|it| it.some), pressure.and_then(|it| it.full)];
    let stalls = [pressure.memory, pressure.cpu, pressure.io].into_iter().flat_map(stalls);
    let hundredths = |percent: f64| (percent * 100.0).round() as u64;
    let parts = |stall: Stall| {
        [stall.avg10, stall.avg60, stall.avg300].map(hundredths).into_iter().chain([stall.total.as_micros() as u64])
    };
    let mut numbers = [None; KNOWN];
    let (first, rest) = numbers.split_at_mut(own.len());
    first.copy_from_slice(&own);
    for (four, stall) in rest.chunks_mut(4).zip(stalls) {
        if let Some(stall) = stall {
            four.iter_mut().zip(parts(stall)).for_each(|(to, part)| *to = Some(part));
        }
    }
    numbers
}

/// The caller's array.
///
/// # Safety
/// `values` is NULL, or has room for `count` numbers that nobody else uses during the call.
pub(super) unsafe fn array<'a>(values: *mut u64, count: c_int) -> Result<&'a mut [u64]> {
    let count = usize::try_from(count).map_err(|_| Error::invalid(Step::Argument, "count", "it is negative"))?;
    if values.is_null() {
        return Err(Error::invalid(Step::Argument, "values", "it is NULL"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(values, count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_at_its_place() {
        let stall = |avg10, micros| Stall { avg10, total: Duration::from_micros(micros), ..Stall::default() };
        let mut stats = Stats { oom_kills: Some(7), ..Stats::default() };
        stats.memory.shmem = Some(6);
        stats.cpu.user = Some(Duration::from_millis(5));
        stats.pressure.cpu = Some(Pressure { some: stall(1.25, 4), full: None });
        stats.pressure.io = Some(Pressure { some: stall(0.0, 3), full: Some(stall(100.0, 2)) });
        let told = numbers(&stats);
        let mut expected = [None; KNOWN];
        for (at, number) in [
            (ctr_stat::CTR_STAT_OOM_KILLS as usize, 7),
            (ctr_stat::CTR_STAT_MEMORY_SHMEM as usize, 6),
            (ctr_stat::CTR_STAT_CPU_USER as usize, 5000),
            (ctr_stat::CTR_STAT_PRESSURE_CPU_SOME_AVG10 as usize, 125),
            (ctr_stat::CTR_STAT_PRESSURE_CPU_SOME_AVG60 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_CPU_SOME_AVG300 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_CPU_SOME_TOTAL as usize, 4),
            (ctr_stat::CTR_STAT_PRESSURE_IO_SOME_AVG10 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_IO_SOME_AVG60 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_IO_SOME_AVG300 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_IO_SOME_TOTAL as usize, 3),
            (ctr_stat::CTR_STAT_PRESSURE_IO_FULL_AVG10 as usize, 10_000),
            (ctr_stat::CTR_STAT_PRESSURE_IO_FULL_AVG60 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_IO_FULL_AVG300 as usize, 0),
            (ctr_stat::CTR_STAT_PRESSURE_IO_FULL_TOTAL as usize, 2),
        ] {
            expected[at] = Some(number);
        }
        assert_eq!(told, expected);
    }
}
