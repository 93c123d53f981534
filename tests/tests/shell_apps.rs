//! The shell in a browser with apps of other kinds: the sample app, an app without the HTTP bridge,
//! a package that its author signed; and uploads as they go.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::json;
use spk_tests::bins::ok;
use spk_tests::guest::{self, PLAIN, Package, open};
use spk_tests::{Browser, Server, Stage, Who, http, projects, skip};

/// The journey of a template's notes app in the page: two users, a backup out, and in again.
fn notes(test: &str, template: &str, prepare: impl Fn(&Stage)) {
    let Some(browser) = Browser::start(test, 1280, 900, false) else { return };
    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["init", "--template", template, "--title", "My notes"]));
    prepare(&stage);
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(http::get(&server.at("")).status, 200);
    assert_eq!(http::post_form(&server.at("notes"), "text=traced").status, 303);
    assert_eq!(http::get(&server.at("static/style.css")).status, 200);
    server.stop();
    ok(stage.spk().args(["pack", "--fast", "app.spk"]));

    let server = Server::start(stage.spk().args(["run", "app.spk", "--title", "Shopping"]));
    browser.go(&server.field("url"));
    browser.wait("document.querySelector('.card')?.innerText.includes('My notes')");
    browser.press("Shopping");
    browser.enter("#app-frame");
    browser.fill("input[name=text]", "milk & <b>bread</b>");
    browser.press("Add");
    browser.wait("document.querySelector('li')?.innerText.includes('milk & <b>bread</b>')");
    browser.wait("document.querySelector('li').innerText.includes('Alice Dev Admin')");
    browser.leave();
    browser.screenshot(&format!("shell-app-{template}"));
    // somebody who may only read
    browser.choose("#user", "bob");
    browser.enter("#app-frame");
    browser.wait("document.body?.innerText.includes('Bob Dev User')");
    browser.leave();
    let roles = "return [...document.querySelector('#role').options].map((o) => o.text)";
    let roles = browser.run(roles);
    assert_eq!(roles, json!(["editor", "viewer", "all permissions"]));
    browser.choose("#role", "1");
    browser.enter("#app-frame");
    browser.wait(
        "document.body?.innerText.includes('Bob Dev User') && !document.querySelector('form')",
    );
    browser.wait("document.querySelector('li')?.innerText.includes('milk')");
    browser.leave();
    // out and in again
    browser.click("#backup");
    let backup = browser.downloaded("Shopping.zip");
    browser.click("a[href='/']");
    browser.press("Delete");
    // the grain of spk dev stays
    browser.wait("document.querySelectorAll('.grain').length === 1");
    browser.keys_to("#upload", backup.to_str().unwrap());
    browser.wait("/restored/.test(document.querySelector('.notice')?.innerText)");
    browser.press("Open");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('li')?.innerText.includes('milk')");
    browser.leave();
    // started again
    browser.click("#restart");
    browser.wait("/started again/.test(document.querySelector('.notice')?.innerText)");
    browser.enter("#app-frame");
    browser.wait("document.querySelector('li')?.innerText.includes('milk')");
    browser.leave();
    browser.is_accessible(&format!("the app {template}"));
    server.stop();
}

#[test]
fn the_sample_app_in_the_page() {
    let test = "the_sample_app_in_the_page";
    if !Path::new("/usr/bin/python3").exists() {
        return skip::skip(test, "/usr/bin/python3 is not installed");
    }
    notes(test, "python", |_| ());
}

#[test]
fn an_app_without_the_bridge_in_the_page() {
    notes("an_app_without_the_bridge_in_the_page", "raw", |stage| {
        projects::build("raw", &stage.work());
        stage.who.own(&stage.work());
    });
}

