//! The files that `spk init` writes, embedded in the binary, and how their blanks are filled.

/// A file of a template: its path below the project, and its contents, text with `{{blanks}}`.
pub type File = (&'static str, &'static [u8]);

/// A template.
pub struct Template {
    /// What `--template` calls it.
    pub name: &'static str,
    /// In a few words, for help and messages.
    pub what: &'static str,
    /// What it needs of the sandbox's root besides its own files.
    rootfs: &'static [File],
    files: &'static [File],
    /// Program of this machine that the app runs on.
    pub runtime: Option<&'static str>,
    /// What to do after `spk init`.
    pub next: &'static str,
}

impl Template {
    /// All its files.
    pub fn files(&self) -> impl Iterator<Item = &'static File> {
        self.files.iter().chain(self.rootfs)
    }
}

/// The template of that name.
pub fn find(name: &str) -> Option<&'static Template> {
    ALL.iter().find(|template| template.name == name)
}

/// The definition that `spk init -- COMMAND` writes.
pub const GENERIC: &str = include_str!("../../../templates/generic/sandstorm-pkgdef.capnp");

/// The definition that `spk init` writes for an app that it finds.
pub const FOUND: &str = include_str!("../../../templates/found/sandstorm-pkgdef.capnp");

/// The files of a template, by their path in `templates/`.
macro_rules! files {
    ($($place:literal = $path:literal),* $(,)?) => {
        &[$(($place, include_bytes!(concat!("../../../templates/", $path)) as &[u8])),*]
    };
}

/// Names of users and hosts in the sandbox, for runtimes that look for them.
pub const ROOTFS: &[File] = files![
    "rootfs/etc/group" = "common/rootfs/etc/group",
    "rootfs/etc/hosts" = "common/rootfs/etc/hosts",
    "rootfs/etc/nsswitch.conf" = "common/rootfs/etc/nsswitch.conf",
    "rootfs/etc/passwd" = "common/rootfs/etc/passwd",
    "rootfs/etc/resolv.conf" = "common/rootfs/etc/resolv.conf",
];

/// Keeps what this tool writes beside a definition out of version control.
pub const GITIGNORE: &[u8] = include_bytes!("../../../templates/common/gitignore");

/// The server of static sites, which `spk init` also gives to sites that it finds.
pub const STATIC_SERVER: &[u8] = include_bytes!("../../../templates/static/server.py");

/// What `--template` knows.
pub const ALL: &[Template] = &[
    Template {
        name: "python",
        what: "notes app on Python's own HTTP server, with SQLite",
        rootfs: ROOTFS,
        files: files![
            ".gitignore" = "common/gitignore",
            "README.md" = "python/README.md",
            "app.py" = "python/app.py",
            "sandstorm-pkgdef.capnp" = "python/sandstorm-pkgdef.capnp",
            "static/style.css" = "common/static/style.css",
        ],
        runtime: Some("/usr/bin/python3"),
        next: "spk dev",
    },
    Template {
        name: "node",
        what: "notes app on Node's own HTTP server",
        rootfs: ROOTFS,
        files: files![
            ".gitignore" = "common/gitignore",
            "README.md" = "node/README.md",
            "package.json" = "node/package.json",
            "sandstorm-pkgdef.capnp" = "node/sandstorm-pkgdef.capnp",
            "server.mjs" = "node/server.mjs",
            "static/style.css" = "common/static/style.css",
        ],
        runtime: Some("/usr/bin/node"),
        next: "spk dev",
    },
    Template {
        name: "php",
        what: "notes app on PHP's own HTTP server, with SQLite",
        rootfs: ROOTFS,
        files: files![
            ".gitignore" = "common/gitignore",
            "README.md" = "php/README.md",
            "public/index.php" = "php/public/index.php",
            "public/static/style.css" = "common/static/style.css",
            "sandstorm-pkgdef.capnp" = "php/sandstorm-pkgdef.capnp",
        ],
        runtime: Some("/usr/bin/php"),
        next: "spk dev",
    },
    Template {
        name: "static",
        what: "web site of files",
        rootfs: ROOTFS,
        files: files![
            ".gitignore" = "common/gitignore",
            "README.md" = "static/README.md",
            "public/index.html" = "static/public/index.html",
            "public/static/style.css" = "common/static/style.css",
            "sandstorm-pkgdef.capnp" = "static/sandstorm-pkgdef.capnp",
            "server.py" = "static/server.py",
        ],
        runtime: Some("/usr/bin/python3"),
        next: "spk dev",
    },
    Template {
        name: "rust",
        what: "notes app in Rust, one static program",
        rootfs: ROOTFS,
        files: files![
            ".cargo/config.toml" = "rust/.cargo/config.toml",
            ".gitignore" = "rust/.gitignore",
            "Cargo.toml" = "rust/Cargo.toml",
            "README.md" = "rust/README.md",
            "sandstorm-pkgdef.capnp" = "rust/sandstorm-pkgdef.capnp",
            "src/http.rs" = "rust/src/http.rs",
            "src/main.rs" = "rust/src/main.rs",
            "src/notes.rs" = "rust/src/notes.rs",
            "src/text.rs" = "rust/src/text.rs",
            "static/style.css" = "common/static/style.css",
        ],
        runtime: None,
        next: "cargo build --release, then spk dev",
    },
    Template {
        name: "raw",
        what: "notes app in Rust that speaks Cap'n Proto itself, without HTTP",
        rootfs: ROOTFS,
        files: files![
            ".cargo/config.toml" = "rust/.cargo/config.toml",
            ".gitignore" = "rust/.gitignore",
            "Cargo.toml" = "raw/Cargo.toml",
            "README.md" = "raw/README.md",
            "build.rs" = "raw/build.rs",
            "sandstorm-pkgdef.capnp" = "raw/sandstorm-pkgdef.capnp",
            "schema/api.request" = "raw/schema/api.request",
            "schema/activity.capnp" = "../spk/schema/capnp/sandstorm/activity.capnp",
            "schema/grain.capnp" = "../spk/schema/capnp/sandstorm/grain.capnp",
            "schema/identity.capnp" = "../spk/schema/capnp/sandstorm/identity.capnp",
            "schema/powerbox.capnp" = "../spk/schema/capnp/sandstorm/powerbox.capnp",
            "schema/util.capnp" = "../spk/schema/capnp/sandstorm/util.capnp",
            "schema/web-session.capnp" = "../spk/schema/capnp/sandstorm/web-session.capnp",
            "src/api.rs" = "raw/src/api.rs",
            "src/main.rs" = "raw/src/main.rs",
            "src/notes.rs" = "rust/src/notes.rs",
            "src/page.rs" = "raw/src/page.rs",
            "src/session.rs" = "raw/src/session.rs",
            "src/text.rs" = "rust/src/text.rs",
            "src/view.rs" = "raw/src/view.rs",
            "static/style.css" = "common/static/style.css",
        ],
        runtime: None,
        next: "cargo build --release, then spk dev",
    },
    Template {
        name: "raw-python",
        what: "notes app in Python that speaks Cap'n Proto itself, with pycapnp",
        rootfs: ROOTFS,
        files: files![
            ".gitignore" = "raw-python/.gitignore",
            "README.md" = "raw-python/README.md",
            "app.py" = "raw-python/app.py",
            "requirements.txt" = "raw-python/requirements.txt",
            "sandstorm-pkgdef.capnp" = "raw-python/sandstorm-pkgdef.capnp",
            "schema/capnp/c++.capnp" = "../spk/schema/capnp/capnp/c++.capnp",
            "schema/capnp/stream.capnp" = "../spk/schema/capnp/capnp/stream.capnp",
            "schema/sandstorm/activity.capnp" = "../spk/schema/capnp/sandstorm/activity.capnp",
            "schema/sandstorm/grain.capnp" = "../spk/schema/capnp/sandstorm/grain.capnp",
            "schema/sandstorm/identity.capnp" = "../spk/schema/capnp/sandstorm/identity.capnp",
            "schema/sandstorm/powerbox.capnp" = "../spk/schema/capnp/sandstorm/powerbox.capnp",
            "schema/sandstorm/util.capnp" = "../spk/schema/capnp/sandstorm/util.capnp",
            "schema/sandstorm/web-session.capnp" =
                "../spk/schema/capnp/sandstorm/web-session.capnp",
            "static/style.css" = "common/static/style.css",
            "test_app.py" = "raw-python/test_app.py",
        ],
        runtime: Some("/usr/bin/python3"),
        next: "/usr/bin/python3 -m pip install --target site -r requirements.txt, then spk dev",
    },
];

