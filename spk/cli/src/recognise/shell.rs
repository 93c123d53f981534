//! Command lines as they are in a Procfile, a Dockerfile or a script of `package.json`: the part of
//! a shell's language that says nothing but "with this environment, this program".
//!
//! Splitting into words alone (as crates do) would take a pipe for an argument.

/// A command with its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) environ: Vec<(String, String)>,
    pub(super) words: Vec<String>,
}

/// What a variable is, if it is known.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The commands of a line that run one after the other (`&&`), or what of it is not understood.
pub(super) fn steps(line: &str, variables: Variables<'_>) -> Result<Vec<Step>, String> {
    let mut reader = Reader { rest: line, variables, word: None, steps: vec![Step::default()] };
    reader.read()?;
    let mut steps = reader.steps;
    // "a && " is no command more.
    while steps.last().is_some_and(|step| step.words.is_empty() && step.environ.is_empty()) {
        steps.pop();
    }
    if steps.iter().any(|step| step.words.is_empty() && step.environ.is_empty()) {
        return Err("has an empty command".into());
    }
    if steps.is_empty() { Err("is empty".into()) } else { Ok(steps) }
}

/// A word that is being read.
#[derive(Default)]
struct Word {
    text: String,
    /// Whether something of it was between quotes: then it is no assignment, up to there.
    quoted: bool,
    /// Where its value begins, if it is an assignment.
    value: Option<usize>,
}

struct Reader<'a> {
    rest: &'a str,
    variables: Variables<'a>,
    word: Option<Word>,
    steps: Vec<Step>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn read(&mut self) -> Result<(), String> {
        while let Some(next) = self.next() {
            match next {
                ' ' | '\t' | '\r' | '\n' => self.end_word(),
                '\'' => self.single()?,
                '"' => self.double()?,
                '\\' => {
                    let Some(next) = self.next() else { continue };
                    self.quoted().push(next);
                }
                '$' => self.variable()?,
                '&' if self.rest.starts_with('&') => {
                    self.next();
                    self.end_word();
                    self.steps.push(Step::default());
                }
                '&' => return Err("starts something in the background (&)".into()),
                '|' if self.rest.starts_with('|') => return Err("has an alternative (||)".into()),
                '|' => return Err("has a pipe (|)".into()),
                ';' if self.rest.trim().is_empty() => {}
                ';' => return Err("has several commands (;)".into()),
                '<' | '>' => return Err(format!("has a redirection ({next})")),
                '(' | ')' => return Err(format!("has a group ({next})")),
                '`' => return Err("has a command substitution (`)".into()),
                // The value of an assignment is none.
                '*' | '?' if self.word.as_ref().is_none_or(|word| word.value.is_none()) => {
                    return Err(format!("has a pattern ({next})"));
                }
                '~' if self.word.is_none() => return Err("has a home directory (~)".into()),
                '#' if self.word.is_none() => break,
                '=' => {
                    let word = self.word.get_or_insert_default();
                    if word.value.is_none() && !word.quoted && is_name(&word.text) {
                        word.value = Some(word.text.len() + 1);
                    }
                    word.text.push('=');
                }
                next => self.word.get_or_insert_default().text.push(next),
            }
        }
        self.end_word();
        Ok(())
    }

    fn quoted(&mut self) -> &mut String {
        let word = self.word.get_or_insert_default();
        word.quoted = true;
        &mut word.text
    }

    fn single(&mut self) -> Result<(), String> {
        let (text, rest) = self.rest.split_once('\'').ok_or("has a quote (') without its end")?;
        self.quoted().push_str(text);
        self.rest = rest;
        Ok(())
    }

    fn double(&mut self) -> Result<(), String> {
        self.quoted();
        while let Some(next) = self.next() {
            match next {
                '"' => return Ok(()),
                '\\' => {
                    let Some(next) = self.next() else { break };
                    if !"$`\"\\".contains(next) {
                        self.quoted().push('\\');
                    }
                    self.quoted().push(next);
                }
                '$' => self.variable()?,
                '`' => return Err("has a command substitution (`)".into()),
                next => self.quoted().push(next),
            }
        }
        Err("has a quote (\") without its end".into())
    }

    /// Behind a `$`.
    fn variable(&mut self) -> Result<(), String> {
        let (name, default) = if let Some(rest) = self.rest.strip_prefix('{') {
            let (inner, rest) = rest.split_once('}').ok_or("has ${ without its end")?;
            self.rest = rest;
            let end = inner.find(|c: char| !is_of_name(c)).unwrap_or(inner.len());
            let (name, default) = inner.split_at(end);
            let value = default.strip_prefix(":-").or_else(|| default.strip_prefix('-'));
            if value.is_none() && !default.is_empty() {
                return Err(format!("has ${{{inner}}}"));
            }
            (name, value)
        } else if self.rest.starts_with('(') {
            return Err("has a command substitution ($()".into());
        } else {
            let end = self.rest.find(|c: char| !is_of_name(c)).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            (name, None)
        };
        let own = || {
            let environ = self.steps.iter().flat_map(|step| &step.environ);
            environ.rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let value = (self.variables)(name).or_else(own).or_else(|| default.map(str::to_owned));
        match value {
            Some(value) => {
                self.word.get_or_insert_default().text.push_str(&value);
                Ok(())
            }
            None if name.is_empty() => Err("has a $ without a name".into()),
            None => Err(format!("uses ${name}, which nothing sets")),
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let Some(step) = self.steps.last_mut() else { return };
        match word.value {
            Some(value) if step.words.is_empty() => {
                let name = word.text[..value - 1].to_owned();
                step.environ.push((name, word.text[value..].to_owned()));
            }
            _ => step.words.push(word.text),
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether this can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(is_of_name)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// `NAME=value` as a pair.
pub(super) fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    is_name(name).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `NAME=value` and words, steps behind each other.
    fn read(line: &str) -> String {
        let known = |name: &str| (name == "PORT").then(|| "8000".to_owned());
        match steps(line, &known) {
            Err(what) => format!("! {what}"),
            Ok(steps) => {
                let step = |step: &Step| {
                    let environ =
                        step.environ.iter().map(|(name, value)| format!("{name}={value}"));
                    let words = step.words.iter().map(|word| format!("[{word}]"));
                    environ.chain(words).collect::<Vec<_>>().join(" ")
                };
                steps.iter().map(step).collect::<Vec<_>>().join(" && ")
            }
        }
    }

    #[test]
    fn lines() {
        let lines = [
            "node server.js",
            "A=1 B='two words' C=\"$PORT\" node --x=y 'it is' \"a\\\"b\"",
            "gunicorn -b 0.0.0.0:$PORT app:app --workers ${WORKERS:-4} --timeout ${T-5}",
            "export A=b && cd x && ./run # and so on",
            "A=5 && node $A ;",
            "'A=b' c",
            "a\\ b \"\" \"c\\n\"",
            "a | b",
            "a || b",
            "a & b",
            "a; b",
            "a > log",
            "(a)",
            "a `b`",
            "a $(b)",
            "a \"$(b)\"",
            "a *.js",
            "D=a:* b",
            "~/bin/a",
            "a $UNKNOWN",
            "a ${B:+c}",
            "a $",
            "a 'b",
            "a \"b",
            "a ${b",
            "a && && b",
            "   ",
            "a && ",
            "é\\",
        ];
        let read: Vec<String> = lines.iter().map(|line| read(line)).collect();
        insta::assert_snapshot!(read.join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_much(line in "[a$'\"\\\\{}()|&;=é \\-:#~*]{0,40}") {
            let _ = steps(&line, &|_| None);
        }
    }
}
