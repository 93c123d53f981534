//! What a file or directory is, as far as its name says.

use super::Kind;

/// What a directory of this name is.
pub fn directory(name: &[u8]) -> Option<Kind> {
    match name {
        b".git" | b".hg" | b".svn" | b".bzr" | b"CVS" | b"_darcs" | b".jj" | b".pijul" => {
            Some(Kind::VersionControl)
        }
        b".cache" | b".npm" | b".mypy_cache" | b".pytest_cache" | b".ruff_cache" | b".tox"
        | b".parcel-cache" | b".gradle" => Some(Kind::Cache),
        b".ssh" | b".gnupg" | b".aws" => Some(Kind::Credentials),
        b".idea" | b".vscode" => Some(Kind::LeftOver),
        _ => None,
    }
}

/// What a file of this name is, whatever is in it.
pub fn file(name: &[u8]) -> Option<Kind> {
    match name {
        b"id_rsa" | b"id_dsa" | b"id_ecdsa" | b"id_ecdsa_sk" | b"id_ed25519" | b"id_ed25519_sk"
        | b"id_xmss" => Some(Kind::PrivateKey),
        b".sandstorm-keyring" | b"sandstorm-keyring" => Some(Kind::Keyring),
        b".DS_Store" | b"Thumbs.db" | b"desktop.ini" => Some(Kind::LeftOver),
        _ if name.ends_with(b".spk") => Some(Kind::Package),
        _ if is_left_over(name) => Some(Kind::LeftOver),
        _ => None,
    }
}

/// What a symbolic link of this name is: Emacs locks a file by one that leads nowhere.
pub fn link(name: &[u8]) -> Option<Kind> {
    name.starts_with(b".#").then_some(Kind::LeftOver)
}

/// Files that editors keep beside the one that is edited: `x~`, `#x#`, `.#x`, `.x.swp`,
/// `x.kate-swp`, `.~lock.x#`; the file as it was, by editors and merges: `x.bak`, `x.orig`; and what
/// `patch` could not do: `x.rej`.
fn is_left_over(name: &[u8]) -> bool {
    let swap = |name: &[u8]| {
        let end = name.len().saturating_sub(4);
        name.starts_with(b".") && name[end..].starts_with(b".sw") && name.len() > 5
    };
    (name.len() > 1 && name.ends_with(b"~"))
        || (name.len() > 2 && name.starts_with(b"#") && name.ends_with(b"#"))
        || (name.len() > 2 && name.starts_with(b".#"))
        || (name.starts_with(b".~lock.") && name.ends_with(b"#"))
        || [&b".kate-swp"[..], b".rej", b".orig", b".bak"].iter().any(|end| name.ends_with(end))
        || (swap(name) && name.last().is_some_and(|last| (b'a'..=b'p').contains(last)))
}

/// What has to be in a file of a certain name for it to hold a secret.
pub enum Needs {
    /// An assignment of something to a name: `NAME=value`, `name: value`.
    Assignment,
    /// One of these words, and another after it, on the same line or the next.
    Words(&'static [&'static [u8]]),
    /// One of these words, and something after it.
    OneOf(&'static [&'static [u8]]),
    /// Anything at all.
    Anything,
}

/// Files in which programs look for passwords and tokens, and what in them would be one.
pub fn credentials(name: &[u8]) -> Option<Needs> {
    match name {
        b".npmrc" | b".yarnrc" | b".yarnrc.yml" => {
            Some(Needs::OneOf(&[b"_authToken", b"_auth", b"_password", b"npmAuthToken"]))
        }
        b".netrc" | b"_netrc" => Some(Needs::Words(&[b"password", b"account"])),
        b".pypirc" | b".my.cnf" | b".s3cfg" => Some(Needs::OneOf(&[b"password", b"secret_key"])),
        b".pgpass" | b".git-credentials" | b".htpasswd" | b".vault-token" => Some(Needs::Anything),
        b"shadow" | b"shadow-" | b"gshadow" | b"gshadow-" => {
            // with a hash of a password: *, ! and nothing mean that there is none
            Some(Needs::OneOf(&[b":$"]))
        }
        b".dockercfg" | b".dockerconfigjson" => Some(Needs::OneOf(&[b"\"auth\""])),
        b".envrc" => Some(Needs::Assignment),
        _ if is_environment(name) => Some(Needs::Assignment),
        _ => None,
    }
}

/// `.env` and what is derived of it, but for the examples that projects publish.
fn is_environment(name: &[u8]) -> bool {
    let examples: [&[u8]; 6] =
        [b"example", b"sample", b"template", b"dist", b"defaults", b"schema"];
    match name.strip_prefix(b".env") {
        Some(b"" | b"ironment") => true,
        Some(rest) => {
            rest.first().is_some_and(|first| b".-_".contains(first) || first.is_ascii_digit())
                && !examples.iter().any(|example| rest.ends_with(example))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, kind) in [
            ("id_rsa", Some(Kind::PrivateKey)),
            ("id_ed25519_sk", Some(Kind::PrivateKey)),
            ("id_rsa.pub", None),
            ("id_map.py", None),
            (".sandstorm-keyring", Some(Kind::Keyring)),
            ("notes-1.spk", Some(Kind::Package)),
            ("spk", None),
            ("app.py~", Some(Kind::LeftOver)),
            ("~", None),
            ("#app.py#", Some(Kind::LeftOver)),
            ("#", None),
            (".#app.py", Some(Kind::LeftOver)),
            (".app.py.swp", Some(Kind::LeftOver)),
            (".app.py.swo", Some(Kind::LeftOver)),
            (".app.swx", None),
            ("jquery.swp", None),
            (".swp", None),
            (".~lock.notes.odt#", Some(Kind::LeftOver)),
            ("app.py.kate-swp", Some(Kind::LeftOver)),
            ("app.py.rej", Some(Kind::LeftOver)),
            ("app.py.orig", Some(Kind::LeftOver)),
            ("app.py.bak", Some(Kind::LeftOver)),
            ("app.bakery", None),
            (".DS_Store", Some(Kind::LeftOver)),
            (".gitignore", None),
            ("app.py", None),
        ] {
            assert_eq!(file(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn names_of_directories() {
        for (name, kind) in [
            (".git", Some(Kind::VersionControl)),
            (".jj", Some(Kind::VersionControl)),
            ("git", None),
            (".ssh", Some(Kind::Credentials)),
            (".vscode", Some(Kind::LeftOver)),
            (".cache", Some(Kind::Cache)),
            (".env", None), // a virtual environment
            ("src", None),
        ] {
            assert_eq!(directory(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn environments_but_not_their_examples() {
        for (name, is) in [
            (".env", true),
            (".env.local", true),
            (".env.production", true),
            (".env-staging", true),
            (".env_old", true),
            (".envrc", true),
            (".env.example", false),
            (".env.sample", false),
            (".env.local.template", false),
            (".env1", true),
            (".environment", true),
            (".environs", false),
            ("env", false),
        ] {
            assert_eq!(credentials(name.as_bytes()).is_some(), is, "{name}");
        }
    }
}
