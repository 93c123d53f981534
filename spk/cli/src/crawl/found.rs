//! What a document leads to.

use std::borrow::Cow;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::frontier::Why;
use super::style;

/// Paths that are taken from one script or one piece of data.
const NAMED: usize = 200;
/// Their length.
const LONGEST: usize = 200;
/// What files that pages load are called, where nothing else says that a text is a path.
const EXTENSIONS: [&str; 24] = [
    ".js", ".mjs", ".css", ".json", ".html", ".htm", ".svg", ".png", ".jpg", ".jpeg", ".gif",
    ".webp", ".ico", ".woff", ".woff2", ".ttf", ".wasm", ".txt", ".md", ".xml", ".pdf", ".mp3",
    ".mp4", ".php",
];
/// What a script has before the address that it loads.
const LOADING: [&str; 8] =
    ["fetch(", "import(", "import", "from", "Worker(", "URL(", "importScripts(", "EventSource("];
/// What is typed into a field without a value.
const WORD: &str = "test";
/// `application/x-www-form-urlencoded` keeps these as they are, and letters and digits.
const FORM: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');
const BOUNDARY: &str = "----spk-crawl-7d1f0c9a4b2e";

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What references count from, if it is not the document's own address.
    pub base: Option<String>,
    /// As they are written, and what they are for.
    pub references: Vec<(Why, String)>,
    /// Forms with a value in each field.
    pub forms: Vec<Form>,
}

/// A form, as a person would send it who types a word here and there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether it may change something.
    pub posts: bool,
    /// As it is written; empty: the page.
    pub action: String,
    /// Whether its content is sent in parts.
    pub multipart: bool,
    /// Names and values in order.
    pub fields: Vec<(String, String)>,
    /// Names of fields for files.
    pub files: Vec<String>,
}

