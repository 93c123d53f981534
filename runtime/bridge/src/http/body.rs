//! Where a response body ends, and taking the framing off it in place.

use super::head::Head;
use super::trim;
use crate::error::Error;
use crate::limits;

/// How the end of a body is found (http-bridge §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is none, whatever the headers say: answers to HEAD, 204, 205, 304.
    None,
    /// That many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the app closes the connection.
    UntilEof,
}

impl Framing {
    /// The framing of the body behind `head`, in answer to HEAD if `to_head`.
    pub fn of(head: &Head, to_head: bool) -> Result<Framing, Error> {
        if to_head || matches!(head.status, 204 | 205 | 304) {
            return Ok(Framing::None);
        }
        let last_coding = head
            .all("transfer-encoding")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(trim)
            .filter(|coding| !coding.is_empty())
            .last();
        match last_coding {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            Some(coding) if !coding.eq_ignore_ascii_case(b"identity") => Ok(Framing::UntilEof),
            _ => Ok(content_length(head)?.map_or(Framing::UntilEof, Framing::Length)),
        }
    }
}

/// The announced length. Several equal values count as one (RFC 9112 6.3).
pub fn content_length(head: &Head) -> Result<Option<u64>, Error> {
    let mut length = None;
    for value in head.all("content-length").flat_map(|value| value.split(|&byte| byte == b',')) {
        let number = trim(value);
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return Err(Error::NotHttp("Content-Length is not a number"));
        }
        let number = str::from_utf8(number)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(Error::NotHttp("Content-Length is too large"))?;
        if length.is_some_and(|length| length != number) {
            return Err(Error::NotHttp("several different Content-Length headers"));
        }
        length = Some(number);
    }
    Ok(length)
}

/// Takes the framing off a body that arrives in pieces.
pub struct Decoder {
    state: State,
    extras: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Length(u64),
    UntilEof,
    ChunkSize { value: u64, digits: u8 },
    ChunkExtension { value: u64 },
    ChunkData(u64),
    ChunkDataEnd,
    TrailerStart,
    Trailer,
    Done,
}

impl Decoder {
    /// A decoder for a body with this framing.
    pub fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize { value: 0, digits: 0 },
            Framing::UntilEof => State::UntilEof,
        };
        Decoder { state, extras: 0 }
    }

    /// Whether the whole body has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The app closed the connection: the end of the body if that is how it ends.
    pub fn eof(&mut self) -> Result<(), Error> {
        match self.state {
            State::Done => Ok(()),
            State::UntilEof => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Error::BrokenBody("the app closed the connection in the middle of it")),
        }
    }

    /// Reduces `bytes[from..]`, which just arrived, to the body's own bytes. What follows a
    /// complete body is cut off, and so is what follows a malformed place.
    pub fn decode(&mut self, bytes: &mut Vec<u8>, from: usize) -> Result<(), Error> {
        let mut written = from;
        let decoded = self.compact(bytes, from, &mut written);
        bytes.truncate(written);
        decoded
    }

    /// Moves the body's own bytes among `bytes[from..]` together; `written` is where they end.
    fn compact(&mut self, bytes: &mut [u8], from: usize, written: &mut usize) -> Result<(), Error> {
        let mut read = from;
        while read < bytes.len() {
            let left = bytes.len() - read;
            match self.state {
                State::Done => break,
                State::UntilEof => {
                    *written = copy(bytes, read, *written, left);
                    read += left;
                }
                State::Length(remaining) | State::ChunkData(remaining) => {
                    let take =
                        usize::try_from(remaining).map_or(left, |remaining| remaining.min(left));
                    *written = copy(bytes, read, *written, take);
                    read += take;
                    let remaining = remaining - take as u64;
                    self.state = match (self.state, remaining) {
                        (State::Length(_), 0) => State::Done,
                        (State::Length(_), _) => State::Length(remaining),
                        (_, 0) => State::ChunkDataEnd,
                        _ => State::ChunkData(remaining),
                    };
                }
                _ => {
                    self.state = self.framing_byte(bytes[read])?;
                    read += 1;
                }
            }
        }
        Ok(())
    }

    fn framing_byte(&mut self, byte: u8) -> Result<State, Error> {
        let state = match (self.state, byte) {
            (State::ChunkSize { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Error::BrokenBody("chunk size too large"));
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                return Ok(State::ChunkSize { value: value << 4 | digit, digits: digits + 1 });
            }
            (State::ChunkSize { digits: 0, .. }, _) => {
                return Err(Error::BrokenBody("malformed chunk size"));
            }
            (State::ChunkSize { value, .. } | State::ChunkExtension { value }, b'\n') => {
                return Ok(if value == 0 { State::TrailerStart } else { State::ChunkData(value) });
            }
            (State::ChunkSize { value, .. }, b'\r' | b';' | b' ' | b'\t') => {
                State::ChunkExtension { value }
            }
            (State::ChunkExtension { .. }, _) => self.state,
            (State::ChunkDataEnd, b'\r') => State::ChunkDataEnd,
            (State::ChunkDataEnd, b'\n') => return Ok(State::ChunkSize { value: 0, digits: 0 }),
            (State::TrailerStart, b'\n') => return Ok(State::Done),
            (State::TrailerStart, b'\r') => State::TrailerStart,
            (State::Trailer, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::Trailer, _) => State::Trailer,
            _ => return Err(Error::BrokenBody("malformed chunk")),
        };
        if matches!(self.state, State::ChunkExtension { .. } | State::TrailerStart | State::Trailer)
        {
            self.extras += 1;
            if self.extras > limits::CHUNK_EXTRAS {
                return Err(Error::BrokenBody("too many chunk extensions or trailers"));
            }
        }
        Ok(state)
    }
}

