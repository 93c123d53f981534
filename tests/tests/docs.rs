//! The docs say what is true: links lead somewhere, messages are the program's.
#![allow(clippy::unwrap_used)]

#[path = "docs/citations.rs"]
mod citations;

use std::fs;
use std::path::{Path, PathBuf};

use citations::Specs;

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

/// The anchors of a page's headings, as forges make them.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut all: Vec<_> = top.iter().map(|page| house().join(page)).collect();
    pages(&house().join("docs"), &mut all);
    let (mut links, mut anchors) = (0, 0);
    for page in &all {
        let text = fs::read_to_string(page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains('\n') {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: no {target}", page.display());
            if !anchor.is_empty() {
                anchors += 1;
                let known = headings(&fs::read_to_string(&file).unwrap());
                assert!(known.iter().any(|it| it == anchor), "{}: no {target}", page.display());
            }
        }
    }
    assert!(links > 40 && anchors > 20, "{links} links and {anchors} anchors were found");
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

/// Rows of each table of conformance cases in http-bridge §10.
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
            let lines = text.lines().map(str::trim);
            let lines = lines.map(|line| line.strip_prefix("pub ").unwrap_or(line));
            let lines = lines.filter_map(|line| line.strip_prefix("fn "));
            found.extend(lines.filter_map(|line| Some(line.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_conformance_case_is_a_test_or_said_not_to_hold() {
    let mut names = Vec::new();
    for dir in [
        "runtime/bridge/tests",
        "runtime/host/src",
        "runtime/web-session/conformance/src/rows",
        "spk/schema/src",
        "tests/tests",
    ] {
        functions(&house().join(dir), &mut names);
    }
    let tables = fs::read_to_string(house().join("docs/spec/http-bridge.md")).unwrap();
    let listed =
        tables.lines().filter_map(|line| row(line.strip_prefix("| ")?.split(' ').next()?));
    for (table, last) in ROWS {
        let rows: Vec<_> = listed.clone().filter(|row| row.0 == table).map(|row| row.1).collect();
        assert_eq!(rows, (1..=last).collect::<Vec<_>>(), "rows {table} of http-bridge §10");
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

/// Whoever reads "http-bridge §4.9" finds that section.
#[test]
fn every_citation_of_a_specification_resolves() {
    let specs = Specs::read(&house().join("docs/spec"));
    let mut files = Vec::new();
    citations::written(&house(), &mut files);
    let (mut cited, mut faults) = (0, Vec::new());
    for file in &files {
        // What is wrong on purpose is there.
        if ["tests/docs.rs", "docs/citations.rs"].iter().any(|these| file.ends_with(these)) {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let own = file.starts_with(house().join("docs/spec"));
        let own = own.then(|| file.file_stem().unwrap().to_str().unwrap());
        for finding in specs.citations(&text, own.filter(|name| *name != "README")) {
            cited += 1;
            let at = |fault| format!("{}:{}: {fault}", file.display(), finding.line);
            faults.extend(finding.fault.map(at));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(cited > 200, "{cited} citations were found");
}

#[test]
fn a_wrong_citation_is_noticed() {
    let specs = Specs::read(&house().join("docs/spec"));
    let faults = |text: &str, own| {
        let found = specs.citations(text, own);
        found.into_iter().filter_map(|finding| finding.fault).collect::<Vec<_>>()
    };
    for right in [
        "(http-bridge §4.9)",
        "/// as before (http-bridge\n/// §4.9), and",
        "http-bridge §4.1 to §4.10, §5.11 and §13.",
        "grain-runtime §A.14, §H.1 item 29; §D",
        "templates §B2, dev-mode §18 item 1 and package-format §9.4",
        "sandstorm-http-bridge 1.2, an http-bridge of ours, dev-mode apps, RFC 9110 §5.2",
    ] {
        assert_eq!(faults(right, None), [""; 0], "{right}");
    }
    for (wrong, said) in [
        ("http-bridge §4.99", "http-bridge has no section 4.99"),
        ("http-bridge §4.9, §99", "http-bridge has no section 99"),
        ("grain-runtime §4.9", "grain-runtime has no section 4.9"),
        ("grain-runtime §H.1 item 999", "grain-runtime §H.1 has no item 999"),
        ("(§4.9)", "§4.9 is of no known document"),
        ("http-brigde §4.9", "§4.9 is of no known document"),
        ("sandstorm-http-bridge §4.9", "§4.9 is of no known document"),
        ("http-bridge §4.9 says what §4.10 does", "§4.10 is of no known document"),
        (
            "http-bridge 4.9",
            "a section of http-bridge is cited in another form than \"http-bridge §1\"",
        ),
        ("dev-mode.md §9", "§9 is of no known document"),
        (
            "(grain-runtime\n//! specification, A.14)",
            "a section of grain-runtime is cited in another form than \"grain-runtime §1\"",
        ),
    ] {
        assert!(faults(wrong, None).iter().any(|fault| fault == said), "{wrong}");
    }
    assert_eq!(faults("see §4.9", Some("http-bridge")), [""; 0]);
    assert_eq!(faults("see §4.99", Some("http-bridge")), ["http-bridge has no section 4.99"]);
    assert_eq!(specs.citations("one\ntwo\nhttp-bridge §4.9", None)[0].line, 3);
}
