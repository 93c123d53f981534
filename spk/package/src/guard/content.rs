//! What a file is, by its name and its bytes.

use memchr::memmem;
use spk_files::elf;

use super::{Kind, backup, keys, name};
use crate::limits::MAGIC;

/// Bytes looked at of every file.
pub const HEAD: usize = 16 << 10;

/// Bytes looked at of a text, in which a key may come after certificates.
pub const TEXT: usize = 1 << 20;

/// Bytes looked at of a zip's end, where it names its members.
pub const TAIL: usize = 64 << 10;

/// What is known of a file's bytes. Small files are all in the head.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample<'a> {
    /// The first ones: [`HEAD`], or [`TEXT`] where there is no NUL among those.
    pub head: &'a [u8],
    /// The last ones, of a zip file: [`TAIL`].
    pub tail: &'a [u8],
}

/// What the file is, if it is anything of interest.
pub fn classify(name: &[u8], sample: Sample<'_>) -> Option<Kind> {
    let head = sample.head;
    if is_foreign(head) {
        return Some(Kind::ForeignCode);
    }
    if head.starts_with(elf::MAGIC) {
        // programs that know keys have their head lines in them
        return None;
    }
    if keys::is_keyring(head) {
        return Some(Kind::Keyring);
    }
    if let Some(kind) = recorded(name, head) {
        return Some(kind);
    }
    if head.starts_with(&MAGIC) {
        return Some(Kind::Package);
    }
    if head.starts_with(b"# v2 git bundle\n") || head.starts_with(b"# v3 git bundle\n") {
        return Some(Kind::VersionControl);
    }
    if keys::is_private_key(head) {
        return Some(Kind::PrivateKey);
    }
    if name::credentials(name).is_some_and(|needs| has_secret(&needs, head)) {
        return Some(Kind::Credentials);
    }
    if backup::is_backup(head, sample.tail) {
        return Some(Kind::Backup);
    }
    // an empty file called like a key or a keyring is none
    name::file(name).filter(|kind| !head.is_empty() || *kind == Kind::LeftOver)
}

/// Whether a program or library is for another machine.
pub fn is_foreign(head: &[u8]) -> bool {
    elf::Kind::of(head).is_some_and(|kind| !kind.is_x86_64())
}

/// A trace or recorded requests of `spk dev`, wherever they were copied to: JSON with a version first,
/// whichever it is, and what only they have in it.
fn recorded(name: &[u8], head: &[u8]) -> Option<Kind> {
    let start: Vec<u8> =
        head.iter().take(256).filter(|byte| !byte.is_ascii_whitespace()).copied().collect();
    let version = start.strip_prefix(b"{\"version\":").unwrap_or_default();
    let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let content = if digits == 0 { &[] } else { &version[digits..] };
    let has = |word: &[u8]| memmem::find(head, word).is_some();
    if content.starts_with(b",\"requests\":[")
        && (name.ends_with(b".requests") || (has(b"\"target\"") && has(b"\"method\"")))
    {
        Some(Kind::Requests)
    } else if content.starts_with(b",\"paths\":{") && name.ends_with(b".trace") {
        Some(Kind::Trace)
    } else {
        None
    }
}

fn has_secret(needs: &name::Needs, text: &[u8]) -> bool {
    match needs {
        name::Needs::Anything => !text.trim_ascii().is_empty(),
        name::Needs::Assignment => lines(text).any(|line| {
            let sign = line.iter().position(|byte| b"=:".contains(byte));
            sign.is_some_and(|place| is_value(&line[place + 1..]))
        }),
        name::Needs::Words(words) => {
            let all = lines(text).flat_map(|line| line.split(u8::is_ascii_whitespace));
            let all: Vec<&[u8]> = all.filter(|word| !word.is_empty()).collect();
            all.windows(2).any(|pair| words.contains(&pair[0]) && is_value(pair[1]))
        }
        name::Needs::OneOf(words) => lines(text).any(|line| {
            words.iter().any(|word| {
                memmem::find_iter(line, word).any(|place| {
                    let rest = &line[place + word.len()..];
                    let gap = rest.iter().take_while(|byte| b" \t=:\"'".contains(byte)).count();
                    // `_authToken` is another word than `_auth`
                    let ends = gap > 0 || !word.last().is_some_and(u8::is_ascii_alphanumeric);
                    ends && is_value(&rest[gap..])
                })
            })
        }),
    }
}

