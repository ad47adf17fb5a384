//! Containers in containers: this program runs itself in a container of ours, in which it makes another one.

mod common;

use common::{busybox_tar, captured, end_of, has_ids, sh};
use ctr::{Bind, Config, Container, Mount, Preset, Stdio};
use std::path::PathBuf;

/// How deep the innermost process is.
const DEPTH: u32 = 2;

/// The files that $CTR_FILES names and this program are in /lane of every container.
fn files() -> Vec<Mount> {
    let me = std::env::current_exe().unwrap();
    let files = std::env::var("CTR_FILES").unwrap_or_default();
    let files = files.split(':').filter(|file| !file.is_empty()).map(PathBuf::from);
    // Not every file system can be id-mapped, so not wherever cargo has put them; see common::scratch.
    let at_hand = |file: PathBuf| {
        let copy = common::scratch("lane").join(file.file_name().unwrap());
        std::fs::copy(&file, &copy).unwrap();
        copy
    };
    let bind = |source: PathBuf| {
        let target = PathBuf::from("/lane").join(source.file_name().unwrap());
        Mount::Bind(Bind::new(source, target).with(|b| b.read_only = true))
    };
    files.chain([me]).map(at_hand).map(bind).collect()
}

/// Runs `role`, an ignored test below, one deeper, as root inside; what it said.
fn deeper(role: &str) -> String {
    let depth: u32 = std::env::var("CTR_DEPTH").map_or(0, |depth| depth.parse().unwrap());
    let mounts = files();
    let paths: Vec<String> = mounts.iter().map(|mount| mount.target().to_string_lossy().into_owned()).collect();
    let config = Config::default().with(|c| {
        c.preset = Preset::Privileged;
        c.mounts = mounts;
    });
    let c = Container::create("host", &config).unwrap_or_else(|error| panic!("{depth} deep: {error}"));
    let mut env = vec![
        ("CTR_DEPTH".into(), (depth + 1).to_string().into()),
        ("CTR_TEST_SCRATCH".into(), "/tmp".into()),
        ("CTR_FILES".into(), paths[..paths.len() - 1].join(":").into()),
    ];
    env.extend(std::env::var_os("CTR_COMMAND").map(|command| ("CTR_COMMAND".into(), command)));
    let config = captured().with(|c| {
        c.env = env;
        c.stdin = Stdio::Null;
    });
    let argv = [paths.last().unwrap(), "--exact", role, "--ignored", "--nocapture", "--test-threads=1"];
    let p = c.exec(argv, &config).unwrap();
    let said = common::read_all(p.take_stdout().unwrap());
    assert_eq!(end_of(&p).code, 0, "{} deep: {said}", depth + 1);
    said
}

fn is_innermost() -> bool {
    std::env::var("CTR_DEPTH").is_ok_and(|depth| depth.parse() == Ok(DEPTH))
}

#[test]
fn a_container_lives_in_a_container_in_a_container() {
    assert!(deeper("role_lives").contains("the innermost lives"));
}

#[test]
#[ignore = "a role"]
fn role_lives() {
    if !is_innermost() {
        // Of its own cgroup a container has a view, and can make none in it.
        let limited = Config::default().with(|c| c.memory = Some(64 << 20));
        let error = Container::create("host", &limited).map(drop).unwrap_err().to_string();
        let is_seen = std::fs::read_dir("/sys/fs/cgroup").unwrap().next().is_some();
        let why = if is_seen { "it is mounted read-only" } else { "no cgroup file system is mounted" };
        assert!(error.contains(why), "{error}");
        return println!("{}", deeper("role_lives"));
    }
    let c = Container::create(busybox_tar(), &Config::default()).unwrap();
    assert_eq!(sh(&c, "id -u; echo x > /etc/new && cat /etc/new /proc/1/comm"), "0\nx\nctr-init");
    assert_eq!(has_ids(&c, 65536), has_ids(&Container::create("host", &Config::default()).unwrap(), 65536));
    let joined = Container::join(c.name()).unwrap();
    assert_eq!(sh(&joined, "cat /etc/new"), "x");
    c.destroy().unwrap();
    // Nothing that the kernel refuses here but cgroups, which are not shown inside.
    let refused: Vec<_> = ctr::probe().into_iter().filter(|check| !check.ok).collect();
    let expected = ["memory limit", "pids limit", "cpu limit", "cpuset limit", "device list", "further ids"];
    assert!(refused.iter().all(|check| expected.contains(&check.name)), "{refused:?}");
    println!("the innermost lives");
}

/// Runs $CTR_COMMAND, with /lane in PATH, in the innermost container: how lanes of `make test` run other tests.
#[test]
#[ignore = "a role"]
fn role_command() {
    if !is_innermost() {
        return println!("{}", deeper("role_command"));
    }
    let command = std::env::var("CTR_COMMAND").unwrap();
    let status = std::process::Command::new("/bin/sh").args(["-c", &command]).status().unwrap();
    assert!(status.success());
}
