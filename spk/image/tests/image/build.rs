//! Images made by hand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spk_files::Dir;
use spk_image::{Counts, Error, Image, Input, Limits, Notes, Platform, Wanted};
use tar::EntryType;

/// An entry of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: EntryType,
    pub target: Vec<u8>,
    pub mode: u32,
    pub mtime: u64,
    pub contents: Vec<u8>,
    pub records: Vec<(&'static str, Vec<u8>)>,
}

fn entry(name: &str, kind: EntryType, mode: u32) -> Entry {
    Entry {
        name: name.into(),
        kind,
        target: Vec::new(),
        mode,
        mtime: 1_000_000_000,
        contents: Vec::new(),
        records: Vec::new(),
    }
}

pub fn file(name: &str, contents: &str) -> Entry {
    Entry { contents: contents.into(), ..entry(name, EntryType::Regular, 0o644) }
}

pub fn dir(name: &str) -> Entry {
    entry(name, EntryType::Directory, 0o755)
}

pub fn symlink(name: &str, target: &str) -> Entry {
    Entry { target: target.into(), ..entry(name, EntryType::Symlink, 0o777) }
}

pub fn hard_link(name: &str, target: &str) -> Entry {
    Entry { target: target.into(), ..entry(name, EntryType::Link, 0o644) }
}

pub fn special(name: &str, kind: EntryType) -> Entry {
    entry(name, kind, 0o644)
}

impl Entry {
    pub fn mode(self, mode: u32) -> Entry {
        Entry { mode, ..self }
    }

    pub fn mtime(self, mtime: u64) -> Entry {
        Entry { mtime, ..self }
    }

    pub fn record(mut self, key: &'static str, value: &[u8]) -> Entry {
        self.records.push((key, value.to_vec()));
        self
    }
}

/// A layer's tar.
pub fn layer(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let mut records = entry.records.clone();
        let mut header = tar::Header::new_ustar();
        // What does not fit into the header comes in front of it.
        for (key, value, room) in [("path", &entry.name, 100), ("linkpath", &entry.target, 100)] {
            if value.len() > room {
                records.push((key, value.clone()));
            }
        }
        if !records.is_empty() {
            let text: Vec<u8> = records.iter().flat_map(|(key, value)| pax(key, value)).collect();
            let mut before = tar::Header::new_ustar();
            before.set_entry_type(EntryType::XHeader);
            before.set_size(text.len() as u64);
            before.set_mode(0o644);
            before.set_cksum();
            put(&mut out, &before, &text);
        }
        header.set_entry_type(entry.kind);
        header.set_size(entry.contents.len() as u64);
        header.set_mode(entry.mode);
        header.set_mtime(entry.mtime);
        let fields = header.as_old_mut();
        let fits = |field: &mut [u8], value: &[u8]| {
            let value = &value[..value.len().min(field.len())];
            field[..value.len()].copy_from_slice(value);
        };
        fits(&mut fields.name, &entry.name);
        fits(&mut fields.linkname, &entry.target);
        header.set_cksum();
        put(&mut out, &header, &entry.contents);
    }
    out.extend([0; 1024]);
    out
}

fn put(out: &mut Vec<u8>, header: &tar::Header, contents: &[u8]) {
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(contents);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// A record: its own length in decimal, key and value.
fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", spk_files::hex::encode(Sha256::digest(bytes)))
}

/// How a layer lies in an image.
pub type Form = fn(&[u8]) -> Vec<u8>;

/// The parts of an image file: names and bytes.
#[derive(Clone, Debug, Default)]
pub struct Parts(pub BTreeMap<String, Vec<u8>>);

impl Parts {
    pub fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.0.insert(format!("blobs/{}", digest.replace(':', "/")), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// A manifest of layers that are there as `form` gives them, with its configuration.
    pub fn manifest(
        &mut self,
        layers: &[Vec<u8>],
        form: Form,
        architecture: &str,
        config: &Value,
    ) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let document = json!({
            "architecture": architecture, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", document.to_string().as_bytes());
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &form(layer)))
            .collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let mut descriptor = self
            .blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }

    pub fn index(&mut self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.0.insert("index.json".into(), index.to_string().into_bytes());
        self.0.insert("oci-layout".into(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec());
    }

    pub fn write(&self, to: &Path) {
        for (name, bytes) in &self.0 {
            let path = to.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    pub fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }
}

/// A layout with one image for this machine.
pub fn layout(layers: &[Vec<u8>]) -> Parts {
    let mut parts = Parts::default();
    let own = Platform::of_this_machine().architecture;
    let manifest = parts.manifest(layers, gzip, &own, &json!({}));
    parts.index(&[manifest]);
    parts
}

pub fn wanted(name: Option<&str>) -> Wanted {
    Wanted { platform: Platform::of_this_machine(), name: name.map(str::to_owned) }
}

/// What an unpacked image is.
#[derive(Debug)]
pub struct Unpacked {
    pub root: tempfile::TempDir,
    pub counts: Counts,
    pub notes: Notes,
}

/// Through a stream, into a new directory.
pub fn unpack_stream(from: impl Read, limits: &Limits) -> Result<Unpacked, Error> {
    unpack(Image::find(Input::from_stream(from, limits)?, &wanted(None))?, limits)
}

pub fn unpack(image: Image, limits: &Limits) -> Result<Unpacked, Error> {
    let root = tempfile::tempdir().unwrap();
    let dir = Dir::open_trusted(root.path()).unwrap();
    let (counts, notes) = image.unpack(&dir, limits, &mut |_| {})?;
    Ok(Unpacked { root, counts, notes })
}

/// The tree that these layers make.
pub fn unpack_layers(layers: &[&[Entry]]) -> Result<Unpacked, Error> {
    let layers: Vec<Vec<u8>> = layers.iter().map(|entries| layer(entries)).collect();
    unpack_stream(&layout(&layers).tar()[..], &Limits::default())
}

/// A tree in lines: path, type, mode, time and contents, in the order of paths. Names of one file are
/// told by what the first is called.
pub fn listing(root: &Path, exact: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        let mut paths: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().rev() {
            if path.symlink_metadata().unwrap().is_dir() {
                waiting.push(path.clone());
            }
        }
        for path in paths {
            let found = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let what = if found.is_dir() {
                "/".to_owned()
            } else if found.is_symlink() {
                format!(" -> {}", std::fs::read_link(&path).unwrap().display())
            } else {
                first.entry(found.ino()).or_insert_with(Vec::new).push(name.clone());
                format!("={}", std::fs::read_to_string(&path).unwrap())
            };
            let more = match exact && !found.is_symlink() {
                true => format!(" {:o} {}", found.mode() & 0o7777, found.mtime()),
                false => String::new(),
            };
            lines.push(format!("{name}{what}{more}"));
        }
    }
    lines.sort();
    for mut names in first.into_values().filter(|names| names.len() > 1) {
        names.sort();
        lines.push(format!("one file: {}", names.join(", ")));
    }
    lines
}
