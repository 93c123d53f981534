//! Asking again what was recorded, and comparing the answers.
//!
//! A new grain gives out new cookies, tokens and names (`/notes/17`): what the app answers now takes
//! the place of what it answered then in later requests ([`Names`]). What cannot be asked again, and
//! what depends on that, is no fault of the package.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spk_host::serve::{KEPT_ANSWER, Visitor};
use tokio::task::JoinHandle;

use crate::client::{self, Answer, Asked, ask};
use crate::driving::Ready;
use crate::requests::Request;

use super::body::{self, Said};
use super::ignore::Ignore;
use super::names::Names;
use super::report::{Difference, Requests};
use super::tokens::{is_word, tokens, without_references};

/// How long an answer is waited for before the next request, where that had come before it in the
/// recording: events are waited for in one request while another makes them happen.
const GRACE: Duration = Duration::from_millis(300);
/// Shorter words are in many requests, whatever these depend on.
const SHORTEST: usize = 3;

/// Why it is no fault that what came after such a request is otherwise.
const UNCERTAIN: &str =
    "a request before it, in bytes of the app's own, was answered in another way";

type Asking = JoinHandle<Result<Answer, String>>;

/// What is asked, and what need not be minded.
#[derive(Clone, Default)]
pub struct Plan {
    /// In the recorded order.
    pub requests: Vec<Request>,
    /// Patterns of the developer.
    pub ignore: Ignore,
    /// Why the content of answers tells nothing, if it does not: files were changed after the
    /// recording.
    pub outdated: Option<String>,
}

/// The recorded requests, and how they were answered.
#[derive(Default)]
pub struct Replay {
    plan: Plan,
    /// By visitor, then by name: what was given out then, and now.
    jars: BTreeMap<Visitor, BTreeMap<String, (Option<String>, String)>>,
    names: Names,
    /// Whether a request that changed something could not be asked.
    is_incomplete: bool,
    /// Whether one in bytes that mean something to the app alone, in which nothing can be exchanged for
    /// what the new grain gives out, was answered with other bytes: it may not have done what it did.
    is_uncertain: bool,
    /// Words of recorded answers that have had no counterpart since then.
    lost: BTreeSet<String>,
    /// Targets asked so far, but those that what could not be asked may have made.
    asked: BTreeSet<String>,
    /// By request; nothing of those that were not asked.
    outcomes: BTreeMap<usize, Outcome>,
}

/// What came of one request.
enum Outcome {
    Same,
    Ignored,
    /// It could not be asked, and why.
    Skipped(String),
    /// Answered in another way; why that is no fault, if it is none.
    Different {
        got: String,
        excuse: Option<String>,
    },
    /// Answered with other content.
    Content {
        then: Said,
        now: Said,
        excuse: Option<String>,
    },
}

impl Replay {
    /// Nothing is asked yet.
    pub fn new(plan: Plan) -> Replay {
        Replay { plan, ..Replay::default() }
    }

    /// Asks one after the other, in the recorded order.
    pub async fn ask_all(&mut self, ready: &Ready) {
        let mut waiting: Vec<(usize, Asking)> = Vec::new();
        for index in 0..self.plan.requests.len() {
            let (number, until) = {
                let request = &self.plan.requests[index];
                (request.number, request.until)
            };
            // What had been answered before this came.
            while let Some(at) = waiting.iter().position(|(other, _)| self.until(*other) <= number)
            {
                let (other, asking) = waiting.remove(at);
                self.take(other, asking.await);
            }
            let Some((session, asked)) = self.prepare(index, ready) else { continue };
            let address = ready.address.clone();
            let mut asking = tokio::task::spawn_local(async move {
                ask(&address, &session, asked, KEPT_ANSWER).await
            });
            if until <= number + 1 {
                self.take(index, asking.await);
                continue;
            }
            tokio::select! {
                answer = &mut asking => self.take(index, answer),
                () = tokio::time::sleep(GRACE) => waiting.push((index, asking)),
            }
        }
        for (index, asking) in waiting {
            self.take(index, asking.await);
        }
    }

    fn until(&self, index: usize) -> u64 {
        self.plan.requests[index].until
    }

