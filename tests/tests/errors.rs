//! An error says its own part, and names its cause as its source or says it, never both: printed
//! with its causes, it would say the same twice. Read from the tokens of all sources.
#![allow(clippy::unwrap_used)]

use std::fs;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use spk_tests::sources::{house, rust_files};

/// One `#[error(…)]` and what it is on.
#[derive(Debug)]
struct Message {
    /// The variant, or the struct.
    name: String,
    /// Its fields that are causes: names, or numbers.
    causes: Vec<String>,
    /// Its fields that the text mentions; nothing if it cannot be told.
    mentions: Option<Vec<String>>,
}

impl Message {
    /// Whether the text has a cause in it.
    fn repeats(&self) -> bool {
        match &self.mentions {
            Some(mentions) => mentions.iter().any(|field| self.causes.contains(field)),
            None => !self.causes.is_empty(),
        }
    }
}

/// All messages of a source text.
fn messages(text: &str) -> Vec<Message> {
    let mut found = Vec::new();
    walk(text.parse().expect("the compiler takes it"), &mut found);
    found
}

fn walk(tokens: TokenStream, found: &mut Vec<Message>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        walk(group.stream(), found);
        let after_hash = at > 0 && is_punct(&tokens[at - 1], '#');
        if let (true, Some(message)) = (after_hash, attribute(group, "error")) {
            found.extend(described(message, &tokens[at + 1..]));
        }
    }
}

/// What stands in the parentheses of the attribute `[name(…)]`; `[name]` has nothing there.
fn attribute(group: &Group, name: &str) -> Option<TokenStream> {
    let mut tokens = group.stream().into_iter();
    let is_it = group.delimiter() == Delimiter::Bracket
        && matches!(tokens.next(), Some(TokenTree::Ident(ident)) if ident == name);
    match tokens.next() {
        _ if !is_it => None,
        None => Some(TokenStream::new()),
        Some(TokenTree::Group(inner)) => Some(inner.stream()),
        Some(_) => None,
    }
}

fn is_punct(token: &TokenTree, expected: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == expected)
}

/// `rest` follows the attribute: perhaps others, visibility and `struct`, then name and fields.
fn described(message: TokenStream, rest: &[TokenTree]) -> Option<Message> {
    let mut tokens = rest.iter().peekable();
    let name = loop {
        match tokens.next()? {
            TokenTree::Punct(_) | TokenTree::Group(_) => {}
            TokenTree::Ident(word) if word == "pub" || word == "struct" || word == "enum" => {}
            TokenTree::Ident(name) => break name.to_string(),
            TokenTree::Literal(_) => return None,
        }
    };
    // Between a name and its fields there are generics at most.
    let mut depth = 0_i32;
    let fields = tokens
        .take_while(|token| {
            depth += i32::from(is_punct(token, '<')) - i32::from(is_punct(token, '>'));
            depth > 0 || !is_punct(token, ',') && !is_punct(token, ';')
        })
        .find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket => Some(group),
            _ => None,
        });
    let fields = fields.map(causes).unwrap_or_default();
    Some(Message { name, mentions: mentions(message, &fields.0), causes: fields.1 })
}

/// The names (or numbers) of all fields, and of those that thiserror takes for the cause.
fn causes(fields: &Group) -> (Vec<String>, Vec<String>) {
    let (mut all, mut causes) = (Vec::new(), Vec::new());
    for (number, field) in split(fields.stream()).into_iter().enumerate() {
        let colon = |at: usize| {
            field.get(at).is_some_and(|token| is_punct(token, ':'))
                && !field.get(at + 1).is_some_and(|token| is_punct(token, ':'))
        };
        let named = fields.delimiter() == Delimiter::Brace;
        let name = field.iter().enumerate().find_map(|(at, token)| match token {
            TokenTree::Ident(name) if named && colon(at + 1) => Some(name.to_string()),
            _ => None,
        });
        let name = name.unwrap_or_else(|| number.to_string());
        let marked = field.iter().any(|token| match token {
            TokenTree::Group(group) => {
                attribute(group, "source").is_some() || attribute(group, "from").is_some()
            }
            _ => false,
        });
        if marked || name == "source" {
            causes.push(name.clone());
        }
        all.push(name);
    }
    (all, causes)
}

