//! Schema text into tokens.

use super::error::{Problem, Result, Span};

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Letters, digits, underscores.
    Name(String),
    Integer(u64),
    Float(f64),
    /// `"…"` with its escapes resolved, or what follows a back-tick on its line.
    Text(Vec<u8>),
    /// `0x"…"`.
    Hex(Vec<u8>),
    /// A run of operator characters, which always belong together: `=.` is not `=` and `.`.
    Operator(String),
    /// One of `( ) [ ] { } , ;`.
    Mark(u8),
    /// The end of the file.
    End,
}

impl Kind {
    /// How messages name it.
    pub fn shown(&self) -> String {
        match self {
            Kind::Name(name) => format!("`{name}`"),
            Kind::Integer(_) | Kind::Float(_) => "a number".to_owned(),
            Kind::Text(_) => "a text".to_owned(),
            Kind::Hex(_) => "hex data".to_owned(),
            Kind::Operator(operator) => format!("`{operator}`"),
            Kind::Mark(mark) => format!("`{}`", char::from(*mark)),
            Kind::End => "the end of the file".to_owned(),
        }
    }
}

/// Characters that form operators.
const OPERATORS: &[u8] = b"!$%&*+-./:<=>?@^|~";

/// All tokens of `text`, the last one being [`Kind::End`].
pub fn tokens(text: &[u8], file: usize) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, file };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let kind = lexer.token()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, span: lexer.span(start) });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    file: usize,
}

