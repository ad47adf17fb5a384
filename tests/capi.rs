//! The C face as a C programmer meets it: compilers, the linker, pkg-config, valgrind, the examples, and the programs of
//! tests/c, whose every test is printed as a line of its own.
//!
//! It tests what `make lib` built, which is what `make install` installs.

mod capi {
    pub mod build;
    pub mod scratch;
    pub mod terminal;
}

use std::path::Path;
use std::process::Command;

use capi::build::{C_FLAGS, COMPILERS, build, installed, library, make, printed};
use capi::scratch::Scratch;

/// Runs a program of tests/c, built by each compiler.
fn passes(name: &str) {
    for compiler in COMPILERS {
        let scratch = Scratch::new(name);
        let Some(program) = build(compiler, &format!("tests/c/{name}.c"), &scratch, C_FLAGS) else { continue };
        let output = scratch.run(&mut Command::new(program));
        print!("{}", output.text);
        assert!(output.success, "tests/c/{name}.c, built with {compiler}, says what failed above");
        scratch.nothing_is_left();
    }
}

#[test]
fn handles_and_arguments_that_are_none_are_answered() {
    passes("bad_handles");
}

/// The functions of ctr.h that take a handle.
fn take_a_handle() -> Vec<String> {
    let header = std::fs::read_to_string("include/ctr.h").unwrap();
    let handles: Vec<_> =
        header.lines().filter_map(|line| line.strip_prefix("typedef struct ")?.strip_suffix(';')).collect();
    let handles: Vec<_> = handles.iter().filter_map(|names| Some(format!("{} *", names.split_once(' ')?.1))).collect();
    let code = header.split("*/").map(|part| part.split("/*").next().unwrap());
    let code: Vec<_> = code.flat_map(str::lines).filter(|line| !line.starts_with('#')).collect();
    let takes = |statement: &str| {
        let (before, arguments) = statement.split_once('(')?;
        let takes = |argument: &str| {
            let argument = argument.trim_start().trim_start_matches("const ");
            handles.iter().any(|handle| argument.strip_prefix(&handle[..]).is_some_and(|name| !name.starts_with('*')))
        };
        let name = before.rsplit([' ', '*', '\n']).next()?;
        arguments.split(',').any(takes).then(|| name.to_string())
    };
    code.join("\n").split(';').filter_map(takes).collect()
}

#[test]
fn every_function_that_takes_a_handle_is_called_with_bad_ones() {
    let files = ["bad_handles", "bad_image_handles", "bad_calls", "bad_images"];
    let tests: String =
        files.iter().map(|name| std::fs::read_to_string(format!("tests/c/{name}.c")).unwrap()).collect();
    let functions = take_a_handle();
    for known in ["ctr_config_set_name", "ctr_limit", "ctr_image_import", "ctr_report_free"] {
        assert!(functions.iter().any(|name| name == known), "{known} is not found in ctr.h: {functions:?}");
    }
    let with_a_bad_one = |name: &str| {
        let name = format!("{name}(");
        let mut calls = tests.split(&name).skip(1);
        calls.any(|call| call.split(';').next().is_some_and(|call| call.contains("bad")))
    };
    let missing: Vec<_> = functions.iter().filter(|name| !with_a_bad_one(name)).collect();
    assert!(missing.is_empty(), "no function of tests/c/bad_*.c calls {missing:?} with a bad handle");
}

#[test]
fn handles_and_arguments_of_images_that_are_none_are_answered() {
    passes("bad_image_handles");
}

#[test]
fn bad_images_names_and_machines_are_answered() {
    passes("bad_images");
}

#[test]
fn the_header_holds_for_images() {
    passes("images");
}

#[test]
fn calls_that_can_not_succeed_are_answered() {
    passes("bad_calls");
}

#[test]
fn the_header_holds_for_containers() {
    passes("containers");
}

#[test]
fn the_header_holds_for_walls() {
    passes("walls");
}

#[test]
fn the_header_holds_for_containers_that_run() {
    passes("running");
}

