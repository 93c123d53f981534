//! What is suggested besides what a trace saw.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use spk_package::closure::{Reason, suggest};
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::{Generated, View};

fn view(dir: &Path) -> View {
    let mapping =
        Mapping { package_path: Vec::new(), source_path: dir.to_owned(), hide_paths: Vec::new() };
    View::new(SourceMap::new(vec![mapping]).unwrap(), Generated::default())
}

fn used(paths: &[&str]) -> BTreeSet<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[test]
fn the_rest_of_python_and_node_packages() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "lib/python3/dist-packages/flask/__init__.py",
        "lib/python3/dist-packages/flask/app.py",
        "lib/python3/dist-packages/flask/templates/error.html",
        "lib/python3/dist-packages/flask/__pycache__/app.pyc",
        "lib/python3/dist-packages/single.py",
        "lib/python3/dist-packages/other/__init__.py",
        "own/__init__.py",
        "own/sub/__init__.py",
        "own/sub/used.py",
        "own/sub/__pycache__/used.cpython-311.pyc",
        "own/rare.py",
        "own/scripts/no_package.py",
        "app/node_modules/express/package.json",
        "app/node_modules/express/index.js",
        "app/node_modules/express/lib/view.js",
        "app/node_modules/express/node_modules/deep/package.json",
        "app/node_modules/express/node_modules/deep/x.js",
        "app/node_modules/@scope/name/package.json",
        "app/node_modules/@scope/name/y.js",
    ] {
        fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
        fs::write(dir.path().join(file), "12345").unwrap();
    }
    let used = used(&[
        "lib/python3/dist-packages/flask/app.py",
        "lib/python3/dist-packages/single.py",
        "app/node_modules/express/index.js",
        "app/node_modules/@scope/name/package.json",
        "own/sub/__pycache__/used.cpython-311.pyc",
    ]);
    let suggested: Vec<String> = suggest(&view(dir.path()), &used)
        .into_iter()
        .map(|suggestion| {
            let paths: Vec<_> =
                suggestion.paths.iter().map(|path| String::from_utf8_lossy(path)).collect();
            let (kind, dir) = match &suggestion.reason {
                Reason::PythonPackage(dir) => ("python", dir),
                Reason::NodePackage(dir) => ("node", dir),
                other => panic!("{other:?}"),
            };
            let dir = String::from_utf8_lossy(dir);
            format!("{kind} {dir}: {} ({} bytes)", paths.join(" "), suggestion.bytes)
        })
        .collect();
    insta::assert_snapshot!(suggested.join("\n"), @r"
    python lib/python3/dist-packages/flask: lib/python3/dist-packages/flask/__init__.py lib/python3/dist-packages/flask/templates/error.html (10 bytes)
    python own: own/__init__.py own/rare.py own/scripts/no_package.py own/sub/__init__.py own/sub/used.py (25 bytes)
    node app/node_modules/@scope/name: app/node_modules/@scope/name/y.js (5 bytes)
    node app/node_modules/express: app/node_modules/express/lib/view.js app/node_modules/express/package.json (10 bytes)
    ");
}

#[test]
fn the_libraries_of_a_program_through_links() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("usr/lib/x86_64-linux-gnu")).unwrap();
    fs::create_dir_all(root.join("bin")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    fs::copy("/bin/sh", root.join("bin/sh")).unwrap();
    let real = root.join("usr/lib/x86_64-linux-gnu/libc-2.so");
    fs::write(&real, "no ELF").unwrap();
    symlink("libc-2.so", root.join("usr/lib/x86_64-linux-gnu/libc.so.6")).unwrap();
    let suggested = suggest(&view(root), &used(&["bin/sh"]));
    assert_eq!(suggested.len(), 1);
    assert_eq!(suggested[0].reason, Reason::NeededBy(b"bin/sh".to_vec()));
    assert_eq!(
        suggested[0].paths,
        [&b"lib"[..], b"usr/lib/x86_64-linux-gnu/libc-2.so", b"usr/lib/x86_64-linux-gnu/libc.so.6"]
    );
    assert_eq!(suggested[0].bytes, 7 + 9 + 6, "a link is as long as its text");
    // all of it used: nothing to suggest
    let all = used(&[
        "bin/sh",
        "lib",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib/x86_64-linux-gnu/libc-2.so",
    ]);
    assert!(suggest(&view(root), &all).is_empty());
}

#[test]
fn what_executes_a_file_and_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for parent in ["usr/bin", "usr/lib"] {
        fs::create_dir_all(root.join(parent)).unwrap();
    }
    let script = |name: &str, line: &str| {
        let file = root.join("usr/bin").join(name);
        fs::write(&file, format!("{line}\nexit\n")).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    script("direct", "#! /usr/bin/interp -x");
    script("by-env", "#!/usr/bin/env -S A=b interp");
    fs::write(root.join("usr/bin/interp-1"), "").unwrap();
    fs::write(root.join("usr/bin/env"), "").unwrap();
    symlink("interp-1", root.join("usr/bin/interp")).unwrap();
    // a program that names a library in its text
    let mut program = fs::read("/bin/sh").unwrap();
    program.extend_from_slice(b"\0libplugin.so.2\0libnowhere.so\0");
    fs::write(root.join("usr/bin/program"), program).unwrap();
    fs::write(root.join("usr/lib/libplugin.so.2"), "").unwrap();

    let suggested =
        suggest(&view(root), &used(&["usr/bin/direct", "usr/bin/by-env", "usr/bin/program"]));
    let named: Vec<(Reason, Vec<String>)> = suggested
        .into_iter()
        .map(|found| {
            let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
            (found.reason, found.paths.iter().map(text).collect())
        })
        .collect();
    let interp = ["usr/bin/interp".to_owned(), "usr/bin/interp-1".to_owned()];
    let by_env = [&["usr/bin/env".to_owned()], &interp[..]].concat();
    assert_eq!(
        named,
        [
            (Reason::Executes(b"usr/bin/by-env".to_vec()), by_env),
            (Reason::Executes(b"usr/bin/direct".to_vec()), interp.to_vec()),
            (Reason::Named(b"usr/bin/program".to_vec()), vec!["usr/lib/libplugin.so.2".to_owned()]),
        ]
    );
}

