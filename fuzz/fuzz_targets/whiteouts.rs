#![no_main]
//! Layers with whiteouts over one another, compared with a model in memory.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ctr::image::fuzzing::whiteouts(bytes));
