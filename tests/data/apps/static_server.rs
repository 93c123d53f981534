//! A web server in one static program that serves two pages from files.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8000")?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let Ok(reading) = stream.try_clone() else { return };
            let mut lines = BufReader::new(reading);
            let mut first = String::new();
            let _ = lines.read_line(&mut first);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if lines.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            let _ = lines.read_exact(&mut body);
            let path = first.split(' ').nth(1).unwrap_or("/");
            let file = match path {
                "/" => "/pages/index.html",
                "/about" => "/pages/about.html",
                _ => "",
            };
            let (status, text) = match std::fs::read_to_string(file) {
                Ok(text) => ("200 OK", text),
                Err(error) => ("404 Not Found", error.to_string()),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
        });
    }
    Ok(())
}
