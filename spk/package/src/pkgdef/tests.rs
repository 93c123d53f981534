//! The evaluator against what `capnp` makes of the same text.
//!
//! `tests/data/pkgdef-corpus/good/NAME.capnp`: accepted, and the value of the constant named in
//! the first line (`# eval: NAME`, else `pkgdef`) is, word for word, that in `NAME.bin`, which
//! Debian's `capnp eval --flat` wrote. `bad/NAME.capnp`: refused with the message in `NAME.txt`.
//! Where `capnp` is installed it is asked again, for both. `SPK_BLESS=1` writes the `.bin` files
//! with `capnp` and the `.txt` files with this evaluator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::eval::Value;
use super::files::Files;
use super::program::Program;
use super::value::encode;
use super::{Error, Failure};
use crate::pkgdef;

pub(super) fn data(sub: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(sub)
}

/// The value of any constant of struct type, as words.
pub(super) fn evaluate_any(
    program: &mut Program,
    file: usize,
    constant: &str,
) -> Result<Vec<u64>, Failure> {
    let root = program.add_file(file)?;
    program.check(root)?;
    let id = program.child(root, constant).ok_or(Failure::NoConstant { hint: None })?;
    let ast = program.ast(id);
    let super::DeclKind::Const { value, .. } = &ast.kind else {
        return Err(Failure::NoConstant { hint: None });
    };
    match program.constant(id, value)? {
        Value::Object(_, node) => Ok(encode(&node)),
        other => panic!("not a pointer: {other:?}"),
    }
}

pub(super) fn evaluate_file(path: &Path, constant: &str) -> Result<Vec<u64>, Error> {
    let mut files = Files::new(&[]);
    let first = files.open(path).unwrap();
    let mut program = Program::new(files);
    evaluate_any(&mut program, first, constant).map_err(|failure| match failure {
        Failure::Problem(problem) => Error::Invalid {
            place: Box::new(program.files.place(problem.0.span)),
            message: problem.0.message,
            hint: problem.0.hint,
        },
        Failure::NoConstant { hint } => {
            Error::NoConstant { file: path.to_owned(), constant: constant.to_owned(), hint }
        }
    })
}

pub(super) fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `capnp`, if it is installed; else the skip is made known.
pub(super) fn capnp_installed(test: &str) -> bool {
    let found = Command::new("capnp").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        spk_skip::skip(test, "capnp is not installed, nothing compared with it");
    }
    found
}

