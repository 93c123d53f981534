//! The lines of a grain's log: the app's and the host's own, which nothing the app writes looks like.
//!
//! The two come by different ways, and are told apart in the one text that people read by how their
//! lines begin: the host's with [`MARK`], and an app's line that begins so has [`QUOTE`] before it.

use spk_files::printable;

/// How the host's own lines begin.
const MARK: &[u8] = b"** spk: ";

/// What comes before a line of the app's that begins like one of the host's, and before the rest of
/// one that was interrupted.
const QUOTE: &[u8] = b"> ";

/// Bytes of one line; what is beyond is left out.
const LONGEST: usize = 64 << 10;

/// Where a line was cut.
const CUT: &[u8] = " […]".as_bytes();

/// What has come so far of the line that is being written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Bytes of it that are written.
    length: usize,
    /// The app's bytes that may yet turn out to begin a line like the host's.
    held: Vec<u8>,
}

impl Lines {
    /// Goes on in a text that ends in the middle of a line, or does not.
    pub fn after(ends_in_line: bool) -> Lines {
        Lines { length: usize::from(ends_in_line), held: Vec::new() }
    }

    /// What to write for bytes of the app's.
    pub fn app(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut written = Vec::with_capacity(bytes.len() + QUOTE.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.length > 0 {
                self.rest(piece, &mut written);
                continue;
            }
            self.held.extend_from_slice(piece);
            if self.held.len() < MARK.len() && MARK.starts_with(&self.held) {
                continue;
            }
            let start = std::mem::take(&mut self.held);
            if start.starts_with(MARK) {
                self.rest(QUOTE, &mut written);
            }
            self.rest(&start, &mut written);
        }
        written
    }

    /// What to write for a line of the host's.
    pub fn host(&mut self, line: &str) -> Vec<u8> {
        let mut written = self.end();
        written.extend_from_slice(MARK);
        written.extend_from_slice(printable::line(line).as_bytes());
        written.push(b'\n');
        written
    }

    /// What is left to write of the app's when it writes no more.
    pub fn flush(&mut self) -> Vec<u8> {
        self.length += self.held.len();
        std::mem::take(&mut self.held)
    }

    /// What to write so that a line comes to its end.
    fn end(&mut self) -> Vec<u8> {
        let mut written = self.flush();
        if std::mem::take(&mut self.length) > 0 {
            written.push(b'\n');
        }
        written
    }

    /// Bytes of a line whose beginning is known.
    fn rest(&mut self, piece: &[u8], written: &mut Vec<u8>) {
        let text = line_end(piece).map_or(piece, |end| &piece[..end]);
        let room = LONGEST.saturating_sub(self.length);
        written.extend_from_slice(&text[..text.len().min(room)]);
        if text.len() > room && self.length <= LONGEST {
            written.extend_from_slice(CUT);
        }
        self.length = (self.length + text.len()).min(LONGEST + 1);
        if text.len() < piece.len() {
            written.push(b'\n');
            self.length = 0;
        }
    }
}

/// What comes first in a text that goes on in the middle of a line.
pub(super) const CONTINUED: &[u8] = QUOTE;

/// The whole lines of a text that may begin in the middle of one.
pub(super) fn whole(text: &[u8]) -> &[u8] {
    line_end(text).map_or(&[], |end| &text[end + 1..])
}

fn line_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is written when the app writes these pieces.
    fn app(pieces: &[&str]) -> String {
        let mut lines = Lines::default();
        let mut written: Vec<u8> =
            pieces.iter().flat_map(|piece| lines.app(piece.as_bytes())).collect();
        written.extend(lines.end());
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn no_line_of_the_apps_begins_like_the_hosts() {
        for (pieces, written) in [
            (&["one\ntwo"][..], "one\ntwo\n"),
            (&["** spk: all is well\n"], "> ** spk: all is well\n"),
            (&["** s", "pk", ": ", "split\n"], "> ** spk: split\n"),
            (&["** sandstorm-http-bridge: x\n"], "** sandstorm-http-bridge: x\n"),
            (&["*", "\n** spk:x\n"], "*\n** spk:x\n"),
            (&["a ** spk: x\n\n** spk: y"], "a ** spk: x\n\n> ** spk: y\n"),
            (&["** spk:"], "** spk:\n"),
            (&[""], ""),
        ] {
            assert_eq!(app(pieces), written, "{pieces:?}");
        }
    }

    #[test]
    fn the_host_begins_its_own_line() {
        let mut lines = Lines::after(true);
        let mut written = lines.app(b"half");
        written.extend(lines.host("stopped:\nidle"));
        written.extend(lines.app(b"** spk: forged\n** "));
        written.extend(lines.host("again"));
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "half\n** spk: stopped:\\nidle\n> ** spk: forged\n** \n** spk: again\n"
        );
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut lines = Lines::default();
        let mut written = Vec::new();
        for _ in 0..100 {
            written.extend(lines.app(&[b'x'; 4096]));
        }
        written.extend(lines.app(b"x\nnext\n"));
        let text = String::from_utf8(written).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first.len(), LONGEST + CUT.len());
        assert!(first.ends_with("x […]"));
        assert_eq!(rest, "next\n");
    }

    #[test]
    fn a_part_begins_with_a_whole_line() {
        assert_eq!(whole(b"f\n** spk: x\n"), b"** spk: x\n");
        assert_eq!(whole(b"** spk: x"), b"");
    }

    proptest::proptest! {
        /// However it is cut into pieces, and whatever the host says in between.
        #[test]
        fn only_the_host_has_its_lines(
            pieces in proptest::collection::vec("[*spk: \n>x]{0,12}", 0..12), says: u16,
        ) {
            let mut lines = Lines::default();
            let (mut written, mut said) = (Vec::new(), 0);
            for (number, piece) in pieces.iter().enumerate() {
                written.extend(lines.app(piece.as_bytes()));
                if says >> number & 1 == 1 {
                    said += 1;
                    written.extend(lines.host("h"));
                }
            }
            written.extend(lines.end());
            let text = String::from_utf8(written).unwrap();
            proptest::prop_assert_eq!(text.lines().filter(|line| line.starts_with("** spk: ")).count(), said);
        }
    }
}
