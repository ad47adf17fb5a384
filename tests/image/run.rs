//! What an image says about how it is run, as it is run.

use std::time::Duration;

use ctr::image::{MakeOptions, Store};
use ctr::{Config, Container, ErrorCode, ExecConfig, ExitReason};
use serde_json::json;

use crate::support::*;

const NOTHING: [&str; 0] = [];

#[test]
fn an_image_starts_what_it_says_as_docker_run_does() {
    let scratch = Scratch::new();
    let config = json!({"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["cmd"], "Env": ["WHO=image"]});
    let image = scratch.write("a.tar", &docker_archive(&[busybox().end()], &config));
    let c = container(&scratch, &image, Config::default());
    assert_eq!(said(&c.exec(NOTHING, &captured()).unwrap()), "entry cmd");
    assert_eq!(said(&c.exec_image(NOTHING, &captured()).unwrap()), "entry cmd");
    assert_eq!(said(&c.exec_image(["one", "two"], &captured()).unwrap()), "entry one two");
    // In a container that runs, argv is all there is, as in docker exec.
    assert_eq!(said(&c.exec(["/bin/sh", "-c", "echo $WHO"], &captured()).unwrap()), "image");
    // Whoever joins it knows the same.
    let joined = scratch.client().join(c.name()).unwrap();
    assert_eq!(said(&joined.exec_image(["joined"], &captured()).unwrap()), "entry joined");
    assert_eq!((joined.image_digest(), joined.image_config()), (c.image_digest(), c.image_config()));
    assert!(c.image_digest().unwrap().starts_with("sha256:"));
}

#[test]
fn an_image_that_names_no_program_says_so() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().end());
    let c = container(&scratch, &image, Config::default());
    for error in [c.exec(NOTHING, &captured()).err(), c.exec_image(NOTHING, &captured()).err()] {
        let error = error.unwrap();
        assert_eq!(error.code(), ErrorCode::Invalid);
        assert!(error.to_string().contains("neither Entrypoint nor Cmd"), "{error}");
    }
    assert_eq!(said(&c.exec_image(["/bin/echo", "x"], &captured()).unwrap()), "x");
}

#[test]
fn user_and_working_directory_are_the_images_even_where_it_has_no_such_directory() {
    let scratch = Scratch::new();
    let config = json!({"User": "ann", "WorkingDir": "/srv/app/data", "Cmd": ["/bin/sh", "-c", "id -u; pwd"]});
    let image = scratch.write("a.tar", &docker_archive(&[busybox().end()], &config));
    let c = container(&scratch, &image, Config::default());
    assert_eq!(said(&c.exec(NOTHING, &captured()).unwrap()), "1000\n/srv/app/data");
    let read_only = container(&scratch, &image, Config::default().with(|c| c.read_only = true));
    assert_eq!(said(&read_only.exec(NOTHING, &captured()).unwrap()), "1000\n/srv/app/data");
    // What is there without us, and what can't be.
    for (cwd, answer) in [("/proc", Some("/proc")), ("/sys/none", None), ("/bin/sh", None)] {
        let config = json!({"WorkingDir": cwd, "Cmd": ["/bin/sh", "-c", "pwd"]});
        let image = scratch.write("b.tar", &docker_archive(&[busybox().end()], &config));
        let c = container(&scratch, &image, Config::default());
        match (c.exec(NOTHING, &captured()), answer) {
            (Ok(process), Some(answer)) => assert_eq!(said(&process), answer),
            (Err(error), None) => assert!(error.to_string().contains(cwd), "{error}"),
            (other, _) => panic!("{cwd}: {:?}", other.map(|_| "it runs")),
        }
    }
}

#[test]
fn a_place_that_cannot_be_made_is_an_error_that_names_the_image() {
    let scratch = Scratch::new();
    for config in [json!({"WorkingDir": "/etc/passwd/work"}), json!({"Volumes": {"/etc/passwd/data": {}}})] {
        let image = scratch.write("odd.tar", &docker_archive(&[busybox().end()], &config));
        let config = Config::default().with(|c| {
            c.state_dir = Some(scratch.path("state"));
            c.store_dir = Some(scratch.path("store"));
        });
        let error = ctr::Container::create(&image, &config).err().expect("a file is in the way").to_string();
        assert!(error.contains("/etc/passwd/") && error.contains("odd.tar asks for it"), "{error}");
    }
}

