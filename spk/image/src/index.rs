//! Which image of a file is meant, and of what it is made.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use spk_files::{Dir, printable};

use crate::blob::{Digest, Hashing, decompressed};
use crate::config::{Config, Document};
use crate::error::Error;
use crate::input::Input;
use crate::limits::{self, Limits};
use crate::notes::Notes;
use crate::tree::{Counts, Tree};

/// For which machines an image is made, in the words of Go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// "linux".
    pub os: String,
    /// "amd64", "arm64".
    pub architecture: String,
    /// "v7"; empty if it does not matter.
    pub variant: String,
}

impl Platform {
    /// This machine's.
    pub fn of_this_machine() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
    }

    /// Reads `linux/arm64/v8`; the variant may be left out.
    pub fn read(text: &str) -> Option<Platform> {
        let mut parts = text.split('/').map(str::to_owned);
        let (os, architecture) = (parts.next()?, parts.next()?);
        let variant = parts.next().unwrap_or_default();
        let is_whole = parts.next().is_none() && !os.is_empty() && !architecture.is_empty();
        is_whole.then_some(Platform { os, architecture, variant })
    }

    /// Whether what is made for `self` does for `wanted`.
    fn does_for(&self, wanted: &Platform) -> bool {
        let is_any = wanted.variant.is_empty() || self.variant.is_empty();
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (is_any || self.variant == wanted.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", printable::line(&self.os), printable::line(&self.architecture))?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{}", printable::line(variant)),
        }
    }
}

/// Which image of several is meant.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// For which machine.
    pub platform: Platform,
    /// Its name, whole or without registry or tag; none if there is only one.
    pub name: Option<String>,
}

/// An image that was found: its configuration and its layers, which are not applied yet.
#[derive(Debug)]
pub struct Image {
    input: Input,
    /// As it is called in the file, where it has a name.
    pub name: Option<String>,
    /// How it is run.
    pub config: Config,
    /// For which machine it is made.
    pub platform: Platform,
    layers: Vec<Layer>,
}

/// One layer, and what is known of its contents.
#[derive(Clone, Debug)]
struct Layer {
    part: String,
    /// Of the part as it lies there.
    digest: Option<Digest>,
    /// Of the tar in it.
    diff_id: Option<Digest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Made>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// For which machine, as an index says it.
#[derive(Debug, Deserialize)]
struct Made {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// An index (`image-index.md`), or a manifest (`manifest.md`): they are told apart by their fields, since
/// media types are optional in both.
#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// An entry of Docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A manifest that may be the one.
struct Candidate {
    digest: Digest,
    name: Option<String>,
    platform: Option<Platform>,
}

const INDEX: &str = "index.json";
const SAVED: &str = "manifest.json";

/// What a layout calls an image; the second is containerd's, with the registry.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

impl Image {
    /// Finds the image that is meant.
    ///
    /// # Errors
    /// When there is none, or more than one, or what describes it makes no sense.
    pub fn find(input: Input, wanted: &Wanted) -> Result<Image, Error> {
        if input.has(INDEX) {
            Image::in_layout(input, wanted)
        } else if input.has(SAVED) {
            Image::saved(input, wanted)
        } else {
            Err(Error::NoImage)
        }
    }

    fn in_layout(input: Input, wanted: &Wanted) -> Result<Image, Error> {
        let mut candidates = Vec::new();
        let top: Node = read(&input, INDEX, None)?;
        collect(&input, top.manifests.unwrap_or_default(), None, 0, &mut candidates)?;
        let named: Vec<Candidate> = match &wanted.name {
            None => candidates,
            Some(name) => {
                let all = names(candidates.iter().map(|candidate| candidate.name.as_deref()));
                let is = |candidate: &Candidate| {
                    candidate.name.as_deref().is_some_and(|known| is_called(known, name))
                };
                let named: Vec<Candidate> = candidates.into_iter().filter(is).collect();
                if named.is_empty() {
                    return Err(Error::NoSuchName { wanted: printable::line(name), names: all });
                }
                named
            }
        };
        if named.is_empty() {
            return Err(Error::NoImage);
        }
        let does = |candidate: &&Candidate| {
            candidate.platform.as_ref().is_none_or(|made| made.does_for(&wanted.platform))
        };
        let fitting: Vec<&Candidate> = named.iter().filter(does).collect();
        let first = fitting.first().ok_or_else(|| {
            other_platform(wanted, named.iter().filter_map(|other| other.platform.clone()))
        })?;
        // One image can have several names.
        if fitting.iter().any(|other| other.digest != first.digest) {
            let names = names(fitting.iter().map(|candidate| candidate.name.as_deref()));
            return Err(Error::Several { names });
        }
        let name = first.name.clone();
        let place = first.digest.place();
        let manifest: Node = read(&input, &place, Some(&first.digest))?;
        let contradiction =
            |what: &str| Error::Contradiction { part: place.clone(), what: what.into() };
        let config = manifest.config.ok_or_else(|| contradiction("it names no configuration"))?;
        let config = Digest::read(&config.digest)?;
        let layers = manifest.layers.ok_or_else(|| contradiction("it names no layers"))?;
        let layers = layers.iter().map(|layer| {
            let digest = Digest::read(&layer.digest)?;
            Ok(Layer { part: digest.place(), digest: Some(digest), diff_id: None })
        });
        let layers = layers.collect::<Result<_, Error>>()?;
        let document = read(&input, &config.place(), Some(&config))?;
        Image::assemble(input, name, document, &config.place(), layers, wanted)
    }

