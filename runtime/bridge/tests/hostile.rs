//! Whatever the app sends, the parsers answer: no panic, no endless loop, and nothing in a result
//! that could break a line elsewhere.
#![allow(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use proptest::collection::vec;
use proptest::prelude::*;
use spk_bridge::http::body::{Decoder, Framing};
use spk_bridge::http::{cookie, date, disposition, head};
use spk_web_session::tag;

/// Text that looks like HTTP often enough to get somewhere.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        Just(&b"HTTP/1.0 304"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b": "[..]),
        Just(&b" "[..]),
        Just(&b"\t"[..]),
        Just(&b"Content-Length: 5"[..]),
        Just(&b"Transfer-Encoding: chunked"[..]),
        Just(&b"5\r\nhello\r\n"[..]),
        Just(&b"0\r\n\r\n"[..]),
        Just(&b"\""[..]),
        Just(&b"\\"[..]),
        Just(&b";"[..]),
        Just(&b"="[..]),
        Just(&b"%"[..]),
        Just(&b"W/\"x\""[..]),
        Just(&b"attachment"[..]),
        Just(&b"filename"[..]),
        Just(&b"*=UTF-8''"[..]),
        Just(&b"Max-Age"[..]),
        Just(&b"Expires"[..]),
        Just(&b"15 Nov 1995 06:25:24"[..]),
        Just(&b"99"[..]),
        Just(&b"\0"[..]),
        Just(&b"\xff\xfe"[..]),
    ];
    prop_oneof![vec(any::<u8>(), 0..200), vec(piece, 0..40).prop_map(|pieces| pieces.concat()),]
}

fn is_clean(value: &[u8]) -> bool {
    !value.iter().any(|&byte| matches!(byte, 0..=8 | 10..=31 | 127))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn heads(bytes in almost_http(), from in 0usize..300) {
        let end = head::end(&bytes, from.min(bytes.len()));
        prop_assert!(end.is_none_or(|end| end <= bytes.len()));
        if let Some(end) = head::end(&bytes, 0)
            && let Ok(head) = head::parse(&bytes[..end])
        {
            prop_assert!((0..=999).contains(&head.status));
            for (name, value) in head.fields() {
                prop_assert!(name.iter().all(|byte| !byte.is_ascii_uppercase()));
                prop_assert!(is_clean(name) && is_clean(value));
            }
            let _ = Framing::of(&head, false);
        }
        let _ = (head::parse(&bytes), head::plausible(&bytes));
    }

    /// However a body is cut into pieces, the same comes out.
    #[test]
    fn bodies(bytes in almost_http(), cuts in vec(0usize..200, 0..5), length in 0u64..300) {
        for framing in [Framing::Chunked, Framing::Length(length), Framing::UntilEof] {
            let mut whole = bytes.clone();
            let mut decoder = Decoder::new(framing);
            let at_once = decoder.decode(&mut whole, 0).map(|()| (whole, decoder.is_done()));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort();
            let mut pieces = Vec::new();
            let mut decoder = Decoder::new(framing);
            let mut result = Ok(());
            for cut in cuts.windows(2) {
                let from = pieces.len();
                pieces.extend_from_slice(&bytes[cut[0]..cut[1]]);
                result = decoder.decode(&mut pieces, from);
                if result.is_err() {
                    break;
                }
            }
            prop_assert_eq!(at_once.is_ok(), result.is_ok());
            if let Ok(at_once) = at_once {
                prop_assert_eq!(at_once, (pieces, decoder.is_done()));
            }
        }
    }

    #[test]
    fn chunks_of_any_content(content in vec(vec(any::<u8>(), 1..100), 0..10), cut in 0usize..2000) {
        let mut bytes = Vec::new();
        for piece in &content {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let cut = cut.min(bytes.len());
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut body = bytes[..cut].to_vec();
        decoder.decode(&mut body, 0).unwrap();
        let from = body.len();
        body.extend_from_slice(&bytes[cut..]);
        decoder.decode(&mut body, from).unwrap();
        prop_assert!(decoder.is_done());
        prop_assert_eq!(body, content.concat());
    }

    #[test]
    fn header_values(bytes in almost_http(), path in almost_http()) {
        let _ = cookie::parse(&bytes);
        let _ = date::parse(&bytes);
        let _ = disposition::download_name(&bytes, &path);
        if let Some((text, weak)) = tag::parse(&bytes) {
            let mut out = Vec::new();
            tag::write(&mut out, text, weak);
            // What was read is written back as it was.
            prop_assert_eq!(tag::parse(&out), Some((text, weak)));
        }
    }

    #[test]
    fn dates(seconds in -2_208_988_800i64..253_402_300_799) {
        let printed = date::rfc5322(seconds).unwrap_or_default();
        prop_assert_eq!(date::parse(printed.as_bytes()), Some(seconds));
    }

    #[test]
    fn configurations(bytes in vec(any::<u8>(), 0..300)) {
        let _ = spk_bridge::config::Config::from_bytes(&bytes);
    }
}
