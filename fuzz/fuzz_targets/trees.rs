#![no_main]
//! Trees of files beside one another: what differs, as a layer, and what is exported and imported again.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ctr::image::fuzzing::trees(bytes));
