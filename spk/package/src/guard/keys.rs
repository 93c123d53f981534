//! Private keys by their bytes: every form that tools write them in.

use crate::keyring;
use memchr::memmem;

/// Characters of a key's text that have to follow its head line: less is talk about keys.
const BODY: usize = 24;

/// Whether there is a private key in `bytes`, which may be the beginning of a file. Keys that sign
/// packages are not meant: see [`is_keyring`].
pub fn is_private_key(bytes: &[u8]) -> bool {
    has_pem(bytes)
        || has_age(bytes)
        || bytes.starts_with(b"PuTTY-User-Key-File-")
        || is_gnupg(bytes)
        || is_openpgp(bytes)
        || is_der(bytes)
        || is_signify(bytes)
        || is_wireguard(bytes)
}

/// Whether `bytes`, which may be the beginning of a file, hold a key that signs packages: an entry
/// at their begin, or anywhere in the form that this tool and the original write.
pub fn is_keyring(bytes: &[u8]) -> bool {
    let (entries, _) = keyring::parse(bytes);
    let first = entries.first().is_some_and(|entry| {
        entry.secret().len() == 64 && entry.secret()[32..] == entry.app_id().as_bytes()[..]
    });
    first
        || memmem::find_iter(bytes, &keyring::HEAD).any(|place| {
            let message = &bytes[place..];
            message.len() >= keyring::KEY_LENGTH && message[32..64] == message[96..128]
        })
}

/// `-----BEGIN … PRIVATE KEY-----` with a key after it. The line breaks may be written as `\n`, as
/// in JSON. A public key or a certificate is none, and neither is a program that knows the line.
fn has_pem(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"PRIVATE KEY").any(|place| {
        let before = &bytes[place.saturating_sub(40)..place];
        let after = &bytes[place + b"PRIVATE KEY".len()..];
        let label = |dashes: &[u8]| {
            memmem::rfind(before, dashes).is_some_and(|start| {
                before[start + dashes.len()..]
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ')
            })
        };
        let rest = [&b"-----"[..], b" BLOCK-----", b" ----"]
            .into_iter()
            .find_map(|end| after.strip_prefix(end));
        (label(b"-----BEGIN ") || label(b"---- BEGIN ")) && rest.is_some_and(has_body)
    })
}

/// Whether base64 follows, after headers such as `Proc-Type: 4,ENCRYPTED`.
fn has_body(mut rest: &[u8]) -> bool {
    /// Headers that come before the text: PEM has two, PGP and SSH2 a few more.
    const HEADERS: usize = 8;
    for _ in 0..HEADERS {
        rest = after_breaks(rest);
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let run = rest.iter().take_while(|byte| is_base64(byte)).count();
        if run >= BODY || (run > 0 && run == rest.len()) {
            return true;
        }
        // a header has a colon after its name
        let line = rest.iter().take(200).take_while(|byte| !b"\r\n\\".contains(byte)).count();
        if !rest[..line].contains(&b':') {
            return false;
        }
        rest = &rest[line..];
    }
    false
}

/// Without line breaks and blanks, those in quotes too, as where a program joins strings.
fn after_breaks(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = match bytes {
            [b'\r' | b'\n' | b' ' | b'\t' | b'"' | b'\'' | b'+', rest @ ..] => rest,
            [b'\\', b'n' | b'r' | b'\n' | b'\\', rest @ ..] => rest,
            _ => return bytes,
        }
    }
}

/// `AGE-SECRET-KEY-1…`, the identity of age.
fn has_age(bytes: &[u8]) -> bool {
    [&b"AGE-SECRET-KEY-1"[..], b"AGE-SECRET-KEY-PQ-1"].into_iter().any(|head| {
        memmem::find_iter(bytes, head).any(|place| {
            let key = &bytes[place + head.len()..];
            key.iter().take(50).take_while(|byte| byte.is_ascii_alphanumeric()).count() == 50
        })
    })
}

