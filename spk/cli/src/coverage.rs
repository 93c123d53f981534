//! How much of an app was used, in words.

use spk_files::printable;
use spk_package::coverage::{Coverage, Untouched};

use crate::ui::Ui;

/// Directories that are named, at most, where nobody asked for all of them.
const NAMED: usize = 10;

/// All of it in one line.
pub fn sum(coverage: &Coverage) -> String {
    format!(
        "{} of {} files of the app were used ({} %)",
        coverage.touched,
        coverage.files(),
        coverage.percent()
    )
}

/// A directory with what was never touched in it.
pub fn line(dir: &Untouched) -> String {
    let path = printable::line(&dir.path);
    let (path, what) = match dir.whole {
        true => (format!("{path}/"), "nothing was used"),
        false if path.is_empty() => ("/".to_owned(), "not used"),
        false => (path, "not used"),
    };
    let size = format!("{} KB", dir.bytes.div_ceil(1000));
    let files = if dir.files == 1 { "file" } else { "files" };
    format!("{path}: {what}: {} {files}, {size}", dir.files)
}

/// What was used, and where most of what was not is.
pub fn tell(coverage: &Coverage, ui: &Ui) {
    ui.note(sum(coverage));
    for dir in coverage.untouched.iter().take(NAMED) {
        ui.note(format!("  {}", line(dir)));
    }
    if coverage.untouched.len() > NAMED {
        let more = coverage.untouched.len() - NAMED;
        ui.note(format!("  and {more} more: spk files coverage names all of them"));
    }
}
