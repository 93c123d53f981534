//! What goes into a package: the file list and `alwaysInclude` of a definition, looked up in the
//! [view] and expanded to the tree of entries to pack.
//!
//! * A listed path stands for itself only; a directory is taken without what is in it. An
//!   `alwaysInclude` path stands for everything below it (package-format §9.3). `.` is the root.
//! * A path that passes through a symlink of the package is taken as the link and what the link
//!   leads to, as the app would have found it (dev-mode §18 item 4): lists made where `lib` was a
//!   directory stay usable where it is a link.
//! * In every package: `dev`, `tmp`, `var`, `proc/cpuinfo`, the manifest, and the bridge with its
//!   configuration when a command uses it. The original took the manifest only where a list named
//!   it, and so made packages that cannot be installed.
//! * All paths that cannot be found are told of at once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;

use spk_files::path::{self, join, normal_form};
use spk_files::printable;

use crate::guard::What;
use crate::view::{self, Absence, BRIDGE, BRIDGE_CONFIG, CPUINFO, MANIFEST, MOUNT_POINTS, Node};
use crate::view::{NodeKind, View};

/// Links followed on the way to one path, as in the kernel (`MAXSYMLINKS`).
pub const MAX_LINKS: usize = 40;
/// Problems shown in the message of one [`Error`]; it counts the rest.
const MAX_SHOWN: usize = 20;

/// What a definition asks for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Package paths taken without what is below them.
    pub file_list: Vec<Vec<u8>>,
    /// Package paths taken with everything below them.
    pub always_include: Vec<Vec<u8>>,
    /// Whether a command of the manifest runs the bridge.
    pub uses_bridge: bool,
}

/// A directory entry to pack, with those below it, sorted by name as unsigned bytes.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What it is, and where its content comes from.
    pub node: Node,
    /// Whether it was asked for, and is not only there as the parent of something.
    pub listed: bool,
    /// For directories.
    pub children: BTreeMap<Vec<u8>, Tree>,
}

/// The result of [`expand`].
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The package's root.
    pub root: Tree,
    /// Paths that passed through a link, for a note to the user.
    pub rewritten: Vec<Rewritten>,
    /// What is left out, whatever was asked for.
    pub withheld: Vec<Withheld>,
}

/// Something that is never packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The package path at which it would have been.
    pub path: Vec<u8>,
    /// On this machine.
    pub source: PathBuf,
    /// What it is.
    pub what: What,
}

/// A path that was taken as something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// As it was listed.
    pub listed: Vec<u8>,
    /// The links it passed through, then where it ended.
    pub taken: Vec<Vec<u8>>,
}

