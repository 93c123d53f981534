//! 10.2: what the session is told of a request's head.

use crate::Row;
use crate::row::ask;

/// Targets.
pub fn b01_b02_targets_arrive_unchanged() -> Vec<Row> {
    vec![
        ask("GET //a%20b/c?d=e%2f&f=g+h").told("GET /a%20b/c?d=e%2f&f=g+h"),
        ask("GET /").told("GET "),
        ask("GET /a/../b/./c?").told("GET a/../b/./c?"),
        ask("GET /%ff%C3%A9;x=|'[]{}^").told("GET %ff%C3%A9;x=|'[]{}^"),
        ask("GET ///").told("GET //"),
    ]
}

/// `Accept` and `Accept-Encoding`: a quality that is none counts as not given, and parameters other
/// than `q` have no place.
pub fn b23_b25_b26_qualities() -> Vec<Row> {
    let mut rows = vec![
        ask("GET /x")
            .with("Accept: text/html;level=1;q=0.4, application/json;q=0.75, */*;q=0.1, image/png")
            .with("Accept-Encoding: gzip, br;q=0.5")
            .told(
                "GET x\naccept text/html;0.4\naccept application/json;0.75\naccept */*;0.1\n\
                 accept image/png;1\naccept-encoding gzip;1\naccept-encoding br;0.5",
            ),
        ask("GET /x")
            .with("Accept: a/b")
            .with("Accept: , c/d; Q=0.5")
            .told("GET x\naccept a/b;1\naccept c/d;0.5"),
        ask("GET /x").with("Accept: a/b;q=0").told("GET x\naccept a/b;0"),
    ];
    for quality in ["abc", "", "-1", "NaN", "inf", "2", "1e9"] {
        let line = format!("Accept: text/html;q={quality}");
        rows.push(ask("GET /x").with(&line).told("GET x\naccept text/html;1"));
    }
    rows
}

/// Listed headers pass, the others do not.
pub fn b31_to_b33_headers() -> Vec<Row> {
    vec![
        ask("GET /x")
            .with("X-Sandstorm-App-Foo: Bar")
            .with("X-Requested-With: X")
            .with("x-sandstorm-app-: v")
            .with("OC-Chunked: 1")
            .told(
                "GET x\nheader x-sandstorm-app-foo: Bar\nheader x-requested-with: X\n\
                 header oc-chunked: 1",
            ),
        ask("GET /x")
            .with("Referer: r")
            .with("Range: lines=0-1")
            .with("If-Modified-Since: x")
            .with("X-Forwarded-For: f")
            .with("Cache-Control: no-cache")
            .told("GET x"),
    ]
}

/// Preconditions: several lines are one list, a comma may stand in a tag, and what is no list is
/// refused, since without its precondition the request would overwrite what it was to protect.
pub fn b38_to_b42_preconditions() -> Vec<Row> {
    let mut rows = vec![
        ask("GET /").with("If-None-Match: \"a\" , W/\"b\"").told("GET \nnone-match <a> W/<b>"),
        ask("GET /").with("If-Match: *").told("GET \nexists"),
        ask("GET /").with("If-None-Match: *").told("GET \ndoesn't exist"),
        ask("GET /").with("If-None-Match: \"n\"").with("If-Match: \"m\"").told("GET \nmatch <m>"),
        ask("GET /").with("If-None-Match: \"b\\\"c\"").told("GET \nnone-match <b\\\"c>"),
        ask("GET /").with("If-None-Match: \"a,b\"").told("GET \nnone-match <a,b>"),
        ask("PUT /x")
            .with("If-Match: \"a,b\"")
            .body("")
            .told("PUT x\ntype=none encoding=none length=0\nmatch <a,b>"),
        ask("PUT /x")
            .with("If-Match: \"a\", \"b,c\"")
            .with("If-Match: W/\"d\"")
            .body("")
            .told("PUT x\ntype=none encoding=none length=0\nmatch <a> <b,c> W/<d>"),
    ];
    for bad in ["bare", "\"open", "\"a\", bare", "\"a\",", "\"a\" \"b\"", "*, \"a\"", "", "W/"] {
        for name in ["If-Match", "If-None-Match"] {
            rows.push(ask("PUT /x").with(&format!("{name}: {bad}")).body("").refused(400));
        }
    }
    let second = ask("PUT /x").with("If-Match: \"a\"").with("If-Match: bare");
    rows.push(second.body("").refused(400));
    rows
}
