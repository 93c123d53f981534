//! `spk init` in the directory of an app: what would be written, and the writing.

use std::ffi::OsString;
use std::path::Path;

use super::interpreter;
use super::plan::{Plan, exists};
use super::{AppKey, Args, definition_values};
use crate::definition;
use crate::error::{CliError, Result};
use crate::global::Global;
use crate::recognise::{Found, Said, Wish, recognise};
use crate::templates::{self, escape};
use crate::ui::Ui;

/// Where everything goes, so that the app's own files stay as they are.
const DIR: &str = ".sandstorm";

/// Looks at this directory and packages what is there.
pub(super) fn run(args: &Args, global: &Global, ui: &Ui) -> Result<()> {
    if Path::new(definition::FILE).exists() && !args.force {
        return Err(exists(Path::new(definition::FILE)));
    }
    let wish = wish(args)?;
    let vagrant = Path::new(DIR).join(definition::FILE);
    if vagrant.exists() && !args.force {
        if args.port.is_some() || !args.command.is_empty() {
            return Err(exists(&vagrant));
        }
        ui.note(format!(
            "{} is here already (vagrant-spk keeps it there): this directory is its /opt/app",
            vagrant.display()
        ));
        ui.note("next: spk dev");
        return Ok(());
    }
    let (found, said) = recognise(Path::new("."), &wish);
    let Some(found) = found else {
        said.unclear.iter().for_each(|unclear| ui.warn(unclear));
        return Err(nothing_found(args));
    };
    propose(&found, &said, ui);
    let plan = plan(&found, args)?;
    if !plan.agreed(args, ui)? {
        return Ok(());
    }
    let app = AppKey::new(args)?;
    let title = title(&found, args);
    let staged = plan.stage(&definition_values(&app.id, &title)?)?;
    app.keep(args, global, ui)?;
    staged.finish(ui)?;
    if let Some((dir, _)) = &found.site {
        std::fs::create_dir_all(Path::new(DIR).join(dir))?;
    }
    interpreter::tell_of_links(&vagrant, found.command.first(), global, ui);
    let steps = found.prepare.iter().map(String::as_str).chain(["spk dev"]);
    ui.note(format!("next: {}", steps.collect::<Vec<_>>().join(", then ")));
    Ok(())
}

/// What is asked for, whatever is found.
fn wish(args: &Args) -> Result<Wish> {
    let word = |word: &OsString| {
        let text = word.to_str().map(str::to_owned);
        text.ok_or_else(|| CliError::usage(format!("{word:?} is no text in UTF-8")))
    };
    Ok(Wish { port: args.port, command: args.command.iter().map(word).collect::<Result<_>>()? })
}

/// What lacks for a definition without an app that would say it.
fn nothing_found(args: &Args) -> CliError {
    if !args.command.is_empty() {
        return CliError::usage(
            "either --port or --raw is needed, and no app found in this directory",
        )
        .hint("-p PORT for an app that is an HTTP server, -r for one that speaks Cap'n Proto");
    }
    CliError::usage("no command given, and no app found in this directory").hint(
        "spk init -p PORT -- COMMAND, or a template in an empty directory: \
         spk init --template python",
    )
}

fn title(found: &Found, args: &Args) -> String {
    let here = std::env::current_dir().ok();
    let here = here.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    args.title
        .clone()
        .or_else(|| found.name.clone())
        .or_else(|| here.map(|name| name.into_owned()))
        .unwrap_or_else(|| "App".into())
}

fn propose(found: &Found, said: &Said, ui: &Ui) {
    ui.note(format!("found {} ({})", found.what, found.by));
    said.notes.iter().for_each(|note| ui.note(note));
    for before in &found.before {
        ui.note(format!("each time before: {}", before.join(" ")));
    }
    ui.note(format!("command: {}", found.command.join(" ")));
    match &found.port.from {
        Some(from) => ui.note(format!("port: {} ({from})", found.port.number)),
        None => ui.note(format!("port: {}", found.port.number)),
    }
    if !found.prepare.is_empty() {
        ui.note(format!("to be done before: {}", found.prepare.join(", then ")));
    }
    said.unclear.iter().for_each(|unclear| ui.warn(unclear));
    interpreter::tell(found, ui);
}

