//! What the dependencies may be, as `deny.toml` says it: their licences, where they come from, and
//! which are there twice. `cargo deny` checks the same and more; these need nothing but cargo.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spk_tests::bins::ok;

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The packages of `Cargo.lock` that this platform's builds and tests use.
fn packages() -> Vec<Value> {
    let text = ok(Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .arg("--filter-platform=x86_64-unknown-linux-gnu")
        .current_dir(house()));
    let metadata: Value = serde_json::from_str(&text).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// All strings of the array `name` in `deny.toml`.
fn list(rules: &str, name: &str) -> Vec<String> {
    let (_, rest) = rules.split_once(&format!("\n{name} = [")).unwrap();
    let (array, _) = rest.split_once("]\n").unwrap();
    // Every second part is between quotes.
    array.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rules() -> String {
    fs::read_to_string(house().join("deny.toml")).unwrap()
}

/// Whether an SPDX expression (or the older form with slashes) lets us choose among `allowed`.
fn permitted(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let holds = either(&tokens, &mut at, allowed);
    assert_eq!(at, tokens.len(), "{expression:?} is no licence expression");
    holds
}

fn either(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut holds = both(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        holds |= both(tokens, at, allowed);
    }
    holds
}

fn both(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut holds = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        holds &= one(tokens, at, allowed);
    }
    holds
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let token = tokens[*at];
    *at += 1;
    if token == "(" {
        let holds = either(tokens, at, allowed);
        assert_eq!(tokens.get(*at), Some(&")"));
        *at += 1;
        return holds;
    }
    if tokens.get(*at) == Some(&"WITH") {
        // With an exception it is another licence, which has to be named as a whole.
        let whole = tokens[*at - 1..*at + 2].join(" ");
        *at += 2;
        return allowed.contains(&whole);
    }
    allowed.iter().any(|name| name == token)
}

#[test]
fn licences_are_among_those_allowed() {
    let allowed = list(&rules(), "allow");
    let (mut seen, mut faults) = (0, Vec::new());
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        seen += 1;
        if licence.is_empty() || !permitted(licence, &allowed) {
            faults.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
    }
    assert!(faults.is_empty(), "licences not allowed by deny.toml: {faults:#?}");
    assert!(seen > 50, "{seen} packages were found");
}

#[test]
fn a_licence_is_judged_by_its_expression() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
    for right in ["MIT", "MIT OR GPL-3.0", "GPL-2.0/MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(permitted(right, &allowed), "{right}");
    }
    for wrong in
        ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "(MIT OR ISC) AND ISC"]
    {
        assert!(!permitted(wrong, &allowed), "{wrong}");
    }
}

#[test]
fn dependencies_come_from_the_registry() {
    let registries = list(&rules(), "allow-registry");
    for package in packages() {
        let Some(source) = package["source"].as_str() else {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            assert!(manifest.starts_with(house()), "{} is another's directory", package["name"]);
            let wanted = package["dependencies"].as_array().unwrap().iter();
            for dependency in wanted.filter(|dependency| dependency["path"].is_null()) {
                let (name, of) = (&dependency["name"], &package["name"]);
                assert_ne!(dependency["req"], "*", "{of} takes any version of {name}");
            }
            continue;
        };
        let known = source
            .strip_prefix("registry+")
            .is_some_and(|source| registries.iter().any(|registry| registry == source));
        assert!(known, "{}: {source}", package["name"]);
    }
}

/// Whether `version` is what `wanted` asks for: its first numbers.
fn is_version(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[test]
fn nothing_is_there_twice_without_a_reason() {
    let skipped: Vec<String> =
        list(&rules(), "skip").into_iter().filter(|text| text.contains('@')).collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |field: &str| package[field].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let skips = |name: &str, version: &str| {
        skipped.iter().any(|skip| {
            let (known, wanted) = skip.split_once('@').unwrap();
            known == name && is_version(version, wanted)
        })
    };
    for (name, versions) in &versions {
        let counted: Vec<_> = versions.iter().filter(|version| !skips(name, version)).collect();
        assert!(counted.len() < 2, "{name} is there as {counted:?}: see skip in deny.toml");
    }
    for skip in &skipped {
        let (name, wanted) = skip.split_once('@').unwrap();
        let twice = versions.get(name).is_some_and(|versions| {
            versions.len() > 1 && versions.iter().any(|version| is_version(version, wanted))
        });
        assert!(twice, "{skip} is not there twice any more: take it out of deny.toml");
    }
}

/// The notices that go with the programs are those of the crates that are in them.
#[test]
fn the_notices_are_those_of_the_lock_file() {
    ok(Command::new(house().join("dist/notices.py")).arg("--check"));
}
