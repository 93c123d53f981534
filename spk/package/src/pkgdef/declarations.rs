//! Tokens into declarations.

use std::rc::Rc;

use super::ast::{Annotation, Decl, DeclKind, Enumerant, ExprKind, Member, MemberKind, Name};
use super::error::{Problem, Result, Span};
use super::lexer::Kind;
use super::parser::Parser;
use crate::suggest;

/// Where a statement stands, which decides what may stand there.
#[derive(Clone, Copy, PartialEq)]
pub enum Level {
    File,
    Struct,
    /// In a union or group: fields only.
    Group,
    Interface,
}

/// What the statements of a block add up to.
#[derive(Default)]
pub struct Body {
    pub id: Option<u64>,
    pub children: Vec<Rc<Decl>>,
    pub members: Vec<Member>,
    pub annotations: Vec<Annotation>,
}

impl Parser {
    pub fn statement(&mut self, body: &mut Body, level: Level) -> Result<()> {
        let start = self.span();
        match self.peek() {
            Kind::Operator(operator) if operator == "@" && level == Level::File => {
                self.advance();
                let id = self.id(start)?;
                if body.id.replace(id).is_some() {
                    return Err(Problem::new(start, "the file has a second ID"));
                }
                self.expect(b';')
            }
            Kind::Operator(operator) if operator == "$" && level == Level::File => {
                body.annotations.extend(self.annotations()?);
                self.expect(b';')
            }
            // `name @0 …`: a field, or in interfaces a method, whatever its name.
            Kind::Name(_) if matches!(self.peek_after(1), Kind::Operator(o) if o.starts_with('@')) => {
                match level {
                    Level::Struct | Level::Group => self.member(body),
                    Level::Interface => self.method(),
                    Level::File => Err(Problem::new(start, "a field outside of a struct")),
                }
            }
            Kind::Name(name) => {
                let name = name.clone();
                match (name.as_str(), level) {
                    // A group or union of that name, be it that of a keyword.
                    (_, Level::Struct | Level::Group) if matches!(self.peek_after(1), Kind::Operator(o) if o == ":") => {
                        self.member(body)
                    }
                    ("union", Level::Struct | Level::Group) => {
                        self.advance();
                        let (annotations, members) = (self.annotations()?, self.members()?);
                        body.annotations.extend(annotations);
                        let span = start;
                        let kind = MemberKind::Union(members);
                        body.members.push(Member { name: None, ordinal: None, span, kind });
                        Ok(())
                    }
                    ("using", _) => self.using(body),
                    ("const", _) => self.constant(body),
                    ("struct" | "enum" | "interface" | "annotation", Level::Group) => {
                        Err(Problem::new(start, "only fields may stand in a union or group"))
                    }
                    ("struct", _) => self.structure(body),
                    ("enum", _) => self.enumeration(body),
                    ("interface", _) => self.interface(body),
                    ("annotation", _) => self.annotation(body),
                    _ => {
                        Err(Problem::new(start, format!("expected a declaration, found `{name}`"))
                            .maybe_hint(suggest::hint(
                                &name,
                                ["using", "const", "struct", "enum", "interface", "annotation"]
                                    .into_iter(),
                            )))
                    }
                }
            }
            Kind::Mark(b';') => Err(Problem::new(start, "there is nothing before this `;`")),
            _ => Err(self.unexpected("a declaration")),
        }
    }

    /// The number after `@`, of a file or type.
    fn id(&mut self, start: Span) -> Result<u64> {
        let token = self.advance();
        let Kind::Integer(id) = token.kind else {
            return Err(Problem::new(start.to(token.span), "this is not an ID")
                .hint("an ID looks like @0x994204a9202bc200"));
        };
        if id >> 63 == 0 {
            return Err(Problem::new(start.to(token.span), "this ID's first bit is not set")
                .hint("IDs have sixteen digits and start with 8 … f; `capnp id` makes one"));
        }
        Ok(id)
    }

