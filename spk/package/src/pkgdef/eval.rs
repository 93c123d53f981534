//! Values as they are written into values of their types.

use std::rc::Rc;

use super::ast::{DeclKind, Expr, ExprKind};
use super::error::{Problem, Result};
use super::expressions::path_text;
use super::limits::{MAX_VALUE_DEPTH, MAX_VALUE_WORDS};
use super::program::{DeclId, Entity, Program};
use super::types::Type;
use super::value::{Node, Object, Pointer, Struct};
use crate::suggest;

/// A value that fits no type yet, or one.
#[derive(Debug, Clone)]
pub enum Value {
    Void,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Enum(DeclId, u16),
    Object(Type, Rc<Node>),
}

/// How far a constant is.
pub enum Const {
    /// Being worked out: who asks for it now goes in a circle.
    Busy,
    Done(Value),
}

impl Value {
    /// The bits as stored in a data section; zero for pointers.
    pub fn bits(&self, ty: &Type) -> u64 {
        match (self, ty) {
            (Value::Bool(value), _) => u64::from(*value),
            (Value::Integer(value), Type::Float32) => u64::from((*value as f32).to_bits()),
            (Value::Integer(value), Type::Float64) => (*value as f64).to_bits(),
            // Two's complement; the range has been checked.
            (Value::Integer(value), _) => *value as u64,
            (Value::Float(value), Type::Float32) => u64::from((*value as f32).to_bits()),
            (Value::Float(value), _) => value.to_bits(),
            (Value::Enum(_, value), _) => u64::from(*value),
            (Value::Void | Value::Object(..), _) => 0,
        }
    }

    pub fn pointer(self) -> Pointer {
        match self {
            Value::Object(_, node) => Some(node),
            _ => None,
        }
    }
}

impl Program {
    /// The value of a constant.
    pub fn constant(&mut self, id: DeclId, expr: &Expr) -> Result<Value> {
        let ast = self.ast(id);
        match self.constants.get(&id) {
            Some(Const::Done(value)) => return Ok(value.clone()),
            Some(Const::Busy) => {
                return Err(Problem::new(
                    expr.span,
                    format!("the constant `{}` refers to itself", ast.name.text),
                ));
            }
            None => {}
        }
        let DeclKind::Const { ty, value } = &ast.kind else {
            return Err(Problem::new(
                expr.span,
                format!("`{}` is not a constant", self.full_name(id)),
            ));
        };
        self.constants.insert(id, Const::Busy);
        let scope = self.parent(id);
        let ty = self.type_of(ty, scope)?;
        let value = self.value(value, &ty, scope)?;
        self.constants.insert(id, Const::Done(value.clone()));
        Ok(value)
    }

    /// The value of `expr`, which must fit `ty`.
    pub fn value(&mut self, expr: &Expr, ty: &Type, scope: DeclId) -> Result<Value> {
        let value = self.deeper(expr.span, |program| program.unchecked(expr, ty, scope))?;
        if matches!(ty, Type::Generic | Type::Interface) {
            return Err(match ty {
                Type::Generic => {
                    Problem::unsupported(expr.span, "values of generic types are not known")
                }
                _ => Problem::new(expr.span, "a capability cannot be written down"),
            });
        }
        let fits = match (&value, ty) {
            (Value::Void, Type::Void)
            | (Value::Bool(_), Type::Bool)
            | (Value::Integer(_) | Value::Float(_), Type::Float32 | Type::Float64)
            | (Value::Object(Type::Struct(_) | Type::List(_), _), Type::AnyPointer) => true,
            (Value::Integer(value), Type::Integer { size, signed }) => {
                let bits = 1u32 << size;
                let (least, most) = match signed {
                    true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
                    false => (0, (1i128 << bits) - 1),
                };
                if *value < least || *value > most {
                    return Err(Problem::new(
                        expr.span,
                        format!("{value} does not fit {} ({least} to {most})", self.type_name(ty)),
                    ));
                }
                true
            }
            (Value::Enum(of, _), Type::Enum(wanted)) => of == wanted,
            (Value::Object(of, _), _) => of == ty,
            _ => false,
        };
        if fits { Ok(value) } else { Err(self.mismatch(expr, ty, &value)) }
    }

