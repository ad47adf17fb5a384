//! One entry of an archive as every room of this house sees it: the reader makes it, the unpacker and the writer take it.

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    /// A further name of the file `Entry::link`.
    HardLink,
    Symlink,
    Char,
    Block,
    Directory,
    Fifo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the root, without `.`, `..`, empty components or a slash at either end; empty for the root itself.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of the file, holes included; 0 for everything else.
    pub size: u64,
    /// A hard link's or symlink's target: the former as `path`, the latter as it is.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes, by the kernel's name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parts of a sparse file that the archive holds, ascending; `None` when it holds all of it.
    pub sparse: Option<Vec<Extent>>,
}

/// One stretch of data in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

impl Entry {
    pub fn new(path: &[u8], kind: Kind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size: 0,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    /// The directories above it and its own name.
    pub fn split(&self) -> (&[u8], &[u8]) {
        split(&self.path)
    }
}

/// `path` as its parent (empty for the root) and its last component.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}
