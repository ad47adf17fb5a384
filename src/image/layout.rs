//! Images in a directory: an OCI image layout, or what `docker save` writes. An archive of either is unpacked first, so it
//! is such a directory too, and as hostile as any.
//!
//! Names in it are opened below its descriptor only (openat2(2) RESOLVE_IN_ROOT: docker's old form has relative symbolic
//! links), and every blob is checked against its digest while it is read. OCI image specification, image-layout.md.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::digest::Digest;
use super::documents::{self, DOCUMENT_MOST, Descriptor, Document};
use super::fault::{Fault, Outcome, show};
use crate::sys::file;

/// How far indexes may point at indexes.
const NESTING_MOST: usize = 4;

/// An image that was found, its description read and checked.
pub struct Found {
    /// The digest of its configuration, which docker calls the image's id: it is the same whatever the layers' compression.
    pub digest: Digest,
    pub description: documents::Description,
    /// The configuration, as it is.
    pub document: String,
    /// Lowest first, one for each DiffID of the description.
    pub layers: Vec<Layer>,
}

/// Where a layer's archive is.
pub struct Layer {
    path: String,
    /// The digest and size that the manifest states; docker's form has none.
    pub blob: Option<(Digest, u64)>,
}

impl Layer {
    pub fn open(&self, layout: BorrowedFd) -> Outcome<OwnedFd> {
        open(layout, &self.path)
    }
}

/// Whether the directory is one of images. A root file system may have a file of any name, so it must not look like one.
pub fn is_layout(directory: BorrowedFd) -> bool {
    let has = |name: &str| fs::accessat(directory, name, fs::Access::EXISTS, fs::AtFlags::empty()).is_ok();
    if ["bin", "usr", "etc", "sbin"].into_iter().any(has) {
        return false;
    }
    has("oci-layout") && has("index.json")
        || read(directory, "manifest.json").and_then(|bytes| documents::saved(&bytes)).is_ok()
}

/// The one image of the layout, or the one that is called `reference`; for this machine, or for the platform that was asked
/// for.
pub fn find(layout: BorrowedFd, reference: Option<&str>, asked: Option<Platform<'_>>) -> Outcome<Found> {
    match read(layout, "index.json") {
        Ok(bytes) => find_oci(layout, &bytes, reference, asked),
        Err(Fault::System { errno: libc::ENOENT, .. }) => find_saved(layout, reference, asked),
        Err(fault) => Err(fault),
    }
}

/// What an image can be for: an architecture of Linux, by the name that Go has for it, and perhaps a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform<'p> {
    pub architecture: &'p str,
    pub variant: Option<&'p str>,
}

impl<'p> Platform<'p> {
    fn own() -> Self {
        Self { architecture: architecture(), variant: None }
    }

    /// "linux/arm64", "arm64", "linux/arm/v7", as docker's `--platform` takes it.
    pub fn parse(text: &'p str) -> Option<Self> {
        let mut words = text.strip_prefix("linux/").unwrap_or(text).split('/');
        let (architecture, variant) = (words.next()?, words.next());
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if words.next().is_some() || architecture == "linux" || ![architecture].into_iter().chain(variant).all(is_word)
        {
            return None;
        }
        Some(match (architecture, variant) {
            ("x86_64", variant) => Self { architecture: "amd64", variant },
            // The one variant there is goes without saying.
            ("aarch64" | "arm64", None | Some("v8")) => Self { architecture: "arm64", variant: None },
            _ => Self { architecture, variant },
        })
    }

    fn has(&self, listed: &documents::Platform) -> bool {
        (listed.os == "linux" || listed.os.is_empty())
            && (listed.architecture == self.architecture || listed.architecture.is_empty())
            && (listed.variant.is_empty() || self.variant.is_none_or(|variant| listed.variant == variant))
    }
}

impl fmt::Display for Platform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant.map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

