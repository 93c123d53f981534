//! What `spk pack --report` says.

use serde_json::{Value, json};
use spk_package::guard::Review;
use spk_package::pack::Packed;
use spk_package::report::Report;

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
}

/// The same for programs.
pub fn json(report: &Report, review: &Review) -> Value {
    let directories: Vec<Value> = report
        .largest(DIRECTORIES)
        .into_iter()
        .map(|(path, bytes)| json!({ "path": shown(path), "bytes": bytes }))
        .collect();
    let warnings: Vec<Value> = review
        .all()
        .into_iter()
        .map(|(path, finding)| {
            let kind = finding.kind;
            json!({ "path": shown(path), "kind": kind.name(), "message": kind.what() })
        })
        .collect();
    json!({
        "files": report.files,
        "bytes": report.bytes,
        "largestDirectories": directories,
        "warnings": warnings,
    })
}
