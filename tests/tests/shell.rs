//! The shell in a real browser: what the page lists, what can be done there, and how an app looks
//! within it. Pictures of the views are in `target/screenshots`.
#![allow(clippy::unwrap_used)]

use std::fs;

use spk_tests::bins::ok;
use spk_tests::browser::keys;
use spk_tests::guest::{self, PLAIN, Package, open, say};
use spk_tests::{Browser, Server, Stage, Who, http};

/// Puts a file where the browser, another account, can read it.
fn readable(stage: &Stage, name: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = stage.work().join(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn packages_and_grains_are_listed_and_worked_with() {
    let Some((stage, server, browser)) =
        open("packages_and_grains_are_listed_and_worked_with", &[])
    else {
        return;
    };
    browser.wait("document.querySelector('.grain')?.innerText.includes('First grain')");
    browser.wait("/running/.test(document.querySelector('.grain .state').innerText)");
    browser.wait("/\\d (B|KiB|MiB) /.test(document.querySelector('.card').innerText + ' ')");
    browser.wait("document.querySelector('.card img.icon')?.naturalWidth > 0");
    let card = browser.run("return document.querySelector('.card').innerText");
    for expected in ["Guest", "A chat", "version", "author not signed", "New instance"] {
        assert!(card.as_str().unwrap().contains(expected), "{expected}: {card}");
    }
    browser.wait(
        "/^First grain\\s+Guest · version 1 · used just now · [\\d.]+ .?i?B\\s+running/\
         .test(document.querySelector('.grain').innerText)",
    );
    // everything comes out of the binary, and the page's policy refused nothing
    let foreign = "return performance.getEntriesByType('resource').map((e) => e.name)\
                   .filter((name) => !name.startsWith(location.origin + '/'))";
    assert_eq!(browser.run(foreign), serde_json::json!([]));
    assert_eq!(browser.console(), Vec::<String>::new());
    browser.is_accessible("the list");

    // a new grain, by the package's action; it opens
    browser.press("New instance");
    browser.wait("!!document.querySelector('#app-frame')");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText === 'Alice Dev Admin'");
    say(&browser, "kept");
    browser.leave();

    // its backup, downloaded from the bar
    browser.click("#backup");
    let backup = browser.downloaded("Untitled Guest instance.zip");
    browser.wait("/was made/.test(document.querySelector('.notice')?.innerText)");
    let listing = ok(stage.run("unzip").arg("-l").arg(backup_copy(&stage, &backup)));
    assert!(listing.contains("data/messages"), "{listing}");

    // renamed, found by searching, stopped
    browser.click("a[href='/']");
    browser.press("Rename Untitled");
    browser.fill("dialog input", "Second <b>grain</b>");
    browser.is_accessible("renaming");
    browser.press("Rename");
    browser.wait("[...document.querySelectorAll('.grain')].some((g) => g.innerText.includes('Second <b>grain</b>'))");
    browser.screenshot("shell-list");
    browser.fill("input[type=search]", "second");
    browser.wait("document.querySelectorAll('.grain').length === 1");
    browser.wait("document.querySelectorAll('.card').length === 0");
    browser.wait("document.querySelector('.empty')?.innerText === 'No package matches.'");
    browser.fill("input[type=search]", "guest");
    browser.wait("document.querySelectorAll('.card').length === 1");
    browser.wait("document.querySelectorAll('.grain').length === 2");
    browser.fill("input[type=search]", "second");
    browser.wait("document.querySelectorAll('.grain').length === 1");
    browser.press("Stop");
    browser.wait("document.querySelector('.grain .state').innerText === 'stopped'");
    let id = browser.run("return document.querySelector('.grain a').pathname.split('/').pop()");
    let listed = ok(stage.spk().args(["grain", "list"]));
    assert!(listed.contains(id.as_str().unwrap()) && listed.contains("Second <b>grain</b>"));

    // deleted, and back again: the very same
    browser.press("Delete");
    browser.wait("document.querySelectorAll('.grain').length === 0");
    browser.is_accessible("after a deletion");
    browser.click("#undo");
    browser.wait("document.querySelectorAll('.grain').length === 1");
    let same = browser.run("return document.querySelector('.grain a').pathname.split('/').pop()");
    assert_eq!(same, id);

    // deleted for good; its backup is uploaded by the button
    browser.press("Delete");
    browser.wait("document.querySelectorAll('.grain').length === 0");
    browser.keys_to("#upload", backup.to_str().unwrap());
    browser.wait("/restored/.test(document.querySelector('.notice')?.innerText)");
    browser.press("Open");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#messages')?.innerText.includes('alice: kept')");
    browser.leave();
    server.stop();
    // the end of spk carried the deletion out
    assert!(!ok(stage.spk().args(["grain", "list"])).contains(id.as_str().unwrap()));
}

/// The browser's file, where the stage's account can read it.
fn backup_copy(stage: &Stage, path: &std::path::Path) -> std::path::PathBuf {
    let copy = stage.work().join("copy.zip");
    fs::copy(path, &copy).unwrap();
    stage.who.own(&stage.work());
    copy
}

#[test]
fn uploads_upgrades_and_errors_in_words() {
    let Some((stage, server, browser)) = open("uploads_upgrades_and_errors_in_words", &[]) else {
        return;
    };
    let next = Package { version: 2, title: "Guest two", ..PLAIN };
    guest::pack(&stage, &next, "next.spk");
    // its name is text, too
    let nonsense = "<img src=x onerror=window.hacked=1>.spk";
    stage.write(nonsense, "this is no package");
    browser.wait("!!document.querySelector('.grain')");
    browser.keys_to("#upload", &readable(&stage, nonsense));
    browser.wait(&format!(
        "document.querySelector('.trouble')?.innerText.includes('{nonsense} is neither a package')"
    ));
    assert_eq!(browser.run("return window.hacked ?? null"), serde_json::Value::Null);
    browser.is_accessible("an error");
    browser.screenshot("shell-error");

    // a damaged package: the words of the verification, about the person's file
    let mut damaged = fs::read(stage.work().join("next.spk")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    stage.write("damaged.spk", damaged);
    browser.keys_to("#upload", &readable(&stage, "damaged.spk"));
    browser.wait("/damaged.spk/.test(document.querySelector('.trouble')?.innerText)");
    assert_eq!(browser.run("return document.querySelectorAll('.card').length"), 1);

    // dropped anywhere on the page
    let file = readable(&stage, "next.spk");
    browser.run("window.input = Object.assign(document.createElement('input'), { type: 'file', id: 'test' }); \
                 document.body.append(window.input)");
    browser.keys_to("#test", &file);
    browser.run(
        "const transfer = new DataTransfer(); transfer.items.add(window.input.files[0]); \
         window.input.remove(); \
         const fire = (type) => document.body.dispatchEvent(new DragEvent(type, \
           { bubbles: true, cancelable: true, dataTransfer: transfer })); \
         fire('dragover'); fire('drop');",
    );
    browser.wait("/added/.test(document.querySelector('.notice')?.innerText)");
    browser.wait("document.querySelectorAll('.card').length === 2");
    browser.press("Upgrade to 2");
    browser.wait("/runs version 2/.test(document.querySelector('.notice')?.innerText)");
    browser.press("First grain");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText === 'Alice Dev Admin'");
    browser.leave();
    let shown = ok(stage.spk().args(["grain", "list"]));
    assert!(shown.contains("v2"), "{shown}");

    // an app that does not start says so where the app would be
    browser.go(&server.field("url"));
    browser.wait("!!document.querySelector('.grain')");
    let state = stage.state();
    let root = fs::read_dir(state.join("packages")).unwrap();
    for package in root.flatten() {
        let program = package.path().join("root/spk-guest");
        fs::remove_file(&program).unwrap();
    }
    browser.press("New instance");
    browser.wait("document.querySelector('.trouble')?.innerText.length > 10");
    browser.screenshot("shell-app-does-not-start");
    server.stop();
}

#[test]
fn users_roles_and_links_side_by_side() {
    let Some((_stage, server, browser)) = open("users_roles_and_links_side_by_side", &[]) else {
        return;
    };
    browser.press("First grain");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#permissions')?.innerText === 'read,say'");
    browser.leave();
    // the page has no cookie, and its address not the key that it came with
    assert_eq!(browser.run("return document.cookie"), "");
    assert!(!browser.url().contains("token"), "{}", browser.url());
    let first = browser.tab();
    let address = browser.url();

    let users =
        browser.run("return [...document.querySelector('#user').options].map((o) => o.value)");
    assert_eq!(users, serde_json::json!(["alice", "bob", "carol", "dave", "eve", "anonymous"]));
    // the app in a tab of its own
    browser.click("#own-tab");
    browser.switch_to_other(&[&first]);
    browser.wait("document.querySelector('#user')?.innerText === 'Alice Dev Admin'");
    assert_eq!(browser.run("return window.top === window && opener === null"), true);
    browser.close_tab();
    browser.switch(&first);

    // Bob in another tab, who begins with the app's default role
    browser.new_tab();
    browser.go(&address);
    browser.choose("#user", "bob");
    browser.wait("location.search.includes('user=bob')");
    browser.wait("document.querySelector('#role')?.selectedOptions[0].text === 'listener'");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText === 'Bob Dev User'");
    browser.wait("document.querySelector('#permissions').innerText === 'read'");
    browser.leave();
    browser.choose("#role", "0");
    browser.wait("location.search.includes('role=0')");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#permissions')?.innerText === 'read,say'");
    say(&browser, "hello from bob");
    browser.leave();
    let second = browser.tab();
    browser.switch(&first);
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#messages').innerText.includes('bob: hello from bob')");
    say(&browser, "hello from alice");
    browser.leave();
    browser.is_accessible("a grain");
    browser.screenshot("shell-grain");
    browser.switch(&second);
    browser.enter("#app-frame");
    browser
        .wait("document.querySelector('#messages').innerText.includes('alice: hello from alice')");
    browser.leave();
    // a reload changes nothing
    browser.go(&browser.url());
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText === 'Bob Dev User'");
    browser.leave();

    // single permissions
    browser.press("Permissions");
    browser.click("input[name=say]");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#permissions')?.innerText === 'read'");
    browser.leave();

    // the log, live, coloured and searchable; what is used
    browser.click("#log");
    browser.wait("document.querySelector('#log-lines')?.innerText.includes('the guest is up on <b>8000</b>')");
    browser.wait("!!document.querySelector('#log-lines .ansi-green')");
    browser.fill("#log-search", "hello from");
    browser.wait("document.querySelectorAll('#log-lines > div').length === 2");
    browser.wait(
        "/^[\\d.]+ MiB · \\d+ % · \\d+ process(es)? · [\\d.]+ .?i?B on disk$/\
         .test(document.querySelector('#usage')?.innerText)",
    );
    browser.is_accessible("the log");
    browser.screenshot("shell-log");

    // restarted: the data stays
    browser.click("#restart");
    browser.wait("/started again/.test(document.querySelector('.notice')?.innerText)");
    browser.enter("#app-frame");
    browser
        .wait("document.querySelector('#messages')?.innerText.includes('alice: hello from alice')");
    browser.leave();

    // a link for a role, opened by somebody who is not signed in
    browser.click("#share");
    browser.choose("#share-role", "1");
    browser.is_accessible("sharing");
    browser.click("#make-link");
    let link = browser.wait("document.querySelector('#share-url')?.value");
    browser.screenshot("shell-share");
    let visitor = Browser::start("a visitor", 1000, 700, false).unwrap();
    visitor.go(link.as_str().unwrap());
    visitor.choose("#user", "anonymous");
    visitor.enter("#app-frame");
    visitor.wait("document.querySelector('#user')?.innerText === 'Anonymous User'");
    visitor.wait("document.querySelector('#permissions')?.innerText === 'read'");
    visitor.leave();
    visitor.is_accessible("a shared grain");
    visitor.screenshot("shell-shared");
    let origin = server.field("url");
    let origin = origin.split("/?").next().unwrap();
    visitor.go(&format!("{origin}/"));
    visitor.wait("/open the whole address/.test(document.body.innerText)");
    assert_eq!(visitor.run("return document.querySelectorAll('.grain').length"), 0);
    drop(visitor);
    server.stop();
}

#[test]
fn a_page_of_an_earlier_run_says_what_to_do_and_goes_on() {
    let test = "a_page_of_an_earlier_run_says_what_to_do_and_goes_on";
    let Some((stage, server, browser)) = open(test, &[]) else { return };
    let list = browser.tab();
    browser.press("First grain");
    browser.wait("!!document.querySelector('#app-frame')");
    let (address, port) = (browser.url(), http::split(&server.field("url")).1);
    browser.go(&server.field("url"));
    browser.wait("!!document.querySelector('.grain')");
    browser.new_tab();
    browser.go(&address);
    browser.wait("!!document.querySelector('#app-frame')");
    let grain = browser.tab();
    server.stop();
    browser.wait("/spk has ended/.test(document.body.innerText)");
    let server = Server::start_on(stage.spk().args(["run", "guest.spk"]), port);
    for tab in [&list, &grain] {
        browser.switch(tab);
        browser.wait("/open the whole address/.test(document.body.innerText)");
        browser.is_accessible("a page of an earlier run");
    }
    // the new key comes with another tab
    browser.new_tab();
    browser.go(&server.field("url"));
    browser.wait("document.querySelectorAll('.grain').length === 2");
    browser.switch(&list);
    browser.wait("!/open the whole address/.test(document.body.innerText)");
    // which a page on a grain's site asks the first one for
    browser.switch(&grain);
    browser.go(&address);
    browser.wait("!!document.querySelector('#app-frame')");
    assert_eq!(browser.url(), address);
    server.stop();
}

#[test]
fn the_app_s_page_talks_to_the_page_around_it() {
    let Some((_stage, server, browser)) = open("the_app_s_page_talks_to_the_page_around_it", &[])
    else {
        return;
    };
    browser.press("First grain");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    browser.run("parent.postMessage({ setTitle: 'Chapter <i>1</i>\\u001b[31m' }, '*')");
    browser.run("parent.postMessage({ setPath: '/deep/down?x=1&y' }, '*')");
    browser.run("parent.postMessage({ getGrainTitle: {}, rpcId: 'r1', subscribe: true }, '*')");
    browser.wait("document.querySelector('#reply').innerText === '{\"rpcId\":\"r1\",\"grainTitle\":\"First grain\"}'");
    browser.leave();
    browser
        .wait("document.querySelector('#page-title')?.textContent.startsWith('Chapter <i>1</i>')");
    browser.wait("document.title.startsWith('Chapter')");
    browser.wait("location.hash === '#/deep/down?x=1&y'");
    // paths that are none are not taken
    browser.enter("#app-frame");
    browser.run("parent.postMessage({ setPath: 'https://evil.example/' }, '*')");
    browser.run("parent.postMessage({ startSharing: {} }, '*')");
    browser.leave();
    browser.wait("document.querySelector('dialog[open]')?.innerText.includes('Share by link')");
    browser.keys(&[keys::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    assert!(browser.url().ends_with("#/deep/down?x=1&y"), "{}", browser.url());
    // the path is where a reload leads
    browser.go("about:blank");
    let url = server.field("url");
    browser.go(&url);
    browser.wait("!!document.querySelector('.grain a')");
    let grain = browser.run("return document.querySelector('.grain a').href");
    browser.go(&format!("{}#/deep/down?x=1&y", grain.as_str().unwrap()));
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#path')?.innerText === '/deep/down?x=1&y'");
    browser.leave();
    server.stop();
}

#[test]
fn a_development_session_is_seen_as_it_goes() {
    let test = "a_development_session_is_seen_as_it_goes";
    let Some(browser) = Browser::start(test, 1400, 900, false) else { return };
    let stage = guest::stage(Who::User);
    guest::define(&stage, &PLAIN);
    stage.write("sandstorm-files.list", "");
    let odd = "<img src=x onerror=top.hacked=1>\x1b[31m";
    stage.write(&format!("odd/{odd}"), "odd");
    let server = Server::start(stage.spk().arg("dev"));
    browser.go(&server.field("url"));
    browser.press("Guest");
    // new files, by whom and why
    browser.wait("[...document.querySelectorAll('#new-files li')].some((li) => /spk-guest/.test(li.innerText) && /executed|read/.test(li.innerText))");
    browser.wait("document.querySelector('#missing')?.textContent.includes('lacking.txt')");
    browser.wait("document.querySelector('#writes')?.innerText.includes('outside.txt')");
    browser.wait("/by .*spk-guest/.test(document.querySelector('#writes li')?.innerText)");
    // names of files are text
    browser.wait("[...document.querySelectorAll('#new-files code')].some((c) => c.textContent.startsWith('odd/<img src=x onerror=top.hacked=1>'))");
    assert_eq!(browser.run("return document.querySelectorAll('#developer img').length"), 0);
    assert_eq!(browser.run("return document.body.innerText.includes('\x1b')"), false);
    // found by searching
    browser.fill("#path-search", "OUTSIDE");
    browser.wait("document.querySelectorAll('#developer li code').length > 0");
    browser.wait("document.querySelector('#new-files .count').innerText === '0'");
    browser.fill("#path-search", "");
    // denied system calls
    browser
        .wait("/chroot.*EPERM.*by .*spk-guest/.test(document.querySelector('#denied')?.innerText)");
    browser.wait("document.querySelector('#summary')?.innerText.includes('sandstorm-files.list')");
    // dropped headers: a browser's own
    browser.wait("Number(document.querySelector('#lost .count')?.innerText) > 0");
    // a file that the app used changes
    let program = stage.work().join("spk-guest");
    let bytes = fs::read(&program).unwrap();
    fs::remove_file(&program).unwrap();
    fs::write(&program, bytes).unwrap();
    spk_tests::bins::ok(std::process::Command::new("chmod").arg("755").arg(&program));
    browser.wait("document.querySelector('#changed')?.innerText.includes('1')");
    browser.press("Restart app");
    browser.wait("/started again/.test(document.querySelector('.notice')?.innerText)");
    for (name, width, height, dark) in [
        ("phone", 390, 844, false),
        ("phone-dark", 390, 844, true),
        ("dark", 1280, 900, true),
        ("desktop", 1280, 900, false),
    ] {
        browser.looks(width, height, dark);
        browser.wait("document.documentElement.scrollWidth <= innerWidth");
        browser.is_accessible(&format!("a development session, {name}"));
        browser.screenshot(&format!("shell-development-{name}"));
    }
    server.stop();
    // the summary stays on the page
    browser.wait("/paths were used/.test(document.querySelector('.trouble')?.innerText)");
    browser
        .wait("/1 path could not be written/.test(document.querySelector('.trouble')?.innerText)");
    assert_eq!(browser.run("return window.hacked ?? null"), serde_json::Value::Null);
    browser.screenshot("shell-development-ended");
    let list = fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap();
    assert!(list.contains("spk-guest"), "{list}");
}