impl Lexer<'_> {
    fn span(&self, start: usize) -> Span {
        Span { file: self.file, start, end: self.at.max(start) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn peek_after(&self, distance: usize) -> Option<u8> {
        self.text.get(self.at + distance).copied()
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &[u8] {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Blanks, comments and byte order marks.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => self.at += 1,
                b'#' => {
                    self.take_while(|byte| byte != b'\n');
                }
                0xef if self.text[self.at..].starts_with(b"\xef\xbb\xbf") => self.at += 3,
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Result<Kind> {
        let start = self.at;
        let Some(byte) = self.peek() else { return Ok(Kind::End) };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Ok(Kind::Name(String::from_utf8_lossy(name).into_owned()))
            }
            b'0' if self.peek_after(1) == Some(b'x') && self.peek_after(2) == Some(b'"') => {
                self.hex()
            }
            b'0'..=b'9' => self.number(),
            b'"' => self.text(),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b';' => {
                self.at += 1;
                Ok(Kind::Mark(byte))
            }
            // The rest of the line as it stands, with whatever ends lines here as a line feed.
            // Neighbouring texts are one, so that several lines are.
            b'`' => {
                self.at += 1;
                let line = self.take_while(|byte| byte != b'\n' && byte != b'\r');
                Ok(Kind::Text([line, b"\n"].concat()))
            }
            b'\'' => {
                self.at += 1;
                Err(Problem::new(self.span(start), "unexpected `'`")
                    .hint("texts stand in double quotes"))
            }
            _ if OPERATORS.contains(&byte) => {
                let run = self.take_while(|byte| OPERATORS.contains(&byte));
                Ok(Kind::Operator(String::from_utf8_lossy(run).into_owned()))
            }
            _ => {
                self.at += 1;
                // Not half a character.
                while self.peek().is_some_and(|next| next & 0xc0 == 0x80) {
                    self.at += 1;
                }
                Err(Problem::new(self.span(start), "unexpected character"))
            }
        }
    }

    fn number(&mut self) -> Result<Kind> {
        let start = self.at;
        // The whole run first, so that `12ab` is one mistake and not a number and a name.
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.take_while(|byte| byte.is_ascii_alphanumeric());
        }
        let hex = self.text[start..self.at].starts_with(b"0x");
        if !hex
            && matches!(self.text[self.at - 1], b'e' | b'E')
            && matches!(self.peek(), Some(b'+' | b'-'))
        {
            self.at += 1;
            self.take_while(|byte| byte.is_ascii_digit());
        }
        let span = self.span(start);
        let run = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let integer = if let Some(digits) = run.strip_prefix("0x") {
            u64::from_str_radix(digits, 16)
        } else if run.len() > 1 && run.starts_with('0') && run.bytes().all(|b| b.is_ascii_digit()) {
            if run.bytes().any(|digit| digit > b'7') {
                return Err(Problem::new(span, "this is not an octal number")
                    .hint("a leading 0 makes a number octal: leave it out"));
            }
            u64::from_str_radix(&run[1..], 8)
        } else {
            run.parse()
        };
        if let Ok(value) = integer {
            return Ok(Kind::Integer(value));
        }
        let digits = |run: &str| run.bytes().all(|b| b.is_ascii_digit());
        if digits(&run)
            || run.strip_prefix("0x").is_some_and(|r| r.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(Problem::new(span, "this number is larger than 64 bits hold"));
        }
        match run.parse::<f64>() {
            Ok(value) if !hex => Ok(Kind::Float(value)),
            _ => Err(Problem::new(span, "this is not a number")
                .hint("numbers are decimal, 0x… (hexadecimal) or 0… (octal)")),
        }
    }

    fn hex(&mut self) -> Result<Kind> {
        let start = self.at;
        self.at += 3;
        let mut bytes = Vec::new();
        let mut high = None;
        loop {
            let place = self.at;
            let byte = self.peek();
            self.at += 1;
            match byte {
                Some(b'"') if high.is_none() && !bytes.is_empty() => return Ok(Kind::Hex(bytes)),
                Some(b'"') if high.is_none() => {
                    return Err(Problem::new(self.span(start), "this hex data is empty")
                        .hint("write \"\" for no bytes"));
                }
                Some(b'"') => {
                    return Err(Problem::new(self.span(place), "a hex digit is missing")
                        .hint("hex data is made of pairs of digits"));
                }
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c) if high.is_none() => {}
                Some(byte) => {
                    let Some(digit) = char::from(byte).to_digit(16) else {
                        return Err(Problem::new(self.span(place), "this is not a hex digit"));
                    };
                    // Below 16, so it fits.
                    let digit = digit as u8;
                    match high.take() {
                        None => high = Some(digit),
                        Some(high) => bytes.push(high << 4 | digit),
                    }
                }
                None => {
                    self.at = start + 3;
                    return Err(Problem::new(
                        self.span(start),
                        "this hex data has no closing quote",
                    ));
                }
            }
        }
    }

    fn text(&mut self) -> Result<Kind> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None | Some(b'\n') => {
                    return Err(Problem::new(self.span(start), "this text has no closing quote")
                        .hint("a text ends on its line; \\n stands for a line break"));
                }
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Kind::Text(bytes));
                }
                Some(b'\\') => bytes.push(self.escape()?),
                Some(byte) => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<u8> {
        let start = self.at;
        self.at += 1;
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'a') => 0x07,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0b,
            Some(same @ (b'\'' | b'"' | b'\\' | b'?')) => same,
            Some(b'x') => {
                let mut value = 0;
                for _ in 0..2 {
                    let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
                    let Some(digit) = digit else {
                        return Err(Problem::new(self.span(start), "\\x needs two hex digits"));
                    };
                    value = value << 4 | digit;
                    self.at += 1;
                }
                value as u8
            }
            Some(first @ b'0'..=b'7') => {
                let mut value = u32::from(first - b'0');
                for _ in 0..2 {
                    if let Some(next @ b'0'..=b'7') = self.peek() {
                        value = value << 3 | u32::from(next - b'0');
                        self.at += 1;
                    }
                }
                u8::try_from(value).map_err(|_| {
                    Problem::new(self.span(start), "this octal escape is larger than a byte")
                })?
            }
            _ => {
                // Not half a character, nor beyond the end.
                self.at = self.at.min(self.text.len());
                while self.peek().is_some_and(|next| next & 0xc0 == 0x80) {
                    self.at += 1;
                }
                return Err(Problem::new(self.span(start), "unknown escape in a text").hint(
                    "known are \\a \\b \\f \\n \\r \\t \\v \\' \\\" \\\\ \\?, octal \\123 and hex \\x7f",
                ));
            }
        })
    }
}
