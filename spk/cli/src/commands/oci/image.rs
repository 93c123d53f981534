//! The image's layers, configuration and manifest (OCI image specification 1.0).

use std::fs::File;
use std::io::{self, Seek};
use std::path::PathBuf;

use serde_json::{Value, json};
use spk_package::programs;

use super::blob::Blob;
use super::output::Output;
use crate::error::{CliError, Result, ResultExt};

/// Where the front end listens.
const PORT: u16 = 8080;

/// Whose work is in `spk`, and under which licences: whoever gets the program gets the texts.
const NOTICES: &[u8] = include_bytes!("../../../../../dist/third-party.txt");

/// Where images have them.
const NOTICES_PATH: &str = "usr/share/doc/spk/third-party.txt";

/// Who the container runs as: an ordinary user, since spk needs no more.
const USER: u64 = 1000;

/// What goes into an image.
pub(super) struct Image {
    /// Our own binary.
    pub program: PathBuf,
    /// The package.
    pub package: File,
    pub package_size: u64,
    pub app_id: String,
    pub package_id: String,
    pub title: String,
    pub version: u64,
    /// NAME:TAG.
    pub tag: String,
}

impl Image {
    /// Writes everything; the manifest's digest.
    pub fn write(&self, output: &mut Output) -> Result<String> {
        let program = self.program_layer(output)?;
        let package = self.package_layer(output)?;
        let config = self.config(&[&program, &package]);
        let config = output.bytes(config.to_string().as_bytes())?;
        let layer = |blob: &Blob| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": blob.digest, "size": blob.size,
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config.digest, "size": config.size,
            },
            "layers": [layer(&program), layer(&package)],
        });
        let manifest = output.bytes(manifest.to_string().as_bytes())?;
        let tag = self.tag.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": manifest.digest, "size": manifest.size,
                "annotations": {
                    "org.opencontainers.image.ref.name": tag,
                    "io.containerd.image.name": self.tag,
                },
            }],
        });
        output.file("index.json", index.to_string().as_bytes())?;
        output.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        // What `docker load` read before it knew of layouts, and still does.
        let path = |blob: &Blob| format!("blobs/{}", blob.digest.replace(':', "/"));
        let docker = json!([{
            "Config": path(&config),
            "RepoTags": [self.tag],
            "Layers": [path(&program), path(&package)],
        }]);
        output.file("manifest.json", docker.to_string().as_bytes())?;
        Ok(manifest.digest)
    }

    /// `spk`, the directories that it needs, and the licences of what is in it.
    fn program_layer(&self, output: &mut Output) -> Result<Blob> {
        let shown = self.program.display();
        let mut file = File::open(&self.program).context(format!("cannot open {shown}"))?;
        if !programs::is_static(&self.program).context(format!("cannot read {shown}"))? {
            return Err(CliError::new(format!("{shown} is not a static program"))
                .hint("an image has nothing else in it: use the spk of the tarball or the .deb"));
        }
        let size = file.metadata()?.len();
        output.blob(|out| {
            let mut tar = tar::Builder::new(out);
            // Sticky for all, private to the container's user, nobody's.
            for (path, mode, owner) in
                [("tmp/", 0o1777, 0), ("var/", 0o700, USER), ("proc/", 0o555, 0)]
            {
                tar.append_data(&mut header(0, mode, owner, true), path, io::empty())?;
            }
            tar.append_data(&mut header(size, 0o755, 0, false), "spk", &mut file)?;
            for directory in ["usr/", "usr/share/", "usr/share/doc/", "usr/share/doc/spk/"] {
                tar.append_data(&mut header(0, 0o755, 0, true), directory, io::empty())?;
            }
            let size = NOTICES.len() as u64;
            tar.append_data(&mut header(size, 0o644, 0, false), NOTICES_PATH, NOTICES)?;
            tar.finish()
        })
    }

    fn package_layer(&self, output: &mut Output) -> Result<Blob> {
        let mut package = &self.package;
        package.rewind()?;
        output.blob(|out| {
            let mut tar = tar::Builder::new(out);
            let mut header = header(self.package_size, 0o644, 0, false);
            tar.append_data(&mut header, "app.spk", &mut package)?;
            tar.finish()
        })
    }

    fn config(&self, layers: &[&Blob]) -> Value {
        let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"),
                "Env": ["PATH=/", "HOME=/var", "SPK_STATE=/var"],
                "Entrypoint": ["/spk", "serve-image", "--port", PORT.to_string(), "/app.spk"],
                "WorkingDir": "/",
                "ExposedPorts": { format!("{PORT}/tcp"): {} },
                "Volumes": { "/var": {} },
                "StopSignal": "SIGTERM",
                "Labels": {
                    "org.opencontainers.image.title": self.title,
                    "org.opencontainers.image.version": self.version.to_string(),
                    "org.sandstorm.app-id": self.app_id,
                    "org.sandstorm.package-id": self.package_id,
                },
            },
            "rootfs": { "type": "layers", "diff_ids": digests },
            "history": digests.iter().map(|_| json!({
                "created": "1970-01-01T00:00:00Z", "created_by": "spk oci",
            })).collect::<Vec<_>>(),
        })
    }
}

/// A tar header in which nothing is of this machine.
fn header(size: u64, mode: u32, owner: u64, directory: bool) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(if directory {
        tar::EntryType::Directory
    } else {
        tar::EntryType::Regular
    });
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(owner);
    header.set_gid(owner);
    header
}

/// A title as an image's name: small letters, digits and single dashes.
pub(super) fn name(title: &str) -> String {
    let mut name = String::new();
    for c in title.to_lowercase().chars() {
        match c.is_ascii_alphanumeric() {
            true => name.push(c),
            false if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            false => {}
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "app".into() } else { name.into() }
}

/// Whether a name is of the form that engines take.
pub(super) fn is_tag(text: &str) -> bool {
    let Some((name, tag)) = text.rsplit_once(':') else { return false };
    let of = |text: &str, more: &str| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || more.as_bytes().contains(&b))
    };
    let small = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    !name.is_empty()
        && !tag.is_empty()
        && small
        && of(name, "._-/:")
        && of(tag, "._-")
        && tag.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_titles() {
        assert_eq!(name("My \"Notes\" – 2"), "my-notes-2");
        assert_eq!(name("日本"), "app");
    }

    #[test]
    fn tags() {
        for good in ["notes:3", "registry.example.org:5000/a/notes:1.2-b_c"] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["notes", "Notes:1", ":1", "notes:", "no tes:1", "notes:1/2"] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}
