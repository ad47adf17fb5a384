//! Makes what an entry says: a directory, a file with its content, a link, a fifo.

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use super::super::archive::Archive;
use super::super::dirs::Stop;
use super::super::entry::{Entry, Kind, split};
use super::super::fault::{Fault, Outcome, show};
use super::super::whiteout;
use super::metadata::{owner, time};
use super::{Content, Unpack, failed, stopped};
use crate::Step;
use crate::sys::fs::{self, AtFlags, FchmodatFlags, FileType, Mode, OFlag, UnlinkatFlags, UtimensatFlags};

impl Unpack<'_> {
    pub(super) fn directory(&mut self, entry: &Entry) -> Outcome<()> {
        let parent = self.parent(entry)?;
        let name = entry.split().1;
        match fs::mkdirat(parent, name, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let stat =
                    fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed(Step::LookAt, entry))?;
                if fs::file_type(stat.st_mode) != Some(FileType::Directory) {
                    fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(failed(Step::Replace, entry))?;
                    fs::mkdirat(parent, name, Mode::S_IRWXU).map_err(failed(Step::CreateDirectory, entry))?;
                    // What a whiteout or a file hid of the layers below stays hidden.
                    match whiteout::make_opaque(parent, name) {
                        Err(Errno::EOPNOTSUPP) if !whiteout::is_whiteout(&stat) => {}
                        answer => answer.map_err(failed(Step::HideBelow, entry))?,
                    }
                }
            }
            Err(errno) => return Err(failed(Step::CreateDirectory, entry)(errno)),
        }
        self.put_by(entry)
    }

    pub(super) fn file(&mut self, entry: &Entry, content: &mut dyn Content) -> Outcome<()> {
        let mode = self.identity.mode(entry);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let is_plain = entry.xattrs.is_empty() && (self.identity.is_root || !self.identity.must_record(entry));
        let first = Mode::from_bits_truncate(if is_plain { mode & 0o777 } else { 0o600 });
        let fd = self.make(entry, Step::Create, |parent, name| fs::openat(parent, name, flags, first))?;
        let file = File::from(fd);
        content.write(&file, entry).map_err(|fault| match fault {
            // The place in the archive is known here, the name of the entry too.
            Fault::Bad { entry: place, why } if place.is_empty() => Fault::bad(&entry.path, why),
            Fault::System { step, object, errno } if object.is_empty() => {
                Fault::System { step, object: show(&entry.path), errno }
            }
            fault => fault,
        })?;
        let needs_mode = !is_plain || !self.identity.exact_modes || mode & 0o7000 != 0;
        self.metadata(file.as_fd(), entry, needs_mode)
    }

    /// False when the target is not there (yet).
    pub(super) fn hard_link(&mut self, entry: &Entry) -> Outcome<bool> {
        let (above, target) = split(&entry.link);
        let real = match self.targets.enter(above) {
            Err(Stop::NotDirectory(_)) => Some(self.through_links(above)?),
            _ => None,
        };
        let above = real.as_deref().unwrap_or(above);
        if target.is_empty() {
            return Err(Fault::bad(&entry.path, "a hard link to the image's root"));
        }
        let above = match self.targets.enter(above) {
            // The look-up borrows `targets`, the new name `self`: a duplicate keeps the two apart.
            Ok(fd) => fd.try_clone_to_owned().map_err(Fault::read)?,
            Err(Stop::Missing(_)) => return Ok(false),
            Err(stop) => return Err(stopped(&entry.link, stop)),
        };
        let source = match fs::fstatat(&above, target, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(failed(Step::LookAtTarget, entry)(errno)),
        };
        if whiteout::is_whiteout(&source) {
            return Ok(false);
        }
        if fs::file_type(source.st_mode) == Some(FileType::Directory) {
            return Err(Fault::bad(&entry.path, "a hard link to a directory"));
        }
        if entry.split() == (real.as_deref().unwrap_or(split(&entry.link).0), target) {
            return Ok(true);
        }
        self.make(entry, Step::Link, |parent, name| {
            match fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(there) if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino) => return Ok(()),
                _ => {}
            }
            fs::linkat(&above, target, parent, name, AtFlags::empty())
        })?;
        Ok(true)
    }

    /// A symbolic link or fifo: what has no data and is never opened.
    pub(super) fn node(&mut self, entry: &Entry, make: impl Fn(BorrowedFd, &[u8]) -> Result<(), Errno>) -> Outcome<()> {
        self.make(entry, Step::Create, make)?;
        let mode = self.identity.mode(entry);
        let needs_mode = entry.kind == Kind::Fifo && (!self.identity.exact_modes || mode & 0o7000 != 0);
        let identity = &self.identity;
        let parent = self.dirs.enter(entry.split().0).map_err(|stop| stopped(&entry.path, stop))?;
        let name = entry.split().1;
        let mut whole = entry.xattrs.is_empty();
        if identity.is_root {
            if identity.must_chown(entry) {
                let (uid, gid) = owner(entry);
                whole &= fs::fchownat(parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
            }
        } else {
            whole &= entry.uid == 0 && entry.gid == 0 && (entry.kind == Kind::Symlink || mode == entry.mode);
        }
        if needs_mode {
            // chmod follows links, and there is no other way for a node that must not be opened: but we have just made it,
            // in a directory that nobody else can reach.
            fs::fchmodat(parent, name, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
                .map_err(failed(Step::Chmod, entry))?;
        }
        let time = time(entry);
        fs::utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(failed(Step::SetTime, entry))?;
        match whole {
            true => Ok(()),
            false if identity.gives => self.owe(entry),
            false => self.keep(entry),
        }
    }
}

impl<R: BufRead> Content for Archive<'_, R> {
    fn write(&mut self, file: &File, entry: &Entry) -> Outcome<()> {
        self.content_of(entry)?;
        match &entry.sparse {
            None => write_whole(file, self),
            Some(_) => write_sparse(file, entry, self),
        }
    }
}

fn write_whole<R: BufRead>(mut file: &File, archive: &mut Archive<R>) -> Outcome<()> {
    loop {
        let piece = archive.data()?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        file.write_all(piece).map_err(|error| unwritten(&error))?;
        archive.consume(length);
    }
}

fn write_sparse<R: BufRead>(file: &File, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
    for extent in entry.sparse.iter().flatten() {
        let (mut offset, end) = (extent.offset, extent.offset + extent.length);
        while offset < end {
            let piece = archive.data()?;
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(piece.len());
            file.write_all_at(&piece[..length], offset).map_err(|error| unwritten(&error))?;
            archive.consume(length);
            offset += length as u64;
        }
    }
    fs::ftruncate(file, entry.size as i64).map_err(|errno| Fault::system(Step::Write, &entry.path, errno))
}

fn unwritten(error: &std::io::Error) -> Fault {
    Fault::System { step: Step::Write, object: String::new(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
}
