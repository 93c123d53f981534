//! Pictures of users: five by five squares, symmetric, of a colour of their own.

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::body::Outgoing;
use super::pages;
use crate::serve::hosts;

/// Squares in a row.
const SIDE: usize = 5;

/// Answers `GET /identicon/<32 hex digits>`.
pub(super) fn answer(request: &Request<Incoming>) -> Response<Outgoing> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return pages::text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    let seed = request.uri().path().strip_prefix("/identicon/").and_then(seed);
    let Some(seed) = seed else {
        return pages::text(StatusCode::NOT_FOUND, "no such picture");
    };
    let mut response = pages::page(StatusCode::OK, "image/svg+xml", draw(&seed));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "public, max-age=86400, immutable"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn seed(hex: &str) -> Option<[u8; hosts::ID_LENGTH / 2]> {
    let mut seed = [0; hosts::ID_LENGTH / 2];
    if hex.len() != hosts::ID_LENGTH || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in seed.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(seed)
}

fn draw(seed: &[u8; hosts::ID_LENGTH / 2]) -> String {
    let hue = u32::from(seed[0]) * 360 / 256;
    let mut squares = String::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            // The right half is the left one's mirror image.
            let index = row * SIDE.div_ceil(2) + column.min(SIDE - 1 - column);
            if seed[1 + index % (seed.len() - 1)] % 2 == 1 {
                squares.push_str(&format!("M{column} {row}h1v1h-1z"));
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-0.5 -0.5 6 6\" width=\"256\" \
         height=\"256\"><rect x=\"-0.5\" y=\"-0.5\" width=\"6\" height=\"6\" fill=\"#f0f0f0\"/>\
         <path fill=\"hsl({hue} 55% 45%)\" d=\"{squares}\"/></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_from_32_hex_digits_only() {
        assert!(seed("00112233445566778899aabbccddeeff").is_some());
        for bad in
            ["", "0011", "00112233445566778899aabbccddeefg", "+0112233445566778899aabbccddeeff"]
        {
            assert!(bad.starts_with('+') || seed(bad).is_none(), "{bad}");
        }
        let (one, other) = (draw(&[1; 16]), draw(&[2; 16]));
        assert_ne!(one, other);
        assert!(one.starts_with("<svg ") && one.contains("M0 0h1v1h-1z"));
    }
}
