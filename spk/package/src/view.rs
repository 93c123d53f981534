//! The package as seen through its source map: one read-only union of the mapped directories and
//! the generated files, used by `dev` (which serves it as a file system) and by `pack` alike, so
//! that they cannot disagree.
//!
//! Rules (dev-mode §4 and §5, package-format §9), in one place:
//!
//! * Layers in order: the generated part, then one layer per mapping. The first layer that has a
//!   name decides what it is. Only directories merge, and only with later *directories*; whatever
//!   else later layers have under that name is ignored.
//! * The generated part is `sandstorm-manifest`, `sandstorm-http-bridge-config`,
//!   `sandstorm-http-bridge` (when there is one), an empty `proc/cpuinfo`, and the directories
//!   `dev`, `tmp`, `var` and `proc`, into which directories of that name in the map merge.
//!   A generated file always wins over a mapped one (the original had one rule for `dev` and
//!   another for `pack`, package-format §6.4 and §18.2). Who needs a bridge of their own maps
//!   it and gives [`Generated::bridge`] as `None`.
//! * Hidden paths are hidden in look-up and in listings, at every depth, in their own mapping only.
//! * Nothing is found beneath a symlink: it is a link in the package too. The one exception is a
//!   mapping of the package's root whose source is a symlink, which stands for its target.
//! * A mapping whose source does not exist has no layer; the directories above its package path
//!   are there nevertheless, unless a later mapping has something else under their name.
//! * A source that may not be searched is an error, never "not there".
//! * What is [withheld](crate::guard::withheld) is not there at all, whatever the map says.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use spk_files::path::{components, is_name, join};

use crate::guard::{What, Withheld};
use crate::source_map::{Mapping, SourceMap, source_path};

pub use crate::view_node::{Content, Layer, Node, NodeKind, SourceFile};

/// Package path of the manifest.
pub const MANIFEST: &[u8] = b"sandstorm-manifest";
/// Package path of the bridge's configuration.
pub const BRIDGE_CONFIG: &[u8] = b"sandstorm-http-bridge-config";
/// Package path of the bridge.
pub const BRIDGE: &[u8] = b"sandstorm-http-bridge";
/// Package path of the file over which the supervisor mounts the machine's.
pub const CPUINFO: &[u8] = b"proc/cpuinfo";
/// Directories in every package, mount points for the supervisor (package-format §6.1).
pub const MOUNT_POINTS: [&[u8]; 3] = [b"dev", b"tmp", b"var"];
/// Names longer than this exist on no Linux file system (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// What the tool puts into a package itself.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// Contents of `sandstorm-manifest`.
    pub manifest: Vec<u8>,
    /// Contents of `sandstorm-http-bridge-config`; an empty message when there is no configuration.
    pub bridge_config: Vec<u8>,
    /// The bridge executable; `None` when there is none to offer (then a mapped one shows).
    pub bridge: Option<PathBuf>,
}

/// A failure to look at the sources.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mapped file or directory cannot be looked at; most often the permission is missing.
    #[error("cannot look at {}", .path.display())]
    Stat {
        /// On this machine, not in the package.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A mapped directory cannot be listed.
    #[error("cannot list {}", .path.display())]
    List {
        /// On this machine, not in the package.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The system's error, to be passed on to whoever asked through the file system.
    pub fn io(&self) -> &io::Error {
        match self {
            Error::Stat { source, .. } | Error::List { source, .. } => source,
        }
    }

    /// The source concerned.
    pub fn path(&self) -> &Path {
        match self {
            Error::Stat { path, .. } | Error::List { path, .. } => path,
        }
    }
}

/// Why a path is not in the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// No mapping has it (any more).
    Vanished,
    /// The named source has it, but its mapping hides it.
    Hidden(PathBuf),
    /// The named source, or something on the way to it, is shown in no view.
    Withheld(PathBuf, What),
}

/// The union view; see the module's description.
#[derive(Debug)]
pub struct View {
    map: SourceMap,
    manifest: Arc<[u8]>,
    bridge_config: Arc<[u8]>,
    bridge: Option<PathBuf>,
    /// Whether there is a generated part.
    generated: bool,
    /// What is not shown, whatever the map says.
    withheld: Arc<Withheld>,
    /// For each mapping: what its source is in, if that is withheld.
    off: Vec<Option<What>>,
}

impl View {
    /// The view of `map`'s mappings. Looks at nothing yet: sources are looked at on each call.
    pub fn new(map: SourceMap, generated: Generated) -> View {
        View {
            off: vec![None; map.mappings().len()],
            map,
            manifest: generated.manifest.into(),
            bridge_config: generated.bridge_config.into(),
            bridge: generated.bridge,
            generated: true,
            withheld: Arc::default(),
        }
    }

