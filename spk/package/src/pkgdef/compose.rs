//! Lists and structs made of values.

use std::rc::Rc;

use super::ast::{Expr, ExprKind, Name};
use super::error::{Problem, Result};
use super::eval::Value;
use super::program::{DeclId, Program};
use super::structs::{FieldKind, Group};
use super::types::Type;
use super::value::{Object, Struct};
use crate::suggest;

impl Program {
    pub fn list(
        &mut self,
        expr: &Expr,
        items: &[Expr],
        element: &Rc<Type>,
        scope: DeclId,
    ) -> Result<Value> {
        let ty = Type::List(element.clone());
        if let Type::Struct(id) = &**element {
            let info = self.struct_info(*id)?;
            let mut elements = Vec::new();
            for item in items {
                let value = self.value(item, element, scope)?;
                // A constant's struct is copied; a literal's has been counted once more than needed.
                self.spend(item, u64::from(info.data_words + info.pointers))?;
                if let Some(node) = value.pointer()
                    && let Object::Struct(value) = &node.object
                {
                    elements.push(value.clone());
                }
            }
            let (data_words, pointers) = (info.data_words, info.pointers);
            return self.object(expr, ty, Object::Structs { data_words, pointers, elements });
        }
        if matches!(**element, Type::AnyPointer | Type::Interface) {
            return Err(Problem::new(
                expr.span,
                format!("a list of {} cannot be written down", self.type_name(element)),
            ));
        }
        let mut values = Vec::new();
        for item in items {
            self.spend(item, 1)?;
            values.push(self.value(item, element, scope)?);
        }
        let object = match (element.data_size(), element.is_pointer()) {
            (_, true) => Object::Pointers(values.into_iter().map(Value::pointer).collect()),
            (None, _) => Object::Voids(values.len()),
            (Some(0), _) => {
                Object::Bits(values.iter().map(|value| value.bits(element) != 0).collect())
            }
            (Some(3), _) => {
                Object::Bytes(values.iter().map(|value| value.bits(element) as u8).collect())
            }
            (Some(size), _) => {
                let mask = if size == 6 { u64::MAX } else { (1 << (1 << size)) - 1 };
                let values = values.iter().map(|value| value.bits(element) & mask).collect();
                Object::Scalars { bytes: 1 << (size - 3), values }
            }
        };
        self.object(expr, ty, object)
    }

    /// Sets the named fields of a struct or group. Later ones win, as in the original compiler.
    pub fn fill(
        &mut self,
        items: &[(Option<Name>, Expr)],
        group: &Group,
        label: &str,
        target: &mut Struct,
        scope: DeclId,
    ) -> Result<()> {
        for (name, expr) in items {
            let Some(name) = name else {
                return Err(Problem::new(
                    expr.span,
                    "a field's name and `=` are missing before this",
                ));
            };
            let Some(&index) = group.names.get(&name.text) else {
                return Err(Problem::new(
                    name.span,
                    format!("{label} has no field `{}`", name.text),
                )
                .maybe_hint(suggest::hint(&name.text, group.names.keys().map(String::as_str))));
            };
            let field = &group.fields[index];
            match &field.kind {
                FieldKind::Slot { offset, ty, default } => {
                    let value = self.value(expr, ty, scope)?;
                    group.activate(index, target);
                    match ty.data_size() {
                        Some(size) => target.set(size, *offset, value.bits(ty) ^ default),
                        None if *ty == Type::Void => {}
                        None => {
                            if let Some(slot) = target.pointers.get_mut(*offset as usize) {
                                *slot = value.pointer();
                            }
                        }
                    }
                }
                FieldKind::Group(inner) => {
                    let ExprKind::Tuple(items) = &expr.kind else {
                        return Err(Problem::new(
                            expr.span,
                            format!("the group `{}` is written ( field = value, … )", name.text),
                        ));
                    };
                    group.activate(index, target);
                    inner.clear(target);
                    let label = format!("the group `{}`", name.text);
                    self.fill(items, inner, &label, target, scope)?;
                }
            }
        }
        Ok(())
    }
}

impl Group {
    /// Makes the field the current one of its union.
    fn activate(&self, index: usize, target: &mut Struct) {
        if let (Some(offset), Some(tag)) = (self.discriminant, self.fields[index].discriminant) {
            target.set(4, offset, u64::from(tag));
        }
    }

    /// Back to defaults: all fields outside of the union, and the union's first member.
    fn clear(&self, target: &mut Struct) {
        for (index, field) in self.fields.iter().enumerate() {
            if field.discriminant.is_some_and(|tag| tag != 0) {
                continue;
            }
            self.activate(index, target);
            match &field.kind {
                FieldKind::Group(inner) => inner.clear(target),
                FieldKind::Slot { offset, ty, .. } => match ty.data_size() {
                    Some(size) => target.set(size, *offset, 0),
                    None if *ty == Type::Void => {}
                    None => {
                        if let Some(slot) = target.pointers.get_mut(*offset as usize) {
                            *slot = None;
                        }
                    }
                },
            }
        }
    }
}
