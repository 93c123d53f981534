//! What is still to be asked, the most promising first, and each only once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::found::Form;

/// How something came to be asked for; what browsers load comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A browser loads it with the page.
    Loaded,
    /// A person can follow it.
    Followed,
    /// Something of a script or of data that looks like a path.
    Named,
    /// It may end the session or take something away: after all others.
    Leaves,
}

/// Addresses that are the same but for numbers and values, at most, of each kind: a calendar has no end.
const ALIKE: usize = 20;
/// The same of what pages load: pictures, parts of a script.
const ALIKE_LOADED: usize = 300;
/// A page's address is that long at most.
const LONGEST: usize = 2000;
/// What addresses that end or delete something have in them.
const LEAVING: [&str; 11] = [
    "logout",
    "log-out",
    "log_out",
    "signout",
    "sign-out",
    "sign_out",
    "delete",
    "remove",
    "destroy",
    "uninstall",
    "reset",
];

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose, by number.
    pub who: usize,
    /// Why.
    pub why: Why,
    /// Path and query.
    pub target: String,
    /// Type and content of what is posted.
    pub body: Option<(String, Vec<u8>)>,
    /// Path and query of the page that led there.
    pub from: Option<String>,
    /// How many pages a person would have gone through.
    depth: usize,
}

/// See the module.
pub struct Frontier {
    posts: bool,
    waiting: BinaryHeap<Reverse<(Why, usize, usize)>>,
    steps: Vec<Option<Step>>,
    known: HashSet<(usize, String, Option<Vec<u8>>)>,
    alike: HashMap<(usize, Why, String), usize>,
}

impl Frontier {
    /// `posts`: whether forms are taken that change something.
    pub fn new(posts: bool) -> Frontier {
        Frontier {
            posts,
            waiting: BinaryHeap::new(),
            steps: Vec::new(),
            known: HashSet::new(),
            alike: HashMap::new(),
        }
    }

    /// A visitor opens the app.
    pub fn begin(&mut self, who: usize) {
        let first = |target: &str, why| Step {
            who,
            why,
            target: target.to_owned(),
            body: None,
            from: None,
            depth: 0,
        };
        self.push(first("/", Why::Followed));
        // Browsers ask for it wherever they are.
        self.push(first("/favicon.ico", Why::Named));
    }

    /// What a page leads to.
    pub fn add(&mut self, page: &Step, why: Why, target: String) {
        // Parts of parts belong to the page, and what a guess leads to is a guess.
        let (why, depth) = match (page.why, why) {
            (Why::Named | Why::Leaves, Why::Followed) => (Why::Named, page.depth + 1),
            (_, Why::Loaded) => (Why::Loaded, page.depth),
            (_, why) => (why, page.depth + 1),
        };
        let from = Some(page.target.clone());
        self.push(Step { who: page.who, why, target, body: None, from, depth });
    }

    /// Where an answer sends the browser.
    pub fn add_redirect(&mut self, step: &Step, target: String) {
        let (why, from, depth) = (step.why, step.from.clone(), step.depth);
        self.push(Step { who: step.who, why, target, body: None, from, depth });
    }

    /// A form of a page, whose action is `target`.
    pub fn add_form(&mut self, page: &Step, form: &Form, target: &str) {
        let from = Some(page.target.clone());
        let (who, depth) = (page.who, page.depth + 1);
        let step =
            |target: String, body| Step { who, why: Why::Followed, target, body, from, depth };
        if !form.posts {
            let path = target.split('?').next().unwrap_or_default();
            let query = form.encoded();
            let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
            self.push(step(target, None));
        } else if self.posts {
            self.push(step(target.to_owned(), Some(form.body())));
        }
    }

    /// The next request, if there is any.
    pub fn next(&mut self) -> Option<Step> {
        let Reverse((.., index)) = self.waiting.pop()?;
        self.steps[index].take()
    }

