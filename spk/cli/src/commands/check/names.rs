//! What the app called something when it was recorded, and what it calls it now.
//!
//! A new grain gives out new session IDs, tokens against forged requests, nonces and names in paths.
//! The recorded answer and the one of now have them in the same place, whatever else changed; where
//! later requests have the old one, the new one takes its place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::tokens::{is_value, is_word, tokens};

/// Shorter values take each other's place only behind the same word as in the answers (`/notes/17`):
/// elsewhere they may mean something else.
const LONG: usize = 6;
/// How long two answers are compared at most; what is not found then is not known.
const TIME: Duration = Duration::from_secs(1);
/// Characters that may be within a value, such as one in base64.
const INNER: [&str; 5] = ["+", "/", ".", "~", ":"];

/// See the module's description.
#[derive(Debug, Default)]
pub struct Names {
    /// Words, wherever they are.
    words: BTreeMap<String, String>,
    /// Short words, by the word before them.
    short: BTreeMap<(String, String), String>,
    /// Values of several words, the longest first.
    values: Vec<(String, String)>,
}

/// What is not the same in two texts: ranges of their tokens.
struct Change {
    then: Range<usize>,
    now: Range<usize>,
}

impl Names {
    /// Compares an answer as it was recorded with the one of now. Gives the words that were in the
    /// recorded one and have no counterpart.
    pub fn learn(&mut self, then: &str, now: &str) -> BTreeSet<String> {
        let mut lost = BTreeSet::new();
        if then == now {
            return lost;
        }
        // What is in both is called the same, and only stands in another place: what is kept in a hash
        // table comes in any order.
        let stays = |value: &str| value.len() >= LONG && now.contains(value);
        let (then, now) = (tokens(then), tokens(now));
        let deadline = Instant::now() + TIME;
        let ops = capture_diff_slices_deadline(Algorithm::Myers, &then, &now, Some(deadline));
        for Change { then: old, now: new } in changes(&ops) {
            let whole = (value_around(&then, &old), value_around(&now, &new));
            if let (Some(then), Some(now)) = &whole
                && !stays(then)
            {
                self.learn_value(then, now);
            }
            if old.len() != new.len() {
                if whole.0.is_none() || whole.1.is_none() {
                    lost.extend(then[old].iter().filter(|word| is_word(word)).map(|&w| w.into()));
                }
                continue;
            }
            let before = then[..old.start].iter().rev().find(|token| is_word(token));
            let mut behind = before.copied().unwrap_or_default();
            for (then, now) in then[old].iter().zip(&now[new]) {
                if is_word(then) && is_word(now) && is_value(then) && then != now && !stays(then) {
                    self.rename(behind, then, now);
                }
                if is_word(then) {
                    behind = then;
                }
            }
        }
        lost
    }

    fn rename(&mut self, behind: &str, then: &str, now: &str) {
        if then.len() >= LONG {
            self.words.insert(then.to_owned(), now.to_owned());
        } else {
            self.short.insert((behind.to_owned(), then.to_owned()), now.to_owned());
        }
    }

    /// A whole value, then and now.
    pub fn learn_value(&mut self, then: &str, now: &str) {
        if then == now || then.len() < LONG || now.is_empty() || !is_value(then) {
            return;
        }
        if tokens(then).len() == 1 {
            self.words.insert(then.to_owned(), now.to_owned());
            return;
        }
        self.values.retain(|(known, _)| known != then);
        let at = self.values.partition_point(|(known, _)| known.len() >= then.len());
        self.values.insert(at, (then.to_owned(), now.to_owned()));
    }

    /// A text with what the app calls things now.
    pub fn in_text(&self, text: &str) -> String {
        self.words_in(&self.values_in(text), &mut String::new())
    }

    /// The same for what is percent-encoded in parts: a request's target, or a form.
    pub fn in_encoded(&self, text: &str) -> String {
        let text = self.values_in(text);
        let (mut all, mut behind) = (String::with_capacity(text.len()), String::new());
        for part in text.split_inclusive(['/', '?', '&', '=', '#', ';']) {
            let (part, end) = match part.char_indices().next_back() {
                Some((at, c)) if "/?&=#;".contains(c) => part.split_at(at),
                _ => (part, ""),
            };
            // An encoded value is one only as a whole.
            match decoded(part) {
                Some(decoded) => {
                    let now = self.words_in(&self.values_in(&decoded), &mut behind);
                    match now == decoded {
                        true => all.push_str(part),
                        false => all.push_str(&encoded(&now)),
                    }
                }
                None => all.push_str(&self.words_in(part, &mut behind)),
            }
            all.push_str(end);
        }
        all
    }

    fn values_in(&self, text: &str) -> String {
        let mut whole = text.to_owned();
        for (then, now) in &self.values {
            if whole.contains(then.as_str()) {
                whole = whole.replace(then, now);
            }
        }
        whole
    }

    /// `behind`: the word before the text, and then the last one in it.
    fn words_in(&self, text: &str, behind: &mut String) -> String {
        let mut renamed = String::with_capacity(text.len());
        for token in tokens(text) {
            if !is_word(token) {
                renamed.push_str(token);
                continue;
            }
            let short = || self.short.get(&(behind.clone(), token.to_owned()));
            let now = self.words.get(token).or_else(short);
            renamed.push_str(now.map_or(token, String::as_str));
            token.clone_into(behind);
        }
        renamed
    }
}