/// Something that is not taken from the environment: `${NPM_TOKEN}` is no secret.
fn is_value(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    !value.is_empty() && !value.starts_with(b"${") && value != b"\"\"" && value != b"''"
}

/// Lines that are no comments.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b";"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Key;

    fn of(name: &str, head: &[u8]) -> Option<Kind> {
        classify(name.as_bytes(), Sample { head, tail: b"" })
    }

    /// The header of a 64-bit little-endian file of this type and for this machine.
    fn elf(type_and_machine: &[u8]) -> Vec<u8> {
        [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", type_and_machine, &[0; 44]].concat()
    }

    #[test]
    fn files_by_name_and_content() {
        let pem = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n";
        let keyring = Key::from_seed([1; 32]).to_message();
        let requests =
            b"{\n  \"version\": 1,\n  \"requests\": [\n    {\n      \"user\": \"alice\",\n      \
                         \"method\": \"POST\",\n      \"target\": \"/\"";
        let later = b"{\"version\": 12, \"requests\": [{\"number\": 0, \"user\": \"alice\", \
                      \"method\": \"GET\", \"target\": \"/\"";
        for (name, bytes, kind) in [
            ("key.txt", &pem[..], Some(Kind::PrivateKey)),
            ("notes.txt", &keyring, Some(Kind::Keyring)),
            ("id_rsa", b"anything", Some(Kind::PrivateKey)),
            ("id_rsa", b"", None),
            (".env", b"DB_PASSWORD=hunter2\n", Some(Kind::Credentials)),
            (".env", b"# nothing\n\nDB_PASSWORD=\n", None),
            (".env.example", b"DB_PASSWORD=hunter2\n", None),
            (".npmrc", b"//registry.example/:_authToken=abcdef\n", Some(Kind::Credentials)),
            (".npmrc", b"//registry.example/:_authToken=${NPM_TOKEN}\n", None),
            (".npmrc", b"save-exact=true\n", None),
            (".pypirc", b"[pypi]\nusername = a\npassword = x\n", Some(Kind::Credentials)),
            (".netrc", b"machine a login b password c\n", Some(Kind::Credentials)),
            (".netrc", b"machine a\n\tlogin b\n\tpassword\n\tc\n", Some(Kind::Credentials)),
            (".netrc", b"machine a login b\n", None),
            (".env.yaml", b"db_password: hunter2\n", Some(Kind::Credentials)),
            ("app.bundle", b"# v2 git bundle\n", Some(Kind::VersionControl)),
            ("shadow", b"root:*:1:0:::::\n", None),
            ("shadow", b"root:$y$j9T$abc:1:0:::::\n", Some(Kind::Credentials)),
            ("old", &MAGIC, Some(Kind::Package)),
            ("old.spk", b"x", Some(Kind::Package)),
            ("copy.json", requests, Some(Kind::Requests)),
            ("copy.json", later, Some(Kind::Requests)),
            ("list.json", b"{\"version\":2,\"requests\":[]}", None),
            ("list.json", b"{\"version\":,\"requests\":[{\"target\":1,\"method\":2}]}", None),
            (".x.requests", b"{\"version\":1,\"requests\":[]}", Some(Kind::Requests)),
            (".x.trace", b"{\"version\":1,\"paths\":{}}", Some(Kind::Trace)),
            ("routes.json", b"{\"version\":1,\"paths\":{}}", None),
            ("cert.pem", b"-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", None),
            ("arm.so", &elf(&[0x03, 0, 0xb7, 0]), Some(Kind::ForeignCode)),
            ("x86.so", &elf(&[0x03, 0, 0x3e, 0]), None),
            ("half.so", b"\x7fELF\x02\x01\x01", None),
            ("app.py~", b"", Some(Kind::LeftOver)),
            ("app.py", b"print()", None),
        ] {
            assert_eq!(of(name, bytes), kind, "{name}: {}", String::from_utf8_lossy(bytes));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(name in ".{0,12}", head: Vec<u8>, tail: Vec<u8>) {
            let _ = classify(name.as_bytes(), Sample { head: &head, tail: &tail });
        }
    }
}
