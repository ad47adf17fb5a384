//! Images: archives into the store and out of it.

mod support;

mod bad_input;
mod resolve;
mod tarballs;
