//! A headless Chromium, driven through chromedriver's WebDriver protocol (w3.org/TR/webdriver2).

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::http;
use crate::skip::skip;

/// How long a page may take to look as it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name of an element in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// WebDriver's error for an element that is no longer in the page.
const STALE: &str = "stale element reference";

const AXE: &str = include_str!("../data/axe-core/axe.min.js");

/// Keys as WebDriver names them.
pub mod keys {
    /// Tab.
    pub const TAB: &str = "\u{e004}";
    /// Shift, held until the end of the keys it is sent with.
    pub const SHIFT: &str = "\u{e008}";
    /// Control, held until [`RELEASE`].
    pub const CONTROL: &str = "\u{e009}";
    /// Lets go of what is held.
    pub const RELEASE: &str = "\u{e000}";
    /// Backspace.
    pub const BACKSPACE: &str = "\u{e003}";
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
    /// Arrow down.
    pub const DOWN: &str = "\u{e015}";
}

/// A browser with a fresh profile. Dropping it ends it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
    /// The frame that commands are about.
    frame: RefCell<Option<String>>,
}

impl Browser {
    /// Starts one, `width` by `height`; says that `test` is skipped where there is none.
    pub fn start(test: &str, width: u32, height: u32, dark: bool) -> Option<Browser> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = driver else {
            skip(test, "there is no chromedriver (tests/setup.sh --tests installs it)");
            return None;
        };
        let mark = "started successfully on port ";
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| line.unwrap().split_once(mark).map(|(_, port)| port.to_owned()))
            .and_then(|port| port.trim_end_matches('.').parse().ok())
            .expect("chromedriver says its port");
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::Builder::new().prefix("spk-browser.").tempdir().unwrap();
        let mut args = vec![
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        if dark {
            args.push("--force-dark-mode".into());
            args.push("--blink-settings=preferredColorScheme=0".into());
        }
        let downloads = profile.path().join("downloads");
        std::fs::create_dir(&downloads).unwrap();
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "args": args,
                "prefs": { "download.default_directory": downloads, "download.prompt_for_download": false },
            },
        } } });
        let mut browser =
            Browser { driver, port, session: String::new(), profile, frame: RefCell::default() };
        let session = browser.command("POST", "", &capabilities);
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        Some(browser)
    }

    /// One command; gives its value. The test fails if the browser says no.
    #[track_caller]
    pub fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        match self.attempt(method, path, body) {
            Ok(value) => value,
            Err(error) => panic!("{method} {path}: {error}\npage: {}", self.describe()),
        }
    }

    fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let session =
            if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let url = format!("http://127.0.0.1:{}/session{session}{path}", self.port);
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let json = [("Content-Type", "application/json")];
        let response = http::request(method, &url, &json, body.as_bytes());
        let mut answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match response.status {
            200 => Ok(answer["value"].take()),
            _ => Err(answer["value"].take()),
        }
    }

    /// What is on the page, for a test that failed.
    pub fn describe(&self) -> String {
        let script = "return location.href + '\\n' + document.body.innerText.slice(0, 3000)";
        let body = json!({ "script": script, "args": [] });
        let text = self.attempt("POST", "/execute/sync", &body);
        text.unwrap_or_default().as_str().unwrap_or_default().to_owned()
    }

    /// Opens an address.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.frame.take();
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// The address that is open.
    #[track_caller]
    pub fn url(&self) -> String {
        self.command("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Runs the body of a function in the page; promises are waited for.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let script = format!("return (async () => {{ {script} }})()");
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until the expression is true for JavaScript, and gives it.
    #[track_caller]
    pub fn wait(&self, expression: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        let script = format!("return {expression}");
        loop {
            // While a page is being loaded, scripts may fail.
            let body = json!({ "script": script, "args": [] });
            let found = self.attempt("POST", "/execute/sync", &body);
            match &found {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(Value::String(text)) if text.is_empty() => {}
                Ok(value) => return value.clone(),
            }
            assert!(
                Instant::now() < end,
                "it did not become true: {expression} ({found:?})\npage: {}\nconsole: {:?}",
                self.describe(),
                self.console(),
            );
            std::thread::sleep(Duration::from_millis(30));
            self.enter_again();
        }
    }

    /// Enters the frame that was entered last, which may show another page since.
    fn enter_again(&self) {
        let Some(css) = self.frame.borrow().clone() else { return };
        let found = self.attempt("POST", "/frame", &json!({ "id": null })).and_then(|_| {
            self.attempt("POST", "/element", &json!({ "using": "css selector", "value": css }))
        });
        if let Ok(element) = found {
            // Gone again in between: the next time.
            let _ = self.attempt("POST", "/frame", &json!({ "id": element }));
        }
    }

    /// Waits for the element that the expression gives, and sends a command about it: the path and
    /// body that `command` makes of its ID. Again, if the page has put another element in its place
    /// in between: then nothing was done.
    #[track_caller]
    fn with_found(&self, expression: &str, command: impl Fn(&str) -> (String, Value)) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.wait(&format!("!!{expression}"));
            let body = json!({ "script": format!("return {expression}"), "args": [] });
            let done = self.attempt("POST", "/execute/sync", &body).and_then(|found| {
                let stale = || json!({ "error": STALE });
                let (path, body) = command(found[ELEMENT].as_str().ok_or_else(stale)?);
                self.attempt("POST", &path, &body)
            });
            match done {
                Ok(_) => return,
                Err(error) if error["error"] == STALE && Instant::now() < end => {}
                Err(error) => panic!("{expression}: {error}\npage: {}", self.describe()),
            }
        }
    }

    /// As [`Browser::with_found`], for the first element that a selector fits.
    #[track_caller]
    fn with_element(&self, css: &str, command: impl Fn(&str) -> (String, Value)) {
        self.with_found(&format!("document.querySelector({})", json!(css)), command);
    }

    /// Clicks as a person does: what is hidden or covered cannot be clicked.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.with_element(css, click);
    }

    /// Clicks the first button or link whose text begins with `text`, in the dialog if one is open.
    #[track_caller]
    pub fn press(&self, text: &str) {
        let expression = format!(
            "[...(document.querySelector('dialog[open]') ?? document)\
             .querySelectorAll('button, a, summary')].find((e) => !e.disabled && \
             e.textContent.replace(/\\s+/g, ' ').trim().startsWith({}))",
            json!(text)
        );
        self.with_found(&expression, click);
    }

    /// Types into an element; for a file input, the path of the file.
    #[track_caller]
    pub fn keys_to(&self, css: &str, text: &str) {
        self.with_element(css, |element| type_into(element, text));
    }

    /// Replaces a field's text as typing would.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let text = if text.is_empty() { keys::BACKSPACE } else { text };
        let text = format!("{}a{}{text}", keys::CONTROL, keys::RELEASE);
        self.with_element(css, |element| type_into(element, &text));
    }

    /// Presses keys wherever the focus is, one after the other; modifiers stay down until the end.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) {
        let mut actions = Vec::new();
        for key in keys {
            actions.push(json!({ "type": "keyDown", "value": key }));
            if *key != keys::SHIFT {
                actions.push(json!({ "type": "keyUp", "value": key }));
            }
        }
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.command("POST", "/actions", &body);
        self.command("DELETE", "/actions", &Value::Null);
    }

    /// Chooses an option of a select.
    #[track_caller]
    pub fn choose(&self, css: &str, value: &str) {
        let expression = format!(
            "[...document.querySelectorAll({} + ' option')].find((o) => o.value === {})",
            json!(css),
            json!(value)
        );
        self.with_found(&expression, click);
    }

    /// From now on commands are about the page in this frame, also when another frame or page takes
    /// its place while something is waited for.
    #[track_caller]
    pub fn enter(&self, css: &str) {
        self.with_element(css, |element| {
            ("/frame".to_owned(), json!({ "id": { ELEMENT: element } }))
        });
        self.frame.replace(Some(css.to_owned()));
    }

    /// From now on commands are about the page itself again.
    #[track_caller]
    pub fn leave(&self) {
        self.frame.take();
        self.command("POST", "/frame", &json!({ "id": null }));
    }

    /// The tab that commands are about.
    #[track_caller]
    pub fn tab(&self) -> String {
        self.command("GET", "/window", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Opens another tab; commands are about it from now on.
    #[track_caller]
    pub fn new_tab(&self) -> String {
        let made = self.command("POST", "/window/new", &json!({ "type": "tab" }));
        let tab = made["handle"].as_str().unwrap().to_owned();
        self.switch(&tab);
        tab
    }

    /// Commands are about this tab from now on.
    #[track_caller]
    pub fn switch(&self, tab: &str) {
        self.frame.take();
        self.command("POST", "/window", &json!({ "handle": tab }));
    }

    /// Waits for a tab that is none of `known`; commands are about it from now on.
    #[track_caller]
    pub fn switch_to_other(&self, known: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let tabs = self.command("GET", "/window/handles", &Value::Null);
            let mut tabs = tabs.as_array().unwrap().iter().map(|tab| tab.as_str().unwrap());
            if let Some(tab) = tabs.find(|tab| !known.contains(tab)) {
                return self.switch(tab);
            }
            assert!(Instant::now() < end, "no other tab was opened");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Closes the tab that commands are about; another has to be switched to.
    #[track_caller]
    pub fn close_tab(&self) {
        self.command("DELETE", "/window", &Value::Null);
    }

    /// A command of Chromium's own protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, params: &Value) {
        let body = json!({ "cmd": command, "params": params });
        self.command("POST", "/goog/cdp/execute", &body);
    }

    /// Shows pages as a device of this size would; windows are not made as narrow as a phone.
    #[track_caller]
    pub fn looks(&self, width: u32, height: u32, dark: bool) {
        let mobile = width < 600;
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": if mobile { 2 } else { 1 },
            "mobile": mobile,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Waits for a download of this name to be complete; its path.
    #[track_caller]
    pub fn downloaded(&self, name: &str) -> PathBuf {
        let path = self.profile.path().join("downloads").join(name);
        let end = Instant::now() + PATIENCE;
        // The browser gives the file its name when it is complete.
        while !path.exists() {
            assert!(Instant::now() < end, "{} was not downloaded", path.display());
            std::thread::sleep(Duration::from_millis(30));
        }
        path
    }

    /// What the page said on its console since the last call: errors, and what its policy refused.
    pub fn console(&self) -> Vec<String> {
        let log = self.attempt("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.unwrap_or_default();
        let messages = entries.as_array().into_iter().flatten().map(|entry| {
            format!("{} {}", entry["level"].as_str().unwrap_or_default(), entry["message"])
        });
        messages.collect()
    }

    /// A picture of the page, for people: `target/screenshots/NAME.png`.
    #[track_caller]
    pub fn screenshot(&self, name: &str) {
        let picture = self.command("GET", "/screenshot", &Value::Null);
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap());
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    /// Fails if axe finds an accessibility problem on the page; frames of apps are theirs.
    #[track_caller]
    pub fn is_accessible(&self, view: &str) {
        let script = format!(
            "{AXE}; const callback = arguments[arguments.length - 1];\
             axe.run({{ exclude: ['#app-frame'] }}, {{ iframes: false }})\
             .then((found) => callback(found.violations.map((v) => v.id + ': ' + v.help + ' ' + \
             v.nodes.map((n) => n.html + ' ' + n.failureSummary).join(' | '))), \
             (error) => callback(['axe failed: ' + error]))"
        );
        let body = json!({ "script": script, "args": [] });
        let violations = self.command("POST", "/execute/async", &body);
        assert_eq!(violations, json!([]), "{view}");
    }
}

/// The command that clicks an element.
fn click(element: &str) -> (String, Value) {
    (format!("/element/{element}/click"), json!({}))
}

/// The command that types into an element.
fn type_into(element: &str, text: &str) -> (String, Value) {
    (format!("/element/{element}/value"), json!({ "text": text }))
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.attempt("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
