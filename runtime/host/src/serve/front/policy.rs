//! What the front end adds to everything a session answers (http-bridge §5.10).

use std::cell::RefCell;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use spk_schema::headers::RESPONSE;

/// The headers of a kind of session.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// Sessions of people.
    Browser {
        /// The page that may frame the app.
        parent: String,
        /// The session's own origin.
        base: String,
        /// Whether that page is of another site.
        foreign: bool,
    },
    /// Sessions of programs.
    Api {
        /// Names of the cookies of the answer, which no program gets.
        cookies: RefCell<Vec<Vec<u8>>>,
    },
}

/// Cookies of an answer that are told of, at most.
const COOKIES: usize = 20;

impl Policy {
    /// Of a session of programs.
    pub fn api() -> Policy {
        Policy::Api { cookies: RefCell::default() }
    }

    /// The cookies of the answer that did not reach the client.
    pub fn dropped_cookies(&self) -> Vec<Vec<u8>> {
        match self {
            Policy::Browser { .. } => Vec::new(),
            Policy::Api { cookies } => cookies.take(),
        }
    }
}

impl spk_web_session::Policy for Policy {
    fn passes_cookies(&self) -> bool {
        matches!(self, Policy::Browser { .. })
    }

    fn cookie_dropped(&self, name: &[u8]) {
        if let Policy::Api { cookies } = self
            && cookies.borrow().len() < COOKIES
        {
            cookies.borrow_mut().push(name.to_owned());
        }
    }

    fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Policy::Browser { parent, base, foreign } => {
                if *foreign {
                    for_foreign_page(headers);
                }
                set(headers, header::X_FRAME_OPTIONS, &format!("ALLOW-FROM {parent}"));
                let policy = format!("frame-ancestors {parent} {base}");
                set(headers, header::CONTENT_SECURITY_POLICY, &policy);
            }
            Policy::Api { .. } => {
                let exposed = exposed(headers);
                set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
                set(headers, header::VARY, "Authorization");
                set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
                set(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
            }
        }
        set(headers, header::REFERRER_POLICY, "same-origin");
        set(headers, PERMISSIONS_POLICY, "interest-cohort=()");
    }
}

/// What a cookie needs in a frame of another site's page: browsers keep it for frames in pages of that
/// site. `localhost` is secure enough for them (Secure Contexts, 3.1).
const FOREIGN: &[u8] = b"; SameSite=None; Secure; Partitioned";

fn for_foreign_page(headers: &mut HeaderMap) {
    if let header::Entry::Occupied(mut cookies) = headers.entry(header::SET_COOKIE) {
        for cookie in cookies.iter_mut() {
            // Of what may stand in a header already.
            if let Ok(more) = HeaderValue::from_bytes(&[cookie.as_bytes(), FOREIGN].concat()) {
                *cookie = more;
            }
        }
    }
}

/// What a page of another site may read of the answer, beside what it always may.
fn exposed(headers: &HeaderMap) -> String {
    let passed = headers.keys().map(HeaderName::as_str);
    let passed = passed.filter(|name| RESPONSE.allows(name.as_bytes()));
    std::iter::once("ETag").chain(passed).collect::<Vec<_>>().join(", ")
}

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // All of these are made of host names and constants.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use spk_web_session::Policy as _;

    use super::*;

    #[test]
    fn cookies_are_made_for_frames_of_another_site_where_they_need_to_be() {
        for (foreign, more) in [(false, ""), (true, "; SameSite=None; Secure; Partitioned")] {
            let mut headers = HeaderMap::new();
            for cookie in ["a=1", "b=2; Path=/x; HttpOnly"] {
                headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
            }
            let base = "http://ui-x.spk-y.localhost:1".to_owned();
            let policy =
                Policy::Browser { parent: "http://spk-z.localhost:1".into(), base, foreign };
            policy.apply(&mut headers);
            let cookies = headers.get_all(header::SET_COOKIE).iter();
            let cookies: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
            assert_eq!(cookies, [format!("a=1{more}"), format!("b=2; Path=/x; HttpOnly{more}")]);
        }
    }
}
