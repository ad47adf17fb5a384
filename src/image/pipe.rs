//! A pipe between two threads: one packs, the other compresses and writes, or unpacks.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::fault::{Fault, Outcome};
use crate::Step;

const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

pub fn pipe() -> (PipeWriter, PipeReader) {
    let (sender, receiver) = sync_channel(PIECES);
    (PipeWriter { sender, piece: Vec::new() }, PipeReader { receiver, piece: Vec::new(), at: 0, has_ended: false })
}

/// What both ends came to. Where the reader has failed, the writer only knows that it is gone.
pub fn both<T>(written: Outcome<()>, read: Outcome<T>) -> Outcome<T> {
    match (written, read) {
        (Err(Fault::System { step: Step::Write, .. }), Err(fault)) | (Err(fault), _) => Err(fault),
        (Ok(()), read) => read,
    }
}

pub struct PipeWriter {
    sender: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
}

impl PipeWriter {
    /// Says that this is all. A reader whose writer went without that has an error.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Vec::new())
    }

    fn send(&self, piece: Vec<u8>) -> io::Result<()> {
        self.sender.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.capacity() == 0 {
            self.piece = Vec::with_capacity(PIECE);
        }
        let length = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..length]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() { Ok(()) } else { self.send(piece) }
    }
}

pub struct PipeReader {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    has_ended: bool,
}

impl PipeReader {
    /// The next piece, empty at the end.
    pub fn piece(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() && !self.has_ended {
            self.piece = self.receiver.recv().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            self.at = 0;
            self.has_ended = self.piece.is_empty();
        }
        Ok(&self.piece[self.at..])
    }

    pub fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.piece()?;
        let length = buffer.len().min(piece.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}
