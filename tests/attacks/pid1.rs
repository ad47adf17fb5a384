//! Attacks on our own PID 1, as root inside with every capability that a container may have.

use std::process::{Command, Stdio};

use ctr::{Config, ExecConfig};

use crate::attack;
use crate::fence::{bites, defaults, held, inside, is_well, with, without_walls};

attack!(pid_1, {
    let everything = Config::default().with(|c| {
        c.capabilities = Some(u64::MAX);
        c.new_privileges = true;
    });
    for config in [Config::default(), everything] {
        let container = with(&config);
        held(&inside(&container, "pid1", &[], &ExecConfig::default()));
        is_well(&container);
        let as_user = ExecConfig::default().with(|c| c.user = Some("1000".into()));
        held(&inside(&container, "pid1", &[], &as_user));
        is_well(&container);
    }
    // The same against a process that nobody protects.
    let mut victim = Command::new("/bin/sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    bites(&without_walls("pid1", &[&victim.id().to_string()]));
    victim.kill().unwrap();
    victim.wait().unwrap();
});

attack!(kill_minus_nine_minus_one, {
    let container = defaults();
    let other = defaults();
    let mut bystander = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let beside = container.exec(["/bin/sleep", "1000"], &ExecConfig::default()).unwrap();
    let said = inside(&container, "kill_all", &[], &ExecConfig::default());
    assert!(said.text.contains("still here") && said.text.contains("and still"), "{}", said.text);
    // Its equals inside are dead, nobody else is.
    assert_eq!(beside.wait(None).unwrap().unwrap().signal, libc::SIGKILL);
    assert!(container.is_running());
    is_well(&container);
    is_well(&other);
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
});
