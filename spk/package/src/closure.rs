//! What a traced app may need besides what the trace saw: files that belong together with files it
//! used, found without running anything (dev-mode §18 item 1 and §22).
//!
//! * The shared libraries that a used program or library names (ELF `DT_NEEDED`), and theirs, where
//!   the loader would find them.
//! * The rest of a Python or Node package, a package of Composer's or a gem of which a file was used,
//!   wherever it is installed.
//! * The rest of a PHP app: PHP includes files when they are asked for, one at a time.
//!
//! These are suggestions: a package taken whole may be larger than need be, never smaller.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;

use spk_files::elf::{Elf, MAGIC};
use spk_files::path::{components, join, parent};

use crate::library_names::library_names;
use crate::selection;
use crate::view::{Content, Node, NodeKind, View};

/// Directories of the loader's default path, and those of Debian's multiarch.
const LIBRARY_DIRS: [&str; 8] = [
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib64",
    "usr/lib64",
    "lib",
    "usr/lib",
];
/// Where `env` finds programs.
const PROGRAM_DIRS: [&str; 4] = ["usr/local/bin", "usr/bin", "bin", "usr/sbin"];
/// Longest first line of a script that the kernel reads (`BINPRM_BUF_SIZE`).
const FIRST_LINE: u64 = 256;
/// Libraries larger than this are not looked into: debug builds of browsers are smaller.
const MAX_ELF: u64 = 512 << 20;
/// Entries of one suggestion; a larger package is named by its directory all the same.
const MAX_FILES: usize = 50_000;

/// Why files are suggested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Shared libraries that this file needs, directly or not.
    NeededBy(Vec<u8>),
    /// What executes this file: the program in the first line of a script, a program's loader.
    Executes(Vec<u8>),
    /// Libraries that this file names, as for `dlopen`, and does not say it needs.
    Named(Vec<u8>),
    /// The rest of the Python package in this directory.
    PythonPackage(Vec<u8>),
    /// The rest of the Node package in this directory.
    NodePackage(Vec<u8>),
    /// The rest of the package of Composer's in this directory.
    PhpPackage(Vec<u8>),
    /// The rest of the PHP app in this directory.
    PhpApp(Vec<u8>),
    /// The rest of the gem in this directory, with what describes it and what was compiled for it.
    Gem(Vec<u8>),
}

/// Files that should come along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// Why.
    pub reason: Reason,
    /// Package paths that are not among the used ones, sorted, links among them.
    pub paths: Vec<Vec<u8>>,
    /// Bytes of the files among them.
    pub bytes: u64,
}