/// A file of `private-keys-v1.d`.
fn is_gnupg(bytes: &[u8]) -> bool {
    let key = |at: &[u8]| {
        [&b"private-key"[..], b"protected-private-key", b"shadowed-private-key"]
            .into_iter()
            .any(|name| at.starts_with(name))
    };
    let canonical = [&b"(11:"[..], b"(21:", b"(20:"]
        .into_iter()
        .any(|head| bytes.strip_prefix(head).is_some_and(key));
    let named = memmem::find(&bytes[..bytes.len().min(4096)], b"\nKey: (")
        .map(|place| &bytes[place + 7..])
        .or_else(|| bytes.strip_prefix(b"Key: ("));
    canonical || named.is_some_and(key)
}

/// A secret-key packet of OpenPGP (RFC 9580, 5.5.3) at the begin, as in a secret ring.
fn is_openpgp(bytes: &[u8]) -> bool {
    /// Public-key algorithms of keys.
    const ALGORITHMS: [u8; 12] = [1, 2, 3, 16, 17, 18, 19, 22, 25, 26, 27, 28];
    let body = match bytes {
        [0x94, _, rest @ ..] | [0x95, _, _, rest @ ..] | [0x96, _, _, _, _, rest @ ..] => rest,
        // new form: a length of one, two or five bytes
        [0xc5, 0..=191, rest @ ..]
        | [0xc5, 192..=223, _, rest @ ..]
        | [0xc5, 255, _, _, _, _, rest @ ..] => rest,
        _ => return false,
    };
    match body {
        [4..=6, _, _, _, _, algorithm, ..] => ALGORITHMS.contains(algorithm),
        [3, _, _, _, _, _, _, algorithm, ..] => (1..=3).contains(algorithm),
        _ => false,
    }
}

/// PKCS #8, or the older forms of RSA and elliptic curves, in DER: one sequence, as long as the file
/// if all of it is here, that begins with a version and goes on as these do.
fn is_der(bytes: &[u8]) -> bool {
    let Some((length, inner)) = tagged(bytes, 0x30) else { return false };
    let whole = bytes.len() - inner.len() + length;
    if bytes.len() > whole || length < 32 {
        return false;
    }
    let Some((1, version)) = tagged(inner, 0x02) else { return false };
    match version {
        // PKCS #8: the algorithm, then the key
        [0 | 1, rest @ ..] if rest.first() == Some(&0x30) => {
            tagged(rest, 0x30).is_some_and(|(length, algorithm)| {
                algorithm.first() == Some(&0x06)
                    && algorithm.get(length).is_some_and(|tag| *tag == 0x04)
            })
        }
        // RSA: the modulus, then the usual exponent
        [0, rest @ ..] => tagged(rest, 0x02).is_some_and(|(length, modulus)| {
            length >= 128
                && modulus.get(length..).is_some_and(|rest| rest.starts_with(&[2, 3, 1, 0, 1]))
        }),
        // a curve: the number, then which curve
        [1, rest @ ..] => tagged(rest, 0x04).is_some_and(|(length, number)| {
            length <= 66 && number.get(length).is_some_and(|tag| *tag == 0xa0)
        }),
        _ => false,
    }
}

