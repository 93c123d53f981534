//! Answers that the request itself prescribes.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::request::Request;

/// Plays steps separated by commas: hex digits are bytes to send; `w` and a number waits for so
/// many milliseconds; `r` ends with a reset; `e` waits for the client's end; `n` as the first step
/// leaves the body unread. At the end the connection closes.
pub fn play(
    steps: &str,
    request: &mut Request,
    input: &mut io::BufReader<TcpStream>,
    mut output: TcpStream,
) -> io::Result<()> {
    if !steps.starts_with('n') {
        request.read_body(input)?;
    }
    for step in steps.split(',') {
        match step.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'w') => {
                let time = step[1..].parse().map_err(io::Error::other)?;
                std::thread::sleep(Duration::from_millis(time));
            }
            Some(b'r') => {
                // Unread bytes make the kernel reset the connection when it closes; where there
                // are none, an option does.
                return nix::sys::socket::setsockopt(
                    &output,
                    nix::sys::socket::sockopt::Linger,
                    &libc::linger { l_onoff: 1, l_linger: 0 },
                )
                .map_err(io::Error::from);
            }
            Some(b'e') => {
                io::copy(input, &mut io::sink())?;
            }
            Some(_) => output.write_all(&unhex(step)?)?,
        }
    }
    Ok(())
}

fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(io::Error::other)?;
            u8::from_str_radix(pair, 16).map_err(io::Error::other)
        })
        .collect()
}
