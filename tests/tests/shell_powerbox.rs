//! What an app's page asks the page around it for: things from the powerbox, and templates with a
//! token in them (http-bridge §7.13, §7.14 and §8), from the message to the use.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use spk_tests::bins::ok;
use spk_tests::browser::keys;
use spk_tests::guest::{open, say};
use spk_tests::{Browser, http};

/// `PowerboxDescriptor(tags = [(id = …)])`, packed, in base64, as pages send it: an `ApiSession`.
const API: &str = "EAZQAQEAABEBF1EEAQH/x80lxnnjecgAAAA";
/// An `Identity`.
const IDENTITY: &str = "EAZQAQEAABEBF1EEAQH/GN1RqXqYhMAAAAA";
/// Something that nobody has.
const NOTHING: &str = "EAZQAQEAABEBF1EEAQH/iHdmVUQzIhEAAAA";

/// Sends a message from the app's page. The frame is entered, and left again.
fn send(browser: &Browser, message: &Value) {
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    browser.run("document.querySelector('#reply').textContent = ''");
    browser.run(&format!("parent.postMessage({message}, '*')"));
    browser.leave();
}

/// What the app's page got for an answer.
fn reply(browser: &Browser) -> Value {
    browser.enter("#app-frame");
    let text = browser.wait("document.querySelector('#reply').textContent");
    browser.leave();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Asks for something, waits for the dialog and gives what can be chosen.
fn request(browser: &Browser, query: &str) -> String {
    let label = json!({ "defaultText": "a <b>friend</b>" });
    let request = json!({ "rpcId": "p", "query": [query], "saveLabel": label });
    send(browser, &json!({ "powerboxRequest": request }));
    browser.wait("document.querySelector('dialog[open]')?.innerText.includes('a <b>friend</b>')");
    browser.wait("!document.querySelector('dialog[open]').innerText.includes('Looking for')");
    browser.run("return document.querySelector('dialog').innerText").as_str().unwrap().to_owned()
}

/// Has the app make a capability of the token that its page got; its name in the app.
fn claim(browser: &Browser, answer: &Value) -> String {
    assert_eq!(answer["rpcId"], "p", "{answer}");
    assert!(answer["descriptor"].is_string(), "{answer}");
    let text = post(browser, "/claim", answer["token"].as_str().expect("a token"));
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    let claimed: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}"));
    claimed["cap"].as_str().unwrap().to_owned()
}

/// Has the app ask something of itself.
fn post(browser: &Browser, path: &str, body: &str) -> String {
    browser.enter("#app-frame");
    let script = format!(
        "return await (await fetch({}, {{ method: 'POST', body: {} }})).text()",
        json!(path),
        json!(body)
    );
    let text = browser.run(&script);
    browser.leave();
    text.as_str().unwrap().to_owned()
}

/// Opens a grain from the list.
fn open_grain(browser: &Browser, title: &str) {
    let origin = browser.run("return location.origin");
    browser.go(&format!("{}/", origin.as_str().unwrap()));
    browser.press(title);
    browser.wait("!!document.querySelector('#app-frame')");
}

#[test]
fn the_powerbox_grants_people_test_objects_and_what_other_grains_have() {
    let test = "the_powerbox_grants_people_test_objects_and_what_other_grains_have";
    let Some((stage, server, browser)) = open(test, &["--grant", "http-api"]) else { return };
    browser.press("First grain");
    browser.enter("#app-frame");
    say(&browser, "said in the first");
    browser.leave();
    // another grain of the same package asks
    open_grain(&browser, "New instance");
    browser.enter("#app-frame");
    say(&browser, "said in the second");
    browser.leave();

    // an object for tests
    let choices = request(&browser, API);
    for expected in ["answers with what it was asked", "First grain", "Untitled Guest instance"] {
        assert!(choices.contains(expected), "{expected}: {choices}");
    }
    browser.is_accessible("the powerbox");
    browser.screenshot("shell-powerbox");
    browser.press("an HTTP API");
    let echo = claim(&browser, &reply(&browser));
    let used = post(&browser, "/use", &echo);
    assert!(used.contains("\"path\":\"/messages\""), "{used}");

    // what the first grain offers, chosen on a page of its app
    request(&browser, API);
    browser.press("First grain");
    choose_messages(&browser, true);
    let other = claim(&browser, &reply(&browser));
    let used = post(&browser, "/use", &other);
    assert!(used.contains("alice: said in the first"), "{used}");

    // what this one offers itself
    request(&browser, API);
    browser.press("Untitled Guest instance");
    choose_messages(&browser, false);
    let own = claim(&browser, &reply(&browser));
    assert!(post(&browser, "/use", &own).contains("alice: said in the second"));

    // a person, who is claimed as the other things are
    let choices = request(&browser, IDENTITY);
    assert!(choices.contains("Bob Dev User") && !choices.contains("Anonymous"), "{choices}");
    browser.press("Bob Dev User");
    let bob = claim(&browser, &reply(&browser));
    assert!(![&echo, &other, &own].contains(&&bob));

    // nothing fits; the person says no
    let choices = request(&browser, NOTHING);
    assert!(choices.contains("Nothing here fits"), "{choices}");
    browser.keys(&[keys::ESCAPE]);
    assert_eq!(reply(&browser), json!({ "rpcId": "p", "canceled": true }));
    // what is no query is an error, for the app and for the person
    send(&browser, &json!({ "powerboxRequest": { "rpcId": "q", "query": "x" } }));
    assert!(reply(&browser)["error"].as_str().unwrap().contains("list of packed descriptors"));
    send(&browser, &json!({ "powerboxRequest": { "rpcId": "q", "query": ["!"] } }));
    browser
        .wait("/not a powerbox query/.test(document.querySelector('dialog .trouble')?.innerText)");
    browser.press("Cancel");
    assert!(reply(&browser)["error"].as_str().unwrap().contains("not a powerbox query"));

    // what was kept outlives both apps: the asking one is started again, the other one, too
    let second = browser.run("return location.pathname.split('/').pop()");
    open_grain(&browser, "First grain");
    browser.click("#restart");
    browser.wait("/started again/.test(document.querySelector('.notice')?.innerText)");
    ok(stage.spk().args(["grain", "stop", second.as_str().unwrap()]));
    open_grain(&browser, "Untitled Guest");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#messages')?.innerText.includes('in the second')");
    browser.leave();
    let used = post(&browser, "/use", &other);
    assert!(used.contains("alice: said in the first"), "{used}");
    server.stop();
}

