//! Building C programs against what `make lib` made. Cargo runs tests in the root of the package, so that is where we are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::scratch::Scratch;

/// The C compilers that every program has to please, where they are installed.
pub const COMPILERS: [&str; 2] = ["cc", "clang"];

/// What the test programs are written in; the examples are built with the compiler's own defaults.
pub const C_FLAGS: &[&str] = &["-std=c11", "-pedantic"];

/// The directory with libctr.so and libctr.a.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        make(&["lib"]);
        Path::new(env!("CARGO_MANIFEST_DIR")).join("build/lib")
    })
}

/// Builds a C or C++ source against the library. `None`, and says so, where the compiler is not installed.
pub fn build(compiler: &str, source: &str, scratch: &Scratch, flags: &[&str]) -> Option<PathBuf> {
    if !installed(compiler) {
        return None;
    }
    let library = library();
    let stem = Path::new(source).file_stem().unwrap().to_str().unwrap();
    let program = scratch.path(&format!("{stem}-{compiler}"));
    let mut command = Command::new(compiler);
    command.args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-Iinclude", source, "-o"]).arg(&program);
    command.arg(format!("-L{}", library.display())).arg(format!("-Wl,-rpath,{}", library.display()));
    printed(command.args(["-lctr"]).args(flags));
    Some(program)
}

/// Whether a program is there; says what is skipped where it is not.
pub fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()));
    if !found {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        println!("SKIPPED {test}: {program} is not installed");
    }
    found
}

/// Runs a target of the Makefile.
pub fn make(arguments: &[&str]) {
    printed(Command::new("make").args(["-s", "--no-print-directory"]).args(arguments));
}

/// What a command prints; it has to succeed.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
