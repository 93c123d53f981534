//! A real app that was not written for this: Radicale, the CalDAV server, from PyPI, run by the
//! machine's Python. Traced while a real client uses it, packed, and run without its sources.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who};

const CALENDAR: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop>
<resourcetype><collection/><C:calendar/></resourcetype><displayname>Work</displayname>
</prop></set></mkcol>"#;

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//spk//test//EN\r\nBEGIN:VEVENT\r\n\
UID:event-1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nDTEND:20260102T110000Z\r\n\
SUMMARY:Packaging party\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

const QUERY: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/>
<C:calendar-data/></prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>"#;

/// curl, as the client.
fn curl(stage: &Stage, server: &Server, method: &str, path: &str, body: Option<&str>) -> String {
    let mut command = stage.run("curl");
    command.args(["-sS", "-X", method, "-w", "\n%{http_code}"]);
    if let Some(body) = body {
        let kind = if body.starts_with("BEGIN") { "text/calendar" } else { "application/xml" };
        command.args(["-H", &format!("Content-Type: {kind}"), "--data-binary", body]);
    }
    if method == "PROPFIND" {
        command.args(["-H", "Depth: 1"]);
    }
    command.arg(server.at(path));
    ok(&mut command)
}

fn status(answer: &str) -> &str {
    answer.rsplit('\n').next().unwrap()
}

/// Radicale and what it needs, installed once for all runs of this test.
fn site() -> PathBuf {
    let site = Path::new(env!("CARGO_TARGET_TMPDIR")).join("radicale-site");
    if !site.join("radicale").exists() {
        let staging = site.with_extension("new");
        let _ = fs::remove_dir_all(&staging);
        ok(Command::new("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-compile", "--root-user-action=ignore", "--target"])
            .arg(&staging)
            .arg("radicale==3.5.4"));
        fs::rename(&staging, &site).unwrap();
    }
    site
}

#[test]
fn radicale_from_source_to_restored_grain() {
    for who in Who::all("radicale_from_source_to_restored_grain") {
        let stage = Stage::new(who);
        stage.write("src/app.py", include_str!("../data/radicale_app.py"));
        ok(Command::new("cp").arg("-r").arg(site()).arg(stage.work().join("src/site")));
        stage.who.own(&stage.work());
        let sources = stage.work().join("src");
        ok(stage.spk_in(&sources).args([
            "init",
            "-p",
            "8000",
            "--",
            "/usr/bin/python3",
            "-B",
            "/app.py",
        ]));

        let server = Server::start(stage.spk_in(&sources).arg("dev"));
        use_it(&stage, &server);
        server.stop();
        ok(stage.spk_in(&sources).args(["pack", "--fast", "../radicale.spk"]));
        fs::rename(&sources, stage.work().join("gone")).unwrap();
        fs::set_permissions(
            stage.work().join("gone"),
            std::os::unix::fs::PermissionsExt::from_mode(0o000),
        )
        .unwrap();

        let server = Server::start(stage.spk().args(["run", "radicale.spk", "--user", "carol"]));
        let grain = server.field("grainId");
        use_it(&stage, &server);
        server.stop();

        let again = |grain: &str| {
            let mut spk = stage.spk();
            spk.args(["run", "radicale.spk", "--user", "carol", "--grain", grain]);
            let server = Server::start(&mut spk);
            let event = curl(&stage, &server, "GET", "carol/work/event-1.ics", None);
            assert_eq!(status(&event), "200", "{event}\n{}", server.said());
            assert!(event.contains("SUMMARY:Packaging party"), "{event}");
            server.stop();
        };
        again(&grain);

        ok(stage.spk().args(["grain", "export", &grain, "-o", "calendar.zip"]));
        ok(stage.spk().args(["grain", "delete", &grain]));
        let restored = ok(stage.spk().args(["grain", "restore", "calendar.zip"]));
        again(restored.split_whitespace().next_back().unwrap());
    }
}

/// What a calendar program does: looks who it is, makes a calendar, puts an event, asks for it.
fn use_it(stage: &Stage, server: &Server) {
    let user = whoami(stage, server);
    let look = curl(stage, server, "PROPFIND", &format!("{user}/"), None);
    assert_eq!(status(&look), "207", "{look}\n{}", server.said());
    let made = curl(stage, server, "MKCOL", &format!("{user}/work/"), Some(CALENDAR));
    assert_eq!(status(&made), "201", "{made}\n{}", server.said());
    let put = curl(stage, server, "PUT", &format!("{user}/work/event-1.ics"), Some(EVENT));
    assert_eq!(status(&put), "201", "{put}\n{}", server.said());
    let found = curl(stage, server, "REPORT", &format!("{user}/work/"), Some(QUERY));
    assert_eq!(status(&found), "207", "{found}\n{}", server.said());
    assert!(found.contains("Packaging party"), "{found}");
}

/// The user Radicale sees: the current-user-principal of the root.
fn whoami(stage: &Stage, server: &Server) -> String {
    let answer = curl(
        stage,
        server,
        "PROPFIND",
        "",
        Some(
            "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><prop><current-user-principal/></prop></propfind>",
        ),
    );
    assert_eq!(status(&answer), "207", "{answer}\n{}", server.said());
    let principal = answer.split("current-user-principal").nth(1).unwrap_or_default();
    let href = principal.split("href>/").nth(1).unwrap_or_else(|| panic!("nobody: {answer}"));
    href.split('/').next().unwrap_or_default().to_owned()
}
