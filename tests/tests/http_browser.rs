//! A chat in headless Chromium: two users, each in an origin of its own, in one browser.
#![allow(clippy::unwrap_used)]

use spk_tests::browser::Browser;
use spk_tests::{Who, web};

#[test]
fn two_users_chat_in_two_origins() {
    let Some(browser) = Browser::start("two_users_chat_in_two_origins", 900, 700, false) else {
        return;
    };
    let stage = web::packed(Who::User);
    let server = web::serve(&stage, &[]);
    // The page around the app, as a person opens it; the app is in its frame.
    let enter = || {
        browser.enter("#app-frame");
        browser.run("location = '/chat'");
        browser.wait("!!window.state && state.value === 'open'");
        browser.run("return location.origin").as_str().unwrap().to_owned()
    };
    let heard = |line: &str| {
        browser.wait(&format!("log.innerText.split('\\n').includes('{line}')"));
    };
    let say = |line: &str| browser.keys_to("#line", &format!("{line}\u{e007}"));

    let alice = browser.tab();
    browser.go(&server.field("url"));
    browser.wait("!!document.querySelector('#app-frame')");
    let address = browser.url();
    let alice_origin = enter();
    browser.run("document.cookie = 'who=alice'; localStorage.setItem('who', 'alice')");

    let bob = browser.new_tab();
    browser.go(&address);
    browser.choose("#user", "bob");
    browser.wait("location.search.includes('user=bob')");
    let bob_origin = enter();
    assert_ne!(alice_origin, bob_origin);
    // Nothing of the other origin can be seen, nor of the page around the app.
    assert_eq!(browser.run("return document.cookie"), "");
    assert!(browser.run("return localStorage.getItem('who')").is_null());
    let reached = browser
        .run("try { return String(parent.document.body) } catch (error) { return error.name }");
    assert_eq!(reached, "SecurityError");

    say("hello alice");
    heard("bob: hello alice");
    browser.switch(&alice);
    browser.enter("#app-frame");
    heard("bob: hello alice");
    say("hello bob");
    heard("alice: hello bob");
    assert_eq!(browser.run("return document.cookie"), "who=alice");
    browser.switch(&bob);
    browser.enter("#app-frame");
    heard("alice: hello bob");
    drop(browser);
    server.stop();
}