/// `gpg` with a home of its own.
fn gpg(stage: &Stage) -> std::process::Command {
    let mut gpg = stage.run("gpg");
    gpg.args(["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]);
    gpg.arg("--homedir").arg(stage.home().join("gpg"));
    gpg
}

#[test]
fn an_author_is_shown_only_if_the_signature_is_good() {
    let test = "an_author_is_shown_only_if_the_signature_is_good";
    let Some(browser) = Browser::start(test, 1280, 900, false) else { return };
    let stage = guest::stage(Who::User);
    if std::process::Command::new("gpg").arg("--version").output().is_err() {
        return skip::skip(test, "gpg is not installed");
    }
    ok(stage.run("mkdir").arg("-m700").arg(stage.home().join("gpg")));
    ok(gpg(&stage).args([
        "--quick-generate-key",
        "author@example.com",
        "ed25519",
        "sign",
        "never",
    ]));
    ok(gpg(&stage).args(["--output", "pgp-keyring", "--export", "author@example.com"]));
    let listed = ok(gpg(&stage).args(["--list-keys", "--with-colons"]));
    let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
    let fingerprint = line.split(':').nth(9).unwrap().to_owned();
    let app = ok(stage.spk().arg("listkeys"));
    let app = app.split_whitespace().next().unwrap().to_owned();
    let signed = |version: u32, text: &str, name: &str| {
        stage.write("statement", text);
        ok(gpg(&stage).args(["--output", "pgp-signature", "--sign", "statement"]));
        guest::define(&stage, &Package { version, ..PLAIN });
        let file = stage.work().join("sandstorm-pkgdef.capnp");
        let definition = fs::read_to_string(&file).unwrap();
        let wanted = definition
            .replace("#pgpSignature = embed", "pgpSignature = embed")
            .replace("#pgpKeyring = embed", "pgpKeyring = embed");
        assert_ne!(definition, wanted);
        stage.write("sandstorm-pkgdef.capnp", wanted);
        ok(stage.spk().args(["pack", "--fast", name]));
    };
    let statement = "I am the author of the Sandstorm.io app with the following ID:";
    signed(1, &format!("{statement} {app}"), "good.spk");
    signed(2, &format!("{statement} another"), "bad.spk");

    let server = Server::start(stage.spk().args(["run", "good.spk"]));
    browser.go(&server.field("url"));
    browser.wait("document.querySelectorAll('.card').length === 1");
    let groups: Vec<&str> =
        fingerprint.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap()).collect();
    let shown =
        browser.wait("/✓ PGP (.*)/.exec(document.querySelector('.card .author')?.innerText)?.[1]");
    assert_eq!(shown, groups.join(" "));
    browser.keys_to("#upload", stage.work().join("bad.spk").to_str().unwrap());
    // one whose signature is not is not taken at all
    browser.wait("/signs another text/.test(document.querySelector('.trouble')?.innerText)");
    assert_eq!(browser.run("return document.querySelectorAll('.card').length"), 1);
    browser.is_accessible("authors");
    browser.screenshot("shell-authors");
    server.stop();
}

#[test]
fn uploads_show_how_far_they_are() {
    let Some((stage, server, browser)) = open("uploads_show_how_far_they_are", &[]) else { return };
    guest::pack(&stage, &Package { version: 2, ..PLAIN }, "next.spk");
    // a backup with something that does not compress
    let grain = ok(stage.spk().args(["grain", "new", "guest.spk", "--title", "Large"]));
    let grain = grain.trim();
    let noise: Vec<u8> = (0..700_000_u64)
        .flat_map(|n| {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .to_le_bytes()[4..]
                .to_vec()
        })
        .collect();
    let blob = stage.state().join("grains").join(grain).join("sandbox/blob");
    fs::write(&blob, noise).unwrap();
    stage.who.own(&blob);
    ok(stage.spk().args(["grain", "export", grain, "-o", "large.zip"]));
    browser.wait("!!document.querySelector('.grain')");
    browser.run(
        "window.parts = []; new MutationObserver(() => { \
           const progress = document.querySelector('.progress progress'); \
           if (progress) window.parts.push([progress.closest('label').innerText, progress.getAttribute('value') === null ? null : progress.value]); \
         }).observe(document.body, { subtree: true, childList: true, attributes: true })",
    );
    browser.devtools("Network.enable", &json!({}));
    // slow enough for several looks
    let slow = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2 << 20 });
    browser.devtools("Network.emulateNetworkConditions", &slow);
    for (name, done) in [("next.spk", "added"), ("large.zip", "restored")] {
        let file = stage.work().join(name);
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        browser.run("window.parts = []");
        browser.keys_to("#upload", file.to_str().unwrap());
        browser.wait("window.parts.some(([, part]) => part > 0)");
        browser.is_accessible("an upload");
        if name == "next.spk" {
            browser.screenshot("shell-upload");
        }
        browser.wait(&format!("/{done}/.test(document.querySelector('.notice')?.innerText)"));
        let parts = browser.run("return window.parts.filter(([, part]) => part > 0 && part < 1)");
        let parts = parts.as_array().unwrap();
        assert!(!parts.is_empty(), "{}", browser.run("return window.parts"));
        assert_eq!(parts[0][0].as_str().unwrap().trim(), format!("Uploading {name}"));
        // sent: now it is being checked, which has no parts
        let checking = format!(
            "window.parts.some(([text, part]) => text.trim() === 'Checking {name}' && part === null)"
        );
        browser.wait(&checking);
        browser.wait("!document.querySelector('.progress')");
    }
    server.stop();
}
