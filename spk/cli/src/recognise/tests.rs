//! What is proposed for projects, of each kind some.

use std::fs;

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

/// All that is proposed for a project of these files, and said of it.
fn proposed(files: &[(&str, &str)], wish: &Wish) -> String {
    let dir = project(files);
    let (found, said) = recognise(dir.path(), wish);
    let mut lines = Vec::new();
    if let Some(found) = found {
        lines.push(format!("{} ({})", found.what, found.by));
        let from = found.port.from.map(|from| format!(" ({from})")).unwrap_or_default();
        lines.push(format!("port {}{from}", found.port.number));
        lines.extend(found.directory.map(|dir| format!("in {dir}")));
        lines.extend(found.before.iter().map(|words| format!("before: {}", words.join(" "))));
        lines.push(found.command.join(" "));
        let environ = found.environ.iter().filter(|(name, _)| !OFTEN.contains(&name.as_str()));
        lines.extend(environ.map(|(name, value)| format!("{name}={value}")));
        lines.extend(found.prepare.iter().map(|step| format!("prepare: {step}")));
    }
    lines.extend(said.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(said.unclear.iter().map(|what| format!("unclear: {what}")));
    lines.join("\n").replace("/usr/local/bin", "/usr/bin")
}

/// What says nothing of one project.
const OFTEN: &[&str] =
    &["PYTHONUNBUFFERED", "SQLITE_TMPDIR", "PHP_CLI_SERVER_WORKERS", "RACK_ENV", "APP_ENV"];

/// Proposals for several projects, each with a title.
fn proposals(projects: &[(&str, &[(&str, &str)])]) -> String {
    let of = |(title, files): &(&str, &[(&str, &str)])| {
        format!("== {title}\n{}", proposed(files, &Wish::default()))
    };
    projects.iter().map(of).collect::<Vec<_>>().join("\n")
}

/// The command and port proposed for a project of these files.
fn proposal(files: &[(&str, &str)]) -> (String, u16) {
    let dir = project(files);
    let found = recognise(dir.path(), &Wish::default()).0.expect("recognised");
    (found.command.join(" ").replace("/usr/local/bin", "/usr/bin"), found.port.number)
}

#[test]
fn node() {
    let package = r#"{"name": "shop", "scripts": {"start": "node --enable-source-maps app.js"}}"#;
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
        proposal(&[("pyproject.toml", "[project]\nname = \"x\"\n"), ("server.py", "port = 5000")]),
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
    let found =
        recognise(project(&[("index.php", "")]).path(), &Wish::default()).0.expect("recognised");
    assert!(found.command.join(" ").ends_with(" -S 127.0.0.1:8000 -t /opt/app"));
    assert_eq!(found.storage, ["/var/lib/php"]);
    let dir = project(&[("dist/index.html", "")]);
    let found = recognise(dir.path(), &Wish::default()).0.expect("recognised");
    assert!(found.static_server);
    assert_eq!(found.environ, [("SITE_ROOT".to_owned(), "/opt/app/dist".to_owned())]);
}

#[test]
fn compiled() {
    let dir = project(&[("Cargo.toml", "[package]\nname = \"my-app\"\nedition = \"2024\"\n")]);
    let found = recognise(dir.path(), &Wish::default()).0.expect("recognised");
    assert_eq!(found.program.as_deref(), Some("target/x86_64-unknown-linux-gnu/release/my-app"));
    assert_eq!(found.name.as_deref(), Some("my-app"));
    let dir = project(&[("go.mod", "module example.org/tools/wiki\n\ngo 1.22\n")]);
    let found = recognise(dir.path(), &Wish::default()).0.expect("recognised");
    assert_eq!(found.name.as_deref(), Some("wiki"));
}

/// Scripts of `package.json` as people write them.
#[test]
fn node_scripts() {
    let package = |start: &str, more: &str| {
        format!("{{\n\"name\": \"shop\",\n\"scripts\": {{\n\"start\": {start:?}{more}\n}}\n}}")
    };
    let of = |start: &str, more: &str, files: &[(&str, &str)]| {
        let package = package(start, more);
        let own = [("package.json", package.as_str()), ("server.js", "listen(process.env.PORT)")];
        let text = proposed(&[&own[..], files].concat(), &Wish::default());
        format!("== {start}\n{text}")
    };
    let next = r#"}, "dependencies": {"next": "15"}, "x": {"y": 1"#;
    let all = [
        of("NODE_ENV=staging PORT=3000 node server.js", "", &[]),
        of("cross-env DEBUG=app:* PORT=4000 node --trace-warnings ./server", "", &[]),
        of(
            "npm run build && npm run serve -- --port 7000",
            ", \"build\": \"tsc\", \"serve\": \"node server.js\"",
            &[],
        ),
        of(
            "yarn serve",
            ", \"preserve\": \"node migrate.js\", \"serve\": \"nodemon .\"",
            &[("migrate.js", "")],
        ),
        of("next start", next, &[]),
        of("next start -p 5000 -H 0.0.0.0", next, &[(".next/BUILD_ID", "1")]),
        of("cd server && A=1 node index.js", "", &[("server/index.js", "app.listen(3100)")]),
        of("node dist/main.js", ", \"build\": \"tsc\"", &[]),
        of("node server.js | pino-pretty", "", &[]),
        of("node missing.js", "", &[]),
        of("npm start", "", &[]),
        of("vite", "", &[]),
        of("node server.js --root=$ROOT", "", &[]),
        of("react-scripts start", "", &[("build/index.html", "")]),
    ];
    let told = all.join("\n");
    insta::assert_snapshot!(told);
    let next = r#"{"dependencies": {"next": "15"}, "scripts": {"build": "next build"}}"#;
    let next = proposed(&[("package.json", next)], &Wish::default());
    insta::assert_snapshot!(next);
}

#[test]
fn python_projects() {
    let told = proposals(&[
        ("Flask without run", &[("app.py", "from flask import Flask\nweb = Flask(__name__)\n")]),
        (
            "Flask with run",
            &[("app.py", "from flask import Flask\napp = Flask(__name__)\napp.run(port=5050)\n")],
        ),
        (
            "Flask by its module's name",
            &[("requirements.txt", "flask"), ("app.py", "import flask\nx = flask.Flask('x')")],
        ),
        (
            "a factory in a package",
            &[
                ("requirements.txt", "-r base.txt\n# waitress\n"),
                ("base.txt", "Flask>=3\ngunicorn==21\n"),
                (
                    "blog/__init__.py",
                    "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n    return app\n",
                ),
            ],
        ),
        (
            "Django with gunicorn",
            &[
                ("requirements.txt", "Django\ngunicorn\n"),
                ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')"),
                ("site1/wsgi.py", "application = get_wsgi_application()"),
            ],
        ),
        (
            "FastAPI in src",
            &[
                (
                    "pyproject.toml",
                    "[project]\nname = \"api\"\ndependencies = [\n \"fastapi[standard]>=0.1\",\n]\n",
                ),
                ("src/api/__init__.py", ""),
                ("src/api/main.py", "api = FastAPI(title='x')"),
            ],
        ),
        (
            "a script of the project's",
            &[
                (
                    "pyproject.toml",
                    "[project]\nname = \"wiki\"\n[project.scripts]\nwiki-import = \"wiki.imp:main\"\nwiki = \"wiki.cli:App.run\"\n",
                ),
                ("src/wiki/__init__.py", ""),
            ],
        ),
        (
            "Poetry's only script",
            &[("pyproject.toml", "[tool.poetry.scripts]\nx = \"x.y:main\"\n")],
        ),
        (
            "scripts that are not clear",
            &[("pyproject.toml", "[project.scripts]\na = \"x:a\"\nb = \"x:b\"\n")],
        ),
        (
            "a script that is none",
            &[("pyproject.toml", "[project.scripts]\na = \"x; import os:a\"\n")],
        ),
        ("no TOML", &[("pyproject.toml", "[project]\nname = \n"), ("app.py", "")]),
        (
            "Pipfile",
            &[
                ("Pipfile", "[packages]\nbottle = \"*\"\nwaitress = \"*\"\n"),
                ("app.py", "import bottle\napp = bottle.Bottle()\n"),
            ],
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn ruby_projects() {
    let told = proposals(&[
        (
            "Rack with puma",
            &[
                ("Gemfile", "source 'https://rubygems.org'\ngem 'puma', '~> 6'\ngem \"rack\"\n"),
                ("config.ru", "run App"),
            ],
        ),
        ("Rack alone", &[("config.ru", "run App")]),
        (
            "Sinatra",
            &[("Gemfile", "gem 'sinatra'"), ("app.rb", "require 'sinatra'\nget('/') { 'x' }")],
        ),
        (
            "Rails",
            &[("Gemfile", "gem 'rails'\ngem 'puma'"), ("config.ru", ""), ("package.json", "{}")],
        ),
        ("plain", &[("Gemfile", "# nothing"), ("server.rb", "TCPServer.new('127.0.0.1', 4567)")]),
        (
            "gems where the project wants them",
            &[("Gemfile", "gem 'webrick'"), (".bundle/config", ""), ("app.rb", "")],
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn procfiles() {
    let python = [("requirements.txt", "flask\ngunicorn"), ("app.py", "app = Flask(__name__)")];
    let of = |procfile: &str, files: &[(&str, &str)]| {
        let text = proposed(&[&[("Procfile", procfile)], files].concat(), &Wish::default());
        format!("== {}\n{text}", procfile.trim_end())
    };
    let all = [
        of("web: LANG=de_DE.UTF-8 gunicorn app:app --bind 0.0.0.0:$PORT --log-file -\n", &python),
        of(
            "web: gunicorn app:app\nrelease: flask db upgrade\nworker: celery -A app worker\n",
            &python,
        ),
        of("# servers\n\nweb: gunicorn app:app | tee log\n", &python),
        of("web: gunicorn app:app &\nsomething else\n", &python),
        of("worker: x\n", &python),
        of(
            "web: python manage.py migrate && python manage.py runserver 0.0.0.0:${PORT:-5000}",
            &[("manage.py", "")],
        ),
        of("web: uvicorn --port 9000 main:api", &[("main.py", "")]),
        of(
            "web: bundle exec puma -C config/puma.rb",
            &[("Gemfile", "gem 'puma'"), ("config/puma.rb", "port ENV.fetch('PORT') { 3000 }")],
        ),
        of(
            "web: vendor/bin/heroku-php-apache2 public/",
            &[("public/index.php", ""), ("composer.json", "{}")],
        ),
        of(
            "web: npm start",
            &[
                ("package.json", "{\"scripts\": {\"start\": \"node x.js\"}}"),
                ("x.js", "listen(3456)"),
            ],
        ),
        of(
            "web: bin/wiki --read-only",
            &[
                ("go.mod", "module example.org/wiki"),
                ("main.go", "package main\nfunc main() {\n http.ListenAndServe(\":8081\", nil)\n}"),
            ],
        ),
        of("web: sh target/start", &[("target/start", "")]),
        of("web: no-such-program-here", &[]),
        of("web: ./start.sh", &[("start.sh", "#!/bin/sh\n")]),
    ];
    let told = all.join("\n");
    insta::assert_snapshot!(told);
}

#[test]
fn dockerfiles() {
    let told = proposals(&[
        (
            "nothing else",
            &[
                (
                    "Dockerfile",
                    "FROM python:3\nWORKDIR /srv\nCOPY . .\nENV MODE=wiki TOKEN=x\nEXPOSE 5000\nCMD [\"python\", \"/srv/wiki.py\"]\n",
                ),
                ("wiki.py", "print(1)"),
            ],
        ),
        (
            "more than a guess",
            &[
                ("Dockerfile", "FROM node\nCMD node other.js --verbose\n"),
                ("package.json", "{}"),
                ("index.js", "listen(1999)"),
                ("other.js", "listen(2999)"),
            ],
        ),
        (
            "less than a framework",
            &[
                ("Dockerfile", "FROM python\nENV FLASK_DEBUG=1\nCMD [\"python\", \"app.py\"]\n"),
                ("requirements.txt", "flask"),
                ("app.py", "app = Flask(__name__)"),
            ],
        ),
        (
            "a port where the sources say none",
            &[
                ("Dockerfile", "FROM node\nEXPOSE 4444\n"),
                ("package.json", "{}"),
                ("index.js", "require('./lib')"),
            ],
        ),
        (
            "not understood",
            &[
                ("Dockerfile", "FROM node\nCMD node index.js > /log\n"),
                ("package.json", "{}"),
                ("index.js", ""),
            ],
        ),
        (
            "a shell's line as a list",
            &[
                (
                    "Dockerfile",
                    "FROM x\nCMD [\"sh\", \"-c\", \"python a.py --port ${PORT:-80}\"]\n",
                ),
                ("a.py", ""),
            ],
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn go_projects() {
    let main = "package main\n\nfunc main() {\n\thttp.ListenAndServe(\":8081\", nil)\n}\n";
    let told = "package main\n\nfunc main() {\n\tport := os.Getenv(\"PORT\")\n\tif port == \"\" {\n\t\tport = \"8081\"\n\t}\n}\n";
    let module = ("go.mod", "module example.org/wiki/v2\n");
    let told = proposals(&[
        ("one in cmd", &[module, ("cmd/wikid/main.go", main)]),
        (
            "several in cmd",
            &[
                module,
                ("cmd/import/main.go", told),
                ("cmd/wiki/main.go", told),
                ("cmd/notes.txt", ""),
            ],
        ),
        ("at the root", &[module, ("main.go", told), ("cmd/tool/main.go", main)]),
        (
            "a port in another file",
            &[
                module,
                ("main.go", "package main\nfunc main() { serve() }"),
                ("web/web.go", "package web\nvar port = \":8090\"\n"),
            ],
        ),
    ]);
    insta::assert_snapshot!(told);
}

/// What is asked for takes the place of what was found.
#[test]
fn wishes() {
    let wish = |port, command: &[&str]| Wish { port, command: project::words(command) };
    let flask: &[(&str, &str)] = &[("requirements.txt", "flask"), ("app.py", "app = Flask('x')")];
    let fixed: &[(&str, &str)] = &[("package.json", "{}"), ("index.js", "\nlisten(3000)")];
    let argued: &[(&str, &str)] = &[("Procfile", "web: uvicorn --port 7000 a:b"), ("a.py", "")];
    let go: &[(&str, &str)] =
        &[("go.mod", "module wiki"), ("main.go", "package main\nfunc main() {}")];
    let all = [
        proposed(flask, &wish(Some(9000), &[])),
        proposed(fixed, &wish(Some(9000), &[])),
        proposed(argued, &wish(Some(9000), &[])),
        proposed(flask, &wish(None, &["python3", "-m", "waitress", "--port=7777", "app:app"])),
        proposed(flask, &wish(None, &["/usr/bin/python3", "other.py"])),
        proposed(go, &wish(None, &["/app", "--verbose"])),
    ];
    let told = all.join("\n--\n");
    insta::assert_snapshot!(told);
    let dir = project(go);
    let found = |command: &[&str]| recognise(dir.path(), &wish(None, command)).0;
    let program = |command: &[&str]| found(command).expect("recognised").program;
    assert_eq!(program(&["/app", "-x"]).as_deref(), Some(".sandstorm/app"));
    assert_eq!(program(&["/bin/sh", "start.sh"]), None);
}

proptest::proptest! {
    /// Whatever is in the files: something is said or nothing, and there is no panic.
    #[test]
    fn no_file_is_too_much(
        name in proptest::sample::select(vec![
            "Procfile", "Dockerfile", "package.json", "pyproject.toml", "Gemfile", "go.mod", "app.py",
            "requirements.txt", "composer.json", "Pipfile", "Cargo.toml",
        ]),
        text in "(web: |CMD |ENV |EXPOSE |FROM |module |gem |port=|listen\\(|[a-zé$'\"\\\\{}|&=\\[\\] :\\n0-9]){0,30}",
    ) {
        proposed(&[(name, text.as_str())], &Wish::default());
    }
}

#[test]
fn nothing_is_made_up() {
    assert_eq!(proposed(&[("notes.txt", "")], &Wish::default()), "");
    assert_eq!(
        proposed(&[("package.json", "not JSON")], &Wish::default()),
        "unclear: package.json: expected ident at line 1 column 2; not understood"
    );
}
