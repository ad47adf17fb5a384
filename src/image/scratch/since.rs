//! What has changed on the host since a scratch mount was made. Overlayfs keeps no record of what a file was when the container
//! changed it first, so a file counts as changed on the host when its time of change (st_ctime, which no program can set) is
//! later than the mount; and what [`super::Scratch::apply`] has written itself is noted beside the changes, by inode and time of change.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::super::dirs::{Opener, attribute};
use super::super::fault::{Fault, Outcome};
use crate::Step;
use crate::sys::fs::{self, AtFlags, FileStat, FlockArg, Mode, OFlag};

/// A directory in the place of the changes that nobody has touched since the mount was made.
const UNTOUCHED: &[u8] = b"lower";

/// The file with the notes, which is made with the place.
const NOTES: &[u8] = b"applied";

/// More of them are not read: then what was applied counts as changed on the host.
const MAX_NOTES: u64 = 256 << 20;

/// When the mount was made, and what was applied since.
pub struct Since {
    time: Time,
    /// Which inodes are as we have left them, and when that was.
    notes: HashMap<u64, Time>,
    /// Locked: one at a time applies.
    file: File,
}

/// Seconds and nanoseconds.
type Time = (i64, i64);

/// Bytes of a note: an inode, and its time.
const NOTE: usize = 24;

impl Since {
    /// That of a place of changes; waits for whoever else applies.
    pub fn open(place: &OwnedFd) -> Outcome<Self> {
        let failed = |errno| Fault::system(Step::Open, NOTES, errno);
        let seen = fs::fstatat(place, UNTOUCHED, AtFlags::AT_SYMLINK_NOFOLLOW);
        let seen = seen.map_err(|errno| Fault::system(Step::LookAt, UNTOUCHED, errno))?;
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = fs::openat(place, NOTES, flags, Mode::empty()).map_err(failed)?;
        fs::flock(&file, FlockArg::LockExclusive).map_err(failed)?;
        let file = File::from(file);
        let mut bytes = Vec::new();
        (&file).take(MAX_NOTES).read_to_end(&mut bytes).map_err(Fault::read)?;
        Ok(Self { time: (seen.st_mtime, seen.st_mtime_nsec), notes: notes(&bytes), file })
    }

    /// Whether a file of the host, which is `stat` now, was changed by somebody else.
    pub fn is_changed(&self, stat: &FileStat) -> bool {
        let time = (stat.st_ctime, stat.st_ctime_nsec);
        time > self.time && self.notes.get(&stat.st_ino) != Some(&time)
    }

    /// The file is ours, as it is now.
    pub fn note(&mut self, stat: &FileStat) -> Outcome<()> {
        let time = (stat.st_ctime, stat.st_ctime_nsec);
        if self.notes.insert(stat.st_ino, time) == Some(time) {
            return Ok(());
        }
        let note = [stat.st_ino, time.0 as u64, time.1 as u64].map(u64::to_ne_bytes);
        self.file.write_all(note.as_flattened()).map_err(Fault::write)
    }
}

/// The last note of each inode; one that was cut off is none.
fn notes(bytes: &[u8]) -> HashMap<u64, Time> {
    let number = |note: &[u8; NOTE], at: usize| note[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let notes = bytes.as_chunks::<NOTE>().0.iter();
    notes.map(|note| (number(note, 0), (number(note, 8) as i64, number(note, 16) as i64))).collect()
}

/// Whether a file of the changes is the host's, changed: overlayfs notes so of what it copies up, also where it can't say of which
/// file (`ovl_set_origin` of fs/overlayfs/copy_up.c).
pub fn is_copy(file: BorrowedFd, opener: Option<&Opener>) -> bool {
    attribute(opener, file, b"user.overlay.origin").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_was_cut_off_is_none_and_the_last_one_counts() {
        let note = |inode: u64, seconds: i64| [inode, seconds as u64, 7].map(u64::to_ne_bytes).as_flattened().to_vec();
        let bytes = [note(1, 5), note(2, -1), note(1, 6), note(3, 9)].concat();
        let all = notes(&bytes[..bytes.len() - 1]);
        assert_eq!(all, HashMap::from([(1, (6, 7)), (2, (-1, 7))]));
        assert!(notes(b"").is_empty());
    }
}
