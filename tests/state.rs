//! The state directory: people edit files, disks break them, versions change, and several processes sweep at the same time.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::record::Written;
use common::{eventually, quiet, run, sh};
use ctr::{Client, Config, Container, ErrorCode, Upper};

/// A state directory of the test's own, removed with it.
struct State(PathBuf);

impl State {
    fn new(name: &str) -> Self {
        let path = common::scratch(&format!("state-{name}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn config(&self, name: &str) -> Config {
        Config::default().with(|c| {
            c.name = Some(name.into());
            c.state_dir = Some(self.0.clone());
        })
    }

    fn client(&self) -> Client<'static> {
        Client::new().with_state_dir(&self.0)
    }

    fn create(&self, name: &str) -> Container {
        Container::create("host", &self.config(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names that are listed.
    fn listed(&self) -> Vec<String> {
        let list = self.client().list().expect("a list is to be had, whatever lies there");
        list.into_iter().map(|info| info.name).collect()
    }

    /// What lies there, less the file of the id ranges.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = entries.filter(|name| name != "ids").collect();
        files.sort();
        files
    }

    fn record(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// The record of a container that was there and is dead.
    fn dead_record(&self, name: &str) -> Written {
        let container = self.create(name);
        let written = Written::read(&self.record(name));
        container.destroy().unwrap();
        written
    }

    /// Adds to a record, as whoever has a resource made.
    fn append(&self, name: &str, text: &str) {
        let mut record = fs::OpenOptions::new().append(true).open(self.record(name)).unwrap();
        std::io::Write::write_all(&mut record, text.as_bytes()).unwrap();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_damaged_record_is_put_aside_and_stops_nobody() {
    let state = State::new("damaged");
    let good = state.create("good");
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let damage: [Damage<'_>; 7] = [
        ("garbage", &|path| fs::write(path, b"\xff\x00 no JSON at all").unwrap()),
        ("cut-off", &|path| fs::write(path, br#"{"version":1,"name":"cut-o"#).unwrap()),
        ("no-record", &|path| fs::write(path, b"[1, 2, 3]").unwrap()),
        ("huge", &|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
        ("directory", &|path| fs::create_dir(path).unwrap()),
        ("link", &|path| symlink("/etc/passwd", path).unwrap()),
        ("fifo", &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()),
    ];
    for (name, make) in damage {
        make(&state.record(name));
        fs::write(state.0.join(format!("{name}.sock")), "").unwrap();
        let error = state.client().join(name).err().unwrap_or_else(|| panic!("{name} is joined"));
        assert!(!error.to_string().is_empty());
        assert_eq!(state.listed(), ["good"], "{name}");
        let mut files = ["good.json".to_string(), "good.sock".into(), format!("{name}.json.damaged")];
        files.sort();
        assert_eq!(state.files(), files, "{name}");
        // The name is free again.
        let container = state.create(name);
        assert_eq!(sh(&container, "echo here"), "here");
        container.destroy().unwrap();
        // Once more, while the first is still there: neither is lost.
        make(&state.record(name));
        assert_eq!(state.listed(), ["good"], "{name}");
        for aside in ["damaged", "damaged.1"] {
            let aside = state.0.join(format!("{name}.json.{aside}"));
            assert!(aside.symlink_metadata().is_ok(), "{}", aside.display());
            fs::remove_file(&aside).or_else(|_| fs::remove_dir(&aside)).unwrap();
        }
    }
    assert_eq!(fs::metadata("/etc/passwd").unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(sh(&good, "echo well"), "well");
}

#[test]
fn who_asks_for_a_container_with_a_damaged_record_is_told() {
    let state = State::new("told");
    fs::write(state.record("told"), "garbage").unwrap();
    let error = state.client().join("told").err().unwrap();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.to_string().contains("told.json.damaged"), "{error}");
}

#[test]
fn a_living_container_whose_record_is_damaged_can_be_used_and_destroyed_by_its_maker() {
    let state = State::new("living");
    let container = state.create("living");
    let beside = state.create("beside");
    fs::write(state.record("living"), "garbage").unwrap();
    let error = state.client().join("living").err().unwrap();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(state.listed(), ["beside"]);
    assert_eq!(sh(&container, "echo still"), "still");
    let taken = Container::create("host", &state.config("living")).err().unwrap();
    assert_eq!(taken.code(), ErrorCode::NameInUse);
    container.destroy().unwrap();
    beside.destroy().unwrap();
    assert_eq!(state.files(), Vec::<String>::new());
}

#[test]
fn a_record_that_is_removed_by_hand_takes_nothing_from_anybody() {
    let state = State::new("removed");
    let cgroups_before = common::leftovers::cgroups("removed.").len();
    let container = state.create("removed");
    fs::remove_file(state.record("removed")).unwrap();
    assert_eq!(state.listed(), Vec::<String>::new());
    // Its name is free, though its socket lies there.
    let second = state.create("removed");
    assert_eq!(sh(&second, "hostname"), "removed");
    assert_eq!(sh(&container, "echo first"), "first");
    container.destroy().unwrap();
    let joined = state.client().join("removed").unwrap();
    assert_eq!(joined.pid(), second.pid());
    assert_eq!(sh(&joined, "echo second"), "second");
    second.destroy().unwrap();
    assert_eq!(state.files(), Vec::<String>::new());
    assert_eq!(common::leftovers::cgroups("removed.").len(), cgroups_before);
}

#[test]
fn a_record_of_a_newer_version_is_left_to_it() {
    let state = State::new("newer");
    let dead = state.dead_record("newer");
    let mut record = dead.clone();
    record.header["version"] = 3.into();
    record.header["exec"] = "something else".into();
    // Also where nothing but a resource is of a kind that is not known yet.
    let mut with_more = dead.clone();
    with_more.entries.push(serde_json::json!({ "has": { "veth": { "name": "v0" } } }));
    for record in [record, with_more] {
        fs::write(state.record("newer"), record.to_string()).unwrap();
        assert_eq!(state.listed(), Vec::<String>::new());
        assert_eq!(state.files(), ["newer.json"]);
        let outcomes = [state.client().join("newer").err(), state.client().destroy_named("newer").err()];
        for error in outcomes {
            let error = error.unwrap();
            assert!(error.to_string().contains("newer version"), "{error}");
        }
        let error = Container::create("host", &state.config("newer")).err().unwrap();
        assert_eq!(error.code(), ErrorCode::NameInUse);
        assert_eq!(fs::read_to_string(state.record("newer")).unwrap(), record.to_string());
    }
}

#[test]
fn what_a_newer_version_has_added_to_our_container_is_left_to_it() {
    let state = State::new("added");
    let container = state.create("added");
    let veth = r#"{"has":{"veth":{"name":"v0"}}}"#;
    state.append("added", &format!("{veth}\n"));
    assert_eq!(sh(&container, "echo well"), "well");
    container.destroy().unwrap();
    // The rest is gone and struck off; it is the newer one's to release its own.
    assert_eq!(state.files(), ["added.json"]);
    assert_eq!(common::leftovers::cgroups("added."), Vec::<PathBuf>::new());
    let entries = Written::read(&state.record("added")).entries;
    let mut there =
        entries.iter().filter(|entry| !entry["has"].is_null()).map(|entry| &entry["has"]).collect::<Vec<_>>();
    let gone: Vec<_> = entries.iter().filter(|entry| !entry["gone"].is_null()).map(|entry| &entry["gone"]).collect();
    there.retain(|resource| !gone.contains(resource));
    assert_eq!(there, [&serde_json::json!({ "veth": { "name": "v0" } })]);
}

/// What 974c1ec wrote.
const FIRST_VERSION: &str = r#"{"version":1,"name":"NAME","image":"host","created":1750000000,"owner":OWNER,"owner_start":START,"detached":true,"cgroups":CGROUPS,"upper":UPPER,"exec":{"env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","HOME=/root"],"terminals":true,"many_ids":true,"own_pid":true,"has_root":true,"capabilities":2818844155,"cwd":null,"user":null},"asked":{"preset":"default","seccomp":null},"landlock":true,"root":"host","store":"STORE"}"#;

fn first_version(record: &Written, upper: Option<&Path>, store: &Path) -> String {
    let cgroups: Vec<_> = record.cgroups().into_iter().rev().collect();
    FIRST_VERSION
        .replace("NAME", record.header["name"].as_str().unwrap())
        .replace("OWNER", &record.header["owner"].to_string())
        .replace("START", &record.header["owner_start"].to_string())
        .replace("CGROUPS", &serde_json::json!(cgroups).to_string())
        .replace("UPPER", &serde_json::json!(upper).to_string())
        .replace("STORE", store.to_str().unwrap())
}

#[test]
fn a_container_of_the_first_version_is_listed_and_ended_and_not_joined() {
    let state = State::new("first");
    let config = state.config("first").with(|c| {
        c.detached = true;
        c.memory = common::memory_if_possible(64 << 20);
    });
    let container = Container::create("host", &config).unwrap();
    let text = first_version(&Written::read(&state.record("first")), None, Path::new("/var/lib/ctr"));
    // In place, as if that version had made it: PID 1 has the lock.
    fs::write(state.record("first"), &text).unwrap();
    let listed = state.client().list().unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].pid), (1, "first", container.pid()));
    assert!(listed[0].detached && listed[0].image == "host");
    let error = state.client().join("first").err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.to_string().contains("older version") && error.hint().contains("libctr rm"), "{error}");
    let error = Container::create("host", &state.config("first")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::NameInUse);
    state.client().destroy_named("first").unwrap();
    assert!(!container.is_running());
    assert_eq!(state.files(), Vec::<String>::new());
    assert_eq!(common::leftovers::cgroups("first."), Vec::<PathBuf>::new());
    let error = state.client().destroy_named("first").unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[test]
fn what_a_dead_container_of_the_first_version_left_is_swept() {
    let state = State::new("first-dead");
    let record = state.dead_record("first");
    let store = common::scratch("first-store");
    let upper = store.join("upper/first");
    for path in record.cgroups() {
        fs::create_dir(path).unwrap();
    }
    fs::create_dir_all(upper.join("upper/data")).unwrap();
    fs::write(state.0.join("first.sock"), "").unwrap();
    fs::write(state.record("first"), first_version(&record, Some(&upper), &store)).unwrap();
    assert_eq!(state.listed(), Vec::<String>::new());
    assert_eq!(state.files(), Vec::<String>::new());
    assert!(record.cgroups().iter().all(|path| !Path::new(path).exists()) && !upper.exists());
    fs::remove_dir_all(&store).unwrap();
}

// H8 of the attacks: it is not out of everybody's reach because its record is.
#[test]
fn a_container_whose_record_is_damaged_is_ended_by_its_name() {
    let state = State::new("rm");
    let truncated = |text: &str| text[text.len() / 3..].to_string();
    let damage: [&dyn Fn(&str) -> String; 4] = [
        &|_| "garbage".into(),
        &|_| String::from("{}"),
        // Its resources can still be read.
        &truncated,
        &|text| text.replace("\"name\":\"rm\"", "\"name\":\"mr\""),
    ];
    for (i, damage) in damage.into_iter().enumerate() {
        let config = state.config("rm").with(|c| {
            c.detached = true;
            c.memory = common::memory_if_possible(64 << 20);
        });
        let container = Container::create("host", &config).unwrap();
        let running = container.exec(["sleep", "1000"], &quiet()).unwrap();
        let text = fs::read_to_string(state.record("rm")).unwrap();
        fs::write(state.record("rm"), damage(&text)).unwrap();
        for _ in 0..2 {
            let error = state.client().join("rm").err().unwrap();
            assert!(error.to_string().contains("damaged") && error.hint().contains("libctr rm"), "{i}: {error}");
        }
        state.client().destroy_named("rm").unwrap();
        assert!(!container.is_running(), "{i}");
        assert_eq!(common::end_of(&running).reason, ctr::ExitReason::Destroyed);
        assert_eq!(common::leftovers::cgroups("rm."), Vec::<PathBuf>::new(), "{i}");
        // A person may look at it, and it is in nobody's way.
        assert_eq!(state.files(), ["rm.json.damaged"], "{i}");
        fs::remove_file(state.0.join("rm.json.damaged")).unwrap();
    }
}

#[test]
fn a_container_without_a_pid_namespace_of_its_own_is_ended_by_its_name_with_all_of_its_programs() {
    if !common::can_limit() {
        return common::skipped("its programs are told from others' by its cgroup");
    }
    let state = State::new("rm-shared");
    let namespaces = ctr::Namespaces::default().with(|n| n.pid = ctr::Namespace::Host);
    let config = state.config("shared").with(|c| {
        c.detached = true;
        c.namespaces = namespaces;
    });
    let container = Container::create("host", &config).unwrap();
    let running = container.exec(["setsid", "sleep", "1000"], &quiet()).unwrap();
    let pid = running.host_pid().unwrap();
    fs::write(state.record("shared"), "garbage").unwrap();
    state.client().destroy_named("shared").unwrap();
    eventually("its program is gone", || fs::metadata(format!("/proc/{pid}")).is_err());
    assert_eq!(common::leftovers::cgroups("shared."), Vec::<PathBuf>::new());
    assert_eq!(state.files(), ["shared.json.damaged"]);
}

#[test]
fn a_torn_line_is_in_nobody_s_way() {
    let state = State::new("torn");
    let config = state.config("torn").with(|c| c.memory = common::memory_if_possible(64 << 20));
    let container = Container::create("host", &config).unwrap();
    state.append("torn", r#"{"has":{"cgroup":{"path":"/sys/fs/cg"#);
    let joined = state.client().join("torn").unwrap();
    assert_eq!(sh(&joined, "echo joined"), "joined");
    if common::can_limit() {
        // What is written behind it is whole.
        joined.set_pids_limit(Some(50)).unwrap();
        assert_eq!(container.pids_limit().unwrap(), Some(50));
    }
    container.destroy().unwrap();
    assert_eq!(state.files(), Vec::<String>::new());
    assert_eq!(common::leftovers::cgroups("torn."), Vec::<PathBuf>::new());
}

#[test]
fn what_a_joiner_has_made_is_on_record_before_and_swept_after_its_owner_s_death() {
    if !common::can_limit() || fs::metadata("/sys/fs/cgroup/memory").is_err() {
        return common::skipped("with cgroup v1, a limit of processes makes a cgroup");
    }
    let state = State::new("joiner");
    for ended_by in ["destroy", "kill"] {
        let mut owner = Owner::start(&state, "owned", "wait");
        let joined = state.client().join("owned").unwrap();
        let before = Written::read(&state.record("owned"));
        joined.set_pids_limit(Some(50)).unwrap();
        let after = Written::read(&state.record("owned"));
        assert_eq!(after.cgroups().len(), before.cgroups().len() + 1);
        assert!(after.cgroups().iter().all(|path| Path::new(path).exists()));
        // The second time it is there.
        joined.set_pids_limit(Some(60)).unwrap();
        assert_eq!(Written::read(&state.record("owned")).cgroups(), after.cgroups());
        if ended_by == "kill" {
            owner.process.kill().unwrap();
        } else {
            owner.process.stdin.take();
        }
        owner.process.wait().unwrap();
        assert_eq!(state.listed(), Vec::<String>::new());
        assert!(after.cgroups().iter().all(|path| !Path::new(path).exists()), "{ended_by}");
        assert_eq!(state.files(), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_made_for_a_container_that_has_no_record_any_more() {
    if !common::can_limit() || fs::metadata("/sys/fs/cgroup/memory").is_err() {
        return common::skipped("with cgroup v1, a limit of processes makes a cgroup");
    }
    let state = State::new("unrecorded");
    let config = state.config("unrecorded").with(|c| c.memory = Some(64 << 20));
    let container = Container::create("host", &config).unwrap();
    fs::remove_file(state.record("unrecorded")).unwrap();
    let error = container.set_pids_limit(Some(50)).unwrap_err();
    assert!(error.to_string().contains("its record was removed"), "{error}");
    assert_eq!(common::leftovers::cgroups("unrecorded.").len(), 1);
    container.destroy().unwrap();
    assert_eq!(common::leftovers::cgroups("unrecorded."), Vec::<PathBuf>::new());
}

#[test]
fn what_a_sweep_has_released_is_struck_off_where_the_rest_can_not_be() {
    let state = State::new("struck");
    let store = common::scratch("struck-store");
    let config = state.config("struck").with(|c| {
        c.upper = Upper::Disk;
        c.store_dir = Some(store.clone());
    });
    let container = Container::create(common::busybox(), &config).unwrap();
    let mut record = Written::read(&state.record("struck"));
    let upper = fs::read_dir(store.join("upper")).unwrap().next().unwrap().unwrap().path();
    container.destroy().unwrap();
    record.set_cgroups(&[Path::new("/sys/fs/cgroup/not-ours")]);
    fs::write(state.record("struck"), record.to_string()).unwrap();
    fs::create_dir_all(upper.join("upper")).unwrap();
    assert_eq!(state.listed(), Vec::<String>::new());
    assert!(!upper.exists());
    assert_eq!(state.files(), ["struck.json"]);
    // Another container of another state directory has it now.
    fs::create_dir_all(upper.join("upper")).unwrap();
    assert_eq!(state.listed(), Vec::<String>::new());
    assert!(upper.exists(), "what is another's was removed");
    fs::remove_dir_all(&store).unwrap();
}

#[test]
fn a_record_with_more_in_it_than_we_know_is_read() {
    let state = State::new("more");
    let container = state.create("more");
    let mut record = Written::read(&state.record("more"));
    record.header["since"] = "version 1.7".into();
    record.header["exec"]["further"] = 7.into();
    record.header["config"]["upper"] = "in another place".into();
    // Written in place: another file would have another lock.
    fs::write(state.record("more"), record.to_string()).unwrap();
    assert_eq!(state.listed(), ["more"]);
    assert_eq!(sh(&state.client().join("more").unwrap(), "echo joined"), "joined");
    container.destroy().unwrap();
    assert_eq!(state.files(), Vec::<String>::new());
}

#[test]
fn a_sweeper_removes_nothing_that_ctr_does_not_make() {
    let state = State::new("precious");
    let precious = common::scratch("precious");
    let upper = precious.join("upper");
    fs::create_dir_all(upper.join("other")).unwrap();
    fs::write(precious.join("kept"), "kept").unwrap();
    let dead = state.dead_record("edited");
    for path in [precious.clone(), upper.clone(), upper.join("other"), upper.join("other/../../upper/edited")] {
        let mut record = dead.clone();
        record.set_upper(&path);
        fs::write(state.record("edited"), record.to_string()).unwrap();
        assert_eq!(state.listed(), Vec::<String>::new());
        assert!(precious.join("kept").exists() && upper.join("other").exists(), "{}", path.display());
        fs::remove_file(state.0.join("edited.json.damaged")).unwrap();
    }
    // A cgroup must be one of ours, and only an empty directory is ever removed.
    let mut record = dead.clone();
    record.set_cgroups(&[&upper.join("other")]);
    fs::write(state.record("edited"), record.to_string()).unwrap();
    assert_eq!(state.listed(), Vec::<String>::new());
    assert!(upper.join("other").exists());
    fs::remove_dir_all(&precious).unwrap();
}

#[test]
fn a_copy_of_a_record_does_not_end_what_the_original_names() {
    let state = State::new("copy");
    let store = common::scratch("copy-store");
    let config = state.config("original").with(|c| {
        c.upper = Upper::Disk;
        c.store_dir = Some(store.clone());
    });
    let container = Container::create(common::busybox(), &config).unwrap();
    sh(&container, "echo data > /data");
    fs::copy(state.record("original"), state.record("copy")).unwrap();
    assert_eq!(state.listed(), ["original"]);
    assert_eq!(sh(&container, "cat /data"), "data");
    assert_eq!(run(&container, &["/bin/true"]).1.code, 0);
    container.destroy().unwrap();
    assert_eq!(state.files(), ["copy.json.damaged"]);
    fs::remove_dir_all(&store).unwrap();
}

#[test]
fn sweepers_and_creators_of_one_name_get_on_with_each_other() {
    let state = State::new("race");
    let dead = state.dead_record("raced").to_string();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    state.client().list().expect("a sweeper fails");
                }
            });
        }
        let creators: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut made = 0;
                    for _ in 0..60 {
                        // What a dead owner has left lies there time and again.
                        let place = fs::OpenOptions::new().write(true).create_new(true).open(state.record("raced"));
                        if let Ok(mut file) = place {
                            _ = std::io::Write::write_all(&mut file, dead.as_bytes());
                        }
                        match Container::create("host", &state.config("raced")) {
                            Ok(container) => {
                                made += 1;
                                let process = container.exec(["true"], &quiet()).expect("it runs");
                                assert_eq!(common::end_of(&process).code, 0);
                                container.destroy().expect("it can be destroyed");
                            }
                            Err(error) => assert_eq!(error.code(), ErrorCode::NameInUse, "{error}"),
                        }
                    }
                    made
                })
            })
            .collect();
        let made: usize = creators.into_iter().map(|creator| creator.join().unwrap()).sum();
        over.store(true, Ordering::Relaxed);
        assert!(made > 2, "only {made} were made");
    });
    eventually("nothing is left", || state.listed().is_empty() && state.files().is_empty());
}

