//! Everything in the definition's own file is checked, used or not, as the original does.

use super::ast::{DeclKind, Expr, ExprKind, Member, MemberKind};
use super::error::{Problem, Result};
use super::program::{DeclId, Entity, Program};
use super::structs::{FieldKind, Group};
use super::types::Type;

impl Program {
    /// Checks a declaration and those within.
    pub fn check(&mut self, id: DeclId) -> Result<()> {
        let ast = self.ast(id);
        match &ast.kind {
            DeclKind::File | DeclKind::Interface => {}
            DeclKind::Using(target) => {
                let scope = self.parent(id);
                self.resolve(target, scope)?;
            }
            DeclKind::Const { value, .. } => {
                self.constant(id, value)?;
            }
            DeclKind::Enum(enumerants) => {
                let mut ordinals: Vec<_> =
                    enumerants.iter().map(|e| (e.ordinal, &e.name)).collect();
                ordinals.sort_by_key(|(ordinal, _)| *ordinal);
                for (expected, (ordinal, name)) in ordinals.iter().enumerate() {
                    if usize::from(*ordinal) != expected {
                        return Err(Problem::new(
                            name.span,
                            format!("expected an enumerant @{expected}, found @{ordinal}"),
                        )
                        .hint("ordinals count from 0 without gaps"));
                    }
                }
                let mut names: Vec<_> = enumerants.iter().map(|e| &e.name).collect();
                names.sort_by(|a, b| a.text.cmp(&b.text));
                for pair in names.windows(2) {
                    if pair[0].text == pair[1].text {
                        let name = pair[1];
                        return Err(Problem::new(
                            name.span,
                            format!("`{}` is declared twice", name.text),
                        ));
                    }
                }
            }
            DeclKind::Struct(members) => {
                let info = self.struct_info(id)?;
                self.check_types(&info.fields)?;
                self.check_defaults(members, &info.fields, id)?;
            }
            DeclKind::Annotation(ty) => {
                let scope = self.parent(id);
                self.type_of(ty, scope)?;
            }
        }
        for annotation in &ast.annotations {
            self.check_annotation(&annotation.expr, id)?;
        }
        for child in self.children(id) {
            self.check(child)?;
        }
        Ok(())
    }

    /// The structs that fields have must have a layout themselves.
    fn check_types(&mut self, group: &Group) -> Result<()> {
        for field in &group.fields {
            match &field.kind {
                FieldKind::Group(inner) => self.check_types(inner)?,
                FieldKind::Slot { ty, .. } => {
                    let mut ty = ty;
                    while let Type::List(element) = ty {
                        ty = element;
                    }
                    if let Type::Struct(id) = ty {
                        self.struct_info(*id)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Defaults of pointer fields take no part in the layout, but must be right too.
    fn check_defaults(&mut self, members: &[Member], group: &Group, scope: DeclId) -> Result<()> {
        for member in members {
            let field = member.name.as_ref().and_then(|name| group.names.get(&name.text));
            match (&member.kind, field.map(|&index| &group.fields[index].kind)) {
                (MemberKind::Union(inner), None) => self.check_defaults(inner, group, scope)?,
                (
                    MemberKind::Union(inner) | MemberKind::Group(inner),
                    Some(FieldKind::Group(group)),
                ) => {
                    self.check_defaults(inner, group, scope)?;
                }
                (
                    MemberKind::Field { default: Some(default), .. },
                    Some(FieldKind::Slot { ty, .. }),
                ) => {
                    self.value(default, ty, scope)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_annotation(&mut self, expr: &Expr, scope: DeclId) -> Result<()> {
        let (name, argument) = match &expr.kind {
            ExprKind::Apply(base, arguments) => match arguments.as_slice() {
                [argument] => (&**base, Some(argument)),
                _ => return Err(Problem::new(expr.span, "an annotation has one value")),
            },
            _ => (expr, None),
        };
        let id = match self.resolve(name, scope)? {
            Entity::Decl(id) => id,
            _ => return Err(Problem::new(name.span, "this is not an annotation")),
        };
        let ast = self.ast(id);
        let DeclKind::Annotation(ty) = &ast.kind else {
            return Err(Problem::new(
                name.span,
                format!("`{}` is not an annotation", self.full_name(id)),
            ));
        };
        let at = self.parent(id);
        let ty = self.type_of(ty, at)?;
        match argument {
            Some(argument) => {
                self.value(argument, &ty, scope)?;
            }
            None if ty == Type::Void => {}
            None => {
                return Err(Problem::new(
                    name.span,
                    format!("this annotation needs a value, {}", self.type_name(&ty)),
                ));
            }
        }
        Ok(())
    }
}
