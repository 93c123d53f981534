//! Asking again what was recorded.
//!
//! A new grain gives out new cookies and new names (`/notes/17`): what the app answers now takes
//! the place of what it answered then, in cookies and, for redirects, in later targets and bodies.

use std::collections::BTreeMap;

use crate::requests::Request;

use super::client::{Answer, Asked, ask};
use super::report::{Difference, Requests};
use super::session::Ready;

/// Values shorter than this are not looked for in targets and bodies: they would be found where
/// they mean something else.
const SHORTEST: usize = 6;

/// The recorded requests, and how they were answered.
#[derive(Default)]
pub struct Replay {
    requests: Vec<Request>,
    /// By user, then by name.
    jars: BTreeMap<String, BTreeMap<String, String>>,
    /// What the app called something then, and what it calls it now.
    renamed: Vec<(String, String)>,
    same: usize,
    different: Vec<Difference>,
    skipped: Vec<String>,
}

impl Replay {
    /// Nothing is asked yet.
    pub fn new(requests: Vec<Request>) -> Replay {
        Replay { requests, ..Replay::default() }
    }

    /// Asks one after the other, in the recorded order.
    pub async fn ask_all(&mut self, ready: &Ready) {
        if self.requests.is_empty() {
            return self.ask_first_page(ready).await;
        }
        for request in std::mem::take(&mut self.requests) {
            self.ask_again(&request, ready).await;
        }
    }

    async fn ask_first_page(&mut self, ready: &Ready) {
        let asked = Asked { method: "GET", target: "/", headers: Vec::new(), body: Vec::new() };
        let answer = ask(&ready.address, &ready.session, asked).await;
        match answer {
            Ok(answer) if answer.status < 500 => self.same += 1,
            answer => self.different.push(Difference {
                request: "GET /".into(),
                expected: "any answer but a failure".into(),
                got: answer.as_ref().map_or_else(Clone::clone, described),
            }),
        }
    }

    async fn ask_again(&mut self, request: &Request, ready: &Ready) {
        let name = format!("{} {}", request.method, request.target);
        let Some(body) = request.body() else {
            return self.skipped.push(format!("{name}: its body was too long to be recorded"));
        };
        let session = ready.session(&request.user);
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| match name.as_str() {
                "cookie" => ("cookie", self.cookies(&request.user, value)),
                name => (name, value.clone()),
            })
            .collect();
        let target = self.now_called(&request.target);
        let body = match String::from_utf8(body) {
            Ok(text) => self.now_called(&text).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        let asked = Asked { method: &request.method, target: &target, headers, body };
        let answer = ask(&ready.address, session, asked).await;
        if let Ok(answer) = &answer {
            self.learn(request, answer);
        }
        match answer {
            Ok(answer) if is_same(request, &answer) => self.same += 1,
            answer => self.different.push(Difference {
                request: name,
                expected: described(&Answer {
                    status: request.status,
                    content_type: request.content_type.clone(),
                    location: None,
                    cookies: Vec::new(),
                }),
                got: answer.as_ref().map_or_else(Clone::clone, described),
            }),
        }
    }

    /// The recorded `Cookie` header with the values that the app gives out now. A value that guards
    /// against forged requests is sent back by the page's forms too, and stays what they have.
    fn cookies(&self, user: &str, recorded: &str) -> String {
        let jar = self.jars.get(user);
        let now = |pair: &str| {
            let (name, value) = pair.trim().split_once('=')?;
            let guard = name.to_ascii_lowercase();
            let new = jar
                .and_then(|jar| jar.get(name))
                .filter(|_| !guard.contains("csrf") && !guard.contains("xsrf"));
            Some(format!("{name}={}", new.map_or(value, String::as_str)))
        };
        let pairs = recorded.split(';');
        pairs
            .map(|pair| now(pair).unwrap_or_else(|| pair.trim().to_owned()))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn now_called(&self, text: &str) -> String {
        self.renamed.iter().fold(text.to_owned(), |text, (then, now)| text.replace(then, now))
    }

    fn learn(&mut self, request: &Request, answer: &Answer) {
        let jar = self.jars.entry(request.user.clone()).or_default();
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.trim().split_once('=') {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        if let (Some(then), Some(now)) = (&request.location, &answer.location) {
            let renamed = differing(path_of(then), path_of(now));
            self.renamed.extend(renamed);
        }
    }

    /// What came of it.
    pub fn into_report(self, report: &mut Requests) {
        // What was not asked at all, because the app did not start.
        let unasked = self.requests.iter();
        report.skipped = self.skipped;
        report.skipped.extend(unasked.map(|asked| format!("{} {}", asked.method, asked.target)));
        report.same = self.same;
        report.different = self.different;
    }
}

/// A location without scheme and host, which are this session's.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => location,
    }
}

