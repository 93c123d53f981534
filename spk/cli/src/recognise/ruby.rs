//! Ruby: what the Gemfile has and `config.ru` starts, or a main file by its usual name.

use super::commands::Kind;
use super::listening::{self, Listens};
use super::project::{Project, program, words};
use super::{Found, Port};

/// Where gems go that `bundle` installs, below `.sandstorm`, and where the app sees them.
const GEMS: (&str, &str) = ("gems", "opt/gems");

/// Usual names of a main file.
const MAINS: &[&str] = &["app.rb", "server.rb", "main.rb", "web.rb"];

/// Servers for Rack, best first.
const SERVERS: &[&str] = &["puma", "falcon", "thin", "unicorn"];

/// What the Gemfile asks for, by name.
fn gems(project: &Project) -> Vec<String> {
    let text = project.text("Gemfile");
    let gem = |line: &str| {
        let rest = line.trim().strip_prefix("gem")?.trim_start_matches([' ', '(', '\t']);
        let name = rest.strip_prefix(['"', '\''])?.split(['"', '\'']).next()?;
        Some(name.to_owned())
    };
    text.lines().filter_map(gem).collect()
}

/// All but what is started.
pub(super) fn base(project: &Project) -> Found {
    let needs = !gems(project).is_empty() || project.text("Gemfile").contains("gemspec");
    // Where gems are by the project's own choice, they stay.
    let own = project.has(".bundle/config");
    let mut environ = vec![("RACK_ENV", "production"), ("APP_ENV", "production")];
    let mut prepare = Vec::new();
    if needs && own {
        prepare.push("bundle install".to_owned());
    } else if needs {
        environ.extend([
            ("BUNDLE_GEMFILE", "/opt/app/Gemfile"),
            ("BUNDLE_PATH", "/opt/gems"),
            ("BUNDLE_WITHOUT", "development:test"),
            ("BUNDLE_FROZEN", "true"),
        ]);
        prepare.push(format!(
            "BUNDLE_PATH=.sandstorm/{} BUNDLE_WITHOUT=development:test bundle install",
            GEMS.0
        ));
    }
    Found {
        what: "a Ruby app".into(),
        by: project.first(&["Gemfile", "config.ru"]).unwrap_or_default().into(),
        environ: environ.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        site: (needs && !own).then(|| (GEMS.0.into(), GEMS.1.into())),
        prepare,
        ..Found::default()
    }
}

/// A project with a Gemfile, or an app of Rack's.
pub(super) fn project(project: &Project) -> Option<Found> {
    let by = project.first(&["Gemfile", "config.ru"])?;
    let gems = gems(project);
    let has = |name: &str| gems.iter().any(|gem| gem == name);
    let port = Port { number: project.port(), from: None };
    let bundled = !gems.is_empty();
    let mut found = base(project);
    found.by = by.into();
    if has("rails") || project.has("config/application.rb") {
        found.what = "a Rails app".into();
        for (name, value) in [("RAILS_ENV", "production"), ("RAILS_LOG_TO_STDOUT", "1")] {
            found.environ.push((name.into(), value.into()));
        }
        project.note(
            "Rails wants SECRET_KEY_BASE: let the launcher keep one of the grain's own below /var; \
             its database, tmp, log and storage belong there, too",
        );
        let command = told(project, true, words(&["rails", "server"]));
        return Some(Found { command, port, ..found });
    }
    if project.has("config.ru") {
        let server = SERVERS.iter().copied().find(|server| has(server)).unwrap_or("rackup");
        let command = told(project, bundled, words(&[server]));
        return Some(Found { command, port, ..found });
    }
    let file = project.first(MAINS)?;
    let text = project.text(file);
    let mut command = words(&["ruby", &format!("/opt/app/{file}")]);
    // Sinatra's classic form has options of its own.
    let sinatra = has("sinatra")
        || text.contains("require 'sinatra'")
        || text.contains("require \"sinatra\"");
    let said = listening::of(project, Some(file), Kind::Ruby.endings());
    found.port = match said {
        _ if sinatra => {
            command.extend(words(&["-o", "127.0.0.1", "-p", &project.port().to_string()]));
            port
        }
        Some(Listens::On(number, place)) => Port::said(project, number, &place),
        _ => Port::hinted(project),
    };
    found.command = told(project, bundled, command);
    found.guessed = !sinatra;
    Some(found)
}

/// A program of Ruby's, through `bundle` where there are gems, told where to listen if its arguments do
/// not say so.
pub(super) fn told(project: &Project, bundled: bool, mut rest: Vec<String>) -> Vec<String> {
    let silent = listening::argument(&rest).is_none();
    let port = project.port().to_string();
    let server = rest[0].clone();
    let serves =
        server != "rails" || rest.get(1).is_some_and(|word| word == "server" || word == "s");
    let own_file = rest.iter().any(|word| word == "-C" || word == "-c" || word == "--config");
    if silent && serves && !own_file {
        match server.as_str() {
            "puma" => rest.extend(words(&["-b", &format!("tcp://127.0.0.1:{port}")])),
            "falcon" => {
                rest.extend(words(&["serve", "--bind", &format!("http://127.0.0.1:{port}")]))
            }
            "rackup" => rest.extend(words(&["-o", "127.0.0.1", "-p", &port])),
            "thin" => rest.extend(words(&["start", "-a", "127.0.0.1", "-p", &port])),
            "unicorn" => rest.extend(words(&["-l", &format!("127.0.0.1:{port}")])),
            "rails" => rest.extend(words(&["-b", "127.0.0.1", "-p", &port])),
            _ => {}
        }
    }
    // Its file with the process's ID would be in the project.
    if server == "rails" && serves && !rest.iter().any(|word| word == "-P") {
        rest.extend(words(&["-P", "/var/run/rails.pid"]));
    }
    // Without it none of the gems would be found.
    if bundled || !gems(project).is_empty() {
        return [vec![program("bundle"), "exec".into()], rest].concat();
    }
    rest[0] = program(&server);
    rest
}
