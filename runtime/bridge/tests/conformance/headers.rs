//! http-bridge §10.6: response headers and cookies.

use crate::statuses::{answer, failure};

fn header(lines: &str, expected: &str) {
    let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n");
    answer(response.leak(), format!("content Ok{expected}").leak());
}

#[test]
fn h01_content_headers() {
    header(
        "Content-Type: text/html; charset=x\r\nContent-Encoding: gzip\r\nContent-Language: de",
        " type=text/html; charset=x encoding=gzip language=de bytes=",
    );
}

#[test]
fn h02_dropped_headers() {
    header(
        "Cache-Control: no-store\r\nLast-Modified: x\r\nVary: *\r\nExpires: 0\r\nServer: s\r\n\
         Link: l\r\nRetry-After: 1\r\nAllow: GET",
        " bytes=",
    );
}

#[test]
fn h03_dropped_security_headers() {
    header(
        "Access-Control-Allow-Origin: *\r\nX-Frame-Options: DENY\r\nContent-Security-Policy: x",
        " bytes=",
    );
}

#[test]
fn h04_listed_header_twice() {
    header(
        "X-Sandstorm-App-Z: 1\r\nX-Sandstorm-App-A: a\r\nx-sandstorm-app-z: 2",
        " bytes= +=x-sandstorm-app-a =a +=x-sandstorm-app-z =1, 2",
    );
}

#[test]
fn h05_listed_header_on_error() {
    answer(
        "HTTP/1.1 404 X\r\nX-OC-MTime: accepted\r\nContent-Length: 0\r\n\r\n",
        "clientError NotFound +=x-oc-mtime =accepted",
    );
}

#[test]
fn h06_weak_tag() {
    header("ETag: W/\"x\"", " etag=W/<x> bytes=");
}

#[test]
fn h07_invalid_tag() {
    header("ETag: bare", " bytes=");
}

#[test]
fn h08_escape_in_tag() {
    header("ETag: \"a\\\"b\"", " etag=<a\\\"b> bytes=");
}

#[test]
fn h09_download() {
    header("Content-Disposition: attachment; filename=foo.txt", " download=foo.txt bytes=");
}

#[test]
fn h10_download_with_escape() {
    header("Content-Disposition: attachment; filename=\"a\\\"b.txt\"", " download=a\"b.txt bytes=");
}

#[test]
fn h11_download_with_semicolon() {
    header("Content-Disposition: attachment; filename=\"a;b.txt\"", " download=a;b.txt bytes=");
}

#[test]
fn h12_download_without_name() {
    header("Content-Disposition: attachment", " download=na me.txt bytes=");
}

#[test]
fn h13_download_in_capitals() {
    header("Content-Disposition: Attachment; filename=\"x\"", " download=x bytes=");
}

#[test]
fn h14_extended_name() {
    header(
        "Content-Disposition: attachment; filename*=UTF-8''na%20me.txt; filename=\"name.txt\"",
        " download=na me.txt bytes=",
    );
}

#[test]
fn h15_inline() {
    header("Content-Disposition: inline; filename=\"x\"", " bytes=");
}

#[test]
fn h16_cookie_attributes() {
    header(
        "Set-Cookie: a=1; Path=/foo; HttpOnly; Secure; SameSite=Lax; Domain=x",
        " bytes= [a=1 path=/foo httpOnly]",
    );
}

#[test]
fn h17_cookie_max_age() {
    header("Set-Cookie: c=x=y; Max-Age=3600", " bytes= [c=x=y after=3600]");
}

#[test]
fn h18_cookie_date() {
    header("Set-Cookie: a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", " bytes= [a=1 at=0]");
}

#[test]
fn h19_cookie_with_comma() {
    header("Set-Cookie: b=\"q,r\"", " bytes= [b=\"q,r\"]");
}

#[test]
fn h20_negative_max_age() {
    header("Set-Cookie: a=1; Max-Age=-1", " bytes= [a=1 after=0]");
}

#[test]
fn h21_cookie_without_value() {
    header("Set-Cookie: novalue\r\nSet-Cookie: a=1", " bytes= [a=1]");
}

#[test]
fn h22_cookie_with_bad_date() {
    header(
        "Set-Cookie: a=1; Expires=-1\r\nSet-Cookie: b=1; Expires=0\r\nSet-Cookie: c=1; Expires=x",
        " bytes= [a=1 at=0] [b=1 at=0] [c=1]",
    );
}

#[test]
fn h23_max_age_wins() {
    header(
        "Set-Cookie: a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        " bytes= [a=1 after=5]",
    );
}

#[test]
fn h24_cookie_spaces() {
    header("Set-Cookie: g =  7 ; path= /p", " bytes= [g=7 path=/p]");
}

#[test]
fn h25_cookies_in_every_branch() {
    answer(
        "HTTP/1.1 303 X\r\nLocation: /\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
        "redirect permanent=false get=true location=/ [a=1] [b=2]",
    );
    answer("HTTP/1.1 500 X\r\nSet-Cookie: a=1\r\n\r\n", "serverError [a=1]");
    answer("HTTP/1.1 204 X\r\nSet-Cookie: a=1\r\n\r\n", "noContent reset=false [a=1]");
}

#[test]
fn h26_folded_header() {
    header("X-Sandstorm-App-A: a\r\n  b", " bytes= +=x-sandstorm-app-a =a b");
}

#[test]
fn h27_two_lengths() {
    answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "content Ok bytes=hi",
    );
    failure(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        "Content-Length",
    );
}

#[test]
fn h28_large_head() {
    let value = "v".repeat(70_000);
    header(
        format!("X-Sandstorm-App-A: {value}").leak(),
        &format!(" bytes= +=x-sandstorm-app-a ={value}"),
    );
    let response = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "v".repeat(85_000));
    failure(response.leak(), "larger than");
}

#[test]
fn h29_no_control_characters_get_through() {
    header(
        "X-Sandstorm-App-A: a\x0bb\r\nX-Sandstorm-App-B: a\rEvil: x\r\nETag: \"\x01\"",
        " bytes=",
    );
}
