//! The shell's views at several sizes, in the light and in the dark, and without a mouse. Pictures of
//! all of them are in `target/screenshots`.
#![allow(clippy::unwrap_used)]

use spk_tests::Browser;
use spk_tests::browser::keys;
use spk_tests::guest::open;

#[test]
fn everything_works_without_a_mouse() {
    let Some((_stage, server, browser)) = open("everything_works_without_a_mouse", &[]) else {
        return;
    };
    browser.wait("!!document.querySelector('.grain')");
    let focused = |browser: &Browser| {
        browser.run(
            "const e = document.activeElement; return (e.id || e.innerText || e.type || '').trim()",
        )
    };
    let go_to = |browser: &Browser, step: &[&str], text: &str| {
        let mut seen = Vec::new();
        for _ in 0..60 {
            browser.keys(step);
            let now = focused(browser).as_str().unwrap().to_owned();
            if now.starts_with(text) {
                return;
            }
            seen.push(now);
        }
        panic!("{text} is not reached with {step:?}: {seen:?}");
    };
    let tab_to = |browser: &Browser, text: &str| go_to(browser, &[keys::TAB], text);
    let back_to = |browser: &Browser, text: &str| go_to(browser, &[keys::SHIFT, keys::TAB], text);
    // search, by its key
    browser.keys(&["/"]);
    assert_eq!(browser.run("return document.activeElement.type"), "search");
    browser.keys(&["f", "i", "r", "s", "t"]);
    browser.wait("document.querySelector('input[type=search]').value === 'first'");
    tab_to(&browser, "Rename");
    browser.keys(&[keys::ENTER]);
    browser.wait("document.activeElement.closest('dialog') !== null");
    browser.run("document.activeElement.select()");
    browser.keys(&["F", "i", "r", "s", "t", " ", "B", keys::ENTER]);
    browser.wait("document.querySelector('.grain a')?.innerText === 'First B'");
    // the focus is back where it was
    browser.wait("document.activeElement.innerText.startsWith('Rename')");
    tab_to(&browser, "Delete");
    browser.keys(&[keys::ENTER]);
    browser.wait("document.querySelectorAll('.grain').length === 0");
    browser.wait("document.activeElement.id === 'undo'");
    browser.keys(&[keys::ENTER]);
    browser.wait("document.querySelectorAll('.grain').length === 1");
    browser.wait("document.activeElement.id === 'grains'");
    tab_to(&browser, "First B");
    browser.keys(&[keys::ENTER]);
    browser.wait("!!document.querySelector('#app-frame')");
    tab_to(&browser, "user");
    browser.keys(&[keys::DOWN]);
    browser.wait("location.search.includes('user=bob')");
    tab_to(&browser, "log");
    browser.keys(&[keys::ENTER]);
    browser.wait("!!document.querySelector('#log-lines')");
    // the panels and dialogs, and back
    tab_to(&browser, "log-search");
    browser.keys(&["g", "u", "e", "s", "t"]);
    // it was started twice
    browser.wait("document.querySelectorAll('#log-lines > div').length === 2");
    back_to(&browser, "share");
    browser.keys(&[keys::ENTER]);
    browser.wait("document.activeElement.closest('dialog') !== null");
    tab_to(&browser, "make-link");
    browser.keys(&[keys::ENTER]);
    browser.wait("!!document.querySelector('#share-url')?.value");
    browser.keys(&[keys::ESCAPE]);
    browser.wait("document.activeElement.id === 'share'");
    // the powerbox
    browser.enter("#app-frame");
    browser.run(
        "parent.postMessage({ powerboxRequest: \
         { rpcId: 'p', query: ['EAZQAQEAABEBF1EEAQH/GN1RqXqYhMAAAAA'] } }, '*')",
    );
    browser.leave();
    browser.wait("document.querySelectorAll('.choices button').length === 5");
    back_to(&browser, "Carol");
    browser.keys(&[keys::ENTER]);
    browser.wait("!document.querySelector('dialog')");
    browser.enter("#app-frame");
    browser.wait("JSON.parse(document.querySelector('#reply').textContent).token.length > 0");
    browser.leave();
    // a new grain
    back_to(&browser, "☰");
    browser.keys(&[keys::ENTER]);
    browser.wait("!!document.querySelector('.card')");
    tab_to(&browser, "New instance");
    browser.keys(&[keys::ENTER]);
    browser.wait("document.querySelector('#grain-title')?.innerText.startsWith('Untitled')");
    server.stop();
}

#[test]
fn the_views_fit_phones_and_the_dark() {
    let test = "the_views_fit_phones_and_the_dark";
    let Some((_stage, server, browser)) = open(test, &["--grant", "http-api"]) else { return };
    for (name, width, height, dark) in [
        ("phone-dark", 390, 844, true),
        ("phone", 390, 844, false),
        ("dark", 1280, 900, true),
        ("desktop", 1280, 900, false),
    ] {
        browser.looks(width, height, dark);
        let seen = |view: &str| {
            browser.wait("document.documentElement.scrollWidth <= innerWidth");
            // nothing to press sticks out of the window
            let outside = "return [...document.querySelectorAll('button, a.button, select, label')]\
                .filter((e) => e.checkVisibility()).map((e) => [e.innerText, e.getBoundingClientRect()])\
                .filter(([, r]) => r.left < 0 || r.right > innerWidth + 0.5)";
            assert_eq!(browser.run(outside), serde_json::json!([]), "{view}, {name}");
            browser.is_accessible(&format!("{view}, {name}"));
            browser.screenshot(&format!("shell-{view}-{name}"));
        };
        let origin = browser.run("return location.origin");
        browser.go(&format!("{}/", origin.as_str().unwrap()));
        browser.wait("!!document.querySelector('.grain')");
        let is_dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches");
        assert_eq!(is_dark, dark);
        assert_eq!(browser.run("return innerWidth"), width);
        seen("list");
        browser.press("Rename");
        browser.wait("!!document.querySelector('dialog[open]')");
        seen("rename");
        browser.keys(&[keys::ESCAPE]);
        browser.fill("input[type=search]", "nobody");
        browser.wait("document.querySelectorAll('.empty').length === 2");
        seen("empty");
        browser.fill("input[type=search]", "");
        browser.press("First grain");
        browser.enter("#app-frame");
        browser.wait("document.querySelector('#user')?.innerText.length > 0");
        browser.leave();
        seen("grain");
        browser.press("Permissions");
        seen("permissions");
        browser.press("Permissions");
        browser.click("#log");
        browser.wait("!!document.querySelector('#log-lines')?.innerText");
        seen("log");
        browser.click("#activity");
        browser.wait("!!document.querySelector('#developer')");
        seen("activity");
        browser.click("#activity");
        browser.click("#share");
        browser.click("#make-link");
        browser.wait("!!document.querySelector('#share-url')?.value");
        seen("share");
        browser.keys(&[keys::ESCAPE]);
        browser.enter("#app-frame");
        browser.run(
            "parent.postMessage({ powerboxRequest: \
             { rpcId: 'p', query: ['EAZQAQEAABEBF1EEAQH/x80lxnnjecgAAAA'] } }, '*')",
        );
        browser.leave();
        browser.wait("document.querySelectorAll('.choices button').length === 2");
        seen("powerbox");
        browser.keys(&[keys::ESCAPE]);
    }
    server.stop();
}