/// The files to write.
fn plan(found: &Found, args: &Args) -> Result<Plan> {
    let mut plan = Plan::new(args.force);
    let mut argv =
        vec!["/sandstorm-http-bridge".into(), found.port.number.to_string(), "--".into()];
    match found.program {
        Some(_) => argv.extend(found.command.iter().cloned()),
        None => {
            argv.extend(["/bin/sh".to_owned(), "/opt/launcher".to_owned()]);
            let line = |words: &[String]| {
                words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
            };
            let before: String =
                found.before.iter().map(|words| format!("{}\n", line(words))).collect();
            let below = found.directory.iter().map(|dir| format!("/{dir}"));
            let directory = shell_word(&format!("/opt/app{}", below.collect::<String>()));
            let launcher = include_str!("../../../../../templates/found/launcher");
            let storage: String =
                found.storage.iter().map(|dir| format!(" {}", shell_word(dir))).collect();
            let blanks = [
                ("command", line(&found.command)),
                ("before", before),
                ("directory", directory),
                ("storage", storage),
            ];
            let blanks = blanks.each_ref().map(|(name, value)| (*name, value.as_str()));
            let text = templates::fill(launcher, &blanks);
            plan.add(format!("{DIR}/launcher"), text.into_bytes())?;
        }
    }
    for (path, text) in templates::ROOTFS {
        plan.add(format!("{DIR}/{path}"), text.to_vec())?;
    }
    plan.add(format!("{DIR}/.gitignore"), templates::GITIGNORE.to_vec())?;
    if found.static_server {
        plan.add(format!("{DIR}/server.py"), templates::STATIC_SERVER.to_vec())?;
    }
    let argv: Vec<String> =
        argv.iter().map(|word| format!("\"{}\"", escape(word.as_bytes()))).collect();
    let values = [
        ("searchPath", search_path(found)),
        ("fileSelection", selection(found)),
        ("argv", argv.join(", ")),
        ("environ", environ(found)),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // What is left blank is known when a key has been made.
    let text = templates::fill(templates::FOUND, &values);
    plan.add(format!("{DIR}/{}", definition::FILE), text.into_bytes())?;
    Ok(plan)
}

fn search_path(found: &Found) -> String {
    if let Some(program) = &found.program {
        let source = match program.strip_prefix(".sandstorm/") {
            Some(beside) => beside.to_owned(),
            None => format!("../{program}"),
        };
        return format!(
            "{ROOTFS}\n      (packagePath = \"app\", sourcePath = \"{}\"),\n      \
             # One static program: nothing of this machine is needed.",
            escape(source.as_bytes())
        );
    }
    let mut lines = vec![
        ROOTFS.to_owned(),
        "      (packagePath = \"opt/launcher\", sourcePath = \"launcher\"),".to_owned(),
    ];
    if found.static_server {
        lines.push("      (packagePath = \"opt/server.py\", sourcePath = \"server.py\"),".into());
    }
    if let Some((dir, place)) = &found.site {
        lines.push(format!("      (packagePath = \"{place}\", sourcePath = \"{dir}\"),"));
    }
    lines.push(APP_AND_MACHINE.to_owned());
    lines.join("\n")
}

/// Files beside the definition, whatever kind of app it is.
const ROOTFS: &str = r#"      (sourcePath = "rootfs"),
      # Names of users and hosts in the sandbox, instead of this machine's.
"#;

/// The project, and the machine without what is private to it.
const APP_AND_MACHINE: &str = r#"
      (packagePath = "opt/app", sourcePath = "..", hidePaths = [
        ".git", ".gitignore", ".hg", ".sandstorm", ".env", ".vscode", ".idea", ".venv", "venv",
        "node_modules/.cache"
      ]),
      # The app. `spk dev` finds out which of its files are used.

      (sourcePath = "/", hidePaths = [
        "home", "root", "proc", "sys", "dev", "run", "tmp", "var", "boot", "mnt", "media", "srv",
        "lost+found", "opt", "etc/passwd", "etc/passwd-", "etc/group", "etc/group-", "etc/shadow",
        "etc/shadow-", "etc/gshadow", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/hosts",
        "etc/host.conf", "etc/nsswitch.conf", "etc/resolv.conf", "etc/ssh", "etc/ssl/private",
        "etc/sudoers", "etc/sudoers.d", "etc/security/opasswd"
      ]),
      # This machine's runtime and libraries."#;

fn selection(found: &Found) -> String {
    if found.program.is_some() {
        return "  alwaysInclude = [\".\"],\n  \
                # Everything in the source map, so no tracing is needed."
            .to_owned();
    }
    // What a browser may ask for is packed as a whole: nobody asks for all of it in `spk dev`.
    let root = found.environ.iter().find(|(name, _)| name == "SITE_ROOT");
    let root = root.map(|(_, place)| place.trim_start_matches('/'));
    let include = root.map(|place| format!("\"{place}\", ")).unwrap_or_default();
    format!(
        "  fileList = \"sandstorm-files.list\",\n  \
         # Written by `spk dev`: the files that the app used.\n\n  \
         alwaysInclude = [\n    {include}\"opt/launcher\", \"etc/passwd\", \"etc/group\", \
         \"etc/hosts\", \"etc/nsswitch.conf\",\n    \"etc/resolv.conf\"\n  ],\n  \
         # In the package whether they were used or not. Add what is used rarely: templates,\n  \
         # translations, pictures."
    )
}

fn environ(found: &Found) -> String {
    let port = found.port.number.to_string();
    let common = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/var/home"),
        ("USER", "app"),
        ("LOGNAME", "app"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", "/var/tmp"),
        ("PORT", &port),
        ("DATA_DIR", "/var/lib/app"),
        ("SANDSTORM", "1"),
    ];
    // What every app gets stays, but for the language, which is the app's own matter.
    let is_own = |name: &str| name == "LANG" && found.environ.iter().any(|(own, _)| own == name);
    let common: Vec<(&str, &str)> = common.into_iter().filter(|(name, _)| !is_own(name)).collect();
    let own = found.environ.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = own.filter(|(name, _)| !common.iter().any(|(known, _)| known == name));
    let text = |text: &str| escape(text.as_bytes());
    let lines: Vec<String> = common
        .iter()
        .copied()
        .chain(own)
        .map(|(key, value)| format!("    (key = \"{}\", value = \"{}\"),", text(key), text(value)))
        .collect();
    lines.join("\n")
}

/// A word for the launcher's shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        assert_eq!(shell_word("--port=8000"), "--port=8000");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }

    /// Every kind of definition is one that `spk dev` can read.
    #[test]
    fn definitions_are_right() {
        let dynamic = Found {
            command: vec!["/usr/bin/python3".into()],
            site: Some(("site".into(), "opt/site".into())),
            environ: vec![("SITE_ROOT".into(), "/opt/app/dist".into())],
            static_server: true,
            ..Found::default()
        };
        let compiled = Found {
            command: vec!["/app".into()],
            program: Some(".sandstorm/app".into()),
            ..dynamic.clone()
        };
        for found in [dynamic, compiled] {
            let values = [
                ("fileId", "0x994204a9202bc200".to_owned()),
                ("appId", "0fhhggzmts8cw7chvndffky0m5my9pjhmfkhursxvk3684kp66w0".to_owned()),
                ("title", "A \\\"title\\\"".to_owned()),
                ("searchPath", search_path(&found)),
                ("fileSelection", selection(&found)),
                ("argv", "\"/app\"".to_owned()),
                ("environ", environ(&found)),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let text = templates::fill(templates::FOUND, &values);
            let checked = spk_package::pkgdef::check(text.as_bytes(), "found", "pkgdef");
            assert!(checked.is_ok(), "{}\n{text}", checked.unwrap_err());
        }
    }
}
