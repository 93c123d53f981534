//! `spk init --image`: from an image's archive to a package that is good, with nothing by hand. The
//! images are made by umoci of programs of this machine.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http, skip};

/// An image that is made: its root, and umoci's layout.
struct Image {
    stage: Stage,
    layout: PathBuf,
}

impl Image {
    fn new(who: Who) -> Image {
        let stage = Stage::new(who);
        let layout = stage.home().join("layout");
        let image = Image { stage, layout };
        ok(Command::new("umoci").args(["init", "--layout"]).arg(&image.layout));
        ok(&mut image.umoci("new"));
        image
    }

    fn umoci(&self, what: &str) -> Command {
        let mut umoci = Command::new("umoci");
        umoci.arg(what).arg("--image").arg(format!("{}:app", self.layout.display()));
        umoci
    }

    /// One more layer, which `fill` makes.
    fn layer(self, fill: impl FnOnce(&Path)) -> Image {
        let root = tempfile::tempdir().unwrap();
        fill(root.path());
        ok(self.umoci("insert").arg("--rootless").arg(root.path()).arg("/"));
        self
    }

    /// Settings of `umoci config`, and the archive beside the project.
    fn archive(self, settings: &[(&str, &str)]) -> Stage {
        let mut config = self.umoci("config");
        for (name, value) in settings {
            config.arg(format!("--{name}")).arg(value);
        }
        ok(&mut config);
        let archive = self.stage.work().join("app.tar");
        ok(Command::new("tar").arg("-C").arg(&self.layout).arg("-cf").arg(&archive).arg("."));
        self.stage.who.own(&archive);
        self.stage
    }
}

/// Programs and directories of this machine with the libraries that they need, at their own paths.
fn from_this_machine(root: &Path, paths: &[&str]) {
    let mut all: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    for path in paths {
        let Ok(output) = Command::new("ldd").arg(path).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
        all.extend(libraries.map(str::to_owned));
    }
    for path in &all {
        // Libraries as files, whatever links they are here; of directories all as it is.
        let follow = if fs::metadata(path).unwrap().is_dir() { "-cf" } else { "-chf" };
        let packed = Command::new("tar")
            .args(["-C", "/", follow, "-", path.trim_start_matches('/')])
            .output()
            .unwrap();
        assert!(packed.status.success(), "{}", describe(&packed));
        let mut unpack = Command::new("tar");
        unpack.arg("-C").arg(root).args(["-xf", "-"]).stdin(Stdio::piped());
        let mut unpacking = unpack.spawn().unwrap();
        unpacking.stdin.take().unwrap().write_all(&packed.stdout).unwrap();
        assert!(unpacking.wait().unwrap().success());
    }
}

