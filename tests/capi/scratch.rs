//! A place for one test: directories of its own for everything that containers leave while they run, and the proof that
//! nothing of it is left.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, process};

/// Removed when it is dropped.
pub struct Scratch {
    directory: PathBuf,
    /// What others had left before us.
    cgroups: Vec<PathBuf>,
}

/// How a program ended and what it printed, both streams.
pub struct Output {
    pub success: bool,
    pub code: Option<i32>,
    pub text: String,
}

/// A program that runs until its stdin ends.
pub struct Running {
    child: Child,
    lines: BufReader<process::ChildStdout>,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("ctr-capi-{}-{count}-{name}", process::id()));
        fs::create_dir(&directory).unwrap();
        // A test that gives up root has to get here.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, cgroups: cgroups() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The command with state, store and scratch files in here.
    pub fn command<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("CTR_STATE_DIR", self.path("state"))
            .env("CTR_STORE_DIR", self.path("store"))
            .env("SCRATCH", &self.directory)
            .stdin(Stdio::null())
    }

    pub fn run(&self, command: &mut Command) -> Output {
        let output = self.command(command).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Output { success: output.status.success(), code: output.status.code(), text: text.into_owned() }
    }

    pub fn start(&self, command: &mut Command) -> Running {
        let mut child = self.command(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    /// No record and no mount is left of the containers whose state was in here, and no cgroup of any that check.h named.
    pub fn nothing_is_left(&self) {
        let state = fs::read_dir(self.path("state")).into_iter().flatten().flatten();
        let records: Vec<PathBuf> =
            state.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        assert!(records.is_empty(), "records are left: {records:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = self.directory.to_str().unwrap();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(own)).collect();
        assert!(left.is_empty(), "mounts are left: {left:#?}");
        // "ctr-capi-PID-NUMBER.TAIL"; those of programs that run beside us are theirs.
        let living = |name: &str| {
            let pid = name.split('-').nth(2).and_then(|pid| pid.parse::<u32>().ok());
            pid.is_some_and(|pid| PathBuf::from(format!("/proc/{pid}")).exists())
        };
        let left: Vec<PathBuf> = cgroups()
            .into_iter()
            .filter(|path| !self.cgroups.contains(path))
            .filter(|path| !living(&path.file_name().unwrap().to_string_lossy()))
            .collect();
        assert!(left.is_empty(), "cgroups are left: {left:#?}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Running {
    /// Its next line of output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ends its stdin and waits for it.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cgroups of containers that check.h named.
fn cgroups() -> Vec<PathBuf> {
    let find = ["/sys/fs/cgroup", "-depth", "-type", "d", "-name", "ctr-capi-*"];
    let found = Command::new("find").args(find).stderr(Stdio::null()).output().unwrap().stdout;
    String::from_utf8_lossy(&found).lines().map(PathBuf::from).collect()
}
