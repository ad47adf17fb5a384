//! How much of the machine one archive may take. What is over a limit is refused by the limit's name.

/// Bounds of one import. The defaults let through every image that people build and stop the ones made to do harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive after decompression.
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
    /// How many times larger than its compressed form the archive may be, once past 1 GiB.
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 30,
            entries: 10_000_000,
            file: 16 << 40,
            header: 8 << 20,
            name: 16 << 10,
            depth: 2048,
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
    /// Whether `out` bytes from `input` compressed ones are a bomb. Below 1 GiB nobody is hurt, and small archives of
    /// zeros are common.
    pub(crate) fn is_bomb(&self, input: u64, out: u64) -> bool {
        out > 1 << 30 && out / input.max(1) > self.ratio
    }
}
