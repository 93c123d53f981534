//! The shell's addresses, asked as its page asks them.

use serde_json::Value;

use crate::Server;
use crate::http::{self, Response};

/// Somebody who opened the address that was printed.
pub struct Signed {
    /// The shell's origin.
    pub origin: String,
    /// What the page sends in a header.
    pub key: String,
}

impl Signed {
    /// Signs in as a browser does.
    pub fn at(server: &Server) -> Signed {
        let url = server.field("url");
        let origin = url.split("/?").next().unwrap().to_owned();
        let page = http::get(&url);
        assert_eq!((page.status, page.header("set-cookie")), (200, None));
        let text = page.text();
        let key = text.split("name=\"spk-csrf\" content=\"").nth(1).unwrap();
        let key = key.split('"').next().unwrap().to_owned();
        assert_eq!(key.len(), 32, "{text}");
        Signed { origin, key }
    }

    /// Asks with these headers only.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        http::request(method, &format!("{}{path}", self.origin), headers, b"")
    }

    /// Asks as the page's own scripts do.
    pub fn asked_well(&self, method: &str, path: &str, body: &str) -> Response {
        let headers = [
            ("X-Spk-Csrf", self.key.as_str()),
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
