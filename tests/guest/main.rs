//! The guest of the shell's tests: a small chat with a page that also does what apps may and may
//! not do to the page around it. `spk-guest [PORT]`; nothing of the code under test.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

const MESSAGES: &str = "/var/messages";

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8000);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    // What an app prints goes to the log as it is: colours, markup and escape codes too.
    println!("\x1b[32mthe guest is up\x1b[0m on <b>{port}</b>");
    // Outside of /var nothing can be written; a development session shows the attempt.
    let refused = std::fs::write("/outside.txt", "x").is_err();
    println!("writing outside of /var was {}", if refused { "refused" } else { "possible" });
    // Looked for, and not there.
    let lacking = std::fs::read("/lacking.txt").is_err();
    println!("lacking.txt is {}", if lacking { "lacking" } else { "there" });
    // Denied, and told to whoever explains.
    let denied = std::os::unix::fs::chroot("/").is_err();
    println!("chroot was {}", if denied { "denied" } else { "possible" });
    // Files whose names are odd: the panel of a development session shows them.
    for file in std::fs::read_dir("/odd").into_iter().flatten().flatten() {
        let _ = std::fs::read(file.path());
    }
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

fn serve(mut stream: TcpStream) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    loop {
        let request = read(&mut input)?;
        let (status, kind, body) = answer(&request);
        let extra = if request.path == "/" { "Set-Cookie: guest=secret; Path=/\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}

fn read(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body.resize(length, 0);
    input.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Asks the bridge's proxy; the whole answer.
fn through_proxy(method: &str, url: &str, headers: &str, body: &str) -> String {
    let proxy = std::env::var("http_proxy").unwrap_or_default();
    let address = proxy.trim_start_matches("http://").trim_end_matches('/');
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        let length = body.len();
        write!(
            stream,
            "{method} {url} HTTP/1.0\r\nHost: any\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_else(|error| format!("{address:?}: {error}"))
}

fn answer(request: &Request) -> (&'static str, &'static str, String) {
    let user = request.header("x-sandstorm-preferred-handle");
    let path = request.path.split('?').next().unwrap_or("/");
    match (request.method.as_str(), path) {
        ("POST", "/say") => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            let line = format!("{}: {}\n", if user.is_empty() { "somebody" } else { user }, text);
            let file = OpenOptions::new().append(true).create(true).open(MESSAGES);
            if let Ok(mut file) = file {
                let _ = file.write_all(line.as_bytes());
            }
            println!("error: \x1b[31msaid\x1b[0m {text}");
            ("204 No Content", "text/plain", String::new())
        }
        // What the page got from the powerbox becomes a capability, and is used.
        ("POST", "/claim") => {
            let session = request.header("x-sandstorm-session-id");
            let url = format!("http://http-bridge/session/{session}/claim");
            let token = String::from_utf8_lossy(&request.body);
            let wanted = format!(
                "{{\"requestToken\": \"{token}\", \"requiredPermissions\": [\"read\"], \
                 \"label\": {{\"defaultText\": \"from the test\"}}}}"
            );
            ("200 OK", "text/plain", through_proxy("POST", &url, "", &wanted))
        }
        ("POST", "/use") => {
            let capability = String::from_utf8_lossy(&request.body);
            let bearer = format!("Authorization: Bearer {capability}\r\n");
            ("200 OK", "text/plain", through_proxy("GET", "http://any/messages", &bearer, ""))
        }
        (_, "/messages" | "/api/messages") => {
            let text = std::fs::read_to_string(MESSAGES).unwrap_or_default();
            ("200 OK", "text/plain; charset=utf-8", text)
        }
        (_, "/page.js") => ("200 OK", "text/javascript", SCRIPT.to_owned()),
        _ => {
            let page = PAGE
                .replace(
                    "{user}",
                    &escape(&request.header("x-sandstorm-username").replace("%20", " ")),
                )
                .replace("{permissions}", &escape(request.header("x-sandstorm-permissions")))
                .replace("{cookies}", &escape(request.header("cookie")))
                .replace("{path}", &escape(&request.path));
            ("200 OK", "text/html; charset=utf-8", page)
        }
    }
}
