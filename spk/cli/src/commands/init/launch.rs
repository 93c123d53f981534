//! What the bridge provides in `/var` before it starts the app: written by `spk init`, in
//! `rootfs/opt/spk` beside the definition.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use spk_files::path::{is_prefix, join, normal_form};
use spk_files::{Dir, printable};
use spk_schema::launch::{self, CONTENTS, Launch};

use crate::error::{CliError, Result, ResultExt};

/// A path of the app's that can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where the app sees it, without a leading slash.
    pub package: Vec<u8>,
    /// Where it is, below `/var`.
    pub var: Vec<u8>,
}

/// What is no part of a package, or the platform's own.
const NOT_VOLUMES: &[&str] = &["dev", "proc", "sys", "tmp", "opt/spk"];

impl Volume {
    /// Reads an absolute path.
    pub fn read(text: &str) -> Result<Volume> {
        let bad = |why: &str| {
            let text = printable::line(text);
            Err(CliError::usage(format!("{text} cannot be made a directory to write to: {why}")))
        };
        let Some(relative) = text.strip_prefix('/') else { return bad("not an absolute path") };
        let path = match normal_form(relative.trim_start_matches('/').as_bytes()) {
            Some(path) if !path.is_empty() => path,
            _ => return bad("not a path in plain form"),
        };
        if NOT_VOLUMES.iter().any(|top| is_prefix(top.as_bytes(), path)) {
            return bad("the sandbox has something of its own there");
        }
        if path == b"var" {
            return bad("it is one already; name what in it has contents from the beginning");
        }
        let var = path.strip_prefix(b"var/").unwrap_or(path);
        Ok(Volume { package: path.to_vec(), var: var.to_vec() })
    }

    /// Whether it is empty at each start: sockets and pid files of a former one mislead.
    pub fn is_fresh(&self) -> bool {
        self.var == b"run"
    }

    /// Where a link has to be in the package; none for what is in `/var` by itself.
    pub fn link(&self) -> Option<&[u8]> {
        (!self.package.starts_with(b"var/")).then_some(&self.package)
    }

    /// Makes the link to it below `rootfs`, with the directories that it is in.
    pub fn make_link(&self, rootfs: &Path) -> Result<()> {
        let Some(link) = self.link() else { return Ok(()) };
        let shown = || format!("cannot make the link {}", printable::line(join(b"rootfs", link)));
        let place = rootfs.join(PathBuf::from(std::ffi::OsString::from_vec(link.to_vec())));
        let above = place.parent().unwrap_or(rootfs);
        fs::create_dir_all(above).context(shown())?;
        let target = [b"/var/", &self.var[..]].concat();
        let target = PathBuf::from(std::ffi::OsString::from_vec(target));
        match std::os::unix::fs::symlink(&target, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match fs::read_link(&place) {
                    Ok(found) if found == target => Ok(()),
                    _ => Err(CliError::new(format!("{} is there already", place.display()))
                        .context(shown())),
                }
            }
            made => made.context(shown()),
        }
    }
}

