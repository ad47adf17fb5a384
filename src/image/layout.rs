//! Images in a directory: an OCI image layout, or what `docker save` writes. An archive of either is unpacked first, so it
//! is such a directory too, and as hostile as any.
//!
//! Names in it are opened below its descriptor only (openat2(2) RESOLVE_IN_ROOT: docker's old form has relative symbolic
//! links), and every blob is checked against its digest while it is read. OCI image specification, image-layout.md.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::digest::Digest;
use super::documents::{self, Descriptor, Document, MAX_DOCUMENT, Saved};
use super::fault::{Fault, Outcome, show};
use super::limits::Limits;
use crate::Step;
use crate::sys::fs::{self, FileType, Mode, OFlag, ResolveFlag};

/// How far indexes may point at indexes.
const MAX_NESTING: usize = 4;

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
    let has = |name: &str| fs::faccessat(directory, name, fs::AccessFlags::F_OK, fs::AtFlags::empty()).is_ok();
    if ["bin", "usr", "etc", "sbin"].into_iter().any(has) {
        return false;
    }
    has("oci-layout") && has("index.json")
        || read(directory, "manifest.json").and_then(|bytes| documents::saved(&bytes)).is_ok()
}

/// Whether the first entry of an archive is called so as layouts have it.
pub fn looks_like_layout(path: &[u8]) -> bool {
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    matches!(first, b"blobs" | b"oci-layout" | b"index.json" | b"manifest.json" | b"repositories")
        || std::str::from_utf8(first).is_ok_and(|first| {
            Digest::from_hex(first.strip_suffix(".json").or(first.strip_suffix(".tar")).unwrap_or(first)).is_some()
        })
}

/// Whether the directory is what docker saved before 1.10: a directory for each layer, called by its id, and no manifest.
pub fn is_before_manifests(directory: BorrowedFd) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    let mut found = false;
    for entry in entries.flatten() {
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b".." | b"repositories") {
            continue;
        }
        let Ok(name) = std::str::from_utf8(name) else { return false };
        let has = |what: &str| {
            fs::faccessat(directory, format!("{name}/{what}").as_str(), fs::AccessFlags::F_OK, fs::AtFlags::empty())
        };
        if Digest::from_hex(name).is_none() || has("layer.tar").is_err() || has("json").is_err() {
            return false;
        }
        found = true;
    }
    found
}

/// The one image of the layout, or the one that is called `reference`; for this machine, or for the platform that was asked
/// for. `go_on` is asked before each document that is read.
pub fn find(
    layout: BorrowedFd,
    wanted: Wanted<'_>,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
) -> Outcome<Found> {
    let mut documents = Documents { layout, limits, read: 0, go_on };
    let index = match documents.read("index.json") {
        Ok(bytes) => find_oci(&mut documents, &bytes, wanted)?,
        Err(Fault::System { errno: libc::ENOENT, .. }) => return find_saved(&mut documents, wanted)?,
        Err(fault) => return Err(fault),
    };
    // Since docker 25 an archive has both; an image without a name is in docker's list only.
    match index {
        Ok(found) if wanted.reference.is_some() => Ok(found),
        Ok(found) => match listed(&mut documents)? {
            Some(list)
                if list.iter().any(|image| image.tags().next().is_none() && image.id() != Some(found.digest)) =>
            {
                Err(several(list.iter().flat_map(Saved::names)))
            }
            _ => Ok(found),
        },
        Err(fault) => match listed(&mut documents)? {
            Some(list) if !list.is_empty() => find_among(&mut documents, &list, wanted)?,
            _ => Err(fault),
        },
    }
}

/// What is looked for.
#[derive(Clone, Copy, Default)]
pub struct Wanted<'w> {
    pub reference: Option<&'w str>,
    pub platform: Option<Platform<'w>>,
}

/// The documents of a layout, of which no more are read than the limits allow.
struct Documents<'d> {
    layout: BorrowedFd<'d>,
    limits: &'d Limits,
    read: usize,
    go_on: &'d mut dyn FnMut() -> bool,
}

impl Documents<'_> {
    fn read(&mut self, path: &str) -> Outcome<Vec<u8>> {
        if !(self.go_on)() {
            return Err(Fault::Cancelled);
        }
        self.read += 1;
        if self.read > self.limits.documents {
            return Err(too_many(self.limits));
        }
        read(self.layout, path)
    }

    /// A document among the blobs, checked.
    fn blob(&mut self, descriptor: &Descriptor) -> Outcome<Vec<u8>> {
        let digest = descriptor.digest()?;
        let path = blob_path(digest);
        let bytes = self.read(&path)?;
        if bytes.len() as u64 != descriptor.size || Digest::of(&bytes) != digest {
            return Err(Fault::bad(path.as_bytes(), "its content has another digest or size than its descriptor"));
        }
        Ok(bytes)
    }
}

