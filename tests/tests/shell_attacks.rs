//! Attacks on the shell: from other origins, other users of the machine, the app in its frame, and
//! packages whose names hold markup.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::process::{Child, Command, Stdio};

use spk_tests::bins::ok;
use spk_tests::guest::{self, PLAIN, Package};
use spk_tests::http;
use spk_tests::signed::Signed;
use spk_tests::{Browser, Server, Stage, Who, skip};

fn served(title: &str) -> (Stage, Server) {
    let stage = guest::stage(Who::User);
    guest::pack(&stage, &PLAIN, "guest.spk");
    let server = Server::start(stage.spk().args(["run", "guest.spk", "--title", title]));
    (stage, server)
}

/// Every address that does or tells something, for a grain.
fn addresses(grain: &str) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> =
        ["state", "events"].iter().map(|what| ("GET", format!("/api/{what}"))).collect();
    for what in ["activity", "usage"] {
        all.push(("GET", format!("/api/grains/{grain}/{what}")));
    }
    for what in [
        "session", "rename", "stop", "restart", "delete", "undelete", "upgrade", "backup", "share",
        "powerbox", "token",
    ] {
        all.push(("POST", format!("/api/grains/{grain}/{what}")));
    }
    all.push(("POST", "/api/grains".into()));
    all.push(("POST", "/api/shared/x".into()));
    all.push(("POST", "/api/upload?name=x.spk".into()));
    all
}

