//! What `spk pack --report` says.

use serde_json::{Value, json};
use spk_package::pack::Packed;
use spk_package::report::{Report, Suspicion};

use crate::package_input::shown;
use crate::ui::Ui;

/// Directories shown.
const DIRECTORIES: usize = 15;

/// Says it on stderr.
pub fn print(report: &Report, packed: &Packed, ui: &Ui) {
    ui.note(format!(
        "{} files with {} bytes; the package has {} bytes",
        report.files, report.bytes, packed.package_bytes
    ));
    ui.note("largest directories:");
    for (path, bytes) in report.largest(DIRECTORIES) {
        ui.note(format!("{bytes:>12} {}/", shown(path)));
    }
    for (path, suspicion) in &report.suspicions {
        ui.warn(format!("{}: {}", shown(path), why(*suspicion)));
    }
}

/// The same for programs.
pub fn json(report: &Report) -> Value {
    let directories: Vec<Value> = report
        .largest(DIRECTORIES)
        .into_iter()
        .map(|(path, bytes)| json!({ "path": shown(path), "bytes": bytes }))
        .collect();
    let warnings: Vec<Value> = report
        .suspicions
        .iter()
        .map(|(path, what)| {
            json!({ "path": shown(path), "kind": what.name(), "message": why(*what) })
        })
        .collect();
    json!({
        "files": report.files,
        "bytes": report.bytes,
        "largestDirectories": directories,
        "warnings": warnings,
    })
}

fn why(suspicion: Suspicion) -> &'static str {
    match suspicion {
        Suspicion::Secret => "looks like a private key or a password: everybody can read packages",
        Suspicion::ForeignCode => "is a program or library for another machine than x86-64",
        Suspicion::VersionControl => "is a version control directory, with the whole history",
        Suspicion::Package => "is a package itself",
        Suspicion::Cache => "is a cache, which the app would make again",
    }
}
