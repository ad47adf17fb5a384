//! Tells the build script of ctr-init, which compiles this crate once more for the freestanding program, where it lies.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::metadata=source={}/src", std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
}