    /// The request as it is asked now, and the origin; nothing, if it cannot be asked.
    fn prepare(&mut self, index: usize, ready: &Ready) -> Option<(String, Asked)> {
        let request = &self.plan.requests[index];
        let skipped = |why: &str| Outcome::Skipped(why.to_owned());
        let Some(body) = request.body() else {
            self.is_incomplete |= changes(request);
            // What it made has the name that it led to.
            let made = request.location.as_deref().map(path_of).unwrap_or_default();
            self.lost.extend(last_part(made).map(str::to_owned));
            self.outcomes.insert(index, skipped("its body was too long to be recorded"));
            return None;
        };
        let (origin, token) = match (request.program, &ready.api) {
            (false, _) => (ready.session(&request.user, request.chosen.as_ref()).to_owned(), None),
            (true, Some(api)) => (api.url.clone(), Some(format!("Bearer {}", api.token))),
            (true, None) => {
                self.outcomes.insert(index, skipped("there is no API token"));
                return None;
            }
        };
        let now = |(name, value): &(String, String)| match name.as_str() {
            "cookie" => (name.clone(), self.cookies(request, value)),
            _ => (name.clone(), self.names.in_text(value)),
        };
        let mut headers: Vec<(String, String)> = request.headers.iter().map(now).collect();
        headers.extend(token.map(|token| ("authorization".to_owned(), token)));
        let is_form = request.headers.iter().any(|(name, value)| {
            name == "content-type" && value.starts_with("application/x-www-form-urlencoded")
        });
        let body = match String::from_utf8(body) {
            Ok(text) if is_form => self.names.in_encoded(&text).into_bytes(),
            Ok(text) => self.names.in_text(&text).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        let target = self.names.in_encoded(&request.target);
        Some((origin, Asked { method: request.method.clone(), target, headers, body }))
    }

    /// Takes in how a request was answered.
    fn take(
        &mut self,
        index: usize,
        answer: Result<Result<Answer, String>, tokio::task::JoinError>,
    ) {
        let answer = answer.unwrap_or_else(|error| Err(error.to_string()));
        let request = self.plan.requests[index].clone();
        let texts = answer.as_ref().ok().and_then(|answer| texts(&request, answer));
        if let Ok(answer) = &answer {
            self.learn(&request, answer, texts.as_ref());
        }
        let outcome = self.compare(&request, &answer, texts.as_ref());
        let differs = matches!(outcome, Outcome::Content { then: Said::Digest(_), .. });
        self.is_uncertain |= differs && changes(&request) && is_opaque(&request);
        if !matches!(outcome, Outcome::Different { excuse: Some(_), .. }) {
            self.asked.insert(request.target);
        }
        self.outcomes.insert(index, outcome);
    }

    fn compare(
        &self,
        request: &Request,
        answer: &Result<Answer, String>,
        texts: Option<&(String, String)>,
    ) -> Outcome {
        let Request { method, target, .. } = request;
        let got = answer.as_ref().map_or_else(Clone::clone, |answer| {
            described(answer.status, answer.content_type.as_deref())
        });
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let answer = answer.as_ref().ok().filter(|answer| is_same(request, answer));
        if self.plan.ignore.request(method, target) {
            return match answer {
                Some(_) => Outcome::Same,
                None => Outcome::Ignored,
            };
        }
        let Some(answer) = answer else {
            return Outcome::Different { got, excuse: self.excuse(request, status) };
        };
        let (then, now) = match texts {
            Some((then, now)) => {
                let then = self.names.in_text(then);
                (Said::Words(body::words(&then)), Said::Words(body::words(now)))
            }
            None => match (&request.digest, answer.digest) {
                (Some(then), Some(now)) => {
                    (Said::Digest(then.clone()), Said::Digest(STANDARD.encode(now)))
                }
                _ => return Outcome::Same,
            },
        };
        // Where another status is as good, what comes with it is another matter.
        let comparable = request.status == answer.status && request.status != 304;
        if !comparable || then.change(&now).is_none() {
            return Outcome::Same;
        }
        if self.plan.ignore.body(method, target) {
            return Outcome::Ignored;
        }
        let excuse = match (self.is_incomplete, self.is_uncertain) {
            (true, _) => Some("a request before it could not be asked again".to_owned()),
            (_, true) if !is_opaque(request) => Some(UNCERTAIN.to_owned()),
            _ => self.plan.outdated.clone(),
        };
        Outcome::Content { then, now, excuse }
    }

    /// Why it is no fault that a request is answered in another way, with `status` now, if it is none.
    fn excuse(&self, request: &Request, status: Option<u16>) -> Option<String> {
        if request.status >= 500 {
            return Some("in dev it failed, too".into());
        }
        if !self.is_incomplete {
            // That something is not there may come of it; that the app fails does not.
            let is_refused = matches!(status, Some(400..500));
            return (self.is_uncertain && is_refused && !self.asked.contains(&request.target))
                .then(|| UNCERTAIN.to_owned());
        }
        let body = request.body().and_then(|body| String::from_utf8(body).ok());
        let all = [request.target.as_str(), body.as_deref().unwrap_or_default()];
        let mut words = all.into_iter().flat_map(tokens);
        // What is first asked for after such a request may be what that made.
        let is_new = !self.asked.contains(&request.target);
        (is_new || words.any(|word| self.lost.contains(word)))
            .then(|| "it depends on a request that could not be asked again".to_owned())
    }

    /// The recorded `Cookie` header with the values that the app gives out now.
    fn cookies(&self, request: &Request, recorded: &str) -> String {
        let jar = self.jars.get(&request.visitor());
        let now = |pair: &str| {
            let (name, value) = pair.trim().split_once('=')?;
            let given = jar.and_then(|jar| jar.get(name));
            let new = match given {
                Some((Some(then), now)) if then == value => now.clone(),
                // Of a recording that has no answers: a value that guards against forged requests
                // is in the page's forms, too, and stays what they have.
                Some((None, now)) if !is_guard(name) => now.clone(),
                _ => self.names.in_text(value),
            };
            Some(format!("{name}={new}"))
        };
        let pairs = recorded.split(';');
        pairs
            .map(|pair| now(pair).unwrap_or_else(|| pair.trim().to_owned()))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn learn(&mut self, request: &Request, answer: &Answer, texts: Option<&(String, String)>) {
        let then: BTreeMap<&str, &str> = request.cookies.iter().filter_map(|c| pair(c)).collect();
        let jar = self.jars.entry(request.visitor()).or_default();
        for (name, value) in answer.cookies.iter().filter_map(|cookie| pair(cookie)) {
            let then = then.get(name).map(|&then| then.to_owned());
            if let Some(then) = &then {
                self.names.learn_value(then, value);
            }
            jar.insert(name.to_owned(), (then, value.to_owned()));
        }
        let mut lost = BTreeSet::new();
        if let (Some(then), Some(now)) = (&request.location, &answer.location) {
            lost.extend(self.names.learn(path_of(then), path_of(now)));
        }
        // Of an error page nothing is learned about the page.
        if let Some((then, now)) = texts.filter(|_| request.status == answer.status) {
            lost.extend(self.names.learn(then, now));
        }
        if self.is_incomplete {
            self.lost.extend(lost.into_iter().filter(|word| word.len() >= SHORTEST));
        }
    }

    /// Whether answers have other content than was recorded, so that it has to be known whether
    /// that is so each time.
    pub fn needs_second(&self) -> bool {
        let open = |outcome: &Outcome| matches!(outcome, Outcome::Content { excuse: None, .. });
        self.outcomes.values().any(open)
    }

    /// Takes in how another new grain answered: what is different from start to start is no fault.
    pub fn compare_with(&mut self, second: &Replay) {
        for (index, outcome) in &mut self.outcomes {
            let Outcome::Content { now, excuse: excuse @ None, .. } = outcome else { continue };
            let same = match second.outcomes.get(index) {
                Some(Outcome::Content { now: other, .. }) => now.change(other).is_none(),
                _ => false,
            };
            if !same {
                *excuse = Some("it is different each time".into());
            }
        }
    }

    /// The names that were in recorded answers, and are not in those of now.
    pub fn gone(&self) -> BTreeSet<String> {
        let change = |outcome: &Outcome| match outcome {
            Outcome::Content { then, now, excuse: None } => then.change(now),
            _ => None,
        };
        self.outcomes.values().filter_map(change).flat_map(|change| change.gone).collect()
    }

    /// What came of it.
    pub fn into_report(self, report: &mut Requests) {
        let mut outcomes = self.outcomes;
        for (index, request) in self.plan.requests.iter().enumerate() {
            let name = format!("{} {}", request.method, request.target);
            let expected = described(request.status, request.content_type.as_deref());
            let (got, excuse) = match outcomes.remove(&index) {
                Some(Outcome::Same) => {
                    report.same += 1;
                    continue;
                }
                Some(Outcome::Ignored) => {
                    report.ignored += 1;
                    continue;
                }
                Some(Outcome::Skipped(why)) => {
                    report.skipped.push(format!("{name}: {why}"));
                    continue;
                }
                // The app did not start.
                None => {
                    report.skipped.push(name);
                    continue;
                }
                Some(Outcome::Different { got, excuse }) => (got, excuse),
                Some(Outcome::Content { then, now, excuse }) => {
                    let change = then.change(&now).unwrap_or_default();
                    (format!("{expected}, {}", change.text()), excuse)
                }
            };
            let different = Difference { request: name, expected, got, excuse };
            match different.excuse {
                None => report.different.push(different),
                Some(_) => report.excused.push(different),
            }
        }
    }
}

/// Asks for the first page alone.
pub async fn first_page(ready: &Ready) -> Result<(), Difference> {
    let asked = Asked { method: "GET".into(), target: "/".into(), ..Asked::default() };
    match ask(&ready.address, &ready.session, asked, KEPT_ANSWER).await {
        Ok(answer) if answer.status < 500 => Ok(()),
        answer => Err(Difference {
            request: "GET /".into(),
            expected: "any answer but a failure".into(),
            got: answer.map_or_else(
                |error| error,
                |answer| described(answer.status, answer.content_type.as_deref()),
            ),
            excuse: None,
        }),
    }
}

/// The bodies of the recorded answer and of this one, if both are texts that are known.
fn texts(request: &Request, answer: &Answer) -> Option<(String, String)> {
    let kind = request.content_type.as_deref().filter(|kind| body::is_text(kind))?;
    let then = text(request.answer(), request.encoding.as_deref(), kind)?;
    let now = text(answer.body.clone(), answer.encoding.as_deref(), kind)?;
    Some((then, now))
}

fn text(body: Option<Vec<u8>>, encoding: Option<&str>, kind: &str) -> Option<String> {
    let text = client::text(&body?, encoding)?;
    Some(if kind.contains("html") { without_references(&text) } else { text })
}

/// Whether it may change something.
fn changes(request: &Request) -> bool {
    !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

/// Whether its body is in bytes that mean something to the app alone.
fn is_opaque(request: &Request) -> bool {
    let header = request.headers.iter().find(|(name, _)| name == "content-type");
    let kind = header.map(|(_, kind)| kind.to_ascii_lowercase()).unwrap_or_default();
    let is_upload =
        ["multipart/", "image/", "audio/", "video/"].iter().any(|of| kind.starts_with(of));
    !is_upload && request.body().is_some_and(|body| std::str::from_utf8(&body).is_err())
}

/// Name and value of a `Set-Cookie`.
fn pair(cookie: &str) -> Option<(&str, &str)> {
    cookie.split(';').next()?.trim().split_once('=')
}

fn is_guard(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("csrf") || name.contains("xsrf")
}

/// A location without scheme and host, which are this session's.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => location,
    }
}

/// The last word of a path.
fn last_part(path: &str) -> Option<&str> {
    tokens(path).into_iter().rev().find(|token| is_word(token))
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

fn described(status: u16, kind: Option<&str>) -> String {
    match kind {
        Some(kind) => format!("{status} {kind}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, status: u16, answer: &str) -> Request {
        Request {
            user: "alice".into(),
            method: method.into(),
            target: target.into(),
            body: Some(String::new()),
            status,
            content_type: Some("text/html".into()),
            answer: Some(STANDARD.encode(answer)),
            digest: Some(String::new()),
            ..Request::default()
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: Some("Text/HTML; charset=utf-8".into()),
            body: Some(body.into()),
            digest: Some([1; 32]),
            ..Answer::default()
        }
    }

    fn replay(requests: Vec<Request>) -> Replay {
        Replay::new(Plan { requests, ..Plan::default() })
    }

    fn reported(replay: Replay) -> Requests {
        let mut report = Requests::default();
        replay.into_report(&mut report);
        report
    }

    #[test]
    fn status_and_media_type_are_compared() {
        let html = request("GET", "/", 200, "");
        assert!(is_same(&html, &answer(200, "")));
        assert!(!is_same(&html, &answer(404, "")));
        let plain = Answer { content_type: Some("text/plain".into()), ..answer(200, "") };
        assert!(!is_same(&html, &plain));
        assert!(!is_same(&html, &Answer { content_type: None, ..answer(200, "") }));
        let cached = request("GET", "/", 304, "");
        assert!(is_same(&cached, &plain));
        assert!(!is_same(&cached, &answer(404, "")));
    }

    /// A repository's client sends what it got from the recorded grain: the new one takes none of it.
    #[test]
    fn what_was_said_in_an_app_s_own_bytes_may_not_have_been_done() {
        let bytes = |kind: &str, body: &[u8]| Request {
            content_type: Some("application/x-own".into()),
            headers: vec![("content-type".into(), kind.into())],
            body: Some(STANDARD.encode(body)),
            digest: Some(STANDARD.encode([2; 32])),
            ..request("POST", "/sync", 200, "")
        };
        let requests = |first: Request| {
            vec![
                request("GET", "/old", 200, "<p>alpha"),
                first,
                request("GET", "/old", 200, "<p>alpha"),
                request("GET", "/new", 200, ""),
                request("GET", "/failing", 200, ""),
                request("GET", "/old", 200, "<p>alpha"),
            ]
        };
        let excused = |first: Request| {
            let mut replay = replay(requests(first));
            let synced = Answer {
                content_type: Some("application/x-own".into()),
                body: None,
                ..answer(200, "")
            };
            let answers = [
                answer(200, "<p>alpha"),
                synced,
                answer(200, "<p>alpha <p>beta"),
                answer(404, ""),
                answer(500, ""),
                answer(404, ""),
            ];
            for (index, answer) in answers.into_iter().enumerate() {
                replay.take(index, Ok(Ok(answer)));
            }
            let excused = reported(replay).excused;
            excused.into_iter().map(|one| one.request).collect::<Vec<_>>()
        };
        let own = excused(bytes("application/x-own", &[0xff, 0]));
        // Not that it fails, and not that what was there before is gone.
        assert_eq!(own, ["GET /old", "GET /new"]);
        assert_eq!(excused(bytes("text/plain", b"text")), [""; 0]);
        assert_eq!(excused(bytes("image/png", &[0xff, 0])), [""; 0]);
        assert_eq!(excused(bytes("multipart/form-data; boundary=x", &[0xff, 0])), [""; 0]);
    }

    #[test]
    fn cookies_and_names_are_those_of_now() {
        let mut replay = replay(Vec::new());
        let mut made = request("POST", "/notes", 303, "");
        made.location = Some("http://then:1/notes/aaaaaaa1".into());
        made.cookies = vec!["sid=old; Path=/".into(), "csrftoken=old1234".into()];
        let mut now = answer(303, "");
        now.location = Some("/notes/bbbbbbb2".into());
        now.cookies = vec!["sid=new; HttpOnly".into(), "csrftoken=new1234".into()];
        replay.learn(&made, &now, None);
        assert_eq!(replay.names.in_encoded("/notes/aaaaaaa1/edit"), "/notes/bbbbbbb2/edit");
        assert_eq!(replay.names.in_encoded("token=old1234"), "token=new1234");
        assert_eq!(
            replay.cookies(&made, "sid=old; csrftoken=old1234; x=y"),
            "sid=new; csrftoken=new1234; x=y"
        );
        assert_eq!(replay.cookies(&made, "sid=mine"), "sid=mine", "not what the app gave out");
        let bob = Request { user: "bob".into(), ..Request::default() };
        assert_eq!(replay.cookies(&bob, "sid=old"), "sid=old");
    }

    #[test]
    fn a_recording_without_answers_keeps_what_its_forms_have() {
        let mut replay = replay(Vec::new());
        let old = Request { user: "alice".into(), ..Request::default() };
        let mut now = answer(200, "");
        now.cookies = vec!["sid=new".into(), "csrftoken=new".into()];
        replay.learn(&old, &now, None);
        assert_eq!(replay.cookies(&old, "sid=old; csrftoken=old"), "sid=new; csrftoken=old");
    }

    #[test]
    fn what_failed_in_dev_and_what_could_not_be_asked_is_no_fault() {
        let upload = Request { body: None, ..request("POST", "/upload", 303, "") };
        let list = request("GET", "/files", 200, "<li>a.txt <li>upload77.png");
        let file = request("GET", "/files/upload77.png", 200, "");
        let requests = vec![
            request("GET", "/before", 200, ""),
            request("GET", "/broken", 500, ""),
            upload,
            list,
            file.clone(),
            request("GET", "/before", 200, ""),
            Request { status: 206, ..file },
        ];
        let ready = Ready {
            address: String::new(),
            session: String::new(),
            visitors: Vec::new(),
            api: None,
        };
        let mut replay = replay(requests);
        replay.take(0, Ok(Ok(answer(200, ""))));
        replay.take(1, Ok(Ok(answer(404, ""))));
        assert!(replay.prepare(2, &ready).is_none());
        replay.take(3, Ok(Ok(answer(200, "<li>a.txt"))));
        replay.take(4, Ok(Ok(answer(404, ""))));
        replay.take(5, Ok(Ok(answer(404, ""))));
        replay.take(6, Ok(Ok(answer(404, ""))));
        let report = reported(replay);
        assert_eq!((report.same, report.skipped.len()), (1, 1));
        let excused: Vec<_> = report.excused.iter().map(|one| one.request.as_str()).collect();
        let upload = "GET /files/upload77.png";
        assert_eq!(excused, ["GET /broken", "GET /files", upload, upload]);
        let faults: Vec<_> = report.different.iter().map(|one| one.request.as_str()).collect();
        assert_eq!(faults, ["GET /before"], "it was there before the upload");
    }

    #[test]
    fn content_counts_where_it_is_the_same_each_time() {
        let requests =
            || vec![request("GET", "/", 200, "Guten Tag"), request("GET", "/r", 200, "alpha")];
        let asked = |random: &str| {
            let mut replay = replay(requests());
            replay.take(0, Ok(Ok(answer(200, "Hello"))));
            replay.take(1, Ok(Ok(answer(200, random))));
            replay
        };
        let mut first = asked("bravo");
        assert!(first.needs_second());
        first.compare_with(&asked("charlie"));
        assert!(first.gone().contains("Guten"));
        let report = reported(first);
        assert_eq!(report.different.len(), 1);
        assert!(report.different[0].got.contains("without: Guten, Tag"), "{report:?}");
        assert_eq!(report.excused[0].request, "GET /r");
    }

    #[test]
    fn patterns_and_an_old_recording_excuse() {
        let ignore = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("x"), text).unwrap();
            Ignore::load(&dir.path().join("x")).unwrap()
        };
        let requests = vec![request("GET", "/", 200, "one"), request("GET", "/x", 200, "")];
        let ignore = ignore("body /\nrequest GET /x\n");
        let mut ignoring = Replay::new(Plan { requests: requests.clone(), ignore, outdated: None });
        ignoring.take(0, Ok(Ok(answer(200, "two"))));
        ignoring.take(1, Ok(Ok(answer(500, ""))));
        let report = reported(ignoring);
        assert_eq!((report.ignored, report.different.len()), (2, 0));
        let plan = Plan { requests, outdated: Some("changed".into()), ..Plan::default() };
        let mut old = Replay::new(plan);
        old.take(0, Ok(Ok(answer(200, "two"))));
        assert!(!old.needs_second());
        assert_eq!(reported(old).excused[0].excuse.as_deref(), Some("changed"));
    }
}
