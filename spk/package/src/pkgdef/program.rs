//! All declarations of the files read so far, and what names in them mean.

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Decl, DeclKind, Expr, ExprKind, Name};
use super::error::{Problem, Result, Span};
use super::eval::Const;
use super::expressions::path_text;
use super::files::Files;
use super::limits::MAX_NESTING;
use super::parser::parse;
use super::structs::StructInfo;
use super::types::Type;
use crate::suggest;

/// A declaration's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeclId(pub usize);

/// A declaration and its place among the others.
struct Entry {
    file: usize,
    parent: Option<DeclId>,
    ast: Rc<Decl>,
    children: HashMap<String, DeclId>,
}

/// What a name turned out to mean.
#[derive(Debug, Clone)]
pub enum Entity {
    Decl(DeclId),
    /// A generic type with its arguments, which are not looked at.
    Branded(DeclId),
    /// A built-in type.
    Type(Type),
    /// `List` without its element type.
    List,
    /// A type parameter.
    Parameter,
}

/// Files, declarations, and what was worked out about them.
pub struct Program {
    pub files: Files,
    entries: Vec<Entry>,
    /// Number of the file to its declaration and ID.
    roots: HashMap<usize, (DeclId, u64)>,
    /// `using` declarations being resolved, to find circles.
    resolving: Vec<DeclId>,
    pub structs: HashMap<DeclId, Rc<StructInfo>>,
    pub constants: HashMap<DeclId, Const>,
    /// Words all values took so far.
    pub words: u64,
    pub depth: usize,
}

impl Program {
    pub fn new(files: Files) -> Program {
        Program {
            files,
            entries: Vec::new(),
            roots: HashMap::new(),
            resolving: Vec::new(),
            structs: HashMap::new(),
            constants: HashMap::new(),
            words: 0,
            depth: 0,
        }
    }

    /// Parses a file that was read.
    pub fn add_file(&mut self, file: usize) -> Result<DeclId> {
        if let Some((root, _)) = self.roots.get(&file) {
            return Ok(*root);
        }
        let parsed = parse(self.files.text(file), file)?;
        let root = self.add(file, None, &parsed.root)?;
        self.roots.insert(file, (root, parsed.id));
        Ok(root)
    }

    /// The parser has bounded how deep declarations nest.
    fn add(&mut self, file: usize, parent: Option<DeclId>, ast: &Rc<Decl>) -> Result<DeclId> {
        let id = DeclId(self.entries.len());
        self.entries.push(Entry { file, parent, ast: ast.clone(), children: HashMap::new() });
        for child in &ast.children {
            let number = self.add(file, Some(id), child)?;
            let name = &child.name;
            if self.entries[id.0].children.insert(name.text.clone(), number).is_some() {
                return Err(Problem::new(name.span, format!("`{}` is declared twice", name.text)));
            }
        }
        Ok(id)
    }

    pub fn ast(&self, id: DeclId) -> Rc<Decl> {
        self.entries[id.0].ast.clone()
    }

    pub fn children(&self, id: DeclId) -> Vec<DeclId> {
        let mut children: Vec<DeclId> = self.entries[id.0].children.values().copied().collect();
        children.sort_by_key(|id| id.0);
        children
    }

    pub fn child(&self, id: DeclId, name: &str) -> Option<DeclId> {
        self.entries[id.0].children.get(name).copied()
    }

    pub fn child_names(&self, id: DeclId) -> impl Iterator<Item = &str> {
        self.entries[id.0].children.keys().map(String::as_str)
    }

    /// The scope a declaration stands in; a file is its own.
    pub fn parent(&self, id: DeclId) -> DeclId {
        self.entries[id.0].parent.unwrap_or(id)
    }

    /// The ID of the file a declaration is in.
    pub fn file_id(&self, id: DeclId) -> u64 {
        self.roots.get(&self.entries[id.0].file).map_or(0, |(_, id)| *id)
    }

    /// `Outer.Inner`, as far as the file's top.
    pub fn full_name(&self, id: DeclId) -> String {
        let entry = &self.entries[id.0];
        match entry.parent {
            Some(parent) if self.entries[parent.0].parent.is_some() => {
                format!("{}.{}", self.full_name(parent), entry.ast.name.text)
            }
            _ => entry.ast.name.text.clone(),
        }
    }