fn put(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The app is driven by a command, packed, found good, and keeps its data: it says `expected`, and behind it
/// how often it was asked in this grain.
fn becomes_a_good_package(stage: &Stage, expected: &str) {
    let visits = |said: &str| -> u32 {
        let count = said.strip_prefix(expected).and_then(|count| count.trim().parse().ok());
        count.unwrap_or_else(|| panic!("{said:?} is not {expected:?} and a number"))
    };
    visits(&ok(stage.spk().args(["dev", "-q", "--exec", "sh", "-c", DRIVE])));
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let checked = stage.spk().args(["check", "--strict", "app.spk"]).output().unwrap();
    assert!(checked.status.success(), "{}", describe(&checked));
    // Without the image.
    fs::rename(stage.work().join("image"), stage.work().join("away")).unwrap();
    let server = Server::start(stage.spk().args(["run", "app.spk"]));
    let former = visits(&http::get(&server.at("")).text());
    let grain = server.field("grainId");
    server.stop();
    let server = Server::start(stage.spk().args(["grain", "open", &grain]));
    assert!(visits(&http::get(&server.at("")).text()) > former);
    server.stop();
}

const DRIVE: &str = "curl -sS --fail \"$SPK_SESSION_URL\"";

fn python(who: Who) -> Stage {
    Image::new(who)
        .layer(|root| {
            from_this_machine(root, &["/usr/bin/python3", "/usr/lib/python3.11"]);
            for dir in ["var/lib/dpkg", "var/log/app", "run", "tmp", "root", "usr/sbin"] {
                fs::create_dir_all(root.join(dir)).unwrap();
            }
            put(root, "var/lib/dpkg/status", "Package: python3");
            put(
                root,
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n",
            );
        })
        .layer(|root| {
            put(root, "srv/app/app.py", include_str!("../data/images/app.py"));
            put(root, "srv/app/data/seed", "former");
        })
        .layer(|root| put(root, "srv/app/data/seed", "seed\n"))
        .archive(&[
            ("config.env", "PORT=8080"),
            ("config.env", "GREETING=hello"),
            ("config.env", "DB_PASSWORD=hunter2"),
            ("config.workingdir", "/srv/app"),
            ("config.entrypoint", "python3"),
            ("config.cmd", "app.py"),
            ("config.exposedports", "8080"),
            ("config.volume", "/srv/app/data"),
            ("config.volume", "/tmp"),
            ("config.user", "www-data"),
        ])
}

#[test]
fn an_app_on_a_distribution() {
    for who in Who::all("an_app_on_a_distribution") {
        let stage = python(who);
        let done = stage.spk().args(["init", "--image", "app.tar"]).output().unwrap();
        assert!(done.status.success(), "{}", describe(&done));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        for line in [
            "found an image (app, linux/amd64)",
            "command: python3 app.py",
            "port: 8080 (exposed by the image)",
            "it runs as the grain's own user, not as www-data",
            "DB_PASSWORD of the image is not taken: it would be in the package",
            "a volume of the image is left out: /tmp cannot be made a directory to write to",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let read = |path: &str| fs::read_to_string(stage.work().join(path)).unwrap();
        let definition = read("sandstorm-pkgdef.capnp");
        assert!(!definition.contains("hunter2") && definition.contains("GREETING"), "{definition}");
        assert!(definition.contains("\"lib/dpkg\""), "{definition}");
        let passwd = read("rootfs/etc/passwd");
        assert!(passwd.contains("app:x:1000:") && passwd.contains("www-data:x:33:"), "{passwd}");
        // Where nobody was before, the seed of the last layer is there; later what the app made.
        becomes_a_good_package(&stage, "/srv/app seed hello ");
    }
}

#[test]
fn an_image_of_one_static_program() {
    let stage = Image::new(Who::User)
        .layer(|root| {
            put(root, "data/server.c", include_str!("../data/images/static.c"));
            ok(Command::new("musl-gcc")
                .args(["-static", "-O1", "-o", "../srv", "server.c"])
                .current_dir(root.join("data")));
            fs::remove_file(root.join("data/server.c")).unwrap();
            fs::create_dir(root.join("bin")).unwrap();
            fs::rename(root.join("srv"), root.join("bin/server")).unwrap();
        })
        .archive(&[
            ("config.cmd", "../bin/server"),
            ("config.env", "PORT=9000"),
            ("config.workingdir", "/data"),
            ("config.volume", "/data"),
        ]);
    let done = stage.spk().args(["init", "--image", "app.tar"]).output().unwrap();
    assert!(describe(&done).contains("port: 9000 (PORT of the image)"), "{}", describe(&done));
    becomes_a_good_package(&stage, "/var/data ");
}

/// A dynamic program and a shell of another C library than this machine's, from a pipe, compressed.
#[test]
fn a_root_of_musl() {
    let stage = Image::new(Who::User)
        .layer(|root| {
            from_this_machine(root, &["/bin/busybox"]);
            put(root, "lib/x", "");
            fs::copy("/usr/lib/x86_64-linux-musl/libc.so", root.join("lib/libc.musl.so")).unwrap();
            symlink("libc.musl.so", root.join("lib/ld-musl-x86_64.so.1")).unwrap();
            symlink("busybox", root.join("bin/sh")).unwrap();
            put(root, "server.c", include_str!("../data/images/static.c"));
            ok(Command::new("musl-gcc")
                .args(["-O1", "-o", "server", "server.c"])
                .current_dir(root));
            put(
                root,
                "entrypoint.sh",
                "#!/bin/sh\nmkdir -p \"$DATA\" && cd \"$DATA\" && exec /server\n",
            );
            ok(Command::new("chmod").arg("755").arg(root.join("entrypoint.sh")));
        })
        .archive(&[
            ("config.entrypoint", "/entrypoint.sh"),
            ("config.env", "DATA=/var/lib/server"),
            ("config.exposedports", "3000/tcp"),
        ]);
    let pipe = "gzip -c app.tar | spk init --image - --title Counter";
    let mut shell = stage.run("/bin/sh");
    let path = stage.spk_path();
    let path = format!("{}:/usr/bin:/bin", path.parent().unwrap().display());
    ok(shell.args(["-ec", pipe]).current_dir(stage.work()).env("PATH", path));
    becomes_a_good_package(&stage, "/var/lib/server ");
}

/// Two servers behind a script, configured as the distribution does, with what they keep in `/var`.
#[test]
fn nginx_with_php() {
    let Some(fpm) = fs::read_dir("/usr/sbin")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("php-fpm"))
    else {
        skip::skip("nginx_with_php", "there is no php-fpm");
        return;
    };
    let fpm = fpm.to_str().unwrap();
    let stage = Image::new(Who::User)
        .layer(|root| {
            from_this_machine(root, &["/bin/dash", "/bin/sleep", "/usr/sbin/nginx", fpm]);
            symlink("dash", root.join("bin/sh")).unwrap();
            for dir in ["var/lib/nginx", "var/log/nginx", "run", "var/www/html"] {
                fs::create_dir_all(root.join(dir)).unwrap();
            }
            put(root, "var/log/nginx/access.log", "the builder's");
            put(
                root,
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n",
            );
            put(root, "etc/group", "root:x:0:\nwww-data:x:33:\n");
            put(root, "etc/nginx/nginx.conf", NGINX);
            put(root, "etc/php/fpm.conf", FPM);
        })
        .layer(|root| {
            put(root, "var/www/html/index.php", include_str!("../data/images/index.php"));
            let script = format!(
                "#!/bin/sh\n{fpm} -F -y /etc/php/fpm.conf &\n\
                 while [ ! -S /run/php-fpm.sock ]; do sleep 0.1; done\n\
                 exec /usr/sbin/nginx -g 'daemon off;'\n"
            );
            put(root, "entrypoint.sh", script);
            ok(Command::new("chmod").arg("755").arg(root.join("entrypoint.sh")));
        })
        .archive(&[
            ("config.entrypoint", "/entrypoint.sh"),
            ("config.exposedports", "8080"),
            ("config.stopsignal", "SIGQUIT"),
        ]);
    ok(stage.spk().args(["init", "-q", "--image", "app.tar"]));
    becomes_a_good_package(&stage, "/var/www/html ");
    let packed = ok(stage.spk().args(["ls", "app.spk"]));
    assert!(packed.contains("log/nginx") && !packed.contains("access.log"), "{packed}");
}

const NGINX: &str = r#"
user www-data;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {}
http {
  access_log /var/log/nginx/access.log;
  server {
    listen 8080;
    root /var/www/html;
    location / {
      fastcgi_pass unix:/run/php-fpm.sock;
      fastcgi_param SCRIPT_FILENAME /var/www/html/index.php;
      fastcgi_param REQUEST_METHOD $request_method;
    }
  }
}
"#;

const FPM: &str = r#"
[global]
error_log = /var/log/fpm.log
[www]
user = www-data
group = www-data
listen = /run/php-fpm.sock
pm = static
pm.max_children = 2
"#;

#[test]
fn images_that_do_not_say_enough() {
    let image = |settings: &[(&str, &str)]| {
        Image::new(Who::User).layer(|root| put(root, "app", "")).archive(settings)
    };
    let init = |stage: &Stage, more: &[&str]| {
        let output = fails(stage.spk().args(["init", "--image", "app.tar"]).args(more));
        assert!(!stage.work().join("image").exists(), "nothing is left");
        assert_eq!(fs::read_dir(stage.work()).unwrap().count(), 1, "nothing is left");
        describe(&output)
    };
    let stage = image(&[("config.exposedports", "80"), ("config.cmd", "/app")]);
    insta::assert_snapshot!(init(&stage, &[]));
    insta::assert_snapshot!(init(&stage, &["--platform", "linux/s390x"]));
    insta::assert_snapshot!(init(&stage, &["--image-name", "other"]));
    insta::assert_snapshot!(init(&stage, &["-p", "8080", "--max-size", "10"]));
    insta::assert_snapshot!(init(&stage, &["-p", "8080", "--var", "/tmp/x"]));
    let stage = image(&[("config.cmd", "/app")]);
    insta::assert_snapshot!(init(&stage, &[]));
    let stage = image(&[("config.exposedports", "8000")]);
    insta::assert_snapshot!(init(&stage, &[]));
    fs::write(stage.work().join("app.tar"), "no image").unwrap();
    insta::assert_snapshot!(init(&stage, &[]));
}

#[test]
fn what_is_here_already_stays() {
    let stage = python(Who::User);
    stage.write("image/mine", "1");
    let output = fails(stage.spk().args(["init", "--image", "app.tar"]));
    assert!(describe(&output).contains("image already exists"), "{}", describe(&output));
    assert_eq!(fs::read_dir(stage.work()).unwrap().count(), 2);
    ok(stage.spk().args(["init", "--image", "app.tar", "--force"]));
    assert!(!stage.work().join("image/mine").exists());
    assert!(stage.work().join("image/srv/app/app.py").exists());
    let dry = ok(stage.spk().args(["init", "--image", "app.tar", "--force", "-n"]));
    assert!(dry.contains("would write: image/") && dry.contains("opt/spk/launch.json"), "{dry}");
}

/// `--var` for a project that is there already, of any kind with a bridge.
#[test]
fn more_directories_to_write_to() {
    let stage = python(Who::User);
    let init = |args: &[&str]| stage.spk().arg("init").args(args).output().unwrap();
    assert!(init(&["--image", "app.tar"]).status.success());
    let done =
        init(&["--var", "/srv/app/cache", "--var", "/var/spool/app", "--var", "/srv/app/data"]);
    assert!(done.status.success(), "{}", describe(&done));
    assert!(describe(&done).contains("/srv/app/data leads to /var already"), "{}", describe(&done));
    let launch = fs::read_to_string(stage.work().join("rootfs/opt/spk/launch.json")).unwrap();
    assert!(launch.contains("srv/app/cache") && launch.contains("spool/app"), "{launch}");
    let link = fs::read_link(stage.work().join("rootfs/srv/app/cache")).unwrap();
    assert_eq!(link, Path::new("/var/srv/app/cache"));
    // What is in the package there is what a new grain begins with.
    let done = init(&["--var", "/usr/lib/python3.11/json"]);
    assert!(done.status.success(), "{}", describe(&done));
    let copied = stage.work().join("rootfs/opt/spk/var/usr/lib/python3.11/json/decoder.py");
    assert!(copied.is_file(), "{}", describe(&done));
    let drive = format!("{DRIVE} && exit 0");
    let done = ok(stage.spk().args(["dev", "--exec", "sh", "-c", &drive]));
    assert!(done.contains("/srv/app seed"), "{done}");
    let failed = init(&["--var", "/srv/app/app.py"]);
    assert!(describe(&failed).contains("is no directory"), "{}", describe(&failed));
}

#[test]
fn directories_to_write_to_of_any_project() {
    let stage = Stage::new(Who::User);
    stage.write("data/seed", "seed");
    stage.write("app.py", include_str!("../data/images/app.py"));
    let init = |args: &[&str]| stage.spk().arg("init").args(args).output().unwrap();
    let app = ["-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"];
    assert!(init(&app).status.success());
    // The project's own directory is in front of what would be the link.
    let hidden = init(&["--var", "/data"]);
    assert!(describe(&hidden).contains("rootfs/data is hidden by"), "{}", describe(&hidden));
    let path = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("searchPath = [", "searchPath = [\n      ( sourcePath = \"rootfs\" ),");
    let text = text.replace(
        "(key = \"HOME\"",
        "(key = \"PORT\", value = \"8000\"),\n    (key = \"GREETING\", value = \"hi\"),\n    (key = \"HOME\"",
    );
    fs::write(&path, text).unwrap();
    let done = init(&["--var", "/data", "--var", "/run"]);
    assert!(done.status.success(), "{}", describe(&done));
    let done = ok(stage.spk().args(["dev", "-q", "--exec", "sh", "-c", DRIVE]));
    assert!(done.starts_with("/ seed hi "), "{done}");
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let server = Server::start(stage.spk().args(["run", "app.spk"]));
    assert!(http::get(&server.at("")).text().starts_with("/ seed hi "));
    server.stop();
    // Without a bridge, nobody would fill them.
    let other = stage.work().join("other");
    fs::create_dir(&other).unwrap();
    stage.who.own(&other);
    ok(stage.spk_in(&other).args(["init", "-q", "-r", "--", "/app"]));
    let output = fails(stage.spk_in(&other).args(["init", "--var", "/data"]));
    assert!(describe(&output).contains("only the HTTP bridge"), "{}", describe(&output));
}
