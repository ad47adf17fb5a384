#![no_main]
//! Manifests, indexes, configurations and lists of saved images.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ctr::image::fuzzing::documents(bytes));