    fn mismatch(&self, expr: &Expr, ty: &Type, found: &Value) -> Problem {
        let found = match found {
            Value::Void => "void".to_owned(),
            Value::Bool(_) => "true or false".to_owned(),
            Value::Integer(_) | Value::Float(_) => "a number".to_owned(),
            Value::Enum(id, _) => self.full_name(*id),
            Value::Object(ty, _) => self.type_name(ty),
        };
        self.wrong(expr, ty, &found)
    }

    fn wrong(&self, expr: &Expr, ty: &Type, found: &str) -> Problem {
        let name = self.type_name(ty);
        let problem = Problem::new(expr.span, format!("expected {name}, found {found}"));
        match (ty, &expr.kind) {
            (Type::Struct(_), ExprKind::Text(_)) if name.ends_with("LocalizedText") => {
                problem.hint("write (defaultText = \"…\")")
            }
            (Type::List(_), _) => problem.hint("lists stand in square brackets: [ … ]"),
            (Type::Struct(_), _) => problem.hint("structs are written ( field = value, … )"),
            (Type::Text, ExprKind::Integer { .. } | ExprKind::Float(_)) => {
                problem.hint("texts stand in double quotes")
            }
            (Type::Bool, _) => problem.hint("write true or false"),
            _ => problem,
        }
    }

    fn unchecked(&mut self, expr: &Expr, ty: &Type, scope: DeclId) -> Result<Value> {
        if *ty == Type::Generic {
            return Err(Problem::unsupported(expr.span, "values of generic types are not known"));
        }
        match &expr.kind {
            ExprKind::Integer { magnitude, negative } => {
                let magnitude = i128::from(*magnitude);
                Ok(Value::Integer(if *negative { -magnitude } else { magnitude }))
            }
            ExprKind::Float(value) => Ok(Value::Float(*value)),
            ExprKind::Text(text) => match ty {
                Type::Data => self.bytes(expr, Type::Data, text.clone()),
                _ => self.text(expr, text.clone()),
            },
            ExprKind::Hex(bytes) => self.bytes(expr, Type::Data, bytes.clone()),
            ExprKind::List(items) => match ty {
                Type::List(element) => self.list(expr, items, element, scope),
                _ => Err(self.wrong(expr, ty, "a list")),
            },
            ExprKind::Tuple(items) => match ty {
                Type::Struct(id) => {
                    let info = self.struct_info(*id)?;
                    self.spend(expr, u64::from(info.data_words + info.pointers))?;
                    let mut value = Struct::new(info.data_words, info.pointers);
                    let label = format!("struct `{}`", self.full_name(*id));
                    self.fill(items, &info.fields, &label, &mut value, scope)?;
                    self.object(expr, ty.clone(), Object::Struct(value))
                }
                _ => Err(self.wrong(expr, ty, "a struct")),
            },
            ExprKind::Embed(path) => {
                let path = path_text(path, expr)?;
                match ty {
                    Type::Text => {
                        let bytes = self.files.embed(&path, expr.span)?;
                        self.text(expr, bytes)
                    }
                    Type::Data => {
                        let bytes = self.files.embed(&path, expr.span)?;
                        self.bytes(expr, Type::Data, bytes)
                    }
                    Type::Struct(_) => Err(Problem::unsupported(
                        expr.span,
                        "embedding a message as a struct is not known",
                    )),
                    _ => Err(self
                        .wrong(expr, ty, "an embedded file")
                        .hint("embedded files can be Text or Data")),
                }
            }
            ExprKind::Relative(name) => self.word(expr, name, ty, scope),
            _ => self.named(expr, ty, scope),
        }
    }

