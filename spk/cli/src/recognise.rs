//! What kind of app is in a directory, and how it would be started and packaged.
//!
//! Only guesses, from the files that each kind of project has: `spk init` shows them before it
//! writes anything.

mod other;
mod php;
mod python;

use std::fs;
use std::path::{Path, PathBuf};

/// The port an app is told to listen on (`PORT`), unless it names another.
pub const PORT: u16 = 8000;

/// Below this, ports cannot be bound in the sandbox.
const LOWEST_PORT: u16 = 1024;

/// Larger files are not searched for what they listen on.
const LARGEST_SOURCE: u64 = 1 << 20;

/// An app that was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In a word or two: "a Node app".
    pub what: String,
    /// The file it was recognised by.
    pub by: String,
    /// Its name, if its files tell.
    pub name: Option<String>,
    /// Where it will listen.
    pub port: u16,
    /// Program and arguments, as they are in the sandbox, where the project is `/opt/app`.
    pub command: Vec<String>,
    /// Environment beside what every app gets.
    pub environ: Vec<(String, String)>,
    /// Directories that the launcher makes below `/var`, beside those that every app gets.
    pub storage: Vec<String>,
    /// A static program that needs nothing else: its path from the project.
    pub program: Option<String>,
    /// Packages installed by `prepare`: directory below `.sandstorm`, and where the app sees it.
    pub site: Option<(String, String)>,
    /// Whether our own server of static sites is needed.
    pub static_server: bool,
    /// What to do before `spk dev`.
    pub prepare: Option<String>,
}

/// Looks at the project in `dir`.
pub fn recognise(dir: &Path) -> Option<Found> {
    let project = Project { dir: dir.to_owned() };
    let kinds: [fn(&Project) -> Option<Found>; 7] = [
        php::composer,
        python::project,
        other::rust,
        other::go,
        other::node,
        php::plain,
        other::site,
    ];
    kinds.iter().find_map(|kind| kind(&project)).or_else(|| python::plain(&project))
}

/// The files of a project.
struct Project {
    dir: PathBuf,
}

impl Project {
    fn has(&self, path: &str) -> bool {
        self.dir.join(path).is_file()
    }

    /// The first of these files that is there.
    fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    /// A file's text, or nothing where it is not one of a source's size.
    fn text(&self, path: &str) -> String {
        let file = self.dir.join(path);
        match file.metadata() {
            Ok(found) if found.len() <= LARGEST_SOURCE => {
                fs::read(&file).map(|text| String::from_utf8_lossy(&text).into_owned())
            }
            _ => Ok(String::new()),
        }
        .unwrap_or_default()
    }
}

/// Where a program of this machine is: below `/usr`, which the source map shows.
fn program(name: &str) -> String {
    let places = ["/usr/bin", "/usr/local/bin"].map(|place| format!("{place}/{name}"));
    places.iter().find(|path| Path::new(path).exists()).unwrap_or(&places[0]).clone()
}

