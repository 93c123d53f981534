//! A schema file as it is written.

use std::rc::Rc;

use super::error::Span;

/// A name and where it stands.
#[derive(Debug, Clone)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A type, a value, or what `using` names: which of them shows only when it is used.
#[derive(Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug)]
pub enum ExprKind {
    /// Magnitude and sign.
    Integer {
        magnitude: u64,
        negative: bool,
    },
    Float(f64),
    Text(Vec<u8>),
    Hex(Vec<u8>),
    List(Vec<Expr>),
    /// `(a = 1, b = 2)`.
    Tuple(Vec<(Option<Name>, Expr)>),
    /// `name`.
    Relative(String),
    /// `.name`: from the file's top.
    Absolute(Name),
    Import(Vec<u8>),
    Embed(Vec<u8>),
    /// `base.name`.
    Member(Rc<Expr>, Name),
    /// `base(arguments)`.
    Apply(Rc<Expr>, Vec<Expr>),
}

/// A declaration that has a name in its scope.
#[derive(Debug)]
pub struct Decl {
    pub name: Name,
    /// Names of the type parameters.
    pub params: Vec<Name>,
    pub kind: DeclKind,
    pub children: Vec<Rc<Decl>>,
    pub annotations: Vec<Annotation>,
}

#[derive(Debug)]
pub enum DeclKind {
    /// The file itself; its declarations are the children.
    File,
    Using(Rc<Expr>),
    Const {
        ty: Rc<Expr>,
        value: Rc<Expr>,
    },
    Enum(Vec<Enumerant>),
    Struct(Vec<Member>),
    Interface,
    Annotation(Rc<Expr>),
}

#[derive(Debug)]
pub struct Enumerant {
    pub name: Name,
    pub ordinal: u16,
}

/// A field, union or group.
#[derive(Debug)]
pub struct Member {
    /// Only a union may have none.
    pub name: Option<Name>,
    pub ordinal: Option<(u16, Span)>,
    pub span: Span,
    pub kind: MemberKind,
}

#[derive(Debug)]
pub enum MemberKind {
    Field { ty: Rc<Expr>, default: Option<Rc<Expr>> },
    Union(Vec<Member>),
    Group(Vec<Member>),
}

/// `$name(value)`.
#[derive(Debug)]
pub struct Annotation {
    /// The name, or the name applied to the value.
    pub expr: Rc<Expr>,
}
