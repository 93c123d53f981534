//! Every command of the guides, run as they stand: what a newcomer copies works.
//!
//! The two places where a person acts are acted out: `spk dev` and `spk run` serve until Ctrl-C, so
//! the page is opened and the server is stopped; and the index is a small one on this machine. Only
//! how well packages are compressed is no question here: `spk pack` gets `--fast`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who, http, projects, skip};

/// The commands of a page, one for each line of its `sh` blocks.
fn commands(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => found.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

/// An index that has approved everything.
fn index() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(&stream);
        }
    });
    url
}

/// Reads a request and says that its package was approved.
fn answer(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    // A packed SubmissionStatus: publish, approved, and no text.
    let mut message = [0_u8; 48];
    (message[4], message[12], message[14]) = (5, 3, 1);
    (message[16], message[18]) = (2, 2);
    let mut packed = vec![0];
    for word in message.chunks(8) {
        packed.push((0..8).filter(|&i| word[i] != 0).fold(0_u8, |tag, i| tag | 1 << i));
        packed.extend(word.iter().filter(|byte| **byte != 0));
        if word.iter().all(|byte| *byte == 0) {
            packed.push(0);
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", packed.len());
    let mut stream = stream;
    let _ = stream.write_all(&[head.as_bytes(), &packed].concat());
}

/// Follows the guide of a template.
fn follow(template: &str, needs: &str) {
    if !needs.is_empty() && !Path::new(needs).exists() {
        return skip::skip(&format!("guide of {template}"), &format!("{needs} is not installed"));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/guide/{template}.md"));
    let commands = commands(&fs::read_to_string(file).unwrap());
    assert!(commands.len() > 15, "{commands:?}");
    let stage = Stage::new(Who::User);
    let webkey = format!("{}#token", index());
    let path =
        format!("{}:/usr/local/bin:/usr/bin:/bin", stage.spk_path().parent().unwrap().display());
    let mut here = stage.work();
    let mut served = 0;
    let mut grain = String::new();
    let mut first: Option<Vec<u8>> = None;
    // Followed to its end, and once more as far as a project goes on: dev, pack and all that follows.
    let again: Vec<String> =
        commands.iter().skip_while(|l| !l.starts_with("spk dev")).cloned().collect();
    for line in commands.into_iter().chain(again) {
        let line =
            line.replace(" ID ", &format!(" {grain} ")).replace("spk pack ", "spk pack --fast ");
        let place = here.clone();
        let shell = |line: &str| {
            let mut command = stage.run("/bin/bash");
            command.args(["-ec", line]).current_dir(&place);
            command.env("PATH", &path).env("SPK_WEBKEY", &webkey);
            command
        };
        if line.starts_with("spk dev") || line.starts_with("spk run") {
            let server = Server::start(shell(&format!("exec {line} \"$@\"")).arg("raw"));
            let page = http::get(&server.at(""));
            assert_eq!(page.status, 200, "{line}: {page:?}");
            assert_eq!(http::get(&server.at("static/style.css")).status, 200, "{line}");
            grain = server.field("grainId");
            server.stop();
            served += 1;
        } else if let Some(dir) = line.strip_prefix("cd ") {
            here = here.join(dir);
        } else if line.starts_with("cargo ") {
            // With this test's own toolchain, which the account may not have.
            projects::build(template, &here);
            stage.who.own(&here);
        } else if line.contains(" pip install ") {
            // What it fetches is fetched once.
            projects::pip(&here);
            stage.who.own(&here);
        } else {
            ok(&mut shell(&line));
        }
        if line.starts_with("spk pack ") {
            let (package, former) = (here.join("notes.spk"), here.join("former.spk"));
            match &first {
                None => {
                    fs::copy(&package, &former).unwrap();
                    first = Some(fs::read(&package).unwrap());
                }
                Some(first) if *first != fs::read(&package).unwrap() => {
                    let diff =
                        shell("diff <(spk ls -l former.spk) <(spk ls -l notes.spk)").output();
                    panic!("another package: {diff:?}");
                }
                Some(_) => {}
            }
        }
    }
    assert_eq!(served, 6, "dev, run, and run as bob, twice");
}

#[test]
fn python() {
    follow("python", "/usr/bin/python3");
}

#[test]
fn node() {
    follow("node", "/usr/bin/node");
}

#[test]
fn php() {
    follow("php", "/usr/bin/php");
}

#[test]
fn site() {
    follow("static", "/usr/bin/python3");
}

#[test]
fn rust() {
    follow("rust", "");
}

#[test]
fn raw() {
    follow("raw", "");
}

#[test]
fn raw_python() {
    follow("raw-python", "/usr/bin/python3");
}
