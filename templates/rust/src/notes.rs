//! The notes, kept in a file to which every change is appended.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A note.
pub struct Note {
    pub author: String,
    pub text: String,
}

/// All notes, and the file they are in. A line is `+ID author text` or `-ID`, with blanks and
/// everything else unusual percent-encoded.
pub struct Notes {
    file: File,
    notes: BTreeMap<u64, Note>,
    next: u64,
}

impl Notes {
    /// Reads the file, or starts it.
    pub fn open(path: &Path) -> io::Result<Notes> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let text = fs::read_to_string(path)?;
        // A line cut short when the app was killed is cut off.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        let mut notes = Notes { file, notes: BTreeMap::new(), next: 1 };
        text[..whole].lines().for_each(|line| notes.apply(line));
        Ok(notes)
    }

    /// By number, oldest first.
    pub fn all(&self) -> impl Iterator<Item = (&u64, &Note)> {
        self.notes.iter()
    }

    pub fn add(&mut self, author: &str, text: &str) -> io::Result<()> {
        self.record(format!("+{} {} {}\n", self.next, encode(author), encode(text)))
    }

    pub fn delete(&mut self, id: u64) -> io::Result<()> {
        self.record(format!("-{id}\n"))
    }

    fn record(&mut self, line: String) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.apply(line.trim_end());
        Ok(())
    }

    fn apply(&mut self, line: &str) {
        let number = |text: &str| text.parse::<u64>().ok();
        if let Some(id) = line.strip_prefix('-').and_then(number) {
            self.notes.remove(&id);
            return;
        }
        let mut parts = line.splitn(3, ' ');
        let id = parts.next().and_then(|id| id.strip_prefix('+')).and_then(number);
        if let (Some(id), Some(author), Some(text)) = (id, parts.next(), parts.next()) {
            let decode = |text| crate::text::decode(text, false);
            self.notes.insert(id, Note { author: decode(author), text: decode(text) });
            self.next = self.next.max(id + 1);
        }
    }
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02x}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stay_and_a_half_line_is_dropped() {
        let path = std::env::temp_dir().join(format!("notes-{}", std::process::id()));
        {
            let mut notes = Notes::open(&path).unwrap();
            notes.add("Zoë B", "50 % of\nit").unwrap();
            notes.add("a", "second").unwrap();
            notes.delete(2).unwrap();
        }
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"+3 a hal").unwrap();
        let mut notes = Notes::open(&path).unwrap();
        let all: Vec<_> = notes.all().map(|(id, n)| (*id, n.author.clone(), n.text.clone())).collect();
        assert_eq!(all, [(1, "Zoë B".to_owned(), "50 % of\nit".to_owned())]);
        notes.add("a", "third").unwrap();
        assert_eq!(Notes::open(&path).unwrap().all().count(), 2);
        fs::remove_file(&path).unwrap();
    }
}
