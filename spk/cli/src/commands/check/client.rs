//! A small HTTP client: one request, one connection, to the front end on loopback.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long an answer's head may take: longer than any front end waits.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long, and how much of, an answer's body is read. Streams of events never end.
const BODY_TIME: Duration = Duration::from_secs(5);
const BODY_LENGTH: usize = 256 << 20;

/// A request.
pub struct Asked<'a> {
    /// Method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Headers without those of the connection.
    pub headers: Vec<(&'a str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Set-Cookie`, each.
    pub cookies: Vec<String>,
}

/// Asks `address` as the origin `session` (`http://host:port/`).
///
/// # Errors
/// In words: what went wrong with the connection.
pub async fn ask(address: &str, session: &str, asked: Asked<'_>) -> Result<Answer, String> {
    let answered = tokio::time::timeout(HEAD_TIME, head(address, session, asked));
    let (answer, body) =
        answered.await.map_err(|_| format!("no answer within {} s", HEAD_TIME.as_secs()))??;
    let endless = answer.content_type.as_deref().is_some_and(|kind| kind.contains("event-stream"));
    if !endless {
        let read = tokio::time::timeout(BODY_TIME, drain(body)).await;
        if let Ok(Err(error)) = read {
            return Err(format!("the answer was cut short: {error}"));
        }
    }
    Ok(answer)
}

async fn head(
    address: &str,
    session: &str,
    asked: Asked<'_>,
) -> Result<(Answer, hyper::body::Incoming), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let host = session.trim_start_matches("http://").trim_end_matches('/');
    let mut request = http::Request::builder()
        .method(asked.method)
        .uri(asked.target)
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
        cookies: headers.get_all(header::SET_COOKIE).iter().map(text).collect(),
    };
    Ok((answer, response.into_body()))
}

async fn drain(mut body: hyper::body::Incoming) -> Result<(), hyper::Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
        if length > BODY_LENGTH {
            break;
        }
    }
    Ok(())
}