fn too_many(limits: &Limits) -> Fault {
    Fault::over(b"", "documents", format!("more than {} indexes and manifests", limits.documents))
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

/// An image that was found, or why there is none that is meant.
type Search = std::result::Result<Found, Fault>;

fn find_oci(documents: &mut Documents<'_>, index: &[u8], wanted: Wanted<'_>) -> Outcome<Search> {
    let platform = wanted.platform.unwrap_or_else(Platform::own);
    let Document::Index(listed) = documents::document(index, "")? else {
        return Err(bad("an index.json that is no index"));
    };
    let names = || listed.iter().flat_map(Descriptor::references);
    let is_meant = |image: &&Descriptor| {
        let Some(reference) = wanted.reference else { return true };
        is_digest(&image.digest, reference) || image.references().any(|name| is_called(name, reference))
    };
    let candidates: Vec<Descriptor> = listed.iter().filter(is_meant).cloned().collect();
    if candidates.is_empty() {
        return Ok(Err(none_called(wanted.reference, names().map(String::from))));
    }
    let (manifest, others) = manifests(documents, candidates, platform)?;
    let Manifest { config, layers, is_listed_for_it } = match manifest {
        Some(Ok(manifest)) => manifest,
        Some(Err(Several)) => return Ok(Err(several(names().map(String::from)))),
        None if others.is_empty() => return Ok(Err(bad(format!("no image for {platform}")))),
        None => {
            let others: Vec<_> = others.iter().take(20).map(String::as_str).collect();
            return Ok(Err(bad(format!("no image for {platform}, only for {}", others.join(", ")))));
        }
    };

    let digest = config.digest()?;
    if !matches!(
        config.media_type.as_str(),
        "" | "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    ) {
        return Err(bad(format!("it is no image but {}", show(config.media_type.as_bytes()))));
    }
    let document = documents.blob(&config)?;
    let layers = layers
        .iter()
        .map(|layer| Ok(Layer { path: blob_path(layer.digest()?), blob: Some((layer.digest()?, layer.size)) }))
        .collect::<Outcome<Vec<_>>>()?;
    found(digest, document, layers, wanted.platform.filter(|_| !is_listed_for_it), documents.limits).map(Ok)
}

struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    /// Its descriptor names the platform, and not only its configuration.
    is_listed_for_it: bool,
}

/// There is more than one.
struct Several;

type OneOf = std::result::Result<Manifest, Several>;

/// The manifest for a platform below some descriptors, each document being read once, and the platforms for which there are
/// others. The same image under two names is one.
fn manifests(
    documents: &mut Documents<'_>,
    candidates: Vec<Descriptor>,
    platform: Platform<'_>,
) -> Outcome<(Option<OneOf>, BTreeSet<String>)> {
    let mut todo = VecDeque::new();
    let mut known = HashSet::new();
    let (mut manifest, mut others) = (None, BTreeSet::new());
    let (mut listed, mut nesting) = (candidates, MAX_NESTING);
    loop {
        for descriptor in listed {
            // Signatures and attestations stand beside images under a platform that is none.
            if let Some(other) = descriptor.platform.as_ref().filter(|other| !platform.has(other)) {
                if other.os == "linux" && others.len() < 100 {
                    others.insert(show(other.to_string().as_bytes()));
                }
                continue;
            }
            let digest = descriptor.digest()?;
            if known.insert(digest) {
                if known.len() > documents.limits.documents {
                    return Err(too_many(documents.limits));
                }
                todo.push_back((descriptor, nesting));
            }
        }
        let Some((descriptor, at)) = todo.pop_front() else { break };
        (listed, nesting) = (Vec::new(), at.saturating_sub(1));
        match documents::document(&documents.blob(&descriptor)?, &descriptor.media_type)? {
            Document::Manifest { config, layers } => {
                let is_listed_for_it = descriptor.platform.is_some();
                let manifest = manifest.replace(Manifest { config, layers, is_listed_for_it });
                if manifest.is_some() {
                    return Ok((Some(Err(Several)), others));
                }
            }
            Document::Index(_) if at == 0 => {
                return Err(bad(format!("more than {MAX_NESTING} indexes that point at one another")));
            }
            Document::Index(below) => listed = below,
        }
    }
    Ok((manifest.map(Ok), others))
}

impl Saved {
    fn tags(&self) -> impl Iterator<Item = &str> {
        self.repo_tags.iter().flatten().map(String::as_str)
    }

    /// Its id, where its configuration is called so: HEX.json or blobs/sha256/HEX.
    fn id(&self) -> Option<Digest> {
        let setup = self.config.rsplit('/').next().unwrap_or_default();
        Digest::from_hex(setup.strip_suffix(".json").unwrap_or(setup))
    }

