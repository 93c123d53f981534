//! A small notes app: an HTTP server on the standard library, an append-only file below /var,
//! users from the bridge.
//!
//! There is no login here. Who is asking, and what they may do, is decided outside the sandbox and
//! told in headers by the HTTP bridge, which nothing else can reach: `X-Sandstorm-Username` (the
//! name to show, percent-encoded) and `X-Sandstorm-Permissions` (names joined by commas).

mod http;
mod notes;
mod text;

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use notes::Notes;
use text::{decode, escape};

/// As in the command of sandstorm-pkgdef.capnp.
const PORT: u16 = 8000;
const STYLE: &str = include_str!("../static/style.css");

fn main() -> std::io::Result<()> {
    let file = std::env::var("NOTES_FILE").unwrap_or_else(|_| "/var/lib/notes/notes".into());
    let notes = Arc::new(Mutex::new(Notes::open(Path::new(&file))?));
    // 127.0.0.1 and not "localhost": there is no name service in the sandbox.
    for stream in TcpListener::bind(("127.0.0.1", PORT))?.incoming() {
        let notes = Arc::clone(&notes);
        let stream = stream?;
        std::thread::spawn(move || http::serve(stream, |request| answer(request, &notes)));
    }
    Ok(())
}

fn answer(request: &Request, notes: &Mutex<Notes>) -> Response {
    let permissions = request.header("x-sandstorm-permissions");
    let edit = permissions.split(',').any(|name| name == "edit");
    let user = decode(request.header("x-sandstorm-username"), false);
    let user = if user.is_empty() { "somebody".to_owned() } else { user };
    // A thread that panicked while holding the lock has aborted the program.
    let mut notes = notes.lock().expect("the lock is never poisoned");
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => {
            let page = page(&user, permissions, edit, &notes);
            Response::new(200, "text/html; charset=utf-8", page)
        }
        ("GET" | "HEAD", "/static/style.css") => Response::new(200, "text/css", STYLE),
        ("POST", "/notes") if !edit => Response::plain(403, "you may not edit"),
        ("POST", "/notes") => {
            let done = match (request.field("delete"), request.field("text")) {
                (Some(id), _) => notes.delete(id.parse().unwrap_or(0)),
                (None, Some(text)) if !text.is_empty() => notes.add(&user, &text),
                _ => Ok(()),
            };
            match done {
                Ok(()) => Response::redirect("/"),
                Err(error) => Response::plain(500, &format!("cannot keep the note: {error}")),
            }
        }
        _ => Response::plain(404, "no such page"),
    }
}

fn page(user: &str, permissions: &str, edit: bool, notes: &Notes) -> String {
    let mut items = String::new();
    for (id, note) in notes.all() {
        let button = match edit {
            true => format!(
                "<form method=post action=/notes><button name=delete value={id}>Delete</button></form>"
            ),
            false => String::new(),
        };
        let (text, author) = (escape(&note.text), escape(&note.author));
        items.push_str(&format!("<li>{text} <small>{author}</small> {button}</li>"));
    }
    let form = "<form method=post action=/notes>\
        <label>New note <input name=text required maxlength=1000 autofocus></label>\
        <button>Add</button></form>";
    format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n<title>Notes</title>\n\
         <link rel=stylesheet href=/static/style.css>\n<h1>Notes</h1>\n\
         <p>Hello, <b>{}</b>. You hold these permissions: {}.</p>\n{}\n<ul>{items}</ul>\n</html>\n",
        escape(user),
        if permissions.is_empty() { "none".into() } else { escape(permissions) },
        if edit { form } else { "" },
    )
}
