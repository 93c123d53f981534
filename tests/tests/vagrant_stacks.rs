//! A project of each stack of vagrant-spk (templates §A4), as `vagrant-spk setupvm` and `init` leave
//! it: its `build.sh` is run by `spk dev --build`, and its launcher inside, from /opt/app.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http, skip};

/// What every app here answers.
const GREETING: &str = "hello from /opt/app";

/// The beginning of every launcher.
const LAUNCHER: &str = "#!/bin/bash\nset -euo pipefail\n";

/// A project of `stack`: its definition, `build.sh` and `launcher.sh`.
fn project(stack: &str, build: &str, launcher: &str) -> Stage {
    let stage = Stage::new(Who::User);
    stage.write(".sandstorm/stack", format!("{stack}\n"));
    stage.write(".sandstorm/build.sh", format!("#!/bin/bash\nset -euo pipefail\n{build}"));
    stage.write(".sandstorm/launcher.sh", format!("{LAUNCHER}{launcher}"));
    // As vagrant-spk calls it.
    ok(stage.spk_in(&stage.work().join(".sandstorm")).args([
        "init",
        "-p",
        "8000",
        "--output=sandstorm-pkgdef.capnp",
        "--",
        "/bin/bash",
        "/opt/app/.sandstorm/launcher.sh",
    ]));
    stage
}

/// Built and traced.
fn live(stage: &Stage) {
    let server = Server::start(stage.spk().args(["dev", "--build", "--start-timeout", "120"]));
    assert!(http::get(&server.at("")).text().contains(GREETING), "{}", server.said());
    server.stop();
}

/// Built, traced, packed, and run from the package.
fn journey(stage: &Stage) {
    live(stage);
    ok(stage.spk().args(["pack", "--fast", "app.spk"]));
    let server = Server::start(stage.spk().args(["run", "app.spk", "--start-timeout", "120"]));
    assert!(http::get(&server.at("")).text().contains(GREETING), "{}", server.said());
    server.stop();
}

/// Whether all of `programs` are here.
fn has(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !Path::new(program).exists());
    if let Some(program) = missing {
        skip::skip(test, &format!("{program} is not installed"));
    }
    missing.is_none()
}

/// nginx as the stacks configure it; `location` is what is the stack's own.
fn nginx(stage: &Stage, location: &str) {
    stage.write(
        ".sandstorm/service-config/nginx.conf",
        format!(
            "worker_processes 4;\n\
             pid /var/run/nginx.pid;\n\
             error_log stderr;\n\
             daemon off;\n\
             events {{ worker_connections 768; }}\n\
             http {{\n\
             \x20 include /etc/nginx/mime.types;\n\
             \x20 access_log off;\n\
             \x20 gzip off;\n\
             \x20 server_tokens off;\n\
             \x20 client_max_body_size 0;\n\
             \x20 server {{\n\
             \x20   listen 127.0.0.1:8000 default_server;\n\
             \x20   root /opt/app;\n\
             {location}\
             \x20 }}\n\
             }}\n"
        ),
    );
}

/// What the launchers with nginx begin with, and end with.
const NGINX_DIRECTORIES: &str = "mkdir -p /var/lib/nginx /var/log /var/log/nginx\n\
     rm -rf /var/run\nmkdir -p /var/run\n";
const NGINX: &str = "exec /usr/sbin/nginx -c /opt/app/.sandstorm/service-config/nginx.conf\n";

const PHP_LOCATION: &str = "\x20   index index.php;\n\
     \x20   location ~ \\.php$ {\n\
     \x20     include /etc/nginx/fastcgi_params;\n\
     \x20     fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n\
     \x20     fastcgi_pass unix:/var/run/php-fpm.sock;\n\
     \x20   }\n";

/// PHP's manager, and the wait for its socket.
fn php_fpm(stage: &Stage) -> Option<String> {
    let programs = fs::read_dir("/usr/sbin").unwrap().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = programs
        .filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b"php-fpm"))
        .collect();
    found.sort();
    let program = found.pop()?;
    stage.write(
        ".sandstorm/service-config/php-fpm.conf",
        "[global]\nerror_log = /proc/self/fd/2\n\
         [www]\nlisten = /var/run/php-fpm.sock\npm = static\npm.max_children = 2\nclear_env = no\n"
            .replace("/proc/self/fd/2", "/var/log/php-fpm.log"),
    );
    Some(format!(
        "{} --nodaemonize --fpm-config /opt/app/.sandstorm/service-config/php-fpm.conf &\n\
         while [ ! -e /var/run/php-fpm.sock ]; do sleep .1; done\n",
        program.display()
    ))
}

