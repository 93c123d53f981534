//! A headless Chromium, driven over WebDriver (W3C) through `chromedriver`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a page may take to show what is waited for: only what a broken program takes.
const LONGEST: Duration = Duration::from_secs(90);

/// The key under which WebDriver names elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one session. Dropping it ends both programs.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts one whose profile is below `home`; says what is missing if it cannot be.
    pub fn start(home: &Path) -> Result<Browser, String> {
        for program in ["/usr/bin/chromedriver", "/usr/bin/chromium"] {
            if !Path::new(program).exists() {
                return Err(format!("{program} is not installed"));
            }
        }
        let mut driver = Command::new("/usr/bin/chromedriver")
            .arg("--port=0")
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("chromedriver does not start: {error}"))?;
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port = port.ok_or("chromedriver said no port")?;
        let mut browser = Browser { driver, port, session: String::new() };
        let profile = home.join("chromium");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let options = json!({ "binary": "/usr/bin/chromium", "args": arguments });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = browser.call("", &wanted)?;
        browser.session = made["sessionId"].as_str().ok_or("no session ID")?.to_owned();
        Ok(browser)
    }

    fn call(&self, command: &str, body: &Value) -> Result<Value, String> {
        self.request("POST", command, &body.to_string())
    }

    fn request(&self, method: &str, command: &str, body: &str) -> Result<Value, String> {
        let session = match self.session.as_str() {
            "" => String::new(),
            id => format!("/{id}{}", if command.is_empty() { "" } else { "/" }),
        };
        let head = format!(
            "{method} /session{session}{command} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, answer) = exchange(self.port, &head).map_err(|error| error.to_string())?;
        let mut value: Value =
            serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        match status {
            200 => Ok(value["value"].take()),
            _ => Err(value["value"]["message"].to_string()),
        }
    }

    #[track_caller]
    fn must(&self, command: &str, body: &Value) -> Value {
        self.call(command, body).unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    /// Opens a page in the current window.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.must("url", &json!({ "url": url }));
    }

    /// Name of the current window.
    #[track_caller]
    pub fn window(&self) -> String {
        self.request("GET", "window", "").unwrap().as_str().unwrap().to_owned()
    }

    /// Makes a window and gives its name; the current one stays current.
    #[track_caller]
    pub fn new_window(&self) -> String {
        self.must("window/new", &json!({ "type": "tab" }))["handle"].as_str().unwrap().to_owned()
    }

    /// Makes a window current, with its outermost page.
    #[track_caller]
    pub fn switch_to(&self, window: &str) {
        self.must("window", &json!({ "handle": window }));
    }

    /// Makes the page in a frame current.
    #[track_caller]
    pub fn enter_frame(&self, selector: &str) {
        let frame = self.element(selector);
        self.must("frame", &json!({ "id": { ELEMENT: frame } }));
    }

    /// What a script in the current page returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.must("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Types into an element; `\n` is the Enter key.
    #[track_caller]
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        let text = text.replace('\n', "\u{e007}");
        self.must(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        self.must("element", &wanted)[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Waits until a script in the current page returns true.
    #[track_caller]
    pub fn wait_for(&self, script: &str) {
        let end = Instant::now() + LONGEST;
        let mut last = Ok(Value::Null);
        while Instant::now() < end {
            last = self.call("execute/sync", &json!({ "script": script, "args": [] }));
            if last == Ok(Value::Bool(true)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("never true: {script}: {last:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing its last session ends the browser; without one there is none.
        if !self.session.is_empty() {
            let _ = self.request("DELETE", "", "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Status and body of an answer. The driver keeps connections open, whatever it is asked.
fn exchange(port: u16, request: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    stream.get_ref().set_read_timeout(Some(LONGEST))?;
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = head.to_ascii_lowercase();
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let status = number(head.split(' ').nth(1));
    let length: Option<u16> =
        number(head.lines().find_map(|line| line.strip_prefix("content-length:")));
    let (Some(status), Some(length)) = (status, length) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut body = vec![0; usize::from(length)];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}
