//! Giving a definition another app ID, in its own text: comments and everything else stay.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use spk_files::AtomicFile;
use spk_files::atomic;

use super::Failure;
use super::ast::{Decl, DeclKind, Expr, ExprKind};
use super::error::{Error, Problem, Result, Span};
use super::files::Files;
use super::limits::MAX_NESTING;
use super::parser::parse;
use crate::suggest;

/// A definition whose ID is about to be replaced.
#[derive(Debug)]
pub struct Rekey {
    /// The file itself: symbolic links are followed, so that they stay.
    path: PathBuf,
    text: Vec<u8>,
    place: Place,
    /// The ID so far, if the definition has one.
    pub old_id: Option<String>,
}

/// Where the ID goes.
#[derive(Debug)]
enum Place {
    /// In place of this text.
    Instead(Span),
    /// The definition has no ID: behind its opening parenthesis.
    Behind(usize),
}

impl Rekey {
    /// Finds the ID of the definition `constant` in `file`. Nothing is changed yet.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, has no such constant, or takes the ID from
    /// elsewhere (an import or an embedded file).
    pub fn prepare(file: &Path, constant: &str) -> Result<Rekey, Error> {
        let read = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound(file.to_owned()),
            _ => Error::Read { path: file.to_owned(), source },
        };
        let path = file.canonicalize().map_err(read)?;
        let mut files = Files::new(&[]);
        let number = files.open(file).map_err(read)?;
        let text = files.text(number).to_vec();
        match find(&text, number, constant) {
            Ok((place, old_id)) => {
                let old_id = old_id.map(|id| String::from_utf8_lossy(&id).into_owned());
                Ok(Rekey { path, text, place, old_id })
            }
            Err(Failure::Problem(problem)) => Err(Error::Invalid {
                place: Box::new(files.place(problem.0.span)),
                message: problem.0.message,
                hint: problem.0.hint,
            }),
            Err(Failure::NoConstant { hint }) => Err(Error::NoConstant {
                file: file.to_owned(),
                constant: constant.to_owned(),
                hint,
            }),
        }
    }

    /// The text with the new ID.
    pub fn text(&self, id: &str) -> Vec<u8> {
        let (start, end, new) = match &self.place {
            Place::Instead(span) => (span.start, span.end, format!("\"{id}\"")),
            Place::Behind(at) => (*at, *at, format!("\n  id = \"{id}\",\n")),
        };
        [&self.text[..start], new.as_bytes(), &self.text[end..]].concat()
    }

    /// Writes the text with the new ID beside the file, whose mode it gets when it is committed.
    /// Killed half-way, the old file is there unharmed.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn stage(&self, id: &str) -> io::Result<AtomicFile> {
        let mut file = atomic::Options::mode(0o666).keep_mode().create(&self.path)?;
        file.write_all(&self.text(id))?;
        Ok(file)
    }
}

/// Where the ID of the constant stands, and what it is.
fn find(text: &[u8], file: usize, constant: &str) -> Result<(Place, Option<Vec<u8>>), Failure> {
    let root = parse(text, file)?.root;
    let Some(definition) = declaration(&root, constant) else {
        let names = root.children.iter().map(|child| child.name.text.as_str());
        return Err(Failure::NoConstant { hint: suggest::hint(constant, names) });
    };
    let DeclKind::Const { value, .. } = &definition.kind else {
        let problem = format!("`{constant}` is not a constant");
        return Err(Problem::new(definition.name.span, problem).into());
    };
    let value = follow(&root, value)?;
    let ExprKind::Tuple(fields) = &value.kind else {
        return Err(
            Problem::new(value.span, "this is not a definition ( field = value, … )").into()
        );
    };
    // Of several, the last counts.
    let id =
        fields.iter().rev().find(|(name, _)| name.as_ref().is_some_and(|name| name.text == "id"));
    let Some((_, id)) = id else { return Ok((Place::Behind(value.span.start + 1), None)) };
    let id = follow(&root, id)?;
    match &id.kind {
        ExprKind::Text(text) => Ok((Place::Instead(id.span), Some(text.clone()))),
        _ => Err(Problem::new(id.span, "the app ID is not written in this file")
            .hint("write it as a text: id = \"…\"")
            .into()),
    }
}

