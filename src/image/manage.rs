//! What is in the store: names, a list, removal, disk use.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::config::ImageConfig;
use super::digest::Digest;
use super::known::{Known, Loaded, Record};
use super::remove;
use super::save;
use super::store::{Store, try_lock};
use crate::sys::file;
use crate::sys::fs::{self, AtFlags, FlockArg, Mode, OFlag, UnlinkatFlags};
use crate::{Error, ErrorCode, Result, Step};

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// `sha256:HEX`: of a plain tarball's uncompressed bytes, of an OCI or docker image's configuration (its "id").
    pub digest: String,
    /// The names it was given here.
    pub names: Vec<String>,
    /// What it says about how to run it.
    pub config: ImageConfig,
    /// The trees of its layers, lowest first. Where they are many, it is one tree made of them that is mounted.
    pub layers: Vec<PathBuf>,
    /// Bytes of its files, layer by layer, holes included.
    pub size: u64,
    /// When it was imported.
    pub created: SystemTime,
}

impl Image {
    /// All of it as a JSON object; the configuration as in [`ImageConfig::json`].
    pub fn json(&self) -> String {
        let created = self.created.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let whole = save::config(&self.config, &[], None);
        let layers: Vec<_> = self.layers.iter().map(|path| path.to_string_lossy()).collect();
        let json = serde_json::json!({
            "digest": self.digest,
            "names": self.names,
            "size": self.size,
            "created": save::date(created.try_into().unwrap_or(i64::MAX)),
            "architecture": whole["architecture"],
            "layers": layers,
            "config": whole["config"],
        });
        json.to_string()
    }
}

/// What [`Store::prune`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The digests of the images.
    pub images: Vec<String>,
    /// Bytes of disk space.
    pub bytes: u64,
}

impl Store {
    /// All images, oldest first.
    pub fn list(&self) -> Result<Vec<Image>> {
        let names = self.names()?;
        let mut images = Vec::new();
        for digest in self.entries("images")? {
            if let Some(loaded) = self.load(&digest)? {
                images.push(self.image(&digest, loaded.record, &names));
            }
        }
        images.sort_by(|one, other| (one.created, &one.digest).cmp(&(other.created, &other.digest)));
        Ok(images)
    }

    /// The image of this name or digest.
    pub fn inspect(&self, name: &str) -> Result<Image> {
        let (digest, loaded) = self.known(name)?;
        Ok(self.image(&digest, loaded.record, &self.names()?))
    }

    /// Gives the image of this name or digest a further name. A name that another image had is taken from it.
    pub fn tag(&self, image: &str, name: &str) -> Result<()> {
        let (digest, _in_use) = self.known(image)?;
        self.tag_digest(&digest, name)
    }

    pub(super) fn tag_digest(&self, digest: &str, name: &str) -> Result<()> {
        let link = name_link(name)?;
        self.put_link(&link, digest).map_err(|errno| self.failed(Step::NameImageIn, errno))
    }

    /// Takes a name away, and with the last one the image; by digest, the image and all its names. An image that a
    /// container uses stays, with an error (EBUSY).
    pub fn remove(&self, name: &str) -> Result<()> {
        let digest = self.known(name)?.0;
        let names = self.names()?;
        let names = names.get(&digest).map(Vec::as_slice).unwrap_or_default();
        let root = self.made()?;
        let is_name = names.iter().any(|known| known == name);
        if !(is_name && names.len() > 1) {
            self.remove_image(root, &digest, name)?;
        }
        for known in names.iter().filter(|known| !is_name || *known == name) {
            match fs::unlinkat(root, name_link(known)?.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(self.failed(Step::TakeNameAwayIn, errno)),
            }
        }
        self.collect().map(drop)
    }

