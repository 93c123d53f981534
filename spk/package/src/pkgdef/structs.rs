//! Struct declarations into fields with their places.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::ast::{DeclKind, Expr, Member, MemberKind, Name};
use super::error::{Problem, Result, Span};
use super::layout::{Layout, ScopeId, UnionId};
use super::limits::MAX_STRUCT_WORDS;
use super::program::{DeclId, Program};
use super::types::Type;

/// A struct with its layout.
#[derive(Debug)]
pub struct StructInfo {
    pub data_words: u32,
    pub pointers: u32,
    pub fields: Group,
}

/// The fields of a struct or group. Members of its unnamed union are among them.
#[derive(Debug, Default)]
pub struct Group {
    pub fields: Vec<Field>,
    pub names: HashMap<String, usize>,
    /// Where the tag of its unnamed union is, in multiples of 16 bits. A named union is a group
    /// that has nothing but this.
    pub discriminant: Option<u32>,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    /// Its number in the union it is a member of.
    pub discriminant: Option<u16>,
    pub kind: FieldKind,
}

#[derive(Debug)]
pub enum FieldKind {
    /// `offset`: in multiples of the type's size, or the pointer's index. `default`: the bits with
    /// which the stored value is combined.
    Slot {
        offset: u32,
        ty: Type,
        default: u64,
    },
    Group(Group),
}

/// A field or group while its struct is laid out.
struct Draft {
    name: Name,
    parent: Option<usize>,
    in_union: Option<UnionId>,
    discriminant: Option<u16>,
    kind: DraftKind,
}

enum DraftKind {
    Slot { ty: Rc<Expr>, default: Option<Rc<Expr>>, scope: ScopeId, offset: u32, resolved: Type },
    Group,
}

/// What an ordinal stands for.
enum Numbered {
    Field(usize),
    Union(UnionId),
}

#[derive(Default)]
struct Drafts {
    layout: Layout,
    drafts: Vec<Draft>,
    ordinals: Vec<(u16, Span, Numbered)>,
    /// The unnamed union of a group (or of the struct: `None`), or the union that a group is.
    unions: HashMap<Option<usize>, UnionId>,
    tags: HashMap<usize, u16>,
    names: HashSet<(Option<usize>, String)>,
}

impl Program {
    /// The layout of a struct, worked out when it is first asked for.
    pub fn struct_info(&mut self, id: DeclId) -> Result<Rc<StructInfo>> {
        if let Some(info) = self.structs.get(&id) {
            return Ok(info.clone());
        }
        let ast = self.ast(id);
        let DeclKind::Struct(members) = &ast.kind else {
            return Err(Problem::new(ast.name.span, "this is not a struct"));
        };
        let mut drafts = Drafts { layout: Layout::default(), ..Drafts::default() };
        drafts.collect(members, None, Layout::TOP, None)?;
        self.place(&mut drafts, id)?;
        let (data_words, pointers) = (drafts.layout.data_words(), drafts.layout.pointers());
        if data_words > MAX_STRUCT_WORDS || pointers > MAX_STRUCT_WORDS {
            return Err(Problem::new(ast.name.span, "this struct is too large"));
        }
        let fields = self.finish(&mut drafts, id)?;
        let info = Rc::new(StructInfo { data_words, pointers, fields });
        self.structs.insert(id, info.clone());
        Ok(info)
    }

    /// Gives every field its place, in the order of the ordinals.
    fn place(&mut self, drafts: &mut Drafts, scope: DeclId) -> Result<()> {
        let mut ordinals = std::mem::take(&mut drafts.ordinals);
        ordinals.sort_by_key(|(ordinal, ..)| *ordinal);
        for (expected, (ordinal, span, numbered)) in ordinals.into_iter().enumerate() {
            if usize::from(ordinal) < expected {
                return Err(Problem::new(span, format!("the ordinal @{ordinal} is used twice")));
            }
            if usize::from(ordinal) > expected {
                return Err(Problem::new(span, format!("the ordinal @{expected} is left out"))
                    .hint("ordinals count from 0 without gaps"));
            }
            let index = match numbered {
                Numbered::Union(union) => {
                    drafts.layout.discriminant(union);
                    continue;
                }
                Numbered::Field(index) => index,
            };
            drafts.number_in_union(index);
            let DraftKind::Slot { ty, scope: place, offset, resolved, .. } =
                &mut drafts.drafts[index].kind
            else {
                continue;
            };
            *resolved = self.type_of(ty, scope)?;
            *offset = match resolved.data_size() {
                Some(size) => drafts.layout.add_data(*place, size),
                None if *resolved == Type::Void => {
                    drafts.layout.add_void(*place);
                    0
                }
                None => drafts.layout.add_pointer(*place),
            };
        }
        Ok(())
    }

