//! own-parent: a container is below the cgroup of its caller, whose limits hold for it, or below one that its caller chose. For
//! root: an ordinary user's callers are where the machine has put them. On v2 the same is run by `tests/vm`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as ProcessStdio};

use common::leftovers::Scope;
use common::{run, skipped};
use ctr::{CgroupPolicy, Config, Container, ErrorCode, Limit};

const MIB: u64 = 1 << 20;
/// The limit of the cgroup that the callers of these tests are in.
const LIMIT: u64 = 32 * MIB;

/// A cgroup of our own, with a limit of memory, which goes away with the test.
struct Parent {
    path: PathBuf,
}

impl Parent {
    fn new(scope: &Scope) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skipped("only root makes cgroups wherever it likes");
            return None;
        }
        let mount = mount()?;
        let path = mount.join(format!("ctr-parent-{}", scope.prefix()));
        if is_v2(&mount) && fs::write(mount.join("cgroup.subtree_control"), "+memory +pids").is_err() {
            skipped("the tree of cgroups hands nothing on");
            return None;
        }
        if let Err(error) = fs::create_dir(&path) {
            skipped(&format!("no cgroup can be made here: {error}"));
            return None;
        }
        let file = if is_v2(&mount) { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(path.join(file), LIMIT.to_string()).unwrap();
        Some(Self { path })
    }

    /// A test program of ours that has moved itself into this cgroup, or into a `leaf` of it, and plays the role.
    fn caller(&self, role: &str, leaf: bool, scope: &Scope, env: &[(&str, &str)]) -> Command {
        let place = if leaf { self.path.join("leaf") } else { self.path.clone() };
        if leaf {
            fs::create_dir(&place).unwrap();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
            .env_remove("CTR_CGROUP_PARENT")
            .env("CTR_TEST_PLACE", place)
            .env("CTR_TEST_STATE", scope.state_dir())
            .env("CTR_TEST_NAME", format!("{}.p", scope.prefix()))
            .envs(env.iter().copied());
        command
    }

    fn says(&self, role: &str, leaf: bool, scope: &Scope, env: &[(&str, &str)]) -> String {
        let output = self.caller(role, leaf, scope, env).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // What is killed may be busy for a moment.
        for _ in 0..1000 {
            _ = fs::remove_dir(self.path.join("leaf"));
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{} is left", self.path.display());
    }
}

/// Where memory is counted.
fn mount() -> Option<PathBuf> {
    let found = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.join("memory.limit_in_bytes").exists() || path.join("cgroup.controllers").exists());
    if found.is_none() {
        skipped("no memory cgroups are mounted here");
    }
    found
}

fn is_v2(mount: &Path) -> bool {
    mount.join("cgroup.controllers").exists()
}

/// A container inside which a program then takes twice what the caller may.
#[test]
#[ignore = "a role"]
fn role_makes_a_hog() {
    let place = PathBuf::from(std::env::var_os("CTR_TEST_PLACE").unwrap());
    fs::write(place.join("cgroup.procs"), "0").unwrap();
    let memory = std::env::var("CTR_TEST_MEMORY").ok().map(|text| text.parse().unwrap());
    let config = role_config().with(|c| c.memory = memory);
    let container = Container::create("host", &config).unwrap();
    let told = container.inspect().unwrap();
    println!("CGROUPS {}", told.cgroups.join(" "));
    println!("PLACE {}", told.cgroup_place);
    let (_, exit) = run(&container, &["/bin/sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=64M count=1"]);
    println!("CODE {}", exit.code);
    println!(
        "LIVE {}",
        container.set_memory_limit(Some(512 * MIB)).map_or_else(|error| error.to_string(), |()| "yes".into())
    );
    println!("EFFECTIVE {:?}", container.effective_limit(Limit::Memory).unwrap());
    container.destroy().unwrap();
}

fn role_config() -> Config {
    Config::default().with(|c| {
        c.name = std::env::var("CTR_TEST_NAME").ok();
        c.state_dir = std::env::var_os("CTR_TEST_STATE").map(Into::into);
    })
}

#[test]
fn own_parent_the_callers_memory_limit_holds_for_what_it_runs() {
    let scope = Scope::new("below");
    let Some(parent) = Parent::new(&scope) else { return };
    let said = parent.says("role_makes_a_hog", false, &scope, &[]);
    assert!(said.contains(&format!("CGROUPS {}/ctr-", parent.shown())), "{said}");
    assert!(said.contains("the caller's own") && said.contains("limits hold"), "{said}");
    assert!(said.contains("CODE 137"), "{said}");
    // On v2 such a container has no controllers of its own, and says so when a limit is asked for later.
    let live = if is_v2(&mount().unwrap()) { "LIVE make a memory cgroup" } else { "LIVE yes" };
    assert!(said.contains(live), "{said}");
    assert!(said.contains(&format!("EFFECTIVE Some({LIMIT})")), "{said}");
    scope.assert_nothing_left();
}