    /// The same view without what is withheld.
    #[must_use]
    pub fn withholding(self, withheld: Arc<Withheld>) -> View {
        let sources = self.map.mappings().iter().map(|mapping| &mapping.source_path);
        let off = sources.map(|source| withheld.around(source)).collect();
        View { withheld, off, ..self }
    }

    /// What this view does not show.
    pub fn withheld(&self) -> &Withheld {
        &self.withheld
    }

    /// The view of mappings alone, without anything generated: an unpacked package as it is.
    pub fn plain(map: SourceMap) -> View {
        View::new(map, Generated::default()).sources_only()
    }

    /// The same generated part over another map.
    pub fn with_map(&self, map: SourceMap) -> View {
        let generated = Generated { bridge: self.bridge.clone(), ..Generated::default() };
        let view = View {
            manifest: self.manifest.clone(),
            bridge_config: self.bridge_config.clone(),
            generated: self.generated,
            ..View::new(map, generated)
        };
        view.withholding(self.withheld.clone())
    }

    /// The same without anything generated.
    pub fn sources_only(self) -> View {
        View { generated: false, ..self }
    }

    /// The source map this is a view of.
    pub fn source_map(&self) -> &SourceMap {
        &self.map
    }

    /// The package's root.
    pub fn root(&self) -> Node {
        let mut layers = Vec::new();
        if self.generated {
            layers.push(Layer::GeneratedRoot);
        }
        let mut metadata = None;
        for (index, mapping) in self.map.mappings().iter().enumerate() {
            if !mapping.package_path.is_empty() {
                layers.push(Layer::Virtual { mapping: index, depth: 0 });
                continue;
            }
            // followed on purpose: a symlinked root stands for its target
            if let Ok(found) = std::fs::metadata(source_path(&mapping.source_path))
                && found.is_dir()
                && self.off[index].is_none()
            {
                metadata.get_or_insert(found);
                layers.push(Layer::Source { mapping: index, rest: Vec::new() });
            }
        }
        Node::directory(layers, metadata)
    }

