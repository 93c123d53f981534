//! WebSockets: an echo, and a chat with its page.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::request::Request;

/// Who hears what is said.
static LISTENERS: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

/// Largest message taken: the test of large messages sends 64 MiB.
const LARGEST: usize = 128 << 20;

/// Answers a handshake.
fn accept(
    request: &Request,
    input: &BufReader<TcpStream>,
    mut output: TcpStream,
) -> io::Result<WebSocket<TcpStream>> {
    let Some(key) = request.header("sec-websocket-key") else {
        output.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        return Err(io::ErrorKind::InvalidData.into());
    };
    let accept = derive_accept_key(key.as_bytes());
    let protocol = request.header("sec-websocket-protocol").and_then(|list| list.split(',').next());
    let protocol =
        protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    write!(
        output,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}Set-Cookie: lost=1\r\n\r\n"
    )?;
    let config =
        WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let early = input.buffer().to_vec();
    Ok(WebSocket::from_partially_read(output, early, Role::Server, Some(config)))
}

/// Sends every message back.
pub fn echo(request: &Request, input: &BufReader<TcpStream>, output: TcpStream) -> io::Result<()> {
    let mut socket = accept(request, input, output)?;
    while let Ok(message) = socket.read() {
        let sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message),
            _ => socket.flush(),
        };
        if sent.is_err() {
            break;
        }
    }
    Ok(())
}

/// Tells everybody who said what.
pub fn socket(
    request: &Request,
    input: &BufReader<TcpStream>,
    output: TcpStream,
) -> io::Result<()> {
    let name = request.header("x-sandstorm-preferred-handle").unwrap_or("somebody").to_owned();
    let listener = output.try_clone()?;
    let mut socket = accept(request, input, output)?;
    LISTENERS.lock().unwrap().push(listener);
    while let Ok(message) = socket.read() {
        if let Message::Text(said) = message {
            let line = format!("{name}: {said}");
            // Short texts: one byte of length.
            let length = u8::try_from(line.len()).ok().filter(|length| *length < 126);
            let Some(length) = length else { break };
            let frame = [&[0x81, length], line.as_bytes()].concat();
            LISTENERS.lock().unwrap().retain_mut(|to| to.write_all(&frame).is_ok());
        }
    }
    Ok(())
}

/// The page. What it keeps in its cookie and its storage belongs to its origin alone.
pub fn page(output: &mut TcpStream) -> io::Result<()> {
    const PAGE: &str = "<!doctype html><title>Chat</title><ul id=log></ul>\
        <form id=form><input id=line autocomplete=off></form><output id=state></output><script>\
        const socket = new WebSocket(`ws://${location.host}/chat/socket`);\
        socket.onopen = () => state.value = 'open';\
        socket.onclose = () => state.value = 'closed';\
        socket.onmessage = event => { const item = document.createElement('li');\
            item.textContent = event.data; log.append(item); };\
        form.onsubmit = event => { event.preventDefault(); socket.send(line.value); line.value = ''; };\
        </script>";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        PAGE.len()
    );
    output.write_all(head.as_bytes())?;
    output.write_all(PAGE.as_bytes())?;
    output.shutdown(std::net::Shutdown::Write)?;
    // What the client still sends must not reset the connection before it has read all.
    let _ = output.read(&mut [0; 1024]);
    Ok(())
}
