//! Images: archives into the store and out of it.

mod support;
mod xattrs;

mod attacks;
mod bad_input;
mod build;
mod commit;
mod differential;
mod digests;
mod docker;
mod export;
mod large;
mod layers;
mod others;
mod resolve;
mod round_trips;
mod run;
mod running;
mod tarballs;
