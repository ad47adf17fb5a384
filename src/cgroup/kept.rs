//! Files of a directory that are looked at again and again, kept open: to open one of cgroupfs takes ten times as long as to read it.
//!
//! Nothing is kept for who looks once. All handles of a process share a small number of such descriptors, since its table is the
//! host's: where there are none left, files are opened for each look.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::uio::pread;

use crate::sys::{Own, openat};

/// How many all handles of this process keep.
const MAX: usize = 128;

/// How many that are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Files that are kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// They are looked at once more.
    again: AtomicBool,
    files: Mutex<Vec<File>>,
}

/// An open file; it has its place among [`MAX`].
#[derive(Debug)]
struct File {
    name: &'static str,
    fd: Own,
}

impl Kept {
    /// What is read from now on is read again.
    pub(super) fn again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    /// A file that fits into the buffer.
    pub(super) fn read<'a>(
        &self,
        directory: impl AsFd,
        name: &'static str,
        buffer: &'a mut [u8],
    ) -> nix::Result<&'a [u8]> {
        if !self.again.load(Ordering::Relaxed) {
            return super::control::read_some(directory, name, buffer);
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = files.iter().position(|file| file.name == name) {
            // Somebody else's file is neither read nor closed.
            if let Ok(fd) = files[at].fd.check() {
                let length = pread(fd, buffer, 0)?;
                return Ok(&buffer[..length]);
            }
            files.swap_remove(at);
        }
        let fd = openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let length = pread(&fd, buffer, 0)?;
        if COUNT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < MAX).then_some(count + 1)).is_ok()
        {
            files.push(File { name, fd: Own::new(fd) });
        }
        Ok(&buffer[..length])
    }
}

impl Drop for File {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use super::*;
    use crate::sys::{close_replaced, replace};

    #[test]
    fn a_file_is_kept_from_the_second_look_on_and_no_more_than_there_is_room_for() {
        let path = std::env::temp_dir().join(format!("ctr-test-kept-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory: OwnedFd = std::fs::File::open(&path).unwrap().into();
        let write = |text: &str| std::fs::write(path.join("file"), text).unwrap();
        let mut buffer = [0; 16];
        let kept = Kept::default();
        let number = |kept: &Kept| kept.files.lock().unwrap().first().map(|file| file.fd.as_raw_fd());
        write("one");
        assert_eq!(kept.read(&directory, "file", &mut buffer).unwrap(), b"one");
        assert_eq!(number(&kept), None);
        kept.again();
        assert_eq!(kept.read(&directory, "file", &mut buffer).unwrap(), b"one");
        let fd = number(&kept).unwrap();
        write("three");
        assert_eq!(kept.read(&directory, "file", &mut buffer).unwrap(), b"three");
        assert_eq!(number(&kept), Some(fd));
        assert_eq!(kept.read(&directory, "none", &mut buffer), Err(nix::errno::Errno::ENOENT));
        // The host puts something of its own there: it is not read, and stays open.
        let (theirs, _writer) = crate::sys::pipe().unwrap();
        replace(&fd, &theirs);
        assert_eq!(kept.read(&directory, "file", &mut buffer).unwrap(), b"three");
        assert_ne!(number(&kept), Some(fd));
        close_replaced(fd);
        let before = COUNT.load(Ordering::Relaxed);
        let many: Vec<Kept> = (0..MAX + 5).map(|_| Kept::default()).collect();
        for kept in &many {
            kept.again();
            assert_eq!(kept.read(&directory, "file", &mut buffer).unwrap(), b"three");
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), MAX);
        assert_eq!(many.iter().filter(|kept| number(kept).is_some()).count(), MAX - before);
        drop((many, kept));
        assert_eq!(COUNT.load(Ordering::Relaxed), before - 1);
        std::fs::remove_dir_all(path).unwrap();
    }
}
