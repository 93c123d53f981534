//! What the front end adds to everything a session answers (http-bridge §5.10).

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
    },
    /// Sessions of programs.
    Api,
}

impl spk_web_session::Policy for Policy {
    fn passes_cookies(&self) -> bool {
        matches!(self, Policy::Browser { .. })
    }

    fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Policy::Browser { parent, base } => {
                set(headers, header::X_FRAME_OPTIONS, &format!("ALLOW-FROM {parent}"));
                let policy = format!("frame-ancestors {parent} {base}");
                set(headers, header::CONTENT_SECURITY_POLICY, &policy);
            }
            Policy::Api => {
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
