//! Names of libraries in a program's bytes, such as it gives to `dlopen`.

/// Length of one library's name (`NAME_MAX`).
const MAX_NAME: usize = 255;

/// Bytes of a file in which names are looked for; larger ones are mostly data.
const MAX_SEARCHED: usize = 64 << 20;
/// Names of libraries found in one file; more are a list of something else.
const MAX_FOUND: usize = 1000;

/// Names in a file that look like those of libraries, such as a program gives to `dlopen`: `lib`,
/// something, `.so`, perhaps a version; sorted, each once.
pub fn library_names(content: &[u8]) -> Vec<Vec<u8>> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    let content = &content[..content.len().min(MAX_SEARCHED)];
    let mut found = std::collections::BTreeSet::new();
    for word in content.split(|&byte| !part(byte)) {
        let Some(rest) = word.strip_prefix(b"lib") else { continue };
        if word.len() > MAX_NAME || found.len() >= MAX_FOUND {
            continue;
        }
        let Some(at) = rest.windows(3).position(|window| window == b".so") else { continue };
        let version = &rest[at + 3..];
        let versioned = version.strip_prefix(b".").is_some_and(|version| {
            !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        });
        if at > 0 && (version.is_empty() || versioned) {
            found.insert(word.to_vec());
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_libraries_are_told_from_other_words() {
        let content = b"x\0libssl.so.3\0/usr/lib/libz.so\0lib.so\0libx.so.old\0liby.soft\0\
                        libcrypto.so.1.1\xfflibssl.so.3\0mylibq.so\0";
        let names = library_names(content);
        let expected: [&[u8]; 3] = [b"libcrypto.so.1.1", b"libssl.so.3", b"libz.so"];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_give_names_only(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let content = [&bytes[..], b"\0libz.so\0", &bytes].concat();
            let names = library_names(&content);
            prop_assert!(names.contains(&b"libz.so".to_vec()));
            prop_assert!(names.iter().all(|name| name.starts_with(b"lib") && !name.contains(&0)));
        }
    }
}
