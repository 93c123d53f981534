//! What `spk check --strict` says of small apps, each with something that makes answers hard to
//! compare: it finds all of them good, and none of them once their package was broken in one way, and
//! then it names the cause.
//!
//! A few of them are run; all with `SPK_TEST_VERDICT=all` (CONTRIBUTING.md).
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use spk_tests::bins::{describe, ok};
use spk_tests::http::{self, Response};
use spk_tests::skip::skip;
use spk_tests::{Server, Stage, Who};

/// A file of `data/verdict`.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/verdict/", $name)).as_slice()
    };
}

const PYTHON: &[&str] = &["/usr/bin/python3", "-B", "/app.py"];
/// Those that are always run: of each way to be broken one, and most stacks.
const SAMPLE: [&str; 6] = ["csrf", "gettext", "child", "photos", "picky", "items"];

/// One app.
struct App {
    name: &'static str,
    command: &'static [&'static str],
    files: Vec<(&'static str, Vec<u8>)>,
    /// Options of `spk dev`.
    options: &'static [&'static str],
    use_it: fn(&Server),
    broken: Broken,
    /// What the report on the broken package names.
    cause: &'static [&'static str],
}

/// How its package is broken.
enum Broken {
    /// These are taken out of the list.
    Without(&'static [&'static str]),
    /// This is not executable any more.
    NotExecutable(&'static str),
}
use Broken::{NotExecutable, Without};

fn app(
    name: &'static str,
    command: &'static [&'static str],
    broken: Broken,
    cause: &'static [&'static str],
) -> App {
    let (files, options): (_, &[&str]) = (Vec::new(), &[]);
    App { name, command, files, options, use_it: |server| drop(good(server, "")), broken, cause }
}

/// One in Python, with `file` as its program.
fn python(name: &'static str, file: &[u8], lost: &'static [&'static str]) -> App {
    app(name, PYTHON, Without(lost), lost).file("app.py", file).file("base.py", data!("base.py"))
}

impl App {
    fn file(mut self, path: &'static str, content: &[u8]) -> App {
        self.files.push((path, content.to_vec()));
        self
    }

    fn used(mut self, use_it: fn(&Server)) -> App {
        self.use_it = use_it;
        self
    }

    fn options(mut self, options: &'static [&'static str]) -> App {
        self.options = options;
        self
    }
}

fn good(server: &Server, path: &str) -> Response {
    let answer = http::get(&server.at(path));
    assert_eq!(answer.status, 200, "{path}: {answer:?}\n{}", server.said());
    answer
}

/// The value that follows `mark`.
fn after(text: &str, mark: &str) -> String {
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}"));
    rest.split(['"', '\'', '<']).next().unwrap().to_owned()
}

fn cookie(answer: &Response) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn post(server: &Server, path: &str, cookie: &str, form: &str) -> Response {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie)];
    http::request("POST", &server.at(path), &headers, form.as_bytes())
}

/// A request that is sent and whose answer is not read yet.
fn sent(server: &Server, path: &str) -> TcpStream {
    let (authority, port, _) = http::split(&server.session_url());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
    stream
}

/// Reads until `text` has come.
fn read_until(stream: &mut TcpStream, text: &str) {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..count]);
    }
}

/// A catalogue of gettext with one message.
fn catalogue(id: &str, text: &str) -> Vec<u8> {
    let header = "Content-Type: text/plain; charset=UTF-8\n";
    let strings = [("", header), (id, text)];
    let (mut tables, mut data) = ([Vec::new(), Vec::new()], Vec::new());
    for (index, table) in tables.iter_mut().enumerate() {
        for pair in strings {
            let string = if index == 0 { pair.0 } else { pair.1 };
            let at = 28 + 4 * 8 + data.len();
            table.extend([string.len() as u32, at as u32]);
            data.extend_from_slice(string.as_bytes());
            data.push(0);
        }
    }
    let head = [0x9504_12de_u32, 0, 2, 28, 28 + 16, 0, 28 + 32];
    let numbers = head.into_iter().chain(tables.concat());
    numbers.flat_map(u32::to_le_bytes).chain(data).collect()
}