fn find_oci(layout: BorrowedFd, index: &[u8], reference: Option<&str>, asked: Option<Platform<'_>>) -> Outcome<Found> {
    let platform = asked.unwrap_or_else(Platform::own);
    let Document::Index(listed) = documents::document(index, "")? else {
        return Err(bad("an index.json that is no index"));
    };
    let candidates: Vec<&Descriptor> = match reference {
        None => listed.iter().collect(),
        Some(reference) => listed
            .iter()
            .filter(|image| image.digest == reference || image.references().any(|name| is_called(name, reference)))
            .collect(),
    };
    if candidates.is_empty() {
        return Err(none_called(reference, listed.iter().flat_map(Descriptor::references)));
    }
    let mut manifests = Vec::new();
    for candidate in candidates {
        manifests_of(layout, candidate, platform, NESTING_MOST, &mut manifests)?;
    }
    // The same image under two names is one.
    manifests.sort_by_key(|manifest| manifest.digest);
    manifests.dedup_by_key(|manifest| manifest.digest);
    let Manifest { config, layers, is_listed_for_it, .. } = match manifests.len() {
        0 => return Err(bad(format!("no image for {platform}"))),
        1 => manifests.remove(0),
        _ => return Err(several(listed.iter().flat_map(Descriptor::references))),
    };

    let digest = config.digest()?;
    if !matches!(
        config.media_type.as_str(),
        "" | "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    ) {
        return Err(bad(format!("it is no image but {}", show(config.media_type.as_bytes()))));
    }
    let document = blob(layout, &config)?;
    let layers = layers
        .iter()
        .map(|layer| Ok(Layer { path: blob_path(layer.digest()?), blob: Some((layer.digest()?, layer.size)) }))
        .collect::<Outcome<Vec<_>>>()?;
    found(digest, document, layers, asked.filter(|_| !is_listed_for_it))
}

struct Manifest {
    digest: Digest,
    config: Descriptor,
    layers: Vec<Descriptor>,
    /// Its descriptor names the platform, and not only its configuration.
    is_listed_for_it: bool,
}

/// The manifests for a platform below one descriptor.
fn manifests_of(
    layout: BorrowedFd,
    descriptor: &Descriptor,
    platform: Platform<'_>,
    nesting: usize,
    manifests: &mut Vec<Manifest>,
) -> Outcome<()> {
    // Signatures and attestations stand beside images under a platform that is none.
    if descriptor.platform.as_ref().is_some_and(|listed| !platform.has(listed)) {
        return Ok(());
    }
    match documents::document(&blob(layout, descriptor)?, &descriptor.media_type)? {
        Document::Manifest { config, layers } => manifests.push(Manifest {
            digest: descriptor.digest()?,
            config,
            layers,
            is_listed_for_it: descriptor.platform.is_some(),
        }),
        Document::Index(_) if nesting == 0 => return Err(bad("indexes that point at indexes, too deep")),
        Document::Index(listed) => {
            if listed.len() > 1000 {
                return Err(bad("an index of more than 1000 images"));
            }
            for descriptor in &listed {
                manifests_of(layout, descriptor, platform, nesting - 1, manifests)?;
            }
        }
    }
    Ok(())
}

fn find_saved(layout: BorrowedFd, reference: Option<&str>, asked: Option<Platform<'_>>) -> Outcome<Found> {
    let listed = documents::saved(&read(layout, "manifest.json")?)?;
    let names = || listed.iter().flat_map(|image| image.repo_tags.iter().flatten()).map(String::as_str);
    let mut candidates = listed.iter().filter(|image| match reference {
        None => true,
        Some(reference) => image.repo_tags.iter().flatten().any(|name| is_called(name, reference)),
    });
    let Some(image) = candidates.next() else { return Err(none_called(reference, names())) };
    if candidates.any(|other| other.config != image.config) {
        return Err(several(names()));
    }
    let bytes = read(layout, &image.config)?;
    let digest = Digest::of(&bytes);
    // Docker names it by its digest, as HEX.json or blobs/sha256/HEX.
    let stem = image.config.rsplit('/').next().unwrap_or_default();
    if let Some(stated) = Digest::from_hex(stem.strip_suffix(".json").unwrap_or(stem))
        && stated != digest
    {
        return Err(Fault::bad(image.config.as_bytes(), "its content has another digest than its name"));
    }
    let layers = image.layers.iter().map(|path| Layer { path: path.clone(), blob: None }).collect();
    found(digest, bytes, layers, asked)
}

/// The image, if its configuration says that it is for the platform that was asked for, or says nothing of one.
fn found(digest: Digest, document: Vec<u8>, layers: Vec<Layer>, asked: Option<Platform<'_>>) -> Outcome<Found> {
    let description = documents::description(&document)?;
    let document = String::from_utf8(document).map_err(|_| bad("a configuration that is not UTF-8"))?;
    if description.diff_ids.len() != layers.len() {
        return Err(bad(format!(
            "its configuration speaks of {} layers, its manifest of {}",
            description.diff_ids.len(),
            layers.len()
        )));
    }
    let known = &description.config.architecture;
    if let Some(platform) = asked.filter(|platform| !known.is_empty() && known != platform.architecture) {
        return Err(bad(format!("it is an image for linux/{}, not for {platform}", show(known.as_bytes()))));
    }
    Ok(Found { digest, description, document, layers })
}

