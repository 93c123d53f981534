//! Incoming mail as files in a maildir (http-bridge §8.6).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::{Error, text};
use spk_files::{Dir, random};
use spk_schema::email_capnp::{email_address, email_attachment, email_message, email_send_port};
use spk_schema::grain_capnp::ui_session;
use spk_schema::hack_session_capnp::hack_email_session;

/// Characters of base64 on one line (RFC 2045 6.8).
const BASE64_LINE: usize = 76;

/// A mail session: every message becomes a file under `mail/new`.
pub struct Mailbox {
    directory: PathBuf,
}

impl Mailbox {
    /// The mailbox in the grain's data. The app has to make the directories.
    pub fn new(var: &Path) -> Mailbox {
        Mailbox { directory: var.join("mail") }
    }

    fn deliver(&self, message: &[u8]) -> Result<(), Error> {
        let name = format!("_{}", random_id()?);
        self.put(name.as_bytes(), message).map_err(|error| {
            let path = self.directory.join("new").join(&name);
            Error::failed(format!("delivering mail to '{}' failed: {error}", path.display()))
        })
    }

    /// Writes the file in `tmp` first, as maildirs have it, so that the app never sees half a
    /// message in `new`; when this returns, the message lasts.
    fn put(&self, name: &[u8], message: &[u8]) -> io::Result<()> {
        let tmp = Dir::open_trusted(&self.directory.join("tmp"))?;
        let new = Dir::open_trusted(&self.directory.join("new"))?;
        let mut file = tmp.create_file(name, 0o666)?;
        let written = file.write_all(message).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| tmp.rename(name, &new, name)) {
            // On the way out with an error already.
            let _ = tmp.remove_file(name);
            return Err(error);
        }
        new.sync()
    }
}

impl ui_session::Server for Mailbox {}
impl hack_email_session::Server for Mailbox {}

impl email_send_port::Server for Mailbox {
    async fn send(
        self: Rc<Self>,
        params: email_send_port::SendParams,
        _: email_send_port::SendResults,
    ) -> Result<(), Error> {
        self.deliver(&compose(params.get()?.get_email()?, &random_id()?)?)
    }
}

/// 22 characters, as the original makes of 16 random bytes.
fn random_id() -> Result<String, Error> {
    random::name(22).map_err(|error| Error::failed(error.to_string()))
}

/// The text of a message: headers, then text, HTML and attachments as parts.
fn compose(email: email_message::Reader<'_>, boundary: &str) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    if let Some(date) = date(email.get_date()) {
        header(&mut out, "Date", date.as_bytes());
    }
    if email.has_from() {
        header(&mut out, "From", &address(email.get_from()?)?);
    }
    for (name, list) in
        [("To", email.get_to()?), ("CC", email.get_cc()?), ("BCC", email.get_bcc()?)]
    {
        let addresses: Vec<_> = list.iter().map(address).collect::<Result<_, _>>()?;
        header(&mut out, name, &addresses.join(&b", "[..]));
    }
    if email.has_reply_to() {
        header(&mut out, "Reply-To", &address(email.get_reply_to()?)?);
    }
    header(&mut out, "Message-Id", email.get_message_id()?.as_bytes());
    for (name, list) in
        [("References", email.get_references()?), ("In-Reply-To", email.get_in_reply_to()?)]
    {
        let items: Vec<_> =
            list.iter().map(|item| Ok(item?.as_bytes())).collect::<Result<_, Error>>()?;
        header(&mut out, name, &items.join(&b' '));
    }
    header(&mut out, "Subject", email.get_subject()?.as_bytes());
    header(&mut out, "MIME-Version", b"1.0");
    let kind = format!("multipart/alternative; boundary=\"{boundary}\"");
    header(&mut out, "Content-Type", kind.as_bytes());
    out.push(b'\n');
    text_part(&mut out, boundary, "text/plain", email.get_text()?);
    text_part(&mut out, boundary, "text/html", email.get_html()?);
    for attachment in email.get_attachments()? {
        attached(&mut out, boundary, attachment)?;
    }
    out.extend_from_slice(format!("--{boundary}--\n").as_bytes());
    Ok(out)
}

/// Adds a header; line ends in it become spaces.
fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.iter().map(|&byte| if byte < b' ' { b' ' } else { byte }));
        out.push(b'\n');
    }
}

fn address(address: email_address::Reader<'_>) -> Result<Vec<u8>, Error> {
    let (name, mail) = (address.get_name()?.as_bytes(), address.get_address()?.as_bytes());
    Ok(if name.is_empty() { mail.to_vec() } else { [name, b" <", mail, b">"].concat() })
}

fn text_part(out: &mut Vec<u8>, boundary: &str, kind: &str, text: text::Reader<'_>) {
    if !text.is_empty() {
        out.extend_from_slice(format!("--{boundary}\n").as_bytes());
        header(out, "Content-Type", format!("{kind}; charset=UTF-8").as_bytes());
        out.push(b'\n');
        out.extend(text.as_bytes().iter().filter(|&&byte| byte != b'\r'));
        out.push(b'\n');
    }
}

fn attached(
    out: &mut Vec<u8>,
    boundary: &str,
    attachment: email_attachment::Reader<'_>,
) -> Result<(), Error> {
    out.extend_from_slice(format!("--{boundary}\n").as_bytes());
    header(out, "Content-Type", attachment.get_content_type()?.as_bytes());
    header(out, "Content-Disposition", attachment.get_content_disposition()?.as_bytes());
    header(out, "Content-Transfer-Encoding", b"base64");
    header(out, "Content-Id", attachment.get_content_id()?.as_bytes());
    out.push(b'\n');
    for line in STANDARD.encode(attachment.get_content()?).as_bytes().chunks(BASE64_LINE) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    Ok(())
}

/// RFC 5322 text of nanoseconds since the epoch, in UTC. Zero means that there is no date, and of
/// times before 1900 there is none.
fn date(nanoseconds: i64) -> Option<String> {
    (nanoseconds != 0).then(|| crate::http::date::rfc5322(nanoseconds.div_euclid(1_000_000_000)))?
}
