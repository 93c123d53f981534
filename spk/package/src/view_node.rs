//! One path of the [view](crate::view): what it is, and how to read it.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use crate::source_map::source_path;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A directory, merged from one or more.
    Directory,
    /// A regular file, executable or not.
    File,
    /// A symbolic link, shown as such.
    Symlink,
    /// A FIFO; packed as an empty file, as are the kinds below.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl NodeKind {
    /// From what the system says.
    pub fn of(kind: FileType) -> NodeKind {
        if kind.is_dir() {
            NodeKind::Directory
        } else if kind.is_symlink() {
            NodeKind::Symlink
        } else if kind.is_fifo() {
            NodeKind::Fifo
        } else if kind.is_socket() {
            NodeKind::Socket
        } else if kind.is_char_device() {
            NodeKind::CharDevice
        } else if kind.is_block_device() {
            NodeKind::BlockDevice
        } else {
            NodeKind::File
        }
    }

    /// Neither directory, regular file nor link.
    pub fn is_special(self) -> bool {
        !matches!(self, NodeKind::Directory | NodeKind::File | NodeKind::Symlink)
    }
}

/// Where the content of a node that is no directory comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// Made by the tool; always a regular file.
    Bytes(Arc<[u8]>),
    /// On this machine.
    Source(SourceFile),
}

/// A file on this machine: a mapping's source path and the path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The mapping's source path; links on the way to it are followed.
    pub root: PathBuf,
    /// The path below `root`, on which no link is followed; empty: `root` itself.
    pub rest: Vec<u8>,
}

/// One layer of a directory. Only [`crate::view::View`] makes sense of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The generated files and directories of the root.
    GeneratedRoot,
    /// `proc` with its `cpuinfo`.
    GeneratedProc,
    /// `dev`, `tmp`, `var`.
    GeneratedEmpty,
    /// On the way to a mapping's package path: shows its component number `depth`.
    Virtual {
        /// Index in the source map.
        mapping: usize,
        /// Number of components already walked.
        depth: usize,
    },
    /// A directory of a mapping.
    Source {
        /// Index in the source map.
        mapping: usize,
        /// Path below the mapping's source path.
        rest: Vec<u8>,
    },
}

/// What is at a path of the view, as it was when it was looked up.
#[derive(Clone, Debug)]
pub struct Node {
    kind: NodeKind,
    metadata: Option<Metadata>,
    content: Option<Content>,
    layers: Vec<Layer>,
}

impl Node {
    pub(crate) fn directory(layers: Vec<Layer>, metadata: Option<Metadata>) -> Node {
        Node { kind: NodeKind::Directory, metadata, content: None, layers }
    }

    pub(crate) fn bytes(bytes: Arc<[u8]>) -> Node {
        let content = Some(Content::Bytes(bytes));
        Node { kind: NodeKind::File, metadata: None, content, layers: Vec::new() }
    }

    pub(crate) fn source(source: SourceFile, metadata: Metadata) -> Node {
        let kind = NodeKind::of(metadata.file_type());
        let content = Some(Content::Source(source));
        Node { kind, metadata: Some(metadata), content, layers: Vec::new() }
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Of the source that decides (for a directory the first that is merged); `None` for what is
    /// generated and for directories that exist only because of a mapping below them.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Where the content comes from; `None` for directories.
    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// The layers of a directory, first one first; empty for anything else.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Length in bytes of a regular file's content or a link's text; 0 for anything else.
    pub fn size(&self) -> u64 {
        match (&self.content, &self.metadata) {
            (Some(Content::Bytes(bytes)), _) => bytes.len() as u64,
            (Some(_), Some(metadata)) if !self.kind.is_special() => metadata.len(),
            _ => 0,
        }
    }

    /// Time of modification in nanoseconds since 1970, may be negative; `None` without a source.
    pub fn mtime_ns(&self) -> Option<i128> {
        let metadata = self.metadata.as_ref()?;
        Some(i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
    }

    /// A regular file with the owner-execute bit (package-format §5.1).
    pub fn is_executable(&self) -> bool {
        self.kind == NodeKind::File
            && self.metadata.as_ref().is_some_and(|metadata| metadata.mode() & 0o100 != 0)
    }

    /// The file on this machine, if it is one.
    pub fn source_file(&self) -> Option<&SourceFile> {
        match &self.content {
            Some(Content::Source(source)) => Some(source),
            _ => None,
        }
    }

    /// The text of a link.
    pub fn read_link(&self) -> io::Result<Vec<u8>> {
        match self.source_file() {
            Some(source) if self.kind == NodeKind::Symlink => {
                Ok(std::fs::read_link(source.path())?.into_os_string().into_vec())
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl SourceFile {
    /// The path on this machine.
    pub fn path(&self) -> PathBuf {
        let root = source_path(&self.root);
        match self.rest.as_slice() {
            b"" => root.to_owned(),
            rest => root.join(std::ffi::OsStr::from_bytes(rest)),
        }
    }

    /// Opens the regular file for reading. No link below the mapping's source path is followed, so
    /// that a source that changes at this moment cannot lead out of the map; a FIFO or device that
    /// took the file's place is refused without being waited for.
    pub fn open(&self) -> io::Result<File> {
        self.open_with_metadata().map(|(file, _)| file)
    }

    /// As [`open`](SourceFile::open), with what the open file is.
    pub fn open_with_metadata(&self) -> io::Result<(File, Metadata)> {
        spk_files::open_regular(source_path(&self.root), &self.rest)
    }
}