#[test]
fn a_sweeper_takes_no_name_from_a_container_that_is_just_being_made() {
    let state = State::new("taken");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    state.client().list().expect("a sweeper fails");
                }
            });
        }
        let creators: Vec<_> = (0..2)
            .map(|creator| {
                let state = &state;
                scope.spawn(move || {
                    (0..200).find_map(|i| match Container::create("host", &state.config(&format!("n{creator}.{i}"))) {
                        Ok(container) => container.destroy().err(),
                        Err(error) => Some(error),
                    })
                })
            })
            .collect();
        let failed: Vec<_> = creators.into_iter().filter_map(|creator| creator.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{failed:?}");
    });
}

/// A process of its own that has made a container, from [`role_owner`].
struct Owner {
    process: std::process::Child,
    pid_1: i32,
}

impl Owner {
    fn start(state: &State, name: &str, then: &str) -> Self {
        use std::io::BufRead;
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_owner", "--ignored", "--nocapture", "--test-threads=1"])
            .env("CTR_STATE_DIR", &state.0)
            .env("CTR_TEST_NAME", name)
            .env("CTR_TEST_THEN", then)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(process.stdout.take().unwrap()).lines();
        let pid_1 = lines.map_while(Result::ok).find_map(|line| line.split_once("PID1=")?.1.parse().ok());
        Self { process, pid_1: pid_1.expect("it has made its container") }
    }

