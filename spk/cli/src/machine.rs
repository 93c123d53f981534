//! The virtual machine of vagrant-spk, as far as the definitions of its projects count on it: the
//! project, which is the directory above `.sandstorm`, is its `/opt/app` (templates §A1), and what
//! `build.sh` makes elsewhere in `/opt` is kept in `.sandstorm/opt` (see `spk dev --build`).

use std::path::{Path, PathBuf};

use spk_package::source_map::{Mapping, SourceMap};

/// Where vagrant-spk keeps what is its own, in the project.
pub const DIRECTORY: &str = ".sandstorm";

/// The path of the project in the machine, without the slash.
const PROJECT: &[u8] = b"opt/app";

/// The machine's `/opt`, in [`DIRECTORY`]. The definitions map that directory to the package's root,
/// so this is the package's `/opt` without a word about it.
pub const OPT: &str = "opt";

/// The source map of a definition in the directory `dir`, with what the machine has where it has
/// it. `None` if `dir` is not called `.sandstorm`, or if nothing changes.
///
/// Where the whole machine is mapped, the project is at its `/opt/app`, unless the map says itself
/// what is at that path. Sources below the machine's `/opt` are taken from here.
pub fn as_in_the_machine(map: &SourceMap, dir: &Path) -> Option<SourceMap> {
    let project = dir.parent().filter(|_| dir.ends_with(DIRECTORY))?;
    let mut mappings: Vec<Mapping> = map.mappings().to_vec();
    for mapping in &mut mappings {
        if let Some(here) = here(&mapping.source_path, project, dir) {
            mapping.source_path = here;
        }
    }
    let machine =
        mappings.iter().position(|m| m.package_path.is_empty() && m.source_path == Path::new("/"));
    let said = mappings.iter().any(|mapping| mapping.package_path == PROJECT);
    if let Some(machine) = machine.filter(|_| !said)
        && !mappings[machine].hides(PROJECT)
    {
        let below = |path: &Vec<u8>| {
            let rest = path.strip_prefix(PROJECT)?.strip_prefix(b"/")?;
            Some(rest.to_vec()).filter(|rest| !rest.is_empty())
        };
        let project = Mapping {
            package_path: PROJECT.to_vec(),
            source_path: project.to_owned(),
            hide_paths: mappings[machine].hide_paths.iter().filter_map(below).collect(),
        };
        mappings.insert(machine, project);
    }
    (mappings != map.mappings()).then(|| SourceMap::new(mappings).ok()).flatten()
}

/// What the machine has at `source`, if it is of the project or of its `/opt` and not on this
/// machine too.
fn here(source: &Path, project: &Path, dir: &Path) -> Option<PathBuf> {
    let rest = source.strip_prefix("/opt").ok().filter(|_| !source.exists())?;
    match rest.strip_prefix("app") {
        Ok(rest) => Some(project.join(rest)),
        Err(_) => Some(dir.join(OPT).join(rest)).filter(|kept| kept.exists()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(paths: &[(&str, &str, &[&str])]) -> SourceMap {
        let mapping = |(package, source, hidden): &(&str, &str, &[&str])| Mapping {
            package_path: package.as_bytes().to_vec(),
            source_path: source.into(),
            hide_paths: hidden.iter().map(|path| path.as_bytes().to_vec()).collect(),
        };
        SourceMap::new(paths.iter().map(mapping).collect()).expect("in plain form")
    }

    const DIR: &str = "/home/a/wiki/.sandstorm";

    fn with(paths: &[(&str, &str, &[&str])]) -> Option<SourceMap> {
        as_in_the_machine(&map(paths), Path::new(DIR))
    }

    #[test]
    fn only_definitions_of_vagrant_spk_get_the_project() {
        let made: &[(&str, &str, &[&str])] = &[("", DIR, &[]), ("", "/", &["etc/passwd"])];
        let expected =
            map(&[("", DIR, &[]), ("opt/app", "/home/a/wiki", &[]), ("", "/", &["etc/passwd"])]);
        assert_eq!(with(made), Some(expected));
        assert_eq!(as_in_the_machine(&map(made), Path::new("/home/a/wiki")), None);
        assert_eq!(with(&[("opt/app", "/home/a/wiki", &[]), ("", "/", &[])]), None);
        assert_eq!(with(&[("", "/home/vagrant/bundle", &[])]), None);
    }

    /// Names that begin alike, and paths inside of the project, are not the project.
    #[test]
    fn mappings_beside_the_project_leave_it_there() {
        for other in ["opt/app-venv", "opt/apple", "opt/app/static", "opt"] {
            let with = with(&[(other, "/srv/x", &[]), ("", "/", &[])]);
            let mappings = with.expect(other).mappings().to_vec();
            assert_eq!(mappings[1].package_path, b"opt/app", "{other}");
            assert_eq!(mappings[1].source_path, Path::new("/home/a/wiki"), "{other}");
        }
    }

    /// What the machine's mapping hides of `/opt/app` stays hidden.
    #[test]
    fn hidden_paths_of_the_project_stay_hidden() {
        let map = with(&[("", "/", &["home", "opt/app/.git", "opt/app-venv/x"])]).expect("added");
        assert_eq!(map.mappings()[0].hide_paths, [b".git".to_vec()]);
        for hides in ["opt", "opt/app"] {
            assert_eq!(with(&[("", "/", &[hides])]), None, "{hides}");
        }
    }

    #[test]
    fn the_machines_own_paths_are_those_of_the_project() {
        let map = with(&[("srv", "/opt/app/site", &[]), ("etc", "/opt/application", &[])]);
        let map = map.expect("changed");
        assert_eq!(map.mappings()[0].source_path, Path::new("/home/a/wiki/site"));
        assert_eq!(map.mappings()[1].source_path, Path::new("/opt/application"));
    }
}
