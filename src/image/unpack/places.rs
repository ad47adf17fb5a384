//! Where an entry goes: the directory that it belongs in, the way there through links of the same archive, and room for it.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::super::dirs::Stop;
use super::super::entry::{Entry, Kind, split};
use super::super::fault::{Fault, Outcome};
use super::super::remove;
use super::super::whiteout;
use super::{Unpack, failed, stopped};
use crate::Step;
use crate::sys::fs::{self, AtFlags, Mode, UnlinkatFlags};

/// As many links as path_resolution(7) follows.
const MAX_LINKS: usize = 40;

impl Unpack<'_> {
    /// `path`, a directory, without the symbolic links that are on the way. Each is read, never followed, and what it says is
    /// looked up from the image's root on, so it leads nowhere else: `..` of the root is the root.
    pub(super) fn through_links(&mut self, path: &[u8]) -> Outcome<Vec<u8>> {
        let parts = |path: &[u8]| -> Vec<Vec<u8>> {
            let parts = path.rsplit(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
            parts.map(<[u8]>::to_vec).collect()
        };
        let (mut todo, mut real, mut links) = (parts(path), Vec::new(), 0);
        while let Some(name) = todo.pop() {
            // A step, whether or not a directory is opened for it: some tens of links may lead thousands of them up and down.
            self.targets.count_walk();
            if name == b".." {
                real.truncate(split(&real).0.len());
                continue;
            }
            let link = match self.targets.enter(&real) {
                Ok(parent) => fs::readlinkat(parent, name.as_slice()).ok(),
                Err(_) => None,
            };
            let Some(link) = link else {
                if !real.is_empty() {
                    real.push(b'/');
                }
                real.extend_from_slice(&name);
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::bad(path, format!("a name through more than {MAX_LINKS} symbolic links")));
            }
            if link.as_bytes().starts_with(b"/") {
                real.clear();
            }
            todo.extend(parts(link.as_bytes()));
        }
        let depth = real.split(|&byte| byte == b'/').count();
        if real.len() > self.limits.name || depth > self.limits.depth {
            let field = if depth > self.limits.depth { "depth" } else { "name" };
            return Err(Fault::over(
                path,
                field,
                format!("a name that links make {depth} levels, {} bytes", real.len()),
            ));
        }
        Ok(real)
    }

    /// Makes one thing; what has its name already goes first.
    pub(super) fn make<T>(
        &mut self,
        entry: &Entry,
        step: Step,
        make: impl Fn(BorrowedFd, &[u8]) -> Result<T, Errno>,
    ) -> Outcome<T> {
        let name = entry.split().1;
        match make(self.parent(entry)?, name) {
            Err(Errno::EEXIST) => {
                self.clear(entry)?;
                make(self.parent(entry)?, name).map_err(failed(step, entry))
            }
            answer => answer.map_err(failed(step, entry)),
        }
    }

    /// Removes what has the entry's name, if anything has.
    pub(super) fn clear(&mut self, entry: &Entry) -> Outcome<()> {
        let (above, name) = entry.split();
        self.link_way = None;
        self.targets.forget(above, name);
        self.dirs.forget(above, name);
        let parent = self.parent(entry)?;
        match fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EISDIR) => remove::tree(parent, name).map_err(failed(Step::Replace, entry)),
            Err(errno) => Err(failed(Step::Replace, entry)(errno)),
        }
    }

    pub(super) fn exists(&mut self, entry: &Entry) -> Outcome<bool> {
        let (above, name) = entry.split();
        match self.dirs.enter(above) {
            Ok(parent) => match fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(!whiteout::is_whiteout(&stat)),
                Err(Errno::ENOENT) => Ok(false),
                Err(errno) => Err(failed(Step::LookAt, entry)(errno)),
            },
            Err(Stop::Missing(_)) => Ok(false),
            Err(stop) => Err(stopped(&entry.path, stop)),
        }
    }

    /// The directory that the entry belongs in; missing ones are made, as root's, with the entry's own time.
    pub(in super::super) fn parent(&mut self, entry: &Entry) -> Outcome<BorrowedFd<'_>> {
        let above = entry.split().0;
        loop {
            let mut made = Vec::new();
            let mut make = |parent: BorrowedFd, name: &[u8], end| {
                made.push(end);
                fs::mkdirat(parent, name, Mode::S_IRWXU).map(|()| true)
            };
            let stop = self.dirs.enter_or_make(above, &mut make).err();
            self.made += made.len() as u64;
            self.used.entries.fetch_add(made.len() as u64, Ordering::Relaxed);
            if self.made > self.limits.entries {
                return Err(Fault::over(
                    &entry.path,
                    "entries",
                    format!("more than {} directories", self.limits.entries),
                ));
            }
            for end in made {
                let mut directory = Entry::new(&above[..end], Kind::Directory, 0o755);
                directory.mtime = entry.mtime;
                self.put_by(&directory)?;
            }
            match stop {
                None => break,
                // What a layer hides it may also make anew.
                Some(Stop::NotDirectory(end)) if self.whiteout_becomes_directory(&above[..end], entry.mtime)? => {}
                Some(stop) => return Err(stopped(&entry.path, stop)),
            }
        }
        // Once more, since a borrow from inside the loop would last too long; it is known now and costs no system call.
        self.dirs.enter(above).map_err(|stop| stopped(&entry.path, stop))
    }
}
