//! Records as the bytes that travel, and back. The library's side only: the program has them at fixed addresses.

use core::mem::offset_of;

use super::{Call, NONE, ParentPlan, Reply, Request};

/// The bytes of a record.
fn bytes_of<T: Copy>(record: &T) -> &[u8] {
    // SAFETY: the records are plain integers without padding (asserted below).
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(record).cast(), size_of::<T>()) }
}

const _: () = assert!(size_of::<Request>() == 128 && size_of::<Call>() == 56 && size_of::<ParentPlan>() == 8);
const _: () = assert!(size_of::<Reply>() == 48);

impl Request {
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
            cpu_time_limit: 0,
            patience: 0,
            mark: 0,
            uid_map: [0; 2],
            gid_map: [0; 2],
            ranges: 0,
            title: [0; 2],
            give: [NONE; 4],
            listener: NONE,
            user: NONE,
            processors: 0,
        }
    }

    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }

    /// Sets a flag in a message that is encoded already.
    pub fn set_flag(message: &mut [u8], flag: u32) {
        let flags = Self::word(message, offset_of!(Self, flags)) | flag;
        Self::set_word(message, offset_of!(Self, flags), flags);
    }

    /// Makes another kind of request of a message that is encoded already.
    pub fn set_kind(message: &mut [u8], kind: u32) {
        Self::set_word(message, offset_of!(Self, kind), kind);
    }

    /// A number that is the same for messages of the same shape, and hardly for others.
    pub fn shape_of(message: &[u8]) -> u64 {
        let len = Self::word(message, offset_of!(Self, shape)) as usize;
        // From behind the length on, which is no part of it.
        let bytes = message.get(offset_of!(Self, shape)..len).unwrap_or_default();
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

impl Call {
    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }
}

impl ParentPlan {
    /// As it travels.
    pub fn as_bytes(&self) -> &[u8] {
        bytes_of(self)
    }
}

impl Reply {
    /// What the bytes say; any bytes are a reply.
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        // SAFETY: the record is plain integers, for which any bits are a value; the read is unaligned.
        unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() }
    }
}