    /// Removes what nobody would miss: images without a name that no container uses, and layers without an image.
    pub fn prune(&self) -> Result<Pruned> {
        let Some(root) = self.root()? else { return Ok(Pruned::default()) };
        let names = self.names()?;
        let mut pruned = Pruned::default();
        for digest in self.entries("images")? {
            if !names.contains_key(&digest) && self.remove_image(root, &digest, &digest).is_ok() {
                pruned.images.push(format!("sha256:{digest}"));
            }
        }
        pruned.bytes = self.collect()?;
        self.sweep()?;
        for link in self.entries("seen")? {
            let link = format!("seen/{link}");
            let digest = self.link_text(&link).and_then(|text| text.rsplit(' ').next().map(str::to_owned));
            let is_here = digest.is_some_and(|digest| {
                Digest::from_hex(&digest).is_some()
                    && fs::faccessat(root, format!("images/{digest}").as_str(), fs::AccessFlags::F_OK, AtFlags::empty())
                        .is_ok()
            });
            if !is_here {
                let _ = fs::unlinkat(root, link.as_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
        Ok(pruned)
    }

    /// Bytes of disk space that all layers take.
    pub fn disk_use(&self) -> Result<u64> {
        let mut layers = Vec::new();
        for place in PLACES {
            layers.extend(self.entries(place)?.iter().map(|layer| self.path().join(place).join(layer)));
        }
        Ok(disk_use(&layers))
    }

    /// The image of this name or digest, in use.
    pub(super) fn named(&self, name: &OsStr) -> Result<Option<Known>> {
        let Ok(name) = std::str::from_utf8(name.as_bytes()) else { return Ok(None) };
        let digest = match Digest::parse(name) {
            Some(digest) => Some(digest.hex()),
            None => name_link(name).ok().and_then(|link| self.link_text(&link)),
        };
        let Some(digest) = digest.map_or_else(|| self.begun(name), |digest| Ok(Some(digest)))? else { return Ok(None) };
        Ok(self.load(&digest)?.map(|loaded| (digest, loaded)))
    }

    /// The one image whose digest begins so, by at least as many digits as lists show.
    fn begun(&self, name: &str) -> Result<Option<String>> {
        const SHOWN: usize = 12;
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        if digits.len() < SHOWN || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(None);
        }
        let mut images = self.entries("images")?.into_iter().filter(|image| image.starts_with(digits));
        match (images.next(), images.next()) {
            (Some(_), Some(_)) => Err(Error::invalid(Step::FindImage, name, "several digests begin so")),
            (image, _) => Ok(image),
        }
    }

    /// Makes or replaces a symbolic link in one step.
    pub(super) fn put_link(&self, link: &str, text: &str) -> std::result::Result<(), Errno> {
        let root = self.root().ok().flatten().ok_or(Errno::ENOENT)?;
        let pid = nix::unistd::getpid().as_raw();
        for attempt in 0..1000 {
            let temporary = format!("tmp/link-{pid}-{attempt}");
            match fs::symlinkat(text, root, temporary.as_str()) {
                Ok(()) => {}
                Err(Errno::EEXIST) => continue,
                Err(errno) => return Err(errno),
            }
            let renamed = fs::renameat(root, temporary.as_str(), root, link);
            if renamed.is_err() {
                let _ = fs::unlinkat(root, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            }
            match renamed {
                // A sweeper was faster: it can't tell a link that is on its way from one that was left.
                Err(Errno::ENOENT) => {}
                answer => return answer,
            }
        }
        Err(Errno::EEXIST)
    }

    pub(super) fn known(&self, name: &str) -> Result<Known> {
        self.named(name.as_ref())?.ok_or_else(|| not_here(name))
    }

    /// The image of this digest in hexadecimal digits, in use; errors call it `name`.
    pub(super) fn known_digest(&self, digest: &str, name: &str) -> Result<Loaded> {
        self.load(digest)?.ok_or_else(|| not_here(name))
    }

    fn image(&self, digest: &str, record: Record, names: &BTreeMap<String, Vec<String>>) -> Image {
        Image {
            digest: format!("sha256:{digest}"),
            names: names.get(digest).cloned().unwrap_or_default(),
            layers: record.real_layers().iter().map(|layer| self.layer_path(layer)).collect(),
            config: record.config,
            size: record.size,
            created: UNIX_EPOCH + Duration::from_secs(record.created),
        }
    }

    /// Each image's names.
    fn names(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut names = BTreeMap::<String, Vec<String>>::new();
        for name in self.entries("names")? {
            if let Some(digest) = self.link_text(&format!("names/{name}")) {
                names.entry(digest).or_default().push(name.replace("%2F", "/"));
            }
        }
        Ok(names)
    }

    fn link_text(&self, link: &str) -> Option<String> {
        let root = self.root().ok()??;
        fs::readlinkat(root, link).ok()?.into_string().ok()
    }

    /// The names in one of the store's directories.
    pub(super) fn entries(&self, directory: &str) -> Result<Vec<String>> {
        let Some(root) = self.root()? else { return Ok(Vec::new()) };
        let failed = |errno| self.failed(Step::ListStore, errno);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = match fs::openat(root, directory, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(Vec::new()),
            answer => answer.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.into());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes an image's record unless someone uses it.
    fn remove_image(&self, root: BorrowedFd, digest: &str, name: &str) -> Result<()> {
        let failed = |errno| self.failed(Step::RemoveImageFrom, errno);
        let place = format!("images/{digest}");
        let record = match fs::openat(
            root,
            place.as_str(),
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Ok(record) => record,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        if !try_lock(&record, FlockArg::LockExclusiveNonblock).map_err(failed)? {
            return Err(Error::new(
                ErrorCode::System,
                Step::RemoveImage,
                name,
                libc::EBUSY,
                "a container uses it, or it is being imported",
            )
            .with_hint("destroy the container first"));
        }
        match fs::unlinkat(root, place.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Removes the layers that no image has and answers how many bytes they took. While someone imports there is no telling
    /// which these are; then the next removal does it.
    pub(super) fn collect(&self) -> Result<u64> {
        let Some(root) = self.root()? else { return Ok(0) };
        let failed = |errno| self.failed(Step::RemoveLayerFrom, errno);
        let mut waits = false;
        let Ok(_lock) = self.lock("lock", false, &mut || std::mem::replace(&mut waits, false)) else { return Ok(0) };
        let mut needed = BTreeSet::new();
        for digest in self.entries("images")? {
            // A record that can't be read says nothing of what it needs, so nothing is removed.
            if let Some(record) = self.record(&digest)? {
                needed.extend(record.layers);
                needed.extend(record.parts);
            }
        }
        let mut bytes = 0;
        for place in PLACES {
            for layer in self.entries(place)? {
                if needed.contains(&layer) {
                    continue;
                }
                bytes += disk_use(&[self.path().join(place).join(&layer)]);
                let workspace = self.workspace()?;
                fs::renameat(root, format!("{place}/{layer}").as_str(), workspace.fd(), "layer").map_err(failed)?;
                remove::tree(workspace.fd().as_fd(), b"layer").map_err(failed)?;
            }
        }
        Ok(bytes)
    }
}

fn not_here(name: &str) -> Error {
    Error::new(ErrorCode::NotFound, Step::FindImage, name, libc::ENOENT, "there is no such image in the store")
        .with_hint("libctr images, ctr.images() and ctr_image_list() show what is there")
}

/// Where a name is kept.
pub(super) fn name_link(name: &str) -> Result<String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'@');
    let encoded = name.replace('/', "%2F");
    let why = match name {
        "" => "it is empty",
        "host" => "that is this machine itself",
        _ if name.starts_with('.') || name.starts_with('/') || name.starts_with('-') => {
            "it would look like a path or an option"
        }
        _ if Digest::parse(name).is_some() => "it would look like a digest",
        _ if !name.bytes().all(is_fine) => "only letters, digits and ._-/:@ may be in it",
        _ if encoded.len() > 200 => "it is too long",
        _ => return Ok(format!("names/{encoded}")),
    };
    Err(Error::invalid(Step::NameImage, name, why))
}

/// Where layers are.
const PLACES: [&str; 2] = ["layers", super::shifted::PLACE];

/// Bytes of disk space below `roots`, each file counted once.
fn disk_use(roots: &[PathBuf]) -> u64 {
    let (mut bytes, mut seen, mut todo) = (0, HashSet::new(), roots.to_vec());
    while let Some(path) = todo.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            todo.extend(file::names(&path).unwrap_or_default().iter().map(|name| path.join(name)));
        }
        if meta.nlink() == 1 || meta.is_dir() || seen.insert((meta.dev(), meta.ino())) {
            bytes += meta.blocks() * 512;
        }
    }
    bytes
}