impl Form {
    /// The fields as a query.
    pub fn encoded(&self) -> String {
        let part = |text: &str| utf8_percent_encode(text, FORM).to_string().replace(' ', "+");
        let pairs =
            self.fields.iter().map(|(name, value)| format!("{}={}", part(name), part(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Type and content of what is posted.
    pub fn body(&self) -> (String, Vec<u8>) {
        if !self.multipart {
            return ("application/x-www-form-urlencoded".to_owned(), self.encoded().into_bytes());
        }
        let mut body = String::new();
        let name = |name: &str| name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        for (field, value) in &self.fields {
            body += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{value}\r\n",
                name(field)
            );
        }
        for field in &self.files {
            body += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"test.txt\"\r\n\
                 Content-Type: text/plain\r\n\r\n{WORD}\n\r\n",
                name(field)
            );
        }
        body += &format!("--{BOUNDARY}--\r\n");
        (format!("multipart/form-data; boundary={BOUNDARY}"), body.into_bytes())
    }
}

impl Found {
    /// What a document of a `Content-Type` leads to; nothing, if it is of a kind that leads nowhere.
    pub fn of(kind: &str, text: &str) -> Found {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut found = Found::default();
        match kind.as_str() {
            "text/css" => found.style(text),
            kind if kind.contains("html") || kind.ends_with("xml") => found.markup(text),
            kind if kind.contains("script") || kind.ends_with("json") => found.script(text),
            _ => {}
        }
        found
    }

    fn add(&mut self, why: Why, reference: impl Into<String>) {
        self.references.push((why, reference.into()));
    }

    fn markup(&mut self, text: &str) {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut reader = Reader::default();
        for token in Tokenizer::new_with_emitter(text, emitter) {
            match token {
                Ok(Token::StartTag(tag)) => reader.open(self, &tag),
                Ok(Token::String(text)) => reader.text += &String::from_utf8_lossy(&text),
                Ok(Token::EndTag(tag)) => reader.close(self, &tag.name),
                _ => {}
            }
        }
        reader.close(self, b"form");
    }

    fn style(&mut self, text: &str) {
        let addresses = style::addresses(text).into_iter();
        self.references.extend(addresses.map(|address| (Why::Loaded, address)));
    }

    /// Strings that look like paths; of JSON as well.
    fn script(&mut self, text: &str) {
        let mut taken = 0;
        let mut rest = text;
        while taken < NAMED
            && let Some(at) = rest.find(['"', '\'', '`'])
        {
            let before = rest[..at].trim_end();
            let (quote, inside) = (rest.as_bytes()[at], &rest[at + 1..]);
            let Some(end) = string_end(inside, quote) else { break };
            let (string, after) = (&inside[..end], &inside[end + 1..]);
            let string = string.replace("\\/", "/");
            let loaded = LOADING.iter().any(|word| before.ends_with(word));
            if (loaded && is_plain(&string)) || is_path(&string) {
                // Modules are loaded with the script that imports them.
                let why = if loaded && !before.ends_with('(') { Why::Loaded } else { Why::Named };
                self.add(why, string);
                taken += 1;
            }
            rest = after;
        }
    }
}

/// Where a string ends that begins before `text`; nothing, if it does not on its line. A quote that begins
/// none, as in a comment or a pattern, has at most one line taken for a string.
fn string_end(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote || (byte == b'\n' && quote != b'`') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether a string may be an address at all.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && !text.contains("/:")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-~%?=&+@,:#!".contains(c))
}

/// Whether it is most likely one.
fn is_path(text: &str) -> bool {
    if !is_plain(text) {
        return false;
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    let rooted = text.strip_prefix('/').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    });
    let dotted = text.starts_with("./") || text.starts_with("../");
    let is_file = EXTENSIONS.iter().any(|extension| {
        lower.strip_suffix(extension).is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
    });
    rooted || dotted || (is_file && !text.contains(':'))
}

/// What markup is in the middle of.
#[derive(Default)]
struct Reader {
    /// The text since the last tag that counts.
    text: String,
    form: Option<Form>,
    /// Whether the form has a button that is sent with it.
    has_button: bool,
    /// Name, and the value that is sent, of the list of choices that is open.
    select: Option<(String, Option<String>)>,
    /// Name of the field for a longer text that is open.
    area: Option<String>,
    /// Groups of which one choice was taken.
    chosen: Vec<String>,
}

impl Reader {
    fn open(&mut self, found: &mut Found, tag: &StartTag<()>) {
        self.text.clear();
        let get = |name: &str| attribute(tag, name);
        let mut take = |why: Why, name: &str| {
            if let Some(value) = get(name) {
                found.add(why, value);
            }
        };
        let name: &[u8] = &tag.name;
        match name {
            b"a" | b"area" => take(Why::Followed, "href"),
            b"script" | b"img" | b"iframe" | b"frame" | b"embed" | b"audio" | b"video"
            | b"source" | b"track" => {
                take(Why::Loaded, "src");
                take(Why::Loaded, "poster");
            }
            b"object" => take(Why::Loaded, "data"),
            b"body" | b"table" | b"td" => take(Why::Loaded, "background"),
            // Of SVG.
            b"image" | b"use" => {
                take(Why::Loaded, "href");
                take(Why::Loaded, "xlink:href");
            }
            b"link" => {
                let rel = get("rel").unwrap_or_default().to_ascii_lowercase();
                let loads = |rel: &str| {
                    matches!(
                        rel,
                        "stylesheet"
                            | "icon"
                            | "apple-touch-icon"
                            | "mask-icon"
                            | "manifest"
                            | "preload"
                            | "modulepreload"
                            | "prefetch"
                    )
                };
                let loads = rel.split_ascii_whitespace().any(loads);
                take(if loads { Why::Loaded } else { Why::Followed }, "href");
            }
            b"base" => found.base = found.base.take().or_else(|| get("href").map(Cow::into_owned)),
            b"meta" => {
                let refresh =
                    get("http-equiv").is_some_and(|of| of.eq_ignore_ascii_case("refresh"));
                if let Some((_, url)) = get("content").as_deref().and_then(|c| c.split_once(['=']))
                    && refresh
                {
                    found.add(Why::Followed, url.trim().trim_matches(['"', '\'']));
                }
            }
            _ => {}
        }
        if let Some(srcset) = get("srcset").or_else(|| get("imagesrcset")) {
            let first = |part: &str| part.split_ascii_whitespace().next().map(str::to_owned);
            // An address may have commas in it, but none is followed by a space.
            srcset
                .split(", ")
                .filter_map(first)
                .for_each(|url| found.add(Why::Loaded, url.trim_end_matches(',')));
        }
        if let Some(style) = get("style") {
            found.style(&style);
        }
        if let Some(inner) = get("srcdoc") {
            found.markup(&inner);
        }
        for (name, value) in &tag.attributes {
            let value = String::from_utf8_lossy(value);
            match &name[..] {
                b"hx-get" => found.add(Why::Followed, value),
                name if name.starts_with(b"data-") && is_path(&value) => {
                    found.add(Why::Named, value)
                }
                name if name.starts_with(b"on") => found.script(&value),
                _ => {}
            }
        }
        self.field(found, tag);
    }

