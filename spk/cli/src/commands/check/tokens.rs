//! A text as words and what is between them.

/// The words of a text, and each other character by itself. Joined they are the text again.
pub fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match is_of_word(first) {
            true => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        found.push(token);
        rest = after;
    }
    found
}

/// Whether a token is a word.
pub fn is_word(token: &str) -> bool {
    token.starts_with(is_of_word)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Whether a word may be a value that the app gave out, and not one of a language: it has digits, or
/// capitals where no language has them, or is longer than most words.
pub fn is_value(word: &str) -> bool {
    const LONG: usize = 16;
    let inner_capital =
        word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase);
    word.chars().any(|c| c.is_ascii_digit()) || inner_capital || word.len() >= LONG
}

/// A text of HTML without its character references, as far as values have them.
pub fn without_references(text: &str) -> String {
    const NAMED: [(&str, char); 6] =
        [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("sol", '/')];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let reference = after[1..].split_once(';').map(|(name, _)| name);
        let number = |name: &str| {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(number)
        };
        let meant = reference.and_then(|name| {
            let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
            Some((named.or_else(|| number(name))?, name.len() + 2))
        });
        let (c, length) = meant.unwrap_or(('&', 1));
        plain.push(c);
        rest = &after[length..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_told_from_what_is_between_them() {
        assert_eq!(tokens("a-b/c_1?é=\"x\""), ["a-b", "/", "c_1", "?", "é", "=", "\"", "x", "\""]);
        for value in ["a1", "kQz", "aaaaaaaaaaaaaaaa", "7"] {
            assert!(is_value(value), "{value}");
        }
        for word in ["Hello", "hello", "HTML", "x", "well-known"] {
            assert!(!is_value(word), "{word}");
        }
    }

    #[test]
    fn references_are_characters() {
        assert_eq!(without_references("a&amp;b&#43;&#x2F;&nope;&"), "a&b+/&nope;&");
    }

    proptest! {
        #[test]
        fn tokens_are_the_whole_text(text in ".{0,60}") {
            prop_assert_eq!(tokens(&text).concat(), text);
        }

        #[test]
        fn any_text_can_be_read_as_html(text in "(&|#|x|;|a|1|é|amp){0,30}") {
            without_references(&text);
        }
    }
}
