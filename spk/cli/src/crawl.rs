//! Uses a served app as a person would who clicks on everything: follows what its pages lead to, in each
//! role.
//!
//! HTTP only, no browser: pages, style sheets, scripts and data are read for what a browser would load
//! and a person could follow. Forms that only ask are sent with values that fit their fields; those that
//! change something only when that is wanted.

mod address;
mod found;
mod frontier;
mod report;
mod style;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::client::{Answer, Asked, ask};
use crate::driving::Ready;
use crate::error::{CliError, Result};
use crate::ui::Ui;

use found::Found;
use frontier::{Frontier, Step};
use report::Report;

pub use frontier::Why;

/// What a browser says of itself. Apps make pages for browsers.
const BROWSER: &str = "Mozilla/5.0 (compatible; spk crawl)";
const PAGES: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// As much of an answer is read for what it leads to: bundles of scripts are long.
const READ: usize = 8 << 20;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests, all visitors together.
    pub requests: usize,
    /// From the first request on.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { requests: 2000, time: Duration::from_secs(60) }
    }
}

impl std::str::FromStr for Limits {
    type Err = String;

    /// `500`, `30s`, `2m`, or one of each: `500,2m`.
    fn from_str(text: &str) -> std::result::Result<Limits, String> {
        let wrong =
            || format!("{text:?} is no limit: it is like 500 (requests), 90s or 2m, or 500,90s");
        let mut limits = Limits::default();
        for part in text.split(',').map(str::trim) {
            let digits = part.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number: u32 = digits.parse().map_err(|_| wrong())?;
            match &part[digits.len()..] {
                _ if number == 0 => return Err(wrong()),
                "" => limits.requests = number as usize,
                "s" => limits.time = Duration::from_secs(number.into()),
                "m" => limits.time = Duration::from_secs(u64::from(number) * 60),
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }
}

/// One crawl, and what came of it.
#[derive(Clone)]
pub struct Crawl {
    limits: Limits,
    posts: bool,
    report: Rc<RefCell<Option<Report>>>,
}

/// Who looks: their own session, and what the app's answers made of it.
struct Visitor {
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Crawl {
    /// `posts`: whether forms are sent that change something.
    pub fn new(limits: Limits, posts: bool) -> Crawl {
        Crawl { limits, posts, report: Rc::default() }
    }

    /// Crawls as the user, in each role that was announced, and as an anonymous visitor, in turn. Whether
    /// anything was seen of the app.
    pub async fn run(&self, ready: &Ready, ui: &Ui) -> bool {
        let mut names = vec!["the user".to_owned()];
        let mut visitors = vec![Visitor::new(&ready.session)];
        for visitor in &ready.visitors {
            names.push(visitor.described());
            visitors.push(Visitor::new(&visitor.session));
        }
        ui.note(format!("crawling as {}", names.join(", ")));
        let mut report = Report::new(names);
        let mut frontier = Frontier::new(self.posts);
        (0..visitors.len()).for_each(|who| frontier.begin(who));
        let end = Instant::now() + self.limits.time;
        while report.asked() < self.limits.requests
            && Instant::now() < end
            && let Some(step) = frontier.next()
        {
            let visitor = &mut visitors[step.who];
            let answer = ask(&ready.address, &visitor.origin, visitor.request(&step), READ).await;
            if let Ok(answer) = &answer {
                visitor.take_cookies(answer);
                follow(&mut frontier, &step, answer, &visitor.origin);
            }
            report.take(&step, answer);
        }
        report.left = frontier.left();
        let seen = report.failure().is_none();
        self.report.replace(Some(report));
        seen
    }

    /// Tells what came of it.
    ///
    /// # Errors
    /// The app's first page could not be had, so that nothing was seen of the app; or it was interrupted.
    pub fn outcome(&self, ui: &Ui) -> Result<()> {
        let Some(report) = self.report.take() else {
            return Err(CliError::new("interrupted before the crawl was done"));
        };
        report.tell(ui);
        report.failure().map_or(Ok(()), |failure| Err(CliError::new(failure)))
    }
}

impl Visitor {
    fn new(session: &str) -> Visitor {
        let origin = session.trim_end_matches('/').to_owned();
        Visitor { origin, cookies: BTreeMap::new() }
    }

    fn request(&self, step: &Step) -> Asked {
        let mut headers = vec![
            ("user-agent", BROWSER.to_owned()),
            ("accept", if step.why == Why::Loaded { "*/*" } else { PAGES }.to_owned()),
            ("accept-language", "en-US,en;q=0.9".to_owned()),
            ("accept-encoding", "gzip, deflate".to_owned()),
        ];
        if let Some(from) = &step.from {
            headers.push(("referer", format!("{}{from}", self.origin)));
        }
        if let Some((kind, _)) = &step.body {
            headers.push(("origin", self.origin.clone()));
            headers.push(("content-type", kind.clone()));
        }
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
            headers.push(("cookie", pairs.collect::<Vec<_>>().join("; ")));
        }
        Asked {
            method: if step.body.is_some() { "POST" } else { "GET" }.to_owned(),
            target: step.target.clone(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: step.body.as_ref().map(|(_, body)| body.clone()).unwrap_or_default(),
        }
    }

    /// A browser's jar, without paths and dates: it is for one app and for a minute.
    fn take_cookies(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let is_over = |part: &str| {
                part.split_once('=').is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("max-age")
                        && value.trim().parse::<i64>().is_ok_and(|age| age <= 0)
                })
            };
            if parts.any(is_over) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Puts what an answer leads to on the way.
fn follow(frontier: &mut Frontier, step: &Step, answer: &Answer, origin: &str) {
    let page = format!("{origin}{}", step.target);
    if let Some(location) = &answer.location {
        if let Some(target) = address::within(&page, location) {
            frontier.add_redirect(step, target);
        }
        return;
    }
    // What answers to a guess is no page that a person sees, but may be data that names others.
    let (Some(kind), Some(text)) = (&answer.content_type, answer.text()) else { return };
    let found = Found::of(kind, &text);
    let base = found.base.as_deref().and_then(|base| address::absolute(&page, base));
    let base = base.as_deref().unwrap_or(&page);
    for (why, reference) in &found.references {
        if let Some(target) = address::within(base, reference) {
            frontier.add(step, *why, target);
        }
    }
    for form in &found.forms {
        // An empty action is the page itself, whatever its base.
        let action = if form.action.is_empty() {
            Some(page.clone())
        } else {
            address::absolute(base, &form.action)
        };
        if let Some(target) = action.and_then(|action| address::within(&page, &action)) {
            frontier.add_form(step, form, &target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_and_times() {
        let limits = |text: &str| text.parse::<Limits>().map(|l| (l.requests, l.time.as_secs()));
        assert_eq!(limits("500"), Ok((500, 60)));
        assert_eq!(limits("90s"), Ok((2000, 90)));
        assert_eq!(limits("500, 2m"), Ok((500, 120)));
        for wrong in ["", "0", "s", "5x", "-3", "500,", "1.5m", "99999999999"] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cookies_are_kept_until_they_are_taken_back() {
        let mut visitor = Visitor::new("http://x.localhost:1/");
        let mut take = |cookies: &[&str]| {
            let cookies = cookies.iter().map(|&cookie| cookie.to_owned()).collect();
            visitor.take_cookies(&Answer { cookies, ..Answer::default() });
            visitor.cookies.clone().into_iter().collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(take(&["a=1; Path=/", "b=x=y"]), [pair("a", "1"), pair("b", "x=y")]);
        assert_eq!(take(&["a=2", "b=; max-age=0", "none"]), [pair("a", "2")]);
    }
}