    /// How many there are.
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    fn push(&mut self, mut step: Step) {
        if step.target.len() > LONGEST {
            return;
        }
        let target = step.target.to_ascii_lowercase();
        if step.why != Why::Loaded && LEAVING.iter().any(|word| target.contains(word)) {
            step.why = Why::Leaves;
        }
        let body = step.body.as_ref().map(|(_, body)| body.clone());
        if !self.known.insert((step.who, step.target.clone(), body)) {
            return;
        }
        let most = if step.why == Why::Loaded { ALIKE_LOADED } else { ALIKE };
        let count = self.alike.entry((step.who, step.why, shape(&step))).or_default();
        *count += 1;
        if *count > most {
            return;
        }
        // Those of all visitors in turn.
        self.waiting.push(Reverse((step.why, step.depth, self.steps.len())));
        self.steps.push(Some(step));
    }
}

/// What an address has in common with others of its kind: its path without numbers, the names in its query.
fn shape(step: &Step) -> String {
    let (path, query) = step.target.split_once('?').unwrap_or((&step.target, ""));
    let mut shape = String::from(if step.body.is_some() { "POST " } else { "" });
    let mut in_number = false;
    for c in path.chars() {
        if !c.is_ascii_digit() {
            shape.push(c);
        } else if !in_number {
            shape.push('0');
        }
        in_number = c.is_ascii_digit();
    }
    let mut names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    names.sort_unstable();
    names.dedup();
    format!("{shape}?{}", names.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(frontier: &mut Frontier) -> Vec<String> {
        std::iter::from_fn(|| frontier.next()).map(|step| step.target).collect()
    }

    #[test]
    fn what_a_page_needs_comes_before_where_it_leads() {
        let mut frontier = Frontier::new(false);
        frontier.begin(0);
        let page = frontier.next().unwrap();
        for (why, target) in [
            (Why::Named, "/api"),
            (Why::Followed, "/logout"),
            (Why::Followed, "/about"),
            (Why::Loaded, "/style.css"),
            (Why::Followed, "/about"),
        ] {
            frontier.add(&page, why, target.to_owned());
        }
        assert_eq!(
            drained(&mut frontier),
            ["/style.css", "/about", "/favicon.ico", "/api", "/logout"]
        );
    }

    #[test]
    fn nothing_is_asked_for_ever() {
        let mut frontier = Frontier::new(false);
        frontier.begin(0);
        let page = frontier.next().unwrap();
        for day in 0..1000 {
            frontier.add(&page, Why::Followed, format!("/day/{day}?from={day}"));
            frontier.add(&page, Why::Loaded, format!("/{day}.png"));
        }
        let days = drained(&mut frontier).iter().filter(|t| t.starts_with("/day")).count();
        assert_eq!(days, ALIKE);
    }

    #[test]
    fn visitors_ask_in_turn_and_each_for_all() {
        let mut frontier = Frontier::new(false);
        frontier.begin(0);
        frontier.begin(1);
        let (first, second) = (frontier.next().unwrap(), frontier.next().unwrap());
        assert_eq!((first.who, second.who), (0, 1));
        for page in [&first, &second] {
            frontier.add(page, Why::Followed, "/x".to_owned());
        }
        let both = (frontier.next().unwrap(), frontier.next().unwrap());
        assert_eq!((both.0.who, both.1.who), (0, 1));
    }

    #[test]
    fn forms_that_change_something_are_left_alone_unless_wanted() {
        for posts in [false, true] {
            let mut frontier = Frontier::new(posts);
            frontier.begin(0);
            let page = frontier.next().unwrap();
            let form = |posts| Form {
                posts,
                fields: vec![("q".to_owned(), "a b".to_owned())],
                ..Form::default()
            };
            frontier.add_form(&page, &form(true), "/notes");
            frontier.add_form(&page, &form(false), "/search?old=1");
            let steps: Vec<Step> = std::iter::from_fn(|| frontier.next()).collect();
            let posted: Vec<_> = steps.iter().filter(|step| step.body.is_some()).collect();
            assert_eq!(posted.len(), usize::from(posts));
            assert!(steps.iter().any(|step| step.target == "/search?q=a+b"), "{steps:?}");
        }
    }
}