/// What follows a DER tag, and how long it says it is.
fn tagged(bytes: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    match bytes.strip_prefix(&[tag])? {
        [length @ 0..=0x7f, rest @ ..] => Some((usize::from(*length), rest)),
        [0x81, length, rest @ ..] => Some((usize::from(*length), rest)),
        [0x82, high, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => None,
    }
}

/// A secret key of signify or minisign.
fn is_signify(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.strip_prefix(b"untrusted comment:")
        .is_some_and(|comment| memmem::find(comment, b"secret key").is_some())
}

/// A configuration of WireGuard with its key.
fn is_wireguard(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"[Interface]").is_some()
        && memmem::find_iter(bytes, b"PrivateKey").any(|place| {
            let rest = bytes[place + b"PrivateKey".len()..].trim_ascii_start();
            let key = rest.strip_prefix(b"=").map(<[u8]>::trim_ascii_start);
            key.is_some_and(|key| key.len() >= 44 && key[43] == b'=')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Key;

    const TEXT: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";

    #[test]
    fn keys_as_text() {
        for (text, is) in [
            (format!("-----BEGIN PRIVATE KEY-----\n{TEXT}\n"), true),
            (format!("-----BEGIN RSA PRIVATE KEY-----\r\n{TEXT}\r\n"), true),
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{TEXT}\n"), true),
            (
                format!(
                    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                     DEK-Info: AES-128-CBC,00\n\n{TEXT}\n"
                ),
                true,
            ),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{TEXT}\n"), true),
            (format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\n{TEXT}"), true),
            (format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{TEXT}\\n\"}}"), true),
            (format!("'-----BEGIN EC PRIVATE KEY-----\\n' +\n  '{TEXT}'"), true),
            (
                format!("cert\n-----BEGIN CERTIFICATE-----\n{TEXT}\n-----END CERTIFICATE-----\n"),
                false,
            ),
            (format!("-----BEGIN PUBLIC KEY-----\n{TEXT}\n"), false),
            (format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{TEXT}\n"), false),
            ("if line == b'-----BEGIN PRIVATE KEY-----':\n    return parse(data)".into(), false),
            ("-----BEGIN PRIVATE KEY-----\nMIIEvQ...\n-----END PRIVATE KEY-----".into(), false),
            ("-----END PRIVATE KEY-----\n".to_owned() + TEXT, false),
            (format!("a PRIVATE KEY-----\n{TEXT}"), false),
            (format!("# created\nAGE-SECRET-KEY-1{}\n", "Q".repeat(58)), true),
            ("AGE-SECRET-KEY-1...".into(), false),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n".into(), true),
            ("Created: 20240101T000000\nKey: (protected-private-key (rsa\n".into(), true),
            ("(21:protected-private-key(3:rsa".into(), true),
            ("(10:public-key(3:rsa".into(), false),
            ("untrusted comment: minisign encrypted secret key\nRWRT".into(), true),
            ("untrusted comment: minisign public key\nRWRT".into(), false),
            (format!("[Interface]\nPrivateKey = {}=\n", "A".repeat(43)), true),
            ("[Interface]\nPrivateKey = FILL-ME-IN\n".into(), false),
        ] {
            assert_eq!(is_private_key(text.as_bytes()), is, "{text}");
        }
    }

    #[test]
    fn keys_as_bytes() {
        let packet = |head: &[u8], body: &[u8]| [head, body, &[0; 40]].concat();
        let pkcs8 = |version: u8| {
            let mut der =
                vec![0x30, 46, 2, 1, version, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32];
            der.resize(48, 7);
            der
        };
        for (what, bytes, is) in [
            ("secret ring", packet(&[0x95, 1, 0xfe], &[4, 0, 0, 0, 0, 1]), true),
            ("secret ring, new form", packet(&[0xc5, 0x58], &[4, 0, 0, 0, 0, 22]), true),
            ("public ring", packet(&[0x99, 1, 0xfe], &[4, 0, 0, 0, 0, 1]), false),
            ("noise", packet(&[0x95, 1, 0xfe], &[9, 0, 0, 0, 0, 1]), false),
            ("pkcs8", pkcs8(0), true),
            ("pkcs8 of another version", pkcs8(7), false),
            ("longer than it says", [pkcs8(0), vec![0]].concat(), false),
            ("zeros", vec![0; 64], false),
        ] {
            assert_eq!(is_private_key(&bytes), is, "{what}");
        }
    }

    #[test]
    fn keyrings() {
        let key = Key::from_seed([3; 32]).to_message();
        let mut other = key;
        other[100] ^= 1;
        for (what, bytes, is) in [
            ("one key", key.to_vec(), true),
            ("two keys and some bytes", [&key[..], &key, b"abc"].concat(), true),
            ("damaged at its begin", [&[0xff; 128][..], &key].concat(), true),
            ("cut within the second key", [&key[..], &key[..50]].concat(), true),
            ("cut within the first", key[..100].to_vec(), false),
            ("halves of two keys", other.to_vec(), false),
            ("zeros", vec![0; 128], false),
            ("nothing", Vec::new(), false),
        ] {
            assert_eq!(is_keyring(&bytes), is, "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = (is_private_key(&bytes), is_keyring(&bytes));
        }

        #[test]
        fn no_cut_text_panics(place in 0usize..120, head in 0usize..4) {
            let heads = ["-----BEGIN PRIVATE KEY-----\\n", "0\u{82}", "[Interface]\nPrivateKey", "Key: ("];
            let text = format!("{}{TEXT}", heads[head]);
            let _ = is_private_key(&text.as_bytes()[..place.min(text.len())]);
        }
    }
}
