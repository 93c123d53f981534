//! The evaluator against what `capnp` makes of the same text.
//!
//! `tests/data/pkgdef-corpus/good/NAME.capnp`: accepted, and the value of the constant named in
//! the first line (`# eval: NAME`, else `pkgdef`) is, word for word, that in `NAME.bin`, which
//! Debian's `capnp eval --flat` wrote. `bad/NAME.capnp`: refused with the message in `NAME.txt`.
//! Where `capnp` is installed it is asked again, for both. `SPK_BLESS=1` writes the `.bin` files
//! with `capnp` and the `.txt` files with this evaluator.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::eval::Value;
use super::files::Files;
use super::program::Program;
use super::value::encode;
use super::{Error, Failure};
use crate::pkgdef;

fn data(sub: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(sub)
}

/// The value of any constant of struct type, as words.
fn evaluate_any(program: &mut Program, file: usize, constant: &str) -> Result<Vec<u64>, Failure> {
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

fn evaluate_file(path: &Path, constant: &str) -> Result<Vec<u64>, Error> {
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

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `capnp`, if it is installed; else the skip is made known.
fn capnp_installed(test: &str) -> bool {
    let found = Command::new("capnp").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        let line = format!("{test}: capnp is not installed, nothing compared with it\n");
        eprint!("SKIPPED {line}");
        if let Some(log) = std::env::var_os("SPK_SKIP_LOG") {
            let mut log = fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
            log.write_all(line.as_bytes()).unwrap();
        }
    }
    found
}

/// A directory with the schemas this program carries.
fn schemas() -> tempfile::TempDir {
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
fn capnp(path: &Path, constant: &str, schemas: &Path) -> Result<Vec<u8>, String> {
    let run = |arguments: &[&str]| {
        let output = Command::new("capnp")
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

/// Evaluates text that imports nothing but the embedded schemas.
fn evaluate_text(text: &[u8]) -> Result<Vec<u64>, String> {
    let mut files = Files::new(&[]);
    let first = files.add_text("test.capnp", text);
    let mut program = Program::new(files);
    evaluate_any(&mut program, first, "x").map_err(|failure| match failure {
        Failure::Problem(problem) => problem.0.message,
        Failure::NoConstant { .. } => "no constant".to_owned(),
    })
}

#[test]
fn hostile_text_ends_in_an_error() {
    let head = "@0x994204a9202bc200;\n";
    let deep = |open: &str, close: &str, count: usize| {
        format!("{}{}", open.repeat(count), close.repeat(count))
    };
    let chain = |count: usize| {
        let mut text = format!("{head}struct S {{ s @0 :S; }}\nconst a0 :S = ();\n");
        for index in 1..count {
            text.push_str(&format!("const a{index} :S = (s = .a{});\n", index - 1));
        }
        text.push_str(&format!("const x :S = .a{};", count - 1));
        text
    };
    let mut laughs = format!("{head}const a0 :List(Text) = [\"ha\"];\n");
    laughs.push_str("const a1 :List(List(Text)) = [.a0, .a0, .a0, .a0, .a0, .a0, .a0, .a0];\n");
    let mut ty = "List(List(Text))".to_owned();
    for index in 2..20 {
        ty = format!("List({ty})");
        let items = vec![format!(".a{}", index - 1); 16].join(", ");
        laughs.push_str(&format!("const a{index} :{ty} = [{items}];\n"));
    }
    laughs.push_str(&format!("const x :{ty} = .a19;"));
    let usings: String =
        (1..100_000).map(|index| format!("using A{index} = A{};\n", index - 1)).collect();
    for (text, expected) in [
        (format!("{head}const x :Text = {};", deep("(", ")", 1_000_000)), "nested more than"),
        (format!("{head}const x :Text = {}", "[".repeat(1_000_000)), "nested more than"),
        (format!("{head}const x :{};", deep("List(", ")", 1_000_000)), "nested more than"),
        (format!("{head}const x :A{};", ".a".repeat(1_000_000)), "nested more than"),
        (format!("{head}{}", "struct S {".repeat(1_000_000)), "nested more than"),
        (format!("{head}struct S {{ {}", "union { g :group {".repeat(1_000_000)), "nested more"),
        (format!("{head}interface I {{ m @0 {} }}", "(".repeat(1_000_000)), "not closed"),
        (chain(70), "more than 64 levels deep"),
        (chain(10_000), "more than 64 levels deep"),
        (laughs, "more than 128 MiB"),
        (format!("{head}using A0 = Text;\n{usings}const x :A99999 = \"\";"), "nest more than"),
        (format!("{head}using A = B; using B = A; const x :A = 1;"), "refers to itself"),
        (format!("{head}const x :Text = .y; const y :Text = .x;"), "refers to itself"),
        (
            format!("{head}struct S {{ a @0 :Int32 = S.y; const y :Int32 = S.y; }}"),
            "refers to itself",
        ),
        (format!("{head}const x :Text = import \"/dev/zero\";"), "does not exist"),
        (format!("{head}const x :Text = \"{}", "a".repeat(1_000_000)), "no closing quote"),
        (format!("{head}\u{0}"), "unexpected character"),
        (String::new(), "no ID"),
        ("@0x994204a9202bc200".to_owned(), "expected `;`"),
    ] {
        let error = evaluate_text(text.as_bytes()).unwrap_err();
        let shown: String = text.chars().take(100).collect();
        assert!(error.contains(expected), "{shown}: {error}");
    }
}

#[test]
fn wide_structs_cost_what_they_say() {
    // A list of small literals of a large struct: bounded, and refused early.
    let fields: String = (0..20_000).map(|n| format!("f{n} @{n} :UInt64;")).collect();
    let items = "(),".repeat(100_000);
    let text =
        format!("@0x994204a9202bc200;\nstruct S {{ {fields} }}\nconst x :List(S) = [{items}];");
    assert!(evaluate_text(text.as_bytes()).unwrap_err().contains("more than 128 MiB"));
}

#[test]
fn files_that_are_no_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.capnp");
    let large = fs::File::create(dir.path().join("large")).unwrap();
    large.set_len(100 << 20).unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    let status = Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
    assert!(status.success());
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    for (value, expected) in [
        ("embed \"large\"", "embedded files may have 64 MiB together"),
        ("embed \"dir\"", "it is a directory"),
        ("embed \"pipe\"", "not a regular file"),
        ("embed \"loop\"", "symbolic links"),
        ("embed \"../../../../../../../../../../../../dev/zero\"", "not a regular file"),
        ("embed \"none\"", "does not exist"),
        ("embed \"/none\"", "does not exist"),
        ("embed \"\"", "directory"),
        ("embed \"a\\0b\"", "cannot embed"),
    ] {
        fs::write(&path, format!("@0x994204a9202bc200;\nconst x :Data = {value};")).unwrap();
        let error = evaluate_file(&path, "x").unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
    }
    fs::write(&path, "@0x994204a9202bc200;\nusing A = import \"large\";").unwrap();
    let error = evaluate_file(&path, "x").unwrap_err().to_string();
    assert!(error.contains("at most 4194304"), "{error}");
}

/// The original crashes here (format, trap 19).
#[test]
fn an_empty_file_is_an_empty_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.capnp");
    fs::write(dir.path().join("empty"), "").unwrap();
    let text = "@0x994204a9202bc200; struct S { t @0 :Text; } const x :S = (t = EMPTY);";
    fs::write(&path, text.replace("EMPTY", "embed \"empty\"")).unwrap();
    let embedded = evaluate_file(&path, "x").unwrap();
    fs::write(&path, text.replace("EMPTY", "\"\"")).unwrap();
    assert_eq!(embedded, evaluate_file(&path, "x").unwrap());
}

#[test]
fn imports_in_a_circle_are_fine_and_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    write(
        "a.capnp",
        "@0x994204a9202bc200; using B = import \"sub/b.capnp\";\n\
         struct S { t @0 :Text; } const x :S = B.y; const z :Text = \"z\";",
    );
    write(
        "sub/b.capnp",
        "@0x994204a9202bc201; using A = import \"../sub/../a.capnp\"; const y :A.S = (t = A.z);",
    );
    evaluate_file(&dir.path().join("a.capnp"), "x").unwrap();
}

proptest! {
    /// No text makes it panic, hang, or take more than its limits.
    #[test]
    fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = evaluate_text(&text);
        let mut framed = b"@0x994204a9202bc200;\n".to_vec();
        framed.extend_from_slice(&text);
        let _ = evaluate_text(&framed);
    }

    /// Nor does any sequence of the language's own tokens.
    #[test]
    fn no_tokens_panic(tokens in proptest::collection::vec(
        prop::sample::select(vec![
            "const", "using", "struct", "enum", "union", "group", "interface", "annotation", "import",
            "embed", "x", "S", "A", "Text", "List", "Int32", "=", ":", ".", "@", "0", "1", "0x12", "-",
            "(", ")", "[", "]", "{", "}", ",", ";", "\"a\"", "0x\"ab\"", "$", "void", "true", "1.5",
            "x @0 :Text;", "union { a @0 :Int8; b @1 :Int64; }", "const x :S = (x = \"a\");",
            "import \"/sandstorm/package.capnp\"", ".x", "# c\n", "!", "->", "extends",
        ]), 0..60)
    ) {
        let text = format!("@0x994204a9202bc200;\n{}", tokens.join(" "));
        let _ = evaluate_text(text.as_bytes());
    }
}

#[test]
fn mutations_of_a_real_definition_never_panic() {
    let path = data("pkgdefs-init/http/sandstorm-pkgdef.capnp");
    let original = fs::read(&path).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut text = original.clone();
        for _ in 0..1 + random() % 3 {
            let at = random() % text.len();
            match random() % 4 {
                0 => text[at] = b"(){}[],;=.:\"@#0a\n"[random() % 17],
                1 => drop(text.remove(at)),
                2 => text.truncate(at.max(1)),
                _ => text.insert(at, b"(){}[],;=.:\"@#0a\n"[random() % 17]),
            }
        }
        refused += usize::from(evaluate_text(&text).is_err());
    }
    assert!(refused > 1_000, "{refused}");
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

/// Byte for byte what copying `capnp eval`'s value as a root gives (format, 8.4).
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