/// A path that could not be taken, and why.
#[derive(Debug)]
pub struct Problem {
    /// The package path.
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why a path cannot be taken.
#[derive(Debug)]
pub enum Reason {
    /// It begins with a slash.
    Absolute,
    /// It has an empty, `.` or `..` component, or a NUL.
    NotPlain,
    /// No mapping has it.
    Vanished,
    /// A source has it, but is hidden by its mapping.
    Hidden(PathBuf),
    /// A source has it, but it, or a directory above it, is never packed.
    Withheld(PathBuf, What),
    /// The path passes through a link that leads to nothing in the package.
    BeyondLink {
        /// The last link on the way.
        link: Vec<u8>,
        /// Where it led, as a package path.
        target: Vec<u8>,
    },
    /// More than [`MAX_LINKS`] links on the way.
    TooManyLinks,
    /// A command uses the bridge, and there is none.
    NoBridge,
    /// The source cannot be looked at.
    Unreadable(PathBuf, io::Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", printable::line(&self.path))?;
        match &self.reason {
            Reason::Absolute => write!(f, "package paths have no slash at their begin"),
            Reason::NotPlain => write!(f, "has an empty, '.' or '..' component"),
            Reason::Vanished => write!(f, "not found in the source map"),
            Reason::Hidden(source) => write!(f, "hidden by hidePaths ({})", source.display()),
            Reason::Withheld(source, what) => {
                write!(f, "never packed: {} is {}", source.display(), what.text())
            }
            Reason::BeyondLink { link, target } => {
                write!(
                    f,
                    "not found: the link {} leads to {}",
                    printable::line(link),
                    printable::line(target)
                )
            }
            Reason::TooManyLinks => write!(f, "too many links on the way"),
            Reason::NoBridge => write!(f, "a command uses the bridge, but none is installed"),
            Reason::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Everything that cannot be taken, in one message.
#[derive(Debug)]
pub struct Error {
    /// Never empty; in the order of the lists.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "a listed path cannot be packed:")?,
            count => write!(f, "{count} listed paths cannot be packed:")?,
        }
        for problem in self.problems.iter().take(MAX_SHOWN) {
            write!(f, "\n  {problem}")?;
        }
        match self.problems.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more"),
        }
    }
}

impl std::error::Error for Error {}

/// The tree that `selection` stands for.
///
/// # Errors
/// All listed paths that cannot be taken, at once.
pub fn expand(view: &View, selection: &Selection) -> Result<Expanded, Error> {
    let mut expansion = Expansion {
        view,
        uses_bridge: selection.uses_bridge,
        root: Tree { node: view.root(), listed: false, children: BTreeMap::new() },
        rewritten: Vec::new(),
        withheld: Vec::new(),
        problems: Vec::new(),
    };
    for path in MOUNT_POINTS.into_iter().chain([CPUINFO, MANIFEST]) {
        expansion.include(path, Scope::Implied);
    }
    if selection.uses_bridge {
        expansion.include(BRIDGE_CONFIG, Scope::Implied);
        expansion.include(BRIDGE, Scope::Implied);
    }
    for path in &selection.file_list {
        expansion.include(path, Scope::Itself);
    }
    for path in &selection.always_include {
        expansion.include(path, Scope::Below);
    }
    let Expansion { root, rewritten, withheld, problems, .. } = expansion;
    match problems.is_empty() {
        true => Ok(Expanded { root, rewritten, withheld }),
        false => Err(Error { problems }),
    }
}

/// The paths that the app meets on its way to `path`: the links it passes through, each as the
/// path it has without links above it, and at last where it ends (not followed if it is a link).
/// Just `path` itself when there is no link on the way.
pub fn resolve(view: &View, path: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let walked = walk(view, &check(path)?, Last::Kept)?;
    Ok(walked.links.iter().chain([&walked.end]).map(|steps| path_of(steps)).collect())
}

/// As [`resolve`], but a link at the end is followed too, as who opens the path does.
pub fn follow(view: &View, path: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let walked = walk(view, &check(path)?, Last::Followed)?;
    Ok(walked.links.iter().chain([&walked.end]).map(|steps| path_of(steps)).collect())
}

/// What becomes of a link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Kept,
    Followed,
}

/// How much an entry stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Itself; not asked for by the user.
    Implied,
    Itself,
    Below,
}

struct Expansion<'a> {
    view: &'a View,
    uses_bridge: bool,
    root: Tree,
    rewritten: Vec<Rewritten>,
    withheld: Vec<Withheld>,
    problems: Vec<Problem>,
}

