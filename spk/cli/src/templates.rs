//! The files that `spk init` writes, embedded in the binary, and how their blanks are filled.

/// A template: its name and its files (path below the project, text with `{{blanks}}`).
pub struct Template {
    /// What `--template` calls it.
    pub name: &'static str,
    /// Port that its app listens on; written in its definition.
    pub files: &'static [(&'static str, &'static str)],
}

/// The definition that `spk init -- COMMAND` writes.
pub const GENERIC: &str = include_str!("../../../templates/generic/sandstorm-pkgdef.capnp");

macro_rules! template {
    ($name:literal: $($path:literal),* $(,)?) => {
        Template {
            name: $name,
            files: &[$((
                $path,
                include_str!(concat!("../../../templates/", $name, "/", $path)),
            )),*],
        }
    };
}

/// What `--template` knows.
pub const ALL: &[Template] = &[template!("python":
    "README.md",
    "app.py",
    "rootfs/etc/group",
    "rootfs/etc/hosts",
    "rootfs/etc/nsswitch.conf",
    "rootfs/etc/passwd",
    "rootfs/etc/resolv.conf",
    "sandstorm-pkgdef.capnp",
    "static/style.css",
)];

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
            for (path, text) in template.files {
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
        let definitions = ALL.iter().flat_map(|template| template.files);
        let definitions = definitions.filter(|(path, _)| path.ends_with("pkgdef.capnp"));
        for (path, text) in definitions.chain(&[("generic", GENERIC)]) {
            let filled = fill(text, &values);
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
