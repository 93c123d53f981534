//! The app `spk-guest` (`guest/main.rs`), packed in several ways.

use std::path::PathBuf;

use crate::bins::{built, copy_program, ok};
use crate::{Browser, Server, Stage, Who};

/// What the package says about itself.
pub struct Package<'a> {
    /// `appTitle`.
    pub title: &'a str,
    /// `appVersion`.
    pub version: u32,
    /// `shortDescription`.
    pub description: &'a str,
    /// An SVG icon.
    pub icon: &'a str,
}

/// An ordinary one.
pub const PLAIN: Package<'static> = Package {
    title: "Guest",
    version: 1,
    description: "A chat",
    icon: "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\">\
           <circle cx=\"4\" cy=\"4\" r=\"4\" fill=\"#a50\"/></svg>",
};

const ROLES: &str = r#"  bridgeConfig = (
    viewInfo = (
      permissions = [
        (name = "read", title = (defaultText = "read messages")),
        (name = "say", title = (defaultText = "say something")),
      ],
      roles = [
        (title = (defaultText = "speaker"), verbPhrase = (defaultText = "can speak"), permissions = [true, true]),
        (title = (defaultText = "listener"), verbPhrase = (defaultText = "can listen"), permissions = [true, false], default = true),
      ],
    ),
    apiPath = "/api/",
    saveIdentityCaps = true,
    powerboxApis = [
      (name = "messages", displayInfo = (title = (defaultText = "Messages")), path = "/api",
       tag = (canonicalUrl = "http://example.com/messages"), permissions = [true, false]),
    ],
  ),
  #bridgeConfig = ("#;

/// A stage with the program and a package definition with roles.
pub fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    copy_program(&built("spk-guest"), &stage.work().join("spk-guest"));
    stage.who.own(&stage.work());
    ok(stage.spk().args(["init", "-p", "8000", "--", "/spk-guest", "8000"]));
    stage.write("sandstorm-files.list", "spk-guest\n");
    stage
}

/// Writes the definition for `package`.
pub fn define(stage: &Stage, package: &Package<'_>) {
    let path = stage.work().join("sandstorm-pkgdef.capnp");
    let original = stage.work().join("original.capnp");
    if !original.exists() {
        std::fs::copy(&path, &original).unwrap();
    }
    stage.write("icon.svg", package.icon);
    let text = std::fs::read_to_string(&original).unwrap();
    let literal = |text: &str| serde_json::to_string(text).unwrap().replace("\\u001b", "\\x1b");
    let (title, description) = (literal(package.title), literal(package.description));
    let text = replace_line(&text, "appTitle = ", &format!("appTitle = (defaultText = {title}),"));
    let text = replace_line(&text, "appVersion = ", &format!("appVersion = {},", package.version));
    let short = format!("shortDescription = (defaultText = {description}),");
    let text = replace_line(&text, "shortDescription = ", &short);
    let text = text.replacen("icons = (", "icons = (\nappGrid = (svg = embed \"icon.svg\"),", 1);
    let text = text.replacen("  #bridgeConfig = (", ROLES, 1);
    assert!(text.contains("viewInfo = (\n      permissions"), "{text}");
    stage.write("sandstorm-pkgdef.capnp", text);
}

fn replace_line(text: &str, begin: &str, with: &str) -> String {
    let lines = text.lines().map(|line| match line.trim_start().starts_with(begin) {
        true => with,
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Packs `package` into `name`; the file.
pub fn pack(stage: &Stage, package: &Package<'_>, name: &str) -> PathBuf {
    define(stage, package);
    ok(stage.spk().args(["pack", "--fast", name]));
    stage.work().join(name)
}

/// A stage with `guest.spk`, run with these arguments and shown in a browser; `None` where `test` is
/// skipped.
pub fn open(test: &str, args: &[&str]) -> Option<(Stage, Server, Browser)> {
    let browser = Browser::start(test, 1280, 900, false)?;
    let stage = stage(Who::User);
    pack(&stage, &PLAIN, "guest.spk");
    let run = ["run", "guest.spk", "--title", "First grain"];
    let server = Server::start(stage.spk().args(run).args(args));
    browser.go(&server.field("url"));
    Some((stage, server, browser))
}

/// Says something in the chat of the frame that is entered.
pub fn say(browser: &Browser, text: &str) {
    browser.fill("#text", text);
    browser.click("#form button");
    browser.wait(&format!("document.querySelector('#messages').innerText.includes('{text}')"));
}
