//! Citations of the specifications in `docs/spec`: `http-bridge §4.9`, as its README defines them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The specifications: of each document, its sections' text under their numbers.
pub struct Specs(HashMap<String, HashMap<String, String>>);

/// A citation, or what is wrong with it.
#[derive(Debug, PartialEq)]
pub struct Finding {
    /// Line of the text, from 1.
    pub line: usize,
    /// `None`: it resolves.
    pub fault: Option<String>,
}

impl Specs {
    /// Reads the documents of `dir`; its README is none of them.
    pub fn read(dir: &Path) -> Self {
        let files = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
        let documents = files.filter(|path| path.extension().is_some_and(|end| end == "md"));
        Self(
            documents
                .map(|path| (stem(&path), sections(&fs::read_to_string(&path).unwrap())))
                .filter(|(name, _)| name != "README")
                .collect(),
        )
    }

    /// The names by which the documents are cited.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Everything in `text` that cites a document, or tries to. Within a document of ours (`own`)
    /// a section without a name is its own.
    pub fn citations(&self, text: &str, own: Option<&str>) -> Vec<Finding> {
        let (text, lines) = unwrapped(text);
        let line = |at| lines.partition_point(|start| *start <= at);
        let mut found: Vec<Finding> = self
            .unmarked(&text)
            .map(|(at, name)| Finding {
                line: line(at),
                fault: Some(format!(
                    "a section of {name} is cited in another form than \"{name} §1\""
                )),
            })
            .collect();
        // The document of the citation before, and where that ended.
        let mut before: Option<(&str, usize)> = None;
        for (at, sign) in text.match_indices('§') {
            let name = self.name_before(&text[..at]);
            let listed = before.filter(|(_, end)| {
                matches!(&text[*end..at], ", " | " and " | ", and " | " to " | "; ")
            });
            let label = label(&text[at + sign.len()..]);
            let mut end = at + sign.len() + label.len();
            // The sign alone, or of other documents.
            if label.is_empty() || (name.is_none() && rfc(&text[..at])) {
                continue;
            }
            let fault = match name.or(listed.map(|(name, _)| name)).or(own) {
                None => Some(format!("§{label} is of no known document")),
                Some(name) => {
                    let section = self.0[name].get(label);
                    let item = item(&text[end..]);
                    end += item.map_or(0, |(_, length)| length);
                    before = Some((name, end));
                    match (section, item) {
                        (None, _) => Some(format!("{name} has no section {label}")),
                        (Some(section), Some((number, _))) if !has_item(section, number) => {
                            Some(format!("{name} §{label} has no item {number}"))
                        }
                        _ => None,
                    }
                }
            };
            found.push(Finding { line: line(at), fault });
        }
        found
    }

    /// The document whose name and one space are the end of `text`.
    fn name_before<'a>(&'a self, text: &str) -> Option<&'a str> {
        let text = text.strip_suffix(' ')?;
        self.names().into_iter().find(|name| text.strip_suffix(name).is_some_and(word_starts))
    }

    /// Names followed by a section's number in the forms that no search for "NAME §" finds.
    fn unmarked<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let all = self.names().into_iter();
        all.flat_map(move |name| text.match_indices(name)).filter(|(at, name)| {
            let mut rest = &text[at + name.len()..];
            for word in [".md", ",", " specification", ",", " section", ","] {
                rest = rest.strip_prefix(word).unwrap_or(rest);
            }
            let Some(number) = rest.strip_prefix(' ').map(|rest| rest.trim_start_matches('§'))
            else {
                return false;
            };
            let marked = text[at + name.len()..].starts_with(" §");
            !marked && word_starts(&text[..*at]) && numbered(label(number))
        })
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Whether a word may begin behind `text`.
fn word_starts(text: &str) -> bool {
    !text.ends_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c))
}

/// Whether `text` ends in `RFC 9110 ` or alike: those documents are not ours.
fn rfc(text: &str) -> bool {
    let text = text.trim_end_matches([' ', ',']);
    text.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with("RFC ")
}

/// The number of a section at the beginning of `text`: `4.9`, `A.14`, `B2`, `D`.
fn label(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// Whether a label is surely the number of a section, and no other number or word.
fn numbered(label: &str) -> bool {
    let number = match label.split_once('.') {
        Some((letter, number))
            if letter.len() == 1 && letter.as_bytes()[0].is_ascii_uppercase() =>
        {
            number
        }
        _ => label,
    };
    let number = number.replace('.', "");
    !number.is_empty() && number.len() < 5 && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// ` item 29` at the beginning of `text`: the number, and the length of all.
fn item(text: &str) -> Option<(u32, usize)> {
    let number = text.strip_prefix(" item ")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    Some((number[..end].parse().ok()?, " item ".len() + end))
}

/// Whether one of the list's items or the table's rows in `section` has this number.
fn has_item(section: &str, number: u32) -> bool {
    let (listed, row) = (format!("{number}. "), format!("| {number} |"));
    section.lines().any(|line| line.starts_with(&listed) || line.starts_with(&row))
}

/// The text of each section of a document, with that of those below it, under its number.
fn sections(document: &str) -> HashMap<String, String> {
    let mut sections: HashMap<String, String> = HashMap::new();
    // The numbers and depths of the sections that we are in.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut code = false;
    for line in document.lines() {
        code ^= line.starts_with("```");
        let depth = line.bytes().take_while(|byte| *byte == b'#').count();
        if let Some(title) = line[depth..].strip_prefix(' ').filter(|_| depth > 0 && !code) {
            open.retain(|(above, _)| *above < depth);
            let title = title.strip_prefix("Part ").unwrap_or(title);
            let number = label(title);
            // "1. Overview", "4.9 Bodies", "A.14 Log", "B2. What breaks", "A – what exists"
            let numbered = number.bytes().any(|byte| byte.is_ascii_digit()) || number.len() == 1;
            if numbered {
                open.push((depth, number.to_owned()));
            }
        }
        for (_, number) in &open {
            let text = sections.entry(number.clone()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}

/// `text` in one line, without what comments begin with, and where each line of it begins.
fn unwrapped(text: &str) -> (String, Vec<usize>) {
    let mut joined = String::new();
    let mut starts = Vec::new();
    for line in text.lines() {
        starts.push(joined.len());
        let line = line.trim();
        let leader =
            ["//!", "///", "//", "#", "* "].into_iter().find(|leader| line.starts_with(leader));
        joined.push_str(line.strip_prefix(leader.unwrap_or_default()).unwrap_or(line).trim());
        joined.push(' ');
    }
    (joined, starts)
}

/// All files of `dir` and below that people write: sources, scripts, pages.
pub fn written(dir: &Path, found: &mut Vec<PathBuf>) {
    const ENDS: [&str; 10] = ["rs", "js", "css", "html", "md", "sh", "toml", "c", "py", "capnp"];
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        // Made, not written; or somebody else's.
        if hidden || ["target", "data", "generated", "node_modules"].iter().any(|no| name == *no) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            written(&path, found);
        } else if path.extension().is_some_and(|end| ENDS.iter().any(|known| end == *known)) {
            found.push(path);
        }
    }
}