/// Replaces `{{name}}` by its value. Every blank of our templates has a value; a test says so.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, blank) = rest.split_at(start);
        out.push_str(before);
        let value = blank[2..].split_once("}}").and_then(|(name, after)| {
            let value = values.iter().find(|(key, _)| *key == name)?.1;
            Some((value, after))
        });
        match value {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = &blank[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// `text` as it stands between the quotes of a Cap'n Proto string literal. (The original put
/// arguments in unescaped, so that a quote in a command made a file it could not read.)
pub fn escape(text: &[u8]) -> String {
    let mut out = String::new();
    for &byte in text {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_has_a_value() {
        let values = [("fileId", ""), ("appId", ""), ("title", ""), ("spkName", "")];
        for template in ALL {
            for (path, text) in template.files() {
                let Ok(text) = std::str::from_utf8(text) else { continue };
                let filled = fill(text, &values);
                assert!(!filled.contains("{{"), "{}/{path}: {filled}", template.name);
            }
        }
        let more = [("searchPath", ""), ("fileSelection", ""), ("argv", "")];
        let filled = fill(GENERIC, &[&values[..], &more[..]].concat());
        assert!(!filled.contains("{{"), "{filled}");
    }

    #[test]
    fn definitions_are_right() {
        let values = [
            ("fileId", "0x994204a9202bc200"),
            ("appId", "0fhhggzmts8cw7chvndffky0m5my9pjhmfkhursxvk3684kp66w0"),
            ("title", "A \\\"title\\\""),
            ("spkName", "app.spk"),
            ("searchPath", "(sourcePath = \".\")"),
            ("fileSelection", "alwaysInclude = [\".\"],"),
            ("argv", "\"/app\""),
        ];
        let definitions = ALL.iter().flat_map(Template::files);
        let definitions = definitions.filter(|(path, _)| path.ends_with("pkgdef.capnp"));
        const MORE: &[File] = &[("generic", GENERIC.as_bytes())];
        for (path, text) in definitions.chain(MORE) {
            let filled = fill(std::str::from_utf8(text).expect("definitions are text"), &values);
            let checked = spk_package::pkgdef::check(filled.as_bytes(), path, "pkgdef");
            assert!(checked.is_ok(), "{}", checked.unwrap_err());
        }
    }

    #[test]
    fn values_are_not_filled_again() {
        assert_eq!(fill("a {{x}} {{y}} {{z}}", &[("x", "{{y}}"), ("y", "2")]), "a {{y}} 2 {{z}}");
    }

    #[test]
    fn quotes_and_bytes_are_escaped() {
        assert_eq!(escape(b"say \"hi\" \\ \xc3\xa9\n"), "say \\\"hi\\\" \\\\ \\xc3\\xa9\\n");
    }
}
