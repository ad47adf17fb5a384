//! Archives on their way out: to a path, a descriptor or any writer, compressed or not, with progress and cancellation.
//!
//! The work is done on a thread with every signal blocked: a pipe that nobody reads any more is an error (EPIPE), and the
//! host never sees SIGPIPE.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::compress::{Compression, Encoder};
use super::fault::{Fault, Outcome};
use super::pipe::{self, PipeReader};
use super::pipeline::{self, Counters, Report};
use crate::sys::fs::{self, AT_FDCWD, AtFlags, FileType, Mode, OFlag, UnlinkatFlags};
use crate::{Error, Result, Step};

/// Where an archive is written to.
#[non_exhaustive]
pub enum Output<'o> {
    /// A file, which appears when it is whole, in the place of an older one; or what is there that is no file (a fifo, a
    /// terminal).
    Path(&'o Path),
    /// To where the descriptor is; a pipe or socket too. It is not closed.
    Fd(BorrowedFd<'o>),
    /// Any stream of bytes.
    Writer(Box<dyn Write + Send + 'o>),
}

/// How a tree is written as a tar archive.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Not at all, gzip or zstd.
    pub compression: Compression,
    /// The latest time of any file, in seconds since 1970; where there is none, the variable SOURCE_DATE_EPOCH counts.
    pub epoch: Option<i64>,
}

crate::config::with!(ExportOptions);

/// What reproducible builds agree on: <https://reproducible-builds.org/specs/source-date-epoch/>.
pub(super) fn epoch(given: Option<i64>) -> Result<Option<i64>> {
    let Some(text) = crate::sys::var_os("SOURCE_DATE_EPOCH").filter(|_| given.is_none()) else {
        return Ok(given);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| {
        Error::invalid(Step::UseVariableSourceDateEpoch, text.display(), "it is not a number of seconds")
    })
}

/// What `work` gets to do it with.
pub(super) struct Packing<'p> {
    pub out: &'p mut (dyn Write + Send),
    pub counters: &'p Counters,
}

/// Has `work` write an archive of `what` to `output`. Answers how many bytes came out.
pub(super) fn pack(
    what: &str,
    output: Output<'_>,
    compression: Compression,
    report: Report<'_>,
    work: impl FnOnce(Packing<'_>) -> Outcome<()> + Send,
) -> Result<u64> {
    if !Encoder::<File>::knows(compression) {
        return Err(Error::invalid(Step::Pack, what, "archives are written plain, as gzip or as zstd"));
    }
    let sink = Sink::open(output)?;
    let counters = Counters::new(0);
    sink.fill(what, &counters, report, |sink| {
        let (mut out, pieces) = pipe::pipe();
        let sink = Tap { sink, counters: &counters };
        std::thread::scope(|scope| {
            let writer = pipeline::spawn(scope, "ctr-write", move || write(pieces, compression, sink))?;
            let packed = work(Packing { out: &mut out, counters: &counters });
            let packed = packed.and_then(|()| out.finish().map_err(Fault::write));
            pipe::both(packed, pipeline::join(writer))
        })
    })?;
    Ok(counters.bytes())
}

/// Compresses what comes, and writes it.
fn write(mut pieces: PipeReader, compression: Compression, sink: Tap<'_>) -> Outcome<()> {
    // What an encoder has to say comes in small pieces, what is plain in large ones.
    let buffered = BufWriter::with_capacity(64 << 10, sink);
    let mut encoder = Encoder::new(compression, buffered).map_err(Fault::write)?;
    loop {
        let piece = pieces.piece().map_err(Fault::write)?;
        let length = piece.len();
        if length == 0 {
            return encoder.finish().and_then(|mut sink| sink.flush()).map_err(Fault::write);
        }
        encoder.write_all(piece).map_err(Fault::write)?;
        pieces.consume(length);
    }
}

/// An output that is open.
pub(super) struct Sink<'o> {
    /// What errors call it.
    place: String,
    writer: Box<dyn Write + Send + 'o>,
    unfinished: Option<Unfinished>,
}

impl<'o> Sink<'o> {
    pub fn open(output: Output<'o>) -> Result<Self> {
        Ok(match output {
            Output::Path(path) => {
                let failed = |errno: Errno| Error::system(Step::Write, path.display(), errno as i32);
                let (file, unfinished) = open(path).map_err(failed)?;
                Self { place: path.display().to_string(), writer: Box::new(File::from(file)), unfinished }
            }
            Output::Fd(fd) => {
                let fd = fd.try_clone_to_owned().map_err(|error| Error::io(Step::WriteTo, "the descriptor", &error))?;
                Self { place: "to the descriptor".into(), writer: Box::new(File::from(fd)), unfinished: None }
            }
            Output::Writer(writer) => Self { place: "to the stream".into(), writer, unfinished: None },
        })
    }

