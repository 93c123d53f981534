//! A chat in headless Chromium: two users, each at an origin of their own, on the app's own pages.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use spk_tests::{Browser, Who, http, web};

/// What the page shows of the conversation.
const LINES: &str = "[...document.querySelectorAll('#log li')].map((item) => item.textContent)";

fn say(browser: &Browser, text: &str) {
    browser.fill("#line", text);
    browser.run("form.requestSubmit()");
}

fn hears(browser: &Browser, lines: &[&str]) {
    browser.wait(&format!("JSON.stringify({LINES}) === {:?}", json!(lines).to_string()));
}

/// Keeps a cookie and an item in the page's storage.
fn keep(browser: &Browser, who: &str) {
    browser.run(&format!(
        "document.cookie = 'who={who}; path=/'; localStorage.setItem('who', '{who}')"
    ));
}

#[test]
fn two_users_chat_in_two_origins() {
    let Some(browser) = Browser::start("two_users_chat_in_two_origins", 1000, 700, false) else {
        return;
    };
    let stage = web::packed(Who::User);
    let server = web::serve(&stage, &["--idle", "0"]);
    let alice = server.session_url();
    let question = json!({ "ask": "session", "user": "bob" });
    let bob = stage.ask(&server.field("grainId"), &question);
    let bob = bob["url"].as_str().unwrap().to_owned();
    assert_ne!(http::split(&alice).0, http::split(&bob).0);

    browser.go(&http::join(&alice, "chat"));
    browser.wait("state.value === 'open'");
    keep(&browser, "alice");
    let first = browser.tab();
    browser.new_tab();
    browser.go(&http::join(&bob, "chat"));
    browser.wait("state.value === 'open'");
    let second = browser.tab();
    // Nothing of Alice's is at Bob's origin.
    assert_eq!(browser.run("return document.cookie + localStorage.length"), "0");
    keep(&browser, "bob");

    say(&browser, "hello, it is bob");
    hears(&browser, &["bob: hello, it is bob"]);
    browser.switch(&first);
    hears(&browser, &["bob: hello, it is bob"]);
    say(&browser, "h\u{e9}llo bob");
    let both = ["bob: hello, it is bob", "alice: h\u{e9}llo bob"];
    hears(&browser, &both);
    assert_eq!(
        browser.run("return document.cookie + localStorage.getItem('who')"),
        "who=alicealice"
    );
    browser.switch(&second);
    hears(&browser, &both);
    assert_eq!(browser.run("return document.cookie + localStorage.getItem('who')"), "who=bobbob");

    // Nor can one page reach the other: not by a request, not by a WebSocket of the other's.
    let fetched = format!(
        "return fetch({:?}, {{ method: 'POST', credentials: 'include' }}).then(() => 'reached', () => 'refused')",
        http::join(&alice, "from-bob")
    );
    assert_eq!(browser.run(&fetched), "refused");
    let socket = format!(
        "return new Promise((done) => {{ const socket = new WebSocket({:?}); \
         socket.onopen = () => done('reached'); socket.onerror = () => done('refused'); }})",
        http::join(&alice, "chat/socket").replacen("http", "ws", 1)
    );
    assert_eq!(browser.run(&socket), "refused");
    assert_eq!(http::get(&http::join(&alice, "seen?/from-bob")).text(), "0");

    // The end of the app's host is seen by the pages.
    server.stop();
    browser.wait("state.value === 'closed'");
    browser.switch(&first);
    browser.wait("state.value === 'closed'");
}
