//! An archive's bytes on their way: one thread reads and decompresses, another takes the archive apart, a third hashes, and
//! the caller's own waits and reports progress. Which of the three is the slowest depends on the archive, and two cpus are
//! shared best by those who take what is left of them.
//!
//! We are guests, so the threads are made with every signal blocked (no handler of the host ever runs on them, and a write
//! past RLIMIT_FSIZE is an error instead of SIGXFSZ), and the one that makes files has an umask of its own.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::Mode;
use sha2::{Digest, Sha256};

use super::compress;
use super::fault::{Fault, Outcome};
use super::limits::{Limits, Used};
use crate::Step;

/// One piece on its way; four of them are all the memory that a slow side costs. The decoder copies its window of 32 KiB
/// once a piece, so small ones cost.
const PIECE: usize = 1 << 20;
const PIECES: usize = 4;

/// How often the caller hears of progress.
pub const REPORT_EVERY: Duration = Duration::from_millis(100);

/// How far an import is, or an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the archive read or written so far, as it is (compressed).
    pub bytes: u64,
    /// Bytes that it has; 0 where that can't be known (a pipe, an export).
    pub total: u64,
    /// Entries unpacked or packed so far.
    pub entries: u64,
}

/// Hears of progress and says whether to go on.
pub type Report<'r> = &'r mut dyn FnMut(Progress) -> bool;

/// What the threads tell the caller.
pub struct Counters {
    total: u64,
    half: AtomicBool,
    read: AtomicU64,
    entries: AtomicU64,
    stop: AtomicBool,
}

