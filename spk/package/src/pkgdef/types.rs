//! Types of fields and constants.

use std::rc::Rc;

use super::ast::{DeclKind, Expr};
use super::error::{Problem, Result};
use super::program::{DeclId, Entity, Program};

/// A type, with everything resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Void,
    Bool,
    /// 2^`size` bits.
    Integer {
        size: u32,
        signed: bool,
    },
    Float32,
    Float64,
    Text,
    Data,
    List(Rc<Type>),
    Enum(DeclId),
    Struct(DeclId),
    Interface,
    /// `AnyPointer` and its kinds.
    AnyPointer,
    /// A generic type with arguments, or a type parameter: a pointer whose values are unknown here.
    Generic,
}

impl Type {
    pub const BUILTIN_NAMES: &'static [&'static str] = &[
        "Void",
        "Bool",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
        "Text",
        "Data",
        "List",
        "AnyPointer",
        "AnyStruct",
        "AnyList",
        "Capability",
    ];

    /// The built-in type of that name.
    pub fn builtin(name: &str) -> Option<Type> {
        let integer = |size, signed| Some(Type::Integer { size, signed });
        match name {
            "Void" => Some(Type::Void),
            "Bool" => Some(Type::Bool),
            "Int8" => integer(3, true),
            "Int16" => integer(4, true),
            "Int32" => integer(5, true),
            "Int64" => integer(6, true),
            "UInt8" => integer(3, false),
            "UInt16" => integer(4, false),
            "UInt32" => integer(5, false),
            "UInt64" => integer(6, false),
            "Float32" => Some(Type::Float32),
            "Float64" => Some(Type::Float64),
            "Text" => Some(Type::Text),
            "Data" => Some(Type::Data),
            "AnyPointer" | "AnyStruct" | "AnyList" | "Capability" => Some(Type::AnyPointer),
            _ => None,
        }
    }

    /// Logarithm of the bits it takes in the data section; none for pointers and `Void`.
    pub fn data_size(&self) -> Option<u32> {
        match self {
            Type::Bool => Some(0),
            Type::Integer { size, .. } => Some(*size),
            Type::Enum(_) => Some(4),
            Type::Float32 => Some(5),
            Type::Float64 => Some(6),
            _ => None,
        }
    }

    pub fn is_pointer(&self) -> bool {
        self != &Type::Void && self.data_size().is_none()
    }
}

impl Program {
    /// The type an expression in `scope` names.
    pub fn type_of(&mut self, expr: &Expr, scope: DeclId) -> Result<Type> {
        match self.resolve(expr, scope)? {
            Entity::Type(ty) => Ok(ty),
            Entity::Parameter => Ok(Type::Generic),
            Entity::List => Err(Problem::new(expr.span, "the list's element type is missing")
                .hint("write List(Text), for example")),
            Entity::Branded(id) => match self.ast(id).kind {
                DeclKind::Interface => Ok(Type::Interface),
                _ => Ok(Type::Generic),
            },
            Entity::Decl(id) => match &self.ast(id).kind {
                DeclKind::Struct(_) => Ok(Type::Struct(id)),
                DeclKind::Enum(_) => Ok(Type::Enum(id)),
                DeclKind::Interface => Ok(Type::Interface),
                DeclKind::File => Err(Problem::new(expr.span, "this is a file, not a type")
                    .hint("name the type in it, as in Spk.PackageDefinition")),
                _ => {
                    Err(Problem::new(expr.span, format!("`{}` is not a type", self.full_name(id))))
                }
            },
        }
    }

    /// How messages name a type.
    pub fn type_name(&self, ty: &Type) -> String {
        match ty {
            Type::Void => "Void".to_owned(),
            Type::Bool => "Bool".to_owned(),
            Type::Integer { size, signed } => {
                format!("{}Int{}", if *signed { "" } else { "U" }, 1 << size)
            }
            Type::Float32 => "Float32".to_owned(),
            Type::Float64 => "Float64".to_owned(),
            Type::Text => "Text".to_owned(),
            Type::Data => "Data".to_owned(),
            Type::List(element) => format!("List({})", self.type_name(element)),
            Type::Enum(id) | Type::Struct(id) => self.full_name(*id),
            Type::Interface => "a capability".to_owned(),
            Type::AnyPointer => "AnyPointer".to_owned(),
            Type::Generic => "a generic type".to_owned(),
        }
    }
}
