//! The addresses in a style sheet.
//!
//! Of CSS only what is lexical matters for these: comments, strings, escapes, and what stands behind `url(`,
//! `src(`, in `image-set(` and behind `@import`. The kept parsers that are licensed as the rest of `spk` is do not
//! give tokens.

/// As they are written, unescaped, in order.
pub fn addresses(text: &str) -> Vec<String> {
    let mut reader =
        Reader { rest: text, found: Vec::new(), sets: Vec::new(), depth: 0, import: false };
    while reader.step().is_some() {}
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    found: Vec<String>,
    /// How deep the lists of images stand that are open.
    sets: Vec<usize>,
    /// Parentheses that are open.
    depth: usize,
    /// Whether an `@import` waits for its address.
    import: bool,
}

impl<'a> Reader<'a> {
    /// Reads one token; nothing at the end.
    fn step(&mut self) -> Option<()> {
        let first = self.rest.chars().next()?;
        if let Some(comment) = self.rest.strip_prefix("/*") {
            self.rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            return Some(());
        }
        match first {
            '"' | '\'' => {
                let string = self.string(first);
                if self.import || self.sets.last() == Some(&self.depth) {
                    self.found.push(string);
                }
                self.import = false;
            }
            '(' => {
                self.depth += 1;
                self.skip(first);
            }
            ')' => {
                self.sets.pop_if(|depth| *depth == self.depth);
                self.depth = self.depth.saturating_sub(1);
                self.skip(first);
            }
            c if is_of_name(c) || c == '@' => self.name(),
            c => {
                self.import &= c.is_whitespace();
                self.skip(c);
            }
        }
        Some(())
    }

    fn skip(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
    }

    /// A name, and what it opens.
    fn name(&mut self) {
        let mut behind_first = self.rest.char_indices().skip(1);
        let length =
            behind_first.find(|(_, c)| !is_of_name(*c)).map_or(self.rest.len(), |(at, _)| at);
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        let name = name.to_ascii_lowercase();
        self.import &= name == "url";
        let Some(inside) = rest.strip_prefix('(') else {
            self.import = name == "@import";
            return;
        };
        self.rest = inside;
        self.depth += 1;
        match name.as_str() {
            "url" | "src" => {
                self.rest = inside.trim_start();
                let address = match self.rest.chars().next() {
                    Some(quote @ ('"' | '\'')) => self.string(quote),
                    _ => self.until(|c| c == ')').trim_end().to_owned(),
                };
                self.found.push(address);
                self.import = false;
            }
            name if name.ends_with("image-set") => self.sets.push(self.depth),
            _ => {}
        }
    }

    /// The string that begins here; a line ends one that is not closed.
    fn string(&mut self, quote: char) -> String {
        self.skip(quote);
        let string = self.until(|c| c == quote || c == '\n');
        let end = self.rest.chars().next();
        end.into_iter().for_each(|c| self.skip(c));
        string
    }

    /// What comes before the first character that is an `end` and not escaped, unescaped.
    fn until(&mut self, end: impl Fn(char) -> bool) -> String {
        let mut said = String::new();
        while let Some(c) = self.rest.chars().next() {
            if end(c) {
                break;
            }
            self.skip(c);
            if c != '\\' {
                said.push(c);
                continue;
            }
            said.extend(self.escaped());
        }
        said
    }

    /// What stands behind a backslash: six hexadecimal digits at most and a space, or any character.
    fn escaped(&mut self) -> Option<char> {
        let digits = self.rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits == 0 {
            let c = self.rest.chars().next()?;
            self.skip(c);
            return (c != '\n').then_some(c);
        }
        let (code, rest) = self.rest.split_at(digits);
        self.rest = rest.strip_prefix([' ', '\n', '\t']).unwrap_or(rest);
        u32::from_str_radix(code, 16).ok().and_then(char::from_u32)
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sheet_loads() {
        let sheet = "/* url(no.png) */ @import url(a.css); @import 'b.css' print; @charset \"utf-8\"; \
            @font-face { src: url( \"c.woff2\" ) format('woff2'), URL(d.ttf ) } \
            @media x { a { b: -webkit-image-set('e.png' 1x, url(f.png) 2x type('image/png')) } } \
            g::after { content: 'no.png' } h { background: url(i\\29 \\20j.png), url('k\\'l.png') } ((((";
        let expected =
            ["a.css", "b.css", "c.woff2", "d.ttf", "e.png", "f.png", "i) j.png", "k'l.png"];
        assert_eq!(addresses(sheet), expected);
    }

    #[test]
    fn sheets_may_end_anywhere() {
        for sheet in [
            "url(",
            "url('",
            "@import",
            "@import '",
            "/*",
            "url(a\\",
            "'\\",
            ")",
            "@",
            "image-set(",
            "ü",
            "@ü(",
        ] {
            addresses(sheet);
        }
        assert_eq!(addresses("url(a"), ["a"]);
        assert_eq!(addresses("a { b: 'open\n} url(c)"), ["c"]);
        assert!(addresses(&"url(".repeat(100_000)).len() <= 100_000);
    }

    proptest::proptest! {
        #[test]
        fn any_sheet_is_taken(text in "(url\\(|@import|[()'\"{}; \\\\]|/\\*|\\*/|\\PC){0,60}") {
            addresses(&text);
        }
    }
}
