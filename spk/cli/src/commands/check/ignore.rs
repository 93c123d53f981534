//! What a check need not mind: patterns in a small file beside the file list, `NAME.ignore` beside
//! `NAME`, which belongs to the app's sources.
//!
//! One on a line, `#` begins a comment, `*` stands for any characters:
//!
//! ```text
//! request GET /clock*          # how it is answered
//! body /feed                   # what the answer says; its status counts
//! path usr/share/zoneinfo/*    # that it is missing
//! write opt/app/cache/*        # that it was to be written
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result, ResultExt};

/// Longer files are no lists of patterns.
const MAX_LEN: u64 = 1 << 20;

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<(What, String)>,
}

/// What a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Request,
    Body,
    Path,
    Write,
}

/// Where the patterns are: `NAME.ignore` beside `NAME`, which is the file list, or the definition
/// itself if it has no list.
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".ignore");
    file.with_file_name(name)
}

impl Ignore {
    /// Reads the patterns; none, if there is no such file.
    pub fn load(path: &Path) -> Result<Ignore> {
        let shown = path.display();
        let cannot = || format!("cannot read what a check need not mind, {shown}");
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ignore::default()),
            Err(error) => return Err(error).context(cannot()),
            Ok(metadata) if metadata.len() > MAX_LEN => {
                return Err(CliError::new(cannot()).context(format!("larger than {MAX_LEN} bytes")));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).context(cannot())?;
        Ignore::parse(&text).map_err(|line| {
            CliError::new(format!("{shown}, line {line}: no pattern"))
                .hint("request, body, path or write, and then what, as in: request GET /clock*")
        })
    }

    /// The number of the line that is none is the error.
    fn parse(text: &str) -> std::result::Result<Ignore, usize> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = match line.split_once('#') {
                // Targets have it too, but not after a blank.
                Some((before, _)) if before.is_empty() || before.ends_with([' ', '\t']) => before,
                _ => line,
            };
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (what, pattern) = line.split_once([' ', '\t']).ok_or(number + 1)?;
            let what = match what {
                "request" => What::Request,
                "body" => What::Body,
                "path" => What::Path,
                "write" => What::Write,
                _ => return Err(number + 1),
            };
            rules.push((what, pattern.trim().to_owned()));
        }
        Ok(Ignore { rules })
    }

    fn has(&self, what: What, texts: &[&str]) -> bool {
        let mut rules = self.rules.iter().filter(|(of, _)| *of == what);
        rules.any(|(_, pattern)| texts.iter().any(|text| matches(pattern, text)))
    }

    /// Whether it does not matter how a request is answered; `target` is path and query.
    pub fn request(&self, method: &str, target: &str) -> bool {
        self.has(What::Request, &[target, &format!("{method} {target}")])
    }

    /// Whether it does not matter what an answer says.
    pub fn body(&self, method: &str, target: &str) -> bool {
        self.has(What::Body, &[target, &format!("{method} {target}")])
    }

    /// Whether it does not matter that a path is missing.
    pub fn path(&self, path: &[u8]) -> bool {
        self.has(What::Path, &[&String::from_utf8_lossy(path)])
    }

    /// Whether it does not matter that a path was to be written.
    pub fn write(&self, path: &[u8]) -> bool {
        self.has(What::Write, &[&String::from_utf8_lossy(path)])
    }
}

/// Whether a pattern stands for all of a text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any other: what follows has more to choose from.
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in
            [("/a", "/a"), ("/a*", "/a"), ("*", ""), ("/a*c", "/abcc"), ("*/b/*/d", "x/b/b/c/d")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("/a", "/ab"), ("/a*c", "/ab"), ("a*a", "a"), ("", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_are_for_what_they_say() {
        let text = "# what changes\nrequest GET /clock*  # every second\n\nbody /feed#x\n\
                    path usr/share/zoneinfo/*\nwrite opt/app/cache/*\n";
        let ignore = Ignore::parse(text).unwrap();
        assert!(ignore.request("GET", "/clock?x"));
        assert!(!ignore.request("POST", "/clock"));
        assert!(ignore.body("POST", "/feed#x") && !ignore.request("POST", "/feed#x"));
        assert!(ignore.path(b"usr/share/zoneinfo/UTC") && !ignore.write(b"usr/share/zoneinfo/UTC"));
        assert!(ignore.write(b"opt/app/cache/x"));
        assert_eq!(Ignore::parse("request /x\nreqest /y"), Err(2));
        assert_eq!(Ignore::parse("body"), Err(1));
    }

    #[test]
    fn no_file_is_no_pattern() {
        let dir = tempfile::tempdir().unwrap();
        let path = beside(&dir.path().join("sandstorm-files.list"));
        assert!(path.ends_with("sandstorm-files.list.ignore"));
        assert_eq!(Ignore::load(&path).unwrap(), Ignore::default());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(Ignore::load(&path).is_err());
    }
}
