//! The parser: where it is in the tokens, and what it says when they are wrong. Declarations are
//! in [`super::declarations`], values and types in [`super::expressions`].

use std::rc::Rc;

use super::ast::{Decl, DeclKind, Name};
use super::declarations::{Body, Level};
use super::error::{Problem, Result, Span};
use super::lexer::{Kind, Token, tokens};
use super::limits::MAX_NESTING;

/// A parsed file.
#[derive(Debug)]
pub struct File {
    /// Its ID and where that stands.
    pub id: u64,
    /// The file as a declaration.
    pub root: Rc<Decl>,
}

/// Parses the text of a schema file.
pub fn parse(text: &[u8], file: usize) -> Result<File> {
    let mut parser = Parser { tokens: tokens(text, file)?, at: 0, depth: 0 };
    let mut scope = Body::default();
    while parser.peek() != &Kind::End {
        parser.statement(&mut scope, Level::File)?;
    }
    let start = Span { file, start: 0, end: 0 };
    let Some(id) = scope.id else {
        return Err(Problem::new(start, "the file has no ID")
            .hint("start it with a line like @0x994204a9202bc200; (`capnp id` makes one)"));
    };
    let name = Name { text: String::new(), span: start };
    let root = Decl {
        name,
        params: Vec::new(),
        kind: DeclKind::File,
        children: scope.children,
        annotations: scope.annotations,
    };
    Ok(File { id, root: Rc::new(root) })
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    pub depth: usize,
}

impl Parser {
    pub fn peek(&self) -> &Kind {
        &self.token(0).kind
    }

    pub fn peek_after(&self, distance: usize) -> &Kind {
        &self.token(distance).kind
    }

    /// The last token is the end, and stays.
    fn token(&self, distance: usize) -> &Token {
        &self.tokens[(self.at + distance).min(self.tokens.len() - 1)]
    }

    pub fn span(&self) -> Span {
        self.token(0).span
    }

    /// Where the token before the next one ends.
    pub fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    pub fn advance(&mut self) -> Token {
        let token = self.token(0).clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Consumes the next token if it is this mark.
    pub fn eat(&mut self, mark: u8) -> bool {
        let found = self.peek() == &Kind::Mark(mark);
        if found {
            self.advance();
        }
        found
    }

    pub fn eat_operator(&mut self, operator: &str) -> bool {
        let found = matches!(self.peek(), Kind::Operator(o) if o == operator);
        if found {
            self.advance();
        }
        found
    }

    /// "expected this, found that".
    pub fn unexpected(&self, expected: &str) -> Problem {
        let problem = Problem::new(
            self.span(),
            format!("expected {expected}, found {}", self.peek().shown()),
        );
        match self.peek() {
            Kind::Operator(operator) if operator.len() > 1 && operator != "->" => {
                problem.hint("signs without a blank between them are read as one; separate them")
            }
            Kind::Name(_) | Kind::Mark(b'}') | Kind::End if expected.contains("`;`") => {
                problem.hint("is there a `;` missing at the end of the line before?")
            }
            Kind::Mark(b';') | Kind::End if expected.contains("`,`") => {
                problem.hint("is a bracket not closed before this?")
            }
            Kind::Name(_) if expected.contains("`,`") => {
                problem.hint("is there a comma missing before this?")
            }
            _ => problem,
        }
    }

    pub fn expect(&mut self, mark: u8) -> Result<()> {
        if self.eat(mark) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}`", char::from(mark))))
    }

    pub fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.eat_operator(operator) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{operator}`")))
    }

    pub fn name(&mut self, what: &str) -> Result<Name> {
        let span = self.span();
        if let Kind::Name(text) = self.peek() {
            let text = text.clone();
            self.advance();
            return Ok(Name { text, span });
        }
        Err(self.unexpected(what))
    }

    pub fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Kind::Name(name) if name == keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Runs `inner` one level deeper, if that is not too deep.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_NESTING {
            return Err(Problem::new(
                self.span(),
                format!("this is nested more than {MAX_NESTING} levels deep"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
