//! Images out of the store, for other tools: an archive that is an OCI image layout and, by its manifest.json, also what
//! `docker load` has read since 1.10; or just what `docker save` wrote before it knew of OCI. OCI image specification,
//! image-layout.md, config.md.
//!
//! A layer that came in such an archive is written as it came. Others are packed from their trees, and the same tree gives the
//! same bytes, wherever and whenever.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use nix::errno::Errno;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::compress::{Compression, Encoder};
use super::config::ImageConfig;
use super::digest::Digest;
use super::documents;
use super::entry::{Entry, Kind};
use super::export::Export;
use super::fault::{Fault, Outcome};
use super::output::{self, Output, Sink};
use super::pipeline::{Counters, Report};
use super::recorder;
use super::split;
use super::store::{Store, Workspace};
use super::write;
use crate::sys::fs::{self, AT_FDCWD, Mode, OFlag};
use crate::{Error, Result, Step};

/// Which tools an archive is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaveFormat {
    /// An OCI image layout, which docker loads as well.
    #[default]
    Oci,
    /// The form of `docker save` before version 25, for tools that know no other.
    Docker,
}

/// How an image is saved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SaveOptions {
    /// The form of the archive.
    pub format: SaveFormat,
    /// How layers are compressed: not at all, gzip or zstd.
    pub compression: Compression,
    /// The name that other tools find it by; its first one here where there is none.
    pub name: Option<String>,
    /// When the image says it was made, and the latest time of any file, in seconds since 1970; where there is none, the
    /// variable SOURCE_DATE_EPOCH counts.
    pub epoch: Option<i64>,
}

crate::config::with!(SaveOptions);

/// A finished blob in the workspace.
struct Blob {
    file: File,
    digest: Digest,
    size: u64,
    /// Of its uncompressed bytes.
    diff_id: Digest,
}

/// How layers are packed, and who is told.
#[derive(Clone, Copy)]
struct Packing<'p> {
    compression: Compression,
    latest: Option<i64>,
    counters: &'p Counters,
}

impl Store {
    /// Writes the image of this name or digest as an archive. `report` hears of progress in bytes of its files, some ten
    /// times a second and on the calling thread; when it answers false that is the end
    /// ([`crate::ErrorCode::Interrupted`]).
    pub fn save(&self, image: &str, output: Output<'_>, options: &SaveOptions, report: Report<'_>) -> Result<()> {
        let epoch = output::epoch(options.epoch)?;
        let (_, loaded) = self.known(image)?;
        self.are_given(loaded.record.real_layers())?;
        let name = match &options.name {
            Some(name) => Some(name.clone()),
            None => self.inspect(image)?.names.into_iter().next(),
        };
        let media_type = match options.compression {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => return Err(Error::invalid(Step::Save, image, "layers are saved plain, as gzip or as zstd")),
        };
        let workspace = self.workspace()?;
        let counters = Counters::new(loaded.record.size);
        let packing = Packing { compression: options.compression, latest: epoch, counters: &counters };
        Sink::open(output)?.fill(image, &counters, report, |out| {
            let mut layers = Vec::new();
            for (number, layer) in loaded.record.real_layers().iter().enumerate() {
                layers.push(self.pack(&workspace, &format!("blob-{number}"), layer, packing)?);
            }
            let diff_ids: Vec<_> = layers.iter().map(|blob| blob.diff_id.to_string()).collect();
            let config = match &loaded.record.document {
                Some(document) if epoch.is_none() && speaks_of(document, &diff_ids) => document.clone(),
                base => document(&loaded.record.config, base.as_deref(), &diff_ids, epoch),
            };
            let out = BufWriter::with_capacity(256 << 10, Watched { inner: out, counters: &counters });
            let mut archive = Archive { out, time: epoch.unwrap_or(0) };
            match options.format {
                SaveFormat::Oci => write_oci(&mut archive, layers, media_type, &config, name.as_deref()),
                SaveFormat::Docker => write_docker(&mut archive, layers, &config, name.as_deref()),
            }
            .map_err(Fault::write)
        })
    }