fn copy(bytes: &mut [u8], read: usize, written: usize, length: usize) -> usize {
    if read != written {
        bytes.copy_within(read..read + length, written);
    }
    written + length
}

#[cfg(test)]
mod tests {
    use super::super::head;
    use super::*;

    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Error> {
        let mut decoder = Decoder::new(framing);
        let mut body = Vec::new();
        for piece in pieces {
            let from = body.len();
            body.extend_from_slice(piece);
            decoder.decode(&mut body, from)?;
        }
        Ok((body, decoder.is_done()))
    }

    #[test]
    fn chunks_in_any_split() {
        let input = b"3\r\nabc\r\n1F;x=y\r\n0123456789012345678901234567890\r\n2 \nde\n0\r\nT: x\r\n\r\nextra";
        for split in 0..=input.len() {
            let (body, done) =
                decode(Framing::Chunked, &[&input[..split], &input[split..]]).unwrap();
            assert_eq!(body, b"abc0123456789012345678901234567890de", "{split}");
            assert!(done);
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(Framing::Chunked, &bytes).unwrap().0.len(), 36);
    }

    #[test]
    fn bad_chunks() {
        for input in ["x\r\n", "\r\n", "-1\r\n", "3\r\nabcd\r\n", "12345678901234567\r\n"] {
            assert!(decode(Framing::Chunked, &[input.as_bytes()]).is_err(), "{input:?}");
        }
        let mut before = b"3\r\nabc\r\n2\r\nde\r\nzz\r\nfg".to_vec();
        assert!(Decoder::new(Framing::Chunked).decode(&mut before, 0).is_err());
        assert_eq!(before, b"abcde");
        let endless = [b"1;".as_slice(), &vec![b'x'; limits::CHUNK_EXTRAS + 2]].concat();
        assert!(decode(Framing::Chunked, &[&endless]).is_err());
        let mut many = Decoder::new(Framing::Chunked);
        for _ in 0..2 * limits::CHUNK_EXTRAS {
            let mut chunk = b"1\r\na\r\n".to_vec();
            many.decode(&mut chunk, 0).unwrap();
            assert_eq!(chunk, b"a");
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(decode(Framing::Length(3), &[b"ab", b"cde"]).unwrap(), (b"abc".to_vec(), true));
        assert_eq!(decode(Framing::Length(0), &[b"x"]).unwrap(), (vec![], true));
        assert_eq!(decode(Framing::UntilEof, &[b"ab"]).unwrap(), (b"ab".to_vec(), false));
        assert!(Decoder::new(Framing::Length(3)).eof().is_err());
        assert!(Decoder::new(Framing::Chunked).eof().is_err());
        assert!(Decoder::new(Framing::UntilEof).eof().is_ok());
    }

    #[test]
    fn framing_of_heads() {
        let cases = [
            ("200 OK\r\nContent-Length: 5", false, Some(Framing::Length(5))),
            (
                "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: Chunked",
                false,
                Some(Framing::Chunked),
            ),
            (
                "200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5",
                false,
                Some(Framing::Length(5)),
            ),
            ("200 OK\r\nContent-Length: 5\r\nContent-Length: 5", false, Some(Framing::Length(5))),
            ("200 OK\r\nContent-Length: 5\r\nContent-Length: 6", false, None),
            ("200 OK\r\nContent-Length: +5", false, None),
            ("200 OK\r\nContent-Length: 99999999999999999999", false, None),
            ("200 OK\r\nX: y", false, Some(Framing::UntilEof)),
            ("304 Not Modified\r\nContent-Length: 7", false, Some(Framing::None)),
            ("200 OK\r\nContent-Length: 7", true, Some(Framing::None)),
        ];
        for (text, to_head, framing) in cases {
            let head = head::parse(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(Framing::of(&head, to_head).ok(), framing, "{text}");
        }
    }
}