    /// What belongs to a form.
    fn field(&mut self, found: &mut Found, tag: &StartTag<()>) {
        let get = |name: &str| attribute(tag, name).map(Cow::into_owned);
        let has = |name: &str| attribute(tag, name).is_some();
        let name = get("name").filter(|name| !name.is_empty());
        let value = get("value");
        let kind = get("type").unwrap_or_default().to_ascii_lowercase();
        match &tag.name[..] {
            b"form" => {
                self.close(found, b"form");
                let method = get("method").unwrap_or_default().to_ascii_lowercase();
                if method != "dialog" {
                    self.form = Some(Form {
                        posts: method == "post",
                        action: get("action").unwrap_or_default(),
                        multipart: get("enctype")
                            .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data")),
                        ..Form::default()
                    });
                }
            }
            b"input" if kind == "image" && has("src") => {
                found.add(Why::Loaded, get("src").unwrap_or_default());
            }
            b"option" => {
                if let Some((_, chosen)) = &mut self.select
                    && (chosen.is_none() || has("selected"))
                    && !has("disabled")
                {
                    *chosen = Some(value.unwrap_or_default());
                }
            }
            b"select" => self.select = name.map(|name| (name, None)),
            b"textarea" => self.area = name,
            b"input" | b"button" => {
                let is_button = tag.name[..] == *b"button";
                let Some(form) = &mut self.form else { return };
                let Some(name) = name.filter(|_| !has("disabled")) else { return };
                let value = match kind.as_str() {
                    "submit" | "image" if !self.has_button => value.unwrap_or_default(),
                    "" if is_button && !self.has_button => value.unwrap_or_default(),
                    "submit" | "image" | "button" | "reset" => return,
                    _ if is_button => return,
                    "file" => return form.files.push(name),
                    "checkbox" if !has("checked") => return,
                    "radio" if self.chosen.contains(&name) => return,
                    "checkbox" | "radio" => value.unwrap_or_else(|| "on".to_owned()),
                    kind => value
                        .filter(|value| !value.is_empty())
                        .unwrap_or_else(|| typed(kind).to_owned()),
                };
                if is_button || kind == "submit" || kind == "image" {
                    self.has_button = true;
                }
                if kind == "radio" {
                    self.chosen.push(name.clone());
                }
                form.fields.push((name, value));
            }
            _ => {}
        }
    }

    fn close(&mut self, found: &mut Found, name: &[u8]) {
        match name {
            b"style" => found.style(&self.text),
            b"script" => found.script(&self.text),
            // Feeds and site maps have addresses as text.
            b"loc" | b"link" if self.text.contains("://") => {
                found.add(Why::Followed, self.text.trim())
            }
            b"textarea" => {
                if let (Some(form), Some(name)) = (&mut self.form, self.area.take()) {
                    let text = if self.text.trim().is_empty() { WORD } else { &self.text };
                    form.fields.push((name, text.to_owned()));
                }
            }
            b"select" => {
                if let (Some(form), Some((name, Some(value)))) =
                    (&mut self.form, self.select.take())
                {
                    form.fields.push((name, value));
                }
            }
            b"form" => {
                found.forms.extend(self.form.take());
                (self.has_button, self.select, self.area) = (false, None, None);
                self.chosen.clear();
            }
            _ => return,
        }
        self.text.clear();
    }
}

fn attribute<'a>(tag: &'a StartTag<()>, name: &str) -> Option<Cow<'a, str>> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value))
}

