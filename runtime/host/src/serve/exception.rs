//! What an app's call failed with, in words.

/// An exception of the app's as one printable line, of bounded length.
pub(crate) fn printable(error: &capnp::Error) -> String {
    const LONGEST: usize = 500;
    let text = error.to_string();
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}
