//! The part of the request head that is the same for every request of a session: lines 4 to 17 of
//! http-bridge §4.4, derived as http-bridge §4.6 says.

use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_encode;
use spk_files::hex;
use spk_schema::ip_capnp::ip_address;
use spk_schema::web_session_capnp::web_session;

use crate::error::Error;
use crate::http::write::HeadWriter;
use crate::percent::UNESCAPED;
use crate::user::User;

/// How the user came to the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionType {
    /// By opening the grain, or with an API token.
    Normal,
    /// To choose an answer to a powerbox request.
    Request,
    /// To hand something over.
    Offer,
}

/// A browser's session parameters.
pub struct Browser<'a>(pub web_session::params::Reader<'a>);

/// An API client's session parameters.
pub struct ApiClient {
    /// Prefix of every path.
    pub root: Vec<u8>,
    /// Address of the client, if it asked to pass it on.
    pub address: Option<String>,
}

/// A powerbox capability's parameters.
pub struct PowerboxApi {
    /// Prefix of every path.
    pub root: Vec<u8>,
    /// Name of the API.
    pub name: Vec<u8>,
}

/// The lines, ready to be copied into each request.
pub struct FixedHead {
    /// Root path, put before the path of every call.
    pub root: Vec<u8>,
    /// The `Accept-Language` line or nothing; not sent with upgrades.
    pub languages: Vec<u8>,
    /// Lines 5 to 17, or why every request fails.
    lines: Result<Vec<u8>, Error>,
}

impl FixedHead {
    /// For a browser.
    pub fn browser(browser: Browser<'_>, common: &Common<'_>) -> Result<FixedHead, capnp::Error> {
        let params = browser.0;
        let base = params.get_base_path()?.as_bytes();
        let mut languages = Vec::new();
        for language in params.get_acceptable_languages()? {
            if !languages.is_empty() {
                languages.push(b',');
            }
            languages.extend_from_slice(language?.as_bytes());
        }
        let mut language_line = HeadWriter::lines();
        let mut problem = None;
        if !languages.is_empty() {
            problem = language_line.line("Accept-Language", &languages).err();
        }
        let lines = browser_lines(params.get_user_agent()?.as_bytes(), base, common);
        Ok(FixedHead {
            root: b"/".to_vec(),
            languages: language_line.into_bytes(),
            lines: problem.map_or(lines, Err),
        })
    }

    /// For a program with a token.
    pub fn api(client: ApiClient, common: &Common<'_>) -> FixedHead {
        let lines = (|| {
            let mut head = HeadWriter::lines();
            common.write(&mut head)?;
            sandbox(&mut head, common.session_id)?;
            if let Some(address) = &client.address {
                head.line("X-Real-IP", address.as_bytes())?;
            }
            Ok(head.into_bytes())
        })();
        FixedHead { root: client.root, languages: Vec::new(), lines }
    }

    /// For the holder of a powerbox capability.
    pub fn powerbox(api: PowerboxApi, common: &Common<'_>) -> FixedHead {
        let lines = (|| {
            let mut head = HeadWriter::lines();
            common.write(&mut head)?;
            sandbox(&mut head, common.session_id)?;
            head.line("X-Sandstorm-Api", &api.name)?;
            Ok(head.into_bytes())
        })();
        FixedHead { root: api.root, languages: Vec::new(), lines }
    }

    /// The lines, or why the session cannot send requests.
    pub fn lines(&self) -> Result<&[u8], Error> {
        match &self.lines {
            Ok(lines) => Ok(lines),
            Err(Error::BadBasePath) => Err(Error::BadBasePath),
            Err(Error::ForbiddenCharacter(what)) => Err(Error::ForbiddenCharacter(what)),
            Err(_) => Err(Error::ForbiddenCharacter("the session's data")),
        }
    }
}

/// What sessions of all kinds have.
pub struct Common<'a> {
    /// Who uses it.
    pub user: &'a User,
    /// How they came.
    pub session_type: SessionType,
    /// Names of the user's permissions, joined with commas.
    pub permissions: &'a [u8],
    /// ID of the browser tab.
    pub tab_id: &'a [u8],
    /// Number of the session; empty for powerbox capabilities.
    pub session_id: &'a str,
}

impl Common<'_> {
    /// Lines 6 to 13.
    fn write(&self, head: &mut HeadWriter) -> Result<(), Error> {
        let user = self.user;
        head.line("X-Sandstorm-Tab-Id", hex::encode(self.tab_id).as_bytes())?;
        let name = percent_encode(&user.name, UNESCAPED).to_string();
        head.line("X-Sandstorm-Username", name.as_bytes())?;
        if let Some(id) = &user.id {
            head.line("X-Sandstorm-User-Id", id.as_bytes())?;
            if !user.handle.is_empty() {
                head.line("X-Sandstorm-Preferred-Handle", &user.handle)?;
            }
            if !user.picture.is_empty() {
                head.line("X-Sandstorm-User-Picture", &user.picture)?;
            }
            if let Some(pronouns) = user.pronouns {
                head.line("X-Sandstorm-User-Pronouns", pronouns.as_bytes())?;
            }
        }
        let session_type: &[u8] = match self.session_type {
            SessionType::Normal => b"normal",
            SessionType::Request => b"request",
            SessionType::Offer => b"offer",
        };
        head.line("X-Sandstorm-Session-Type", session_type)?;
        head.line("X-Sandstorm-Permissions", self.permissions)
    }
}

fn browser_lines(agent: &[u8], base: &[u8], common: &Common<'_>) -> Result<Vec<u8>, Error> {
    let mut head = HeadWriter::lines();
    if !agent.is_empty() {
        head.line("User-Agent", agent)?;
    }
    common.write(&mut head)?;
    if base.is_empty() {
        sandbox(&mut head, common.session_id)?;
    } else {
        let (scheme, host) = split_base_path(base).ok_or(Error::BadBasePath)?;
        head.line("X-Sandstorm-Base-Path", base)?;
        head.line("Host", host)?;
        head.line("X-Forwarded-Proto", scheme)?;
        head.line("X-Sandstorm-Session-Id", common.session_id.as_bytes())?;
    }
    Ok(head.into_bytes())
}

fn sandbox(head: &mut HeadWriter, session_id: &str) -> Result<(), Error> {
    head.line("Host", b"sandbox")?;
    head.line("X-Sandstorm-Session-Id", session_id.as_bytes())
}

/// Scheme (lower-case letters) and host of a base path.
fn split_base_path(base: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = base.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = base.split_at(colon);
    let rest = rest.strip_prefix(b"://")?;
    let host = rest.split(|&byte| byte == b'/').next()?;
    let letters = !scheme.is_empty() && scheme.iter().all(u8::is_ascii_lowercase);
    letters.then_some((scheme, host))
}

/// Text of an address: dotted quad for mapped IPv4, IPv6 otherwise.
pub fn address_text(address: ip_address::Reader<'_>) -> String {
    let (upper, lower) = (address.get_upper64(), address.get_lower64());
    let bits = u128::from(upper) << 64 | u128::from(lower);
    if upper == 0 && lower >> 32 == 0xffff {
        // The lower half of the lower half: always fits.
        Ipv4Addr::from_bits((lower & 0xffff_ffff) as u32).to_string()
    } else {
        Ipv6Addr::from_bits(bits).to_string()
    }
}