    fn wait_for_the_end_of_pid_1(&self) {
        eventually("PID 1 is gone", || fs::metadata(format!("/proc/{}", self.pid_1)).is_err());
    }
}

#[test]
#[ignore = "a role"]
fn role_owner() {
    use std::io::Read;
    let then = std::env::var("CTR_TEST_THEN").unwrap();
    let config = Config::default().with(|c| {
        c.name = std::env::var("CTR_TEST_NAME").ok();
        c.memory = common::memory_if_possible(64 << 20);
        c.detached = then == "detach";
    });
    let container = Container::create("host", &config).unwrap();
    println!("PID1={}", container.pid());
    match then.as_str() {
        "exec" => {
            let error = std::os::unix::process::CommandExt::exec(std::process::Command::new("sleep").arg("1000"));
            panic!("{error}");
        }
        "detach" => drop(container),
        _ => _ = std::io::stdin().read(&mut [0]).unwrap(),
    }
}

#[test]
fn what_killed_owners_left_goes_with_the_next_create() {
    let state = State::new("killed");
    let name = |i: usize| format!("killed-{}-{i}", std::process::id());
    let mut owners: Vec<_> =
        (0..20).map(|i| Owner::start(&state, &name(i), if i < 17 { "wait" } else { "exec" })).collect();
    // Nobody waits for them: below a PID 1 that never reaps they would stay zombies, and dead all the same.
    owners.iter_mut().take(17).for_each(|owner| owner.process.kill().unwrap());
    owners.iter().for_each(Owner::wait_for_the_end_of_pid_1);
    // The first create of another process.
    let mut next = Owner::start(&state, "next", "wait");
    assert_eq!(state.files(), ["next.json", "next.sock"]);
    assert_eq!(common::leftovers::cgroups(&format!("killed-{}-", std::process::id())), Vec::<PathBuf>::new());
    next.process.stdin.take();
    next.process.wait().unwrap();
    for owner in &mut owners {
        owner.process.kill().unwrap();
        owner.process.wait().unwrap();
    }
}

