//! The fence (fence.sh), and how a test gets behind it: the test program starts itself again there with one test to run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr::{Config, Container, ExecConfig, Stdio};

/// A test that attacks: `attack!(name, { … })` runs the block behind the fence.
#[macro_export]
macro_rules! attack {
    ($name:ident, $body:block) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::fence::behind(path.split_once("::").unwrap().1, || $body);
        }
    };
}

/// Runs `body` behind the fence; `name` is the calling test's.
pub fn behind(name: &str, body: impl FnOnce()) {
    if std::env::var_os("CTR_FENCE").is_some() {
        body();
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED {name}: the fence needs root");
        return;
    }
    let scratch = std::env::temp_dir().join(format!("ctr-fence-{}-{}", std::process::id(), name.replace("::", "-")));
    fs::create_dir(&scratch).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/fence.sh"))
        .arg(&scratch)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    // Its tmpfs went with the mount namespace.
    fs::remove_dir(&scratch).unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Less the frame of the inner run, which whoever counts tests would count again.
    let frame = |line: &&str| ["running 1 test", "ok", ""].contains(line) || line.starts_with("test result:");
    for line in text.lines().filter(|line| !frame(line)) {
        println!("{}", line.strip_prefix(&format!("test {name} ... ")).unwrap_or(line));
    }
    assert!(output.status.success(), "{name} behind the fence ended with {}", output.status);
    assert!(text.contains("1 passed"), "{name} was not run behind the fence");
}

/// The scratch that can be written to.
pub fn scratch() -> PathBuf {
    std::env::var_os("CTR_FENCE").expect("we are behind the fence").into()
}

/// A file of the host outside of every container, with a secret in it.
pub fn secret() -> PathBuf {
    let outside = scratch().join("outside");
    fs::create_dir_all(&outside).unwrap();
    let secret = outside.join("secret");
    fs::write(&secret, "the host's secret").unwrap();
    secret
}

/// What a program inside said, and its exit code.
pub struct Said {
    pub text: String,
    pub code: i32,
    /// How it ended, where it ran inside.
    pub exit: Option<ctr::Exit>,
}

/// Runs a program inside to its end.
pub fn run(container: &Container, argv: &[&str], config: &ExecConfig) -> Said {
    try_run(container, argv, config).unwrap()
}

/// As [`run`], where the program may not even start.
pub fn try_run(container: &Container, argv: &[&str], config: &ExecConfig) -> ctr::Result<Said> {
    let stdin = if config.stdin == Stdio::Inherit { Stdio::Null } else { config.stdin };
    let config = config.clone().with(|c| {
        c.stdin = stdin;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    });
    let process = container.exec(argv, &config)?;
    let mut bytes = Vec::new();
    fs::File::from(process.take_stdout().unwrap()).read_to_end(&mut bytes).unwrap();
    let exit = process.wait(None)?.unwrap();
    Ok(Said { text: String::from_utf8_lossy(&bytes).into_owned(), code: exit.code, exit: Some(exit) })
}

/// The text of a payload, with what all of them begin with.
pub fn payload(name: &str) -> String {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/payloads").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    format!("{}\n{}", read("common.py"), read(&format!("{name}.py")))
}

/// Runs a payload inside, as whoever `config` says.
pub fn inside(container: &Container, name: &str, args: &[&str], config: &ExecConfig) -> Said {
    let script = payload(name);
    let argv = [&["/usr/bin/python3", "-I", "-c", &script], args].concat();
    let said = run(container, &argv, config);
    println!("--- {name} inside {} ended with {}\n{}", container.name(), said.code, said.text);
    said
}

/// Runs a payload on the host, behind the fence only: what the defences are to be told apart from.
pub fn without_walls(name: &str, args: &[&str]) -> Said {
    let output = Command::new("/usr/bin/python3").args(["-I", "-c", &payload(name)]).args(args).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().unwrap_or(-1);
    println!("--- {name} without walls ended with {code}\n{text}");
    Said { text, code, exit: None }
}

/// The attack failed.
#[track_caller]
pub fn held(said: &Said) {
    assert_eq!(said.code, 0, "the attack was not held off:\n{}", said.text);
}

/// The attack succeeded, as it must where there is no defence.
#[track_caller]
pub fn bites(said: &Said) {
    assert_eq!(said.code, 42, "the attack does nothing where nothing holds it off:\n{}", said.text);
}

/// A container of this machine's own programs with our defaults.
pub fn defaults() -> Container {
    with(&Config::default())
}

/// The same with another configuration.
pub fn with(config: &Config) -> Container {
    Container::create("host", config).unwrap()
}

/// The container still starts programs, and so its PID 1 is well.
#[track_caller]
pub fn is_well(container: &Container) {
    let said = run(container, &["/bin/echo", "well"], &ExecConfig::default());
    assert_eq!((said.text.as_str(), said.code), ("well\n", 0));
}