/// A directory with the schemas this program carries.
pub(super) fn schemas() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in spk_schema::text::FILES {
        let path = dir.path().join(&name[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// What `capnp` makes of it. `eval` looks only at what it needs, so the whole file is compiled
/// first, as the original spk does.
pub(super) fn capnp(path: &Path, constant: &str, schemas: &Path) -> Result<Vec<u8>, String> {
    let run = |arguments: &[&str]| {
        let output = Command::new("capnp")
            .env_remove("PWD")
            // Layouts that capnp before 0.6 got wrong are refused otherwise.
            .env("CAPNP_IGNORE_ISSUE_344", "1")
            .arg(arguments[0])
            .arg("-I")
            .arg(schemas)
            .args(&arguments[1..])
            .output()
            .unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    let path = path.to_str().unwrap();
    run(&["compile", "-o-", path])?;
    run(&["eval", "--flat", path, constant])
}

fn corpus(kind: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(data("pkgdef-corpus").join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "capnp"))
        .collect();
    paths.sort();
    paths
}

fn constant_of(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let name = text.lines().next().and_then(|line| line.strip_prefix("# eval: "));
    name.unwrap_or("pkgdef").to_owned()
}

#[test]
fn good_corpus_is_what_capnp_makes_of_it() {
    let installed = capnp_installed("good_corpus_is_what_capnp_makes_of_it");
    let schemas = schemas();
    let paths = corpus("good");
    assert!(paths.len() >= 30, "only {} files", paths.len());
    for path in paths {
        let constant = constant_of(&path);
        let golden = path.with_extension("bin");
        if installed {
            let theirs = capnp(&path, &constant, schemas.path())
                .unwrap_or_else(|error| panic!("{}: capnp: {error}", path.display()));
            if std::env::var_os("SPK_BLESS").is_some() {
                fs::write(&golden, &theirs).unwrap();
            }
            assert_eq!(theirs, fs::read(&golden).unwrap(), "{}: stale .bin", path.display());
        }
        let ours = evaluate_file(&path, &constant).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bytes(&ours), fs::read(&golden).unwrap(), "{}", path.display());
    }
}

#[test]
fn bad_corpus_is_refused_with_the_right_message() {
    let installed = capnp_installed("bad_corpus_is_refused_with_the_right_message");
    let schemas = schemas();
    let paths = corpus("bad");
    assert!(paths.len() >= 30, "only {} files", paths.len());
    for path in paths {
        let constant = constant_of(&path);
        // Where we are stricter than `capnp`, the file says why.
        let stricter = fs::read(&path).unwrap().windows(11).any(|bytes| bytes == b"# stricter:");
        if installed {
            let theirs = capnp(&path, &constant, schemas.path());
            assert_eq!(theirs.is_ok(), stricter, "{}: capnp: {theirs:?}", path.display());
        }
        let error = match evaluate_file(&path, &constant) {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(error) => error.to_string(),
        };
        let shown = error.replace(&format!("{}/", data("pkgdef-corpus").display()), "");
        let golden = path.with_extension("txt");
        if std::env::var_os("SPK_BLESS").is_some() {
            fs::write(&golden, format!("{shown}\n")).unwrap();
        }
        assert_eq!(
            format!("{shown}\n"),
            fs::read_to_string(&golden).unwrap_or_default(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn definitions_of_the_original_are_loaded() {
    for (name, expected) in [
        ("abs-include", ""),
        ("badid", ""),
        ("bad-source", ""),
        ("emptyid", ""),
        ("filelist", ""),
        ("hidden", ""),
        ("mapped", ""),
        ("merged", ""),
        ("nothing", ""),
        ("ok", ""),
        ("rootsymlink", ""),
        ("abs-packagepath", "packagePath begins with a slash"),
        ("minapi", "minApiVersion = 1"),
        ("no-manifest", "no appTitle"),
        ("no-mver", "no appMarketingVersion"),
        ("noimport", ":1:34: the imported file /nope/package.capnp does not exist"),
        ("syntax", ":1:37: expected a name or value, found `=`"),
        ("unkfield", ":4:3: struct `PackageDefinition` has no field `idd`"),
        ("wrongconst", "name it with -p FILE:foo"),
    ] {
        let path = data("pkgdefs").join(name).join("sandstorm-pkgdef.capnp");
        let constant = if name == "wrongconst" { "nope" } else { "pkgdef" };
        match pkgdef::load(&path, constant, &[]) {
            Ok(_) => assert_eq!(expected, "", "{name} was accepted"),
            Err(error) => {
                let error = error.to_string();
                assert!(!expected.is_empty() && error.contains(expected), "{name}: {error}");
            }
        }
    }
}

#[test]
fn what_init_of_the_original_writes_is_loaded() {
    for name in
        ["http", "http-appid", "include-all", "nodash", "outfile", "raw", "shortid", "source-paths"]
    {
        let file = if name == "outfile" { "my.capnp" } else { "sandstorm-pkgdef.capnp" };
        let definition =
            pkgdef::load(&data("pkgdefs-init").join(name).join(file), "pkgdef", &[]).unwrap();
        let plain = crate::manifest::Manifest::from_bytes(&definition.manifest).unwrap();
        assert_eq!(plain.app_title, "Example App");
        assert_eq!(definition.commands_use_bridge, name != "raw");
        assert_eq!(definition.uses_bridge, name != "raw");
        assert_eq!(definition.bridge_config, None);
    }
    // The original does not escape quotes.
    let broken = data("pkgdefs-init/raw-include-all/sandstorm-pkgdef.capnp");
    let error = pkgdef::load(&broken, "pkgdef", &[]).unwrap_err().to_string();
    assert!(error.contains(":222:52: this text has no closing quote"), "{error}");
}

/// The contents are compared with `capnp` in the corpus; here is the size the original packed.
#[test]
fn manifests_have_the_size_of_the_originals() {
    for name in ["hidden", "mapped", "merged", "ok", "rootsymlink"] {
        let tree = fs::read_to_string(data("pkgdefs").join(format!("{name}.tree"))).unwrap();
        let path = data("pkgdefs").join(name).join("sandstorm-pkgdef.capnp");
        let manifest = pkgdef::load(&path, "pkgdef", &[]).unwrap().manifest;
        let line = format!("f 644 {} ./sandstorm-manifest -> ", manifest.len());
        assert!(tree.lines().any(|found| found == line), "{name}: {line}");
    }
}

/// Byte for byte what copying `capnp eval`'s value as a root gives (package-format §8.4).
#[test]
fn manifest_and_bridge_config_are_single_segments() {
    let path = data("pkgdef-corpus/good/everything.capnp");
    let definition = pkgdef::load(&path, "pkgdef", &[]).unwrap();
    let golden = fs::read(data("pkgdef-corpus/good/everything.bin")).unwrap();
    for (own, pointer) in [(Some(&definition.manifest), 1), (definition.bridge_config.as_ref(), 5)]
    {
        let own = own.unwrap();
        let words = u32::from_le_bytes(own[4..8].try_into().unwrap()) as usize;
        assert_eq!((own[..4].to_vec(), own.len()), (vec![0; 4], 8 + words * 8));
        // The object lies in one piece in the golden message; only its root pointer differs.
        let at = 8 + pointer * 8;
        let wire = u64::from_le_bytes(golden[at..at + 8].try_into().unwrap());
        let start = at + 8 + (wire as u32 >> 2) as usize * 8;
        assert_eq!(own[16..], golden[start..start + words * 8 - 8]);
    }
}

#[test]
fn a_definition_reads_as_written() {
    let definition =
        pkgdef::load(&data("pkgdefs/ok/sandstorm-pkgdef.capnp"), "pkgdef", &[]).unwrap();
    assert_eq!(definition.id, "e3vedgtpyw8nu64ddew0g368v5mgu9kz0622qqy8yux6my5mawph");
    assert_eq!(definition.always_include, ["."]);
    assert_eq!(definition.file_list, None);
    let mapping = &definition.source_map.mappings()[0];
    assert_eq!(mapping.source_path, data("pkgdefs/ok/root"));
}

#[test]
fn generic_types_are_left_to_capnp() {
    if !capnp_installed("generic_types_are_left_to_capnp") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("-p.capnp");
    let text = "@0x994204a9202bc200;\n\
        using Spk = import \"/sandstorm/package.capnp\";\n\
        struct Box(T) { value @0 :T; }\n\
        const box :Box(Text) = (value = \"in\");\n\
        const pkgdef :Spk.PackageDefinition = (manifest = (appTitle = (defaultText = \"T\"),\n\
          appMarketingVersion = (defaultText = \"1\")));\n";
    fs::write(&path, text).unwrap();
    let definition = pkgdef::load(&path, "pkgdef", &[]).unwrap();
    let pkgdef::Evaluator::Capnp { reason } = &definition.evaluator else { panic!() };
    assert_eq!(reason, "values of generic types are not known");
    fs::write(&path, text.replace("\"in\"", "3")).unwrap();
    let error = pkgdef::load(&path, "pkgdef", &[]);
    // `capnp eval` does not look at constants that are not used.
    assert!(error.is_ok());
    fs::write(&path, text.replace("defaultText = \"1\"", "defaultText = 3")).unwrap();
    let error = pkgdef::load(&path, "pkgdef", &[]).unwrap_err().to_string();
    assert!(error.contains("Type mismatch") || error.contains("expected Text"), "{error}");
}

/// Writes a file and gives the values of some of its constants.
fn evaluated<const N: usize>(text: &str, constants: [&str; N]) -> [Vec<u64>; N] {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.capnp");
    fs::write(&file, format!("@0x994204a9202bc200;\n{text}")).unwrap();
    constants.map(|name| evaluate_file(&file, name).unwrap_or_else(|error| panic!("{error}")))
}

/// Newer than Debian's `capnp`, so not in the corpus.
#[test]
fn block_texts_are_lines_and_their_ends() {
    let [block, plain] = evaluated(
        "struct T { text @0 :Text; more @1 :List(Text); }\n\
         const block :T = (\n  text =\n    `one \"two\" \\n # no comment; ,)\r\n    `\n\
         \u{20}   # a comment\n    `  three\n  , more = [`a\n, \"b\" `c\n]);\n\
         const plain :T = (text = \"one \\\"two\\\" \\\\n # no comment; ,)\\n\\n  three\\n\",\n\
         more = [\"a\\n\", \"bc\\n\"]);",
        ["block", "plain"],
    );
    assert_eq!(block, plain);
}

#[test]
fn the_schema_of_schemas_can_be_imported() {
    let [node] = evaluated(
        "using S = import \"/capnp/schema.capnp\";\n\
         const node :S.Node = (displayName = \"n\", struct = (dataWordCount = 3, isGroup = true,\n\
         fields = [(name = \"f\", slot = (offset = 7, type = (list = (elementType = (text = void)))))]));",
        ["node"],
    );
    let head = [0, node.len() as u32].map(u32::to_le_bytes).concat();
    let message = [head, bytes(&node)].concat();
    let options = capnp::message::ReaderOptions::new();
    let message = capnp::serialize::read_message(&mut &message[..], options).unwrap();
    let node: capnp::schema_capnp::node::Reader<'_> = message.get_root().unwrap();
    assert_eq!(node.get_display_name().unwrap().to_str().unwrap(), "n");
    use capnp::schema_capnp::{field, node, type_};
    let Ok(node::Struct(structure)) = node.which() else { panic!("not a struct") };
    assert_eq!((structure.get_data_word_count(), structure.get_is_group()), (3, true));
    let field = structure.get_fields().unwrap().get(0);
    // The default of a field that was not given.
    assert_eq!(field.get_discriminant_value(), 0xffff);
    let Ok(field::Slot(slot)) = field.which() else { panic!("not a slot") };
    assert_eq!(slot.get_offset(), 7);
    assert!(matches!(slot.get_type().unwrap().which(), Ok(type_::List(_))));
}

#[test]
fn groups_may_have_the_names_of_keywords() {
    let [first, second] = evaluated(
        "struct T { union { struct :group { a @0 :Text; } enum :group { b @1 :Text; c @2 :Bool; }\n\
         const :union { d @3 :Void; e @4 :Text; } } }\n\
         const first :T = (enum = (b = \"x\", c = true));\n\
         struct U { union { p :group { a @0 :Text; } q :group { b @1 :Text; c @2 :Bool; }\n\
         r :union { d @3 :Void; e @4 :Text; } } }\n\
         const second :U = (q = (b = \"x\", c = true));",
        ["first", "second"],
    );
    assert_eq!(first, second);
}
