//! What came of a crawl, in words.

use std::collections::BTreeMap;

use crate::client::Answer;
use crate::ui::Ui;

use super::frontier::{Step, Why};

/// Addresses that are named, at most.
const NAMED: usize = 10;

/// See the module.
pub struct Report {
    visitors: Vec<Visitor>,
    /// How much was not asked for want of time or requests.
    pub left: usize,
    /// How the first page was answered to the first visitor.
    first: Option<Result<u16, String>>,
    /// Faults of the app, and links that lead nowhere.
    failed: Vec<String>,
    broken: Vec<String>,
}

struct Visitor {
    name: String,
    /// By status.
    answers: BTreeMap<u16, usize>,
    errors: usize,
}

impl Report {
    /// Of visitors by these names.
    pub fn new(names: Vec<String>) -> Report {
        let visitor = |name| Visitor { name, answers: BTreeMap::new(), errors: 0 };
        let visitors = names.into_iter().map(visitor).collect();
        Report { visitors, left: 0, first: None, failed: Vec::new(), broken: Vec::new() }
    }

    /// How many requests were made.
    pub fn asked(&self) -> usize {
        self.visitors.iter().map(|v| v.answers.values().sum::<usize>() + v.errors).sum()
    }

    /// How one was answered.
    pub fn take(&mut self, step: &Step, answer: Result<Answer, String>) {
        if self.first.is_none() {
            self.first = Some(answer.as_ref().map(|answer| answer.status).map_err(Clone::clone));
        }
        let visitor = &mut self.visitors[step.who];
        match &answer {
            Ok(answer) => *visitor.answers.entry(answer.status).or_default() += 1,
            Err(_) => visitor.errors += 1,
        }
        let method = if step.body.is_some() { "POST" } else { "GET" };
        let from = step.from.as_ref().map(|from| format!(", from {from}")).unwrap_or_default();
        let line =
            |what: &str| format!("{method} {}: {what} (as {}{from})", step.target, visitor.name);
        match &answer {
            Ok(answer) if answer.status >= 500 => {
                self.failed.push(line(&answer.status.to_string()))
            }
            Err(error) => self.failed.push(line(error)),
            // That somebody may not see something is as it should be, and a guess may be wrong.
            Ok(answer)
                if matches!(answer.status, 404 | 410)
                    && matches!(step.why, Why::Loaded | Why::Followed) =>
            {
                self.broken.push(line(&answer.status.to_string()));
            }
            Ok(_) => {}
        }
    }

    /// Why nothing was seen of the app, if that is so.
    pub fn failure(&self) -> Option<String> {
        match self.first.as_ref()? {
            Ok(200..400) => None,
            Ok(status) => Some(format!(
                "the app's first page, /, was answered with {status}: there was nothing to follow"
            )),
            Err(error) => Some(format!("the app's first page, /, could not be had: {error}")),
        }
    }

    /// One line for each visitor, and what went wrong.
    pub fn tell(&self, ui: &Ui) {
        for visitor in &self.visitors {
            let count =
                |count: usize, status: &dyn std::fmt::Display| format!("{count} × {status}");
            let mut parts: Vec<_> =
                visitor.answers.iter().map(|(status, &number)| count(number, status)).collect();
            if visitor.errors > 0 {
                parts.push(count(visitor.errors, &"no answer"));
            }
            ui.note(format!("crawled as {}: {}", visitor.name, parts.join(", ")));
        }
        if self.left > 0 {
            let text = "requests were left when the limit was met: --crawl=LIMITS sets another";
            ui.warn(format!("{} {text}", self.left));
        }
        named(&self.failed, "the app failed:", |line| ui.warn(line));
        named(&self.broken, "the app's pages lead to what it does not have:", |line| ui.note(line));
    }
}

fn named(lines: &[String], heading: &str, tell: impl Fn(String)) {
    if lines.is_empty() {
        return;
    }
    tell(heading.to_owned());
    lines.iter().take(NAMED).for_each(|line| tell(format!("  {line}")));
    if lines.len() > NAMED {
        tell(format!("  and {} more", lines.len() - NAMED));
    }
}
