//! The C ABI: `include/ctr.h` is generated from this module, so its doc comments are the manual that C programmers read.
//!
//! Each function is three lines: check what came in, call the safe API, convert what goes out. It decides nothing. What
//! C gets instead of a pointer is a number that `handle` can tell from a released one, so no misuse of a handle is
//! undefined behaviour; what is left for the caller to promise is that strings end in NUL and that out pointers can be
//! written. No panic crosses the border, see `border`.
//!
//! Every symbol is exported under a version by the linker script `src/ffi/ctr.map`. A signature never changes: what has
//! to behave differently gets another name.

// The names are C's. What C callers must promise stands once at the top of the header instead of in a `# Safety` part
// of every function.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

mod border;
mod changes;
mod config;
mod config_limits;
mod container;
mod copy;
mod disks;
mod error;
mod exec_config;
mod files;
mod handle;
mod image;
mod image_config;
mod image_options;
mod images;
mod inspect;
mod limits;
mod list;
mod mounts;
mod networks;
mod pause;
mod ports;
mod probe;
mod process;
mod scratch;
mod setters;
mod sockets;
mod stats;
mod types;
mod volumes;
mod walls;
mod watch;

pub use changes::*;
pub use config::*;
pub use config_limits::*;
pub use container::*;
pub use copy::*;
pub use disks::*;
pub use error::*;
pub use exec_config::*;
pub use files::*;
pub use image::*;
pub use image_config::*;
pub use image_options::*;
pub use images::*;
pub use inspect::*;
pub use limits::*;
pub use list::*;
pub use mounts::*;
pub use networks::*;
pub use pause::*;
pub use ports::*;
pub use probe::*;
pub use process::*;
pub use scratch::*;
pub use sockets::*;
pub use stats::*;
pub use types::*;
pub use volumes::*;
pub use walls::*;
pub use watch::*;
