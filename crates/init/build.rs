//! Builds the freestanding program of src/main.rs and puts it where src/lib.rs embeds it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// How its code is generated. It is always optimized, because only then is it proven free of panics (see src/main.rs).
const CODE: [&str; 7] = [
    "panic=abort",
    "opt-level=z",
    "codegen-units=1",
    "relocation-model=static",
    "strip=symbols",
    "overflow-checks=off",
    "force-unwind-tables=no",
];

/// How it is linked: one static file, no C library, the segments of link.ld.
const LINK: [&str; 8] = [
    "lto=fat",
    "default-linker-libraries=no",
    "link-arg=-nostdlib",
    "link-arg=-nostartfiles",
    "link-arg=-static",
    "link-arg=-no-pie",
    "link-arg=-Wl,--build-id=none,--gc-sections,-z,norelro,-z,separate-loadable-segments",
    "link-arg=-Wl,-z,noexecstack,--no-eh-frame-hdr,--no-rosegment,-z,max-page-size=4096",
];

fn main() {
    let target = variable("TARGET");
    assert!(
        target.starts_with("x86_64-") && target.contains("-linux-"),
        "ctr runs on x86-64 Linux only so far; its freestanding PID 1 (crates/init) has no code for {target}"
    );
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    // Where the ctr-wire lies that cargo has chosen: its own build script says it.
    let wire = PathBuf::from(variable("DEP_CTR_WIRE_SOURCE"));
    for source in [&here.join("build.rs"), &here.join("link.ld"), &here.join("src"), &wire] {
        println!("cargo::rerun-if-changed={}", source.display());
    }

    let library = out.join("libctr_wire.rlib");
    let status = rustc("ctr_wire", "rlib").arg("-o").arg(&library).arg(wire.join("lib.rs")).status();
    assert!(status.expect("rustc starts").success(), "{} does not build", wire.display());

    let mut link = rustc("ctr_init", "bin");
    link.args(LINK.iter().flat_map(|option| ["-C", option]));
    link.arg("-C").arg(format!("link-arg=-Wl,-T,{}", here.join("link.ld").display()));
    link.arg("--extern").arg(format!("ctr_wire={}", library.display()));
    let status = link.arg("-o").arg(out.join("ctr-init")).arg(here.join("src/main.rs")).status();
    assert!(status.expect("rustc starts").success(), "the program of {} does not build", here.display());

    // The program that cargo itself builds, which nobody runs, has its own entry as well.
    println!("cargo::rustc-link-arg-bins=-nostartfiles");
}

/// The same rustc as cargo's.
fn rustc(name: &str, kind: &str) -> Command {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--target", &variable("TARGET"), "--crate-name", name, "--crate-type", kind]);
    rustc.args(CODE.iter().flat_map(|option| ["-C", option]));
    rustc
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