    /// Has `work` write an archive of `what` to it. A file has its name only when all went well, the last report too.
    pub fn fill(
        self,
        what: &str,
        counters: &Counters,
        report: Report<'_>,
        work: impl FnOnce(Box<dyn Write + Send + 'o>) -> Outcome<()> + Send,
    ) -> Result<()> {
        let Self { place, writer, unfinished } = self;
        let finish =
            |unfinished: Unfinished| unfinished.finish().map_err(|errno| Fault::system(Step::Write, b"", errno));
        pipeline::watch(counters, report, || work(writer))
            .and_then(|()| unfinished.map_or(Ok(()), finish))
            .map_err(|fault| fault.into_packing_error(what, &place))
    }
}

/// Counts what is written, and stops when the caller says so.
struct Tap<'t> {
    sink: Box<dyn Write + Send + 't>,
    counters: &'t Counters,
}

impl Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counters.check()?;
        let length = self.sink.write(bytes)?;
        self.counters.count(length);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A file that has no name yet, or one that goes again when it is not finished.
struct Unfinished {
    directory: OwnedFd,
    /// Its name so far; `None` for an O_TMPFILE.
    temporary: Option<OsString>,
    name: OsString,
    file: OwnedFd,
}

/// Opens `path` for writing. What is there and is no regular file is written to as it is.
fn open(path: &Path) -> std::result::Result<(OwnedFd, Option<Unfinished>), Errno> {
    let is_other = fs::fstatat(AT_FDCWD, path, AtFlags::empty())
        .is_ok_and(|stat| fs::file_type(stat.st_mode) != Some(FileType::File));
    if is_other {
        let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        return Ok((fs::openat(AT_FDCWD, path, flags, Mode::empty())?, None));
    }
    // Through a symbolic link the file is replaced that it leads to.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().ok_or(Errno::EISDIR)?.to_os_string();
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => return Err(Errno::EISDIR),
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = fs::openat(AT_FDCWD, &parent, flags, Mode::empty())?;
    let mode = Mode::from_bits_truncate(0o666);
    let (file, temporary) =
        match fs::openat(&directory, ".", OFlag::O_WRONLY | OFlag::O_TMPFILE | OFlag::O_CLOEXEC, mode) {
            Ok(file) => (file, None),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
                let (temporary, file) =
                    numbered(|temporary| fs::openat(&directory, temporary.as_os_str(), flags, mode))?;
                (file, Some(temporary))
            }
            Err(errno) => return Err(errno),
        };
    let again = file.try_clone().map_err(|error| fs::errno_of(&error).unwrap_or(Errno::EMFILE))?;
    Ok((file, Some(Unfinished { directory, temporary, name, file: again })))
}

fn numbered<T>(make: impl Fn(&OsString) -> std::result::Result<T, Errno>) -> std::result::Result<(OsString, T), Errno> {
    for attempt in 0..1000 {
        let name = OsString::from(format!(".ctr-{}-{attempt}", crate::sys::process_id()));
        match make(&name) {
            Err(Errno::EEXIST) => {}
            answer => return answer.map(|made| (name, made)),
        }
    }
    Err(Errno::EEXIST)
}

impl Unfinished {
    /// Gives the file its name, in one step.
    fn finish(mut self) -> std::result::Result<(), Errno> {
        let temporary = match self.temporary.take() {
            Some(temporary) => temporary,
            None => {
                let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                match fs::linkat(
                    AT_FDCWD,
                    link.as_str(),
                    &self.directory,
                    self.name.as_os_str(),
                    AtFlags::AT_SYMLINK_FOLLOW,
                ) {
                    // linkat(2) replaces nothing, rename(2) does.
                    Err(Errno::EEXIST) => {}
                    answer => return answer,
                }
                numbered(|name| {
                    fs::linkat(AT_FDCWD, link.as_str(), &self.directory, name.as_os_str(), AtFlags::AT_SYMLINK_FOLLOW)
                })?
                .0
            }
        };
        let renamed = fs::renameat(&self.directory, temporary.as_os_str(), &self.directory, self.name.as_os_str());
        if renamed.is_err() {
            self.temporary = Some(temporary);
        }
        renamed
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::unlinkat(&self.directory, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}