/// What could be missing beside the paths that were `used`; sorted by reason. Sources that cannot
/// be read suggest nothing.
pub fn suggest(view: &View, used: &BTreeSet<Vec<u8>>) -> Vec<Suggestion> {
    let mut found: BTreeMap<Reason, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for path in used {
        let Ok(Some(node)) = view.lookup(path) else { continue };
        if node.kind() == NodeKind::File {
            libraries(view, used, path, &node, &mut found);
            let mut add = |reason: fn(Vec<u8>) -> Reason, paths: BTreeSet<Vec<u8>>| {
                if !paths.is_empty() {
                    found.entry(reason(path.clone())).or_default().extend(paths);
                }
            };
            add(Reason::Executes, interpreter(view, used, &node));
            add(Reason::Named, named(view, used, path, &node));
        }
        if let Some(reason) = package_of(view, path) {
            found.entry(reason).or_default();
        }
    }
    for (reason, paths) in &mut found {
        for (dir, without) in whole(reason) {
            match view.lookup(&dir) {
                Ok(Some(node)) if node.kind() == NodeKind::Directory => {
                    below(view, &node, &dir, without, used, paths);
                }
                Ok(Some(_)) if !used.contains(&dir) => {
                    paths.insert(dir);
                }
                _ => {}
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(reason, paths)| {
            let size = |path: &Vec<u8>| view.lookup(path).ok().flatten().map_or(0, |n| n.size());
            let bytes = paths.iter().map(size).sum();
            Suggestion { reason, paths: paths.into_iter().collect(), bytes }
        })
        .collect()
}

/// The libraries that the ELF file at `path` needs and that were not used.
fn libraries(
    view: &View,
    used: &BTreeSet<Vec<u8>>,
    path: &[u8],
    node: &Node,
    found: &mut BTreeMap<Reason, BTreeSet<Vec<u8>>>,
) {
    let mut missing = BTreeSet::new();
    let mut pending = VecDeque::from([(path.to_vec(), node.clone())]);
    let mut seen = BTreeSet::from([path.to_vec()]);
    while let Some((at, node)) = pending.pop_front() {
        for name in needed(&node) {
            let own = parent(&at);
            let dirs = [own].into_iter().chain(LIBRARY_DIRS.iter().map(|dir| dir.as_bytes()));
            let mut candidates = dirs.map(|dir| join(dir, &name));
            let Some(taken) = candidates.find_map(|path| selection::follow(view, &path).ok())
            else {
                continue;
            };
            let Some(real) = taken.last().cloned() else { continue };
            missing.extend(taken.into_iter().filter(|path| !used.contains(path)));
            if seen.insert(real.clone())
                && let Ok(Some(node)) = view.lookup(&real)
            {
                pending.push_back((real, node));
            }
        }
    }
    if !missing.is_empty() {
        found.entry(Reason::NeededBy(path.to_vec())).or_default().extend(missing);
    }
}

/// A used file's source and its first bytes, if it has any.
fn open(node: &Node) -> Option<(std::fs::File, Vec<u8>)> {
    let Some(Content::Source(source)) = node.content() else { return None };
    if node.size() > MAX_ELF {
        return None;
    }
    let mut file = source.open().ok()?;
    let mut head = Vec::new();
    std::io::Read::by_ref(&mut file).take(FIRST_LINE).read_to_end(&mut head).ok()?;
    Some((file, head))
}

fn needed(node: &Node) -> Vec<Vec<u8>> {
    match open(node) {
        Some((file, head)) if head.starts_with(MAGIC) => libraries_of(&file),
        _ => Vec::new(),
    }
}

fn libraries_of(file: &std::fs::File) -> Vec<Vec<u8>> {
    let elf = Elf::open(file).ok().flatten();
    elf.and_then(|elf| elf.libraries().ok()).unwrap_or_default()
}

/// What is not among the used paths of those that opening `path` meets.
fn unused(view: &View, used: &BTreeSet<Vec<u8>>, path: &[u8]) -> BTreeSet<Vec<u8>> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let met = selection::follow(view, path).unwrap_or_default();
    met.into_iter().filter(|path| !used.contains(path)).collect()
}

/// What executes a file.
fn interpreter(view: &View, used: &BTreeSet<Vec<u8>>, node: &Node) -> BTreeSet<Vec<u8>> {
    let Some((file, head)) = open(node) else { return BTreeSet::new() };
    if head.starts_with(MAGIC) {
        let elf = Elf::open(&file).ok().flatten();
        let interpreter = elf.and_then(|elf| elf.interpreter().ok().flatten());
        return interpreter.map(|path| unused(view, used, &path)).unwrap_or_default();
    }
    let Some(line) = head.strip_prefix(b"#!").filter(|_| node.is_executable()) else {
        return BTreeSet::new();
    };
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(program) = words.next() else { return BTreeSet::new() };
    let mut paths = unused(view, used, program);
    if program.ends_with(b"/env")
        && let Some(name) = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))
    {
        let mut places = PROGRAM_DIRS.iter().map(|dir| join(dir.as_bytes(), name));
        let found = places.find(|path| selection::follow(view, path).is_ok());
        paths.extend(found.map(|path| unused(view, used, &path)).unwrap_or_default());
    }
    paths
}

/// Libraries that an ELF file names without saying that it needs them.
fn named(view: &View, used: &BTreeSet<Vec<u8>>, path: &[u8], node: &Node) -> BTreeSet<Vec<u8>> {
    let Some((mut file, mut content)) = open(node) else { return BTreeSet::new() };
    if !content.starts_with(MAGIC) || file.read_to_end(&mut content).is_err() {
        return BTreeSet::new();
    }
    let needed = libraries_of(&file);
    let mut paths = BTreeSet::new();
    for name in library_names(&content).into_iter().filter(|name| !needed.contains(name)) {
        let dirs = [parent(path)].into_iter().chain(LIBRARY_DIRS.iter().map(|dir| dir.as_bytes()));
        let found =
            dirs.map(|dir| join(dir, &name)).find_map(|path| selection::follow(view, &path).ok());
        paths.extend(found.into_iter().flatten().filter(|path| !used.contains(path)));
    }
    paths
}

/// What a suggestion takes whole, each with what is no part of it: directories below it that are their
/// own matter.
fn whole(reason: &Reason) -> Vec<(Vec<u8>, &'static [&'static [u8]])> {
    match reason {
        Reason::PythonPackage(dir) | Reason::NodePackage(dir) | Reason::PhpPackage(dir) => {
            vec![(dir.clone(), &[b"node_modules", b"__pycache__"])]
        }
        Reason::PhpApp(dir) => vec![(dir.clone(), &[b"node_modules", b"vendor"])],
        Reason::Gem(dir) => {
            let (home, name) = (parent(parent(dir)), name_of(dir));
            let describes = [name, b".gemspec"].concat();
            let mut all: Vec<(Vec<u8>, &'static [&'static [u8]])> =
                vec![(dir.clone(), &[]), (join(&join(home, b"specifications"), &describes), &[])];
            all.extend(EXTENSION_PLATFORMS.iter().map(|platform| {
                let place = join(&join(home, b"extensions"), platform);
                (join(&join(&place, name_of(home)), name), &[][..])
            }));
            all
        }
        Reason::NeededBy(_) | Reason::Executes(_) | Reason::Named(_) => Vec::new(),
    }
}

/// Directories of what was compiled for gems, below `extensions`.
const EXTENSION_PLATFORMS: [&[u8]; 4] =
    [b"x86_64-linux", b"x86_64-linux-gnu", b"aarch64-linux", b"aarch64-linux-gnu"];

