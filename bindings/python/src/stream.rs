//! Python's file objects as the core's streams. They are read and written on the thread that called us, where Ctrl-C reaches
//! them and where objects that belong to one thread work.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use ctr::image::{Image, ImportOptions, Input, Output, Progress, Report, Store};
use nix::sys::signal::{SigSet, SigmaskHow};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::Bytes;
use crate::error::Raise;
use crate::progress::Listener;

/// Bytes asked of a file at a time; the importer holds a few of these.
const PIECE: usize = 1 << 20;
const PIECES: usize = 2;
/// How often we look whether a signal handler raises, where the importer does not ask.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a sleep is that waits for the importer, or for a file that has nothing to be read just now.
const NAP: Duration = Duration::from_millis(1);

/// A descriptor of Python's, which stays Python's: a copy of it.
pub fn borrowed(fd: i32) -> PyResult<std::fs::File> {
    // SAFETY: only borrowed, to be copied; the call fails where it is not open.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    Ok(fd.try_clone_to_owned()?.into())
}

/// Imports what `file.read` gives, on a thread beside ours; `total` is how many bytes that will be, 0 where nobody knows.
pub fn import(
    py: Python<'_>,
    store: &Store,
    file: &Bound<'_, PyAny>,
    total: u64,
    options: &ImportOptions,
    listener: Listener,
) -> PyResult<Image> {
    let (pieces, taken) = sync_channel(PIECES);
    let (ask, asked) = channel();
    let (reply, replied) = channel();
    let stopped = AtomicBool::new(false);
    let mut pump = Pump { pieces, asked, reply, listener, total };
    thread::scope(|scope| {
        let worker = spawn(scope, || {
            let (ask, replied) = (ask, replied);
            let input = Input::Reader(Box::new(Pieces { taken, piece: Vec::new(), at: 0, stopped: &stopped }));
            // Whoever does not answer any more wants no more.
            store.import(input, options, &mut |done| ask.send(done).is_ok() && replied.recv().unwrap_or(false))
        })?;
        let pumped = pump.run(py, file);
        if pumped.is_err() {
            // Before the sender goes: the end of what was sent must not look like the end of the file.
            stopped.store(true, Ordering::Relaxed);
        }
        let Pump { pieces, asked, reply, mut listener, .. } = pump;
        drop(pieces);
        if pumped.is_err() {
            drop((asked, reply));
        } else {
            until_finished(py, asked, &reply, total, &mut listener);
        }
        let answer = join(py, worker);
        listener.answer(pumped.and_then(|()| answer.or_raise(py)))
    })
}

