//! Many layers as one tree: what overlayfs would show of them, made of hard links once, at import.
//!
//! Every layer costs each container mounts of its own, and mount(2) takes no more names of layers than fit in a page. A
//! link costs an entry in a directory, and the files are shared with the layers as before.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::archive::Archive;
use super::digest::Digest;
use super::dirs::{Dirs, Opener, Stop, attribute, open};
use super::entry::{Entry, split};
use super::export::look;
use super::fault::{Fault, Outcome};
use super::give;
use super::names::{Names, Remembered};
use super::owner::Id;
use super::remove;
use super::rights::Rights;
use super::spool::Spool;
use super::store::Store;
use super::walk::Walk;
use super::whiteout::{OPAQUE_XATTR, is_whiteout};
use crate::Step;
use crate::sys::fs::{self, AT_FDCWD, AtFlags, Dir, FileType, Gid, Mode, OFlag, TimeSpec, Uid, UnlinkatFlags};

/// Images of more layers than this are made flat.
pub const MAX_LAYERS: usize = 4;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The name of the tree that `layers` give.
pub fn name(layers: &[String]) -> String {
    Digest::of(format!("flat {}", layers.join(" ")).as_bytes()).hex()
}

/// Makes the tree "fs" (and "kept", where there is something to keep) in `place`, an empty directory.
pub fn make(store: &Store, layers: &[String], place: BorrowedFd, rights: &Arc<Rights>) -> Outcome<()> {
    let failed = |errno| Fault::system(Step::CreateDirectoryFor, b"", errno);
    fs::mkdirat(place, "fs", Mode::S_IRWXU).map_err(failed)?;
    let root = fs::openat(place, "fs", DIRECTORY, Mode::empty()).map_err(failed)?;
    let mut flat = Flat {
        target: Dirs::new(root),
        directories: BTreeMap::new(),
        kept: BTreeMap::new(),
        remembered: Remembered::default(),
        rights: Arc::clone(rights),
        opener: rights.opener(),
    };
    for layer in layers {
        let path = store.layer_path(layer);
        let tree = fs::openat(AT_FDCWD, &path, DIRECTORY, Mode::empty())
            .map_err(|errno| Fault::system(Step::OpenLayer, layer.as_bytes(), errno))?;
        flat.layer(Dirs::new(tree).with_opener(flat.opener.clone()), layer)?;
        if let Ok(kept) = crate::sys::file::open(path.with_file_name("kept")) {
            let mut archive = Archive::new(BufReader::new(kept), &store.limits);
            while let Some(entry) = archive.next()? {
                flat.remembered.add_entry(&entry)?;
                flat.kept.insert(entry.path.clone(), entry);
            }
        }
    }
    flat.directories(store)?;
    if !flat.kept.is_empty() {
        let mut kept = Spool::create(place, "kept")?;
        for entry in flat.kept.values() {
            kept.add(entry)?;
        }
        kept.finish()?;
    }
    // Where all is given to its owners below, it is here.
    let known = |error: crate::Error| Fault::system(Step::OpenLayer, b"", Errno::from_raw(error.errno()));
    match rights.ranges() {
        Some(ranges) if store.have_others(layers).map_err(known)? => {
            give::write(place, give::OWNERS, ranges.text().as_bytes())
        }
        _ => Ok(()),
    }
}

struct Flat {
    target: Dirs,
    /// The layer that each directory has its owner, mode and times from: the uppermost that has it.
    directories: BTreeMap<Vec<u8>, String>,
    kept: BTreeMap<Vec<u8>, Entry>,
    remembered: Remembered,
    rights: Arc<Rights>,
    opener: Option<Opener>,
}

impl Flat {
    fn layer(&mut self, mut source: Dirs, layer: &str) -> Outcome<()> {
        let mut walk = Walk::new(Vec::new());
        while walk.go()? {
            let path = walk.path().to_vec();
            let mut directories = Names::new(&self.remembered);
            let failed = |errno| Fault::system(Step::Link, &path, errno);
            let directory = source.enter(&path).map_err(|stop| stopped(&path, stop))?;
            let directory = open(self.opener.as_ref(), directory, b".", DIRECTORY).map_err(failed)?;
            self.remembered.add(&path)?;
            self.directories.insert(path.clone(), layer.into());
            // Not opened anew, which we may not be allowed to.
            for entry in Dir::new(directory.try_clone().map_err(Fault::read)?) {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let below = if path.is_empty() { name.to_vec() } else { [&path[..], b"/", name].concat() };
                let kind = match entry.file_type() {
                    // A file system that tells no types.
                    None => fs::file_type(look(self.opener.as_ref(), directory.as_fd(), name).map_err(failed)?.st_mode),
                    kind => kind,
                };
                if kind == Some(FileType::Directory) {
                    self.directory(&directory, name, &below)?;
                    directories.push(&path, name)?;
                } else {
                    self.link(&directory, name, &below)?;
                }
            }
            walk.down(directories.sorted());
        }
        Ok(())
    }

