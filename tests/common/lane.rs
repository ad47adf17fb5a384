//! Tests as an ordinary user who exists in a private mount namespace only; see tests/lanes/as_user.sh.

use std::path::Path;
use std::process::Command;

use super::skipped;

/// What `role` may have in /etc/subuid.
pub const RANGE: &str = "ctr-lane:200000:65536";

/// Plays `role`, an ignored test of the same file, as an ordinary user with these lines of as_user.sh; whether it could.
pub fn play(role: &str, options: &[&str], before: &[&str]) -> bool {
    if !nix::unistd::geteuid().is_root() {
        skipped("root is needed to make a user in a private mount namespace");
        return false;
    }
    let programs = ["/usr/bin/newuidmap", "/usr/bin/unshare", "/usr/bin/setpriv"];
    if let Some(missing) = programs.iter().find(|program| !Path::new(program).exists()) {
        skipped(&format!("there is no {missing}"));
        return false;
    }
    let me = format!("{}:test", std::env::current_exe().unwrap().display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lanes/as_user.sh");
    let output = Command::new(script)
        .args(options)
        .args(["-f", &me, "--"])
        .args(before)
        .args(["/mnt/test", "--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{role}: {said}");
    true
}

/// Plays `role`, an ignored test of the same file, where all mounts are shared, as systemd makes those of a host.
pub fn play_in_shared_mounts(role: &str) {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can have a mount namespace without a user namespace, which would hide it");
    }
    let inner = "mount --make-rshared / && exec \"$0\" --exact \"$1\" --ignored --nocapture";
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare").args(["-m", "sh", "-c", inner]).arg(program).arg(role).status().unwrap();
    assert!(status.success(), "see above");
}

/// The tests that ordinary users, with further ids and with a single one, can do all that this function does. It is done by a role of
/// its own, after which nothing is open that was not before.
#[allow(unused_macros)]
macro_rules! users_can {
    ($all:path) => {
        #[test]
        fn an_ordinary_user_with_further_ids_can_do_it_all() {
            $crate::common::lane::play("role_everybody", &["-s", $crate::common::lane::RANGE], &[]);
        }

        #[test]
        fn an_ordinary_user_with_a_single_id_can_do_it_all() {
            $crate::common::lane::play("role_everybody", &[], &[]);
        }

        #[test]
        #[ignore = "a role"]
        fn role_everybody() {
            $crate::common::leftovers::keeps_nothing_open($all);
        }
    };
}
#[allow(unused_imports)]
pub(crate) use users_can;
