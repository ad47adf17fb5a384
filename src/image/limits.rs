//! How much of the machine one archive may take. What is over a limit is refused by the limit's name.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of one import. The defaults let through every image that people build and stop the ones made to do harm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the archive after decompression; of an archive of images also those of all layers together, where holes in the
    /// files that these come in count as what they are read as.
    pub bytes: u64,
    /// Entries, of every kind.
    pub entries: u64,
    /// Bytes of one file, holes included.
    pub file: u64,
    /// Bytes of one extended header (PAX records, GNU long name): names, link targets, xattrs, sparse maps.
    pub header: u64,
    /// Bytes of an entry's whole name.
    pub name: usize,
    /// Directories above an entry.
    pub depth: usize,
    /// Directories that are opened, and links that are followed, on the way to all entries of an import; 20 more for each entry
    /// beyond 25,000. Where entries come in the order of a tree that is a few for each; where each is far from the one before
    /// it, its depth. Half a million take some seconds.
    pub walks: u64,
    /// How many times larger than its compressed form the archive may be, and so may its layers together, once past 1 GiB.
    pub ratio: u64,
    /// Most layers of an image.
    pub layers: usize,
    /// Documents of JSON that are read to find an image: indexes, manifests and its configuration.
    pub documents: usize,
    /// Bytes of what an image says about how it is run, as JSON: variables, labels, volumes, commands and the rest. Images
    /// of buildpacks have labels of some hundred KiB.
    pub config: usize,
    /// Most volumes of an image.
    pub volumes: usize,
    /// Bytes of a decoder's window, which is memory: of `xz -9` 64 MiB, of `zstd --long` 128 MiB.
    pub window: u64,
}

crate::config::with!(Limits);

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 30,
            entries: 10_000_000,
            file: 16 << 40,
            header: 8 << 20,
            name: 16 << 10,
            depth: 2048,
            walks: 500_000,
            ratio: 400,
            layers: 500,
            documents: 1000,
            config: 1 << 20,
            volumes: 500,
            window: 128 << 20,
        }
    }
}

impl Limits {
    /// The bound of [`Limits::walks`] once there are so many entries, and directories that none names.
    pub(crate) fn walks_to(&self, entries: u64) -> u64 {
        self.walks.saturating_add(entries.saturating_sub(25_000).saturating_mul(20))
    }

    /// Whether `out` bytes from `input` compressed ones are a bomb. Below 1 GiB nobody is hurt, and small archives of
    /// zeros are common.
    pub(crate) fn is_bomb(&self, input: u64, out: u64) -> bool {
        out > 1 << 30 && out / input.max(1) > self.ratio
    }
}

/// What an import has used of the limits that hold for all of its layers together.
#[derive(Default)]
pub struct Used {
    /// Of [`Limits::walks`].
    pub walked: AtomicU64,
    /// Entries that were unpacked, and directories that none names.
    pub entries: AtomicU64,
    /// Bytes that were read, and what came of them.
    read: AtomicU64,
    unpacked: AtomicU64,
    /// Bytes of the archive that the layers are in; 0 where they are files of a directory.
    archive: AtomicU64,
}

impl Used {
    /// An archive or a layer is done.
    pub fn add(&self, read: u64, unpacked: u64) {
        self.read.fetch_add(read, Ordering::Relaxed);
        self.unpacked.fetch_add(unpacked, Ordering::Relaxed);
    }

    /// What was read is the archive, and what comes now are the layers in it.
    pub fn layers_follow(&self) {
        self.archive.store(self.read.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        self.unpacked.store(0, Ordering::Relaxed);
    }

    /// The limit that is passed where `unpacked` more bytes have come of `read` ones, and why.
    pub fn exceeds(&self, limits: &Limits, read: u64, unpacked: u64) -> Option<(&'static str, String)> {
        let out = self.unpacked.load(Ordering::Relaxed).saturating_add(unpacked);
        if out > limits.bytes {
            return Some(("bytes", format!("more than {} bytes", limits.bytes)));
        }
        // A layer may be a sparse file of its archive, which had no bytes for what is read now.
        let input = match self.archive.load(Ordering::Relaxed) {
            0 => self.read.load(Ordering::Relaxed).saturating_add(read),
            archive => archive,
        };
        limits.is_bomb(input, out).then(|| ("ratio", format!("it unpacks to over {} times its size", limits.ratio)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_held_against_the_archive_that_they_are_in() {
        const GIB: u64 = 1 << 30;
        let limits = Limits::default();
        let over = |used: &Used, read, unpacked| used.exceeds(&limits, read, unpacked).map(|(limit, _)| limit);
        let used = Used::default();
        assert_eq!(over(&used, 10 << 10, GIB), None);
        used.add(10 << 10, GIB);
        used.layers_follow();
        // Holes: as many bytes are read as come of them.
        assert_eq!(over(&used, GIB, GIB), None);
        used.add(GIB, GIB);
        assert_eq!(over(&used, 1, 1), Some("ratio"));
        // Files of a directory, some of which are all of the bytes that an import may have.
        let used = Used::default();
        used.add(limits.bytes - 1, limits.bytes - 1);
        assert_eq!(over(&used, 1, 1), None);
        assert_eq!(over(&used, 2, 2), Some("bytes"));
    }
}
