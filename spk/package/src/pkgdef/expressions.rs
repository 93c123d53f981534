//! Tokens into values, types and names.

use std::rc::Rc;

use super::ast::{Expr, ExprKind, Name};
use super::error::{Problem, Result};
use super::lexer::Kind;
use super::parser::Parser;

impl Parser {
    /// A value: a literal, or the name of a constant or enumerant.
    pub fn value(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let start = parser.span();
            let kind = match parser.peek().clone() {
                Kind::Integer(magnitude) => {
                    parser.advance();
                    ExprKind::Integer { magnitude, negative: false }
                }
                Kind::Float(value) => {
                    parser.advance();
                    ExprKind::Float(value)
                }
                Kind::Operator(operator) if operator == "-" => {
                    parser.advance();
                    match parser.peek().clone() {
                        Kind::Integer(magnitude) => {
                            parser.advance();
                            ExprKind::Integer { magnitude, negative: true }
                        }
                        Kind::Float(value) => {
                            parser.advance();
                            ExprKind::Float(-value)
                        }
                        Kind::Name(name) if name == "inf" => {
                            parser.advance();
                            ExprKind::Float(f64::NEG_INFINITY)
                        }
                        _ => return Err(parser.unexpected("a number")),
                    }
                }
                Kind::Text(mut text) => {
                    parser.advance();
                    // Neighbouring texts are one.
                    while let Kind::Text(more) = parser.peek() {
                        text.extend_from_slice(more);
                        parser.advance();
                    }
                    ExprKind::Text(text)
                }
                Kind::Hex(bytes) => {
                    parser.advance();
                    ExprKind::Hex(bytes)
                }
                Kind::Mark(b'[') => ExprKind::List(parser.list()?),
                Kind::Mark(b'(') => {
                    let mut items = parser.tuple()?;
                    // Parentheses around a single value mean nothing.
                    match (items.len(), items.pop()) {
                        (1, Some((None, only))) => return Ok(only),
                        (_, Some(last)) => items.push(last),
                        (_, None) => {}
                    }
                    ExprKind::Tuple(items)
                }
                _ => return parser.path(),
            };
            Ok(Expr { kind, span: start.to(parser.last_span()) })
        })
    }

    fn list(&mut self) -> Result<Vec<Expr>> {
        self.advance();
        let mut items = Vec::new();
        while !self.eat(b']') {
            items.push(self.value()?);
            if !self.eat(b',') && self.peek() != &Kind::Mark(b']') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
        Ok(items)
    }

    /// `(value, name = value, …)`.
    fn tuple(&mut self) -> Result<Vec<(Option<Name>, Expr)>> {
        self.advance();
        let mut items = Vec::new();
        while !self.eat(b')') {
            let name = match (self.peek(), self.peek_after(1)) {
                (Kind::Name(_), Kind::Operator(operator)) if operator == "=" => {
                    let name = self.name("a field's name")?;
                    self.advance();
                    Some(name)
                }
                (Kind::Name(_), Kind::Operator(operator)) if operator.starts_with('=') => {
                    self.advance();
                    return Err(self.unexpected("`=`"));
                }
                (Kind::Name(_), Kind::Operator(operator)) if operator == ":" => {
                    self.advance();
                    return Err(self.unexpected("`=`").hint("fields are set with `=`"));
                }
                _ => None,
            };
            items.push((name, self.value()?));
            if !self.eat(b',') && self.peek() != &Kind::Mark(b')') {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(items)
    }

    /// A name with its members and arguments: `.a`, `a.b`, `import "x".a`, `List(a)`.
    pub fn path(&mut self) -> Result<Expr> {
        let start = self.span();
        let kind = match self.peek().clone() {
            Kind::Name(word) => {
                self.advance();
                match (word.as_str(), self.peek()) {
                    ("import", Kind::Text(path)) => {
                        let path = path.clone();
                        self.advance();
                        ExprKind::Import(path)
                    }
                    ("embed", Kind::Text(path)) => {
                        let path = path.clone();
                        self.advance();
                        ExprKind::Embed(path)
                    }
                    _ => ExprKind::Relative(word),
                }
            }
            Kind::Operator(operator) if operator == "." => {
                self.advance();
                ExprKind::Absolute(self.name("a name after `.`")?)
            }
            _ => return Err(self.unexpected("a name or value")),
        };
        let base = Expr { kind, span: start.to(self.last_span()) };
        self.suffixes(base)
    }

    /// What follows a name: each member or argument list is a level of its own.
    fn suffixes(&mut self, base: Expr) -> Result<Expr> {
        let outer = self.depth;
        let mut expr = base;
        let result = loop {
            let span = expr.span;
            let kind = if self.eat_operator(".") {
                match self.name("a name after `.`") {
                    Ok(name) => ExprKind::Member(Rc::new(expr), name),
                    Err(problem) => break Err(problem),
                }
            } else if self.peek() == &Kind::Mark(b'(') {
                match self.arguments() {
                    Ok(arguments) => ExprKind::Apply(Rc::new(expr), arguments),
                    Err(problem) => break Err(problem),
                }
            } else {
                break Ok(expr);
            };
            expr = Expr { kind, span: span.to(self.last_span()) };
            self.depth += 1;
            if let Err(problem) = self.nested(|_| Ok(())) {
                break Err(problem);
            }
        };
        self.depth = outer;
        result
    }

    /// Arguments of a type are types; those of an annotation are its value, of any form.
    fn arguments(&mut self) -> Result<Vec<Expr>> {
        let start = self.span();
        let items = self.nested(Parser::tuple)?;
        if items.iter().any(|(name, _)| name.is_some()) {
            let span = start.to(self.last_span());
            return Ok(vec![Expr { kind: ExprKind::Tuple(items), span }]);
        }
        let mut arguments = Vec::new();
        for (_, expr) in items {
            arguments.push(expr);
        }
        Ok(arguments)
    }
}

/// A path in a file, as text.
pub fn path_text(path: &[u8], expr: &Expr) -> Result<String> {
    String::from_utf8(path.to_vec())
        .map_err(|_| Problem::new(expr.span, "this path is not valid UTF-8"))
}