/// Where the caller is in a leaf of what it was given, as with systemd's DelegateSubgroup=, v2 has limits of both, too.
#[test]
fn own_parent_holds_although_the_container_has_a_larger_limit() {
    let scope = Scope::new("larger");
    let Some(parent) = Parent::new(&scope) else { return };
    let v2 = is_v2(&mount().unwrap());
    let said = parent.says("role_makes_a_hog", v2, &scope, &[("CTR_TEST_MEMORY", "536870912")]);
    assert!(said.contains(&format!("CGROUPS {}/ctr-", parent.shown())), "{said}");
    assert!(said.contains("CODE 137") && said.contains("LIVE yes"), "{said}");
    assert!(said.contains(&format!("EFFECTIVE Some({LIMIT})")), "{said}");
    scope.assert_nothing_left();
}

#[test]
fn own_parent_may_be_chosen() {
    let scope = Scope::new("chosen");
    let chosen = PathBuf::from(format!("/ctr-parent-{}", scope.prefix()));
    let config = scope.config().with(|c| {
        c.cgroup_parent = Some(chosen);
        c.memory = Some(512 * MIB);
    });
    // Refused while it isn't there, and no longer when it has been made as the error says.
    assert!(Container::create("host", &config).is_err());
    let Some(parent) = Parent::new(&scope) else { return };
    let container = Container::create("host", &config).unwrap();
    let told = container.inspect().unwrap();
    assert!(told.cgroups[0].starts_with(&format!("{}/ctr-", parent.shown())), "{told:?}");
    assert_eq!(told.cgroup_place, format!("in {}, as chosen", parent.shown()));
    assert!(ctr::explain("host", &config).unwrap().contains(&parent.shown()));
    let (_, exit) = run(&container, &["/bin/sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=64M count=1"]);
    assert_eq!(exit.code, 137);
    assert!(container.oom_kills().unwrap() >= 1);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_parent_that_is_not_there_is_refused_by_name() {
    let scope = Scope::new("missing");
    if mount().is_none() {
        return;
    }
    let with = |parent: &str, cgroup| {
        let config = scope.config().with(|c| {
            c.cgroup_parent = Some(parent.into());
            c.cgroup = cgroup;
        });
        Container::create("host", &config).err().expect("it is refused")
    };
    let error = with("/ctr-nowhere/x", CgroupPolicy::Auto);
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(error.to_string().contains("ctr-nowhere/x"), "{error}");
    for parent in ["", "../x", "/a/../b"] {
        assert_eq!(with(parent, CgroupPolicy::Auto).code(), ErrorCode::Invalid, "{parent}");
    }
    assert_eq!(with("/", CgroupPolicy::Off).code(), ErrorCode::Invalid);
    scope.assert_nothing_left();
}

/// A container, and then for ever asleep.
#[test]
#[ignore = "a role"]
fn role_sleeps_beside_its_container() {
    let place = PathBuf::from(std::env::var_os("CTR_TEST_PLACE").unwrap());
    fs::write(place.join("cgroup.procs"), "0").unwrap();
    let _container = Container::create("host", &role_config()).unwrap();
    println!("READY");
    std::thread::sleep(std::time::Duration::from_secs(1000));
}

#[test]
fn own_parent_a_killed_owners_cgroups_are_swept_wherever_they_are() {
    let scope = Scope::new("swept");
    let Some(parent) = Parent::new(&scope) else { return };
    let mut caller = parent.caller("role_sleeps_beside_its_container", false, &scope, &[]);
    let mut owner = caller.stdout(ProcessStdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(owner.stdout.take().unwrap()));
    assert!(lines.map_while(Result::ok).any(|line| line.contains("READY")));
    assert!(
        fs::read_dir(&parent.path).unwrap().flatten().any(|it| it.file_name().as_encoded_bytes().starts_with(b"ctr-"))
    );
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(scope.client().list().unwrap(), []);
    scope.assert_nothing_left();
}

/// A program that is moved is where it is now, not where its first container was made.
#[test]
#[ignore = "a role"]
fn role_moves_between_two_containers() {
    let place = PathBuf::from(std::env::var_os("CTR_TEST_PLACE").unwrap());
    for round in ["before", "after"] {
        let container = Container::create("host", &role_config()).unwrap();
        println!("{round} {}", container.inspect().unwrap().cgroups.join(" "));
        container.destroy().unwrap();
        // Next to where it is: on v2 nobody may be where controllers are handed on to what lies below.
        fs::write(place.join("second/cgroup.procs"), "0").unwrap();
    }
}

#[test]
fn own_parent_is_that_of_the_moment() {
    let scope = Scope::new("moved");
    let Some(parent) = Parent::new(&scope) else { return };
    let [place, second] = ["first", "second"].map(|name| parent.path.join(name));
    for place in [&place, &second] {
        fs::create_dir(place).unwrap();
    }
    // It begins in a cgroup of ours too.
    let script = format!("echo 0 > {}/cgroup.procs; exec \"$0\" \"$@\"", place.display());
    let caller = parent.caller("role_moves_between_two_containers", false, &scope, &[]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).arg(caller.get_program()).args(caller.get_args()).env_remove("CTR_CGROUP_PARENT");
    shell.envs(caller.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for place in [&place, &second] {
        for _ in 0..1000 {
            if fs::remove_dir(place).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // On v2 it is beside its caller, who is where no controllers are handed on.
    let below = if is_v2(&mount().unwrap()) { ["", ""] } else { ["/first", "/second"] };
    for (round, below) in ["before", "after"].into_iter().zip(below) {
        assert!(said.contains(&format!("{round} {}{below}/ctr-", parent.shown())), "{said}");
    }
    scope.assert_nothing_left();
}