    fn saved(input: Input, wanted: &Wanted) -> Result<Image, Error> {
        let saved: Vec<Saved> = read(&input, SAVED, None)?;
        let tags = |saved: &Saved| saved.repo_tags.clone().unwrap_or_default();
        let all: Vec<String> = saved.iter().flat_map(tags).collect();
        let all = names(all.iter().map(|name| Some(name.as_str())));
        let is = |saved: &&Saved| match &wanted.name {
            None => true,
            Some(name) => tags(saved).iter().any(|known| is_called(known, name)),
        };
        let mut meant = saved.iter().filter(is);
        let chosen = match (meant.next(), &wanted.name) {
            (Some(chosen), _) => chosen,
            (None, None) => return Err(Error::NoImage),
            (None, Some(name)) => {
                return Err(Error::NoSuchName { wanted: printable::line(name), names: all });
            }
        };
        if meant.any(|other| other.config != chosen.config) {
            return Err(Error::Several { names: all });
        }
        let layers = chosen.layers.clone().unwrap_or_default().into_iter();
        let layers =
            layers.map(|part| Layer { part, digest: None, diff_id: None }).collect::<Vec<_>>();
        let document = read(&input, &chosen.config, None)?;
        let (name, place) = (tags(chosen).into_iter().next(), chosen.config.clone());
        Image::assemble(input, name, document, &place, layers, wanted)
    }

    fn assemble(
        input: Input,
        name: Option<String>,
        document: Document,
        place: &str,
        mut layers: Vec<Layer>,
        wanted: &Wanted,
    ) -> Result<Image, Error> {
        if layers.len() > limits::LAYERS {
            return Err(Error::TooMany { what: "layers".into(), limit: limits::LAYERS as u64 });
        }
        let platform = Platform {
            // Old writers leave it out.
            os: document.os.clone().filter(|os| !os.is_empty()).unwrap_or_else(|| "linux".into()),
            architecture: document.architecture.clone().unwrap_or_default(),
            variant: document.variant.clone().unwrap_or_default(),
        };
        if !platform.architecture.is_empty() && !platform.does_for(&wanted.platform) {
            return Err(other_platform(wanted, [platform]));
        }
        let rootfs = document.rootfs.as_ref();
        if let Some(diff_ids) = rootfs.and_then(|rootfs| rootfs.diff_ids.as_ref()) {
            if diff_ids.len() != layers.len() {
                let (part, there) = (printable::line(place), layers.len());
                let what = format!("it knows {} layers, and there are {there}", diff_ids.len());
                return Err(Error::Contradiction { part, what });
            }
            for (layer, diff_id) in layers.iter_mut().zip(diff_ids) {
                layer.diff_id = Some(Digest::read(diff_id)?);
            }
        }
        Ok(Image { input, name, config: document.config(), platform, layers })
    }

    /// How many bytes the layers have as they lie there.
    ///
    /// # Errors
    /// When one is missing.
    pub fn size(&self) -> Result<u64, Error> {
        self.layers.iter().map(|layer| Ok(self.input.part(&layer.part)?.size)).sum()
    }