fn name_of(path: &[u8]) -> &[u8] {
    components(path).last().unwrap_or_default()
}

/// The package that a used file is a part of.
fn package_of(view: &View, path: &[u8]) -> Option<Reason> {
    let exists = |path: Vec<u8>| matches!(view.lookup(&path), Ok(Some(_)));
    if let Some(reason) = php(&exists, path).or_else(|| gem(&exists, path)) {
        return Some(reason);
    }
    let components: Vec<&[u8]> = components(path).collect();
    let upto = |count: usize| components[..count].join(&b'/');
    for (index, name) in components.iter().enumerate() {
        let package = match *name {
            b"node_modules" => {
                let scoped = components.get(index + 1).is_some_and(|name| name.starts_with(b"@"));
                let end = index + 2 + usize::from(scoped);
                (end < components.len()).then(|| upto(end))
            }
            b"site-packages" | b"dist-packages" if index + 2 < components.len() => {
                Some(upto(index + 2))
            }
            _ => None,
        };
        let Some(package) = package else { continue };
        // a package within a package is its own suggestion
        if *name == b"node_modules" {
            let inner = components[index + 1..].contains(&&b"node_modules"[..]);
            if !inner && exists(join(&package, b"package.json")) {
                return Some(Reason::NodePackage(package));
            }
        } else if exists(join(&package, b"__init__.py")) {
            return Some(Reason::PythonPackage(package));
        }
    }
    python_package(&exists, path).map(Reason::PythonPackage)
}

/// The package of Composer's, `vendor/OWNER/NAME`, or else the app that a PHP file is a part of: the
/// outermost directory around it with a front page or a list of packages, not of the system's.
fn php(exists: &impl Fn(Vec<u8>) -> bool, path: &[u8]) -> Option<Reason> {
    let components: Vec<&[u8]> = components(path).collect();
    let upto = |count: usize| components[..count].join(&b'/');
    for (index, name) in components.iter().enumerate().filter(|(_, name)| **name == &b"vendor"[..])
    {
        let end = index + 3;
        let is_composers = || {
            exists(join(&upto(index), b"composer.json"))
                || exists(join(&join(&upto(index), name), b"autoload.php"))
        };
        if end < components.len() && is_composers() && exists(join(&upto(end), b"composer.json")) {
            return Some(Reason::PhpPackage(upto(end)));
        }
    }
    if !path.ends_with(b".php") || components[0] == b"usr" || components[0] == b"etc" {
        return None;
    }
    let marks = [&b"composer.json"[..], b"index.php", b"public/index.php"];
    let is_app = |count: &usize| marks.iter().any(|mark| exists(join(&upto(*count), mark)));
    // What lies at the root of the package is not all one app.
    (1..components.len()).find(is_app).map(|count| Reason::PhpApp(upto(count)))
}

/// The gem that a file is a part of: `gems/NAME-VERSION`, which `specifications` describes, or one of
/// Bundler's out of a repository.
fn gem(exists: &impl Fn(Vec<u8>) -> bool, path: &[u8]) -> Option<Reason> {
    let components: Vec<&[u8]> = components(path).collect();
    let upto = |count: usize| components[..count].join(&b'/');
    let mut places = components.iter().enumerate().rev();
    places.find_map(|(index, name)| {
        let end = index + 2;
        if *name != b"gems" || end >= components.len() {
            return None;
        }
        let gem = components[index + 1];
        let described = join(&upto(index), b"specifications");
        let is_described = exists(join(&described, &[gem, b".gemspec"].concat()));
        let of_bundler = index > 0 && components[index - 1] == b"bundler";
        (is_described || of_bundler).then(|| Reason::Gem(upto(end)))
    })
}

/// The outermost directory around a Python module that is a package, wherever it is installed: each
/// directory from there to the module has an `__init__.py`.
fn python_package(exists: &impl Fn(Vec<u8>) -> bool, path: &[u8]) -> Option<Vec<u8>> {
    if ![&b".py"[..], b".pyc", b".so"].iter().any(|suffix| path.ends_with(suffix)) {
        return None;
    }
    let mut dir = parent(path);
    if dir == b"__pycache__" || dir.ends_with(b"/__pycache__") {
        dir = parent(dir);
    }
    let mut found = None;
    while !dir.is_empty() && exists(join(dir, b"__init__.py")) {
        found = Some(dir.to_vec());
        dir = parent(dir);
    }
    found
}

/// Everything below a directory that was not used; what is named `without` apart.
fn below(
    view: &View,
    node: &Node,
    path: &[u8],
    without: &[&[u8]],
    used: &BTreeSet<Vec<u8>>,
    into: &mut BTreeSet<Vec<u8>>,
) {
    let Ok(children) = view.children(node) else { return };
    for (name, kind) in children {
        if into.len() >= MAX_FILES || without.contains(&name.as_slice()) {
            continue;
        }
        let path = join(path, &name);
        if kind == NodeKind::Directory {
            if let Ok(Some(node)) = view.child(node, &name) {
                below(view, &node, &path, without, used, into);
            }
        } else if !used.contains(&path) {
            into.insert(path);
        }
    }
}
