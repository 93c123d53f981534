//! What a call says, one thing a line.

use capnp::Error;
use spk_schema::web_session_capnp::web_session::{self, context};

/// Of a context.
pub(crate) fn context(context: context::Reader<'_>) -> Result<String, Error> {
    let mut lines = Vec::new();
    for cookie in context.get_cookies()? {
        lines.push(format!(
            "cookie {}={}",
            cookie.get_key()?.to_str()?,
            cookie.get_value()?.to_str()?
        ));
    }
    for accept in context.get_accept()? {
        lines.push(format!(
            "accept {};{}",
            accept.get_mime_type()?.to_str()?,
            accept.get_q_value()
        ));
    }
    for accept in context.get_accept_encoding()? {
        let coding = accept.get_content_coding()?.to_str()?;
        lines.push(format!("accept-encoding {coding};{}", accept.get_q_value()));
    }
    for header in context.get_additional_headers()? {
        lines.push(format!(
            "header {}: {}",
            header.get_name()?.to_str()?,
            header.get_value()?.to_str()?
        ));
    }
    let tags = |list: capnp::struct_list::Reader<'_, web_session::e_tag::Owned>| {
        let mut text = String::new();
        for tag in list {
            let weak = if tag.get_weak() { "W/" } else { "" };
            text.push_str(&format!(" {weak}<{}>", tag.get_value()?.to_str()?));
        }
        Ok::<_, Error>(text)
    };
    use context::e_tag_precondition::Which;
    match context.get_e_tag_precondition().which()? {
        Which::None(()) => {}
        Which::Exists(()) => lines.push("exists".into()),
        Which::DoesntExist(()) => lines.push("doesn't exist".into()),
        Which::MatchesOneOf(list) => lines.push(format!("match{}", tags(list?)?)),
        Which::MatchesNoneOf(list) => lines.push(format!("none-match{}", tags(list?)?)),
    }
    Ok(lines.join("\n"))
}

/// Of a body that travels in the call.
macro_rules! content {
    ($content:expr) => {{
        let content = $content;
        let kind = content.has_mime_type().then(|| content.get_mime_type()).transpose()?;
        let encoding = content.has_encoding().then(|| content.get_encoding()).transpose()?;
        format!(
            "type={} encoding={} length={}",
            $crate::describe::optional(kind),
            $crate::describe::optional(encoding),
            content.get_content()?.len()
        )
    }};
}
pub(crate) use content;

/// A text that may be missing.
pub(crate) fn optional(text: Option<capnp::text::Reader<'_>>) -> String {
    text.map_or("none".into(), |text| format!("{:?}", String::from_utf8_lossy(text.as_bytes())))
}

/// Of a body that travels as text.
pub(crate) fn xml(text: capnp::text::Reader<'_>) -> String {
    format!("xml={}", String::from_utf8_lossy(text.as_bytes()))
}
