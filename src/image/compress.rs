//! Compressed archives, told apart by their first bytes and read as a stream.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::fault::Fault;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, RFC 1952; also several members one after another, as pigz and bgzip write.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// LZ4 frames.
    Lz4,
}

/// What xz needs besides its window.
const XZ_BESIDES: u64 = 4 << 20;

impl Compression {
    /// The one whose mark `start` begins with.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::None,
        }
    }
}

/// The decompressed stream of `input`, by a decoder whose window is no larger than `window`.
pub fn reader<'r>(
    compression: Compression,
    input: impl BufRead + Send + 'r,
    window: u64,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Gzip::Start(input)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            // ZSTD_WINDOWLOG_MIN and _MAX of zstd.h.
            decoder.window_log_max(window.max(1).ilog2().clamp(10, 31))?;
            Box::new(Windowed { decoder, window, is_too_large: is_too_large_for_zstd })
        }
        Compression::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(window.saturating_add(XZ_BESIDES), flags)?;
            let decoder = liblzma::bufread::XzDecoder::new_stream(input, stream);
            Box::new(Windowed { decoder, window, is_too_large: is_too_large_for_xz })
        }
        Compression::Bzip2 => Box::new(Bzip2::Stream(bzip2::bufread::BzDecoder::new(input), 0, 0)),
        Compression::Lz4 => {
            let input = Marked { mark: io::Cursor::new(Vec::new()), input };
            Box::new(Lz4(Some(lz4_flex::frame::FrameDecoder::new(input))))
        }
    })
}

/// A decoder that may refuse a window, which says nothing of the data.
struct Windowed<D> {
    decoder: D,
    window: u64,
    is_too_large: fn(&io::Error) -> bool,
}

impl<D: Read> Read for Windowed<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| match (self.is_too_large)(&error) {
            true => {
                let why = format!("it was compressed with a window of more than {} MiB", self.window >> 20);
                io::Error::other(Fault::over(b"", "window", why))
            }
            false => error,
        })
    }
}

/// The zstd crate hands on a code's name only.
fn is_too_large_for_zstd(error: &io::Error) -> bool {
    // ZSTD_error_frameParameter_windowTooLarge of zstd_errors.h, as a function returns it.
    const TOO_LARGE: usize = 16usize.wrapping_neg();
    error.to_string() == zstd::zstd_safe::get_error_name(TOO_LARGE)
}

fn is_too_large_for_xz(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(liblzma::stream::Error::MemLimit))
}

/// What compresses an archive on its way out.
pub enum Encoder<W: Write> {
    Plain(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Whether archives are written so.
    pub fn knows(compression: Compression) -> bool {
        matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd)
    }

    pub fn new(compression: Compression, out: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(out),
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(out, 3)?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Writes what is left, and gives back what it wrote to.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// What is half a block of a compressed stream stays: it would compress worse in two.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// gzip members one after another. What follows the last one and is none is passed over, as gzip(1) and so GNU tar do: the
/// zeros that tapes and some mirrors pad with, and any other rubbish. The frame around deflate is ours, since the decoder's own
/// checksum would take a tenth of the time. RFC 1952.
enum Gzip<R> {
    Start(R),
    Between(R),
    Member { deflate: flate2::bufread::DeflateDecoder<R>, checksum: crc32fast::Hasher, length: u32 },
    End,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            *self = match std::mem::replace(self, Self::End) {
                Self::End => return Ok(0),
                Self::Between(mut input) => {
                    if ends(&mut input)? {
                        return Ok(0);
                    }
                    Self::Start(input)
                }
                Self::Start(mut input) => {
                    gzip_header(&mut input)?;
                    let deflate = flate2::bufread::DeflateDecoder::new(input);
                    Self::Member { deflate, checksum: crc32fast::Hasher::new(), length: 0 }
                }
                Self::Member { mut deflate, mut checksum, length } => {
                    let got = deflate.read(buffer)?;
                    if got > 0 || buffer.is_empty() {
                        checksum.update(&buffer[..got]);
                        *self = Self::Member { deflate, checksum, length: length.wrapping_add(got as u32) };
                        return Ok(got);
                    }
                    let mut input = deflate.into_inner();
                    let mut trailer = [0; 8];
                    input.read_exact(&mut trailer)?;
                    let expected = [checksum.finalize().to_le_bytes(), length.to_le_bytes()].concat();
                    if trailer[..] != expected[..] {
                        return Err(damaged("a gzip member's checksum is wrong"));
                    }
                    Self::Between(input)
                }
            };
        }
    }
}