    /// What it can be chosen by: its names, or its id where it has none.
    fn names(&self) -> Vec<String> {
        let names: Vec<_> = self.tags().map(String::from).collect();
        if names.is_empty() { self.id().map(|id| id.hex()[..12].into()).into_iter().collect() } else { names }
    }

    fn is_called(&self, reference: &str) -> bool {
        self.tags().any(|name| is_called(name, reference))
            || self.id().is_some_and(|id| is_digest(&id.to_string(), reference))
    }
}

/// docker's list, where there is one.
fn listed(documents: &mut Documents<'_>) -> Outcome<Option<Vec<Saved>>> {
    match documents.read("manifest.json") {
        Ok(bytes) => documents::saved(&bytes).map(Some),
        Err(Fault::System { errno: libc::ENOENT, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn find_saved(documents: &mut Documents<'_>, wanted: Wanted<'_>) -> Outcome<Search> {
    let list = documents::saved(&documents.read("manifest.json")?)?;
    find_among(documents, &list, wanted)
}

fn find_among(documents: &mut Documents<'_>, list: &[Saved], wanted: Wanted<'_>) -> Outcome<Search> {
    let names = || list.iter().flat_map(Saved::names);
    let mut candidates =
        list.iter().filter(|image| wanted.reference.is_none_or(|reference| image.is_called(reference)));
    let Some(image) = candidates.next() else { return Ok(Err(none_called(wanted.reference, names()))) };
    if candidates.any(|other| other.config != image.config) {
        return Ok(Err(several(names())));
    }
    let bytes = documents.read(&image.config)?;
    let digest = Digest::of(&bytes);
    // Docker names it by its digest.
    if image.id().is_some_and(|stated| stated != digest) {
        return Err(Fault::bad(image.config.as_bytes(), "its content has another digest than its name"));
    }
    let layers = image.layers.iter().map(|path| Layer { path: path.clone(), blob: None }).collect();
    found(digest, bytes, layers, wanted.platform, documents.limits).map(Ok)
}

/// The image, if its configuration says that it is for the platform that was asked for, or says nothing of one.
fn found(
    digest: Digest,
    document: Vec<u8>,
    layers: Vec<Layer>,
    asked: Option<Platform<'_>>,
    limits: &Limits,
) -> Outcome<Found> {
    let description = documents::description(&document)?;
    description.config.bounded(limits)?;
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

/// Whether `reference` is this digest (`sha256:HEX`), its hexadecimal digits, or the first twelve or more of them.
fn is_digest(digest: &str, reference: &str) -> bool {
    let hex = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_owned();
    let (digest, reference) = (hex(digest), hex(reference));
    reference.len() >= 12
        && reference.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digest.starts_with(&reference)
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn read(layout: BorrowedFd, path: &str) -> Outcome<Vec<u8>> {
    let file = File::from(open(layout, path)?);
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Fault::read)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Fault::bad(path.as_bytes(), format!("a document of more than {MAX_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

/// A regular file below `layout`, whatever links lie on the way.
fn open(layout: BorrowedFd, path: &str) -> Outcome<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let failed = |errno| Fault::system(Step::Open, path.as_bytes(), errno);
    let fd = match fs::openat2(layout, path, flags, Mode::empty(), resolve) {
        Err(Errno::ENOSYS | Errno::EPERM) => open_without_links(layout, path)?,
        answer => answer.map_err(failed)?,
    };
    match fs::fstat(&fd) {
        Ok(stat) if fs::file_type(stat.st_mode) == Some(FileType::File) => Ok(fd),
        _ => Err(Fault::bad(path.as_bytes(), "it is no regular file")),
    }
}

/// For kernels without openat2 and filters that refuse it: no link is followed at all.
fn open_without_links(layout: BorrowedFd, path: &str) -> Outcome<OwnedFd> {
    let failed = |errno| Fault::system(Step::Open, path.as_bytes(), errno);
    let again = layout.try_clone_to_owned().map_err(Fault::read)?;
    let (above, name) = super::entry::split(path.as_bytes());
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Fault::bad(path.as_bytes(), "a path that leads elsewhere"));
    }
    let mut dirs = super::dirs::Dirs::new(again);
    let parent = dirs.enter(above).map_err(|_| failed(Errno::ENOENT))?;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fs::openat(parent.as_fd(), name, flags, Mode::empty()).map_err(failed)
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

fn none_called(reference: Option<&str>, names: impl Iterator<Item = String>) -> Fault {
    match reference {
        None => bad("there is no image in it"),
        Some(reference) => bad(format!("there is no image {} in it, only {}", show(reference.as_bytes()), list(names))),
    }
}

fn several(names: impl Iterator<Item = String>) -> Fault {
    bad(format!("there are several images in it; say which one: {}", list(names)))
}

fn list(names: impl Iterator<Item = String>) -> String {
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