/// Reasons and paths, a line each.
fn told(view: &View, paths: &[&str]) -> String {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let line = |suggestion: spk_package::closure::Suggestion| {
        let (kind, dir) = match &suggestion.reason {
            Reason::PhpPackage(dir) => ("package", dir),
            Reason::PhpApp(dir) => ("app", dir),
            Reason::Gem(dir) => ("gem", dir),
            other => panic!("{other:?}"),
        };
        let paths: Vec<String> = suggestion.paths.iter().map(|path| text(path)).collect();
        format!("{kind} {}: {}", text(dir), paths.join(" "))
    };
    suggest(view, &used(paths)).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn files(dir: &Path, paths: &[&str]) {
    for path in paths {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "12345").unwrap();
    }
}

#[test]
fn the_rest_of_php_apps_and_packages() {
    let dir = tempfile::tempdir().unwrap();
    files(
        dir.path(),
        &[
            "opt/app/composer.json",
            "opt/app/public/index.php",
            "opt/app/src/Rare.php",
            "opt/app/templates/error.html",
            "opt/app/node_modules/x/index.js",
            "opt/app/vendor/autoload.php",
            "opt/app/vendor/acme/http/composer.json",
            "opt/app/vendor/acme/http/src/Used.php",
            "opt/app/vendor/acme/http/src/Rare.php",
            "opt/app/vendor/acme/unused/composer.json",
            "opt/app/vendor/acme/unused/src/A.php",
            "opt/blog/index.php",
            "opt/blog/admin/index.php",
            "opt/blog/admin/page.php",
            "usr/share/php/lib/index.php",
            "usr/share/php/lib/other.php",
            "other/script.php",
            "other/more.php",
        ],
    );
    let view = view(dir.path());
    insta::assert_snapshot!(told(&view, &[
        "opt/app/public/index.php",
        "opt/app/vendor/autoload.php",
        "opt/app/vendor/acme/http/src/Used.php",
        "opt/blog/admin/page.php",
        "usr/share/php/lib/index.php",
        "other/script.php",
    ]), @r"
    package opt/app/vendor/acme/http: opt/app/vendor/acme/http/composer.json opt/app/vendor/acme/http/src/Rare.php
    app opt/app: opt/app/composer.json opt/app/src/Rare.php opt/app/templates/error.html
    app opt/blog: opt/blog/admin/index.php opt/blog/index.php
    ");
    // Pictures of an app are no sign of PHP.
    assert_eq!(told(&view, &["opt/app/templates/error.html"]), "");
}

#[test]
fn the_rest_of_gems() {
    let dir = tempfile::tempdir().unwrap();
    files(
        dir.path(),
        &[
            "opt/gems/ruby/3.1.0/gems/rack-3.0.8/lib/rack.rb",
            "opt/gems/ruby/3.1.0/gems/rack-3.0.8/lib/rack/rare.rb",
            "opt/gems/ruby/3.1.0/specifications/rack-3.0.8.gemspec",
            "opt/gems/ruby/3.1.0/gems/nio4r-2.7.0/lib/nio.rb",
            "opt/gems/ruby/3.1.0/specifications/nio4r-2.7.0.gemspec",
            "opt/gems/ruby/3.1.0/extensions/x86_64-linux/3.1.0/nio4r-2.7.0/nio4r_ext.so",
            "opt/gems/ruby/3.1.0/gems/unused-1.0/lib/unused.rb",
            "opt/gems/ruby/3.1.0/specifications/unused-1.0.gemspec",
            "opt/gems/ruby/3.1.0/bundler/gems/own-0a1b2c3/lib/own.rb",
            "opt/gems/ruby/3.1.0/bundler/gems/own-0a1b2c3/own.gemspec",
            "opt/app/gems/not-a-gem/a.rb",
            "opt/app/gems/not-a-gem/b.rb",
        ],
    );
    insta::assert_snapshot!(told(&view(dir.path()), &[
        "opt/gems/ruby/3.1.0/gems/rack-3.0.8/lib/rack.rb",
        "opt/gems/ruby/3.1.0/gems/nio4r-2.7.0/lib/nio.rb",
        "opt/gems/ruby/3.1.0/bundler/gems/own-0a1b2c3/lib/own.rb",
        "opt/app/gems/not-a-gem/a.rb",
    ]), @r"
    gem opt/gems/ruby/3.1.0/bundler/gems/own-0a1b2c3: opt/gems/ruby/3.1.0/bundler/gems/own-0a1b2c3/own.gemspec
    gem opt/gems/ruby/3.1.0/gems/nio4r-2.7.0: opt/gems/ruby/3.1.0/extensions/x86_64-linux/3.1.0/nio4r-2.7.0/nio4r_ext.so opt/gems/ruby/3.1.0/specifications/nio4r-2.7.0.gemspec
    gem opt/gems/ruby/3.1.0/gems/rack-3.0.8: opt/gems/ruby/3.1.0/gems/rack-3.0.8/lib/rack/rare.rb opt/gems/ruby/3.1.0/specifications/rack-3.0.8.gemspec
    ");
}
