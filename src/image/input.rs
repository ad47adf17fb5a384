//! Imports that a user asks for by name: from a path, a descriptor or any reader, with progress and cancellation.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::import;
use super::known::{Known, Select};
use super::layout::Platform;
use super::manage::Image;
use super::pipeline::{Report, Source};
use super::source::with_reference;
use super::store::Store;
use crate::sys::fs::{self, AT_FDCWD, AtFlags, FileType, Whence};
use crate::{Error, Result, Step};

/// Where an archive is read from.
#[non_exhaustive]
pub enum Input<'i> {
    /// An archive, or a directory that is an OCI image layout; known the second time.
    Path(&'i Path),
    /// From where the descriptor is, to its end; a pipe or socket too. It is not closed.
    Fd(BorrowedFd<'i>),
    /// Any stream of bytes.
    Reader(Box<dyn Read + Send + 'i>),
}

/// How an archive is imported.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// A name for the image; taken from the image that had it.
    pub name: Option<String>,
    /// Which one of several images in the archive: the end of its name, or its digest.
    pub reference: Option<String>,
    /// Which one of several images of the same name, as docker's `--platform`: "linux/arm64", "arm/v7"; this machine's where
    /// there is none.
    pub platform: Option<String>,
    /// How many leading components every name loses, as tar's `--strip-components`: 1 for an archive whose content is
    /// wrapped in one directory.
    pub strip: usize,
}

crate::config::with!(ImportOptions);

fn not_found(path: &std::path::Path, errno: Errno) -> Error {
    let error = Error::system(Step::FindArchive, path.display(), errno as i32);
    if errno == Errno::ENOENT { error.with_code(crate::ErrorCode::NotFound) } else { error }
}

impl Store {
    /// Imports an archive. `report` hears of progress some ten times a second, on the calling thread; when it answers
    /// false the import ends with [`crate::ErrorCode::Interrupted`] and nothing of it is left.
    pub fn import(&self, input: Input<'_>, options: &ImportOptions, report: Report<'_>) -> Result<Image> {
        if let Some(name) = &options.name {
            super::manage::name_link(name)?;
        }
        let parse = |text| {
            let why = "it is neither ARCHITECTURE nor linux/ARCHITECTURE[/VARIANT]";
            Platform::parse(text).ok_or_else(|| Error::invalid(Step::ImportForPlatform, text, why))
        };
        let platform = options.platform.as_deref().map(parse).transpose()?;
        let select = Select { reference: options.reference.as_deref(), platform, strip: options.strip };
        // The image stays in use, and so here, until it has its name.
        let (digest, _in_use) = self.import_known(input, select, report)?;
        if let Some(name) = &options.name {
            self.tag_digest(&digest, name)?;
        }
        self.inspect(&format!("sha256:{digest}"))
    }

    fn import_known(&self, input: Input<'_>, select: Select<'_>, report: Report<'_>) -> Result<Known> {
        match input {
            Input::Path(path) => {
                let (path, stat, select) = match fs::fstatat(AT_FDCWD, path, AtFlags::empty()) {
                    Ok(stat) => (path, stat, select),
                    Err(errno) => match with_reference(path.as_os_str()).filter(|_| select.reference.is_none()) {
                        Some((path, stat, reference)) => (path, stat, Select { reference: Some(reference), ..select }),
                        None => return Err(not_found(path, errno)),
                    },
                };
                self.path_known(path, &stat, select, report)?.ok_or_else(|| {
                    Error::invalid(Step::Import, path.display(), "it is a directory, but no OCI image layout")
                        .with_hint("pack it with tar, or use it as an image as it is")
                })
            }
            Input::Fd(fd) => {
                let failed = |error: io::Error| Error::io(Step::Import, "the descriptor", &error);
                let file = File::from(fd.try_clone_to_owned().map_err(failed)?);
                let stat = fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
                if fs::file_type(stat.st_mode) == Some(FileType::File) {
                    let at = fs::lseek(&file, 0, Whence::SeekCur).unwrap_or(0);
                    let total = u64::try_from(stat.st_size).unwrap_or(0).saturating_sub(at);
                    return self.import_stream("the descriptor", Box::new(file), total, select, report);
                }
                self.import_stream("the descriptor", Box::new(Patient(file)), 0, select, report)
            }
            Input::Reader(reader) => self.import_stream("the stream", reader, 0, select, report),
        }
    }

    fn import_stream<'i>(
        &self,
        name: &str,
        input: Box<dyn Read + Send + 'i>,
        total: u64,
        select: Select<'_>,
        report: Report<'_>,
    ) -> Result<Known> {
        import::stream(self, name, Source { input, total, hash_blob: false }, select, report)
    }
}

/// A pipe or socket whose other end may keep silent for ever. Its reads end as interrupted ones do after a while, and the one
/// who reads looks whether the import was cancelled.
struct Patient(File);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], 100u8)? == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.0.read(buffer) {
            // Whoever made the descriptor may have made it O_NONBLOCK, and someone else may have read what was there.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::Interrupted.into()),
            answer => answer,
        }
    }
}
