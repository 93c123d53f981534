//! Every crate's manifest asks for what its sources use, and for nothing else.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};
use serde_json::Value;
use spk_tests::sources::{house, rust_files};

/// Names that a source text may take from libraries: the first of each path, and what `use`
/// and `extern crate` begin with.
fn names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(text.parse().expect("the compiler takes it"), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let colon = |at: usize| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == ':',
        _ => false,
    };
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Ident(name) => {
                let path = colon(at + 1) && colon(at + 2);
                let inner = at >= 2 && colon(at - 1) && colon(at - 2);
                let begins = matches!(at.checked_sub(1).and_then(|at| tokens.get(at)),
                    Some(TokenTree::Ident(word)) if word == "use" || word == "crate");
                if path && !inner || begins {
                    found.insert(name.to_string());
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[test]
fn the_reader_knows_how_libraries_are_named() {
    let text = "use one::{a, two::b}; use three as x; extern crate four; #[derive(five::Error)] \
                struct S(six::T); fn f() { seven::eight::f(); nine!(); let x = \"ten::y\"; } // z::b";
    let expected = ["five", "four", "one", "seven", "six", "three"];
    // A path inside of a `use` is none, but looks like one.
    let found: BTreeSet<_> = names(text).into_iter().filter(|name| name != "two").collect();
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// Names in the sources of a crate's targets, by what may use them: programs and libraries, or
/// also tests, benchmarks and examples.
fn used(package: &Value) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut used: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for target in package["targets"].as_array().unwrap() {
        let kind = match target["kind"][0].as_str().unwrap() {
            "lib" | "bin" => "normal",
            "custom-build" => "build",
            _ => "dev",
        };
        let source = Path::new(target["src_path"].as_str().unwrap());
        let files = match kind {
            "build" => vec![source.to_owned()],
            _ => rust_files(source.parent().unwrap()),
        };
        for file in files {
            used.entry(kind).or_default().extend(names(&fs::read_to_string(file).unwrap()));
        }
    }
    // Tests are also beside what they test.
    let normal = used.get("normal").cloned().unwrap_or_default();
    used.entry("dev").or_default().extend(normal);
    used
}

#[test]
fn no_crate_asks_for_a_library_that_it_does_not_use() {
    let house = house();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(house)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

    let (mut wrong, mut asked_for, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for package in metadata["packages"].as_array().unwrap() {
        let used = used(package);
        for wanted in package["dependencies"].as_array().unwrap() {
            count += 1;
            let name = wanted["name"].as_str().unwrap();
            asked_for.insert(name.to_owned());
            let kind = wanted["kind"].as_str().unwrap_or("normal");
            let called = wanted["rename"].as_str().unwrap_or(name).replace('-', "_");
            if !used.get(kind).is_some_and(|names| names.contains(&called)) {
                let of = package["name"].as_str().unwrap();
                wrong.push(format!("{of}: {name} ({kind})"));
            }
        }
    }
    // The list that all of them choose from.
    let manifest = fs::read_to_string(house.join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("[workspace.dependencies]").unwrap();
    for line in list.lines().take_while(|line| !line.starts_with('[')) {
        let Some((name, _)) = line.split_once(" = ") else { continue };
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if plain && !asked_for.contains(name) {
            wrong.push(format!("the workspace: {name}"));
        }
    }
    assert!(wrong.is_empty(), "nobody uses:\n{}", wrong.join("\n"));
    assert!(count > 80, "{count} dependencies were found");
}