    /// One layer's tree as a blob.
    fn pack(&self, workspace: &Workspace, name: &str, layer: &str, packing: Packing<'_>) -> Outcome<Blob> {
        let failed = |errno| Fault::system(Step::Pack, layer.as_bytes(), errno);
        let place = self.layer_path(layer);
        let tree =
            || fs::openat(AT_FDCWD, &place, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = File::from(fs::openat(workspace.fd(), name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?);
        // As it came, unless its times are to be others.
        if packing.latest.is_none()
            && let Ok(record) = crate::sys::file::open(place.with_file_name(recorder::NAME))
            && let Ok(again) = crate::sys::file::open(place.with_file_name(recorder::NAME))
            && !split::has_twice(again, &self.limits)
        {
            let again = file.try_clone().map_err(Fault::read)?;
            let blob =
                blob(again, layer, packing, |tar, count| split::rebuild(record, tree().map_err(failed)?, tar, count))?;
            if blob.diff_id.hex() == layer {
                return Ok(blob);
            }
            // Someone has changed the tree.
            file.set_len(0).map_err(|error| failed(fs::errno_of(&error).unwrap_or(Errno::EIO)))?;
        }
        blob(file, layer, packing, |tar, count| {
            let kept = crate::sys::file::open(place.with_file_name("kept")).ok();
            let mut count = |written| {
                count(written);
                true
            };
            let export = Export {
                is_layer: true,
                kept: kept.into_iter().collect(),
                latest: packing.latest,
                go_on: Some(&mut count),
                ..Export::default()
            };
            export.write(tree().map_err(failed)?, tar).map(drop)
        })
    }
}

/// Has `work` write an archive into `file`, compressed, and count its bytes on the way.
fn blob(
    file: File,
    layer: &str,
    packing: Packing<'_>,
    work: impl FnOnce(&mut dyn Write, &mut dyn FnMut(u64)) -> Outcome<()>,
) -> Outcome<Blob> {
    let counters = packing.counters;
    let io = |error: io::Error| match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => Fault::system(Step::Pack, layer.as_bytes(), fs::errno_of(&error).unwrap_or(Errno::EIO)),
    };
    let mut packed = 0;
    let mut count = |written| {
        // The archive has headers, too, so this may come to a little more than the image's size.
        counters.count_up_to_total(written - packed);
        packed = written;
        counters.entry();
    };
    let out = Hashing::new(BufWriter::with_capacity(256 << 10, Watched { inner: file, counters }));
    let mut tar = Hashing::new(Encoder::new(packing.compression, out).map_err(io)?);
    work(&mut tar, &mut count)?;
    let (encoder, diff_id) = tar.finish();
    let mut out = encoder.finish().map_err(io)?;
    out.flush().map_err(io)?;
    let size = out.length;
    let (file, digest) = out.finish();
    let mut file = file.into_inner().map_err(|error| io(error.into_error()))?.inner;
    file.rewind().map_err(io)?;
    Ok(Blob { file, digest, size, diff_id })
}

/// Passes bytes on until the caller wants no more.
struct Watched<'w, W> {
    inner: W,
    counters: &'w Counters,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counters.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes bytes on, counted and hashed.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), length: 0 }
    }

    fn finish(self) -> (W, Digest) {
        (self.inner, Digest::from_bytes(self.hasher.finalize().into()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Whether a configuration is that of an image of just these layers.
fn speaks_of(document: &str, diff_ids: &[String]) -> bool {
    let known = documents::description(document.as_bytes());
    known.is_ok_and(|known| known.diff_ids.iter().map(Digest::to_string).eq(diff_ids.iter().cloned()))
}

/// The configuration of an image of these layers: what `config` says, and all that it can't say from that of the image which it
/// comes from, `base`: ports, health check, author, the story of its layers.
pub(super) fn document(config: &ImageConfig, base: Option<&str>, diff_ids: &[String], epoch: Option<i64>) -> String {
    let mut whole = self::config(config, diff_ids, epoch);
    let Some(mut base) = base.and_then(|base| serde_json::from_str::<Value>(base).ok()) else {
        return whole.to_string();
    };
    for key in ["author", "variant", "os.version", "os.features"] {
        if let Some(value) = base.get_mut(key) {
            whole[key] = value.take();
        }
    }
    if let (Some(run), Some(Value::Object(more))) = (whole["config"].as_object_mut(), base.get_mut("config")) {
        // Docker reads a key in whatever case it is.
        more.retain(|key, value| !OF_CONFIG.iter().any(|own| own.eq_ignore_ascii_case(key)) && !value.is_null());
        run.append(more);
    }
    if epoch.is_none() {
        history(&mut whole, &mut base, diff_ids.len());
    }
    whole.to_string()
}

/// The entries of `base`, if they are about the lowest of the image's layers, and one for each layer more.
fn history(whole: &mut Value, base: &mut Value, layers: usize) {
    let Some(Value::Array(mut entries)) = base.get_mut("history").map(Value::take) else { return };
    let of_layers = entries.iter().filter(|entry| entry["empty_layer"] != json!(true)).count();
    let known = base["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    let is_below = (0..known).all(|at| base["rootfs"]["diff_ids"][at] == whole["rootfs"]["diff_ids"][at]);
    if is_below && of_layers == known {
        entries.extend((known..layers).map(|_| json!({"created_by": "ctr"})));
        whole["history"] = entries.into();
    }
}

/// What [`ImageConfig`] knows of a configuration.
const OF_CONFIG: [&str; 8] = ["Env", "Entrypoint", "Cmd", "WorkingDir", "User", "StopSignal", "Volumes", "Labels"];

impl ImageConfig {
    /// As the property `config` of the OCI image specification's config.md, in JSON.
    pub fn json(&self) -> String {
        config(self, &[], None)["config"].to_string()
    }
}

pub(super) fn config(config: &ImageConfig, diff_ids: &[String], epoch: Option<i64>) -> Value {
    let mut run = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = value.as_str() == Some("")
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !is_empty {
            run.insert(key.into(), value);
        }
    };
    put("Env", json!(config.env));
    put("Entrypoint", json!(config.entrypoint));
    put("Cmd", json!(config.cmd));
    put("WorkingDir", json!(config.working_dir));
    put("User", json!(config.user));
    put("StopSignal", json!(config.stop_signal));
    put("Volumes", config.volumes.iter().map(|volume| (volume.clone(), json!({}))).collect::<Map<_, _>>().into());
    put("Labels", json!(config.labels));
    let architecture = match config.architecture.as_str() {
        "" => super::layout::architecture(),
        known => known,
    };
    let mut whole = json!({
        "architecture": architecture,
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    if let Some(epoch) = epoch {
        whole["created"] = json!(date(epoch));
    }
    whole
}

fn write_oci(
    archive: &mut Archive<impl Write>,
    layers: Vec<Blob>,
    media_type: &str,
    config: &str,
    name: Option<&str>,
) -> io::Result<()> {
    let describe = |media_type: &str, digest: Digest, size: u64| json!({"mediaType": media_type, "digest": digest.to_string(), "size": size});
    let path = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let config_digest = Digest::of(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("application/vnd.oci.image.config.v1+json", config_digest, config.len() as u64),
        "layers": layers.iter().map(|blob| describe(media_type, blob.digest, blob.size)).collect::<Vec<_>>(),
    })
    .to_string();
    let manifest_digest = Digest::of(manifest.as_bytes());
    let mut listed = describe("application/vnd.oci.image.manifest.v1+json", manifest_digest, manifest.len() as u64);
    if let Some(name) = name {
        listed["annotations"] = json!({"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name});
    } else {
        // umoci finds an image by this only.
        listed["annotations"] = json!({"org.opencontainers.image.ref.name": config_digest.hex()[..12]});
    }
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [listed]})
            .to_string();
    let saved = saved(&path(config_digest), name, layers.iter().map(|blob| path(blob.digest)).collect());

    archive.directory("blobs")?;
    archive.directory("blobs/sha256")?;
    let mut written = Vec::new();
    for blob in layers {
        if !written.contains(&blob.digest) {
            archive.file(&path(blob.digest), blob.size, blob.file)?;
            written.push(blob.digest);
        }
    }
    archive.file(&path(config_digest), config.len() as u64, config.as_bytes())?;
    archive.file(&path(manifest_digest), manifest.len() as u64, manifest.as_bytes())?;
    archive.file("index.json", index.len() as u64, index.as_bytes())?;
    archive.file("manifest.json", saved.len() as u64, saved.as_bytes())?;
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    archive.file("oci-layout", version.len() as u64, version.as_bytes())?;
    archive.end()
}

fn write_docker(
    archive: &mut Archive<impl Write>,
    layers: Vec<Blob>,
    config: &str,
    name: Option<&str>,
) -> io::Result<()> {
    let path = |blob: &Blob| format!("{}/layer.tar", blob.diff_id.hex());
    let config_path = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let saved = saved(&config_path, name, layers.iter().map(path).collect());
    let mut written = Vec::new();
    for blob in layers {
        if !written.contains(&blob.diff_id) {
            archive.directory(&blob.diff_id.hex())?;
            archive.file(&path(&blob), blob.size, blob.file)?;
            written.push(blob.diff_id);
        }
    }
    archive.file(&config_path, config.len() as u64, config.as_bytes())?;
    archive.file("manifest.json", saved.len() as u64, saved.as_bytes())?;
    archive.end()
}

/// Docker's manifest.json.
fn saved(config: &str, name: Option<&str>, layers: Vec<String>) -> String {
    // Docker wants a tag to be one.
    let tag = name.map(|name| {
        if name.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            name.into()
        } else {
            format!("{name}:latest")
        }
    });
    json!([{"Config": config, "RepoTags": tag.into_iter().collect::<Vec<String>>(), "Layers": layers}]).to_string()
}

struct Archive<W> {
    out: W,
    time: i64,
}

impl<W: Write> Archive<W> {
    fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(Entry::new(path.as_bytes(), Kind::Directory, 0o755))
    }

    fn file(&mut self, path: &str, size: u64, mut content: impl Read) -> io::Result<()> {
        let mut entry = Entry::new(path.as_bytes(), Kind::File, 0o644);
        entry.size = size;
        self.entry(entry)?;
        io::copy(&mut content, &mut self.out)?;
        self.out.write_all(write::padding(size))
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&write::END)?;
        self.out.flush()
    }

    fn entry(&mut self, mut entry: Entry) -> io::Result<()> {
        entry.mtime = (self.time, 0);
        let mut header = Vec::new();
        write::header(&entry, &mut header);
        self.out.write_all(&header)
    }
}

/// RFC 3339 in UTC; days to a date as in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
pub(super) fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}
