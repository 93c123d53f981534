//! The project's own sources, for tests that say something of all of them.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// The top directory of the repository.
pub fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

/// All Rust files of `dir` and below, but for what cargo made.
pub fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || name != "target" && !name.starts_with('.')
    };
    let all = WalkDir::new(dir).sort_by_file_name().into_iter().filter_entry(ours);
    all.map(|entry| entry.expect("the sources can be read").into_path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}
