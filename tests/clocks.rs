//! Clocks that are set off from the host's, in a time namespace of the container's own.

mod common;

use common::{host, sh};
use ctr::{Config, Container, ErrorCode, Namespace, Namespaces, TimeOffset, TimeOffsets};

const DAY: i64 = 86_400;

fn with(monotonic: TimeOffset, boottime: TimeOffset) -> Config {
    let namespaces = Namespaces::default().with(|n| n.time = Some(Namespace::New));
    Config::default().with(|c| {
        c.namespaces = namespaces;
        c.time_offsets = TimeOffsets::default().with(|t| {
            t.monotonic = monotonic;
            t.boottime = boottime;
        });
    })
}

fn secs(secs: i64) -> TimeOffset {
    TimeOffset { secs, nanosecs: 0 }
}

fn uptime() -> f64 {
    first_number(&std::fs::read_to_string("/proc/uptime").unwrap())
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn refused(config: &Config) -> ctr::Error {
    Container::create("host", config).err().expect("it is refused")
}

#[test]
fn the_uptime_inside_is_what_was_asked_for() {
    let before = uptime();
    let c = Container::create("host", &with(secs(0), TimeOffset { secs: DAY, nanosecs: 500_000_000 })).unwrap();
    let inside = first_number(&sh(&c, "cat /proc/uptime"));
    let after = uptime();
    // /proc/uptime has hundredths, cut off.
    let off = DAY as f64 + 0.5;
    assert!(before + off - 0.02 <= inside && inside <= after + off + 0.02, "{before} {inside} {after}");
    assert_ne!(sh(&c, "readlink /proc/self/ns/time"), sh(&host(), "readlink /proc/self/ns/time"));
    let again = first_number(&sh(&c, "cat /proc/uptime"));
    assert!(again >= inside);
}

#[test]
fn each_clock_is_set_off_on_its_own_and_the_wall_clock_is_not() {
    let c = Container::create("host", &with(secs(2 * DAY), secs(-1))).unwrap();
    assert_eq!(sh(&c, "tr -s ' ' </proc/self/timens_offsets"), format!("monotonic {} 0\nboottime -1 0", 2 * DAY));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let inside: u64 = sh(&c, "date +%s").parse().unwrap();
    assert!((now..now + 3600).contains(&inside), "{now} {inside}");
    // PID 1's own clock is the container's: its limits count in it.
    let limited = common::captured().with(|c| c.time_limit = Some(std::time::Duration::from_millis(50)));
    let exit = common::run_with(&c, &["sleep", "1000"], &limited).1;
    assert_eq!(exit.reason, ctr::ExitReason::TimedOut);
}

#[test]
fn who_joins_has_the_same_clocks() {
    let scope = common::leftovers::Scope::new("clocks");
    let Config { namespaces, time_offsets, .. } = with(secs(0), secs(DAY));
    let c = Container::create(
        "host",
        &scope.config().with(|c| {
            c.namespaces = namespaces;
            c.time_offsets = time_offsets;
        }),
    )
    .unwrap();
    let own = sh(&c, "readlink /proc/self/ns/time");
    let joined = scope.client().join(c.name()).unwrap();
    assert_eq!(sh(&joined, "readlink /proc/self/ns/time"), own);
    let shared = Namespaces::default().with(|n| n.time = Some(Namespace::Container(c.name().into())));
    let shared = shared.with(|n| n.user = Namespace::Container(c.name().into()));
    let other = Container::create("host", &scope.config().with(|c| c.namespaces = shared)).unwrap();
    assert_eq!(sh(&other, "readlink /proc/self/ns/time"), own);
    for c in [other, joined] {
        c.destroy().unwrap();
    }
    scope.assert_nothing_left();
}

#[test]
fn offsets_that_cannot_be_are_refused_by_name() {
    let mut shared = with(secs(0), secs(1));
    for time in [None, Some(Namespace::Host), Some(Namespace::Pid(std::process::id() as i32))] {
        shared.namespaces.time = time;
        let error = refused(&shared);
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
        assert!(error.to_string().contains("boottime") && error.hint().contains("new"), "{error}");
    }
    for offset in [TimeOffset { secs: 0, nanosecs: 1_000_000_000 }, secs(i64::MAX), secs(i64::MIN)] {
        assert_eq!(refused(&with(offset, secs(0))).code(), ErrorCode::Invalid);
    }
    let error = refused(&with(secs(0), secs(-(uptime() as i64) - 3600)));
    assert_eq!((error.code(), error.errno()), (ErrorCode::Invalid, libc::ERANGE), "{error}");
    assert!(error.to_string().contains("boottime") && error.hint().contains("boot"), "{error}");
}

#[test]
fn explain_says_what_a_person_would_type() {
    let text = ctr::explain("host", &with(secs(-5), secs(DAY))).unwrap();
    assert!(text.contains("unshare --time --monotonic=-5 --boottime=86400 --fork bash"), "{text}");
    assert!(!ctr::explain("host", &Config::default()).unwrap().contains("--time"));
}