#[test]
fn every_action_needs_the_page_s_key_and_its_own_origin() {
    let (stage, server) = served("untouched");
    let grain = server.field("grainId");
    let signed = Signed::at(&server);
    let (key, origin) = (signed.key.as_str(), signed.origin.as_str());
    let cookies = format!("spk-shell-1={key}; spk-key={key}; X-Spk-Csrf={key}; token={key}");
    let session = server.session_url();
    let session = session.trim_end_matches('/');
    let attempts: &[&[(&str, &str)]] = &[
        // another local user, or another site that guessed the address
        &[],
        &[("Origin", origin)],
        &[("Origin", origin), ("X-Spk-Csrf", "0")],
        // what a browser sends by itself is no key, whatever it is
        &[("Cookie", &cookies), ("Origin", origin), ("Sec-Fetch-Site", "same-origin")],
        &[("Cookie", &cookies), ("Sec-Fetch-Site", "none"), ("Authorization", key)],
        // another site, or an app, which is same-site, even with the key
        &[("X-Spk-Csrf", key), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        &[("X-Spk-Csrf", key), ("Origin", session), ("Sec-Fetch-Site", "same-site")],
        &[("X-Spk-Csrf", key), ("Origin", session)],
        &[("X-Spk-Csrf", key), ("Sec-Fetch-Site", "same-site")],
        &[("X-Spk-Csrf", key), ("Origin", "null")],
    ];
    for (method, path) in addresses(&grain) {
        for headers in attempts {
            let answer = signed.ask(method, &path, headers);
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
            assert!(!answer.text().contains("untouched") && !answer.text().contains("ui-"));
            assert!(answer.header("access-control-allow-origin").is_none());
        }
        // no key in an address opens it, and no preflight is answered with leave
        let with_key = format!("{path}{}token={key}", if path.contains('?') { '&' } else { '?' });
        assert_eq!(signed.ask(method, &with_key, &[]).status, 403, "{path}");
        let preflight = [("Origin", session), ("Access-Control-Request-Method", method)];
        let answer = signed.ask("OPTIONS", &path, &preflight);
        assert!(answer.status >= 400, "{path}");
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    // the pages are the same for everybody, and hold nothing
    let wrong = format!("/?token={}", "0".repeat(32));
    let grain_page = format!("/grain/{grain}");
    // but for the name of the grain's site, which is made of the address
    let plain = |page: &str| {
        let lines = page.lines().filter(|line| !line.contains("spk-site"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let page = signed.ask("GET", "/", &[]);
    for path in ["/", "/?token=", &wrong, &grain_page, "/grain/x", "/shared/x", "/?x=1"] {
        for headers in [&[][..], &[("Cookie", cookies.as_str())], &[("X-Spk-Csrf", key)]] {
            let answer = signed.ask("GET", path, headers);
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(plain(&answer.text()), plain(&page.text()), "{path}");
            assert!(answer.header("set-cookie").is_none(), "{path}");
        }
    }
    assert!(!page.text().contains(key) && !page.text().contains("untouched"));
    // pictures and downloads have a key of their own each
    let state = signed.asked_well("GET", "/api/state", "").text();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let icon = state["packages"][0]["icon"].as_str().unwrap();
    assert_eq!(signed.ask("GET", icon, &[]).status, 200, "{icon}");
    assert_eq!(signed.ask("GET", icon, &[("Sec-Fetch-Site", "same-site")]).status, 404);
    let (bare, _) = icon.rsplit_once('/').unwrap();
    for path in [bare, &format!("{bare}/{key}"), &format!("{bare}/"), "/icons/0/0", "/download/0"] {
        assert_eq!(signed.ask("GET", path, &[("X-Spk-Csrf", key)]).status, 404, "{path}");
    }
    let made = signed.post(&format!("/api/grains/{grain}/backup"), &serde_json::json!({}));
    let ticket = made["url"].as_str().unwrap();
    assert_eq!(signed.ask("GET", ticket, &[("Sec-Fetch-Site", "cross-site")]).status, 404);
    assert_eq!(signed.ask("GET", ticket, &[]).status, 200);
    assert_eq!(signed.ask("GET", ticket, &[]).status, 404);
    // nothing of all that happened
    let listed = ok(stage.spk().args(["grain", "list"]));
    assert!(listed.contains("untouched") && listed.contains("running"), "{listed}");
    assert_eq!(listed.lines().count(), 1);
    // and the page itself can
    let renamed = signed.asked_well(
        "POST",
        &format!("/api/grains/{grain}/rename"),
        "{\"title\":\"touched\"}",
    );
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    // nobody sends more than names and numbers, whoever they are
    let long = format!("{{\"title\":\"{}\"}}", "x".repeat(64 << 10));
    let refused = signed.asked_well("POST", &format!("/api/grains/{grain}/rename"), &long);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("too large"), "{}", refused.text());
    assert!(ok(stage.spk().args(["grain", "list"])).contains("touched"));
    server.stop();
}

#[test]
fn other_host_names_and_frames_are_refused() {
    let (_stage, server) = served("untouched");
    let signed = Signed::at(&server);
    let port = signed.origin.rsplit_once(':').unwrap().1;
    // DNS rebinding: the attacker's name leads here, the browser sends the attacker's name
    for host in ["evil.example", "127.0.0.1", "localhost", "spk.localhost.evil.example"] {
        for path in ["/", "/api/state", "/assets/app.js"] {
            let raw = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nX-Spk-Csrf: {}\r\n\
                 Connection: close\r\n\r\n",
                signed.key
            );
            let answer = http::parse(&http::exchange(port.parse().unwrap(), raw.as_bytes()), false);
            assert_eq!(answer.status, 404, "{host}{path}");
            assert!(!answer.text().contains("untouched"));
        }
    }
    for dest in ["iframe", "frame", "object", "embed"] {
        assert_eq!(signed.ask("GET", "/", &[("Sec-Fetch-Dest", dest)]).status, 403);
    }
    let page = signed.ask("GET", "/", &[]);
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let policy = page.header("content-security-policy").unwrap();
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    // pages and files are only looked at
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        for path in ["/", "/assets/app.js", "/icons/x/y"] {
            assert_eq!(signed.asked_well(method, path, "").status, 405, "{method} {path}");
        }
    }
    // names of files lead nowhere else
    for path in ["/assets/../../Cargo.toml", "/assets/%2e%2e/mod.rs", "/assets/", "/download/../x"]
    {
        assert!(matches!(signed.ask("GET", path, &[]).status, 400 | 404), "{path}");
    }
    server.stop();
}

/// What every answer of the shell's origin says to browsers, and the whole policy of its page: a part
/// that is missing is no part that anybody meets.
#[test]
fn every_answer_tells_browsers_what_may_be_done_with_it() {
    let (_stage, server) = served("guarded");
    let signed = Signed::at(&server);
    let own = ["/", "/api/state", "/assets/app.js", "/no/such/page"];
    let answers = own.map(|path| (path, signed.ask("GET", path, &[])));
    let refused =
        ("refused", signed.ask("POST", "/api/grains", &[("Origin", "http://evil.example")]));
    for (what, answer) in answers.iter().chain([&refused]) {
        for (header, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{what}: {header}");
        }
        let policy = answer.header("content-security-policy").unwrap_or_default();
        let parts: Vec<&str> = policy.split("; ").collect();
        for part in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(parts.contains(&part), "{what}: {policy}");
        }
    }
    let policy = answers[0].1.header("content-security-policy").unwrap();
    let parts: std::collections::BTreeSet<&str> =
        policy.split("; ").filter(|part| !part.starts_with("frame-src ")).collect();
    let expected = [
        "base-uri 'none'",
        "connect-src 'self'",
        "default-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "img-src 'self'",
        "require-trusted-types-for 'script'",
        "script-src 'self'",
        "style-src 'self'",
        "trusted-types 'none'",
    ];
    assert_eq!(parts, expected.into());
    server.stop();
}

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn connections_of_another_user_leave_room_for_the_owner() {
    let test = "connections_of_another_user_leave_room_for_the_owner";
    if !nix::unistd::geteuid().is_root() {
        return skip::needs_root(test, "another user's connections");
    }
    let (stage, server) = served("reached");
    let (_, port, _) = http::split(&server.session_url());
    let flood = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flood.py");
    for how in ["idle", "slow"] {
        let mut child = Command::new("python3");
        child.args([flood, &port.to_string(), how, "560", "65534"]).stdout(Stdio::piped());
        let mut child = child.spawn().expect("python3 runs");
        let mut said = *b"held\n";
        child.stdout.take().unwrap().read_exact(&mut said).unwrap();
        let mut flood = Ended(child);
        // The owner is served meanwhile: before the first of the others' heads is given up, which
        // takes 15 seconds.
        let ask = "import sys, http.client\n\
                   for _ in range(8):\n \
                   c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=10)\n \
                   c.request('GET', '/', headers={'Host': sys.argv[2]})\n \
                   print(c.getresponse().status)";
        let host = server.session_url()["http://".len()..].trim_end_matches('/').to_owned();
        let answers = ok(stage.run("python3").args(["-c", ask, &port.to_string(), &host]));
        assert_eq!(answers.lines().collect::<Vec<_>>(), ["200"; 8], "{how}");
        assert!(flood.0.try_wait().unwrap().is_none(), "{how}: the connections are gone");
    }
    server.stop();
}

#[test]
fn an_app_gets_nothing_of_the_shell_or_of_other_grains() {
    let test = "an_app_gets_nothing_of_the_shell_or_of_other_grains";
    let Some(browser) = Browser::start(test, 1280, 900, false) else { return };
    let (_stage, server) = served("The victim");
    let origin = server.field("url").split("/?").next().unwrap().to_owned();
    browser.go(&server.field("url"));
    browser.press("The victim");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    browser.leave();
    let address = browser.url();
    assert!(address.starts_with("http://spk-"), "{address}");
    // another grain of the same app attacks
    browser.go(&format!("{origin}/"));
    browser.press("New instance");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    let fails = |script: &str| {
        let value = browser.run(&format!(
            "try {{ return ['got', String(await (async () => {{ {script} }})())] }} catch (e) {{ return e.name }}"
        ));
        assert!(value.is_string(), "{script}: {value}");
    };
    fails("return parent.document.title");
    fails("return parent.location.href");
    fails("return top.document.cookie");
    fails("return parent.sessionStorage.length");
    fails(&format!(
        "return (await fetch('{origin}/api/state', {{ credentials: 'include' }})).status"
    ));
    fails(&format!(
        "return (await fetch('{origin}/api/state', {{ credentials: 'include', headers: {{ 'X-Spk-Csrf': 'x' }} }})).status"
    ));
    fails(&format!("return (await fetch('{origin}/', {{ credentials: 'include' }})).text()"));
    // blind: it is sent, with the cookie, and refused
    browser.run(&format!(
        "await fetch('{origin}/api/grains', {{ method: 'POST', mode: 'no-cors', credentials: 'include', body: '{{}}' }}).catch(() => 0)"
    ));
    // the top stays where it is
    browser.leave();
    let here = browser.url();
    browser.enter("#app-frame");
    fails(
        "top.location = 'about:blank#taken'; await new Promise((r) => setTimeout(r, 300)); throw new Error('still here')",
    );
    browser.run(
        "const a = Object.assign(document.createElement('a'), { href: 'about:blank#taken', target: '_top' }); \
         document.body.append(a); a.click()",
    );
    // the key is not where it could get to it
    let stores = browser.run("return JSON.stringify([document.cookie, {...localStorage}, location.href, document.referrer])");
    assert!(!stores.as_str().unwrap().contains(&Signed::at(&server).key), "{stores}");
    browser.run("document.cookie = 'mine=of the attacker'");
    // cookies for every domain that the browser lets it set: some, and many large ones
    let set = browser.run(
        "const p = location.hostname.split('.'); const large = 'x'.repeat(3900); \
         for (let i = 1; i < p.length; i++) { const domain = p.slice(i).join('.'); \
           document.cookie = `stolen${i}=1; path=/; max-age=99999; domain=${domain}`; \
           for (let n = 0; n < 60; n++) document.cookie = `b${i}-${n}=${large}; path=/; max-age=99999; domain=${domain}`; } \
         return document.cookie.split('; ').map((c) => c.split('=')[0]).join()",
    );
    let set = set.as_str().unwrap();
    assert!(set.contains("stolen1") && set.contains("b1-59"), "its own site takes them: {set}");
    assert!(!set.contains("stolen2"), "what is common to all sites takes none: {set}");
    // the shell in a frame of the app
    let framed = browser.run(&format!(
        "const f = Object.assign(document.createElement('iframe'), {{ src: '{origin}/' }}); \
         const loaded = new Promise((r) => {{ f.onload = r; f.onerror = r }}); document.body.append(f); await loaded; \
         try {{ return f.contentDocument === null ? 'closed' : f.contentDocument.body.innerText }} catch (e) {{ return e.name }}"
    ));
    assert!(!framed.as_str().unwrap().contains("victim"), "{framed}");
    // no session has a name in another site, where its page could set some
    let elsewhere = address.split('/').nth(2).unwrap().to_owned();
    let own = browser.run("return location.hostname.split('.')[0]");
    let name = format!("http://{}.{elsewhere}/", own.as_str().unwrap());
    assert_eq!(http::get(&name).status, 404, "{name}");
    browser.leave();
    assert_eq!(browser.url(), here, "the app navigated the top");

    browser.go(&format!("{origin}/"));
    browser.wait("document.querySelectorAll('.grain').length === 2");
    // the victim's cookies are its own
    browser.go(&address);
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#cookies')?.innerText.includes('guest=secret')");
    let cookies = browser.run("return document.querySelector('#cookies').innerText");
    for foreign in ["mine=", "stolen", "b1-"] {
        assert!(!cookies.as_str().unwrap().contains(foreign), "{cookies}");
    }
    // messages that only look as if they came from the frame
    browser.leave();
    browser.run("window.postMessage({ setTitle: 'forged' }, '*')");
    browser.run("await new Promise((r) => setTimeout(r, 200))");
    assert_eq!(
        browser.run("return document.querySelector('#page-title')"),
        serde_json::Value::Null
    );
    server.stop();
}

#[test]
fn names_and_pictures_of_packages_are_inert() {
    let test = "names_and_pictures_of_packages_are_inert";
    let Some(browser) = Browser::start(test, 1280, 900, false) else { return };
    let stage = guest::stage(Who::User);
    let title =
        "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>\x1b[31m\"'&";
    let icon = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\" onload=\"top.hacked=1\">\
                <script>top.hacked=1;parent.hacked=1;document.title='hacked'</script>\
                <foreignObject><body xmlns=\"http://www.w3.org/1999/xhtml\" onload=\"top.hacked=1\"/></foreignObject>\
                <rect width=\"8\" height=\"8\" fill=\"red\"/></svg>";
    let description = "<b onmouseover=\"window.hacked=1\">bold\x1b[1m</b>";
    guest::pack(&stage, &Package { title, version: 1, description, icon }, "hostile.spk");
    let grain_title = "</meta><script>window.hacked=1</script>\u{202e}evil\x1b]0;x\x07 {{csrf}}";
    let server = Server::start(stage.spk().args(["run", "hostile.spk", "--title", grain_title]));
    browser.go(&server.field("url"));
    browser.wait("!!document.querySelector('.grain')");
    browser.wait("document.querySelector('.card img.icon')?.naturalWidth > 0");
    let shown = browser.run("return document.body.innerText").as_str().unwrap().to_owned();
    assert!(shown.contains("<img src=x onerror="), "{shown}");
    assert!(shown.contains("<script>window.hacked=1</script>"), "{shown}");
    assert!(shown.contains("<b onmouseover="), "{shown}");
    assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown:?}");
    assert_eq!(browser.run("return document.querySelectorAll('.card img, .grain img').length"), 1);
    // the icon as a document of its own runs nothing either
    let icon = browser.run("return document.querySelector('.card img.icon').src");
    browser.press("</meta>");
    browser.wait("document.querySelector('#grain-title')?.innerText.includes('<script>')");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    browser.leave();
    browser.press("Share");
    browser.press("Make a link");
    browser.wait("!!document.querySelector('#share-url')?.value");
    assert_eq!(browser.run("return window.hacked ?? null"), serde_json::Value::Null);
    browser.screenshot("shell-hostile-names");
    browser.go(icon.as_str().unwrap());
    assert_eq!(browser.run("return window.hacked ?? null"), serde_json::Value::Null);
    assert_ne!(browser.run("return document.title"), "hacked");
    server.stop();
}