/// At the commas outside of groups and of generics.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let (mut parts, mut depth, mut arrow) = (vec![Vec::new()], 0_i32, false);
    for token in tokens {
        if is_punct(&token, '<') {
            depth += 1;
        } else if is_punct(&token, '>') && !arrow {
            depth -= 1;
        }
        arrow = is_punct(&token, '-');
        if depth == 0 && is_punct(&token, ',') {
            parts.push(Vec::new());
        } else {
            parts.last_mut().unwrap().push(token);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The fields that a message shows, whatever it does with them: those in the text's braces, and
/// those among the arguments. `transparent` says nothing of its own. Of another function's
/// text (`fmt = …`) nothing is known.
fn mentions(message: TokenStream, fields: &[String]) -> Option<Vec<String>> {
    let mut tokens = message.into_iter();
    let text = match tokens.next()? {
        TokenTree::Literal(text) => text.to_string(),
        TokenTree::Ident(word) if word == "transparent" => return Some(Vec::new()),
        _ => return None,
    };
    let mut found: Vec<String> = text
        .replace("{{", "")
        .split('{')
        .skip(1)
        .filter_map(|place| place.split([':', '}']).next())
        .map(|name| name.trim().to_owned())
        .collect();
    arguments(tokens.collect(), fields, &mut found);
    Some(found)
}

/// Names and numbers of fields among the tokens: `.0`, `.path`, and `path` alone.
fn arguments(tokens: TokenStream, fields: &[String], found: &mut Vec<String>) {
    let mut after_dot = false;
    for token in tokens {
        match &token {
            TokenTree::Group(group) => arguments(group.stream(), fields, found),
            TokenTree::Ident(name) => found.extend(fields.iter().filter(|f| name == *f).cloned()),
            // `.0.1` is one number for the tokenizer.
            TokenTree::Literal(number) if after_dot => {
                found.extend(number.to_string().split('.').next().map(str::to_owned));
            }
            _ => {}
        }
        after_dot = is_punct(&token, '.');
    }
}

/// Whether a text gives an error a cause by hand, which the rules above do not see.
fn has_a_source_by_hand(text: &str) -> bool {
    let tokens: Vec<String> =
        flat(text.parse().expect("the compiler takes it")).into_iter().collect();
    tokens.windows(3).any(|three| three == ["fn", "source", "("])
        && tokens.windows(2).any(|two| two == ["Error", "for"])
}

fn flat(tokens: TokenStream) -> Vec<String> {
    let mut all = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Parenthesis {
                    all.push("(".to_owned());
                }
                all.extend(flat(group.stream()));
            }
            token => all.push(token.to_string()),
        }
    }
    all
}

#[test]
fn the_reader_knows_every_way_to_mention_a_cause() {
    let repeating = [
        r#"#[error("it: {source}")] A { source: io::Error }"#,
        r#"#[error("it: {source:?}")] A { path: PathBuf, source: io::Error }"#,
        r#"#[error("it: {0}")] A(#[from] io::Error)"#,
        r#"#[error("{1}")] A(PathBuf, #[source] io::Error)"#,
        r#"#[error("{}: {}", .0.display(), .1)] A(PathBuf, #[source] io::Error)"#,
        r#"#[error("{}", .0.0)] A(#[source] Both)"#,
        r#"#[error("{}", words(.why))] A { #[source] why: Box<dyn Fn(u8) -> u8>, x: u8 }"#,
        r#"#[error("{}", why.kind())] A { map: Map<u8, u8>, #[source] pub why: io::Error }"#,
        r#"#[error("x")] #[doc = "y"] Other, #[error("a {{ {0}")] pub struct A<T, U>(#[from] T, U);"#,
        r#"#[error(fmt = words)] A { source: io::Error }"#,
    ];
    for text in repeating {
        let found = messages(text);
        let all = found.iter().map(|message| (&*message.name, message.repeats()));
        assert!(all.clone().any(|one| one == ("A", true)), "{text}: {found:?}");
        // Also in what surrounds it in reality.
        let inside = format!("mod a {{ #[derive(Error)] pub enum E {{ /// One.\n {text} }} }}");
        let found = messages(&inside);
        assert!(found.iter().any(Message::repeats), "{inside}: {found:?}");
    }
    let fine = [
        r#"#[error("it")] A { source: io::Error }"#,
        r#"#[error("it: {reason}")] A { reason: io::Error }"#,
        r#"#[error("it: {0}")] A(io::Error)"#,
        r#"#[error(transparent)] A(#[from] io::Error)"#,
        r#"#[error("{{source}} {}", .path.display())] A { path: PathBuf, source: io::Error }"#,
        r#"#[error("{0}")] A(String, #[source] io::Error)"#,
        r#"#[error("{}", .0.display())] A(HashMap<PathBuf, u8>, #[source] io::Error)"#,
        r#"#[error(fmt = words)] A { reason: io::Error }"#,
        r#"#[error("alone")] A, #[error("b {0}")] B(u8)"#,
    ];
    for text in fine {
        let found = messages(text);
        assert!(!found.is_empty() && !found.iter().any(Message::repeats), "{text}: {found:?}");
    }
    assert!(has_a_source_by_hand("impl std::error::Error for E { fn source(&self) {} }"));
    assert!(!has_a_source_by_hand("impl std::error::Error for E {} // fn source()"));
}

#[test]
fn no_error_says_its_cause_and_names_it_too() {
    let house = house();
    let (mut seen, mut with_cause, mut wrong) = (0, 0, Vec::new());
    for file in rust_files(house) {
        let text = fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(house).unwrap().display();
        for message in messages(&text) {
            seen += 1;
            with_cause += usize::from(!message.causes.is_empty());
            if message.repeats() {
                wrong.push(format!("{shown}: {}", message.name));
            }
        }
        if has_a_source_by_hand(&text) {
            wrong.push(format!("{shown}: a cause by hand, which this test cannot judge"));
        }
    }
    assert!(wrong.is_empty(), "causes that would be said twice:\n{}", wrong.join("\n"));
    assert!(seen > 200 && with_cause > 40, "{seen} messages, {with_cause} of them with causes");
}
