//! Whose ids the files of a layer were given to, and whether the user still has these: /etc/subuid may be another by now, and a
//! layer may have been unpacked when there were no ranges.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::fault::Fault;
use super::give;
use super::known::Record;
use super::rights::Rights;
use super::store::{Store, is_there, try_lock};
use crate::sys::fs::{self, AtFlags, FlockArg, Mode, OFlag};
use crate::{Error, ErrorCode, Result, Step};

/// What a layer says of it.
enum Owners {
    /// Nothing: all files are the user's own, and the owners are kept aside.
    Unknown,
    /// Somebody gives its files to their owners, or was interrupted.
    Begun,
    /// By these maps; none where they are the user's own and are to be.
    Given(String),
}

impl Store {
    /// Makes an image ready to be run: files that could not be given to their owners before are, where this user has ids for
    /// them now. `lock` says that the image is in use, by us.
    pub(super) fn give_owners(&self, record: &Record, lock: &OwnedFd) -> Result<()> {
        if self.is_roots() {
            return Ok(());
        }
        if self.are_given(&record.layers)? {
            return Ok(());
        }
        let rights = Rights::of_this_user();
        if rights.ranges().is_none() {
            return Ok(());
        }
        let _lock = self.lock("tmp/lock-owners", false, &mut || true)?;
        if !self.are_given(&record.layers)? && self.is_unused(record, lock)? {
            self.give_layers(&record.layers, &rights)?;
            self.give_layers(&record.parts, &rights)?;
        }
        Ok(())
    }

    /// The same for layers that the store has, and that are to be a part of a new image.
    pub(super) fn give_known(&self, layers: &[String], rights: &Arc<Rights>) -> Result<()> {
        if rights.ranges().is_none() || self.are_given(layers)? {
            return Ok(());
        }
        let _lock = self.lock("tmp/lock-owners", false, &mut || true)?;
        self.give_layers(layers, rights)
    }

    fn give_layers(&self, layers: &[String], rights: &Arc<Rights>) -> Result<()> {
        for layer in layers {
            let failed = |fault: Fault| fault.into_error(&self.layer_path(layer).to_string_lossy());
            if let Some(place) = self.layer(layer)?
                && !matches!(self.owners(&place)?, Owners::Given(_))
            {
                give::list(place.as_fd(), &self.limits).map_err(failed)?;
                give::owed(place.as_fd(), rights, &self.limits).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether nothing is left to be done for these layers; an error where their files are ids' that this user hasn't any more.
    pub(super) fn are_given(&self, layers: &[String]) -> Result<bool> {
        let mut are_given = true;
        for layer in layers {
            let Some(place) = self.layer(layer)? else { continue };
            match self.owners(&place)? {
                Owners::Given(maps) if maps.is_empty() => {}
                Owners::Given(maps) => self.check(layer, &maps)?,
                Owners::Unknown | Owners::Begun => are_given = false,
            }
        }
        Ok(are_given)
    }

    fn check(&self, layer: &str, maps: &str) -> Result<()> {
        let rights = Rights::of_this_user();
        let why = match rights.ranges() {
            Some(ranges) if ranges.covers(maps) => return Ok(()),
            Some(_) => "/etc/subuid and /etc/subgid say other ranges now",
            None => rights.lacks(),
        };
        let uids = maps.lines().next().unwrap_or_default();
        let why = format!("its files belong to the ids of the map \"{uids}\", which this user hasn't now: {why}");
        let error =
            Error::new(ErrorCode::Unsupported, Step::UseLayer, self.layer_path(layer).display(), libc::EACCES, why);
        Err(error
            .with_hint("give the user these ranges again, or choose another store (CTR_STORE_DIR) and import anew"))
    }

    /// No container but ours uses any of the record's layers.
    fn is_unused(&self, record: &Record, lock: &OwnedFd) -> Result<bool> {
        let failed = |errno| self.failed(Step::LockImageIn, errno);
        let is_ours = try_lock(lock, FlockArg::LockExclusiveNonblock).map_err(failed)?;
        try_lock(lock, FlockArg::LockShared).map_err(failed)?;
        if !is_there(lock) {
            // Removed in between.
            return Err(self.failed(Step::UseImageOf, Errno::ENOENT).with_code(ErrorCode::NotFound));
        }
        let own = fs::fstat(lock).map_err(failed)?.st_ino;
        let shares = |other: &Record| {
            let all = |record: &Record| record.layers.iter().chain(&record.parts).cloned().collect::<Vec<_>>();
            let ours = all(record);
            all(other).iter().any(|layer| ours.contains(layer))
        };
        let mut is_unused = is_ours;
        for digest in self.entries("images")? {
            let Some(other) = self.open_record(&digest)? else { continue };
            if fs::fstat(&other).map_err(failed)?.st_ino != own
                && self.record(&digest)?.is_some_and(|record| shares(&record))
            {
                is_unused &= try_lock(&other, FlockArg::LockExclusiveNonblock).map_err(failed)?;
            }
        }
        Ok(is_unused)
    }

    fn layer(&self, layer: &str) -> Result<Option<OwnedFd>> {
        let Some(root) = self.root()? else { return Ok(None) };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match fs::openat(root, format!("layers/{layer}").as_str(), flags, Mode::empty()) {
            Ok(place) => Ok(Some(place)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(Step::OpenLayerIn, errno)),
        }
    }

    fn owners(&self, place: &OwnedFd) -> Result<Owners> {
        let failed = |errno| self.failed(Step::ReadOwnersIn, errno);
        if fs::faccessat(place, give::OWED, fs::AccessFlags::F_OK, AtFlags::empty()).is_ok() {
            return Ok(Owners::Begun);
        }
        maps(place.as_fd()).map_err(failed).map(|maps| maps.map_or(Owners::Unknown, Owners::Given))
    }

    /// Whether files of any of these layers are others'.
    pub(super) fn have_others(&self, layers: &[String]) -> Result<bool> {
        for layer in layers {
            if let Some(place) = self.layer(layer)?
                && let Owners::Given(maps) = self.owners(&place)?
                && !maps.is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The maps by which files of the layer in `place` were given away.
fn maps(place: BorrowedFd) -> std::result::Result<Option<String>, Errno> {
    const MAX_MAPS: u64 = 64 << 10;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match fs::openat(place, give::OWNERS, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let mut text = String::new();
    file.take(MAX_MAPS).read_to_string(&mut text).map_err(|error| fs::errno_of(&error).unwrap_or(Errno::EIO))?;
    Ok(Some(text))
}