/// Reads the file below `rootfs`, if it is there.
pub fn read(rootfs: &Path) -> Result<Launch> {
    let file = rootfs.join(launch::PATH);
    match fs::read(&file) {
        Ok(bytes) => {
            Launch::from_bytes(&bytes).context(format!("{} makes no sense", file.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Launch::default()),
        Err(error) => Err(error).context(format!("cannot read {}", file.display())),
    }
}

/// One more volume, unless it is in one already.
pub fn add(launch: &mut Launch, var: &[u8]) {
    let is_in = |volume: &String| is_prefix(volume.as_bytes(), var);
    if !launch.volumes.iter().any(is_in) {
        launch.volumes.retain(|volume| !is_prefix(var, volume.as_bytes()));
        launch.volumes.push(String::from_utf8_lossy(var).into_owned());
    }
}

/// What an image's own `/var` is for the app.
#[derive(Debug, Default)]
pub struct OfImage {
    pub launch: Launch,
    /// Further entries of the source map: package path, path in the image, what is hidden of it.
    pub mappings: Vec<(String, String, Vec<String>)>,
    pub volumes: Vec<Volume>,
}

impl OfImage {
    /// Looks at the image's root. `except`: paths below `/var` that are not the app's.
    pub fn new(
        root: &Dir,
        directory: &str,
        declared: &[Volume],
        except: &[&str],
    ) -> Result<OfImage> {
        let mut launch = Launch {
            directory: Some(directory.to_owned()).filter(|dir| !matches!(dir.as_str(), "" | "/")),
            volumes: vec!["home".into()],
            fresh: vec!["lock".into(), "run".into(), "tmp".into()],
        };
        let mut mappings = Vec::new();
        let mut volumes: Vec<Volume> = declared.to_vec();
        let is_excepted =
            |path: &str| except.iter().any(|top| is_prefix(top.as_bytes(), path.as_bytes()));
        if is_directory(root, b"var")? {
            let mut hidden = BTreeSet::new();
            for top in texts(root, b"var")? {
                let path = format!("var/{top}");
                if is_excepted(&top) || !is_directory(root, path.as_bytes())? {
                    hidden.insert(top);
                    continue;
                }
                let mut has_any = false;
                for name in texts(root, path.as_bytes())? {
                    let below = format!("{top}/{name}");
                    let place = format!("{path}/{name}");
                    if top == "log" {
                        hidden.extend(logs(root, &place)?);
                    }
                    if is_excepted(&below) || hidden.contains(&below) {
                        hidden.insert(below);
                    } else {
                        add(&mut launch, below.as_bytes());
                        has_any = true;
                    }
                }
                if !has_any {
                    add(&mut launch, top.as_bytes());
                }
            }
            mappings.push((CONTENTS.to_owned(), "var".to_owned(), hidden.into_iter().collect()));
        }
        if root.stat(b"run").is_ok() {
            volumes.push(Volume { package: b"run".to_vec(), var: b"run".to_vec() });
        }
        for volume in &volumes {
            if launch.fresh.iter().any(|fresh| is_prefix(fresh.as_bytes(), &volume.var)) {
                continue;
            }
            add(&mut launch, &volume.var);
            let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
            if volume.link().is_some() && is_directory(root, &volume.package)? {
                let package = text(&join(CONTENTS.as_bytes(), &volume.var));
                mappings.push((package, text(&volume.package), Vec::new()));
            }
        }
        Ok(OfImage { launch, mappings, volumes })
    }
}

/// Files at `place` and below, which tell of how the image was made: paths below `/var`.
fn logs(root: &Dir, place: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![place.to_owned()];
    while let Some(place) = waiting.pop() {
        if is_directory(root, place.as_bytes())? {
            let names = texts(root, place.as_bytes())?;
            waiting.extend(names.iter().map(|name| format!("{place}/{name}")));
        } else {
            found.push(place.trim_start_matches("var/").to_owned());
        }
    }
    Ok(found)
}

/// Names in a directory of the image, those that can stand in a definition.
fn texts(root: &Dir, path: &[u8]) -> Result<Vec<String>> {
    let names = root.open_dir(path)?.names()?;
    Ok(names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect())
}

/// Whether there is a directory, not reached through a link.
fn is_directory(root: &Dir, path: &[u8]) -> Result<bool> {
    match root.open_dir(path) {
        Ok(_) => Ok(true),
        Err(error) if spk_files::is_gone(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_links_to_var_unless_they_are_there() {
        let volume = Volume::read("/app/data/").unwrap();
        assert_eq!((volume.link(), &volume.var[..]), (Some(&b"app/data"[..]), &b"app/data"[..]));
        let volume = Volume::read("/var/lib/x").unwrap();
        assert_eq!((volume.link(), &volume.var[..]), (None, &b"lib/x"[..]));
        for bad in ["", "/", "a", "/var", "/var/", "/a/../b", "/tmp/x", "/proc", "/opt/spk/var"] {
            assert!(Volume::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn volumes_within_others_are_not_listed() {
        let mut launch = Launch::default();
        ["a/b", "a/b/c", "a/bc", "d/e", "d"]
            .iter()
            .for_each(|path| add(&mut launch, path.as_bytes()));
        assert_eq!(launch.volumes, ["a/b", "a/bc", "d"]);
    }
}
