//! Images: what a user names becomes the trees that a root is made of.
//!
//! [`Store::resolve`] is what `container` calls. Below it, an archive's way is: `compress` (which kind, and its decoder) in
//! one thread, `archive` (entries; with `pax`, `sparse`, `acl`, `number` for their fields) and `unpack` (files, through the
//! directory descriptors of `dirs`) in another, `pipeline` around both, `import` around all, `store` underneath.
//!
//! Rests on tar(5), POSIX.1-2024 pax, the OCI image specification, and the kernel's Documentation/filesystems/overlayfs.rst.

mod acl;
mod archive;
mod build;
mod compress;
mod config;
mod copy;
mod diff;
mod digest;
mod dirs;
mod documents;
mod entry;
mod export;
mod fault;
mod fill;
mod flat;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod give;
mod import;
mod input;
mod known;
mod layout;
mod limits;
mod lower;
mod make;
mod manage;
mod names;
mod number;
mod output;
mod owner;
mod owners;
mod pax;
mod pipe;
mod pipeline;
mod recorder;
mod remove;
mod rights;
mod running;
mod save;
mod scratch;
mod shifted;
mod snapshot;
mod source;
mod sparse;
mod split;
mod spool;
mod store;
mod unpack;
mod volumes;
mod walk;
mod whiteout;
mod write;

pub use build::BuildOptions;
pub use compress::Compression;
pub use config::ImageConfig;
pub(crate) use copy::{CopiedFile, Keeps, Told, Tree, Writer, parent_and_name, unpack};
pub use diff::{Change, Difference};
pub(crate) use dirs::{Opener, Opens};
pub use export::Export;
pub use input::{ImportOptions, Input};
pub use limits::Limits;
pub use make::MakeOptions;
pub use manage::{Image, Pruned};
pub use output::{ExportOptions, Output};
pub use owner::Id;
pub use pipeline::{Progress, Report};
pub(crate) use remove::tree as remove_tree;
pub(crate) use rights::Rights;
pub(crate) use running::{Below, Running};
pub use save::{SaveFormat, SaveOptions};
pub use scratch::{Applied, Conflicts};
pub(crate) use scratch::{Scratch, open_host};
pub use source::Source;
pub use store::Store;
pub(crate) use volumes::Begin;
pub use volumes::VolumeInfo;