    /// Applies all layers in `dir`, which is empty. `progress` is told of bytes of the layers as they
    /// lie there.
    ///
    /// # Errors
    /// When a layer is damaged or hostile, or a limit is met, or something cannot be written. What was
    /// made until then stays for the caller to remove.
    pub fn unpack(
        &self,
        dir: &Dir,
        limits: &Limits,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Counts, Notes), Error> {
        let mut tree = Tree::new(dir, *limits);
        for (index, layer) in self.layers.iter().enumerate() {
            let number = index + 1;
            let part = self.input.part(&layer.part)?;
            let size = part.size;
            let failed = |source| Error::ReadPart { part: printable::line(&layer.part), source };
            let mut raw = Hashing::new(part, layer.digest.as_ref());
            let plain = decompressed(&mut raw).map_err(failed)?;
            let is_right = {
                let mut plain = Hashing::new(plain, layer.diff_id.as_ref());
                crate::layer::apply(&mut tree, number, &mut plain, size)?;
                layer.diff_id.is_none() || plain.is(layer.diff_id.as_ref())
            };
            if !is_right {
                return Err(Error::DiffId(number));
            }
            // Of the compressed form, what may stand behind its end.
            std::io::copy(&mut raw, &mut std::io::sink()).map_err(failed)?;
            if layer.digest.is_some() && !raw.is(layer.digest.as_ref()) {
                return Err(Error::Digest(printable::line(&layer.part)));
            }
            progress(size);
        }
        tree.finish()
    }
}

/// All manifests of an index and of those in it.
fn collect(
    input: &Input,
    descriptors: Vec<Descriptor>,
    within: Option<&str>,
    depth: usize,
    into: &mut Vec<Candidate>,
) -> Result<(), Error> {
    if depth > limits::NESTED {
        let what = "indexes within indexes".to_owned();
        return Err(Error::TooMany { what, limit: limits::NESTED as u64 });
    }
    for descriptor in descriptors {
        let annotations = descriptor.annotations.unwrap_or_default();
        // What says how the image was built, and is no image.
        if annotations.contains_key("vnd.docker.reference.type") {
            continue;
        }
        let own = NAMES.iter().find_map(|name| annotations.get(*name)).map(String::as_str);
        let name = own.or(within);
        let digest = Digest::read(&descriptor.digest)?;
        let is_index = descriptor.media_type.ends_with(".image.index.v1+json")
            || descriptor.media_type.ends_with(".manifest.list.v2+json");
        if is_index {
            let index: Node = read(input, &digest.place(), Some(&digest))?;
            collect(input, index.manifests.unwrap_or_default(), name, depth + 1, into)?;
            continue;
        }
        let platform = descriptor.platform.map(|made| Platform {
            os: made.os,
            architecture: made.architecture,
            variant: made.variant,
        });
        if into.len() >= limits::PARTS {
            let what = "images in the file".to_owned();
            return Err(Error::TooMany { what, limit: limits::PARTS as u64 });
        }
        into.push(Candidate { digest, name: name.map(str::to_owned), platform });
    }
    Ok(())
}

fn other_platform(wanted: &Wanted, found: impl IntoIterator<Item = Platform>) -> Error {
    let mut found: Vec<String> = found.into_iter().map(|platform| platform.to_string()).collect();
    found.sort();
    found.dedup();
    Error::Platform { wanted: wanted.platform.to_string(), found }
}

/// Each name once.
fn names<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<String> {
    let mut names: Vec<String> = names.flatten().map(printable::line).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether `known` is what somebody calls `name`: whole, or without registry and path, or without tag.
fn is_called(known: &str, name: &str) -> bool {
    let behind_slash =
        |text: &str| text.match_indices('/').any(|(slash, _)| text[slash + 1..] == *name);
    let untagged = match known.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => known,
    };
    [known, untagged].iter().any(|known| *known == name || behind_slash(known))
}

fn read<T: for<'de> Deserialize<'de>>(
    input: &Input,
    part: &str,
    digest: Option<&Digest>,
) -> Result<T, Error> {
    let bytes = input.document(part)?;
    let mut hashing = Hashing::new(&bytes[..], digest);
    // Reading from memory does not fail.
    let _ = std::io::copy(&mut hashing, &mut std::io::sink());
    if digest.is_some() && !hashing.is(digest) {
        return Err(Error::Digest(printable::line(part)));
    }
    serde_json::from_slice(&bytes)
        .map_err(|source| Error::Document { part: printable::line(part), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_shortened() {
        let known = "registry.example.org:5000/team/app:1.2";
        for name in [known, "registry.example.org:5000/team/app", "team/app:1.2", "app:1.2", "app"]
        {
            assert!(is_called(known, name), "{name}");
        }
        for name in ["pp", "app:1", "1.2", "5000/team/app:1", "other", ""] {
            assert!(!is_called(known, name), "{name}");
        }
        assert!(is_called("latest", "latest"));
    }

    #[test]
    fn platforms_are_written_with_slashes() {
        let arm = Platform::read("linux/arm/v7").unwrap();
        assert_eq!(arm.to_string(), "linux/arm/v7");
        assert!(arm.does_for(&Platform::read("linux/arm").unwrap()));
        assert!(!arm.does_for(&Platform::read("linux/arm/v6").unwrap()));
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x"] {
            assert!(Platform::read(bad).is_none(), "{bad}");
        }
    }
}
