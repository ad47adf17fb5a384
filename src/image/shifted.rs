//! Layers once more, with other owners: what root's containers have of a store whose file system can't be id-mapped, as an overlay
//! (in a docker container) and NFS can't.
//!
//! A container's root is an id of the host that owns nothing, so without a map all files of an image would be nobody's inside, and
//! an overlay copies none of these up (EOVERFLOW). So there is a copy whose files belong to the ids of one range, which all
//! containers of such stores share, as all of docker's do with userns-remap. A copy for each container's own range would hold
//! them apart by ids too, and cost each of them the time and the space of its image.
//!
//! The copy is made at the first use of a layer, lies in `shifted/HEX` and goes with the layer.

use std::path::PathBuf;
use std::thread;

use ctr_wire::SHARED_RANGE;
use nix::errno::Errno;
use nix::sys::statfs::{FsType, OVERLAYFS_SUPER_MAGIC, statfs};

use super::export::Export;
use super::fault::{Fault, Outcome};
use super::import::{self, Importing, Taking};
use super::pipeline::{self, Report};
use super::source::Source;
use super::store::Store;
use super::{pipe, write};
use crate::sys::fork_lock::ForkLock;
use crate::sys::fs::{self, AT_FDCWD, AtFlags, Gid, Mode, OFlag, Uid};
use crate::{Result, Step};

/// Where the copies are.
pub(super) const PLACE: &str = "shifted";

/// Which stores are such, as far as they have been asked about.
static WITHOUT_MAP: ForkLock<Vec<(PathBuf, bool)>> = ForkLock::new(Vec::new());

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Store {
    /// Whether the kernel refuses to id-map it, as far as that is known. The kind of its file system is looked at once. To ask the
    /// kernel takes a user namespace: of the kinds that only some kernels id-map, whoever is refused says so
    /// ([`Store::learn_without_map`]).
    pub(crate) fn is_without_map(&self) -> bool {
        let known =
            WITHOUT_MAP.lock().iter().find(|(place, _)| place == self.path()).map(|(_, is_without)| *is_without);
        known.unwrap_or_else(|| self.learn(self.is_of_a_kind_without_map()))
    }

    /// From here on it does.
    pub(crate) fn learn_without_map(&self) {
        self.learn(true);
    }

    fn learn(&self, is_without: bool) -> bool {
        let mut known = WITHOUT_MAP.lock();
        known.retain(|(place, _)| place != self.path());
        known.push((self.path().to_path_buf(), is_without));
        is_without
    }

    /// Whether no kernel id-maps its file system.
    fn is_of_a_kind_without_map(&self) -> bool {
        const NFS: FsType = FsType(0x6969);
        // It may not be there yet.
        let place = self.path().ancestors().find_map(|place| statfs(place).ok());
        place.is_some_and(|stat| [OVERLAYFS_SUPER_MAGIC, NFS].contains(&stat.filesystem_type()))
    }

    /// The image with the copies in the place of its layers; they are made where they are missing.
    pub(crate) fn shifted(&self, image: Source, report: Report<'_>) -> Result<Source> {
        let Source::Layers { layers, config, digest, root, lock } = image else { return Ok(image) };
        let mut copies = Vec::new();
        for layer in layers {
            // STORE/layers/HEX/fs
            let hex = layer.parent().and_then(|place| place.file_name()?.to_str()).unwrap_or_default().to_owned();
            self.shift(&hex, report)?;
            copies.push(self.path().join(PLACE).join(hex));
        }
        Ok(Source::Layers { layers: copies, config, digest, root, lock })
    }

    fn shift(&self, layer: &str, report: Report<'_>) -> Result<()> {
        let place = format!("{PLACE}/{layer}");
        let is_there = || -> Result<bool> {
            let Some(root) = self.root()? else { return Ok(false) };
            Ok(fs::faccessat(root, place.as_str(), fs::AccessFlags::F_OK, AtFlags::empty()).is_ok())
        };
        if is_there()? {
            return Ok(());
        }
        let lock = format!("tmp/lock-{PLACE}-{layer}");
        let _lock = self.lock(&lock, false, &mut || report(pipeline::Progress::default()))?;
        if is_there()? {
            return Ok(());
        }
        let importing = Importing::begin(self)?;
        let path = self.layer_path(layer);
        copy(&importing, layer, report)
            .map_err(|fault| fault.into_packing_error(&path.to_string_lossy(), &self.shown()))?;
        let root = importing.workspace.root();
        let failed = |errno| self.failed(Step::KeepLayerIn, errno);
        match fs::mkdirat(root, PLACE, Mode::S_IRWXU) {
            // Root inside looks its layers up here.
            Ok(()) => {
                let owner = (Some(Uid::from_raw(SHARED_RANGE)), Some(Gid::from_raw(SHARED_RANGE)));
                fs::fchownat(root, PLACE, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // The lock says that nobody else makes one.
        fs::rename_to_new(importing.workspace.fd(), "copy/fs", root, &place).map_err(failed)
    }
}

/// Packs a layer and unpacks it again as `copy` in the workspace: nothing is in it that could not have come as an archive.
fn copy(importing: &Importing<'_>, layer: &str, report: Report<'_>) -> Outcome<()> {
    let tree = fs::openat(AT_FDCWD, &importing.store.layer_path(layer), DIRECTORY, Mode::empty())
        .map_err(|errno| Fault::system(Step::OpenLayer, layer.as_bytes(), errno))?;
    let (mut out, input) = pipe::pipe();
    thread::scope(|scope| {
        let packer = pipeline::spawn(scope, "ctr-pack", move || {
            Export { is_layer: true, ..Export::default() }.entries(Default::default(), tree, &mut out)?;
            std::io::Write::write_all(&mut out, &write::END).and_then(|()| out.finish()).map_err(Fault::write)
        })?;
        let source = pipeline::Source { input: Box::new(input), total: 0, hash_blob: false };
        let unpacked = pipeline::run(source, importing.bounds(), report, |stream, counters, own_umask| {
            let taking = Taking { shifted: true, ..Taking::default() };
            import::layer(importing, "copy", taking, stream, counters, own_umask)
        });
        pipe::both(pipeline::join(packer), unpacked.map(drop))
    })
}
