//! Labels of security modules. Where none is active, that is said; `tests/vm` has a machine with AppArmor, which loads the
//! profile `ctr-test`, and one with SELinux, which loads a policy that knows a context for programs and one for files.

mod common;

use common::{busybox, captured, run_with, sh, skipped};
use ctr::{Config, Container, ErrorCode, ExecConfig, Mount, Tmpfs, Winsize};

fn apparmor(profile: &str) -> Config {
    Config::default().with(|c| c.apparmor = Some(profile.into()))
}

fn selinux(context: &str) -> Config {
    Config::default().with(|c| c.selinux = Some(context.into()))
}

/// The security modules of this machine.
fn active() -> String {
    ctr::probe().into_iter().find(|check| check.name == "security modules").expect("it is always checked").says
}

/// A profile or context that this machine has, as the machine of the test says.
fn given(variable: &str) -> Option<String> {
    let given = std::env::var(variable).ok().filter(|label| !label.is_empty());
    if given.is_none() {
        skipped(&format!("no {variable}: it needs a machine whose policy is the test's"));
    }
    given
}

#[test]
fn a_label_without_its_module_is_an_error_unless_it_is_optional() {
    let active = active();
    let mounts = Config::default().with(|c| c.selinux_mounts = Some("a:b:c:s0".into()));
    for (module, config) in
        [("AppArmor", apparmor("docker-default")), ("SELinux", selinux("a:b:c:s0")), ("SELinux", mounts)]
    {
        if active.contains(&module.to_lowercase()) {
            continue;
        }
        let error = Container::create("host", &config).err().expect("it is refused");
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EOPNOTSUPP), "{error}");
        assert!(error.to_string().contains(module) && error.hint().contains("lsm="), "{error}");
        let optional = config.with(|c| c.labels_optional = true);
        assert_eq!(sh(&Container::create("host", &optional).unwrap(), "echo made"), "made");
    }
    assert_eq!(sh(&Container::create("host", &apparmor("unconfined")).unwrap(), "echo made"), "made");
}

#[test]
fn programs_run_under_the_apparmor_profile_whoever_starts_them() {
    let Some(profile) = given("CTR_TEST_APPARMOR") else { return };
    let own = "cat /proc/self/attr/current; echo x 2>/dev/null >/tmp/secret || echo refused; echo x >/tmp/other; cat /tmp/other";
    let under = format!("{profile} (enforce)\nrefused\nx");
    let scope = common::leftovers::Scope::new("apparmor");
    let c = Container::create("host", &scope.config().with(|c| c.apparmor = Some(profile.clone()))).unwrap();
    for _ in 0..2 {
        assert_eq!(sh(&c, own), under);
    }
    assert_eq!(sh(&scope.client().join(c.name()).unwrap(), own), under);
    let terminal = ExecConfig::default().with(|c| c.pty = Some(Winsize { rows: 24, cols: 80 }));
    let p = c.exec(["sh", "-c", "grep -q enforce /proc/self/attr/current"], &terminal).unwrap();
    assert_eq!(common::end_of(&p).code, 0);
    // Without the label the same is allowed.
    assert!(!sh(&common::host(), own).contains("refused"));
    // An image that has its own idea of /proc changes nothing (CVE-2019-16884).
    let fake = common::scratch("fake-proc");
    let copied = std::process::Command::new("cp").arg("-a").arg(busybox().join(".")).arg(&fake).status().unwrap();
    assert!(copied.success());
    std::fs::create_dir_all(fake.join("proc/thread-self/attr/apparmor")).unwrap();
    for file in ["proc/thread-self/attr/apparmor/exec", "proc/thread-self/attr/exec"] {
        std::fs::write(fake.join(file), "").unwrap();
    }
    assert_eq!(sh(&Container::create(&fake, &apparmor(&profile)).unwrap(), own), under);
}

#[test]
fn a_profile_that_is_not_loaded_is_named() {
    if !active().contains("apparmor") {
        return skipped("AppArmor is not active");
    }
    let error = Container::create("host", &apparmor("ctr-no-such-profile")).err().expect("it is refused");
    assert!(error.to_string().contains("ctr-no-such-profile"), "{error}");
    assert!(error.hint().contains("apparmor_parser") || error.errno() != libc::ENOENT, "{error}");
}

#[test]
fn programs_run_in_the_selinux_context() {
    let Some(context) = given("CTR_TEST_SELINUX") else { return };
    let c = Container::create("host", &selinux(&context)).unwrap();
    let own = "tr -d '\\0' </proc/self/attr/current";
    assert_eq!(sh(&c, own), context);
    assert_eq!(run_with(&c, &["sh", "-c", own], &captured().with(|c| c.user = Some("0:0".into()))).0.trim(), context);
    assert_ne!(sh(&common::host(), own), context);
    let error = Container::create("host", &selinux("no_such_u:no_such_r:no_such_t:s0")).err().expect("it is refused");
    assert_eq!(error.errno(), libc::EINVAL, "{error}");
    assert!(error.to_string().contains("no_such_t") && error.hint().contains("policy"), "{error}");

    // Every file system of its own has the context of files, whatever else is there.
    let files = "ctr_u:object_r:ctr_file_t:s0:c0";
    let fast = Mount::Tmpfs(Tmpfs::new("/fast"));
    let config = selinux(&context).with(|c| {
        c.selinux_mounts = Some(files.into());
        c.mounts = vec![fast];
        c.read_only = true;
    });
    let c = Container::create(busybox(), &config).unwrap();
    let mounts = sh(&c, "cat /proc/self/mountinfo");
    for place in ["/", "/dev", "/dev/pts", "/tmp", "/fast"] {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(place)).unwrap();
        assert!(line.contains(&format!("context={files}")), "{line}");
    }
    assert_eq!(sh(&c, own), context);
    assert!(!sh(&common::host(), "cat /proc/self/mountinfo").contains(files));
}

#[test]
fn explain_says_under_which_label() {
    let config = selinux("u:r:t:s0:c1,c2").with(|c| c.labels_optional = true);
    let text = ctr::explain("host", &config).unwrap();
    assert_eq!(text.contains("runcon u:r:t:s0:c1,c2 bash"), active().contains("selinux"), "{text}");
}
