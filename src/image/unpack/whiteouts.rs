//! Whiteouts of archives into those of overlayfs.

use nix::errno::Errno;

use super::super::entry::{Entry, Kind, split};
use super::super::fault::{Fault, Outcome};
use super::super::whiteout::{is_whiteout, make_opaque};
use super::{Unpack, failed};
use crate::Step;
use crate::sys::fs::{self, AtFlags, FileType, Mode, SFlag, UnlinkatFlags};

impl Unpack<'_> {
    /// Does what `entry` says if it is a whiteout; false where it is none.
    pub(super) fn whiteout(&mut self, entry: &Entry) -> Outcome<bool> {
        let (above, name) = entry.split();
        let Some(hidden) = name.strip_prefix(b".wh.") else { return Ok(false) };
        match hidden {
            b".wh..opq" => {
                let parent = self.parent(entry)?;
                make_opaque(parent, b".").map_err(failed(Step::HideBelow, entry))?;
            }
            // What aufs kept for itself.
            _ if hidden.starts_with(b".wh.") => {}
            b"" | b"." | b".." => return Err(Fault::bad(&entry.path, "a whiteout of no name")),
            _ => {
                let path = if above.is_empty() { hidden.to_vec() } else { [above, b"/", hidden].concat() };
                self.hide(&Entry { path, ..entry.clone() })?;
            }
        }
        Ok(true)
    }

    fn hide(&mut self, entry: &Entry) -> Outcome<()> {
        let parent = self.parent(entry)?;
        let name = entry.split().1;
        match fs::mknodat(parent, name, SFlag::S_IFCHR, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => {
                let stat =
                    fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed(Step::LookAt, entry))?;
                if fs::file_type(stat.st_mode) == Some(FileType::Directory) {
                    make_opaque(parent, name).map_err(failed(Step::HideBelow, entry))?;
                }
                Ok(())
            }
            Err(errno) => Err(failed(Step::HideBelow, entry)(errno)),
        }
    }

    /// Where `path` is a whiteout, makes it a directory that hides what the whiteout did.
    pub(super) fn whiteout_becomes_directory(&mut self, path: &[u8], mtime: (i64, u32)) -> Outcome<bool> {
        let mut directory = Entry::new(path, Kind::Directory, 0o755);
        directory.mtime = mtime;
        let (above, name) = split(path);
        let failed = failed(Step::CreateDirectory, &directory);
        let Ok(parent) = self.dirs.enter(above) else { return Ok(false) };
        let stat = fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(&failed)?;
        if !is_whiteout(&stat) {
            return Ok(false);
        }
        fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(&failed)?;
        fs::mkdirat(parent, name, Mode::S_IRWXU).map_err(&failed)?;
        make_opaque(parent, name).map_err(&failed)?;
        self.put_by(&directory)?;
        Ok(true)
    }
}
