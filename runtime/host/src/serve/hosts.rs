//! Which of the front end's sites a `Host` header names (http-bridge §7.1, §7.16).
//!
//! All names lie below one two-label parent, so that a session's frame is same-site with the page
//! around it. The ID in a session's name is its secret: nobody who was not given the name can send
//! a request that carries it.

/// The parent of all sites. Browsers and curl resolve everything below `localhost` to loopback by
/// themselves (RFC 6761, 6.3).
pub(crate) const PARENT: &str = "spk.localhost";

/// Characters of a session's or API host's ID: 128 bits in hex, as the original's.
pub(crate) const ID_LENGTH: usize = 32;

/// Characters of the public ID under which an app's files are published.
pub(crate) const PUBLIC_ID_LENGTH: usize = 20;

/// The origin of an API token, by the label of its host after `api-`.
pub(crate) fn api_origin(label: &str, port: u16) -> String {
    format!("http://api-{label}.{PARENT}:{port}")
}

/// A site of the front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The pages around the app.
    Shell,
    /// An app session, by ID.
    Session(String),
    /// API clients of a token, by ID.
    Api(String),
    /// API clients of any token.
    SharedApi,
    /// The files the app publishes, by public ID.
    Public(String),
    /// Pictures of users.
    Static,
    /// Tells a client that names below the parent reach this front end.
    SelfTest,
}

/// The site, or `None` for a name that is none of ours. `port` is the one we listen on; letter
/// case does not matter.
pub(crate) fn site(host: &str, port: u16) -> Option<Site> {
    let host = host.to_ascii_lowercase();
    let name = match host.rsplit_once(':') {
        Some((name, given)) if given == port.to_string() => name,
        Some(_) => return None,
        None if port == 80 => &host,
        None => return None,
    };
    if name == PARENT {
        return Some(Site::Shell);
    }
    let label = name.strip_suffix(PARENT)?.strip_suffix('.')?;
    if let Some(id) = label.strip_prefix("ui-") {
        return is_id(id).then(|| Site::Session(id.to_owned()));
    }
    if let Some(id) = label.strip_prefix("api-") {
        return is_id(id).then(|| Site::Api(id.to_owned()));
    }
    match label {
        "api" => return Some(Site::SharedApi),
        "static" => return Some(Site::Static),
        _ if is_public_id(label) => return Some(Site::Public(label.to_owned())),
        _ => {}
    }
    let test = label.strip_prefix("selftest-")?;
    (!test.is_empty() && !test.contains('.')).then_some(Site::SelfTest)
}

fn is_public_id(text: &str) -> bool {
    text.len() == PUBLIC_ID_LENGTH
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn our_names_are_recognised() {
        assert_eq!(site("spk.localhost:6080", 6080), Some(Site::Shell));
        assert_eq!(
            site(&format!("ui-{ID}.spk.localhost:6080"), 6080),
            Some(Site::Session(ID.into()))
        );
        assert_eq!(site(&format!("api-{ID}.spk.localhost:1"), 1), Some(Site::Api(ID.into())));
        assert_eq!(site("api.spk.localhost:1", 1), Some(Site::SharedApi));
        assert_eq!(site("static.spk.localhost:1", 1), Some(Site::Static));
        let public = "abcdefghij0123456789";
        let site_of = |name: &str| site(&format!("{name}.spk.localhost:1"), 1);
        assert_eq!(site_of(public), Some(Site::Public(public.into())));
        assert_eq!(site_of("abcdefghij012345678"), None);
        assert_eq!(site("selftest-x.spk.localhost:1", 1), Some(Site::SelfTest));
        assert_eq!(site("spk.localhost", 80), Some(Site::Shell));
    }

    #[test]
    fn g10_letter_case_does_not_matter() {
        let name = format!("UI-{}.SPK.Localhost:6080", ID.to_uppercase());
        assert_eq!(site(&name, 6080), Some(Site::Session(ID.into())));
    }

    #[test]
    fn g13_everything_else_is_unknown() {
        for host in [
            "",
            "spk.localhost",
            "spk.localhost:6081",
            "localhost:6080",
            "127.0.0.1:6080",
            "evil.example:6080",
            "xspk.localhost:6080",
            ".spk.localhost:6080",
            "ui-.spk.localhost:6080",
            "ui-0123.spk.localhost:6080",
            "ui-0123456789abcdef0123456789abcdeg.spk.localhost:6080",
            "x.ui-0123456789abcdef0123456789abcdef.spk.localhost:6080",
            "selftest-.spk.localhost:6080",
            "selftest-a.b.spk.localhost:6080",
            "spk.localhost.:6080",
            "spk.localhost:06080",
        ] {
            assert_eq!(site(host, 6080), None, "{host}");
        }
    }
}
