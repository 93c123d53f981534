//! Whether two bodies say the same, as far as that is not different from start to start.
//!
//! Of a text the words count, and not how often or in which order they come: apps print times,
//! numbers and IDs, and what they keep in hash tables in any order. What is not text is the same
//! byte by byte or not at all.

use std::collections::BTreeSet;

use super::tokens::{is_value, is_word, tokens};

/// Words that come and go with the time of day.
const OF_TIME: &str = "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri \
    sat sun january february march april may june july august september october november december \
    jan feb mar apr jun jul aug sep sept oct nov dec am pm now just ago today yesterday morning \
    afternoon evening night second seconds sec secs minute minutes min mins hour hours day days \
    moment moments";
/// Shorter words are no words, but the ends of values.
const SHORTEST: usize = 3;

/// What a body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The words of a text.
    Words(BTreeSet<String>),
    /// The digest of anything else.
    Digest(String),
}

/// What two bodies do not have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Only in the first.
    pub gone: BTreeSet<String>,
    /// Only in the second.
    pub come: BTreeSet<String>,
}

/// Whether a media type is that of a text.
pub fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || ["json", "xml", "javascript", "ecmascript", "x-www-form-urlencoded"]
            .iter()
            .any(|part| kind.ends_with(part))
}

/// The words of a text that stay what they are: those of a language, and names with a number at
/// their end.
pub fn words(text: &str) -> BTreeSet<String> {
    let of_time: BTreeSet<&str> = OF_TIME.split_whitespace().collect();
    tokens(text)
        .into_iter()
        .filter(|token| is_word(token) && token.chars().count() >= SHORTEST)
        .filter(|word| !is_value(word) || is_numbered(word))
        .filter(|word| !of_time.contains(word.to_ascii_lowercase().as_str()))
        .map(str::to_owned)
        .collect()
}

/// `img2`, `photo-12`: a word with a short number.
fn is_numbered(word: &str) -> bool {
    const DIGITS: usize = 3;
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - stem.len();
    let stem = stem.trim_end_matches(['-', '_']);
    (1..=DIGITS).contains(&digits) && stem.len() >= SHORTEST && !is_value(stem)
}

impl Said {
    /// What is different in `other`; nothing, if they say the same.
    pub fn change(&self, other: &Said) -> Option<Change> {
        let change = match (self, other) {
            (Said::Words(then), Said::Words(now)) => Change {
                gone: then.difference(now).cloned().collect(),
                come: now.difference(then).cloned().collect(),
            },
            (Said::Digest(then), Said::Digest(now)) if then == now => return None,
            _ => return Some(Change::default()),
        };
        (change != Change::default()).then_some(change)
    }
}

impl Change {
    /// In words.
    pub fn text(&self) -> String {
        const NAMED: usize = 3;
        let some = |words: &BTreeSet<String>| -> String {
            let named: Vec<&str> = words.iter().take(NAMED).map(String::as_str).collect();
            let more = if words.len() > NAMED { ", …" } else { "" };
            format!("{}{more}", named.join(", "))
        };
        match (self.gone.is_empty(), self.come.is_empty()) {
            (true, true) => "other content".into(),
            (false, true) => format!("content without: {}", some(&self.gone)),
            (true, false) => format!("content with: {}", some(&self.come)),
            (false, false) => {
                format!("content without: {}, but with: {}", some(&self.gone), some(&self.come))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(then: &str, now: &str) -> Option<Change> {
        Said::Words(words(then)).change(&Said::Words(words(now)))
    }

    #[test]
    fn times_numbers_and_values_are_no_content() {
        assert_eq!(
            change(
                "<p>Tue Dec 1 00:32:57 2026, 3 notes, id kQz81 a3f9c2d4</p>",
                "<p>Wed Jan 2 10:01:00 2027, 14 notes, id Zx0 77aa</p>"
            ),
            None
        );
        assert_eq!(change("{\"b\": 1, \"alpha\": 2}", "{\"alpha\": 7, \"b\": 2}"), None);
    }

    #[test]
    fn words_that_are_gone_are() {
        let found = change("img1.png img2.png Guten Tag", "img1.png Hello").unwrap();
        assert_eq!(found.text(), "content without: Guten, Tag, img2, but with: Hello");
        let (one, two) = (Said::Digest("a".into()), Said::Digest("b".into()));
        assert_eq!(one.change(&one.clone()), None);
        assert_eq!(one.change(&two).unwrap().text(), "other content");
    }

    #[test]
    fn texts_are_known_by_their_media_type() {
        for kind in ["text/html; charset=utf-8", "application/json", "image/svg+xml"] {
            assert!(is_text(kind), "{kind}");
        }
        for kind in ["image/png", "application/octet-stream", ""] {
            assert!(!is_text(kind), "{kind}");
        }
    }
}