impl Expansion<'_> {
    fn include(&mut self, path: &[u8], scope: Scope) {
        if let Err(reason) = self.try_include(path, scope) {
            let reason = match (path, reason) {
                (BRIDGE, Reason::Vanished) if self.uses_bridge => Reason::NoBridge,
                (_, Reason::Withheld(source, what)) => {
                    self.leave_out(Withheld { path: path.to_vec(), source, what });
                    return;
                }
                (_, reason) => reason,
            };
            if !self.problems.iter().any(|problem| problem.path == path) {
                self.problems.push(Problem { path: path.to_vec(), reason });
            }
        }
    }

    fn try_include(&mut self, path: &[u8], scope: Scope) -> Result<(), Reason> {
        let walked = walk(self.view, &check(path)?, Last::Kept)?;
        for link in &walked.links {
            insert(&mut self.root, link).listed = true;
        }
        if !walked.links.is_empty() {
            let taken = walked.links.iter().chain([&walked.end]).map(|steps| path_of(steps));
            self.rewritten.push(Rewritten { listed: path.to_vec(), taken: taken.collect() });
        }
        let tree = insert(&mut self.root, &walked.end);
        tree.listed |= scope != Scope::Implied;
        if scope == Scope::Below {
            let path = path_of(&walked.end);
            if tree.node.kind() == NodeKind::Symlink {
                return self.include_target(&path);
            }
            let withheld = Below::all(self.view, self.uses_bridge, tree, &path, &mut self.problems);
            withheld.into_iter().for_each(|one| self.leave_out(one));
        }
        Ok(())
    }

    /// What a link leads to, with all that is below it. A link that leads to nothing here stays one
    /// that leads to nothing: its target may be made by the app.
    fn include_target(&mut self, link: &[u8]) -> Result<(), Reason> {
        let walked = match walk(self.view, link, Last::Followed) {
            Err(Reason::Unreadable(path, error)) => return Err(Reason::Unreadable(path, error)),
            Err(_) => return Ok(()),
            Ok(walked) => walked,
        };
        for link in &walked.links {
            insert(&mut self.root, link).listed = true;
        }
        let tree = insert(&mut self.root, &walked.end);
        tree.listed = true;
        let path = path_of(&walked.end);
        if tree.node.kind() == NodeKind::Directory {
            let withheld = Below::all(self.view, self.uses_bridge, tree, &path, &mut self.problems);
            withheld.into_iter().for_each(|one| self.leave_out(one));
        }
        Ok(())
    }

    fn leave_out(&mut self, one: Withheld) {
        if !self.withheld.contains(&one) {
            self.withheld.push(one);
        }
    }
}

/// Takes everything that is in a directory.
struct Below<'a> {
    view: &'a View,
    uses_bridge: bool,
    withheld: &'a mut Vec<Withheld>,
    problems: &'a mut Vec<Problem>,
}

impl Below<'_> {
    /// Takes all of `tree`, the directory at `path`, and returns what the view withholds there.
    fn all(
        view: &View,
        uses_bridge: bool,
        tree: &mut Tree,
        path: &[u8],
        problems: &mut Vec<Problem>,
    ) -> Vec<Withheld> {
        let mut withheld = Vec::new();
        Below { view, uses_bridge, withheld: &mut withheld, problems }.include(tree, path);
        withheld
    }

    fn include(&mut self, tree: &mut Tree, path: &[u8]) {
        let names = match self.view.children(&tree.node) {
            Ok(names) => names,
            Err(error) => {
                self.problems.push(Problem { path: path.to_vec(), reason: unreadable(error) });
                return;
            }
        };
        for (name, source, what) in self.view.withheld_in(&tree.node) {
            self.withheld.push(Withheld { path: join(path, &name), source, what });
        }
        for name in names.into_keys() {
            let child_path = join(path, &name);
            let child = match self.view.child(&tree.node, &name) {
                // the generated bridge is for those who use it, or ship one
                Ok(Some(_))
                    if !self.uses_bridge
                        && (child_path == BRIDGE || child_path == BRIDGE_CONFIG)
                        && !self.view.is_mapped(&tree.node, &name) =>
                {
                    continue;
                }
                Ok(Some(child)) => child,
                // gone since it was listed, or withheld
                Ok(None) => continue,
                Err(error) => {
                    self.problems.push(Problem { path: child_path, reason: unreadable(error) });
                    continue;
                }
            };
            let child = tree.children.entry(name).or_insert_with(|| Tree::of(child));
            child.listed = true;
            if child.node.kind() == NodeKind::Directory {
                self.include(child, &child_path);
            }
        }
    }
}

impl Tree {
    fn of(node: Node) -> Tree {
        Tree { node, listed: false, children: BTreeMap::new() }
    }

