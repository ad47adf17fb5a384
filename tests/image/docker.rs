//! Docker's own engine, started for a test in namespaces of its own: it loads what we save and imports what we export, and what it
//! saves and exports we import, with the same tree.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ctr::Config;
use ctr::image::{Compression, ExportOptions, Output, SaveFormat, SaveOptions, Store};

use crate::round_trips::{assert_same, config, everything, import, our_tree, path, tree_lines};
use crate::support::*;

/// An engine that is gone with the test, and all that it has.
struct Docker {
    engine: Child,
    socket: PathBuf,
    /// Where its programs are looked for.
    programs: OsString,
}

impl Docker {
    /// `None`, and said why, where it can't be started.
    fn start(scratch: &Scratch) -> Option<Self> {
        let build = std::env::var_os("BUILD").unwrap_or_else(|| "build".into());
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join(build).join("docker/usr");
        let mut programs = std::env::var_os("PATH").unwrap_or_default();
        for directory in ["bin", "sbin"] {
            programs.push(":");
            programs.push(unpacked.join(directory));
        }
        if !std::env::split_paths(&programs).any(|directory| directory.join("dockerd").exists()) {
            skipped("there is no dockerd, neither in PATH nor where tools/setup unpacks it");
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            skipped("only root can start dockerd");
            return None;
        }
        let (place, log) = (scratch.path("docker"), scratch.path("docker.log"));
        std::fs::create_dir(&place).unwrap();
        let output = std::fs::File::create(&log).unwrap();
        let socket = place.join("socket");
        // It ends with us, however we end, and changes neither the host's mounts nor its network.
        let fence = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
        let quiet = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"];
        let at = |option: &str, name: &str| [OsString::from(option), place.join(name).into()];
        let engine = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(fence)
            .arg("dockerd")
            .args(quiet)
            .args(at("--data-root", "data").iter().chain(&at("--exec-root", "exec")).chain(&at("--pidfile", "pid")))
            .args(["--storage-driver", "overlay2", "--host", &format!("unix://{}", path(&socket))])
            .env("PATH", &programs)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut docker = Self { engine, socket, programs };
        let end = Instant::now() + Duration::from_secs(60);
        while !docker.command(&["version"]).output().is_ok_and(|output| output.status.success()) {
            if docker.engine.try_wait().unwrap().is_some() || Instant::now() > end {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                skipped(&format!("dockerd does not start: {}", said.lines().last().unwrap_or("it says nothing")));
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(docker)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments).env("PATH", &self.programs);
        command.env("DOCKER_HOST", format!("unix://{}", path(&self.socket)));
        command.env("DOCKER_CONFIG", self.socket.with_file_name("config"));
        command
    }

    /// What `docker` says, which has to succeed.
    fn say(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = self.engine.kill();
        let _ = self.engine.wait();
    }
}

#[test]
fn docker_loads_what_we_save_and_we_import_what_docker_saves() {
    let scratch = Scratch::new();
    let Some(docker) = Docker::start(&scratch) else {
        return;
    };
    let store = scratch.store();
    let image = scratch.write("a.tar", &docker_archive(&everything(), &config()));
    let first = import(&store, &image, "x:1");
    let ours = our_tree(&scratch, "ours", "x:1".as_ref());
    for (format, compression) in [(SaveFormat::Oci, Compression::Gzip), (SaveFormat::Docker, Compression::None)] {
        let saved = scratch.path(&format!("{format:?}.tar"));
        store
            .save(
                "x:1",
                Output::Path(&saved),
                &SaveOptions::default().with(|o| {
                    o.format = format;
                    o.compression = compression;
                }),
                &mut |_| true,
            )
            .unwrap();
        assert!(docker.say(&["load", "--input", path(&saved)]).contains("x:1"), "{format:?}");
        let told =
            docker.say(&["inspect", "--format", "{{json .Config.Env}} {{.Config.User}} {{.Config.StopSignal}}", "x:1"]);
        assert_eq!(told, r#"["A=1","PATH=/bin"] ann SIGQUIT"#);
        let back = scratch.path(&format!("{format:?}-back.tar"));
        docker.say(&["save", "--output", path(&back), "x:1"]);
        let other = Store::open(Some(&scratch.path("other"))).unwrap();
        let again = import(&other, &back, "again");
        assert_eq!((&again.config, again.layers.len()), (&first.config, 2), "{format:?}");
        import(&store, &back, "again");
        assert_same("docker save", &our_tree(&scratch, &format!("{format:?}-tree"), "again".as_ref()), &ours);
        docker.say(&["image", "rm", "x:1"]);
    }
}

#[test]
fn docker_imports_what_we_export_and_we_import_what_docker_exports() {
    let scratch = Scratch::new();
    let Some(docker) = Docker::start(&scratch) else {
        return;
    };
    let image = scratch.write("a.tar", &docker_archive(&everything(), &config()));
    let c = container(&scratch, &image, Config::default());
    let exported = scratch.path("exported.tar");
    c.export(Output::Path(&exported), &ExportOptions::default(), &mut |_| true).unwrap();
    drop(c);
    let ours = our_tree(&scratch, "ours", &image);
    docker.say(&["import", path(&exported), "y:1"]);
    // Created, not started: there is nothing to be seen of it in the host's cgroups.
    let id = docker.say(&["create", "y:1", "/bin/true"]);
    let theirs = scratch.path("theirs.tar");
    docker.say(&["export", "--output", path(&theirs), &id]);
    let place = scratch.path("theirs");
    std::fs::create_dir(&place).unwrap();
    let options = ["-xpf", path(&theirs), "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", path(&place)];
    run("tar", &options.map(OsStr::new));
    // Docker puts files of its own there to mount upon, and exports whole seconds.
    let made = [".dockerenv", "dev/", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "etc ", "dev "];
    let plain = |mut lines: Vec<String>| -> Vec<String> {
        lines.retain(|line| !made.iter().any(|name| line.starts_with(name)));
        lines.into_iter().map(|line| line.replace(".123456789 ", ".000000000 ")).collect()
    };
    assert_same("docker export", &plain(tree_lines(&place)), &plain(ours));
    let again = our_tree(&scratch, "again", &theirs);
    assert_same("its import", &plain(again), &plain(tree_lines(&place)));
}
