//! New images from trees: a layer that was packed here, on top of those of another image or of none.
//!
//! The layer goes the way of every import (through `archive` and `unpack`), so nothing reaches the store that could not have
//! come as a tarball. It is known by the digest of what its tree is packed to, which does not depend on how it was made.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::config::ImageConfig;
use super::digest::Digest;
use super::export::Export;
use super::fault::{Fault, Outcome};
use super::give;
use super::import::{self, Importing};
use super::manage::Image;
use super::output::Packing;
use super::pipe;
use super::pipeline::{self, Counters, Progress, REPORT_EVERY, Report};
use super::store::Store;
use super::{save, write};
use crate::sys::fs::{self, Mode, OFlag};
use crate::{Error, Result, Step};

/// What a new image gets besides its files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MakeOptions {
    /// A name for the image; taken from the image that had it.
    pub name: Option<String>,
    /// How it is run; as the image that it is made from where there is none.
    pub config: Option<ImageConfig>,
    /// The latest time of any file, in seconds since 1970, and when the image says it was made; where there is none, the
    /// variable SOURCE_DATE_EPOCH counts.
    pub epoch: Option<i64>,
}

crate::config::with!(MakeOptions);

/// What a new image stands on.
#[derive(Default)]
pub(super) struct Base {
    /// Its layers as they came, lowest first.
    pub layers: Vec<String>,
    pub config: ImageConfig,
    /// All that its configuration says, as its document in the store has it.
    pub document: Option<String>,
}

/// An image of `base` and, where there is `work`, a layer that it makes. Errors call it `what`.
pub(super) fn image(
    store: &Store,
    what: &str,
    base: Base,
    options: &MakeOptions,
    epoch: Option<i64>,
    report: Report<'_>,
    work: Option<impl FnOnce(&Importing<'_>, Report<'_>) -> Outcome<Digest>>,
) -> Result<Image> {
    if let Some(name) = &options.name {
        super::manage::name_link(name)?;
    }
    let config = options.config.clone().unwrap_or_else(|| base.config.clone());
    check(&config)?;
    if config.stop_signal != base.config.stop_signal
        && let Some(text) = config.unknown_stop_signal()
    {
        return Err(Error::invalid(Step::UseImageStopSignal, text, "there is no such signal"));
    }
    let (digest, _in_use) = Importing::run(store, |importing| {
        let mut layers = base.layers;
        if let Some(work) = work {
            let made = work(importing, report);
            layers.push(made.map_err(|fault| fault.into_packing_error(what, &store.shown()))?.hex());
        }
        if layers.is_empty() {
            return Err(Error::invalid(Step::MakeImage, what, "there is nothing in it: no base, and no files"));
        }
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{layer}")).collect();
        let document = save::document(&config, base.document.as_deref(), &diff_ids, epoch);
        import::compose(importing, what, Digest::of(document.as_bytes()), layers, config, document)
    })?;
    if let Some(name) = &options.name {
        store.tag_digest(&digest, name)?;
    }
    store.inspect(&format!("sha256:{digest}"))
}

/// Refuses a configuration that no container could be run with.
fn check(config: &ImageConfig) -> Result<()> {
    let bad = |step: Step, text: &str, why: &str| Err(Error::invalid(step, text, why));
    if let Some(entry) = config.env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0)) {
        return bad(Step::GiveImageVariable, entry, "it is not NAME=VALUE");
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return bad(Step::GiveImageWorkingDirectory, &config.working_dir, "the path is not absolute");
    }
    let is_bad = |volume: &&String| !volume.starts_with('/') || volume.split('/').any(|name| name == "..");
    if let Some(volume) = config.volumes.iter().find(is_bad) {
        return bad(Step::GiveImageVolume, volume, "the path is not absolute, or has .. in it");
    }
    Ok(())
}

/// Has a layer made of what `work` writes: entries without the archive's end.
pub(super) fn packed(
    work: impl FnOnce(Packing<'_>) -> Outcome<()> + Send,
) -> impl FnOnce(&Importing<'_>, Report<'_>) -> Outcome<Digest> {
    move |importing, report| layer(importing, report, work)
}

/// Packs, unpacks and keeps one layer.
fn layer(
    importing: &Importing<'_>,
    report: Report<'_>,
    work: impl FnOnce(Packing<'_>) -> Outcome<()> + Send,
) -> Outcome<Digest> {
    let (mut out, input) = pipe::pipe();
    let unread = Counters::new(0);
    let mut last = Progress::default();
    let mut heard = |progress| {
        last = progress;
        report(progress)
    };
    thread::scope(|scope| {
        let packer = pipeline::spawn(scope, "ctr-pack", move || {
            work(Packing { out: &mut out, counters: &unread })?;
            out.write_all(&write::END).and_then(|()| out.finish()).map_err(Fault::write)
        })?;
        let source = pipeline::Source { input: Box::new(input), total: 0, hash_blob: false };
        let unpacked = pipeline::run(source, importing.bounds(), &mut heard, |stream, counters, own_umask| {
            import::layer(importing, "made", import::Taking::default(), stream, counters, own_umask)
        });
        pipe::both(pipeline::join(packer), unpacked)
    })?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = |parent: std::os::fd::BorrowedFd, name| {
        fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| Fault::system(Step::OpenLayer, b"", errno))
    };
    let place = opened(importing.workspace.fd(), "made")?;
    let tree = opened(place.as_fd(), "fs")?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // What its files have not been given yet is listed too.
    let kept = ["kept", give::OWED].into_iter().filter_map(|name| fs::openat(&place, name, flags, Mode::empty()).ok());
    let mut sum = Sum(Sha256::new());
    // The files are read once more, which may take as long again.
    let mut asked = Instant::now();
    let mut go_on = |_| {
        if asked.elapsed() < REPORT_EVERY {
            return true;
        }
        asked = Instant::now();
        report(last)
    };
    let kept = kept.map(File::from).collect();
    let export = Export { is_layer: true, kept, go_on: Some(&mut go_on), ..Export::default() };
    export.write(tree, &mut sum)?;
    let digest = Digest::from_bytes(sum.0.finalize().into());
    import::publish_layer(importing, "made", digest)?;
    Ok(digest)
}

struct Sum(Sha256);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
