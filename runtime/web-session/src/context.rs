//! `WebSession.Context`: the part of a call that every method has (http-bridge §3.3.1, §4.3).

use capnp::text;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use spk_schema::headers;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{self, context};

use crate::failure::Refusal;
use crate::tag::{self, BadTag, Precondition, Tag};
use crate::values;

/// What a request says beside its method, path and body.
pub struct Described {
    cookies: Vec<(Vec<u8>, Vec<u8>)>,
    accept: Vec<values::Accepted>,
    accept_encoding: Vec<values::Accepted>,
    precondition: Precondition,
    additional: Vec<(String, Vec<u8>)>,
}

impl Described {
    /// Reads the headers. Sessions of people have cookies, but for the caller's own, whose name is
    /// `own_cookie` (http-bridge §4.7); with `None`, as for sessions of programs, none passes.
    pub fn read(headers: &HeaderMap, own_cookie: Option<&str>) -> Result<Described, Refusal> {
        let cookies =
            own_cookie.map_or_else(Vec::new, |own| values::cookies(headers, own.as_bytes()));
        let precondition = tag::precondition(headers).map_err(|BadTag| {
            Refusal::bad_request("If-Match or If-None-Match is not a list of entity tags")
        })?;
        Ok(Described {
            cookies,
            accept: values::accepted(headers, &ACCEPT),
            accept_encoding: values::accepted(headers, &ACCEPT_ENCODING),
            precondition,
            additional: headers
                .iter()
                .filter(|(name, _)| headers::REQUEST.allows(name.as_str().as_bytes()))
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
        })
    }

    /// Whether "you have this version already" is the meaning of a failed precondition.
    pub(crate) fn is_none_match(&self) -> bool {
        matches!(self.precondition, Precondition::MatchesNone(_) | Precondition::DoesntExist)
    }

    /// Writes it into a call.
    pub fn fill(&self, mut context: context::Builder<'_>, stream: Option<byte_stream::Client>) {
        if !self.cookies.is_empty() {
            let mut list = context.reborrow().init_cookies(self.cookies.len() as u32);
            for (index, (key, value)) in self.cookies.iter().enumerate() {
                let mut cookie = list.reborrow().get(index as u32);
                cookie.set_key(text::Reader(key));
                cookie.set_value(text::Reader(value));
            }
        }
        if !self.accept.is_empty() {
            let mut list = context.reborrow().init_accept(self.accept.len() as u32);
            for (index, accepted) in self.accept.iter().enumerate() {
                let mut item = list.reborrow().get(index as u32);
                item.set_mime_type(text::Reader(&accepted.name));
                item.set_q_value(accepted.quality);
            }
        }
        if !self.accept_encoding.is_empty() {
            let count = self.accept_encoding.len() as u32;
            let mut list = context.reborrow().init_accept_encoding(count);
            for (index, accepted) in self.accept_encoding.iter().enumerate() {
                let mut item = list.reborrow().get(index as u32);
                item.set_content_coding(text::Reader(&accepted.name));
                item.set_q_value(accepted.quality);
            }
        }
        if !self.additional.is_empty() {
            let count = self.additional.len() as u32;
            let mut list = context.reborrow().init_additional_headers(count);
            for (index, (name, value)) in self.additional.iter().enumerate() {
                let mut header = list.reborrow().get(index as u32);
                header.set_name(name.as_str());
                header.set_value(text::Reader(value));
            }
        }
        let mut precondition = context.reborrow().get_e_tag_precondition();
        match &self.precondition {
            Precondition::None => precondition.set_none(()),
            Precondition::Exists => precondition.set_exists(()),
            Precondition::DoesntExist => precondition.set_doesnt_exist(()),
            Precondition::Matches(tags) => {
                fill_tags(precondition.init_matches_one_of(tags.len() as u32), tags);
            }
            Precondition::MatchesNone(tags) => {
                fill_tags(precondition.init_matches_none_of(tags.len() as u32), tags);
            }
        }
        if let Some(stream) = stream {
            context.set_response_stream(stream);
        }
    }
}

fn fill_tags(mut list: capnp::struct_list::Builder<'_, web_session::e_tag::Owned>, tags: &[Tag]) {
    for (index, tag) in tags.iter().enumerate() {
        let mut entry = list.reborrow().get(index as u32);
        entry.set_value(text::Reader(&tag.value));
        entry.set_weak(tag.weak);
    }
}
