//! `spk publish` against a small index on this machine.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

/// What the index got.
struct Request {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

/// Answers the given bodies in order, then gives what it was asked.
fn index(answers: Vec<Vec<u8>>) -> (String, thread::JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = move || {
        answers
            .into_iter()
            .map(|answer| {
                let (stream, _) = listener.accept().unwrap();
                let request = read(&stream);
                // The status code says nothing in this protocol.
                let head = format!("HTTP/1.1 400 X\r\nContent-Length: {}\r\n\r\n", answer.len());
                (&stream).write_all(&[head.as_bytes(), &answer].concat()).unwrap();
                request
            })
            .collect()
    };
    (url, thread::spawn(serve))
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let headers: Vec<String> =
        std::iter::from_fn(|| Some(line()).filter(|l| !l.is_empty())).collect();
    let length = headers.iter().find_map(|h| h.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request { line: first, headers, body }
}

/// A packed `SubmissionStatus`: state asked for, what the reviewers say, and a text.
fn status(wish: u8, review: u8, text: &str) -> Vec<u8> {
    let mut message = vec![0u8; 8 + 8 + 32];
    let words = (text.len() + 1).div_ceil(8);
    message[4] = (5 + if text.is_empty() { 0 } else { words }) as u8;
    message[12] = 3; // data words
    message[14] = 1; // pointers
    message[16] = wish;
    message[18] = review;
    if !text.is_empty() {
        let pointer = 1 | 2u64 << 32 | (text.len() as u64 + 1) << 35;
        message[40..48].copy_from_slice(&pointer.to_le_bytes());
        message.extend(text.as_bytes());
        message.resize(48 + words * 8, 0);
    }
    // Packed: a tag byte for each word, then its bytes that are not zero.
    let mut packed = vec![0];
    for word in message.chunks(8) {
        let tag = (0..8).filter(|&i| word[i] != 0).fold(0u8, |tag, i| tag | 1 << i);
        packed.push(tag);
        packed.extend(word.iter().filter(|byte| **byte != 0));
        if tag == 0 || tag == 0xff {
            packed.push(0);
        }
    }
    packed
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../package/tests/data").join(name)
}

fn publish(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spk"))
        .arg("publish")
        .args(arguments)
        .arg(format!("--webkey={url}#s3cret"))
        .arg("-k")
        .arg(data("keys/keyring3"))
        .arg(data("packages/fullmeta.spk"))
        .output()
        .unwrap()
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn uploads_when_asked_to_and_asks_again() {
    let (url, index) =
        index(vec![status(2, 3, ""), Vec::new(), status(2, 2, "https://apps.example/full")]);
    let output = publish(&url, &[]);
    assert_eq!(text(&output), "published: https://apps.example/full\n");
    let requests = index.join().unwrap();
    let lines: Vec<&str> = requests.iter().map(|request| &request.line[..]).collect();
    let ask = "POST /status HTTP/1.1";
    assert_eq!(lines, [ask, "POST /upload HTTP/1.1", ask]);
    for request in &requests {
        for header in
            ["Authorization: Bearer s3cret", "Content-Type: application/x-www-form-urlencoded"]
        {
            assert!(request.headers.iter().any(|h| h == header), "{:?}", request.headers);
        }
    }
    assert_eq!(requests[0].body, requests[2].body);
    assert_eq!(requests[1].body, std::fs::read(data("packages/fullmeta.spk")).unwrap());
}

#[test]
fn tells_how_the_submission_stands() {
    for (arguments, answer, expected) in [
        (&["-s"][..], status(0, 3, ""), "the package is not in the index\n"),
        (&["-e"], status(1, 0, ""), "under review; it will not be published yet\n"),
        (&["-e", "-r"], status(0, 0, ""), "withdrawn; it was never reviewed\n"),
        (&[], status(2, 1, "No icon."), "the reviewers found a problem:\nNo icon.\n"),
    ] {
        let (url, index) = index(vec![answer]);
        assert_eq!(text(&publish(&url, arguments)), expected);
        assert_eq!(index.join().unwrap().len(), 1);
    }
}

#[test]
fn errors_of_the_index_are_errors() {
    for (answers, words) in [
        (vec![b"go away\n".to_vec()], &["go away"][..]),
        (vec![Vec::new()], &["the index answered"]),
        (vec![status(2, 3, ""), b"too old".to_vec()], &["did not take", "too old"]),
        (vec![status(2, 3, ""), Vec::new(), status(2, 3, "")], &["does not have it"]),
    ] {
        let (url, index) = index(answers);
        let output = publish(&url, &[]);
        assert_eq!(output.status.code(), Some(1));
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        words.iter().for_each(|word| assert!(talk.contains(word), "{word}: {talk}"));
        assert!(!talk.contains("s3cret"));
        index.join().unwrap();
    }
}