/// A database as the stacks start it, and the wait for its socket. The stacks install MySQL; here
/// it is the machine's MariaDB.
const MARIADB: &str = "mkdir -p /var/lib /var/tmp\n\
     [ -d /var/lib/mysql/mysql ] || /usr/bin/mysql_install_db --no-defaults \\\n\
     \x20 --force --auth-root-authentication-method=normal --datadir=/var/lib/mysql >/dev/null\n\
     /usr/sbin/mariadbd --no-defaults --datadir=/var/lib/mysql --tmpdir=/var/tmp --skip-grant-tables \\\n\
     \x20 --skip-networking --socket=/var/run/mysqld.sock --pid-file=/var/run/mysqld.pid &\n\
     while [ ! -S /var/run/mysqld.sock ]; do sleep .1; done\n";

#[test]
fn diy() {
    let stage = project("diy", "exit 0\n", "exit 0\n");
    let output = fails(stage.spk().args(["dev", "--build"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("exit"), "{said}");
    // Until it is edited, as its comments say.
    stage.write("index.html", GREETING);
    stage.write(
        ".sandstorm/launcher.sh",
        format!(
            "{LAUNCHER}cd /opt/app\nexec /usr/bin/python3 -B -m http.server --bind 127.0.0.1 8000\n"
        ),
    );
    journey(&stage);
}

#[test]
fn static_files() {
    if !has("static_files", &["/usr/sbin/nginx"]) {
        return;
    }
    let stage = project("static", "exit 0\n", &format!("{NGINX_DIRECTORIES}{NGINX}"));
    stage.write("index.html", GREETING);
    nginx(&stage, "");
    journey(&stage);
}

#[test]
fn lesp() {
    let stage = Stage::new(Who::User);
    let Some(php) = php_fpm(&stage).filter(|_| Path::new("/usr/sbin/nginx").exists()) else {
        return skip::skip("lesp", "nginx or php-fpm is not installed");
    };
    let launcher = format!("{NGINX_DIRECTORIES}{php}{NGINX}");
    // Composer, if the project uses it.
    let build = "cd /opt/app\nif [ -f composer.json ]; then composer install; fi\n";
    let stage = project("lesp", build, &launcher);
    php_fpm(&stage);
    nginx(&stage, PHP_LOCATION);
    stage.write(
        "index.php",
        format!(
            "<?php $db = new PDO('sqlite:/var/notes.db');\n\
             $db->exec('create table if not exists note (text)');\n\
             $db->exec(\"insert into note values ('{GREETING}')\");\n\
             echo $db->query('select text from note')->fetchColumn();\n"
        ),
    );
    journey(&stage);
}

#[test]
fn lemp() {
    if !has("lemp", &["/usr/sbin/nginx", "/usr/sbin/mariadbd", "/usr/bin/mysql_install_db"]) {
        return;
    }
    let stage = Stage::new(Who::User);
    let Some(php) = php_fpm(&stage) else {
        return skip::skip("lemp", "php-fpm is not installed");
    };
    let mysqli = fs::read_dir("/usr/lib/php").unwrap().flatten();
    if !mysqli.into_iter().any(|version| version.path().join("mysqli.so").exists()) {
        return skip::skip("lemp", "php-mysql is not installed");
    }
    let stage = project("lemp", "exit 0\n", &format!("{NGINX_DIRECTORIES}{MARIADB}{php}{NGINX}"));
    php_fpm(&stage);
    nginx(&stage, PHP_LOCATION);
    stage.write(
        "index.php",
        format!(
            "<?php $db = new mysqli('localhost', 'root', '', '', 0, '/var/run/mysqld.sock');\n\
             echo $db->query(\"select '{GREETING}'\")->fetch_row()[0];\n"
        ),
    );
    journey(&stage);
}

#[test]
fn uwsgi() {
    if !has("uwsgi", &["/usr/sbin/nginx", "/usr/bin/uwsgi_python3"]) {
        return;
    }
    let launcher = format!(
        "{NGINX_DIRECTORIES}\
         /usr/bin/uwsgi_python3 --socket /var/run/uwsgi.sock --wsgi-file /opt/app/main.py \\\n\
         \x20 --virtualenv /opt/app-venv --processes 2 --die-on-term &\n\
         while [ ! -S /var/run/uwsgi.sock ]; do sleep .1; done\n{NGINX}"
    );
    let stage = project("uwsgi", VENV, &launcher);
    nginx(
        &stage,
        "\x20   location / {\n\x20     include /etc/nginx/uwsgi_params;\n\
         \x20     uwsgi_pass unix:///var/run/uwsgi.sock;\n\x20   }\n",
    );
    stage.write("requirements.txt", "greeting==1.0\n");
    stage.write(
        "main.py",
        "import greeting\n\
         def application(environ, start_response):\n\
         \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
         \x20   return [greeting.TEXT.encode()]\n",
    );
    wheel(&stage);
    journey(&stage);
}

/// The virtual environment of the Python stacks, which lies beside the project; what it installs
/// comes from a directory of wheels, since tests ask no registry.
const VENV: &str = "python3 -m venv /opt/app-venv\n\
     /opt/app-venv/bin/pip install -q --no-index --find-links /opt/app/wheels \\\n\
     \x20 --disable-pip-version-check -r /opt/app/requirements.txt\n";

/// A wheel with one module, `greeting`.
fn wheel(stage: &Stage) {
    stage.write("wheels/.keep", "");
    let script = format!(
        "import zipfile\n\
         z = zipfile.ZipFile('wheels/greeting-1.0-py3-none-any.whl', 'w')\n\
         z.writestr('greeting.py', 'TEXT = {GREETING:?}')\n\
         d = 'greeting-1.0.dist-info/'\n\
         z.writestr(d + 'METADATA', 'Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n')\n\
         z.writestr(d + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         z.writestr(d + 'RECORD', 'greeting.py,,\\n')\n\
         z.close()\n"
    );
    ok(stage.run("python3").args(["-c", &script]));
}

#[test]
fn python() {
    if !has("python", &["/usr/bin/python3", "/usr/bin/pip3"]) {
        return;
    }
    let stage = project("python", VENV, "exec /opt/app-venv/bin/python -B /opt/app/app.py\n");
    stage.write("requirements.txt", "greeting==1.0\n");
    stage.write(
        "app.py",
        "import greeting, http.server\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20   def do_GET(self):\n\
         \x20       self.send_response(200)\n\
         \x20       self.end_headers()\n\
         \x20       self.wfile.write(greeting.TEXT.encode())\n\
         http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()\n",
    );
    wheel(&stage);
    journey(&stage);
    // It is where the machine had it, and git need not know.
    assert!(stage.work().join(".sandstorm/opt/app-venv/bin/python").exists());
    let ignored = fs::read_to_string(stage.work().join(".sandstorm/opt/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
    assert!(!Path::new("/opt/app-venv").exists());
    let listed = ok(stage.spk().args(["ls", "app.spk", "opt"]));
    assert!(listed.contains("app-venv"), "{listed}");
}

#[test]
fn node() {
    if !has("node", &["/usr/bin/node", "/usr/bin/npm"]) {
        return;
    }
    let stage = project(
        "node",
        "cd /opt/app\nnpm install --offline --no-audit --no-fund --no-update-notifier\n",
        "export HOME=/opt/app\ncd /opt/app\nexec npm start\n",
    );
    stage.write(
        "package.json",
        r#"{"name": "app", "version": "1.0.0", "scripts": {"start": "node main.js"},
            "dependencies": {"greeting": "file:greeting"}}"#,
    );
    stage.write("greeting/package.json", r#"{"name": "greeting", "version": "1.0.0"}"#);
    stage.write("greeting/index.js", format!("module.exports = {GREETING:?};\n"));
    stage.write(
        "main.js",
        "const text = require('greeting');\n\
         require('http').createServer((q, a) => a.end(text)).listen(8000, '127.0.0.1');\n",
    );
    journey(&stage);
}

#[test]
fn golang() {
    if !has("golang", &["/usr/bin/go"]) {
        return;
    }
    // The launcher has no line that names its interpreter, as the stack's.
    let stage = project("golang", "cd /opt/app\ngo build -buildvcs=false -o app .\n", "");
    stage.write(".sandstorm/launcher.sh", "exec /opt/app/app\n");
    stage.write("go.mod", "module example.org/app\n\ngo 1.19\n");
    stage.write(
        "main.go",
        format!(
            "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n)\n\n\
             func main() {{\n\
             \thttp.HandleFunc(\"/\", func(w http.ResponseWriter, r *http.Request) {{\n\
             \t\tfmt.Fprint(w, {GREETING:?})\n\t}})\n\
             \tif err := http.ListenAndServe(\"127.0.0.1:8000\", nil); err != nil {{\n\
             \t\tpanic(err)\n\t}}\n}}\n"
        ),
    );
    journey(&stage);
    let listed = ok(stage.spk().args(["ls", "app.spk", "opt/app"]));
    assert!(listed.contains("app") && !listed.contains("main.go"), "{listed}");
}

/// A bundle of one's own in place of the machine, all of it packed. The page about the move says that
/// /home/vagrant/bundle has to become a path below /opt.
#[test]
fn meteor() {
    if !has("meteor", &["/usr/bin/node"]) {
        return;
    }
    let stage = project(
        "meteor",
        "rm -rf /opt/bundle\nmkdir /opt/bundle\n\
         cp /opt/app/main.js /opt/bundle/start.js\n\
         cp /opt/app/.sandstorm/launcher.sh /opt/bundle/launcher.sh\n",
        "exec node /start.js -p 8000\n",
    );
    stage.write(
        "main.js",
        format!(
            "if (process.argv[2] !== '-p') process.exit(1);\n\
             require('http').createServer((q, a) => a.end({GREETING:?}))\n\
             .listen(Number(process.argv[3]), '127.0.0.1');\n"
        ),
    );
    let file = stage.work().join(".sandstorm/sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let changed = text
        .replace("( sourcePath = \".\" )", "( sourcePath = \"/opt/bundle\" )")
        .replace("/opt/app/.sandstorm/launcher.sh", "/launcher.sh");
    assert!(changed.contains("/opt/bundle") && changed.contains("\"/launcher.sh\""), "{text}");
    stage.write(".sandstorm/sandstorm-pkgdef.capnp", changed);
    journey(&stage);
    let listed = ok(stage.spk().args(["ls", "app.spk"]));
    assert!(listed.contains("start.js"), "{listed}");
}

#[test]
fn a_build_that_fails_ends_dev() {
    let stage = project("diy", "echo of the build\nexit 7\n", "exit 0\n");
    let output = fails(stage.spk().args(["dev", "--build"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("of the build"), "{said}");
    assert!(said.contains(".sandstorm/build.sh failed: exit status: 7"), "{said}");
    assert!(output.stdout.is_empty(), "stdout is for what spk says");
    assert!(!stage.work().join(".sandstorm/sandstorm-files.list").exists());
}

/// A checkout can lose the executable bit, and a script can do without the line of its interpreter.
#[test]
fn build_scripts_need_no_executable_bit() {
    for (script, mode) in
        [("echo built >/opt/app/made\nexit 3\n", 0o644), ("echo built >made\nexit 3\n", 0o755)]
    {
        let stage = project("diy", "", "");
        let file = stage.write(".sandstorm/build.sh", script);
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let output = fails(stage.spk().args(["dev", "--build"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("exit status: 3"), "{said}");
        assert_eq!(fs::read_to_string(stage.work().join("made")).unwrap(), "built\n");
    }
}

#[test]
fn without_a_build_script_it_says_so() {
    let stage = project("diy", "", "");
    fs::remove_file(stage.work().join(".sandstorm/build.sh")).unwrap();
    let output = fails(stage.spk().args(["dev", "--build"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there is no ") && said.contains(".sandstorm/build.sh"), "{said}");

    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["init", "-q", "--template", "python"]));
    let output = fails(stage.spk().args(["dev", "--build"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !stage.work().join(".sandstorm").exists() {
        assert!(said.contains("is not in a directory of that name"), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}
