//! Interpreters that lie in somebody's home (uv, pyenv, nvm, rbenv), which apps do not see: told of
//! before anything fails.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use spk_files::path::{join, parent};
use spk_files::printable;
use spk_package::manifest::Manifest;
use spk_package::pkgdef::Definition;
use spk_package::programs;
use spk_package::selection::{self, Reason};
use spk_package::view::{Generated, View};

use crate::bridge;
use crate::definition::{self, Located};
use crate::error::Result;
use crate::global::Global;
use crate::guarding;
use crate::recognise::Found;
use crate::ui::Ui;

/// Directories with a project's own interpreter of Python, which are hidden from the app.
const ENVIRONMENTS: &[&str] = &[".venv", "venv", "env"];

/// Says where the app's interpreter is another one than that of the developer's shell, or than that
/// of the project's own environment.
pub(super) fn tell(found: &Found, ui: &Ui) {
    if found.program.is_some() {
        return;
    }
    let Some(program) = found.command.first() else { return };
    let Some(name) = Path::new(program).file_name().and_then(|name| name.to_str()) else { return };
    let is_there = !program.starts_with('/') || Path::new(program).exists();
    let in_project = program.starts_with("/opt/app/");
    if !is_there && !in_project {
        ui.warn(format!("the app runs on {program}, which is not installed on this machine"));
    }
    let interpreters = ["python3", "node", "ruby", "bundle", "php"];
    if !interpreters.contains(&name) || !program.starts_with("/usr/") {
        return;
    }
    if let Some(other) = of_the_shell(name) {
        let leads = match fs::canonicalize(&other) {
            Ok(real) if real != other => format!(" ({})", real.display()),
            _ => String::new(),
        };
        let message = format!(
            "the {name} of your shell is {}{leads}, which the sandbox does not have: the app runs on {program}",
            other.display()
        );
        match is_there {
            true => ui.note(message),
            false => {
                ui.warn(message);
                ui.detail("hint", &or_mapped("install it for all users", &other));
            }
        }
    }
    if name == "python3" {
        for (link, real) in ENVIRONMENTS.iter().filter_map(|dir| environment(dir)) {
            ui.warn(format!(
                "{link} leads to {}, which the sandbox does not have: what is installed beside it is \
                 not used, the app runs on {program}",
                real.display()
            ));
        }
    }
}

/// The first program of that name on PATH, if it is nowhere below `/usr`.
fn of_the_shell(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())?;
    let system = ["/usr", "/bin", "/sbin", "/lib"];
    let real = fs::canonicalize(&found).ok()?;
    let is_system = |path: &Path| system.iter().any(|place| path.starts_with(place));
    (!is_system(&found) || !is_system(&real)).then_some(found)
}

/// The interpreter of the environment `dir`, where it is a link out of `/usr`.
fn environment(dir: &str) -> Option<(String, PathBuf)> {
    Path::new(dir).join("pyvenv.cfg").is_file().then_some(())?;
    let link = format!("{dir}/bin/python");
    // Where the link leads nowhere its own text has to do.
    let real = fs::canonicalize(&link).or_else(|_| fs::read_link(&link)).ok()?;
    let project = env::current_dir().ok()?;
    (real.is_absolute() && !real.starts_with("/usr") && !real.starts_with(project))
        .then_some((link, real))
}

/// How an interpreter is shown with what belongs to it, the directory above its `bin`, behind another
/// way. In the sandbox there are other directories in the place of some.
fn or_mapped(way: &str, program: &Path) -> String {
    let real = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let dir = real.parent().filter(|dir| dir.ends_with("bin")).and_then(Path::parent);
    let dir = dir.or(real.parent()).unwrap_or(&real);
    let mut others = ["/tmp", "/var", "/dev", "/proc", "/run", "/sys"].iter();
    if others.any(|other| dir.starts_with(other)) || !program.starts_with(dir) {
        return way.to_owned();
    }
    let dir = dir.display().to_string();
    format!(
        "{way}, or show it with an entry of the definition's searchPath: \
         (packagePath = \"{}\", sourcePath = \"{dir}\")",
        dir.trim_start_matches('/')
    )
}

/// A definition, and what it shows.
pub(super) fn view(located: &Located, global: &Global, ui: &Ui) -> Result<(Definition, View)> {
    let definition = definition::load(located, &global.import_path, ui)?;
    let generated = Generated {
        manifest: definition.manifest.clone(),
        bridge_config: definition.bridge_config.clone().unwrap_or_default(),
        bridge: bridge::find().ok(),
    };
    let view = View::new(definition.source_map.clone(), generated)
        .withholding(guarding::withheld(&guarding::Own::default(), global));
    Ok((definition, view))
}

/// Says which programs of the definition, and besides `program`, are links to what it does not show.
/// A definition that cannot be read is told of by the next command.
pub(super) fn tell_of_links(file: &Path, program: Option<&String>, global: &Global, ui: &Ui) {
    let located = Located { file: file.to_owned(), constant: definition::CONSTANT.to_owned() };
    let Ok((definition, view)) = view(&located, global, ui) else { return };
    let Ok(manifest) = Manifest::from_bytes(&definition.manifest) else { return };
    let has = |path: &[u8]| selection::follow(&view, path).is_ok();
    let missing = programs::missing(&manifest, has);
    let mut paths: Vec<Vec<u8>> = missing.iter().map(programs::Missing::path).collect();
    if let Some(program) = program.filter(|program| program.contains('/')) {
        let path = match program.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("opt/app/{}", program.trim_start_matches("./")),
        };
        paths.push(path.into_bytes());
    }
    paths.dedup();
    for path in paths {
        let is_shown = !matches!(
            selection::follow(&view, &path),
            Err(Reason::Hidden(_) | Reason::Withheld(..) | Reason::BeyondLink { .. })
        );
        let Some(target) = target(&view, &path).filter(|_| !is_shown) else { continue };
        let Ok(real) = fs::canonicalize(&target) else { continue };
        ui.warn(format!(
            "{} leads to {}, which the definition's source map does not show",
            printable::line(&path),
            real.display()
        ));
        ui.detail(
            "hint",
            &or_mapped("take a program below /usr (for Python: /usr/bin/python3 -m venv)", &target),
        );
    }
}

/// The absolute path that a link leads to, through links beside it.
fn target(view: &View, path: &[u8]) -> Option<PathBuf> {
    let mut path = path.to_vec();
    for _ in 0..selection::MAX_LINKS {
        let node = view.lookup(&path).ok()??;
        let text = node.read_link().ok()?;
        if text.starts_with(b"/") {
            return Some(PathBuf::from(OsString::from_vec(text)));
        }
        path = join(parent(&path), text.strip_prefix(b"./").unwrap_or(&text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_for_what_can_be_shown() {
        assert_eq!(
            or_mapped("install it", Path::new("/home/you/.nvm/v20/bin/node")),
            "install it, or show it with an entry of the definition's searchPath: \
             (packagePath = \"home/you/.nvm/v20\", sourcePath = \"/home/you/.nvm/v20\")"
        );
        assert!(or_mapped("", Path::new("/opt/node")).contains("\"/opt\")"));
        // There it would be out of sight.
        assert_eq!(or_mapped("install it", Path::new("/var/lib/you/bin/node")), "install it");
    }
}