/// Chooses on the page of the app that offers.
fn choose_messages(browser: &Browser, picture: bool) {
    browser.wait("!!document.querySelector('dialog #chooser')");
    browser.enter("#chooser");
    browser.wait("document.querySelector('button')?.innerText === 'Messages'");
    browser.leave();
    if picture {
        browser.is_accessible("an app's own choice");
        browser.screenshot("shell-powerbox-chooser");
    }
    browser.enter("#chooser");
    browser.click("button");
    browser.leave();
    browser.wait("!document.querySelector('dialog')");
}

#[test]
fn every_request_has_its_turn_and_its_answer() {
    let test = "every_request_has_its_turn_and_its_answer";
    let Some((_stage, server, browser)) = open(test, &["--grant", "http-api"]) else { return };
    browser.press("First grain");
    let ask = |rpc_id: &str, query: Value, label: &str| {
        let label = json!({ "defaultText": label });
        let mut request = json!({ "rpcId": rpc_id, "saveLabel": label });
        if !query.is_null() {
            request["query"] = query;
        }
        browser.run(&format!("parent.postMessage({}, '*')", json!({ "powerboxRequest": request })));
    };
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText.length > 0");
    browser.run("window.got = []; addEventListener('message', (e) => got.push(e.data))");
    ask("1", json!([API]), "the first");
    browser.leave();
    browser.wait("/the first/.test(document.querySelector('dialog[open]')?.innerText)");
    browser.wait("document.querySelectorAll('.choices button').length === 2");
    let before =
        browser.run("window.seen = document.querySelector('dialog'); return seen.innerText");
    // others ask meanwhile, more than wait: what the person looks at stays what it is
    browser.enter("#app-frame");
    ask("2", json!([IDENTITY]), "the second");
    ask("3", Value::Null, "without a query");
    for more in 4..=10 {
        ask(&more.to_string(), json!([API]), "the rest");
    }
    browser.wait("got.length === 1");
    assert_eq!(browser.run("return got"), json!([{ "rpcId": "10", "canceled": true }]));
    browser.leave();
    assert_eq!(browser.run("return document.querySelector('dialog').innerText"), before);
    assert_eq!(browser.run("return document.querySelector('dialog') === seen"), true);
    browser.press("an HTTP API");
    // each in its turn
    browser.wait("/the second/.test(document.querySelector('dialog[open]')?.innerText)");
    browser.press("Bob Dev User");
    browser.wait("/without a query/.test(document.querySelector('dialog[open]')?.innerText)");
    browser.wait("/Nothing here fits/.test(document.querySelector('dialog[open]')?.innerText)");
    browser.press("Cancel");
    for _ in 4..10 {
        browser.wait("document.querySelectorAll('.choices button').length === 2");
        browser.press("Cancel");
    }
    browser.wait("!document.querySelector('dialog')");
    browser.enter("#app-frame");
    browser.wait("got.length === 10");
    let order = browser.run("return got.map((e) => e.rpcId).join()");
    assert_eq!(order, "10,1,2,3,4,5,6,7,8,9");
    assert_eq!(browser.run("return got[1].token.length > 0 && got[2].token.length > 0"), true);
    assert_eq!(browser.run("return got.slice(3).every((e) => e.canceled === true)"), true);
    browser.leave();
    server.stop();
}