/// The port a source says it listens on, if it says so with a number: `listen(3000`, `port=5000`.
fn port_in(text: &str) -> Option<u16> {
    let lower = text.to_lowercase();
    if lower.contains("env.port") || lower.contains("environ") || lower.contains("getenv") {
        return None;
    }
    let marks = ["listen(", "port=", "port =", "port:", "127.0.0.1\",", "0.0.0.0\",", "\"\","];
    marks
        .iter()
        .flat_map(|mark| lower.match_indices(mark).map(move |(at, _)| at + mark.len()))
        .filter_map(|start| {
            let rest = lower[start..].trim_start();
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok().filter(|port| *port >= LOWEST_PORT)
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("there is room");
        for (path, text) in files {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().expect("below the directory")).expect("writable");
            fs::write(file, text).expect("writable");
        }
        dir
    }

    /// The command and port proposed for a project of these files.
    fn proposal(files: &[(&str, &str)]) -> (String, u16) {
        let dir = project(files);
        let found = recognise(dir.path()).expect("recognised");
        (found.command.join(" ").replace("/usr/local/bin", "/usr/bin"), found.port)
    }

    #[test]
    fn node() {
        let package =
            r#"{"name": "shop", "scripts": {"start": "node --enable-source-maps app.js"}}"#;
        assert_eq!(
            proposal(&[("package.json", package), ("app.js", "server.listen(3000)")]),
            ("/usr/bin/node --enable-source-maps /opt/app/app.js".into(), 3000)
        );
        assert_eq!(
            proposal(&[
                ("package.json", r#"{"main": "lib/main.js", "scripts": {"start": "nodemon x"}}"#),
                ("lib/main.js", "app.listen(process.env.PORT || 3000)")
            ]),
            ("/usr/bin/node /opt/app/lib/main.js".into(), PORT)
        );
        assert_eq!(
            proposal(&[("package.json", "{}"), ("index.js", "")]).0,
            "/usr/bin/node /opt/app/index.js"
        );
    }

    #[test]
    fn python() {
        let of = |requirements: &str, file: &str, text: &str| {
            proposal(&[("requirements.txt", requirements), (file, text)]).0
        };
        assert_eq!(
            of("Flask==3.0\n", "app.py", "app = Flask(__name__)"),
            "/usr/bin/python3 -s -B -m flask --app app run --host 127.0.0.1 --port 8000"
        );
        assert_eq!(
            of("flask\nwaitress\n", "main.py", "application = Flask('x')"),
            "/usr/bin/python3 -s -B -m waitress --listen=127.0.0.1:8000 main:application"
        );
        assert_eq!(
            of("fastapi[standard]>=0.1\n", "main.py", "api: FastAPI = FastAPI()"),
            "/usr/bin/python3 -s -B -m uvicorn --host 127.0.0.1 --port 8000 main:api"
        );
        assert_eq!(
            of("gunicorn\nflask\n", "wsgi.py", "app = make()"),
            "/usr/bin/python3 -s -B -m gunicorn --bind 127.0.0.1:8000 --worker-tmp-dir /dev/shm wsgi:app"
        );
        assert_eq!(
            of("django\n", "manage.py", ""),
            "/usr/bin/python3 -s -B /opt/app/manage.py runserver --noreload 127.0.0.1:8000"
        );
        assert_eq!(
            proposal(&[
                ("pyproject.toml", "[project]\nname = \"x\"\n"),
                ("server.py", "port = 5000")
            ]),
            ("/usr/bin/python3 -s -B /opt/app/server.py".into(), 5000)
        );
        assert_eq!(
            proposal(&[("app.py", "HTTPServer((\"127.0.0.1\", 8080), H)")]),
            ("/usr/bin/python3 -s -B /opt/app/app.py".into(), 8080)
        );
    }

    #[test]
    fn php_and_sites() {
        assert_eq!(
            proposal(&[("composer.json", "{}"), ("public/index.php", ""), ("package.json", "{}")]),
            (
                "/usr/bin/php -d session.save_path=/var/lib/php -d session.gc_probability=1 \
                 -S 127.0.0.1:8000 -t /opt/app/public"
                    .into(),
                PORT
            )
        );
        let found = recognise(project(&[("index.php", "")]).path()).expect("recognised");
        assert!(found.command.join(" ").ends_with(" -S 127.0.0.1:8000 -t /opt/app"));
        assert_eq!(found.storage, ["/var/lib/php"]);
        let dir = project(&[("dist/index.html", "")]);
        let found = recognise(dir.path()).expect("recognised");
        assert!(found.static_server);
        assert_eq!(found.environ, [("SITE_ROOT".to_owned(), "/opt/app/dist".to_owned())]);
    }

    #[test]
    fn compiled() {
        let dir = project(&[("Cargo.toml", "[package]\nname = \"my-app\"\nedition = \"2024\"\n")]);
        let found = recognise(dir.path()).expect("recognised");
        assert_eq!(
            found.program.as_deref(),
            Some("target/x86_64-unknown-linux-gnu/release/my-app")
        );
        assert_eq!(found.name.as_deref(), Some("my-app"));
        let dir = project(&[("go.mod", "module example.org/tools/wiki\n\ngo 1.22\n")]);
        let found = recognise(dir.path()).expect("recognised");
        assert_eq!(found.name.as_deref(), Some("wiki"));
    }

    #[test]
    fn nothing_is_made_up() {
        assert_eq!(recognise(project(&[("notes.txt", "")]).path()), None);
        assert_eq!(recognise(project(&[("package.json", "not JSON")]).path()), None);
        assert_eq!(port_in("listen(80)"), None, "not in the sandbox");
        assert_eq!(port_in("listen(999999)"), None);
    }
}
