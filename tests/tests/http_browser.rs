//! A chat in headless Chromium: two users, each in an origin of its own, in one browser.
#![allow(clippy::unwrap_used)]

use spk_tests::webdriver::Browser;
use spk_tests::{Who, http, skip, web};

#[test]
fn two_users_chat_in_two_origins() {
    let home = tempfile::tempdir().unwrap();
    let browser = match Browser::start(home.path()) {
        Ok(browser) => browser,
        Err(reason) => return skip::skip("two_users_chat_in_two_origins", &reason),
    };
    let stage = web::packed(Who::User);
    let server = web::serve(&stage, &[]);
    // The page around the app, as a person opens it; the app is in its frame.
    let enter = || {
        browser.enter_frame("#app");
        browser.run("location = '/chat'");
        browser.wait_for("return !!window.state && state.value === 'open'");
        browser.run("return location.origin").as_str().unwrap().to_owned()
    };
    let url = server.field("url");
    browser.open(&url);
    let alice_window = browser.window();
    let alice_origin = enter();
    browser.run("document.cookie = 'who=alice'; localStorage.setItem('who', 'alice')");

    let (authority, _, _) = http::split(&url);
    let bob_window = browser.new_window();
    browser.switch_to(&bob_window);
    browser.open(&format!("http://{authority}/as/bob"));
    let bob_origin = enter();
    assert_ne!(alice_origin, bob_origin);
    assert_eq!(browser.run("return document.title"), "Chat");
    // Nothing of the other user's origin can be seen.
    assert_eq!(browser.run("return document.cookie"), "");
    assert!(browser.run("return localStorage.getItem('who')").is_null());
    let reached = browser
        .run("try { return String(parent.document.body) } catch (error) { return error.name }");
    assert_eq!(reached, "SecurityError");

    let heard = |line: &str| format!("return log.innerText.split('\\n').includes('{line}')");
    browser.write("#line", "hello alice\n");
    browser.wait_for(&heard("bob: hello alice"));
    // Back to alice: she has heard it, and is heard.
    browser.switch_to(&alice_window);
    browser.enter_frame("#app");
    browser.wait_for(&heard("bob: hello alice"));
    browser.write("#line", "hello bob\n");
    browser.wait_for(&heard("alice: hello bob"));
    assert_eq!(browser.run("return document.cookie"), "who=alice");
    browser.switch_to(&bob_window);
    browser.enter_frame("#app");
    browser.wait_for(&heard("alice: hello bob"));
    drop(browser);
    server.stop();
}
