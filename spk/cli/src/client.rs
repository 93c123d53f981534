//! A small HTTP client: one request, one connection, to the front end on loopback.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http::header::{self, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

/// How long an answer's head may take: longer than any front end waits.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long, and how much of, an answer's body is read. Streams of events never end.
const BODY_TIME: Duration = Duration::from_secs(5);
const BODY_LENGTH: usize = 256 << 20;
/// An unpacked text's length, at most: one that packs well may be much longer than its body.
const UNPACKED: u64 = 8 << 20;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers without those of the connection.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Content-Encoding`.
    pub encoding: Option<String>,
    /// `Set-Cookie`, each.
    pub cookies: Vec<String>,
    /// The body, if all of it came and it is not longer than what was to be kept.
    pub body: Option<Vec<u8>>,
    /// SHA-256 of the body, if all of it came.
    pub digest: Option<[u8; 32]>,
}

impl Answer {
    /// The body as text, unpacked, if there is all of it.
    pub fn text(&self) -> Option<String> {
        text(self.body.as_deref()?, self.encoding.as_deref())
    }
}

/// A body as text, unpacked; nothing, if it is packed in an unknown way or wrongly.
pub fn text(body: &[u8], encoding: Option<&str>) -> Option<String> {
    let mut unpacked = Vec::new();
    let body: &[u8] = match encoding.unwrap_or("identity") {
        "identity" => body,
        "gzip" => {
            GzDecoder::new(body).take(UNPACKED).read_to_end(&mut unpacked).ok()?;
            &unpacked
        }
        "deflate" => {
            ZlibDecoder::new(body).take(UNPACKED).read_to_end(&mut unpacked).ok()?;
            &unpacked
        }
        _ => return None,
    };
    Some(String::from_utf8_lossy(body).into_owned())
}

/// Asks `address` as the origin `session` (`http://host:port/`); of the body, `kept` bytes are kept at
/// most, of a longer one none.
///
/// # Errors
/// In words: what went wrong with the connection.
pub async fn ask(
    address: &str,
    session: &str,
    asked: Asked,
    kept: usize,
) -> Result<Answer, String> {
    let answered = tokio::time::timeout(HEAD_TIME, head(address, session, asked));
    let (mut answer, body) =
        answered.await.map_err(|_| format!("no answer within {} s", HEAD_TIME.as_secs()))??;
    let endless = answer.content_type.as_deref().is_some_and(|kind| kind.contains("event-stream"));
    if !endless {
        match tokio::time::timeout(BODY_TIME, read(body, kept)).await {
            Ok(Err(error)) => return Err(format!("the answer was cut short: {error}")),
            Ok(Ok(read)) => (answer.body, answer.digest) = read,
            Err(_) => {}
        }
    }
    Ok(answer)
}

async fn head(
    address: &str,
    session: &str,
    asked: Asked,
) -> Result<(Answer, hyper::body::Incoming), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let host = session.trim_start_matches("http://").trim_end_matches('/');
    let mut request = http::Request::builder()
        .method(asked.method.as_str())
        .uri(asked.target.as_str())
        .body(Full::new(Bytes::from(asked.body)))
        .map_err(|error| say(&error))?;
    let headers = request.headers_mut();
    for (name, value) in asked.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            headers.append(name, value);
        }
    }
    let host = HeaderValue::from_str(host).map_err(|error| say(&error))?;
    headers.insert(header::HOST, host);
    let stream = TcpStream::connect(address).await.map_err(|error| say(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| say(&error))?;
    // Ends with the answer; what goes wrong with it, the answer says.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(|error| say(&error))?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers();
    let answer = Answer {
        status: response.status().as_u16(),
        content_type: headers.get(header::CONTENT_TYPE).map(text),
        location: headers.get(header::LOCATION).map(text),
        encoding: headers.get(header::CONTENT_ENCODING).map(text),
        cookies: headers.get_all(header::SET_COOKIE).iter().map(text).collect(),
        ..Answer::default()
    };
    Ok((answer, response.into_body()))
}

/// A body, as far as it is kept, and its digest; neither of one that is longer than anybody reads.
async fn read(
    mut body: hyper::body::Incoming,
    limit: usize,
) -> Result<(Option<Vec<u8>>, Option<[u8; 32]>), hyper::Error> {
    let (mut kept, mut length, mut digest) = (Vec::new(), 0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(piece) = frame.data_ref() else { continue };
        length += piece.len();
        if length > BODY_LENGTH {
            return Ok((None, None));
        }
        digest.update(piece);
        if length <= limit {
            kept.extend_from_slice(piece);
        }
    }
    Ok(((length <= limit).then_some(kept), Some(digest.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_answers_are_unpacked() {
        let mut packed = Vec::new();
        let mut encoder =
            flate2::read::GzEncoder::new(&b"a&amp;b"[..], flate2::Compression::fast());
        encoder.read_to_end(&mut packed).unwrap();
        assert_eq!(text(&packed, Some("gzip")).unwrap(), "a&amp;b");
        assert_eq!(text(&packed, Some("br")), None);
        assert_eq!(text(b"x", Some("gzip")), None);
        assert_eq!(text(b"x", None).unwrap(), "x");
    }
}
