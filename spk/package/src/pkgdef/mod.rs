//! Package definitions: evaluating `sandstorm-pkgdef.capnp` (format, "the package definition
//! language").
//!
//! A definition is a Cap'n Proto schema file with a constant of type `PackageDefinition`. The
//! file and what it imports go through [`lexer`], [`parser`] and [`program`] (what names mean);
//! [`layout`] and [`structs`] work out where fields lie, [`eval`] makes values of what is written,
//! and [`value`] encodes them. What of the language is not known here (generic types with
//! arguments, structs embedded as messages) is left to an installed `capnp`.
//!
//! Everything is bounded ([`limits`]), and no text makes it panic.

mod ast;
mod capnp_tool;
mod check;
mod compose;
mod declarations;
mod definition;
mod error;
mod eval;
mod expressions;
mod files;
mod layout;
mod lexer;
pub mod limits;
mod parser;
mod program;
mod rekey;
mod structs;
mod types;
mod value;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod random_structs;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use definition::{Definition, Evaluator};
pub use error::{Error, Place};
pub use rekey::Rekey;

use self::ast::DeclKind;
use self::error::Problem;
use self::files::Files;
use self::program::{DeclId, Program};
use self::types::Type;
use self::value::{Object, encode};
use crate::suggest;

/// ID of the file that declares `PackageDefinition` (format, "schema tables", files).
const PACKAGE_FILE_ID: u64 = 0xdf9b_c201_7285_6a3a;

/// Evaluates the constant `constant` of `file`, a package definition.
///
/// `import_path` is searched, in order, for imports and embeds that start with a slash; after it
/// come the schemas this program carries, `/usr/local/include` and `/usr/include`. Relative paths
/// start at the directory of the file they are written in, those of the source map at the
/// directory of `file`.
///
/// # Errors
/// When a file is missing or unreadable, when anything in `file` is wrong, and when the
/// definition lacks what every package needs.
pub fn load(file: &Path, constant: &str, import_path: &[PathBuf]) -> Result<Definition, Error> {
    let mut files = Files::new(import_path);
    let first = files.open(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound(file.to_owned()),
        _ => Error::Read { path: file.to_owned(), source },
    })?;
    let mut program = Program::new(files);
    match evaluate(&mut program, first, constant) {
        Ok(words) => {
            let files = program.files.into_read();
            tracing::info!(file = %file.display(), constant, read = files.len(), "definition read");
            definition::read(file, constant, &words, Evaluator::Own, files)
        }
        Err(Failure::Problem(problem))
            if problem.0.unsupported && declares_package(&mut program, first, constant) =>
        {
            let place = Box::new(program.files.place(problem.0.span));
            let files = program.files.into_read();
            tracing::info!(file = %file.display(), constant, "definition given to capnp");
            match capnp_tool::evaluate(file, constant, import_path)? {
                Some(words) => {
                    let reason = problem.0.message;
                    definition::read(file, constant, &words, Evaluator::Capnp { reason }, files)
                }
                None => Err(Error::Unsupported { place, message: problem.0.message }),
            }
        }
        Err(Failure::Problem(problem)) => Err(Error::Invalid {
            place: Box::new(program.files.place(problem.0.span)),
            message: problem.0.message,
            hint: problem.0.hint,
        }),
        Err(Failure::NoConstant { hint }) => {
            Err(Error::NoConstant { file: file.to_owned(), constant: constant.to_owned(), hint })
        }
    }
}

/// Checks the text of a definition that is in no file yet; `shown` is what messages call it.
/// Relative imports and embeds start at the working directory. What only `capnp` knows is
/// [`Error::Unsupported`].
///
/// # Errors
/// As [`load`]; what every package needs is not looked at.
pub fn check(text: &[u8], shown: &str, constant: &str) -> Result<(), Error> {
    let mut files = Files::new(&[]);
    let first = files.add_text(shown, text);
    let mut program = Program::new(files);
    match evaluate(&mut program, first, constant) {
        Ok(_) => Ok(()),
        Err(Failure::Problem(problem)) => {
            let place = Box::new(program.files.place(problem.0.span));
            let (message, hint) = (problem.0.message, problem.0.hint);
            Err(match problem.0.unsupported {
                true => Error::Unsupported { place, message },
                false => Error::Invalid { place, message, hint },
            })
        }
        Err(Failure::NoConstant { hint }) => {
            Err(Error::NoConstant { file: shown.into(), constant: constant.to_owned(), hint })
        }
    }
}

/// Why [`evaluate`] failed.
#[derive(Debug)]
enum Failure {
    Problem(Problem),
    NoConstant { hint: Option<String> },
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Problem(problem)
    }
}

/// The message of the definition: one segment, without framing.
fn evaluate(program: &mut Program, file: usize, constant: &str) -> Result<Vec<u64>, Failure> {
    let root = program.add_file(file)?;
    program.check(root)?;
    let Some(id) = program.child(root, constant) else {
        let hint = package_constant(program, root)
            .map(|name| format!("`{name}` is a package definition: name it with -p FILE:{name}"))
            .or_else(|| suggest::hint(constant, program.child_names(root)));
        return Err(Failure::NoConstant { hint });
    };
    let ast = program.ast(id);
    let DeclKind::Const { ty, value } = &ast.kind else {
        return Err(Problem::new(ast.name.span, format!("`{constant}` is not a constant")).into());
    };
    let declared = program.type_of(ty, root)?;
    if !is_package_definition(program, &declared) {
        return Err(Problem::new(
            ty.span,
            format!("`{constant}` is not a PackageDefinition but {}", program.type_name(&declared)),
        )
        .hint("write const pkgdef :Spk.PackageDefinition = ( … )")
        .into());
    }
    match program.constant(id, value)? {
        eval::Value::Object(_, node) if matches!(node.object, Object::Struct(_)) => {
            Ok(encode(&node))
        }
        _ => Err(Problem::new(value.span, "this is not a struct").into()),
    }
}

fn is_package_definition(program: &Program, ty: &Type) -> bool {
    matches!(ty, Type::Struct(id)
        if program.file_id(*id) == PACKAGE_FILE_ID && program.full_name(*id) == "PackageDefinition")
}

/// Whether the constant is declared as a package definition, so that `capnp` may be asked for it.
fn declares_package(program: &mut Program, file: usize, constant: &str) -> bool {
    program.depth = 0;
    let Ok(root) = program.add_file(file) else { return true };
    let Some(id) = program.child(root, constant) else { return false };
    match &program.ast(id).kind {
        DeclKind::Const { ty, .. } => {
            program.type_of(ty, root).is_ok_and(|ty| is_package_definition(program, &ty))
        }
        _ => false,
    }
}

/// The name of a constant that is a package definition.
fn package_constant(program: &mut Program, root: DeclId) -> Option<String> {
    program.children(root).into_iter().find_map(|id| {
        let ast = program.ast(id);
        let DeclKind::Const { ty, .. } = &ast.kind else { return None };
        let ty = program.type_of(ty, root).ok()?;
        is_package_definition(program, &ty).then(|| ast.name.text.clone())
    })
}
