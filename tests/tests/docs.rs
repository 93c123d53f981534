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

/// Rows of each table of conformance cases in the http-bridge specification, section 10.
const ROWS: [(char, u32); 12] = [
    ('A', 21),
    ('B', 45),
    ('C', 22),
    ('D', 18),
    ('S', 24),
    ('H', 32),
    ('F', 27),
    ('K', 15),
    ('G', 17),
    ('P', 18),
    ('X', 26),
    ('L', 10),
];

/// A row's name, if the text is one.
fn row(text: &str) -> Option<(char, u32)> {
    let table = text.chars().next()?.to_ascii_uppercase();
    let number = text.get(1..).filter(|number| number.len() == 2)?.parse().ok()?;
    ROWS.iter().any(|(known, _)| *known == table).then_some((table, number))
}

/// The rows that the name of a function begins with: `a01_b02_words`, or `a01_to_a05_words`.
fn rows_of(name: &str) -> Vec<(char, u32)> {
    let mut rows: Vec<(char, u32)> = Vec::new();
    let mut to = false;
    for part in name.split('_') {
        match (row(part), rows.last().copied()) {
            (Some((table, last)), Some((_, first))) if to => {
                rows.extend((first + 1..=last).map(|number| (table, number)));
            }
            (Some(row), _) => rows.push(row),
            (None, Some(_)) if part == "to" => {}
            (None, _) => break,
        }
        to = part == "to";
    }
    rows
}

/// All functions of the Rust files of `dir` and below that are tests, or look like one.
fn functions(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("fn "));
            found.extend(lines.filter_map(|line| Some(line.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_conformance_case_is_a_test_or_said_not_to_hold() {
    let mut names = Vec::new();
    for dir in ["runtime/bridge/tests", "runtime/host/src", "spk/schema/src", "tests/tests"] {
        functions(&house().join(dir), &mut names);
    }
    let tested: Vec<_> = names.iter().flat_map(|name| rows_of(name)).collect();
    let page = fs::read_to_string(house().join("docs/http.md")).unwrap();
    let (_, table) = page.split_once("Rows that cannot hold here").unwrap();
    let excused: Vec<_> = table
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|rows| rows.split(',').filter_map(|name| row(name.trim())))
        .collect();
    let all = ROWS.iter().flat_map(|(table, last)| (1..=*last).map(|number| (*table, number)));
    let missing: Vec<_> =
        all.filter(|row| !tested.contains(row) && !excused.contains(row)).collect();
    assert!(missing.is_empty(), "neither tests nor listed in docs/http.md: {missing:?}");
    assert!(excused.len() < 20, "{excused:?}");
}
