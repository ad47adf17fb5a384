//! The freestanding program that is the zygote and every container's PID 1, and what we say to it.
//!
//! `program/` is compiled by build.rs into one static file of some 21 KB, which the library embeds; `wire` is the language
//! that both sides speak, compiled into both.

#[allow(dead_code, reason = "each side uses its part of the language")]
pub mod wire;

/// The program, an ELF file. `zygote` runs it from a sealed memfd.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ctr-init"));

impl wire::Request {
    /// A request without calls.
    pub fn bare(kind: u32) -> Self {
        Self {
            kind,
            flags: 0,
            len: size_of::<Self>() as u32,
            shape: 0,
            calls: 0,
            before: 0,
            namespaces: 0,
            time_limit: 0,
            patience: 0,
            mark: 0,
            uid_map: [0; 2],
            gid_map: [0; 2],
            ranges: 0,
            title: [0; 2],
            give: [wire::NONE; 4],
            listener: wire::NONE,
            user: wire::NONE,
            _room: [0; 2],
        }
    }
}

/// The bytes of a record of `wire`.
fn bytes_of<T: Copy>(record: &T) -> &[u8] {
    // SAFETY: the records of `wire` are plain integers without padding (asserted below).
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
}

const _: () =
    assert!(size_of::<wire::Request>() == 120 && size_of::<wire::Call>() == 56 && size_of::<wire::ParentPlan>() == 8);
const _: () = assert!(size_of::<wire::Reply>() == 48);

impl wire::Request {
    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }

    /// Sets a flag in a message that is encoded already.
    pub fn set_flag(message: &mut [u8], flag: u32) {
        let flags = Self::word(message, std::mem::offset_of!(Self, flags)) | flag;
        Self::set_word(message, std::mem::offset_of!(Self, flags), flags);
    }

    /// Makes another kind of request of a message that is encoded already.
    pub fn set_kind(message: &mut [u8], kind: u32) {
        Self::set_word(message, std::mem::offset_of!(Self, kind), kind);
    }

    /// A number that is the same for messages of the same shape, and hardly for others.
    pub fn shape_of(message: &[u8]) -> u64 {
        let len = Self::word(message, std::mem::offset_of!(Self, shape)) as usize;
        // From behind the length on, which is no part of it.
        let bytes = message.get(std::mem::offset_of!(Self, shape)..len).unwrap_or_default();
        let words = bytes.as_chunks::<4>().0.iter();
        words
            .fold(1, |hash: u64, word| (hash.rotate_left(5) ^ u64::from(u32::from_ne_bytes(*word))).wrapping_mul(PRIME))
    }

    fn word(message: &[u8], at: usize) -> u32 {
        message.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word))
    }

    fn set_word(message: &mut [u8], at: usize, value: u32) {
        if let Some(word) = message.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *word = value.to_ne_bytes();
        }
    }
}

/// 2^64 divided by the golden ratio: spreads a sum over all bits.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

impl wire::Call {
    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }
}

impl wire::ParentPlan {
    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }
}

impl wire::Reply {
    /// What the bytes say; any bytes are a reply.
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        // SAFETY: the record is plain integers, for which any bits are a value; the read is unaligned.
        unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() }
    }
}