impl Counters {
    pub fn new(total: u64) -> Self {
        Self {
            total,
            half: AtomicBool::new(false),
            read: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// More bytes.
    pub fn count(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// More bytes, but never more than there are.
    pub fn count_up_to_total(&self, bytes: u64) {
        let most = self.total.saturating_sub(self.bytes());
        self.read.fetch_add(bytes.min(most), Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Fails once the caller wants no more.
    pub fn check(&self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(io::Error::other(Fault::Cancelled)) } else { Ok(()) }
    }

    /// One more entry.
    pub fn entry(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// As much again will follow.
    pub fn half(&self) {
        self.half.store(true, Ordering::Relaxed);
    }

    fn progress(&self) -> Progress {
        let (bytes, entries) = (self.read.load(Ordering::Relaxed), self.entries.load(Ordering::Relaxed));
        let total = if self.half.load(Ordering::Relaxed) { self.total.saturating_mul(2) } else { self.total };
        Progress { bytes, total, entries }
    }
}

/// The way of one import through its archive and then through its layers: what the caller hears never goes back, and has one
/// total.
pub struct Course<'r> {
    report: Report<'r>,
    /// What was said last.
    last: Progress,
    /// What had been said when the layers began, their bytes, and those of them that are done.
    before: Progress,
    layers: u64,
    finished: u64,
    entries: u64,
}

impl<'r> Course<'r> {
    pub fn new(report: Report<'r>) -> Self {
        let none = Progress::default();
        Self { report, last: none, before: none, layers: 0, finished: 0, entries: 0 }
    }

    pub fn say(&mut self, at: Progress) -> bool {
        self.last = at;
        (self.report)(at)
    }

    /// Asks whether to go on, where there is nothing new to say.
    pub fn ask(&mut self) -> bool {
        (self.report)(self.last)
    }

    /// The layers begin, all of them of so many bytes.
    pub fn begin(&mut self, layers: u64) {
        if self.last == Progress::default() {
            // A directory: there is no archive around them.
            self.last.total = layers;
        }
        (self.before, self.layers) = (self.last, layers);
    }

    /// How far one of the layers is.
    pub fn layer(&mut self, at: Progress) -> bool {
        let entries = self.before.entries + self.entries + at.entries;
        self.last.entries = self.last.entries.max(entries);
        self.last.bytes = self.last.bytes.max(self.at(self.finished.saturating_add(at.bytes)));
        self.ask()
    }

    /// A layer of so many bytes is done.
    pub fn done(&mut self, bytes: u64) {
        self.entries = self.last.entries - self.before.entries;
        self.finished = self.finished.saturating_add(bytes);
        self.last.bytes = self.last.bytes.max(self.at(self.finished));
    }

    /// The last report, complete.
    pub fn complete(&mut self) -> bool {
        if self.last.bytes < self.last.total {
            self.last.bytes = self.last.total;
        }
        self.ask()
    }

    /// What `layers` bytes of the layers are of the total, which may be another one than theirs.
    fn at(&self, layers: u64) -> u64 {
        if self.before.total == 0 {
            return self.before.bytes.saturating_add(layers);
        }
        let room = self.before.total.saturating_sub(self.before.bytes);
        let part = u128::from(room) * u128::from(layers.min(self.layers)) / u128::from(self.layers.max(1));
        self.before.bytes + part as u64
    }
}

/// What went through.
pub struct Passed<T> {
    pub value: T,
    /// SHA-256 of all decompressed bytes.
    pub digest: [u8; 32],
    /// SHA-256 of all bytes as they were; only where it was asked for.
    pub blob_digest: Option<[u8; 32]>,
}

pub struct Source<'s> {
    pub input: Box<dyn Read + Send + 's>,
    /// Its length, 0 where that is not known.
    pub total: u64,
    /// Also hash the bytes as they come.
    pub hash_blob: bool,
}

/// Sends `source` through `work`, and the rest that `work` leaves unread after it. `used` is what the same import had before.
pub fn run<T: Send>(
    source: Source<'_>,
    (limits, used): (&Limits, &Used),
    report: Report<'_>,
    work: impl FnOnce(&mut Stream<'_>, &Counters, bool) -> Outcome<T> + Send,
) -> Outcome<Passed<T>> {
    let counters = Counters::new(source.total);
    let (pieces, taken) = sync_channel(PIECES);
    let (copies, to_hash) = sync_channel(PIECES);
    let (back, recycled) = channel();
    let (done, finished) = sync_channel::<()>(1);
    let ways = Ways { pieces, copies, recycled };
    thread::scope(|scope| {
        let reader = spawn(scope, "ctr-inflate", || read(source, (limits, used), &counters, ways))?;
        let hashed = back.clone();
        let hasher = spawn(scope, "ctr-hash", || hash(to_hash, hashed))?;
        let worker = spawn(scope, "ctr-unpack", || {
            let answer = unpack(taken, back, &counters, work);
            // The caller waits for this, or for the end of `done` where a panic skips it.
            let _ = done.send(());
            answer
        })?;
        let goes_on = report_until(&finished, &counters, report);
        let worker = join(worker);
        let blob_digest = join(reader)?;
        let digest = join(hasher);
        let value = worker?;
        // The last report, complete.
        if !goes_on || !report(counters.progress()) {
            return Err(Fault::Cancelled);
        }
        Ok(Passed { value, digest, blob_digest })
    })
}

/// Reports now and then, until `finished`. A report that says so stops the work, and is the last one: whether none has.
fn report_until(finished: &Receiver<()>, counters: &Counters, report: Report<'_>) -> bool {
    while finished.recv_timeout(REPORT_EVERY) == Err(RecvTimeoutError::Timeout) {
        if !report(counters.progress()) {
            counters.stop.store(true, Ordering::Relaxed);
            // That it has stopped, or was done already.
            _ = finished.recv();
            return false;
        }
    }
    true
}

/// Gives this thread an umask of its own of 0, where the kernel lets us; whether it has.
pub fn own_umask() -> bool {
    let is_own = nix::sched::unshare(CloneFlags::CLONE_FS).is_ok();
    if is_own {
        nix::sys::stat::umask(Mode::empty());
    }
    is_own
}

/// Runs `work` on a thread of its own, while the caller's reports of what it counts.
pub fn watch<T: Send>(counters: &Counters, report: Report<'_>, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    let (done, finished) = sync_channel::<()>(1);
    thread::scope(|scope| {
        let worker = spawn(scope, "ctr-pack", move || {
            let answer = work();
            let _ = done.send(());
            answer
        })?;
        let goes_on = report_until(&finished, counters, report);
        let value = join(worker)?;
        // The last report, complete.
        if !goes_on || !report(counters.progress()) {
            return Err(Fault::Cancelled);
        }
        Ok(value)
    })
}

/// Runs `work` on a thread of its own with signals blocked and, where the kernel lets us, an umask of its own of 0.
/// `work` is told whether it has that.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Outcome<ScopedJoinHandle<'scope, T>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let thread = thread::Builder::new().name(name.into()).spawn_scoped(scope, work);
    if let Ok(before) = before {
        // Setting a mask that was valid before can't fail.
        let _ = before.thread_set_mask();
    }
    thread.map_err(|error| Fault::System {
        step: Step::StartThread,
        object: String::new(),
        errno: error.raw_os_error().unwrap_or(libc::EAGAIN),
    })
}

pub(super) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Read by two threads; the last one to let go gives it back.
type Piece = Arc<Vec<u8>>;

/// Where the reader's pieces go, and where they come back from.
struct Ways {
    pieces: SyncSender<io::Result<Piece>>,
    copies: SyncSender<Piece>,
    recycled: Receiver<Vec<u8>>,
}

fn read(
    source: Source<'_>,
    (limits, used): (&Limits, &Used),
    counters: &Counters,
    ways: Ways,
) -> Outcome<Option<[u8; 32]>> {
    let mut hasher = source.hash_blob.then(Sha256::new);
    let tap = Tap { input: source.input, hasher: hasher.as_mut(), counters };
    let mut out = 0u64;
    let answer = (|| -> io::Result<()> {
        let (kind, input) = compress::sniff(tap)?;
        let mut reader = compress::reader(kind, input, limits.window)?;
        loop {
            let mut piece = ways.recycled.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
            piece.resize(PIECE, 0);
            let (length, end) = fill(&mut *reader, &mut piece);
            piece.truncate(length);
            out += length as u64;
            if let Some((field, why)) = used.exceeds(limits, counters.bytes(), out) {
                return Err(io::Error::other(Fault::over(b"", field, why)));
            }
            // A closed channel: the other side has failed, and says why.
            let is_last = length < PIECE;
            let piece = Arc::new(piece);
            if length > 0 && (ways.copies.send(piece.clone()).is_err() || ways.pieces.send(Ok(piece)).is_err()) {
                return Ok(());
            }
            end?;
            if is_last {
                return Ok(());
            }
        }
    })();
    used.add(counters.bytes(), out);
    if let Err(error) = answer {
        let _ = ways.pieces.send(Err(error));
    }
    Ok(hasher.map(|hasher| hasher.finalize().into()))
}

/// Reads until `buffer` is full or the input ends, well or badly. The bytes before damage are worth having: the archive's
/// own fault may be the better story.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

/// Counts and hashes what is read, and stops when the caller says so.
struct Tap<'t, R> {
    input: R,
    hasher: Option<&'t mut Sha256>,
    counters: &'t Counters,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = loop {
            // Looked at anew after each interruption: see `input::Patient`.
            self.counters.check()?;
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => break answer?,
            }
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..length]);
        }
        self.counters.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// The decompressed bytes, as the unpacking thread sees them.
