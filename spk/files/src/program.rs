//! Why a program that is there cannot be executed: the kernel says "no such file" of what it needs, too.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use crate::elf::Elf;

/// What a program lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is a link, or behind one, that leads to nothing.
    Target(PathBuf),
    /// Its interpreter, which a script names in its first line and a dynamic program in its head.
    Interpreter(PathBuf),
    /// What its interpreter leads to.
    InterpretersTarget(PathBuf, PathBuf),
}

impl Missing {
    /// What is not where: "in the package".
    pub fn in_words(&self, place: &str) -> String {
        match self {
            Missing::Target(target) => {
                format!("it leads to {}, which is not {place}", target.display())
            }
            Missing::Interpreter(name) => {
                format!("its interpreter {} is not {place}", name.display())
            }
            Missing::InterpretersTarget(name, target) => {
                let (name, target) = (name.display(), target.display());
                format!("its interpreter {name} leads to {target}, which is not {place}")
            }
        }
    }
}

/// What the program at `path` lacks, in the root that this process has. `None`: nothing that is known; or
/// there is no program, and no link either.
pub fn missing(path: &Path) -> Option<Missing> {
    if let Some(target) = dangling(path) {
        return Some(Missing::Target(target));
    }
    let interpreter = interpreter(path)?;
    if interpreter.exists() {
        return None;
    }
    Some(match dangling(&interpreter) {
        Some(target) => Missing::InterpretersTarget(interpreter, target),
        None => Missing::Interpreter(interpreter),
    })
}

/// Where the links on the way to `path` lead, if nothing is there.
fn dangling(path: &Path) -> Option<PathBuf> {
    /// As many as the kernel follows.
    const LINKS: usize = 40;
    let mut rest = names(&std::path::absolute(path).ok()?);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let here = at.join(&name);
        match here.symlink_metadata() {
            Ok(found) if found.is_symlink() && links < LINKS => {
                links += 1;
                let target = fs::read_link(&here).ok()?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let mut names = names(&target);
                names.append(&mut rest);
                rest = names;
            }
            Ok(found) if found.is_symlink() => return None,
            Ok(_) => at = here,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gone = || rest.iter().fold(here.clone(), |path, name| path.join(name));
                return (links > 0).then(gone);
            }
            Err(_) => return None,
        }
    }
    None
}

/// Names of a path, and its steps upwards.
fn names(path: &Path) -> VecDeque<OsString> {
    let names = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

/// The interpreter that a script or a dynamic program names.
fn interpreter(path: &Path) -> Option<PathBuf> {
    /// Longest first line the kernel looks at.
    const LINE: usize = 256;
    let file = File::open(path).ok()?;
    let mut head = [0; LINE];
    let length = file.read_at(&mut head, 0).ok()?;
    let name = match head[..length].strip_prefix(b"#!") {
        Some(line) => {
            let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
            line.split(|byte| byte.is_ascii_whitespace()).next()?.to_vec()
        }
        None => Elf::open(&file).ok()??.interpreter().ok()??.to_vec(),
    };
    Some(PathBuf::from(OsString::from_vec(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_program_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        fs::write(at("script"), "#! /no/such/python3 -s\nprint(1)\n").unwrap();
        symlink("script", at("link")).unwrap();
        let lacks = |name: &str| missing(&at(name));
        let python = PathBuf::from("/no/such/python3");
        assert_eq!(lacks("script"), Some(Missing::Interpreter(python.clone())));
        assert_eq!(lacks("link"), Some(Missing::Interpreter(python.clone())));

        // A virtual environment's, and one whose directory is a link.
        fs::create_dir_all(at("venv/bin")).unwrap();
        symlink("/no/such/python3", at("venv/bin/python3")).unwrap();
        symlink("python3", at("venv/bin/python")).unwrap();
        assert_eq!(lacks("venv/bin/python"), Some(Missing::Target(python.clone())));
        symlink("../no/../here/../gone", at("venv/lib")).unwrap();
        assert_eq!(lacks("venv/lib/app"), Some(Missing::Target(at("no/../here/../gone/app"))));
        symlink("../gone", at("venv/lib2")).unwrap();
        assert_eq!(lacks("venv/lib2/app"), Some(Missing::Target(at("gone/app"))));
        let own = at("venv/bin/python").display().to_string();
        fs::write(at("of-venv"), format!("#!{own}\n")).unwrap();
        let told = lacks("of-venv").unwrap();
        assert_eq!(told, Missing::InterpretersTarget(own.clone().into(), python));
        let words = format!("its interpreter {own} leads to /no/such/python3, which is not here");
        assert_eq!(told.in_words("here"), words);

        // Nothing to say of what is complete, is not there, or goes in circles.
        fs::write(at("good"), "#!/bin/sh\n").unwrap();
        symlink("circle", at("circle")).unwrap();
        for name in ["good", "absent", "circle", "script/below"] {
            assert_eq!(lacks(name), None, "{name}");
        }
        assert_eq!(missing(Path::new("/bin/sh")), None);
    }
}
