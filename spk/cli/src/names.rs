//! Names of users and hosts, which programs look up in files of the app's own: whether they have
//! those of the sandbox.

use std::collections::BTreeMap;
use std::io::Read as _;

use fuse_tracer::{Record, Use};
use spk_package::view::{NodeKind, View};
use spk_sandbox::ID_INSIDE;

use crate::templates;
use crate::ui::Ui;

/// More of such a file is not read.
const LARGEST: u64 = 1 << 20;

/// Where names are: the file, what of the sandbox it has to name, and how to tell.
struct Names {
    path: &'static str,
    /// Whether a line of it does.
    named: fn(&[&str]) -> bool,
    /// What separates the fields of a line; white space, if nothing.
    separator: Option<char>,
    what: &'static str,
}

const ALL: &[Names] = &[
    Names {
        path: "etc/passwd",
        named: |fields| fields.get(2) == Some(&ID_INSIDE.to_string().as_str()),
        separator: Some(':'),
        what: "no user 1000, as which the app runs",
    },
    Names {
        path: "etc/group",
        named: |fields| fields.get(2) == Some(&ID_INSIDE.to_string().as_str()),
        separator: Some(':'),
        what: "no group 1000, as which the app runs",
    },
    Names {
        path: "etc/hosts",
        named: |fields| fields.iter().skip(1).any(|name| *name == "localhost"),
        separator: None,
        what: "no localhost",
    },
    Names {
        path: "etc/hosts",
        named: |fields| fields.iter().skip(1).any(|name| *name == "sandbox"),
        separator: None,
        what: "no sandbox, which is the host's name for the app",
    },
];

/// Says which names the app looked for, or may have, where they are not: it is the same in a package.
pub fn tell_missing(view: &View, record: &Record, ui: &Ui) {
    for (path, lacks) in missing(view, record) {
        let ours = templates::ROOTFS.iter().find(|(place, _)| place.ends_with(path));
        let ours = ours.map(|(_, text)| String::from_utf8_lossy(text)).unwrap_or_default();
        let line = ours.lines().find(|line| line.contains("1000") || line.contains("sandbox"));
        ui.warn(format!(
            "the app looked into {path}, which has {}; a line for it: {}",
            lacks.join(" and "),
            line.unwrap_or_default()
        ));
    }
}

/// By file: what it should have had.
fn missing(view: &View, record: &Record) -> BTreeMap<&'static str, Vec<&'static str>> {
    let looked = |path: &str| {
        let uses = record.paths.get(path.as_bytes());
        uses.is_some_and(|uses| uses.contains_key(&Use::Read) || uses.contains_key(&Use::Miss))
    };
    let mut missing: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for names in ALL.iter().filter(|names| looked(names.path)) {
        if let Some(text) = text(view, names.path)
            && !text.lines().any(|line| has(line, names))
        {
            missing.entry(names.path).or_default().push(names.what);
        }
    }
    missing
}

fn has(line: &str, names: &Names) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    let fields: Vec<&str> = match names.separator {
        Some(separator) => line.split(separator).collect(),
        None => line.split_whitespace().collect(),
    };
    (names.named)(&fields)
}

/// What the app would read there, empty where nothing is; `None`: not known, as behind a link into
/// the grain's own storage.
fn text(view: &View, path: &str) -> Option<String> {
    match view.lookup(path.as_bytes()) {
        Ok(None) => Some(String::new()),
        Ok(Some(node)) if node.kind() == NodeKind::File => {
            let mut text = Vec::new();
            node.source_file()?.open().ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(path: &str, text: &str) -> Vec<&'static str> {
        let of = ALL.iter().filter(|names| names.path == path);
        of.filter(|names| !text.lines().any(|line| has(line, names)))
            .map(|names| names.what)
            .collect()
    }

    #[test]
    fn names_of_the_sandbox_are_known() {
        for (path, text) in templates::ROOTFS {
            let path = path.trim_start_matches("rootfs/");
            assert_eq!(lacks(path, &String::from_utf8_lossy(text)), [""; 0], "{path}");
        }
        assert_eq!(
            lacks("etc/passwd", "root:x:0:0::/:\nme:x:1001:1000::/home/me:/bin/sh\n").len(),
            1
        );
        assert_eq!(lacks("etc/passwd", "").len(), 1);
        assert_eq!(lacks("etc/group", "app:x:1000:\n").len(), 0);
        assert_eq!(lacks("etc/group", "#app:x:1000:\n").len(), 1);
        assert_eq!(lacks("etc/hosts", "127.0.0.1\tlocalhost # sandbox\n"), [ALL[3].what]);
        assert_eq!(lacks("etc/hosts", "localhost sandbox\n"), [ALL[2].what]);
        assert_eq!(lacks("etc/hosts", "::1 a localhost\n127.0.1.1 sandbox\n").len(), 0);
    }
}
