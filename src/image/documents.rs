//! The JSON documents of images: OCI's index, manifest and configuration, and docker's list of what it saved.
//! OCI image specification (image-index.md, manifest.md, config.md); docker, "Image Specification v1.2".

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::config::ImageConfig;
use super::digest::Digest;
use super::fault::{Fault, Outcome};

/// No document that anyone writes is larger.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Points at a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    pub variant: String,
}

/// "linux/arm/v7".
impl std::fmt::Display for Platform {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(to, "/{}", self.variant) }
    }
}

/// What a descriptor can point at on the way to an image.
pub enum Document {
    Index(Vec<Descriptor>),
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
}

impl Descriptor {
    pub fn digest(&self) -> Outcome<Digest> {
        Digest::parse(&self.digest).ok_or_else(|| bad(format!("a digest that is none: {}", clean(&self.digest))))
    }

    /// The names that the image is known by.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.iter().flatten();
        annotations
            .filter(|(key, _)| matches!(key.as_str(), "org.opencontainers.image.ref.name" | "io.containerd.image.name"))
            .map(|(_, value)| value.as_str())
    }
}

/// A manifest or an index. One that could be read as both is refused: what is signed as one must not be run as the other
/// (CVE-2021-41190).
pub fn document(bytes: &[u8], expected: &str) -> Outcome<Document> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Either {
        #[serde(default)]
        schema_version: u64,
        media_type: Option<String>,
        // Go writes a list of nothing as null.
        #[serde(default, deserialize_with = "nullable")]
        manifests: Option<Vec<Descriptor>>,
        config: Option<Descriptor>,
        #[serde(default, deserialize_with = "nullable")]
        layers: Option<Vec<Descriptor>>,
        fs_layers: Option<serde::de::IgnoredAny>,
    }
    let document: Either = parse(bytes, "manifest")?;
    let media_type = document.media_type.unwrap_or_default();
    if !expected.is_empty() && !media_type.is_empty() && media_type != expected {
        return Err(bad(format!(
            "a document that calls itself {} but is listed as {}",
            clean(&media_type),
            clean(expected)
        )));
    }
    if document.schema_version != 2 || document.fs_layers.is_some() {
        return Err(bad("a manifest of docker's first schema; save the image with a newer tool"));
    }
    let is_index = media_type.ends_with(".index.v1+json") || media_type.ends_with(".list.v2+json");
    let is_manifest = media_type.ends_with(".manifest.v1+json") || media_type.ends_with(".manifest.v2+json");
    match (document.manifests, document.config, document.layers) {
        (Some(manifests), None, None) if !is_manifest => Ok(Document::Index(manifests)),
        (None, Some(config), Some(layers)) if !is_index => Ok(Document::Manifest { config, layers }),
        _ => Err(bad("a document that is neither a manifest nor an index, or both")),
    }
}

/// A list that is there, null for one of nothing.
fn nullable<'d, D: Deserializer<'d>>(value: D) -> std::result::Result<Option<Vec<Descriptor>>, D::Error> {
    Option::deserialize(value).map(|list| Some(list.unwrap_or_default()))
}

/// A command: a list of words, or one word, as docker reads it (strslice.StrSlice).
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    One(String),
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::List(words) => words,
            Words::One(word) => vec![word],
        }
    }
}

/// The image's own description.
pub struct Description {
    pub config: ImageConfig,
    pub diff_ids: Vec<Digest>,
}

pub fn description(bytes: &[u8]) -> Outcome<Description> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(default)]
        architecture: String,
        #[serde(default)]
        os: String,
        config: Option<Run>,
        rootfs: Rootfs,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Run {
        env: Option<Vec<String>>,
        entrypoint: Option<Words>,
        cmd: Option<Words>,
        working_dir: Option<String>,
        user: Option<String>,
        stop_signal: Option<String>,
        volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
        labels: Option<BTreeMap<String, String>>,
    }
    #[derive(Deserialize)]
    struct Rootfs {
        #[serde(default)]
        diff_ids: Option<Vec<String>>,
    }
    let whole: Whole = parse(bytes, "image configuration")?;
    if !whole.os.is_empty() && whole.os != "linux" {
        return Err(bad(format!("an image for {}, not for Linux", clean(&whole.os))));
    }
    let run = whole.config.unwrap_or_default();
    let diff_ids = whole.rootfs.diff_ids.unwrap_or_default();
    let diff_ids = diff_ids
        .iter()
        .map(|digest| Digest::parse(digest).ok_or_else(|| bad(format!("a digest that is none: {}", clean(digest)))))
        .collect::<Outcome<_>>()?;
    let config = ImageConfig {
        env: run.env.unwrap_or_default(),
        entrypoint: run.entrypoint.map(Into::into).unwrap_or_default(),
        cmd: run.cmd.map(Into::into).unwrap_or_default(),
        working_dir: run.working_dir.unwrap_or_default(),
        user: run.user.unwrap_or_default(),
        stop_signal: run.stop_signal.unwrap_or_default(),
        volumes: run.volumes.unwrap_or_default().into_keys().collect(),
        labels: run.labels.unwrap_or_default(),
        architecture: whole.architecture,
    };
    Ok(Description { config, diff_ids })
}

/// An image in docker's manifest.json.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    pub config: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    pub layers: Vec<String>,
}

pub fn saved(bytes: &[u8]) -> Outcome<Vec<Saved>> {
    parse(bytes, "manifest.json")
}

fn parse<'b, T: Deserialize<'b>>(bytes: &'b [u8], what: &str) -> Outcome<T> {
    serde_json::from_slice(bytes).map_err(|error| bad(format!("a damaged {what}: {error}")))
}

fn bad(why: impl Into<String>) -> Fault {
    Fault::bad(b"", why)
}

fn clean(text: &str) -> String {
    super::fault::show(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_is_manifest_and_index_at_once_is_refused() {
        let blob = format!(r#"{{"mediaType":"x","digest":"{HEX}","size":1}}"#);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}]}}"#);
        assert!(matches!(document(manifest.as_bytes(), ""), Ok(Document::Manifest { .. })));
        let both = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}],"manifests":[{blob}]}}"#);
        assert!(document(both.as_bytes(), "").is_err());
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{blob}]}}"#);
        assert!(matches!(document(index.as_bytes(), ""), Ok(Document::Index(_))));
        let lie = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[{blob}]}}"#
        );
        assert!(document(lie.as_bytes(), "").is_err());
        assert!(document(lie.as_bytes(), "application/vnd.oci.image.index.v1+json").is_err());
        let twice = format!(r#"{{"schemaVersion":2,"layers":[],"layers":[],"config":{blob}}}"#);
        assert!(document(twice.as_bytes(), "").is_err());
    }

    #[test]
    fn a_configuration_may_leave_everything_out() {
        let empty = description(br#"{"rootfs":{"type":"layers","diff_ids":[]},"config":null}"#).unwrap();
        assert_eq!(empty.config, ImageConfig::default());
        let some = description(
            br#"{"rootfs":{"diff_ids":null},"architecture":"amd64","os":"linux",
                "config":{"Env":["A=1"],"Cmd":null,"Entrypoint":["/x"],"Volumes":{"/data":{}},"User":"me"}}"#,
        );
        let some = some.unwrap().config;
        assert_eq!(
            (some.env, some.entrypoint, some.volumes),
            (vec!["A=1".into()], vec!["/x".into()], vec!["/data".into()])
        );
        assert!(description(br#"{"rootfs":{"diff_ids":[]},"os":"windows"}"#).is_err());
        assert!(description(br#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#).is_err());
    }
}