    fn directory(&mut self, source: &OwnedFd, name: &[u8], path: &[u8]) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::CreateDirectory, path, errno);
        let here = open(self.opener.as_ref(), source.as_fd(), name, DIRECTORY).map_err(failed)?;
        if attribute(self.opener.as_ref(), here.as_fd(), OPAQUE_XATTR.as_bytes()).is_ok() {
            self.clear(path)?;
        }
        let parent = self.target.enter(split(path).0).map_err(|stop| stopped(path, stop))?;
        match fs::mkdirat(parent, name, Mode::S_IRWXU) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => {
                let stat = fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
                if fs::file_type(stat.st_mode) == Some(FileType::Directory) {
                    return Ok(());
                }
                fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(failed)?;
                fs::mkdirat(parent, name, Mode::S_IRWXU).map_err(failed)
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    fn link(&mut self, source: &OwnedFd, name: &[u8], path: &[u8]) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::Link, path, errno);
        let stat = look(self.opener.as_ref(), source.as_fd(), name).map_err(failed)?;
        self.clear(path)?;
        if is_whiteout(&stat) {
            return Ok(());
        }
        let parent = self.target.enter(split(path).0).map_err(|stop| stopped(path, stop))?;
        match fs::linkat(source, name, parent, name, AtFlags::empty()) {
            Err(Errno::EPERM | Errno::EACCES) if self.opener.is_some() => {
                self.rights.link(source.as_fd(), name, parent, name)
            }
            answer => answer,
        }
        .map_err(failed)
    }

    /// Removes what the layers below have under this name.
    fn clear(&mut self, path: &[u8]) -> Outcome<()> {
        let (above, name) = split(path);
        self.target.forget(above, name);
        let parent = self.target.enter(above).map_err(|stop| stopped(path, stop))?;
        match fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => remove::tree(parent, name),
            Err(Errno::ENOENT) => Ok(()),
            answer => answer,
        }
        .map_err(|errno| Fault::system(Step::Replace, path, errno))?;
        forget(&mut self.directories, path);
        forget(&mut self.kept, path);
        Ok(())
    }

    fn directories(&mut self, store: &Store) -> Outcome<()> {
        // What is below a directory first: it may be another's afterwards, and closed to us.
        for (path, layer) in self.directories.iter().rev() {
            let failed = |errno| Fault::system(Step::CreateDirectory, path, errno);
            let target = self.target.enter(path).map_err(|stop| stopped(path, stop))?;
            let target = fs::openat(target, ".", DIRECTORY, Mode::empty()).map_err(failed)?;
            let tree = fs::openat(AT_FDCWD, &store.layer_path(layer), DIRECTORY, Mode::empty()).map_err(failed)?;
            let mut source = Dirs::new(tree).with_opener(self.opener.clone());
            let source = source.enter(path).map_err(|stop| stopped(path, stop))?;
            let source = open(self.opener.as_ref(), source, b".", DIRECTORY).map_err(failed)?;
            metadata(&source, &target, &self.rights).map_err(failed)?;
        }
        Ok(())
    }
}

/// Forgets `path` and all below it.
fn forget<T>(map: &mut BTreeMap<Vec<u8>, T>, path: &[u8]) {
    let below = [path, b"/"].concat();
    let known = map.range(below.clone()..).map(|(known, _)| known);
    let gone: Vec<_> = known.take_while(|known| known.starts_with(&below)).cloned().collect();
    map.remove(path);
    for known in gone {
        map.remove(&known);
    }
}

/// Gives `target` what `source` has: owner, attributes, mode and times.
fn metadata(source: &OwnedFd, target: &OwnedFd, rights: &Arc<Rights>) -> Result<(), Errno> {
    let stat = fs::fstat(source)?;
    let now = fs::fstat(target)?;
    let opener = rights.opener();
    let is_others = (stat.st_uid, stat.st_gid) != (now.st_uid, now.st_gid);
    if is_others && opener.is_none() {
        fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    let mut list = vec![0; 64 << 10];
    let length = match fs::flistxattr(source, &mut list[..]) {
        Err(Errno::EOPNOTSUPP) => 0,
        answer => answer?,
    };
    for name in list[..length].split(|&byte| byte == 0) {
        if !name.starts_with(b"user.") && !name.starts_with(b"system.posix_acl_") || name.starts_with(b"user.overlay.")
        {
            continue;
        }
        let value = attribute(opener.as_ref(), source.as_fd(), name)?;
        fs::fsetxattr(target, name, &value)?;
    }
    fs::fchmod(target, Mode::from_bits_truncate(stat.st_mode & 0o7777))?;
    let time = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
    fs::futimens(target, &time, &time)?;
    if is_others && opener.is_some() {
        return rights.chown(target.as_fd(), Id::User(stat.st_uid), Id::Group(stat.st_gid));
    }
    Ok(())
}

fn stopped(path: &[u8], stop: Stop) -> Fault {
    let errno = match stop {
        Stop::System(errno) => errno,
        Stop::Missing(_) => Errno::ENOENT,
        Stop::NotDirectory(_) => Errno::ENOTDIR,
    };
    Fault::system(Step::Open, path, errno)
}

/// Whether a fault only means that links are not to be had here, and the layers must do as they are.
pub fn is_only_links(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::System { errno: libc::EMLINK | libc::EPERM | libc::EOPNOTSUPP | libc::EXDEV, step: Step::Link, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_layers_is_part_of_the_name() {
        let [one, two] = ["1".to_owned(), "2".to_owned()];
        assert_ne!(name(&[one.clone(), two.clone()]), name(&[two, one]));
    }
}
