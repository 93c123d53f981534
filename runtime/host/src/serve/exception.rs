//! What an app's call failed with, in words.

use spk_files::printable;

/// An exception of the app's as one printable line, of bounded length.
pub(crate) fn printable(error: &capnp::Error) -> String {
    const LONGEST: usize = 500;
    printable::cut(printable::line(error.to_string()), LONGEST)
}