    /// Runs `inner` one level deeper, if that is not too deep.
    pub fn deeper<T>(
        &mut self,
        span: Span,
        inner: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if self.depth >= MAX_NESTING {
            return Err(Problem::new(
                span,
                format!("values and references nest more than {MAX_NESTING} levels deep here"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// What a name, import, member or generic type written in `scope` means.
    pub fn resolve(&mut self, expr: &Expr, scope: DeclId) -> Result<Entity> {
        self.deeper(expr.span, |program| match &expr.kind {
            ExprKind::Relative(name) => program.relative(name, expr.span, scope),
            ExprKind::Absolute(name) => {
                let mut root = scope;
                while program.parent(root) != root {
                    root = program.parent(root);
                }
                program.member(root, name)
            }
            ExprKind::Import(path) => {
                let path = path_text(path, expr)?;
                let (file, new) = program.files.import(&path, expr.span)?;
                if new || !program.roots.contains_key(&file) {
                    program.add_file(file)?;
                }
                Ok(Entity::Decl(program.roots[&file].0))
            }
            ExprKind::Member(base, name) => match program.resolve(base, scope)? {
                Entity::Decl(id) => program.member(id, name),
                Entity::Branded(_) => Err(Problem::unsupported(
                    name.span,
                    "members of generic types with arguments are not known",
                )),
                _ => Err(Problem::new(
                    name.span,
                    format!("there is no `{}` in this type", name.text),
                )),
            },
            ExprKind::Apply(base, arguments) => match program.resolve(base, scope)? {
                Entity::List => match arguments.as_slice() {
                    [element] => {
                        let element = program.type_of(element, scope)?;
                        Ok(Entity::Type(Type::List(Rc::new(element))))
                    }
                    _ => Err(Problem::new(expr.span, "a list has one element type")
                        .hint("write List(Text), for example")),
                },
                Entity::Decl(id) if !program.ast(id).params.is_empty() => Ok(Entity::Branded(id)),
                _ => Err(Problem::new(expr.span, "this is not a generic type")),
            },
            _ => Err(Problem::new(expr.span, "expected a name here")),
        })
    }

    fn relative(&mut self, name: &str, span: Span, scope: DeclId) -> Result<Entity> {
        let mut at = scope;
        loop {
            if let Some(found) = self.child(at, name) {
                return self.follow(found, span);
            }
            if self.ast(at).params.iter().any(|param| param.text == name) {
                return Ok(Entity::Parameter);
            }
            let parent = self.parent(at);
            if parent == at {
                break;
            }
            at = parent;
        }
        if name == "List" {
            return Ok(Entity::List);
        }
        if let Some(ty) = Type::builtin(name) {
            return Ok(Entity::Type(ty));
        }
        let mut names: Vec<&str> = Type::BUILTIN_NAMES.to_vec();
        let mut at = scope;
        loop {
            names.extend(self.child_names(at));
            let parent = self.parent(at);
            if parent == at {
                break;
            }
            at = parent;
        }
        Err(Problem::new(span, format!("`{name}` is not declared"))
            .maybe_hint(suggest::hint(name, names.into_iter())))
    }

    /// `name` inside of the declaration `base`.
    fn member(&mut self, base: DeclId, name: &Name) -> Result<Entity> {
        match self.child(base, &name.text) {
            Some(found) => self.follow(found, name.span),
            None => {
                let ast = self.ast(base);
                let place = match &ast.kind {
                    DeclKind::File => self.files.shown(self.entries[base.0].file).to_owned(),
                    DeclKind::Const { .. } => {
                        return Err(Problem::new(
                            name.span,
                            format!(
                                "`{}` is a constant; its members cannot be named",
                                ast.name.text
                            ),
                        )
                        .hint("give the member a constant of its own"));
                    }
                    _ => format!("`{}`", self.full_name(base)),
                };
                Err(Problem::new(name.span, format!("there is no `{}` in {place}", name.text))
                    .maybe_hint(suggest::hint(&name.text, self.child_names(base))))
            }
        }
    }

    /// What a declaration stands for: `using` stands for something else.
    fn follow(&mut self, id: DeclId, span: Span) -> Result<Entity> {
        let ast = self.ast(id);
        let DeclKind::Using(target) = &ast.kind else { return Ok(Entity::Decl(id)) };
        if self.resolving.contains(&id) {
            return Err(Problem::new(span, format!("`using {}` refers to itself", ast.name.text)));
        }
        self.resolving.push(id);
        let result = self.resolve(target, self.parent(id));
        self.resolving.pop();
        result
    }
}