#[test]
fn the_header_holds_for_watchers() {
    passes("watching");
}

#[test]
fn the_header_holds_for_processes() {
    passes("processes");
}

#[test]
fn we_are_a_guest_in_the_callers_process() {
    passes("guest");
}

#[test]
fn wait_of_a_pid_1_answers_nothing_of_ours() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED wait_of_a_pid_1_answers_nothing_of_ours: root is needed");
        return;
    }
    let scratch = Scratch::new("pid-1");
    let Some(program) = build("cc", "tests/c/guest.c", &scratch, C_FLAGS) else { return };
    let mut command = Command::new("unshare");
    let sentence = "a_host_whose_children_orphans_are_has_one_more_child_that_does_not_end";
    // Not in a child of the program's: the host itself is PID 1.
    command.args(["--pid", "--fork", "--mount-proc"]).arg(program).env("NO_FORK", "1").env("ONLY", sentence);
    let output = scratch.run(&mut command);
    assert!(output.success && output.text.contains(&format!("ok {sentence}")), "{}", output.text);
    scratch.nothing_is_left();
}

#[test]
fn a_destructor_in_a_forked_child_ends_nothing_of_its_parents() {
    for compiler in ["c++", "clang++"] {
        let scratch = Scratch::new("destructor");
        let Some(program) = build(compiler, "tests/c/destructor.cpp", &scratch, &[]) else { continue };
        let output = scratch.run(&mut Command::new(program));
        assert!(output.success, "{compiler}: {}", output.text);
        assert_eq!(output.text.trim(), "child: CTR_ERR_INVALID\nmaker: CTR_OK", "{compiler}");
        scratch.nothing_is_left();
    }
}

#[test]
fn own_stdio_own_foreign_fd_descriptors_are_each_side_s_own() {
    passes("descriptors");
}

#[test]
fn valgrind_finds_nothing_in_any_c_program() {
    if !installed("valgrind") {
        return;
    }
    for name in [
        "tests/c/bad_handles.c",
        "tests/c/bad_image_handles.c",
        "tests/c/processes.c",
        "tests/c/images.c",
        "examples/hello.c",
        "examples/eventloop.c",
    ] {
        let scratch = Scratch::new("valgrind");
        let Some(program) = build("cc", name, &scratch, C_FLAGS) else { return };
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["-q", "--error-exitcode=99", "--child-silent-after-fork=yes"]);
        valgrind.args(["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
        let output = scratch.run(valgrind.arg(program).env("NO_FORK", "1"));
        assert!(output.success, "{name} under valgrind:\n{}", output.text);
        scratch.nothing_is_left();
    }
}

#[test]
fn hello_says_hello_in_c_and_cpp() {
    let scratch = Scratch::new("hello");
    for (compilers, source, words) in
        [(COMPILERS, "examples/hello.c", "hello from "), (["c++", "clang++"], "examples/hello.cpp", "hello from C++")]
    {
        for compiler in compilers {
            let Some(program) = build(compiler, source, &scratch, &[]) else { continue };
            let output = scratch.run(&mut Command::new(program));
            assert!(output.success && output.text.contains(words), "{source}, {compiler}: {}", output.text);
            scratch.nothing_is_left();
        }
    }
}

#[test]
fn the_program_of_the_readme_and_that_of_the_header_run() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let header = std::fs::read_to_string("include/ctr.h").unwrap();
    let in_readme = readme.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().to_owned();
    let lines = header.lines().take_while(|line| !line.contains(" */")).filter_map(|line| line.strip_prefix(" *     "));
    let in_header: Vec<_> = lines.take_while(|line| *line != "}").chain(["}"]).collect();
    let scratch = Scratch::new("documents");
    for (name, text) in [("readme", in_readme), ("header", in_header.join("\n"))] {
        let source = scratch.path(&format!("{name}.c"));
        std::fs::write(&source, text).unwrap();
        let Some(program) = build("cc", source.to_str().unwrap(), &scratch, &[]) else { return };
        let output = scratch.run(&mut Command::new(program));
        assert!(output.success && output.text.contains("hello from "), "{name}: {}", output.text);
    }
    scratch.nothing_is_left();
}