/// The parts of two paths of the same shape that are not the same.
fn differing(then: &str, now: &str) -> Vec<(String, String)> {
    let parts = |path: &str| -> Vec<String> {
        path.split(['/', '?', '&', '=', '#']).map(str::to_owned).collect()
    };
    let (then, now) = (parts(then), parts(now));
    if then.len() != now.len() {
        return Vec::new();
    }
    let pairs = then.into_iter().zip(now);
    pairs.filter(|(then, now)| then != now && then.len() >= SHORTEST).collect()
}

/// Same status, same media type. What a browser had in its cache then, it has not now.
fn is_same(request: &Request, answer: &Answer) -> bool {
    if request.status == 304 {
        return matches!(answer.status, 200 | 304);
    }
    let essence = |kind: &Option<String>| {
        let kind = kind.as_deref().unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    };
    request.status == answer.status
        && essence(&request.content_type) == essence(&answer.content_type)
}

fn described(answer: &Answer) -> String {
    match &answer.content_type {
        Some(kind) => format!("{} {kind}", answer.status),
        None => answer.status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: u16, kind: Option<&str>) -> Request {
        Request {
            user: "alice".into(),
            method: "GET".into(),
            target: "/".into(),
            headers: Vec::new(),
            body: Some(String::new()),
            status,
            content_type: kind.map(str::to_owned),
            location: None,
        }
    }

    fn answer(status: u16, kind: Option<&str>) -> Answer {
        let content_type = kind.map(str::to_owned);
        Answer { status, content_type, location: None, cookies: Vec::new() }
    }

    #[test]
    fn status_and_media_type_are_compared() {
        let html = request(200, Some("text/html; charset=utf-8"));
        assert!(is_same(&html, &answer(200, Some("Text/HTML"))));
        assert!(!is_same(&html, &answer(404, Some("text/html"))));
        assert!(!is_same(&html, &answer(200, Some("text/plain"))));
        assert!(!is_same(&html, &answer(200, None)));
        assert!(is_same(&request(304, None), &answer(200, Some("text/css"))));
        assert!(!is_same(&request(304, None), &answer(404, None)));
        assert!(is_same(&request(204, None), &answer(204, None)));
    }

    #[test]
    fn what_the_app_calls_things_now_takes_the_place_of_what_it_called_them() {
        let mut replay = Replay::default();
        let mut made = request(303, None);
        made.location = Some("http://then:1/notes/aaaaaaaa".into());
        let mut now = answer(303, None);
        now.location = Some("/notes/bbbbbbbb".into());
        now.cookies = vec!["sid=new; HttpOnly".into(), "csrftoken=new".into()];
        replay.learn(&made, &now);
        assert_eq!(replay.now_called("/notes/aaaaaaaa/edit"), "/notes/bbbbbbbb/edit");
        assert_eq!(
            replay.cookies("alice", "sid=old; csrftoken=old; x=y"),
            "sid=new; csrftoken=old; x=y"
        );
        assert_eq!(replay.cookies("bob", "sid=old"), "sid=old");
    }

    #[test]
    fn short_or_differently_shaped_names_are_left_alone() {
        assert!(differing("/notes/1", "/notes/2").is_empty());
        assert!(differing("/login", "/notes/22222222").is_empty());
    }
}
