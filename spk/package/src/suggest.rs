//! "Did you mean": the name most like the one that is not there.

/// A hint naming the candidate most like `name`, if one is near enough to be meant.
pub fn hint<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The candidate with the smallest edit distance, when that is at most a third of the length
/// (and at least one edit is always allowed). Case counts as half of nothing: `AppTitle` is
/// `appTitle`.
pub fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Quadratic in the length: nobody misspells a name this long.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        let names = ["appTitle", "appVersion", "id", "actions"];
        let find = |name| closest(name, names.iter().copied());
        assert_eq!(find("appTitel"), Some("appTitle"));
        assert_eq!(find("AppTitle"), Some("appTitle"));
        assert_eq!(find("idd"), Some("id"));
        assert_eq!(find("action"), Some("actions"));
        assert_eq!(find("enableIpBridge"), None);
        let templates = ["python", "node", "php", "static"];
        let find = |name| closest(name, templates.into_iter());
        assert_eq!(find("pyhton"), Some("python"));
        assert_eq!(find("Node"), Some("node"));
        assert_eq!(find("java"), None);
    }
}