#[test]
fn hello_runs_from_a_tarball() {
    let scratch = Scratch::new("tarball");
    let Some(program) = build("cc", "examples/hello.c", &scratch, &[]) else { return };
    let tarball = scratch.path("image.tar");
    assert!(Command::new("tools/tarball").arg(&tarball).status().unwrap().success());
    let output = scratch.run(Command::new(program).arg(&tarball));
    assert!(output.success && output.text.contains("hello from "), "{}", output.text);
    scratch.nothing_is_left();
}

#[test]
fn limits_shows_what_fits() {
    let scratch = Scratch::new("limits");
    let Some(program) = build("cc", "examples/limits.c", &scratch, &[]) else { return };
    let output = scratch.run(&mut Command::new(program));
    if output.text.contains("cgroup") {
        println!("SKIPPED limits_shows_what_fits: {}", output.text.trim());
        return;
    }
    let ends: Vec<&str> =
        output.text.lines().filter_map(|line| line.split_once(" MiB: ")).map(|(_, end)| end).collect();
    assert!(output.success, "{}", output.text);
    assert_eq!(ends, ["fits", "out of memory", "fits"], "{}", output.text);
    scratch.nothing_is_left();
}

#[test]
fn eventloop_hears_every_job_and_its_end() {
    let scratch = Scratch::new("eventloop");
    let Some(program) = build("cc", "examples/eventloop.c", &scratch, &[]) else { return };
    let output = scratch.run(&mut Command::new(program));
    assert!(output.success, "{}", output.text);
    for job in 0..4 {
        assert!(output.text.contains(&format!("job {job} says: job {job} was here")), "{}", output.text);
        assert!(output.text.contains(&format!("job {job} ended with code {job}")), "{}", output.text);
    }
    scratch.nothing_is_left();
}

#[test]
fn join_enters_by_name_and_by_pid_and_lists() {
    let scratch = Scratch::new("join");
    let Some(join) = build("cc", "examples/join.c", &scratch, &[]) else { return };
    let Some(host) = build("cc", "tests/c/waits.c", &scratch, C_FLAGS) else { return };
    let mut host = scratch.start(&mut Command::new(host));
    let name = host.line();
    let list = scratch.run(&mut Command::new(&join));
    assert!(list.success && list.text.contains(&name), "{}", list.text);
    let pid = list.text.split_whitespace().skip_while(|word| *word != "pid").nth(1).unwrap().to_owned();
    for target in [&name, &pid] {
        let output = scratch.run(Command::new(&join).args([target, "/bin/sh", "-c", "hostname; exit 3"]));
        assert_eq!(output.code, Some(3), "{}", output.text);
        assert!(output.text.contains(&name), "{}", output.text);
    }
    let none = scratch.run(Command::new(&join).arg("no-such-container"));
    assert!(!none.success && none.text.contains("no-such-container"), "{}", none.text);
    host.end();
    scratch.nothing_is_left();
}

#[test]
fn shell_is_interactive_resizes_and_restores_the_terminal() {
    let scratch = Scratch::new("shell");
    let Some(program) = build("cc", "examples/shell.c", &scratch, &[]) else { return };
    let mut terminal = capi::terminal::Terminal::new(30, 100);
    let before = terminal.settings();
    let mut shell = terminal.start(scratch.command(&mut Command::new(program)));
    // A prompt that can't be taken for the echo of what is typed.
    terminal.types("PS1=rea''dy:; tty; stty size\n");
    terminal.until("/dev/pts/");
    terminal.until("30 100");
    terminal.resize(40, 120);
    // The shell is told by SIGWINCH, when it comes; asking until it has come is no race.
    terminal.types("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo got the si''ze\n");
    terminal.until("got the size");
    // Ctrl-C ends the program in the foreground, not the shell: job control works.
    // It is in the foreground once it says something; before that Ctrl-C would be the shell's.
    terminal.types("sh -c 'echo beg''un; exec sleep 600'\n");
    terminal.until("begun");
    terminal.types("\x03");
    // The shell throws away what was typed before it is back.
    terminal.until("ready:");
    terminal.types("echo still he''re; exit 5\n");
    terminal.until("still here");
    assert_eq!(shell.wait().unwrap().code(), Some(5));
    assert_eq!(terminal.settings(), before);
    scratch.nothing_is_left();
}