#[test]
fn a_volume_has_what_the_image_has_there_and_is_writable_even_in_a_read_only_root() {
    let scratch = Scratch::new();
    let mut owned = header(b"data/seed", b'0', 4);
    owned.set_uid(1000);
    let layer = busybox().directory("data", 0o1777).raw(&owned, b"seed").symlink("link", "data").end();
    let config = json!({"Volumes": {"/data": {}, "/not/there": {}, "/link/below": {}}});
    let image = scratch.write("a.tar", &docker_archive(&[layer], &config));
    let script = "cat /data/seed; stat -c %u:%a /data/seed /data; echo new >/data/seed; echo x >/not/there/x; \
                  touch /data/below/y; cat /data/seed";
    for read_only in [false, true] {
        let c = container(&scratch, &image, Config::default().with(|c| c.read_only = read_only));
        assert_eq!(sh(&c, script), "seed1000:644\n0:1777\nnew");
        assert_eq!(sh(&c, "touch /x 2>/dev/null && echo writable || echo read-only") == "read-only", read_only);
        // It is the container's own: the next one has the image's again.
        drop(c);
    }
    let config = json!({"Volumes": {"/data/../../etc": {}}});
    let image = scratch.write("b.tar", &docker_archive(&[busybox().end()], &config));
    let error = Container::create(
        &image,
        &Config::default().with(|c| {
            c.state_dir = Some(scratch.path("state"));
            c.store_dir = Some(scratch.path("store"));
        }),
    );
    assert!(error.err().unwrap().to_string().contains(".."));
}

#[test]
fn stop_sends_the_images_signal_and_kills_what_does_not_heed_it() {
    let scratch = Scratch::new();
    let script = "trap 'echo told; exit 7' USR1; echo ready; while :; do sleep 0.01; done";
    let config = json!({"StopSignal": "SIGUSR1", "Cmd": ["/bin/sh", "-c", script]});
    let image = scratch.write("a.tar", &docker_archive(&[busybox().end()], &config));
    let c = container(&scratch, &image, Config::default());
    let start = |process: &ctr::Process| {
        let mut ready = [0; 6];
        let mut stdout = std::fs::File::from(process.take_stdout().unwrap());
        std::io::Read::read_exact(&mut stdout, &mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
        stdout
    };
    let heeds = c.exec(NOTHING, &captured()).unwrap();
    let _stdout = start(&heeds);
    assert_eq!(heeds.stop(Duration::from_secs(60)).unwrap().code, 7);
    let ignores = ["/bin/sh", "-c", "trap '' USR1; echo ready; while :; do sleep 0.01; done"];
    let ignores = c.exec(ignores, &captured()).unwrap();
    let _stdout = start(&ignores);
    let exit = ignores.stop(Duration::from_millis(50)).unwrap();
    assert_eq!((exit.signal, exit.reason), (libc::SIGKILL, ExitReason::Signaled));
    // The second time it is over already.
    assert_eq!(ignores.stop(Duration::ZERO).unwrap(), exit);
    let host = container(&scratch, "host".as_ref(), Config::default());
    let sleeps = host.exec(["/bin/sleep", "60"], &ExecConfig::default()).unwrap();
    assert_eq!(sleeps.stop(Duration::from_secs(60)).unwrap().signal, libc::SIGTERM);
}

#[test]
fn stop_sends_sigterm_where_the_image_names_no_signal_that_there_is() {
    let scratch = Scratch::new();
    for (number, text) in ["99", "0", "-9", "99999999999999999999", "memory limit"].into_iter().enumerate() {
        let config = json!({"StopSignal": text, "Cmd": ["/bin/sleep", "60"]});
        let image = scratch.write(&format!("{number}.tar"), &docker_archive(&[busybox().end()], &config));
        let c = container(&scratch, &image, Config::default());
        let warning = format!("the image's StopSignal {text} is no signal that there is: stop sends SIGTERM");
        assert_eq!(c.warnings(), [warning.as_str()]);
        assert!(c.inspect().unwrap().warnings.contains(&warning));
        assert!(c.inspect().unwrap().walls.iter().all(|wall| !wall.why.contains("StopSignal")));
        let sleeps = c.exec(NOTHING, &ExecConfig::default()).unwrap();
        assert_eq!(sleeps.stop(Duration::from_secs(60)).unwrap().signal, libc::SIGTERM, "{text}");
        let sleeps = c.exec(NOTHING, &ExecConfig::default()).unwrap();
        assert!(c.stop(Duration::from_secs(60)).is_ok(), "{text}");
        assert_eq!(sleeps.wait(None).unwrap().unwrap().signal, libc::SIGTERM, "{text}");
    }
    // What comes of an image may say what that says; nobody is asked for it anew.
    let store = Store::open(Some(&scratch.path("store"))).unwrap();
    let said = store.list().unwrap().into_iter().find(|image| image.config.stop_signal == "99").unwrap();
    let c = container(&scratch, said.digest.as_ref(), Config::default());
    let commit = |config| c.commit(&MakeOptions::default().with(|o| o.config = config), &mut |_| true);
    assert_eq!(commit(None).unwrap().config.stop_signal, "99");
    let mut config = said.config.clone();
    config.stop_signal = "98".into();
    let error = commit(Some(config)).unwrap_err().to_string();
    assert!(error.contains("use the image's stop signal 98: there is no such signal"), "{error}");
}