pub struct Stream<'s> {
    pieces: Receiver<io::Result<Piece>>,
    back: Sender<Vec<u8>>,
    piece: Piece,
    at: usize,
    counters: &'s Counters,
}

/// The digest of all pieces.
fn hash(pieces: Receiver<Piece>, back: Sender<Vec<u8>>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(&*piece);
        give_back(piece, &back);
    }
    hasher.finalize().into()
}

fn give_back(piece: Piece, back: &Sender<Vec<u8>>) {
    if let Some(piece) = Arc::into_inner(piece).filter(|piece| piece.capacity() > 0) {
        // The reader may be gone already.
        let _ = back.send(piece);
    }
}

fn unpack<T>(
    pieces: Receiver<io::Result<Piece>>,
    back: Sender<Vec<u8>>,
    counters: &Counters,
    work: impl FnOnce(&mut Stream<'_>, &Counters, bool) -> Outcome<T>,
) -> Outcome<T> {
    let own_umask = own_umask();
    let mut stream = Stream { pieces, back, piece: Piece::default(), at: 0, counters };
    let value = work(&mut stream, counters, own_umask)?;
    // What follows an archive's end belongs to the digest, and a compressed one has its checksum there.
    loop {
        let length = stream.fill_buf().map_err(Fault::read)?.len();
        if length == 0 {
            break;
        }
        stream.consume(length);
    }
    Ok(value)
}

impl BufRead for Stream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.counters.check()?;
            let next = match self.pieces.recv() {
                Ok(next) => next?,
                // The reader has sent all and gone.
                Err(_) => Piece::default(),
            };
            give_back(std::mem::replace(&mut self.piece, next), &self.back);
            self.at = 0;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_stops_the_work_is_the_last_one() {
        let (counters, mut heard) = (Counters::new(0), 0);
        let mut stop = |_| {
            heard += 1;
            false
        };
        // It is over before it looks whether it is to stop.
        let answer = watch(&counters, &mut stop, || {
            std::thread::sleep(REPORT_EVERY * 3);
            Ok(())
        });
        assert!(matches!(answer, Err(Fault::Cancelled)));
        assert_eq!(heard, 1);
    }
}