#[test]
fn a_host_that_never_lists_sweeps_now_and_then() {
    let state = State::new("now-and-then");
    state.create("first").destroy().unwrap();
    let mut owner = Owner::start(&state, "left", "wait");
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    owner.wait_for_the_end_of_pid_1();
    // Creates of other tests of this process count, and may be those that sweep.
    let swept = (0..1000).any(|_| {
        state.create("again").destroy().unwrap();
        state.files().is_empty()
    });
    assert!(swept, "{:?}", state.files());
}

// T3 of own-record: the ids of a range are nobody else's, whatever a file of ranges says, as long as somebody has them.
#[test]
fn own_record_two_state_directories_never_give_the_same_ids() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root's containers have ranges");
    }
    let (ours, theirs) = (State::new("ranges-ours"), State::new("ranges-theirs"));
    let container = ours.create("ours");
    let map = fs::read_to_string(format!("/proc/{}/uid_map", container.pid())).unwrap();
    let numbers: Vec<u64> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    if numbers.get(2) != Some(&65536) {
        return common::skipped("root has no ranges here");
    }
    // In their file every byte but that one is taken.
    let n = (numbers[1] - 0x4000_0000) / 65536;
    let file = fs::File::create(theirs.0.join("ids")).unwrap();
    for (start, len) in [(0, n), (n + 1, 0)].into_iter().filter(|&(start, len)| start != 0 || len != 0) {
        let lock = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: start as i64,
            l_len: len as i64,
            l_pid: 0,
        };
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    }
    // Another process's zygote knows nothing of ours.
    let other = |state: &State| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_owner", "--ignored", "--nocapture", "--test-threads=1"])
            .env("CTR_STATE_DIR", &state.0)
            .env("CTR_TEST_NAME", "theirs")
            .env("CTR_TEST_THEN", "wait")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    };
    let refused = other(&theirs);
    let said = format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(!refused.status.success() && said.contains("a range of user ids"), "{said}");
    container.destroy().unwrap();
    eventually("the range is free again", || other(&theirs).status.success());
}

