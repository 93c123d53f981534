//! The shell's addresses, asked as its page asks them.

use serde_json::Value;

use crate::Server;
use crate::http::{self, Response};

/// Somebody who opened the address that was printed.
pub struct Signed {
    /// The shell's origin.
    pub origin: String,
    /// What to send as `Cookie`.
    pub cookie: String,
    /// What the page alone knows.
    pub csrf: String,
}

impl Signed {
    /// Signs in as a browser does.
    pub fn at(server: &Server) -> Signed {
        let url = server.field("url");
        let origin = url.split("/?").next().unwrap().to_owned();
        let answer = http::get(&url);
        assert_eq!(answer.status, 303);
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && !cookie.contains("Domain"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = http::request("GET", &format!("{origin}/"), &[("Cookie", &cookie)], b"");
        let text = page.text();
        let csrf = text.split("name=\"spk-csrf\" content=\"").nth(1).unwrap();
        let csrf = csrf.split('"').next().unwrap().to_owned();
        Signed { origin, cookie, csrf }
    }

    /// Asks with these headers only.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        http::request(method, &format!("{}{path}", self.origin), headers, b"")
    }

    /// Asks as the page's own scripts do.
    pub fn asked_well(&self, method: &str, path: &str, body: &str) -> Response {
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("X-Spk-Csrf", &self.csrf),
            ("Origin", &self.origin),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        http::request(method, &format!("{}{path}", self.origin), &headers, body.as_bytes())
    }

    /// Does something; what the answer says.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.asked_well("POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}