    /// A bare word: an enumerant or a known value. Constants need to be qualified.
    fn word(&mut self, expr: &Expr, name: &str, ty: &Type, scope: DeclId) -> Result<Value> {
        let mut candidates: Vec<String> = Vec::new();
        if let Type::Enum(id) = ty {
            let ast = self.ast(*id);
            if let DeclKind::Enum(enumerants) = &ast.kind {
                if let Some(found) = enumerants.iter().find(|e| e.name.text == name) {
                    return Ok(Value::Enum(*id, found.ordinal));
                }
                candidates.extend(enumerants.iter().map(|e| e.name.text.clone()));
            }
        } else {
            match name {
                "void" => return Ok(Value::Void),
                "true" => return Ok(Value::Bool(true)),
                "false" => return Ok(Value::Bool(false)),
                "inf" => return Ok(Value::Float(f64::INFINITY)),
                "nan" => return Ok(Value::Float(f64::NAN)),
                _ => {}
            }
        }
        if let Ok(Entity::Decl(id)) = self.resolve(expr, scope)
            && matches!(self.ast(id).kind, DeclKind::Const { .. })
        {
            let file_level = self.parent(self.parent(id)) == self.parent(id);
            let place = if file_level { String::new() } else { self.full_name(self.parent(id)) };
            return Err(Problem::new(expr.span, "names of constants are always qualified")
                .hint(format!("write {place}.{name}")));
        }
        if let Type::Enum(id) = ty {
            return Err(Problem::new(
                expr.span,
                format!("there is no `{name}` in the enum `{}`", self.full_name(*id)),
            )
            .maybe_hint(suggest::hint(name, candidates.iter().map(String::as_str))));
        }
        Err(Problem::new(expr.span, format!("expected {}, found `{name}`", self.type_name(ty)))
            .maybe_hint((*ty == Type::Text).then(|| "texts stand in double quotes".to_owned())))
    }

    /// A qualified name: a constant.
    fn named(&mut self, expr: &Expr, ty: &Type, scope: DeclId) -> Result<Value> {
        if let (ExprKind::Member(base, name), Type::Enum(wanted)) = (&expr.kind, ty)
            && let Ok(Entity::Decl(id)) = self.resolve(base, scope)
            && id == *wanted
        {
            return Err(Problem::new(expr.span, "enumerants are written without the enum's name")
                .hint(format!("write {}", name.text)));
        }
        match self.resolve(expr, scope)? {
            Entity::Decl(id) => self.constant(id, expr),
            _ => Err(Problem::new(expr.span, "expected a value, found a type")),
        }
    }

    fn text(&mut self, expr: &Expr, mut text: Vec<u8>) -> Result<Value> {
        text.push(0);
        self.bytes(expr, Type::Text, text)
    }

    fn bytes(&mut self, expr: &Expr, ty: Type, bytes: Vec<u8>) -> Result<Value> {
        self.spend(expr, (bytes.len() as u64).div_ceil(8))?;
        self.object(expr, ty, Object::Bytes(bytes))
    }

    /// Counts what is allocated, before it is allocated.
    pub fn spend(&mut self, expr: &Expr, words: u64) -> Result<()> {
        self.words = self.words.saturating_add(words);
        if self.words > MAX_VALUE_WORDS { Err(self.too_large(expr)) } else { Ok(()) }
    }

    fn too_large(&self, expr: &Expr) -> Problem {
        Problem::new(
            expr.span,
            format!("the values take more than {} MiB", (MAX_VALUE_WORDS * 8) >> 20),
        )
    }

    pub fn object(&mut self, expr: &Expr, ty: Type, object: Object) -> Result<Value> {
        let node = Node::new(object);
        if node.words > MAX_VALUE_WORDS {
            return Err(self.too_large(expr));
        }
        if node.depth > MAX_VALUE_DEPTH {
            return Err(Problem::new(
                expr.span,
                format!("this value is more than {MAX_VALUE_DEPTH} levels deep"),
            ));
        }
        Ok(Value::Object(ty, Rc::new(node)))
    }
}
