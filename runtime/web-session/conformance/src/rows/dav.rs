//! 10.4: WebDAV.

use crate::Row;
use crate::row::ask;

/// Methods whose body is XML.
pub fn d01_to_d03_d12_d14_xml() -> Vec<Row> {
    let mut rows = vec![
        ask("PROPFIND /d").told("PROPFIND d\ndepth=Infinity xml="),
        ask("PROPFIND /d").with("Depth: 0").told("PROPFIND d\ndepth=Zero xml="),
        ask("PROPFIND /d")
            .with("Depth: 1")
            .with("Content-Type: text/xml")
            .body("<a/>")
            .told("PROPFIND d\ndepth=One xml=<a/>"),
        ask("PROPPATCH /d").body("<a/>").told("PROPPATCH d\nxml=<a/>"),
        ask("LOCK /a").with("Depth: 0").told("LOCK a\nshallow=true xml="),
        ask("LOCK /a")
            .with("Timeout: Second-5")
            .with("If: (<urn:x>)")
            .told("LOCK a\nshallow=false xml="),
        ask("ACL /a")
            .with("Content-Type: application/xml;charset=utf-8")
            .body("<a/>")
            .told("ACL a\nxml=<a/>"),
    ];
    for method in ["PROPFIND", "PROPPATCH", "LOCK", "ACL"] {
        for kind in ["application/json", "application/atom+xml", "text/xmlish", "xml"] {
            let line = format!("Content-Type: {kind}");
            rows.push(ask(&format!("{method} /d")).with(&line).body("{}").refused(415));
        }
        let row = ask(&format!("{method} /d")).with("Content-Encoding: gzip");
        rows.push(row.body("x").refused(415));
    }
    rows
}

/// Where to: on the server that is asked, or not at all.
pub fn d04_to_d08_destinations() -> Vec<Row> {
    let mut rows = vec![
        ask("COPY /a")
            .with("Destination: /x")
            .with("Overwrite: f")
            .with("Depth: 0")
            .told("COPY a\nto=x no-overwrite=true shallow=true"),
        ask("COPY /a")
            .with("Destination: /x")
            .told("COPY a\nto=x no-overwrite=false shallow=false"),
        ask("MOVE /a")
            .with("Destination: {base}/x/y%20z?q")
            .with("Overwrite: F")
            .told("MOVE a\nto=x/y%20z?q no-overwrite=true"),
        ask("MOVE /a").with("Destination: {base}").told("MOVE a\nto= no-overwrite=false"),
        ask("MOVE /a").with("Destination: /x,y").told("MOVE a\nto=x,y no-overwrite=false"),
        ask("MOVE /a").with("Destination: /").told("MOVE a\nto= no-overwrite=false"),
    ];
    for method in ["COPY", "MOVE"] {
        let line = format!("{method} /d");
        rows.push(ask(&line).refused(400));
        for bad in ["", "x", "/x y", "mailto:x"] {
            rows.push(ask(&line).with(&format!("Destination: {bad}")).refused(400));
        }
        for elsewhere in ["http://other.example/x", "{base}.example/x", "https://other.example/x"] {
            rows.push(ask(&line).with(&format!("Destination: {elsewhere}")).refused(502));
        }
    }
    rows
}

/// The rest, and what the protocol does not know.
pub fn d11_d13_d15_d18_other_methods() -> Vec<Row> {
    let mut rows = vec![
        ask("UNLOCK /a").with("Lock-Token: <urn:x>").told("UNLOCK a\ntoken=<urn:x>"),
        ask("MKCOL /a").told("MKCOL a\ntype=none encoding=none length=0"),
        ask("REPORT /a")
            .with("Depth: 1")
            .with("Content-Type: text/xml")
            .body("<a/>")
            .told("REPORT a\ntype=\"text/xml\" encoding=none length=4"),
    ];
    for method in ["SEARCH", "PURGE", "BREW"] {
        rows.push(ask(&format!("{method} /d")).refused(501));
    }
    rows
}

/// OPTIONS says what the session says of WebDAV, and nothing where it does not know the method.
pub fn d16_d17_options() -> Vec<Row> {
    vec![
        ask("OPTIONS /dav")
            .told("OPTIONS dav")
            .header("dav", "1, 2, calendar-access, addressbook")
            .says(""),
        ask("OPTIONS /plain").told("OPTIONS plain").without("dav").says(""),
        ask("OPTIONS /unimplemented").without("dav").says(""),
        ask("OPTIONS /old").without("dav").says(""),
    ]
}
