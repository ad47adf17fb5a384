//! Import of an archive against `tar`: medians of interleaved runs, each into a fresh directory, and their ratio.
//!
//! `cargo bench --bench import -- ARCHIVE…` compares the given ones; without any, a minbase Debian is made by mmdebstrap
//! in $CTR_BENCH_DIR (default: the temporary directory) and packed as .tar, .tar.gz and .tar.zst. The target is a tmpfs
//! where /dev/shm is one; CTR_BENCH_TARGET names another place. Run as root, as the owners are part of the work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ctr::image::Store;

const ROUNDS: usize = 9;

fn main() {
    let given: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|argument| argument != "--bench").map(PathBuf::from).collect();
    let archives = if given.is_empty() { debian() } else { given };
    let place = std::env::var_os("CTR_BENCH_TARGET").map_or_else(|| "/dev/shm".into(), PathBuf::from);
    println!("import into fresh directories of {}, {ROUNDS} interleaved rounds, medians", place.display());
    println!("{:<32} {:>9} {:>9} {:>7} {:>10}", "archive", "ctr", "tar", "ratio", "known");
    for archive in archives {
        compare(&archive, &place);
    }
}

fn compare(archive: &Path, place: &Path) {
    let (mut ours, mut theirs, mut known) = (Vec::new(), Vec::new(), Vec::new());
    // One round to warm the page cache, not counted.
    for round in 0..=ROUNDS {
        let target = place.join(format!("ctr-bench-{}", std::process::id()));
        let store = Store::open(Some(&target)).expect("a store");
        let start = Instant::now();
        store.resolve(archive.as_os_str()).expect("an import");
        let import = start.elapsed();
        let start = Instant::now();
        store.resolve(archive.as_os_str()).expect("a look-up");
        let look_up = start.elapsed();
        std::fs::remove_dir_all(&target).expect("removal");

        std::fs::create_dir(&target).expect("a directory");
        let start = Instant::now();
        let status = Command::new("tar").arg("xf").arg(archive).arg("-C").arg(&target).status().expect("tar");
        let tar = start.elapsed();
        assert!(status.success());
        std::fs::remove_dir_all(&target).expect("removal");
        if round > 0 {
            ours.push(import);
            theirs.push(tar);
            known.push(look_up);
        }
    }
    let (ours, theirs, known) = (median(ours), median(theirs), median(known));
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "{name:<32} {:>6} ms {:>6} ms {ratio:>7.2} {:>7} µs",
        ours.as_millis(),
        theirs.as_millis(),
        known.as_micros()
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn debian() -> Vec<PathBuf> {
    let place = std::env::var_os("CTR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let tar = place.join("ctr-bench-debian.tar");
    if !tar.exists() {
        let mut command = Command::new("mmdebstrap");
        run(command.args(["--quiet", "--variant=minbase", "stable"]).arg(&tar));
    }
    let path = |extension: &str| tar.with_extension(format!("tar.{extension}"));
    if !path("gz").exists() {
        run(Command::new("gzip").arg("-kf").arg(&tar));
    }
    if !path("zst").exists() {
        run(Command::new("zstd").args(["-qkf"]).arg(&tar));
    }
    vec![path("gz"), tar.clone(), path("zst")]
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