/// The changes; what follows upon each other is one.
fn changes(ops: &[DiffOp]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for op in ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })) {
        let (old, new) = (op.old_range(), op.new_range());
        match changes.last_mut() {
            Some(last) if last.then.end >= old.start && last.now.end >= new.start => {
                last.then.end = last.then.end.max(old.end);
                last.now.end = last.now.end.max(new.end);
            }
            _ => changes.push(Change { then: old, now: new }),
        }
    }
    changes
}

/// The value that a change is in, as far as that goes; nothing, if there is none, or several.
fn value_around(tokens: &[&str], change: &Range<usize>) -> Option<String> {
    let is_inner = |at: usize| match tokens.get(at) {
        // At the end of a value, and between a name and one.
        Some(&"=") => tokens.get(at + 1).is_none_or(|next| !is_word(next)),
        Some(token) => is_word(token) || INNER.contains(token),
        None => false,
    };
    let (mut start, mut end) = (change.start, change.end);
    while start > 0 && is_inner(start - 1) {
        start -= 1;
    }
    while is_inner(end) {
        end += 1;
    }
    let whole = (start..end).all(is_inner) && start < end;
    whole.then(|| tokens[start..end].concat())
}

/// What a part of a target or form means, if it is encoded at all.
fn decoded(part: &str) -> Option<String> {
    if !part.contains(['%', '+']) {
        return None;
    }
    let part = part.replace('+', " ");
    percent_decode_str(&part).decode_utf8().ok().map(Cow::into_owned)
}

/// All but what need not be encoded anywhere (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learned(then: &str, now: &str) -> Names {
        let mut names = Names::default();
        names.learn(then, now);
        names
    }

    #[test]
    fn values_are_found_in_the_same_place() {
        let page = |token: &str, time: &str| {
            format!("<p>at {time}</p><input name=\"csrf\" value=\"{token}\"><a href=/x>x</a>")
        };
        let names = learned(&page("a1b2c3d4", "10:01:02"), &page("ffff0000", "11:30:00"));
        assert_eq!(names.in_encoded("csrf=a1b2c3d4&text=a"), "csrf=ffff0000&text=a");
        assert_eq!(names.in_text("{\"t\":\"a1b2c3d4\"}"), "{\"t\":\"ffff0000\"}");
        assert_eq!(names.in_text("xa1b2c3d4"), "xa1b2c3d4", "another word");
        let names =
            learned("0{\"sid\":\"Ab-3_xyz\",\"upgrades\":[]}", "0{\"sid\":\"q1\",\"upgrades\":[]}");
        assert_eq!(names.in_encoded("/socket?sid=Ab-3_xyz&t=1"), "/socket?sid=q1&t=1");
    }

    /// Namespaces in the order of a hash table: none is another's new name.
    #[test]
    fn what_only_stands_in_another_place_keeps_its_name() {
        let page = |names: [&str; 4]| {
            let one =
                |(at, name): (usize, &&str)| format!("xmlns:ns{at}=\"http://example.com/{name}\"");
            names.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
        };
        let then = page(["alpha", "beta", "gamma", "word12345"]);
        let names = learned(&then, &page(["gamma", "word12345", "alpha", "beta"]));
        for name in ["http://example.com/gamma", "word12345"] {
            assert_eq!(names.in_text(name), name);
        }
    }

    #[test]
    fn values_in_base64_are_found_and_encoded_as_they_were() {
        let names = learned("token=\"aB3/dE+f5==\" end", "token=\"Zz9+Yy\" end");
        assert_eq!(names.in_encoded("t=aB3%2FdE%2Bf5%3D%3D&x=1"), "t=Zz9%2BYy&x=1");
        assert_eq!(names.in_text("\"aB3/dE+f5==\""), "\"Zz9+Yy\"");
    }

    #[test]
    fn short_values_are_known_by_what_is_before_them() {
        let names = learned("/notes/17", "/notes/3");
        assert_eq!(names.in_encoded("/notes/17/edit?page=17"), "/notes/3/edit?page=17");
        let names = learned("/login", "/notes/22222222");
        assert_eq!(names.in_encoded("/login"), "/login");
    }

    #[test]
    fn words_of_a_language_are_no_values() {
        let names = learned("Good morning, it is sunny", "Good evening, it is raining");
        assert_eq!(names.in_text("good morning sunny"), "good morning sunny");
    }

    #[test]
    fn what_has_no_counterpart_is_told() {
        let mut names = Names::default();
        let lost = names.learn("<li>a.txt <li>upload77.png", "<li>a.txt");
        assert!(lost.contains("upload77"), "{lost:?}");
        assert!(names.learn("a b", "a b").is_empty());
    }

    proptest! {
        #[test]
        fn any_value_in_base64_is_found(then in "[A-Za-z0-9+/]{43}", now in "[A-Za-z0-9+/]{43}") {
            let page = |value: &str| format!("<form><input name=token value=\"{value}=\"></form>");
            let names = learned(&page(&then), &page(&now));
            let form = |value: &str| format!("token={}&text=a", encoded(&format!("{value}=")));
            prop_assert_eq!(names.in_encoded(&form(&then)), form(&now));
        }

        #[test]
        fn any_two_texts_can_be_compared(then in "[a1/+ =]{0,20}", now in "[a1/+ =]{0,20}", other in "[a1/+%=]{0,20}") {
            let names = learned(&then, &now);
            names.in_encoded(&other);
        }
    }
}
