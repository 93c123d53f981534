//! The docs say what is true: links lead somewhere, messages are the program's.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Markdown of `dir` and below.
fn pages(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut all = vec![house().join("README.md")];
    pages(&house().join("docs"), &mut all);
    let mut links = 0;
    for page in &all {
        let text = fs::read_to_string(page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap().split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains('\n') {
                continue;
            }
            links += 1;
            let file = page.parent().unwrap().join(target);
            assert!(file.exists(), "{}: no {target}", page.display());
        }
    }
    assert!(links > 40, "{links} links were found");
}

/// Every page is reached from the README.
#[test]
fn every_page_is_linked() {
    let mut all = Vec::new();
    pages(&house().join("docs"), &mut all);
    let mut reached = vec![house().join("README.md")];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            let file = page.parent().unwrap().join(target);
            let Ok(file) = file.canonicalize() else { continue };
            if file.extension().is_some_and(|end| end == "md") && !reached.contains(&file) {
                reached.push(file);
            }
        }
    }
    for page in all {
        let page = page.canonicalize().unwrap();
        assert!(reached.contains(&page), "nothing links to {}", page.display());
    }
}

/// The errors that the tests of newcomers' mistakes have snapshots of are those explained.
#[test]
fn troubleshooting_has_the_real_messages() {
    let page = fs::read_to_string(house().join("docs/troubleshooting.md")).unwrap();
    let explained: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let mut said = Vec::new();
    for entry in fs::read_dir(house().join("tests/tests/snapshots")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        said.extend(text.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned));
    }
    for message in &explained {
        assert!(said.iter().any(|line| line == message), "nothing says: {message}");
    }
    for line in &said {
        assert!(explained.contains(&line.as_str()), "not explained: {line}");
    }
}