    fn optional_id(&mut self) -> Result<()> {
        let start = self.span();
        if self.eat_operator("@") { self.id(start).map(|_| ()) } else { Ok(()) }
    }

    pub fn annotations(&mut self) -> Result<Vec<Annotation>> {
        let mut annotations = Vec::new();
        while self.eat_operator("$") {
            annotations.push(Annotation { expr: Rc::new(self.path()?) });
        }
        Ok(annotations)
    }

    fn using(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = if matches!(self.peek_after(1), Kind::Operator(o) if o == "=") {
            let name = self.name("a name")?;
            self.advance();
            Some(name)
        } else {
            None
        };
        let target = self.path()?;
        let name = match (name, &target.kind) {
            (Some(name), _) => name,
            (None, ExprKind::Member(_, last)) => last.clone(),
            (None, _) => {
                return Err(Problem::new(target.span, "this `using` gives no name")
                    .hint("write using NAME = …;"));
            }
        };
        self.expect(b';')?;
        body.push(name, DeclKind::Using(Rc::new(target)));
        Ok(())
    }

    fn constant(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = self.name("the constant's name")?;
        self.optional_id()?;
        self.expect_operator(":")?;
        let ty = Rc::new(self.path()?);
        self.expect_operator("=")?;
        let value = Rc::new(self.value()?);
        let annotations = self.annotations()?;
        if self.peek() != &Kind::Mark(b';') {
            return Err(self.unexpected("`;` after the constant's value"));
        }
        self.advance();
        body.annotations.extend(annotations);
        body.push(name, DeclKind::Const { ty, value });
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<Name>> {
        let mut params = Vec::new();
        if self.eat(b'(') {
            while !self.eat(b')') {
                params.push(self.name("a type parameter's name")?);
                if !self.eat(b',') && self.peek() != &Kind::Mark(b')') {
                    return Err(self.unexpected("`,` or `)`"));
                }
            }
        }
        Ok(params)
    }

    fn structure(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = self.name("the struct's name")?;
        self.optional_id()?;
        let params = self.params()?;
        let annotations = self.annotations()?;
        let inner = self.block(Level::Struct)?;
        let kind = DeclKind::Struct(inner.members);
        let (mut all, children) = (annotations, inner.children);
        all.extend(inner.annotations);
        body.children.push(Rc::new(Decl { name, params, kind, children, annotations: all }));
        Ok(())
    }

    fn interface(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = self.name("the interface's name")?;
        self.optional_id()?;
        let params = self.params()?;
        if self.keyword("extends") {
            self.skip_group()?;
        }
        let annotations = self.annotations()?;
        let inner = self.block(Level::Interface)?;
        let kind = DeclKind::Interface;
        let (mut all, children) = (annotations, inner.children);
        all.extend(inner.annotations);
        body.children.push(Rc::new(Decl { name, params, kind, children, annotations: all }));
        Ok(())
    }

    /// `{ … }` of a struct or interface.
    fn block(&mut self, level: Level) -> Result<Body> {
        self.expect(b'{')?;
        self.nested(|parser| {
            let mut body = Body::default();
            while !parser.eat(b'}') {
                if parser.peek() == &Kind::End {
                    return Err(parser.unexpected("`}`"));
                }
                parser.statement(&mut body, level)?;
            }
            Ok(body)
        })
    }

    /// `{ … }` of a union or group.
    fn members(&mut self) -> Result<Vec<Member>> {
        Ok(self.block(Level::Group)?.members)
    }

    fn ordinal(&mut self) -> Result<Option<(u16, Span)>> {
        let start = self.span();
        if !self.eat_operator("@") {
            return Ok(None);
        }
        let token = self.advance();
        let span = start.to(token.span);
        // 65534 fields at most, as in the original compiler.
        match token.kind {
            Kind::Integer(number) if number < 0xffff => {
                self.eat_operator("!");
                Ok(Some((number as u16, span)))
            }
            _ => Err(Problem::new(span, "this is not an ordinal")
                .hint("ordinals are @0, @1, @2 and so on")),
        }
    }

    fn member(&mut self, body: &mut Body) -> Result<()> {
        let start = self.span();
        let name = self.name("a field's name")?;
        let ordinal = self.ordinal()?;
        self.expect_operator(":")?;
        let keyword = match (self.peek(), self.peek_after(1)) {
            (Kind::Name(word), Kind::Mark(b'{')) => word.clone(),
            (Kind::Name(word), Kind::Operator(o))
                if o == "$" && (word == "union" || word == "group") =>
            {
                word.clone()
            }
            _ => String::new(),
        };
        let kind = match keyword.as_str() {
            "union" | "group" => {
                self.advance();
                body.annotations.extend(self.annotations()?);
                let members = self.members()?;
                if keyword == "union" {
                    MemberKind::Union(members)
                } else {
                    MemberKind::Group(members)
                }
            }
            _ => {
                let ty = Rc::new(self.path()?);
                let default =
                    if self.eat_operator("=") { Some(Rc::new(self.value()?)) } else { None };
                body.annotations.extend(self.annotations()?);
                if self.peek() != &Kind::Mark(b';') {
                    return Err(self.unexpected("`;` after the field"));
                }
                self.advance();
                MemberKind::Field { ty, default }
            }
        };
        let span = start.to(name.span);
        body.members.push(Member { name: Some(name), ordinal, span, kind });
        Ok(())
    }

    fn enumeration(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = self.name("the enum's name")?;
        self.optional_id()?;
        let mut annotations = self.annotations()?;
        self.expect(b'{')?;
        let mut enumerants = Vec::new();
        while !self.eat(b'}') {
            let name = self.name("an enumerant's name or `}`")?;
            let Some((ordinal, _)) = self.ordinal()? else {
                return Err(self.unexpected("`@` and the enumerant's number"));
            };
            annotations.extend(self.annotations()?);
            self.expect(b';')?;
            enumerants.push(Enumerant { name, ordinal });
        }
        let kind = DeclKind::Enum(enumerants);
        let (params, children) = (Vec::new(), Vec::new());
        body.children.push(Rc::new(Decl { name, params, kind, children, annotations }));
        Ok(())
    }

    fn annotation(&mut self, body: &mut Body) -> Result<()> {
        self.advance();
        let name = self.name("the annotation's name")?;
        self.optional_id()?;
        self.skip_group()?;
        self.expect_operator(":")?;
        let ty = Rc::new(self.path()?);
        body.annotations.extend(self.annotations()?);
        self.expect(b';')?;
        body.push(name, DeclKind::Annotation(ty));
        Ok(())
    }

    /// A method is passed over: no constant depends on its parameters.
    fn method(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Kind::Mark(b';') => {
                    self.advance();
                    return Ok(());
                }
                Kind::Mark(b'(' | b'[') => self.skip_group()?,
                Kind::Mark(_) | Kind::End => return Err(self.unexpected("`;` after the method")),
                _ => {
                    self.advance();
                }
            }
        }
    }

    /// Passes over a balanced `( … )` or `[ … ]`.
    fn skip_group(&mut self) -> Result<()> {
        let start = self.span();
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Kind::Mark(b'(') => open.push(b')'),
                Kind::Mark(b'[') => open.push(b']'),
                Kind::Mark(close @ (b')' | b']')) => {
                    let expected = open.pop();
                    if expected != Some(*close) {
                        return Err(self.unexpected("the other bracket"));
                    }
                }
                Kind::Mark(b'{' | b'}' | b';') | Kind::End => {
                    return Err(Problem::new(start, "this bracket is not closed"));
                }
                _ if open.is_empty() => return Err(self.unexpected("`(`")),
                _ => {}
            }
            self.advance();
            if open.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Body {
    fn push(&mut self, name: Name, kind: DeclKind) {
        let (params, children, annotations) = (Vec::new(), Vec::new(), Vec::new());
        self.children.push(Rc::new(Decl { name, params, kind, children, annotations }));
    }
}