    fn finish(&mut self, drafts: &mut Drafts, scope: DeclId) -> Result<Group> {
        // Children come after their parents, so from the end each group is complete when it is
        // put into its parent.
        let mut groups: HashMap<Option<usize>, Group> = HashMap::new();
        for (index, draft) in std::mem::take(&mut drafts.drafts).into_iter().enumerate().rev() {
            let kind = match draft.kind {
                DraftKind::Slot { default, offset, resolved, .. } => {
                    let default = match default {
                        Some(default) if !resolved.is_pointer() => {
                            let value = self.value(&default, &resolved, scope)?;
                            value.bits(&resolved)
                        }
                        _ => 0,
                    };
                    FieldKind::Slot { offset, ty: resolved, default }
                }
                DraftKind::Group => {
                    let mut group = groups.remove(&Some(index)).unwrap_or_default();
                    group.complete(drafts, Some(index));
                    FieldKind::Group(group)
                }
            };
            let name = draft.name.text;
            let field = Field { name, discriminant: draft.discriminant, kind };
            groups.entry(draft.parent).or_default().fields.push(field);
        }
        let mut top = groups.remove(&None).unwrap_or_default();
        top.complete(drafts, None);
        Ok(top)
    }
}

impl Group {
    fn complete(&mut self, drafts: &mut Drafts, index: Option<usize>) {
        self.fields.reverse();
        for (at, field) in self.fields.iter().enumerate() {
            self.names.insert(field.name.clone(), at);
        }
        self.discriminant =
            drafts.unions.get(&index).copied().map(|union| drafts.layout.discriminant(union));
    }
}

impl Drafts {
    /// The parser has bounded how deep members nest.
    fn collect(
        &mut self,
        members: &[Member],
        parent: Option<usize>,
        scope: ScopeId,
        union: Option<UnionId>,
    ) -> Result<()> {
        for member in members {
            let member_scope = |drafts: &mut Drafts| match union {
                Some(union) => drafts.layout.add_member(union),
                None => scope,
            };
            let Some(name) = &member.name else {
                let MemberKind::Union(inner) = &member.kind else { continue };
                if union.is_some() {
                    return Err(Problem::new(member.span, "an unnamed union directly in a union"));
                }
                if inner.len() < 2 {
                    return Err(Problem::new(member.span, "a union needs at least two members"));
                }
                let new = self.layout.add_union(scope);
                if self.unions.insert(parent, new).is_some() {
                    return Err(Problem::new(
                        member.span,
                        "there is already an unnamed union here",
                    ));
                }
                self.collect(inner, parent, scope, Some(new))?;
                continue;
            };
            if !self.names.insert((parent, name.text.clone())) {
                return Err(Problem::new(name.span, format!("`{}` is declared twice", name.text)));
            }
            let index = self.drafts.len();
            let mut draft = Draft {
                name: name.clone(),
                parent,
                in_union: union,
                discriminant: None,
                kind: DraftKind::Group,
            };
            match &member.kind {
                MemberKind::Field { ty, default } => {
                    let Some((ordinal, span)) = member.ordinal else {
                        return Err(Problem::new(name.span, "this field has no ordinal")
                            .hint(format!("write {} @N :…, counting from 0", name.text)));
                    };
                    draft.kind = DraftKind::Slot {
                        ty: ty.clone(),
                        default: default.clone(),
                        scope: member_scope(self),
                        offset: 0,
                        resolved: Type::Void,
                    };
                    self.ordinals.push((ordinal, span, Numbered::Field(index)));
                    self.drafts.push(draft);
                }
                MemberKind::Group(inner) => {
                    if inner.is_empty() {
                        return Err(Problem::new(name.span, "a group needs at least one member"));
                    }
                    self.drafts.push(draft);
                    let scope = member_scope(self);
                    self.collect(inner, Some(index), scope, None)?;
                }
                MemberKind::Union(inner) => {
                    if inner.len() < 2 {
                        return Err(Problem::new(name.span, "a union needs at least two members"));
                    }
                    self.drafts.push(draft);
                    let scope = member_scope(self);
                    let new = self.layout.add_union(scope);
                    self.unions.insert(Some(index), new);
                    if let Some((ordinal, span)) = member.ordinal {
                        self.ordinals.push((ordinal, span, Numbered::Union(new)));
                    }
                    self.collect(inner, Some(index), scope, Some(new))?;
                }
            }
        }
        Ok(())
    }

    /// Union members are numbered in the order of the lowest ordinal in each.
    fn number_in_union(&mut self, index: usize) {
        let mut at = Some(index);
        while let Some(index) = at {
            let draft = &mut self.drafts[index];
            if let (Some(union), None) = (draft.in_union, draft.discriminant) {
                let tag = self.tags.entry(union.index()).or_default();
                draft.discriminant = Some(*tag);
                *tag += 1;
            }
            at = draft.parent;
        }
    }
}