    /// What is at `path` (relative, without `.` and `..`; empty: the root). `None`: nothing.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Node>, Error> {
        let mut node = self.root();
        if path.is_empty() {
            return Ok(Some(node));
        }
        for name in components(path) {
            match self.child(&node, name)? {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// The names in the directory at `path` and what each is; `None`: no directory there.
    pub fn list(&self, path: &[u8]) -> Result<Option<BTreeMap<Vec<u8>, NodeKind>>, Error> {
        match self.lookup(path)? {
            Some(node) if node.kind() == NodeKind::Directory => self.children(&node).map(Some),
            _ => Ok(None),
        }
    }

    /// The entry `name` of the directory `parent`; `None` also if `parent` is no directory.
    pub fn child(&self, parent: &Node, name: &[u8]) -> Result<Option<Node>, Error> {
        if !is_name(name) || name.len() > NAME_MAX {
            return Ok(None);
        }
        let mut layers = Vec::new();
        let mut metadata = None;
        for layer in parent.layers() {
            match self.child_in(layer, name)? {
                None => {}
                Some(Found::Layer(found, found_metadata)) => {
                    layers.push(found);
                    metadata = metadata.or(found_metadata);
                }
                // the first layer that has the name decides what it is; one that has no more than
                // a name on the way to nothing does not
                Some(Found::Leaf(node))
                    if layers.iter().all(|layer| self.leads_to_nothing(layer)) =>
                {
                    return Ok(Some(node));
                }
                Some(Found::Leaf(_)) => {}
            }
        }
        Ok((!layers.is_empty()).then(|| Node::directory(layers, metadata)))
    }

    /// The names in the directory `node` and what each is; empty if it is no directory.
    pub fn children(&self, node: &Node) -> Result<BTreeMap<Vec<u8>, NodeKind>, Error> {
        let mut names = BTreeMap::new();
        // what a later mapping may have as something else than a directory
        let mut on_the_way = Vec::new();
        for layer in node.layers() {
            match layer {
                Layer::GeneratedRoot => {
                    names.insert(MANIFEST.to_vec(), NodeKind::File);
                    names.insert(BRIDGE_CONFIG.to_vec(), NodeKind::File);
                    if matches!(self.bridge_node()?, Some(Found::Leaf(_))) {
                        names.insert(BRIDGE.to_vec(), NodeKind::File);
                    }
                    for name in MOUNT_POINTS {
                        names.insert(name.to_vec(), NodeKind::Directory);
                    }
                    names.insert(b"proc".to_vec(), NodeKind::Directory);
                }
                Layer::GeneratedProc => {
                    names.insert(b"cpuinfo".to_vec(), NodeKind::File);
                }
                Layer::GeneratedEmpty => {}
                Layer::Virtual { mapping, depth } => {
                    let name = self.component(*mapping, *depth);
                    if let Some(kind) = self.child_in(layer, name)?.map(|found| found.kind()) {
                        names.entry(name.to_vec()).or_insert(kind);
                        if self.leads_to_nothing(layer) {
                            on_the_way.push(name);
                        }
                    }
                }
                Layer::Source { mapping, rest } => self.list_source(*mapping, rest, &mut names)?,
            }
        }
        for name in on_the_way {
            if let Some(child) = self.child(node, name)? {
                names.insert(name.to_vec(), child.kind());
            }
        }
        Ok(names)
    }

    /// The directories on this machine that are merged at `node`, first one first.
    pub fn source_dirs(&self, node: &Node) -> Vec<PathBuf> {
        let dir = |layer: &Layer| match layer {
            Layer::Source { mapping, rest } => Some(self.source(*mapping, rest).path()),
            _ => None,
        };
        node.layers().iter().filter_map(dir).collect()
    }

    /// Whether a mapping has the entry `name` of `parent`, though something generated may win.
    pub fn is_mapped(&self, parent: &Node, name: &[u8]) -> bool {
        let mapped = |layer: &Layer| matches!(layer, Layer::Source { .. } | Layer::Virtual { .. });
        let mut layers = parent.layers().iter().filter(|layer| mapped(layer));
        layers.any(|layer| matches!(self.child_in(layer, name), Ok(Some(_))))
    }

    /// What the directory `node` would have, were it not withheld: names, where they come from, and
    /// what they are.
    pub fn withheld_in(&self, node: &Node) -> Vec<(Vec<u8>, PathBuf, What)> {
        let mut found = Vec::new();
        for layer in node.layers() {
            let Layer::Source { mapping, rest } = layer else { continue };
            let dir = self.source(*mapping, rest).path();
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let (name, path) = (entry.file_name().as_bytes().to_vec(), entry.path());
                let hidden = self.mapping(*mapping).hides(&join(rest, &name));
                if let (false, Ok(metadata)) = (hidden, entry.metadata())
                    && let Some(what) = self.withheld.what(&path, &metadata, false)
                {
                    found.push((name, path, what));
                }
            }
        }
        found
    }

    /// Why there is nothing at `path`, for the message about it.
    pub fn why_absent(&self, path: &[u8]) -> Absence {
        for (index, mapping) in self.map.mappings().iter().enumerate() {
            let Some(rest) = below(&mapping.package_path, path) else { continue };
            let source =
                SourceFile { root: mapping.source_path.clone(), rest: rest.to_vec() }.path();
            if mapping.hides(rest) && std::fs::symlink_metadata(&source).is_ok() {
                return Absence::Hidden(source);
            }
            if let Some((source, what)) = self.withheld_above(index, rest) {
                return Absence::Withheld(source, what);
            }
        }
        Absence::Vanished
    }

    /// The first withheld source on the way to `rest`.
    fn withheld_above(&self, index: usize, rest: &[u8]) -> Option<(PathBuf, What)> {
        let mapping = self.mapping(index);
        if let Some(what) = self.off[index] {
            return Some((mapping.source_path.clone(), what));
        }
        let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        let ends = std::iter::once(0).chain(ends).chain([rest.len()]);
        ends.map(|end| SourceFile { root: mapping.source_path.clone(), rest: rest[..end].to_vec() })
            .find_map(|source| {
                let (path, is_mapping) = (source.path(), source.rest.is_empty());
                let metadata = std::fs::symlink_metadata(&path).ok()?;
                let what = self.withheld.what(&path, &metadata, is_mapping)?;
                Some((path, what))
            })
    }

    fn child_in(&self, layer: &Layer, name: &[u8]) -> Result<Option<Found>, Error> {
        match layer {
            Layer::GeneratedRoot => match name {
                MANIFEST => Ok(Some(Found::Leaf(Node::bytes(self.manifest.clone())))),
                BRIDGE_CONFIG => Ok(Some(Found::Leaf(Node::bytes(self.bridge_config.clone())))),
                BRIDGE => self.bridge_node(),
                b"proc" => Ok(Some(Found::Layer(Layer::GeneratedProc, None))),
                _ if MOUNT_POINTS.contains(&name) => {
                    Ok(Some(Found::Layer(Layer::GeneratedEmpty, None)))
                }
                _ => Ok(None),
            },
            Layer::GeneratedProc if name == b"cpuinfo" => {
                Ok(Some(Found::Leaf(Node::bytes(Arc::default()))))
            }
            Layer::GeneratedProc | Layer::GeneratedEmpty => Ok(None),
            Layer::Virtual { mapping, depth } => {
                if name != self.component(*mapping, *depth) {
                    return Ok(None);
                }
                if depth + 1 < self.depth(*mapping) {
                    let layer = Layer::Virtual { mapping: *mapping, depth: depth + 1 };
                    return Ok(Some(Found::Layer(layer, None)));
                }
                self.find(*mapping, Vec::new())
            }
            Layer::Source { mapping, rest } => {
                let rest = join(rest, name);
                if self.mapping(*mapping).hides(&rest) {
                    return Ok(None);
                }
                self.find(*mapping, rest)
            }
        }
    }

    /// Whether the layer is there only because of a mapping whose source is not there.
    fn leads_to_nothing(&self, layer: &Layer) -> bool {
        match layer {
            Layer::Virtual { mapping, .. } => {
                matches!(stat(&self.source(*mapping, b"").path()), Ok(None))
            }
            _ => false,
        }
    }

    /// What a mapping has at `rest`, which is not hidden.
    fn find(&self, mapping: usize, rest: Vec<u8>) -> Result<Option<Found>, Error> {
        let source = self.source(mapping, &rest);
        let path = source.path();
        let Some(metadata) = stat(&path)? else { return Ok(None) };
        if self.off[mapping].is_some() {
            return Ok(None);
        }
        if self.withheld.meet(&path, &metadata, rest.is_empty()).is_some() {
            return Ok(None);
        }
        Ok(Some(if metadata.is_dir() {
            Found::Layer(Layer::Source { mapping, rest }, Some(metadata))
        } else {
            Found::Leaf(Node::source(source, metadata))
        }))
    }

    fn bridge_node(&self) -> Result<Option<Found>, Error> {
        let Some(path) = &self.bridge else { return Ok(None) };
        // followed: where the tool's own bridge is installed is not the package's business
        let Ok(path) = std::fs::canonicalize(path) else { return Ok(None) };
        let source = SourceFile { root: path, rest: Vec::new() };
        let metadata = stat(&source.path())?.filter(Metadata::is_file);
        Ok(metadata.map(|metadata| Found::Leaf(Node::source(source, metadata))))
    }

    fn list_source(
        &self,
        mapping: usize,
        rest: &[u8],
        names: &mut BTreeMap<Vec<u8>, NodeKind>,
    ) -> Result<(), Error> {
        let path = self.source(mapping, rest).path();
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(()),
            Err(source) => return Err(Error::List { path, source }),
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::List { path: path.clone(), source })?;
            let name = entry.file_name().as_bytes().to_vec();
            if names.contains_key(&name) || self.mapping(mapping).hides(&join(rest, &name)) {
                continue;
            }
            // what may be withheld has to be looked at
            if self.withheld.may_be(&name, entry.ino())
                && entry.metadata().is_ok_and(|metadata| {
                    self.withheld.what(&entry.path(), &metadata, false).is_some()
                })
            {
                continue;
            }
            // gone since it was listed: not there
            if let Ok(kind) = entry.file_type() {
                names.insert(name, NodeKind::of(kind));
            }
        }
        Ok(())
    }

    fn mapping(&self, index: usize) -> &Mapping {
        &self.map.mappings()[index]
    }

    fn source(&self, mapping: usize, rest: &[u8]) -> SourceFile {
        SourceFile { root: self.mapping(mapping).source_path.clone(), rest: rest.to_vec() }
    }

    /// Component number `depth` of a mapping's package path.
    fn component(&self, mapping: usize, depth: usize) -> &[u8] {
        components(&self.mapping(mapping).package_path).nth(depth).unwrap_or_default()
    }

    fn depth(&self, mapping: usize) -> usize {
        components(&self.mapping(mapping).package_path).count()
    }
}

/// What one layer has under a name.
enum Found {
    /// A directory, which may merge with others.
    Layer(Layer, Option<Metadata>),
    /// Anything else.
    Leaf(Node),
}

impl Found {
    fn kind(&self) -> NodeKind {
        match self {
            Found::Layer(..) => NodeKind::Directory,
            Found::Leaf(node) => node.kind(),
        }
    }
}

/// The part of `path` below `package_path`.
fn below<'a>(package_path: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if package_path.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(package_path)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

/// Metadata without following a link; `None` when nothing is there.
fn stat(path: &Path) -> Result<Option<Metadata>, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(source) => Err(Error::Stat { path: path.to_owned(), source }),
    }
}

/// Errors that say that a name is not there, among them those of a tree that changes under us.
fn is_absence(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
}
