#![no_main]
//! Hostile archives unpacked for real, beside a victim that must not change.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ctr::image::fuzzing::unpack(bytes));
