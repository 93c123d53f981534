//! Whatever reads bytes of others, each as a function that takes any bytes: a *target*. It fails by a
//! panic, wherever in it that happens, or by never coming to an end.
//!
//! Below `corpus/` is a directory for each target, of inputs that lead to different places. The test
//! `replay` gives them all to their targets, and a number of mutations ([`mutate`]), on any machine;
//! `tests/fuzz.sh` lets libFuzzer find more of them, by what code they reach.
#![forbid(unsafe_code)]

mod bridge;
mod choices;
mod files;
mod grains;
mod host;
mod image;
pub mod mutate;
mod package;
mod rig;
mod rpc;

use std::path::{Path, PathBuf};

/// See the crate.
pub struct Target {
    /// Of its corpus and on the command line.
    pub name: &'static str,
    /// What is done with an input.
    pub run: fn(&[u8]),
    /// Longest input of a run of the fuzzer's: enough for what has to fit in.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "package", run: package::whole, longest: 16 << 10 },
    Target { name: "header", run: package::header, longest: 4 << 10 },
    Target { name: "archive", run: package::archive, longest: 8 << 10 },
    Target { name: "xz", run: package::xz, longest: 4 << 10 },
    Target { name: "keyring", run: package::keyring, longest: 4 << 10 },
    Target { name: "app_id", run: package::app_id, longest: 256 },
    Target { name: "pkgdef", run: package::pkgdef, longest: 8 << 10 },
    Target { name: "file_list", run: package::files, longest: 1 << 10 },
    Target { name: "trace", run: files::trace, longest: 2 << 10 },
    Target { name: "elf", run: files::elf, longest: 4 << 10 },
    Target { name: "printable", run: files::printable, longest: 256 },
    Target { name: "backup", run: grains::backup, longest: 4 << 10 },
    Target { name: "image", run: image::archive, longest: 16 << 10 },
    Target { name: "layers", run: image::layers, longest: 16 << 10 },
    Target { name: "meta", run: grains::meta, longest: 2 << 10 },
    Target { name: "records", run: host::records, longest: 4 << 10 },
    Target { name: "question", run: host::question, longest: 1 << 10 },
    Target { name: "front", run: host::front, longest: 4 << 10 },
    Target { name: "app_rpc", run: host::rpc, longest: 4 << 10 },
    Target { name: "response", run: bridge::response, longest: 4 << 10 },
    Target { name: "bridge_rpc", run: bridge::rpc, longest: 4 << 10 },
];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Where the inputs of a target are.
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// A corpus is small: see `tests/fuzz.sh`.
    const FILES: usize = 120;
    const BYTES: u64 = 300 << 10;

    #[test]
    fn each_target_has_a_small_corpus_and_no_corpus_is_without_a_target() {
        for target in TARGETS {
            let inputs = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap());
            let sizes: Vec<u64> = inputs.map(|input| input.metadata().unwrap().len()).collect();
            let bytes: u64 = sizes.iter().sum();
            assert!((3..=FILES).contains(&sizes.len()), "{}: {} files", target.name, sizes.len());
            assert!(bytes <= BYTES, "{}: {bytes} bytes", target.name);
            let longest = sizes.iter().max().copied().unwrap_or_default();
            assert!(longest <= target.longest as u64, "{}: {longest} bytes", target.name);
        }
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let dirs = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().file_name());
        let dirs: BTreeSet<_> = dirs.map(|name| name.into_string().unwrap()).collect();
        assert_eq!(dirs, TARGETS.iter().map(|target| target.name.to_owned()).collect());
    }
}
