//! `docs/reference/json.md` against what the program prints: every field that is printed is
//! documented with its type, and every documented field that is not optional is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use spk_tests::Who;
use spk_tests::bins::describe;

use super::Place;

/// What the page says of a field.
#[derive(Clone, Debug)]
struct Field {
    types: Vec<String>,
    optional: bool,
}

type Fields = BTreeMap<String, Field>;

/// The tables of the page by their headings.
fn documented() -> BTreeMap<String, Fields> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/json.md");
    let mut sections: BTreeMap<String, Fields> = BTreeMap::new();
    let mut heading = String::new();
    for line in fs::read_to_string(page).unwrap().lines() {
        if let Some(name) = line.strip_prefix("## spk ") {
            heading = name.to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(name) = cells.get(1).and_then(|name| name.strip_prefix('`')) else { continue };
        let name = name.trim_end_matches('`').to_owned();
        let (types, optional) = match cells[2].strip_suffix(", optional") {
            Some(types) => (types, true),
            None => (cells[2], false),
        };
        let types: Vec<String> = types.split(" or ").map(str::to_owned).collect();
        for name in &types {
            let known = ["text", "number", "boolean", "null", "open"].contains(&name.as_str());
            assert!(known, "{heading}: {line}");
        }
        let known = sections.entry(heading.clone()).or_default();
        assert!(known.insert(name, Field { types, optional }).is_none(), "twice: {line}");
    }
    sections
}

/// The paths of all fields in a value, and their types.
fn flatten(
    value: &Value,
    path: &str,
    fields: &Fields,
    found: &mut BTreeMap<String, BTreeSet<&'static str>>,
) {
    if fields.get(path).is_some_and(|field| field.types == ["open"]) {
        found.entry(path.to_owned()).or_default().insert("open");
        return;
    }
    let kind = match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, &path, fields, found);
            }
            return;
        }
        Value::Array(values) => {
            return values
                .iter()
                .for_each(|value| flatten(value, &format!("{path}[]"), fields, found));
        }
        // An object that is not there: none of its fields is.
        Value::Null if fields.keys().any(|name| name.starts_with(&format!("{path}."))) => return,
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    found.entry(path.to_owned()).or_default().insert(kind);
}

/// What is wrong with a value.
fn compare(value: &Value, fields: &Fields) -> Vec<String> {
    let mut found = BTreeMap::new();
    flatten(value, "", fields, &mut found);
    let mut wrong = Vec::new();
    for (path, kinds) in &found {
        match fields.get(path) {
            None => wrong.push(format!("{path} is not documented")),
            Some(field) => {
                let other = |kind: &&&str| !field.types.iter().any(|known| known == **kind);
                let others = kinds.iter().filter(other);
                wrong.extend(others.map(|kind| format!("{path} is {kind}, not {:?}", field.types)));
            }
        }
    }
    let missing =
        fields.iter().filter(|(path, field)| !field.optional && !found.contains_key(*path));
    wrong.extend(missing.map(|(path, _)| format!("{path} is not printed")));
    wrong
}

