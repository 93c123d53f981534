//! The committed bindings are what the schemas say.
//!
//! `SPK_REGENERATE=1 cargo test -p spk-schema` writes them anew after a schema change.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Schema files whose bindings are committed, below `capnp/`.
const FILES: &[&str] = &[
    "sandstorm/activity.capnp",
    "sandstorm/api-session.capnp",
    "sandstorm/app-index/submit.capnp",
    "sandstorm/appid-replacements.capnp",
    "sandstorm/bridge-proxy.capnp",
    "sandstorm/email.capnp",
    "sandstorm/grain.capnp",
    "sandstorm/hack-session.capnp",
    "sandstorm/identity.capnp",
    "sandstorm/ip.capnp",
    "sandstorm/package.capnp",
    "sandstorm/powerbox.capnp",
    "sandstorm/sandstorm-http-bridge-internal.capnp",
    "sandstorm/sandstorm-http-bridge.capnp",
    "sandstorm/util.capnp",
    "sandstorm/web-session.capnp",
    "capnp/rust.capnp",
    "spk/losses.capnp",
];

#[test]
fn bindings_are_up_to_date() {
    if std::process::Command::new("capnp").arg("--version").output().is_err() {
        spk_skip::skip("bindings_are_up_to_date", "capnp is not installed");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let mut command = capnpc::CompilerCommand::new();
    command
        .src_prefix(root.join("capnp"))
        .import_path(root.join("capnp"))
        .no_standard_import()
        .output_path(out.path());
    for file in FILES {
        command.file(root.join("capnp").join(file));
    }
    command.run().unwrap();

    let mut differing = Vec::new();
    for file in FILES {
        // The generator keeps the folder and writes `-` in the name as `_`.
        let (folder, name) = file.rsplit_once('/').unwrap();
        let name = name.replace(".capnp", "_capnp.rs").replace('-', "_");
        let fresh = fs::read_to_string(out.path().join(folder).join(&name)).unwrap();
        // The version of the compiler that wrote them is not what is compared.
        let fresh: String = fresh
            .lines()
            .filter(|line| !line.starts_with("// capnp binary version"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let committed = root.join("src/generated").join(&name);
        if std::env::var_os("SPK_REGENERATE").is_some() {
            fs::write(&committed, &fresh).unwrap();
        } else if fs::read_to_string(&committed).unwrap_or_default() != fresh {
            differing.push(name);
        }
    }
    assert!(differing.is_empty(), "out of date, run with SPK_REGENERATE=1: {differing:?}");
}