/// What a person types into a field of a kind.
fn typed(kind: &str) -> &'static str {
    match kind {
        "hidden" => "",
        "number" | "range" => "1",
        "email" => "test@example.com",
        "url" => "http://example.com/",
        "tel" => "5550100",
        "date" => "2024-02-29",
        "time" => "12:00",
        "datetime-local" => "2024-02-29T12:00",
        "month" => "2024-02",
        "week" => "2024-W09",
        "color" => "#336699",
        _ => WORD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, text: &str) -> Vec<(Why, String)> {
        Found::of(kind, text).references
    }

    fn only(kind: &str, text: &str, wanted: Why) -> Vec<String> {
        let references = of(kind, text).into_iter();
        references.filter(|(why, _)| *why == wanted).map(|(_, reference)| reference).collect()
    }

    #[test]
    fn what_browsers_load_with_a_page() {
        let page = r#"<!doctype html><base href="/base/"><link rel="stylesheet" href=a.css>
            <link rel="Shortcut Icon" href=icon.png><script src="b.js"></script><img src='c.png'
            srcset="d.png 1x, e.png 2x"><video poster=f.jpg><source src=g.mp4></video><svg><use
            href="h.svg#x"/></svg><div style="background: url(i.png)"></div><iframe src=j></iframe>
            <style>@import "k.css"; a { b: url('l.png') }</style><object data=m.svg></object>
            <input type=image src=n.gif><iframe srcdoc="<img src=o.png>"></iframe>"#;
        let expected: Vec<String> = [
            "a.css", "icon.png", "b.js", "c.png", "d.png", "e.png", "f.jpg", "g.mp4", "h.svg#x",
            "i.png", "j", "k.css", "l.png", "m.svg", "n.gif", "o.png",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(only("text/html; charset=utf-8", page, Why::Loaded), expected);
        assert_eq!(Found::of("text/html", page).base.as_deref(), Some("/base/"));
    }

    #[test]
    fn what_a_person_can_follow() {
        let page = r##"<a href="/x?a=1&amp;b=2">x</a><a name=y>no</a><area href=z><link rel=next href=n>
            <meta http-equiv=refresh content="0; url='/r'"><button hx-get="/part">p</button>
            <!-- <a href=comment> --><script>"<a href=script>"</script>"##;
        let expected = ["/x?a=1&b=2", "z", "n", "/r", "/part"];
        assert_eq!(only("text/html", page, Why::Followed), expected);
        let feed = "<rss><link>http://h/1</link><title>http</title></rss>";
        assert_eq!(only("application/rss+xml", feed, Why::Followed), ["http://h/1"]);
    }

    #[test]
    fn addresses_in_style_sheets() {
        let sheet = "/* url(no.png) */ @import url(a.css); @import 'b.css' print; \
            @font-face { src: url(\"c.woff2\") format('woff2'), url(d.ttf) } \
            @media x { a { b: image-set('e.png' 1x) } } f::after { content: 'no.png' } ((((";
        let expected = ["a.css", "b.css", "c.woff2", "d.ttf", "e.png"];
        assert_eq!(only("text/css", sheet, Why::Loaded), expected);
        // However deep it is.
        let deep = "{".repeat(100_000) + "url(x)";
        assert!(only("text/css", &deep, Why::Loaded).len() <= 1);
    }

    #[test]
    fn addresses_in_scripts_and_data() {
        let script = r#"import a from "./a.js"; import 'b.js'; fetch("api/items?x=1"); x = '/rooted';
            new Worker("w"); y = `${z}/no`; k = "text/html"; p = "/:id"; m = "a b.js"; it's
            q = "/q"; s = "style.css"; r = /["']/;
            t = "/after""#;
        let loaded = only("text/javascript", script, Why::Loaded);
        assert_eq!(loaded, ["./a.js", "b.js"]);
        let named = only("application/javascript", script, Why::Named);
        assert_eq!(named, ["api/items?x=1", "/rooted", "w", "/q", "style.css", "/after"]);
        let data = r#"{"url": "\/notes\/1", "kind": "text/plain", "x": "a\"b", "n": "/n.png"}"#;
        assert_eq!(only("application/json", data, Why::Named), ["/notes/1", "/n.png"]);
    }

    #[test]
    fn forms_are_filled_in() {
        let page = r#"<input name=outside><form action=/s><input name=q><input name=n type=number>
            <input type=hidden name=h value=1><input type=checkbox name=c><input type=checkbox name=d
            checked><input type=radio name=r value=1><input type=radio name=r value=2><select name=s>
            <option value=a>A<option value=b selected>B</select><textarea name=t></textarea>
            <button name=go value=1>Go</button><button name=no>No</button><input name=x disabled></form>
            <form method=POST enctype=multipart/form-data><textarea name=u>old</textarea><input type=file
            name=f></form><form method=dialog><input name=z></form><form action=/open><input name=o>"#;
        let forms = Found::of("text/html", page).forms;
        assert_eq!(forms.len(), 3);
        assert_eq!((forms[0].posts, forms[0].action.as_str()), (false, "/s"));
        assert_eq!(forms[0].encoded(), "q=test&n=1&h=1&d=on&r=1&s=b&t=test&go=1");
        assert!(forms[1].posts && forms[1].action.is_empty());
        let (kind, body) = forms[1].body();
        let body = String::from_utf8(body).unwrap();
        assert!(kind.starts_with("multipart/form-data; boundary="));
        assert!(body.contains("name=\"u\"\r\n\r\nold\r\n"), "{body}");
        assert!(body.contains("name=\"f\"; filename=\"test.txt\""), "{body}");
        assert_eq!(forms[2].encoded(), "o=test");
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_taken(
            kind in "text/html|text/css|text/javascript|application/json",
            text in "(<(a|form|input|select|script|style)[ a-z='\"]{0,9}>|\\PC|[{}()'\"`\\\\\n]){0,60}",
        ) {
            Found::of(&kind, &text);
        }
    }
}
