//! Which of the front end's sites a `Host` header names (http-bridge §7.1, §7.16).
//!
//! All names are below `localhost`, which browsers take for a public suffix: what is directly below
//! it is a site of its own. Each grain has one, in which its app's sessions and the page around them
//! are, so that the frame is same-site with the page, and no cookie of one grain's app gets to
//! another. The ID in a session's name is its secret: nobody who was not given the name can send a
//! request that carries it.

use super::token::half_hash;
use spk_files::hex;

/// What all names end with. Browsers and curl resolve everything below `localhost` to loopback by
/// themselves (RFC 6761, 6.3).
const TOP: &str = ".localhost";

/// Where the first page is, and what belongs to no grain.
pub(crate) const PARENT: &str = "spk.localhost";

/// Begins the name of a grain's site.
const GRAIN: &str = "spk-";

/// Characters of what follows in it: enough to tell grains apart, no secret.
const GRAIN_LENGTH: usize = 16;

/// Characters of a session's or API host's ID: 128 bits in hex, as the original's.
pub(crate) const ID_LENGTH: usize = 32;

/// Characters of the public ID under which an app's files are published.
pub(crate) const PUBLIC_ID_LENGTH: usize = 20;

/// The origin of an API token, by the label of its host after `api-`.
pub(crate) fn api_origin(label: &str, port: u16) -> String {
    format!("http://api-{label}.{PARENT}:{port}")
}

/// The name of a grain's site; always the same for the same grain, so that its addresses can be kept.
pub(crate) fn grain_site(grain: &str) -> String {
    let hash = hex::encode(&half_hash(&format!("site of {grain}"))[..GRAIN_LENGTH / 2]);
    format!("{GRAIN}{hash}{TOP}")
}

/// The origin of a name of ours.
pub(crate) fn origin(name: &str, port: u16) -> String {
    format!("http://{name}:{port}")
}

/// The name in a `Host` header.
pub(crate) fn name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// What in a content policy stands for all names of ours, at any depth.
pub(crate) fn any_origin(port: u16) -> String {
    format!("http://*{TOP}:{port}")
}

/// A site of the front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The pages around the app, for all grains or for one.
    Shell,
    /// An app session, by ID; whether it is in this grain's site is to be seen.
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
    if name == PARENT || is_grain_site(name) {
        return Some(Site::Shell);
    }
    if let Some(session) = name.strip_prefix("ui-") {
        let (id, site) = session.split_once('.')?;
        return (is_id(id) && is_grain_site(site)).then(|| Site::Session(id.to_owned()));
    }
    let label = name.strip_suffix(PARENT)?.strip_suffix('.')?;
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

fn is_grain_site(name: &str) -> bool {
    let label = name.strip_suffix(TOP).and_then(|label| label.strip_prefix(GRAIN));
    label.is_some_and(|hash| {
        hash.len() == GRAIN_LENGTH && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
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
            site(&format!("ui-{ID}.{}:6080", grain_site("x")), 6080),
            Some(Site::Session(ID.into()))
        );
        assert_eq!(site(&format!("{}:6080", grain_site("x")), 6080), Some(Site::Shell));
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
        let name = format!("UI-{ID}.{}:6080", grain_site("x")).to_uppercase();
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
            "ui-.spk-0123456789abcdef.localhost:6080",
            "ui-0123.spk-0123456789abcdef.localhost:6080",
            "ui-0123456789abcdef0123456789abcdeg.spk-0123456789abcdef.localhost:6080",
            "x.ui-0123456789abcdef0123456789abcdef.spk-0123456789abcdef.localhost:6080",
            // A session is in its grain's site, and in nothing else.
            "ui-0123456789abcdef0123456789abcdef.spk.localhost:6080",
            "ui-0123456789abcdef0123456789abcdef.localhost:6080",
            "ui-0123456789abcdef0123456789abcdef.spk-0123456789abcdef.spk.localhost:6080",
            "ui-0123456789abcdef0123456789abcdef.x.spk-0123456789abcdef.localhost:6080",
            "spk-.localhost:6080",
            "spk-0123456789abcde.localhost:6080",
            "spk-0123456789abcdeg.localhost:6080",
            "x.spk-0123456789abcdef.localhost:6080",
            "spk-0123456789abcdef.spk.localhost:6080",
            "spk-0123456789abcdef.localhost:6081",
            "spk-0123456789abcdef.localhost",
            "selftest-.spk.localhost:6080",
            "selftest-a.b.spk.localhost:6080",
            "spk.localhost.:6080",
            "spk.localhost:06080",
        ] {
            assert_eq!(site(host, 6080), None, "{host}");
        }
    }

    #[test]
    fn each_grain_has_a_site_of_its_own() {
        assert_eq!(grain_site("a"), grain_site("a"));
        assert_ne!(grain_site("a"), grain_site("b"));
        // Directly below what browsers take for a public suffix, with nothing in common.
        assert_eq!(grain_site("a").matches('.').count(), 1);
        assert_eq!(name(&origin(&grain_site("a"), 80)["http://".len()..]), grain_site("a"));
    }
}