    /// The entry at a package path.
    pub fn get(&self, path: &[u8]) -> Option<&Tree> {
        if path.is_empty() {
            return Some(self);
        }
        path::components(path).try_fold(self, |tree, name| tree.children.get(name))
    }

    /// All paths below this one, parents before what is in them, each directory sorted.
    pub fn paths(&self) -> Vec<(Vec<u8>, &Tree)> {
        fn collect<'a>(tree: &'a Tree, path: &[u8], into: &mut Vec<(Vec<u8>, &'a Tree)>) {
            for (name, child) in &tree.children {
                let path = join(path, name);
                into.push((path.clone(), child));
                collect(child, &path, into);
            }
        }
        let mut paths = Vec::new();
        collect(self, b"", &mut paths);
        paths
    }
}

type Step = (Vec<u8>, Node);

/// A way through the package: the links on it, and its end, each with all that is above it.
struct Walked {
    links: Vec<Vec<Step>>,
    end: Vec<Step>,
}

fn check(path: &[u8]) -> Result<Vec<u8>, Reason> {
    match path {
        b"." => Ok(Vec::new()),
        _ if path.starts_with(b"/") => Err(Reason::Absolute),
        _ => normal_form(path).map(<[u8]>::to_vec).ok_or(Reason::NotPlain),
    }
}

fn walk(view: &View, path: &[u8], last: Last) -> Result<Walked, Reason> {
    let root = view.root();
    let mut links: Vec<Vec<Step>> = Vec::new();
    let mut at: Vec<Step> = Vec::new();
    let mut pending: VecDeque<Vec<u8>> = components(path);
    while let Some(name) = pending.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                at.pop();
                continue;
            }
            _ => {}
        }
        let parent = at.last().map_or(&root, |(_, node)| node);
        let Some(child) = view.child(parent, &name).map_err(unreadable)? else {
            let rest = pending.iter().fold(name, |path, name| join(&path, name));
            let reached = join(&path_of(&at), &rest);
            return Err(absence(view, &reached, links.last()));
        };
        let kind = child.kind();
        at.push((name, child));
        if kind != NodeKind::Symlink || (last == Last::Kept && pending.is_empty()) {
            continue;
        }
        let (_, link) = &at[at.len() - 1];
        let text = link.read_link().map_err(|error| {
            let path = link.source_file().map(|source| source.path()).unwrap_or_default();
            Reason::Unreadable(path, error)
        })?;
        links.push(at.clone());
        if links.len() > MAX_LINKS {
            return Err(Reason::TooManyLinks);
        }
        // relative to the link's directory; an absolute one to the package's root
        at.pop();
        if text.starts_with(b"/") {
            at.clear();
        }
        for component in components(&text).into_iter().rev() {
            pending.push_front(component);
        }
    }
    Ok(Walked { links, end: at })
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path::components(path).map(<[u8]>::to_vec).collect()
}

fn absence(view: &View, reached: &[u8], link: Option<&Vec<Step>>) -> Reason {
    match (view.why_absent(reached), link) {
        (Absence::Hidden(source), _) => Reason::Hidden(source),
        (Absence::Withheld(source, what), _) => Reason::Withheld(source, what),
        (Absence::Vanished, Some(link)) => {
            Reason::BeyondLink { link: path_of(link), target: reached.to_vec() }
        }
        (Absence::Vanished, None) => Reason::Vanished,
    }
}

fn unreadable(error: view::Error) -> Reason {
    match error {
        view::Error::Stat { path, source } | view::Error::List { path, source } => {
            Reason::Unreadable(path, source)
        }
    }
}

fn path_of(steps: &[Step]) -> Vec<u8> {
    steps.iter().fold(Vec::new(), |path, (name, _)| join(&path, name))
}

fn insert<'a>(root: &'a mut Tree, steps: &[Step]) -> &'a mut Tree {
    steps.iter().fold(root, |tree, (name, node)| {
        tree.children.entry(name.clone()).or_insert_with(|| Tree::of(node.clone()))
    })
}