fn declaration<'a>(root: &'a Decl, name: &str) -> Option<&'a Decl> {
    root.children.iter().find(|child| child.name.text == name).map(|child| &**child)
}

/// The literal that an expression stands for, through constants at the top of the file.
fn follow<'a>(root: &'a Decl, expr: &'a Expr) -> Result<&'a Expr> {
    let mut expr = expr;
    for _ in 0..MAX_NESTING {
        let ExprKind::Absolute(name) = &expr.kind else { return Ok(expr) };
        match declaration(root, &name.text).map(|found| &found.kind) {
            Some(DeclKind::Const { value, .. }) => expr = value,
            _ => return Ok(expr),
        }
    }
    Err(Problem::new(expr.span, "the constants refer to each other in a circle"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NEW: &str = "0fhhggzmts8cw7chvndffky0m5my9pjhmfkhursxvk3684kp66w0";

    fn rekeyed(text: &str) -> Result<(Option<String>, String), Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.capnp");
        fs::write(&path, text).unwrap();
        let rekey = Rekey::prepare(&path, "pkgdef")?;
        rekey.stage(NEW).unwrap().commit().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Ok((rekey.old_id, fs::read_to_string(&path).unwrap()))
    }

    fn with(value: &str, more: &str) -> String {
        format!(
            "# top\n@0x994204a9202bc200; # id = \"no\"\n\
             using Spk = import \"/sandstorm/package.capnp\";\n\
             const pkgdef :Spk.PackageDefinition = {value};\n# end\r\n{more}"
        )
    }

    #[test]
    fn only_the_id_changes() {
        for (value, more, old, expected, expected_more) in [
            ("( # c\n id = \"old\", # c\n)", "", Some("old"), "( # c\n id = \"NEW\", # c\n)", ""),
            ("(id=\"o\" # c\n\"ld\")", "", Some("old"), "(id=\"NEW\")", ""),
            ("((id = (\"old\")))", "", Some("old"), "((id = (\"NEW\")))", ""),
            ("(id = \"a\", id = \"b\")", "", Some("b"), "(id = \"a\", id = \"NEW\")", ""),
            (
                "(manifest = (appTitle = (defaultText = \"id\")))",
                "",
                None,
                "(\n  id = \"NEW\",\nmanifest = (appTitle = (defaultText = \"id\")))",
                "",
            ),
            ("()", "", None, "(\n  id = \"NEW\",\n)", ""),
            (
                "(id = .myId)",
                "const myId :Text = \"old\";",
                Some("old"),
                "(id = .myId)",
                "const myId :Text = \"NEW\";",
            ),
            (
                ".other",
                "const other :Spk.PackageDefinition = (id = \"old\");",
                Some("old"),
                ".other",
                "const other :Spk.PackageDefinition = (id = \"NEW\");",
            ),
        ] {
            let (id, text) = rekeyed(&with(value, more)).unwrap();
            assert_eq!(id.as_deref(), old, "{value}");
            let new = |text: &str| text.replace("NEW", NEW);
            assert_eq!(text, with(&new(expected), &new(expected_more)));
        }
    }

    #[test]
    fn what_cannot_be_rekeyed_is_refused() {
        for (text, expected) in [
            (with("(id = embed \"id\")", ""), "not written in this file"),
            (with("(id = Spk.x)", ""), "not written in this file"),
            (with("(id = .a)", "const a :Text = .b; const b :Text = .a;"), "in a circle"),
            (with("\"a\"", ""), "not a definition"),
            (with("(id = )", ""), "expected a name or value"),
            ("@0x994204a9202bc200; const pkgdfe :Text = \"\";".into(), "did you mean `pkgdfe`"),
            ("@0x994204a9202bc200; struct pkgdef {}".into(), "not a constant"),
        ] {
            let error = rekeyed(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn mode_and_links_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, with("(id = \"old\")", "")).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        Rekey::prepare(&link, "pkgdef").unwrap().stage(NEW).unwrap().commit().unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(fs::read_to_string(&real).unwrap().contains(NEW));
    }
}