// The lock of a detached container's range outlives its maker: the zygote keeps it, and goes with its last container.
#[test]
fn own_record_a_detached_container_keeps_its_ids() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root's containers have ranges");
    }
    let state = State::new("detached-ids");
    let mut owner = Owner::start(&state, "kept", "detach");
    owner.process.wait().unwrap();
    let container = state.client().join("kept").unwrap();
    assert_eq!(container.pid(), owner.pid_1);
    assert_eq!(sh(&container, "echo here"), "here");
    let parent = || {
        let status = fs::read_to_string(format!("/proc/{}/status", owner.pid_1)).unwrap();
        status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse::<i32>().unwrap()
    };
    let zygote = parent();
    let comm = fs::read_to_string(format!("/proc/{zygote}/comm")).unwrap();
    assert_eq!(comm.trim(), "ctr-zygote");
    let fds = |pid: i32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect::<Vec<_>>()
    };
    eventually("it keeps the lock", || fds(zygote).contains(&state.0.join("ids")));
    assert!(!fds(owner.pid_1).contains(&state.0.join("ids")), "PID 1 could give it up");
    assert_eq!(fs::read_link(format!("/proc/{zygote}/cwd")).unwrap(), Path::new("/"));
    container.destroy().unwrap();
    eventually("the zygote is gone", || fs::metadata(format!("/proc/{zygote}")).is_err());
    assert_eq!(state.files(), Vec::<String>::new());
}

#[test]
fn many_processes_sweep_what_many_dead_owners_left() {
    let state = State::new("many");
    let mut record = state.dead_record("name");
    let cgroups = record.cgroups();
    for i in 0..200 {
        let name = format!("dead-{i}");
        record.header["name"] = name.clone().into();
        let cgroups = cgroups.iter().map(|path| path.replace("ctr-name.", &format!("ctr-{name}.")).into());
        let cgroups: Vec<PathBuf> = cgroups.collect();
        record.set_cgroups(&cgroups.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        fs::write(state.record(&name), record.to_string()).unwrap();
    }
    let sweepers: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "role_sweeper", "--ignored", "--test-threads=1"])
                .env("CTR_STATE_DIR", &state.0)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut sweeper in sweepers {
        assert!(sweeper.wait().unwrap().success());
    }
    assert_eq!(state.files(), Vec::<String>::new());
}

#[test]
#[ignore = "a role"]
fn role_sweeper() {
    assert_eq!(Container::list().unwrap(), Vec::new());
}
