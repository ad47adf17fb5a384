//! The freestanding program that is the zygote of a process and PID 1 of each of its containers, as bytes.
//!
//! The program's source is beside this file; it begins at `main.rs`. `build.rs` compiles it into one static file of some 21 KB.
//! `ctr-wire` is the language in which the library speaks to it.

#![no_std]

/// The program, an ELF file. The library runs it from a sealed memfd.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ctr-init"));