/// Reads a member's header; what is in it besides the format does not concern us.
fn gzip_header(input: &mut impl BufRead) -> io::Result<()> {
    const HEADER_CRC: u8 = 0x02;
    const EXTRA: u8 = 0x04;
    const NAME: u8 = 0x08;
    const COMMENT: u8 = 0x10;
    let mut fixed = [0; 10];
    input.read_exact(&mut fixed)?;
    let flags = fixed[3];
    if fixed[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return Err(damaged("garbage between two gzip members"));
    }
    if flags & EXTRA != 0 {
        let mut length = [0; 2];
        input.read_exact(&mut length)?;
        skip(input, u16::from_le_bytes(length).into())?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            // A name of any length costs no memory.
            while next_byte(input)? != 0 {}
        }
    }
    if flags & HEADER_CRC != 0 {
        skip(input, 2)?;
    }
    Ok(())
}

fn skip(input: &mut impl BufRead, count: usize) -> io::Result<()> {
    for _ in 0..count {
        next_byte(input)?;
    }
    Ok(())
}

fn next_byte(input: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// bzip2 streams one after another. Each takes a decoder of its own, with megabytes that are zeroed first, so many with next to
/// nothing in them would cost minutes.
enum Bzip2<R> {
    /// The decoder, the bytes that came of its stream, and how many streams before it were small.
    Stream(bzip2::bufread::BzDecoder<R>, u64, u32),
    End,
}

/// A stream with less in it than this is small: pbzip2 writes streams of 900 kB.
const SMALL_STREAM: u64 = 64 << 10;
const MAX_SMALL_STREAMS: u32 = 20_000;

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Self::Stream(decoder, length, small) = self else { return Ok(0) };
            let got = decoder.read(buffer)?;
            *length += got as u64;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            let small = *small + u32::from(*length < SMALL_STREAM);
            if small > MAX_SMALL_STREAMS {
                let why = format!(
                    "more than {MAX_SMALL_STREAMS} bzip2 streams with less than {} KiB in each",
                    SMALL_STREAM >> 10
                );
                return Err(io::Error::other(Fault::bad(b"", why)));
            }
            let Self::Stream(decoder, ..) = std::mem::replace(self, Self::End) else { return Ok(0) };
            let mut input = decoder.into_inner();
            if !input.fill_buf()?.is_empty() {
                *self = Self::Stream(bzip2::bufread::BzDecoder::new(input), 0, small);
            }
        }
    }
}

/// Where a frame starts: its mark once more, which was read to see what it is, and what follows.
struct Marked<R> {
    mark: io::Cursor<Vec<u8>>,
    input: R,
}

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.mark.read(buffer)? {
            0 => self.input.read(buffer),
            length => Ok(length),
        }
    }
}

/// LZ4 frames one after another, and skippable ones between them, which the decoder does not know. It says 0 at the end of each.
struct Lz4<R: Read>(Option<lz4_flex::frame::FrameDecoder<Marked<R>>>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let length = decoder.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let next = decoder.get_mut();
            let mark = past_skippable(&mut next.input)?;
            match mark.is_empty() {
                true => self.0 = None,
                false => next.mark = io::Cursor::new(mark),
            }
        }
        Ok(0)
    }
}

/// Reads skippable frames, which zstd and LZ4 have in common (RFC 8878, 3.1.2), and the four bytes that follow them; fewer
/// where the input ends.
fn past_skippable(input: &mut impl Read) -> io::Result<Vec<u8>> {
    loop {
        let mut start = Vec::new();
        input.take(4).read_to_end(&mut start)?;
        if !matches!(start[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
            return Ok(start);
        }
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        if io::copy(&mut input.take(length), &mut io::sink())? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Whether what is left is no member; then it is read to its end, which belongs to the blob's digest.
fn ends(input: &mut impl BufRead) -> io::Result<bool> {
    if input.fill_buf()?.first() == Some(&0x1f) {
        return Ok(false);
    }
    loop {
        let length = input.fill_buf()?.len();
        if length == 0 {
            return Ok(true);
        }
        input.consume(length);
    }
}

/// `input`'s compression, and all of `input` again.
pub fn sniff<'r>(input: impl Read + Send + 'r) -> io::Result<(Compression, impl BufRead + Send + 'r)> {
    let mut input = BufReader::new(input);
    // What pzstd and seekable archives start with says nothing of how the rest is compressed.
    let mut start = past_skippable(&mut input)?;
    (&mut input).take(2).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    Ok((compression, BufReader::with_capacity(256 << 10, io::Cursor::new(start).chain(input))))
}