#[test]
fn a_user_without_the_permission_is_offered_nothing_of_it() {
    let test = "a_user_without_the_permission_is_offered_nothing_of_it";
    let Some((_stage, server, browser)) = open(test, &[]) else { return };
    browser.press("First grain");
    browser.choose("#user", "bob");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#user')?.innerText === 'Bob Dev User'");
    browser.leave();
    browser.press("Permissions");
    browser.click("input[name=read]");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('#permissions')?.innerText === ''");
    browser.leave();
    // Bob asks as Bob: an answer to him requires what he does not have any more
    request(&browser, IDENTITY);
    browser.press("Carol Dev User");
    let answer = reply(&browser);
    let refused = post(&browser, "/claim", answer["token"].as_str().unwrap());
    assert!(refused.contains("does not have the permissions"), "{refused}");
    server.stop();
}

#[test]
fn an_offer_template_shows_a_token_that_works_and_the_app_cannot_read() {
    let test = "an_offer_template_shows_a_token_that_works_and_the_app_cannot_read";
    let Some((_stage, server, browser)) = open(test, &[]) else { return };
    browser.press("First grain");
    browser.enter("#app-frame");
    say(&browser, "for programs");
    browser.leave();
    // in both kinds of grain: the one that spk was started for, and one made here
    check_template(&browser, "for programs", "first-grain", "read", &json!({ "roleId": 1 }));
    open_grain(&browser, "New instance");
    browser.enter("#app-frame");
    say(&browser, "for others");
    browser.leave();
    let all = json!({ "allAccess": null, "removePermissions": [true, false] });
    check_template(&browser, "for others", "untitled-guest-instance", "say", &all);
    // nonsense is an error
    for (template, more) in [(json!(3), json!({})), (json!("x"), json!({ "boss": null }))] {
        let ask = json!({ "rpcId": "t", "template": template, "roleAssignment": more });
        send(&browser, &json!({ "renderTemplate": ask }));
        let answer = reply(&browser);
        assert!(answer["error"].is_string() && answer["rpcId"] == "t", "{answer}");
    }
    server.stop();
}

/// Asks for a template with this role, and uses its token as a program would.
fn check_template(browser: &Browser, said: &str, slug: &str, held: &str, role: &Value) {
    let template = "token=$API_TOKEN host=$API_HOST slug=$GRAIN_TITLE_SLUG <b>text</b>";
    let ask = json!({
        "rpcId": "t", "template": template, "petname": "a program", "roleAssignment": role,
        "clipboardButton": "right", "clientapp": "guest", "style": { "color": "#007700" },
        "unauthenticated": { "resources": { "/hello": { "type": "text/plain", "body": "hello" } } },
    });
    send(browser, &json!({ "renderTemplate": ask }));
    let answer = reply(browser);
    let uri = answer["uri"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(answer.as_object().unwrap().len(), 2, "no token for the app's page: {answer}");
    browser.enter("#app-frame");
    browser.run(&format!(
        "document.body.append(Object.assign(document.createElement('iframe'), \
         {{ id: 'offer', src: {}, height: 200, width: 900 }}))",
        json!(uri)
    ));
    browser.enter("#offer");
    browser.wait("document.querySelector('#offer')?.textContent.includes('token=')");
    let text = browser.run("return document.querySelector('#offer').textContent");
    let text = text.as_str().unwrap();
    assert!(text.contains("<b>text</b>"), "{text}");
    let value = |name: &str| {
        let rest = text.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{text}"));
        rest.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(value("slug"), slug);
    let (token, host) = (value("token"), value("host"));
    let link = browser.run("return document.querySelector('#open').href");
    assert_eq!(link, format!("clientapp-guest:http://{host}#{token}"));
    assert_eq!(
        browser.run("return getComputedStyle(document.querySelector('#offer')).color"),
        "rgb(0, 119, 0)"
    );
    browser.wait("document.querySelector('#copy').offsetHeight > 0");
    // while it is shown, it keeps the token good
    browser.wait(&format!(
        "performance.getEntriesByType('resource').some((e) => e.name === 'http://{host}/' && e.responseStatus === 200)"
    ));
    // the app frames it and cannot look inside
    browser.leave();
    browser.screenshot(&format!("shell-offer-{slug}"));
    browser.enter("#app-frame");
    let inside = browser.run("return document.querySelector('#offer').contentDocument === null");
    assert_eq!(inside, true);
    browser.leave();

    let bearer = format!("Bearer {token}");
    let get = |path: &str, headers: &[(&str, &str)]| {
        http::request("GET", &format!("http://{host}{path}"), headers, b"")
    };
    let with = [("Authorization", bearer.as_str())];
    let messages = get("/messages", &with);
    assert_eq!(messages.status, 200, "{messages:?}");
    assert!(messages.text().contains(said), "{}", messages.text());
    let page = get("/page", &with).text();
    assert!(page.contains("Alice Dev Admin"), "{page}");
    assert!(page.contains(&format!("<b id=\"permissions\">{held}</b>")), "{page}");
    assert!(get("/messages", &[]).status >= 400);
    assert_eq!(get("/hello", &[]).text(), "hello");
}