fn apps() -> Vec<App> {
    vec![
        python("csrf", data!("csrf.py"), &["templates/form.html"])
            .file(
                "templates/form.html",
                b"<form method=post><input name=token value=\"TOKEN\"></form>",
            )
            .used(|server| {
                let page = good(server, "");
                let token = after(&page.text(), "value=\"");
                let token = token.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D");
                let answer = post(server, "", &cookie(&page), &format!("token={token}&text=a"));
                assert_eq!(answer.status, 200, "{answer:?}");
            }),
        python("login", data!("login.py"), &["users.json"])
            .file("users.json", br#"{"anna": "secret"}"#)
            .used(|server| {
                assert_eq!(http::get(&server.at("")).status, 403);
                let entered = post(server, "", "x=y", "name=anna&password=secret");
                assert_eq!(entered.status, 303, "{entered:?}");
                let sid = cookie(&entered);
                let page = http::request("GET", &server.at(""), &[("Cookie", &sid)], b"");
                assert_eq!(page.text(), "hello anna");
            }),
        python("notes", data!("notes.py"), &["store.py"]).file("store.py", data!("store.py")).used(
            |server| {
                let made = http::post_form(&server.at("notes"), "text=first");
                let note = made.header("location").unwrap()[1..].to_owned();
                assert_eq!(good(server, &note).text(), "<p>first");
                good(server, "");
            },
        ),
        python("gettext", data!("gettext_app.py"), &["locale/de/LC_MESSAGES/app.mo"])
            .file(
                "locale/de/LC_MESSAGES/app.mo",
                &catalogue("Welcome to this application", "Willkommen bei dieser Anwendung"),
            )
            .used(|server| {
                let german = [("Accept-Language", "de")];
                let page = http::request("GET", &server.at(""), &german, b"");
                assert!(page.text().contains("Willkommen"), "{page:?}");
            }),
        python("zone", data!("zone.py"), &["usr/share/zoneinfo/Europe/Berlin"]),
        App {
            broken: NotExecutable("tools/count"),
            ..python("child", data!("child.py"), &["tools/count"])
                .file("tools/count", data!("count.sh"))
                .file("words.txt", b"one\ntwo\n")
        },
        python("ctypes", data!("ctypes_app.py"), &["usr/lib/x86_64-linux-gnu/libexpat.so.1"]),
        python("photos", data!("photos.py"), &["photos/img2.png"])
            .file("photos/img1.png", b"\x89PNG 1")
            .file("photos/img2.png", b"\x89PNG 2")
            .used(|server| {
                ["", "img1.png", "img2.png"].iter().for_each(|path| drop(good(server, path)))
            }),
        python("events", data!("events.py"), &["first.txt"]).file("first.txt", b"hello").used(
            |server| {
                good(server, "");
                read_until(&mut sent(server, "events"), "data: hello");
            },
        ),
        python("polling", data!("polling.py"), &["client.html"])
            .file("client.html", b"<p>a client</p>")
            .used(|server| {
                good(server, "");
                let sid = after(&good(server, "socket?t=1").text(), "\"sid\":\"");
                let mut waiting = sent(server, &format!("socket?t=2&sid={sid}"));
                good(server, "");
                let url = server.at(&format!("socket?t=3&sid={sid}"));
                let text = [("Content-Type", "text/plain")];
                assert_eq!(http::request("POST", &url, &text, b"2hi").status, 200);
                read_until(&mut waiting, "42hi");
            }),
        python("upload", data!("upload.py"), &["list.html"])
            .file("list.html", b"<h1>files</h1>")
            .used(|server| {
                good(server, "");
                for (name, length) in [("small.txt", 10), ("large-one.bin", 2 << 20)] {
                    let url = server.at(&format!("files/{name}"));
                    let kind = [("Content-Type", "application/octet-stream")];
                    let answer = http::request("PUT", &url, &kind, &vec![b'x'; length]);
                    assert_eq!(answer.status, 201, "{answer:?}");
                    good(server, &format!("files/{name}"));
                }
                good(server, "");
            }),
        python("api", data!("api.py"), &["schema.json"])
            .file("schema.json", br#"{"required": ["name"]}"#)
            .options(&["--api-token"])
            .used(|server| {
                good(server, "");
                let api = &server.ready["api"];
                let token = format!("Bearer {}", api["token"].as_str().unwrap());
                let url = http::join(api["url"].as_str().unwrap(), "items");
                let headers =
                    [("Authorization", token.as_str()), ("Content-Type", "application/json")];
                let made = http::request("POST", &url, &headers, br#"{"name": "x"}"#);
                assert_eq!(made.status, 201, "{made:?}");
                assert_eq!(http::request("GET", &url, &headers[..1], b"").status, 200);
            }),
        python("sockets", data!("sockets.py"), &["worker.py"])
            .file("worker.py", data!("worker.py")),
        python("failing", data!("failing.py"), &["page.html"])
            .file("page.html", b"<p>a page")
            .used(|server| {
                assert_eq!(http::get(&server.at("broken")).status, 500);
                good(server, "");
            }),
        python("large", data!("large.py"), &["pattern.txt"]).file("pattern.txt", b"a pattern "),
        python("etag", data!("etag.py"), &["style.css"])
            .file("style.css", b"body { color: green }")
            .used(|server| {
                let tag = good(server, "").header("etag").unwrap().to_owned();
                let has = [("If-None-Match", tag.as_str())];
                assert_eq!(http::request("GET", &server.at(""), &has, b"").status, 304);
            }),
        python("picky", data!("picky.py"), &["conf/one", "conf/two", "conf/three"])
            .file("conf/one", b"1")
            .file("conf/two", b"2")
            .file("conf/three", b"3"),
        app(
            "items",
            &["/usr/bin/php", "-S", "127.0.0.1:8000", "/items.php"],
            Without(&["inc/layout.php"]),
            &["inc/layout.php"],
        )
        .file("items.php", data!("items.php"))
        .file("inc/layout.php", data!("layout.php"))
        .used(|server| {
            let sid = cookie(&good(server, ""));
            let made = post(server, "", &sid, "text=first");
            assert_eq!(made.status, 303, "{made:?}");
            let item = server.at(&made.header("location").unwrap()[1..]);
            let page = http::request("GET", &item, &[("Cookie", &sid)], b"");
            assert!(page.text().contains("first"), "{page:?}");
        }),
        app(
            "views",
            &["/usr/bin/node", "/app.js"],
            Without(&["views/about.html"]),
            &["views/about.html"],
        )
        .file("app.js", data!("views.js"))
        .file("views/home.html", b"<p>at {time}")
        .file("views/about.html", b"<p>about")
        .used(|server| ["", "about"].iter().for_each(|path| drop(good(server, path)))),
        app("keys", &["/usr/bin/node", "/app.js"], Without(&["limits.json"]), &["limits.json"])
            .file("app.js", data!("keys.js"))
            .file("limits.json", br#"{"quota": "little"}"#),
        app(
            "clock",
            &["/usr/bin/perl", "/clock.pl"],
            Without(&["lib-perl/Clock.pm"]),
            &["lib-perl/Clock.pm"],
        )
        .file("clock.pl", data!("clock.pl"))
        .file("lib-perl/Clock.pm", data!("Clock.pm")),
        app(
            "page",
            &["/usr/bin/ruby", "/page.rb"],
            Without(&["usr/lib/ruby/3.1.0/erb.rb"]),
            &["usr/lib/ruby/3.1.0/erb.rb"],
        )
        .file("page.rb", data!("page.rb"))
        .file("page.erb", b"<% names.each do |name| %><p><%= name %><% end %>"),
        app(
            "cgi",
            &["/usr/bin/busybox", "httpd", "-f", "-p", "127.0.0.1:8000", "-h", "/www"],
            Without(&["usr/bin/dash"]),
            &["usr/bin/dash"],
        )
        .file("www/index.html", b"<p>static")
        .file("www/cgi-bin/hello.cgi", data!("hello.cgi"))
        .used(|server| {
            good(server, "");
            assert!(good(server, "cgi-bin/hello.cgi").text().contains("by a script"));
        }),
    ]
}

/// What is wrong with the verdicts on one app.
fn journey(app: &App) -> Result<(), String> {
    let stage = Stage::new(Who::User);
    for (path, content) in &app.files {
        let file = stage.write(path, content);
        if content.starts_with(b"#!") {
            fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        }
    }
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--"]).args(app.command));
    let mut dev = stage.spk();
    let server = Server::start(dev.args(["dev", "--record"]).args(app.options));
    (app.use_it)(&server);
    let token = server.ready["api"]["token"].as_str().map(str::to_owned);
    server.stop();
    if let Some(token) = token {
        let recorded = stage.work().join(".sandstorm-files.list.requests");
        let recorded = fs::read_to_string(recorded).unwrap();
        assert!(recorded.contains("/items") && !recorded.contains(&token), "{recorded}");
    }
    let check = |package: &str| {
        ok(stage.spk().args(["pack", "-q", "--fast", package]));
        let output = stage.spk().args(["check", "--strict", package]).output().unwrap();
        (output.status.success(), describe(&output))
    };
    let (is_good, said) = check("good.spk");
    if !is_good {
        return Err(format!("a good package is not found good:\n{said}"));
    }
    match &app.broken {
        NotExecutable(path) => {
            fs::set_permissions(stage.work().join(path), Permissions::from_mode(0o644)).unwrap();
        }
        Without(paths) => {
            let list = stage.work().join("sandstorm-files.list");
            let listed = fs::read_to_string(&list).unwrap();
            let less: Vec<&str> = listed.lines().filter(|line| !paths.contains(line)).collect();
            assert_eq!(less.len() + paths.len(), listed.lines().count(), "{paths:?} in {listed}");
            fs::write(&list, less.join("\n") + "\n").unwrap();
        }
    }
    let (is_good, said) = check("broken.spk");
    let unnamed: Vec<_> = app.cause.iter().filter(|cause| !said.contains(**cause)).collect();
    match (is_good, unnamed.is_empty()) {
        (true, _) => Err(format!("a broken package is found good:\n{said}")),
        (false, false) => Err(format!("the causes {unnamed:?} are not named:\n{said}")),
        (false, true) => Ok(()),
    }
}

#[test]
fn good_apps_are_good_and_broken_ones_are_not() {
    let wanted = std::env::var("SPK_TEST_VERDICT").unwrap_or_default();
    let is_wanted = |app: &App| match wanted.as_str() {
        "all" => true,
        "" => SAMPLE.contains(&app.name),
        names => names.split(',').any(|name| name == app.name),
    };
    let (there, absent): (Vec<App>, Vec<App>) =
        apps().into_iter().filter(is_wanted).partition(|app| Path::new(app.command[0]).exists());
    for app in absent {
        skip(app.name, &format!("{} is not installed", app.command[0]));
    }
    let (queue, wrong) = (Mutex::new(there.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(app) = { queue.lock().unwrap().next() } {
                    let begun = Instant::now();
                    let verdict = journey(app);
                    println!("{}: {:?}", app.name, begun.elapsed());
                    if let Err(why) = verdict {
                        wrong.lock().unwrap().push(format!("{}: {why}", app.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), there.len(), wrong.join("\n\n"));
}
