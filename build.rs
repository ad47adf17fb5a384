//! Builds the freestanding program of src/init/program and puts it where the library embeds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    init_program(&out);
}

/// Compiles src/init/program with the same rustc: no std, no C library, no unwinding, one static file. It is always
/// optimized, because only then is it proven free of panics (see its main.rs).
fn init_program(out: &Path) {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    assert!(
        target.starts_with("x86_64-") && target.contains("-linux-"),
        "ctr runs on x86-64 Linux only so far; its freestanding PID 1 (src/init/program) has no code for {target}"
    );
    println!("cargo::rerun-if-changed=src/init");
    let program = out.join("ctr-init");
    let script =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/init/program/link.ld");
    let status = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .args(["--edition", "2024", "--crate-name", "ctr_init", "--crate-type", "bin", "--target", &target])
        .args(["-C", "panic=abort", "-C", "opt-level=z", "-C", "codegen-units=1", "-C", "lto=fat"])
        .args(["-C", "relocation-model=static", "-C", "strip=symbols", "-C", "overflow-checks=off"])
        .args(["-C", "force-unwind-tables=no", "-C", "default-linker-libraries=no"])
        .args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles", "-C", "link-arg=-static"])
        .args([
            "-C",
            "link-arg=-no-pie",
            "-C",
            "link-arg=-Wl,--build-id=none,--gc-sections,-z,norelro,-z,separate-loadable-segments",
        ])
        .args(["-C", "link-arg=-Wl,-z,noexecstack,--no-eh-frame-hdr,--no-rosegment,-z,max-page-size=4096"])
        .arg("-C")
        .arg(format!("link-arg=-Wl,-T,{}", script.display()))
        .arg("-o")
        .arg(&program)
        .arg("src/init/program/main.rs")
        .status()
        .expect("rustc starts");
    assert!(status.success(), "src/init/program does not build");
}