/// Whether an image called `name` is meant by `reference`: the whole name, or the end of it that people type, with or
/// without the tag that goes without saying.
fn is_called(name: &str, reference: &str) -> bool {
    let bare = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
    let (name, reference) = (bare(name), bare(reference));
    name == reference
        || name.strip_suffix(&reference).is_some_and(|before| before.ends_with('/') || before.ends_with(':'))
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A document among the blobs, checked.
fn blob(layout: BorrowedFd, descriptor: &Descriptor) -> Outcome<Vec<u8>> {
    let digest = descriptor.digest()?;
    let path = blob_path(digest);
    let bytes = read(layout, &path)?;
    if bytes.len() as u64 != descriptor.size || Digest::of(&bytes) != digest {
        return Err(Fault::bad(path.as_bytes(), "its content has another digest or size than its descriptor"));
    }
    Ok(bytes)
}

fn read(layout: BorrowedFd, path: &str) -> Outcome<Vec<u8>> {
    let file = File::from(open(layout, path)?);
    let mut bytes = Vec::new();
    file.take(DOCUMENT_MOST + 1).read_to_end(&mut bytes).map_err(Fault::read)?;
    if bytes.len() as u64 > DOCUMENT_MOST {
        return Err(Fault::bad(path.as_bytes(), format!("a document of more than {DOCUMENT_MOST} bytes")));
    }
    Ok(bytes)
}

/// A regular file below `layout`, whatever links lie on the way.
fn open(layout: BorrowedFd, path: &str) -> Outcome<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let failed = |errno| Fault::system("open", path.as_bytes(), errno);
    let fd = match file::openat2(layout, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => open_without_links(layout, path)?,
        answer => answer.map_err(failed)?,
    };
    match fs::fstat(&fd) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(fd),
        _ => Err(Fault::bad(path.as_bytes(), "it is no regular file")),
    }
}

/// For kernels without openat2 and filters that refuse it: no link is followed at all.
fn open_without_links(layout: BorrowedFd, path: &str) -> Outcome<OwnedFd> {
    let failed = |errno| Fault::system("open", path.as_bytes(), errno);
    let again = layout.try_clone_to_owned().map_err(Fault::read)?;
    let (above, name) = super::entry::split(path.as_bytes());
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Fault::bad(path.as_bytes(), "a path that leads elsewhere"));
    }
    let mut dirs = super::dirs::Dirs::new(again);
    let parent = dirs.enter(above).map_err(|_| failed(Errno::NOENT))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    file::openat(parent.as_fd(), name, flags, Mode::empty()).map_err(failed)
}

/// This machine's, by the name that Go has for it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

fn none_called<'n>(reference: Option<&str>, names: impl Iterator<Item = &'n str>) -> Fault {
    match reference {
        None => bad("there is no image in it"),
        Some(reference) => bad(format!("there is no image {} in it, only {}", show(reference.as_bytes()), list(names))),
    }
}

fn several<'n>(names: impl Iterator<Item = &'n str>) -> Fault {
    bad(format!("there are several images in it; say which one: {}", list(names)))
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.take(20).map(|name| show(name.as_bytes())).collect();
    if names.is_empty() { "ones without a name".into() } else { names.join(", ") }
}

fn bad(why: impl Into<String>) -> Fault {
    Fault::bad(b"", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_what_docker_calls_so() {
        let parsed = |text| Platform::parse(text).map(|platform| platform.to_string());
        for (text, platform) in [
            ("linux/arm64", "linux/arm64"),
            ("arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("x86_64", "linux/amd64"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(platform), "{text}");
        }
        for none in ["", "linux", "linux/", "windows/amd64/", "linux/arm/v7/x", "linux/../x", "linux//v7"] {
            assert_eq!(parsed(none), None, "{none}");
        }
        let v6 = documents::Platform { architecture: "arm".into(), os: "linux".into(), variant: "v6".into() };
        assert!(Platform::parse("arm").unwrap().has(&v6) && Platform::parse("arm/v6").unwrap().has(&v6));
        assert!(!Platform::parse("arm/v7").unwrap().has(&v6));
    }

    #[test]
    fn an_image_is_called_by_the_end_of_its_name() {
        for reference in ["docker.io/library/alpine:3.20", "alpine:3.20", "library/alpine:3.20", "3.20"] {
            assert!(is_called("docker.io/library/alpine:3.20", reference), "{reference}");
        }
        assert!(is_called("alpine:latest", "alpine") && is_called("alpine", "alpine:latest"));
        for reference in ["pine:3.20", "alpine", "alpine:3", ""] {
            assert!(!is_called("docker.io/library/alpine:3.20", reference), "{reference}");
        }
    }
}