#[test]
fn a_wrong_page_is_noticed() {
    let field = |types: &[&str], optional| Field {
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        optional,
    };
    let fields = Fields::from([
        ("a".to_owned(), field(&["text"], false)),
        ("b[].c".to_owned(), field(&["number", "null"], true)),
        ("o".to_owned(), field(&["open"], true)),
    ]);
    let of = |text: &str| compare(&serde_json::from_str(text).unwrap(), &fields);
    assert!(of(r#"{"a":"x","b":[{"c":1},{"c":null}],"o":{"any":[1]}}"#).is_empty());
    assert!(of(r#"{"a":"x","b":[]}"#).is_empty());
    assert_eq!(of("{}"), ["a is not printed"]);
    assert_eq!(of(r#"{"a":1}"#).len(), 1);
    assert_eq!(of(r#"{"a":"x","d":1}"#), ["d is not documented"]);
    assert_eq!(of(r#"{"a":"x","b":[{"c":true}]}"#).len(), 1);
}

/// Calls by the heading of what they print. Of several objects each is one a line.
const CALLS: &[(&str, &str)] = &[
    ("keygen", "keygen -k ring --json"),
    ("listkeys", "listkeys --json"),
    ("listkeys", "listkeys --apps --json"),
    ("getkey", "getkey ID --json"),
    ("rekey", "rekey --json --dry-run"),
    ("pack", "pack --fast --json b.spk"),
    ("pack", "pack --fast --json --report b.spk"),
    ("pack", "pack -n --json b.spk"),
    ("verify", "verify --json a.spk"),
    ("unpack", "unpack --json a.spk fresh"),
    ("ls", "ls --json a.spk"),
    ("cat", "cat --json a.spk app.py sandstorm-manifest"),
    ("diff", "diff --json a.spk a.spk"),
    ("files why", "files why app.py --json"),
    ("files diff", "files diff --json"),
    ("files prune", "files prune --dry-run --json"),
    ("files closure", "files closure --json"),
    ("files coverage", "files coverage --json"),
    ("check", "check a.spk --json"),
    ("publish", "publish a.spk --dry-run --json --webkey http://127.0.0.1:1#token"),
    ("grain list", "grain list --json"),
    ("grain list", "grain list --long --json"),
    ("grain stop", "grain stop STOPPED --json"),
    ("grain upgrade", "grain upgrade STOPPED a.spk --dry-run --json"),
    ("grain export", "grain export STOPPED -o back.zip --json"),
    ("grain restore", "grain restore kept.zip --json"),
    ("grain restore", "grain restore kept.zip --dry-run --json"),
    ("grain delete", "grain delete STOPPED --dry-run --json"),
    ("grain log", "grain log STOPPED --json"),
    ("grain shell", "grain shell STOPPED --json -- /usr/bin/python3 -c print(1)"),
    ("grain size", "grain size --json"),
    ("grain gc", "grain gc --dry-run --json"),
    ("grain token", "grain token RUNS --json"),
    ("grain token --list", "grain token RUNS --list --json"),
    ("grain share", "grain share RUNS --to bob --json"),
    ("grain share --list", "grain share RUNS --list --json"),
    ("oci", "oci a.spk -o image.tar --json"),
    ("doctor", "doctor --json"),
];

/// Headings whose objects are also elements of another's array.
const AS_LISTED: &[(&str, &str)] = &[
    ("grain show", "grain show STOPPED --json"),
    ("grain show", "grain show RUNS --json"),
    ("", "grain new a.spk --json"),
    ("", "grain rename STOPPED again --json"),
    ("", "grain upgrade STOPPED a.spk --json"),
];

#[test]
fn the_page_says_what_is_printed() {
    let sections = documented();
    let place = Place::new(Who::User);
    let mut wrong = Vec::new();
    let mut tried = BTreeSet::from(["dev"]);
    let mut look = |heading: &'static str, call: &str, fields: &Fields| {
        tried.insert(heading);
        let output = place.call(call, std::process::Stdio::piped());
        let printed = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(!printed.is_empty(), "spk {call}: {}", describe(&output));
        for line in printed.lines() {
            let value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("spk {call}: {error}"));
            wrong.extend(
                compare(&value, fields).into_iter().map(|what| format!("spk {call}: {what}")),
            );
        }
    };
    for (heading, call) in CALLS {
        look(heading, call, &sections[*heading]);
    }
    // One object of what the list has, with more of its own.
    let listed = sections["grain list"].iter();
    let listed: Fields = listed
        .map(|(path, field)| (path.trim_start_matches("[].").to_owned(), field.clone()))
        .collect();
    for (heading, call) in AS_LISTED {
        let mut fields = listed.clone();
        fields.extend(sections.get(*heading).cloned().unwrap_or_default());
        look(heading, call, &fields);
    }
    let ready = compare(&place.server.ready, &sections["dev"]);
    wrong.extend(ready.into_iter().map(|what| format!("spk run: {what}")));
    place.server.stop();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let untried: Vec<&String> =
        sections.keys().filter(|heading| !tried.contains(heading.as_str())).collect();
    assert!(untried.is_empty(), "not compared: {untried:?}");
}