/// The file is read; what is left is to answer the importer.
fn until_finished(
    py: Python<'_>,
    mut asked: Receiver<Progress>,
    reply: &Sender<bool>,
    total: u64,
    listener: &mut Listener,
) {
    loop {
        let asked = &mut asked;
        match py.detach(move || asked.recv_timeout(LOOK_EVERY)) {
            // It listens as long as it asks.
            Ok(progress) => _ = reply.send(listener.hear(known(progress, total))),
            Err(RecvTimeoutError::Timeout) => _ = listener.look(py),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn known(mut progress: Progress, total: u64) -> Progress {
    if progress.total == 0 {
        progress.total = total;
    }
    progress
}

/// Our side of an import: reads the file, and answers when the importer asks whether to go on.
struct Pump {
    pieces: SyncSender<Vec<u8>>,
    asked: Receiver<Progress>,
    reply: Sender<bool>,
    listener: Listener,
    total: u64,
}

impl Pump {
    /// Hands over what the file has, to its end, or until the importer wants no more.
    fn run(&mut self, py: Python<'_>, file: &Bound<'_, PyAny>) -> PyResult<()> {
        // One read of what is there, where the object has that: a pipe's first bytes need not wait for its millionth.
        let read = file.getattr("read1").or_else(|_| file.getattr("read"))?;
        loop {
            self.reply(py)?;
            let read = read.call1((PIECE,))?;
            if read.is_none() {
                // Non-blocking, with nothing there.
                py.detach(|| thread::sleep(NAP));
                continue;
            }
            let bytes = read.cast::<PyBytes>().map_err(|_| {
                PyTypeError::new_err(format!("read() must give bytes, not {}: open it in binary mode", read.get_type()))
            })?;
            if bytes.as_bytes().is_empty() {
                return Ok(());
            }
            let mut piece = bytes.as_bytes().to_vec();
            loop {
                piece = match self.pieces.try_send(piece) {
                    Ok(()) => break,
                    // It has failed, and its answer says why.
                    Err(TrySendError::Disconnected(_)) => return Ok(()),
                    Err(TrySendError::Full(piece)) => piece,
                };
                py.detach(|| thread::sleep(NAP));
                self.reply(py)?;
            }
        }
    }

    /// Answers the importer, if it asks. What a callback or a handler raises is an error here.
    fn reply(&mut self, py: Python<'_>) -> PyResult<()> {
        match self.asked.try_recv() {
            // It listens as long as it asks.
            Ok(progress) => _ = self.reply.send(self.listener.hear(known(progress, self.total))),
            Err(_) => _ = self.listener.look(py),
        }
        match self.listener.raised(py) {
            Some(raised) => Err(raised),
            None => Ok(()),
        }
    }
}

/// What was pumped, as the core reads it.
struct Pieces<'s> {
    taken: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    stopped: &'s AtomicBool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.taken.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) if self.stopped.load(Ordering::Relaxed) => {
                    return Err(io::Error::from_raw_os_error(nix::libc::ECANCELED));
                }
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Has `work` write to `target`, a path or an object with `write`.
pub fn export<T: Send>(
    py: Python<'_>,
    target: &Bound<'_, PyAny>,
    mut listener: Listener,
    work: impl FnOnce(Output<'_>, Report<'_>) -> ctr::Result<T> + Send,
) -> PyResult<T> {
    if !target.hasattr("write")? {
        let path: PathBuf = target.extract::<Bytes>()?.into();
        let answer = py.detach(|| work(Output::Path(&path), &mut |done| listener.hear(done)));
        return listener.answer(answer.or_raise(py));
    }
    let (said, heard) = sync_channel(PIECES);
    let (reply, replied) = channel();
    thread::scope(|scope| {
        let worker = spawn(scope, move || {
            let ask = said.clone();
            work(Output::Writer(Box::new(Outgoing(said))), &mut |done| {
                // Whoever does not answer any more wants no more.
                ask.send(Said::Progress(done)).is_ok() && replied.recv().unwrap_or(false)
            })
        })?;
        let written = listen(py, target, heard, &reply, &mut listener);
        drop(reply);
        let answer = join(py, worker);
        listener.answer(written.and_then(|()| answer.or_raise(py)))
    })
}

/// What the exporting thread says.
enum Said {
    Bytes(Vec<u8>),
    Progress(Progress),
}

/// Writes what comes and answers what is asked, to the end.
fn listen(
    py: Python<'_>,
    file: &Bound<'_, PyAny>,
    mut heard: Receiver<Said>,
    reply: &Sender<bool>,
    listener: &mut Listener,
) -> PyResult<()> {
    let write = file.getattr("write")?;
    loop {
        let next = &mut heard;
        match py.detach(move || next.recv_timeout(LOOK_EVERY)) {
            Ok(Said::Bytes(bytes)) => {
                let mut left = &bytes[..];
                while !left.is_empty() {
                    // An object that does not say how much has taken all.
                    let taken = write.call1((PyBytes::new(py, left),))?.extract::<Option<usize>>()?;
                    left = &left[taken.unwrap_or(left.len()).min(left.len())..];
                }
            }
            // It listens as long as it asks.
            Ok(Said::Progress(progress)) => _ = reply.send(listener.hear(progress)),
            Err(RecvTimeoutError::Timeout) => _ = listener.look(py),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if let Some(raised) = listener.raised(py) {
            return Err(raised);
        }
    }
}

/// Our end, as the core writes to it.
struct Outgoing(SyncSender<Said>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(PIECE)];
        let gone = |_| io::Error::from_raw_os_error(nix::libc::ECANCELED);
        self.0.send(Said::Bytes(bytes.to_vec())).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A thread beside ours, which takes none of the host's signals.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let thread = thread::Builder::new().name("ctr-archive".into()).spawn_scoped(scope, work);
    if let Ok(before) = before {
        // Setting a mask that was valid before can't fail.
        let _ = before.thread_set_mask();
    }
    thread
}

fn join<T: Send>(py: Python<'_>, worker: thread::ScopedJoinHandle<'_, T>) -> T {
    py.detach(|| worker.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
