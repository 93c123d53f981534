//! `spk init --var`: directories of a project's app that can be written to.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use spk_files::path::join;
use spk_files::{atomic, printable};
use spk_package::manifest::Manifest;
use spk_package::view::{Node, NodeKind, View};
use spk_schema::launch::{CONTENTS, PATH};

use super::interpreter;
use super::launch::{self, Volume};
use crate::definition;
use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::ui::Ui;

/// Adds them to the project that is found from here.
pub(super) fn add(paths: &[String], global: &Global, ui: &Ui) -> Result<()> {
    let located = definition::locate(None, global)?;
    let dir = located.file.parent().unwrap_or(Path::new("")).to_owned();
    let rootfs = dir.join("rootfs");
    let volumes = paths.iter().map(|path| Volume::read(path)).collect::<Result<Vec<_>>>()?;
    let (definition, view) = interpreter::view(&located, global, ui)?;
    let manifest = Manifest::from_bytes(&definition.manifest)?;
    if !manifest.uses_bridge() {
        return Err(CliError::new("only the HTTP bridge gives an app directories to write to")
            .hint("an app without it makes them in /var itself, as do launcher scripts"));
    }
    let is_rootfs = |mapping: &spk_package::source_map::Mapping| {
        mapping.package_path.is_empty() && same(&mapping.source_path, &rootfs)
    };
    if !view.source_map().mappings().iter().any(is_rootfs) {
        return Err(CliError::new(format!(
            "{}: its source map does not show {}",
            located.file.display(),
            rootfs.display()
        ))
        .hint(
            "begin its searchPath with (sourcePath = \"rootfs\"), which is where links to /var go",
        ));
    }
    let mut launch = launch::read(&rootfs)?;
    for volume in &volumes {
        add_one(volume, &view, &rootfs, ui)?;
        match volume.is_fresh() {
            true if launch.fresh.iter().any(|known| known.as_bytes() == volume.var) => {}
            true => launch.fresh.push(String::from_utf8_lossy(&volume.var).into_owned()),
            false => launch::add(&mut launch, &volume.var),
        }
    }
    let file = rootfs.join(PATH);
    let cannot = || format!("cannot write {}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(&rootfs)).context(cannot())?;
    atomic::Options::mode(0o666).keep_mode().write(&file, &launch.to_bytes()?).context(cannot())?;
    ui.line(format!("wrote: {}", file.display()))?;
    // What is in front of it in the source map, if anything.
    let (_, view) = interpreter::view(&located, global, ui)?;
    for link in volumes.iter().filter_map(Volume::link) {
        let found = view.lookup(link)?;
        if found.as_ref().is_none_or(|node| node.kind() != NodeKind::Symlink) {
            let by = found.and_then(|node| view.source_dirs(&node).into_iter().next());
            let by = by.map(|dir| format!(" by {}", dir.display())).unwrap_or_default();
            return Err(CliError::new(format!(
                "{} is hidden{by}",
                printable::line(join(b"rootfs", link))
            ))
            .hint("put (sourcePath = \"rootfs\") in front of it in the definition's searchPath"));
        }
    }
    ui.note(
        "next: spk dev, in a new grain: what a volume begins with is copied when a grain has none",
    );
    Ok(())
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The link, and the contents that a new grain begins with.
fn add_one(volume: &Volume, view: &View, rootfs: &Path, ui: &Ui) -> Result<()> {
    let found = view.lookup(&volume.package)?;
    if let (Some(node), Some(link)) = (&found, volume.link()) {
        let is_ours = node.kind() == NodeKind::Symlink
            && node.read_link().is_ok_and(|to| to == [b"/var/", &volume.var[..]].concat());
        if is_ours {
            ui.note(format!("/{} leads to /var already", printable::line(link)));
            return Ok(());
        }
        if node.kind() != NodeKind::Directory {
            let shown = printable::line(link);
            return Err(CliError::new(format!("/{shown} is no directory"))
                .hint("only directories can be moved to /var; name the one that it is in"));
        }
    }
    if let Some(node) = found.filter(|_| volume.link().is_some() && !volume.is_fresh()) {
        let target = rootfs.join(CONTENTS).join(text(&volume.var));
        copy(view, &node, &target)?;
        ui.line(format!("wrote: {}/", target.display()))?;
    }
    volume.make_link(rootfs)?;
    if let Some(link) = volume.link() {
        ui.line(format!("wrote: {}", rootfs.join(text(link)).display()))?;
    }
    Ok(())
}

fn text(path: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))
}

/// A directory of the view, with all in it, as a directory of the project.
fn copy(view: &View, node: &Node, to: &Path) -> Result<()> {
    let cannot = |path: &Path| format!("cannot write {}", path.display());
    fs::create_dir_all(to).context(cannot(to))?;
    for name in view.children(node)?.into_keys() {
        let Some(child) = view.child(node, &name)? else { continue };
        let place = to.join(text(&name));
        match child.kind() {
            NodeKind::Directory => copy(view, &child, &place)?,
            NodeKind::Symlink => {
                let target = child.read_link()?;
                match std::os::unix::fs::symlink(text(&target), &place) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made.context(cannot(&place))?,
                }
            }
            _ => {
                let Some(source) = child.source_file().filter(|_| !child.kind().is_special())
                else {
                    continue;
                };
                let mut from = source.open().context(source.path().display().to_string())?;
                let mode = if child.is_executable() { 0o777 } else { 0o666 };
                let mut file =
                    atomic::Options::mode(mode).create(&place).context(cannot(&place))?;
                io::copy(&mut from, &mut file).context(cannot(&place))?;
                file.commit().context(cannot(&place))?;
            }
        }
    }
    Ok(())
}
