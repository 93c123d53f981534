//! "Did you mean": the known name that is closest to what was typed.

/// One wrong letter in so many is a slip; more of them, and it is another word.
const LETTERS: usize = 3;

/// The closest of `known` to `typed`, if one is close.
pub fn closest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, name)| distance * LETTERS <= name.len().max(typed.len()))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close() {
        let known = ["python", "node", "php", "static"];
        assert_eq!(closest("pyhton", known.into_iter()), Some("python"));
        assert_eq!(closest("Node", known.into_iter()), Some("node"));
        assert_eq!(closest("java", known.into_iter()), None);
    }
}
