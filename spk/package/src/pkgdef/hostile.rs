//! Definitions that want to do harm: none ends in anything but an error, soon and in little memory.

use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::Failure;
use super::files::Files;
use super::program::Program;
use super::tests::{data, evaluate_any, evaluate_file};

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