#[test]
fn a_strangers_program_builds_against_what_make_install_installs() {
    if !installed("pkg-config") || !installed("cc") {
        return;
    }
    let scratch = Scratch::new("stranger");
    let root = scratch.path("root");
    let prefix = "PREFIX=/opt/ctr";
    let destination = format!("DESTDIR={}", root.display());
    make(&["install", prefix, &destination]);
    let files = |under: &Path| printed(Command::new("find").arg(under).args(["-not", "-type", "d"]));
    let (pages, others): (Vec<_>, Vec<_>) =
        files(&root).lines().map(str::to_owned).partition(|path| path.contains("/share/man/"));
    assert_eq!(others.len(), 6, "{others:?}");
    for page in ["man1/libctr.1", "man3/ctr.3", "man3/ctr_create.3"] {
        assert!(pages.iter().any(|path| path.ends_with(page)), "{page}");
    }

    let pkgconfig = root.join("opt/ctr/lib/pkgconfig");
    let words = |arguments: &[&str]| -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", &pkgconfig).env("PKG_CONFIG_SYSROOT_DIR", &root);
        printed(command.args(arguments).arg("ctr")).split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let whole = words(&["--cflags", "--libs", "--static"]);
    for (name, link) in [
        ("shared", words(&["--cflags", "--libs"])),
        ("static", statically(whole.clone())),
        ("without any shared library", [vec!["-static".to_owned()], whole].concat()),
    ] {
        let program = scratch.path("program");
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Wextra", "-Werror", "-pthread", "tests/c/stranger.c", "-o"]).arg(&program);
        printed(compiler.args(&link));
        let mut command = Command::new(&program);
        let output = scratch.run(command.env("LD_LIBRARY_PATH", root.join("opt/ctr/lib")));
        assert!(output.success, "{name}: {}", output.text);
        let needed = printed(Command::new("readelf").arg("-d").arg(&program));
        assert_eq!(needed.contains("[libctr.so.0]"), name == "shared", "{needed}");
    }
    scratch.nothing_is_left();

    make(&["uninstall", prefix, &destination]);
    assert_eq!(files(&root), "");
}

/// Takes libctr.a where both are there.
fn statically(words: Vec<String>) -> Vec<String> {
    words.into_iter().map(|word| if word == "-lctr" { "-l:libctr.a".to_owned() } else { word }).collect()
}

#[test]
fn the_library_exports_what_the_header_declares_under_a_version() {
    if !installed("nm") || !installed("readelf") {
        return;
    }
    println!("{}", printed(Command::new("tools/check-symbols").arg(library().join("libctr.so"))));
    let seen = printed(Command::new("nm").args(["-g", "--defined-only"]).arg(library().join("libctr.a")));
    let names = seen.lines().filter_map(|line| line.split_whitespace().nth(2));
    let (ours, others): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("ctr_"));
    assert!(ours.contains(&"ctr_create") && others.is_empty(), "libctr.a shows {others:?}");
}

#[test]
fn every_function_of_the_header_is_called_by_a_c_test() {
    let header = std::fs::read_to_string("include/ctr.h").unwrap();
    let tests =
        std::fs::read_dir("tests/c").unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let tests: String = tests.collect();
    let declared = header.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let names = declared.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    let names: Vec<_> = names.filter(|name| name.starts_with("ctr_")).collect();
    assert!(names.len() > 150, "{names:?}");
    let forgotten: Vec<_> = names.iter().filter(|name| !tests.contains(&format!("{name}("))).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
