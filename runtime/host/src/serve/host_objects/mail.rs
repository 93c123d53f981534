//! Mail that the app sends: with `--mail DIR`, each message becomes a file there; nothing leaves
//! the machine.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::Error;
use spk_schema::email_capnp::{email_address, email_message};

use super::Objects;
use crate::serve::user::User;

/// Domain of the users' addresses: one that leads nowhere (RFC 6761).
const DOMAIN: &str = "spk.localhost";

/// Messages kept in one run: an app that mails in a loop must not fill the disk.
const MESSAGES: u64 = 1000;

/// Bytes of one message, attachments included: what servers usually take.
const LARGEST: u64 = 25 << 20;

/// Longest line of base64 in a message (RFC 2045, 6.8).
const LINE: usize = 76;

impl Objects {
    /// A user's address and name.
    pub(super) fn address(&self, user: &User) -> (String, String) {
        (format!("{}@{DOMAIN}", user.handle()), user.display_name().to_owned())
    }

    /// Keeps a message.
    pub(super) fn send_mail(&self, mail: email_message::Reader<'_>) -> Result<(), Error> {
        const METHOD: &str = "EmailSendPort.send";
        let Some(dir) = &self.mail else {
            let reason = "this host sends no mail; --mail DIR keeps what the app sends";
            return Err(self.missing(METHOD, reason));
        };
        if mail.total_size()?.word_count.saturating_mul(8) > LARGEST {
            return Err(self.failed(METHOD, &format!("the message has more than {LARGEST} bytes")));
        }
        let text = compose(mail)?;
        let number = self.mails.get() + 1;
        if number > MESSAGES {
            let reason = format!("{MESSAGES} messages were kept, and no more are in this run");
            return Err(self.failed(METHOD, &reason));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let path = dir.join(format!("{}.{number:04}.eml", now.as_millis()));
        let write = || {
            let mut file = std::fs::File::options().write(true).create_new(true).open(&path)?;
            file.write_all(&text)
        };
        write().map_err(|error| self.failed(METHOD, &format!("{}: {error}", path.display())))?;
        self.mails.set(number);
        self.notes.say(&format!("the app sent mail: {}", path.display()));
        Ok(())
    }
}

/// A header's value on one line: what an app puts into it must not become another header.
fn one_line(text: capnp::text::Reader<'_>) -> String {
    let text = String::from_utf8_lossy(text.as_bytes());
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text that is not ASCII as encoded words (RFC 2047, 2), each of at most 75 characters.
fn encoded(text: &str) -> String {
    const BYTES: usize = 45;
    if text.is_ascii() {
        return text.to_owned();
    }
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in text.chars() {
        if word.len() + c.len_utf8() > BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

fn address(address: email_address::Reader<'_>) -> Result<String, Error> {
    let (name, address) = (one_line(address.get_name()?), one_line(address.get_address()?));
    let address: String = address.chars().filter(|c| !matches!(c, '<' | '>' | ',')).collect();
    if name.is_empty() {
        return Ok(address);
    }
    let name: String = name.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
    Ok(match name.is_ascii() {
        true => format!("\"{name}\" <{address}>"),
        false => format!("{} <{address}>", encoded(&name)),
    })
}

/// The message as RFC 5322 writes it.
fn compose(mail: email_message::Reader<'_>) -> Result<Vec<u8>, Error> {
    let mut head = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    let seconds = u64::try_from(mail.get_date() / 1_000_000_000).unwrap_or(0);
    let seconds = if seconds == 0 { spk_grains::store::now() } else { seconds };
    // The last second of the year 9999.
    let date = UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
    line("Date", &httpdate::fmt_http_date(date).replace("GMT", "+0000"));
    if mail.has_from() {
        line("From", &address(mail.get_from()?)?);
    }
    for (name, list) in [("To", mail.get_to()?), ("Cc", mail.get_cc()?), ("Bcc", mail.get_bcc()?)] {
        let all: Vec<String> = list.iter().map(address).collect::<Result<_, _>>()?;
        line(name, &all.join(",\r\n "));
    }
    if mail.has_reply_to() {
        line("Reply-To", &address(mail.get_reply_to()?)?);
    }
    line("Subject", &encoded(&one_line(mail.get_subject()?)));
    line("Message-Id", &one_line(mail.get_message_id()?));
    for (name, list) in
        [("References", mail.get_references()?), ("In-Reply-To", mail.get_in_reply_to()?)]
    {
        let all: Vec<String> = list.iter().map(|id| id.map(one_line)).collect::<Result<_, _>>()?;
        line(name, &all.join("\r\n "));
    }
    line("MIME-Version", "1.0");
    let mut parts = Vec::new();
    for (kind, text) in [("plain", mail.get_text()?), ("html", mail.get_html()?)] {
        if !text.as_bytes().is_empty() {
            let head = format!("Content-Type: text/{kind}; charset=UTF-8\r\n");
            parts.push((head, text.as_bytes()));
        }
    }
    for attachment in mail.get_attachments()? {
        let mut head = String::new();
        for (name, value) in [
            ("Content-Type", attachment.get_content_type()?),
            ("Content-Disposition", attachment.get_content_disposition()?),
            ("Content-Id", attachment.get_content_id()?),
        ] {
            let value = one_line(value);
            if !value.is_empty() {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        parts.push((head, attachment.get_content()?));
    }
    if parts.is_empty() {
        parts.push(("Content-Type: text/plain; charset=UTF-8\r\n".to_owned(), b"".as_slice()));
    }
    let mut message = head.into_bytes();
    if let [(head, body)] = parts.as_slice() {
        part(&mut message, head, body);
        return Ok(message);
    }
    let boundary = crate::serve::token::new()?;
    let kind = if mail.get_attachments()?.is_empty() { "alternative" } else { "mixed" };
    message.extend_from_slice(
        format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n").as_bytes(),
    );
    for (head, body) in &parts {
        message.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        part(&mut message, head, body);
    }
    message.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(message)
}

fn part(message: &mut Vec<u8>, head: &str, body: &[u8]) {
    message.extend_from_slice(head.as_bytes());
    message.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    for line in STANDARD.encode(body).as_bytes().chunks(LINE) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_so_that_nothing_in_it_becomes_a_header() {
        let mut message = capnp::message::Builder::new_default();
        let mut mail: email_message::Builder<'_> = message.init_root();
        mail.set_date(1_000_000_000);
        mail.reborrow().init_from().set_address("a@x\r\nBcc: evil@x");
        let mut to = mail.reborrow().init_to(1).get(0);
        to.set_address("b@y>, <c@z");
        to.set_name("Böb \"x\"");
        mail.set_subject("hello\r\nX-Evil: 1");
        mail.set_text("Grüße");
        let attachment = &mut mail.reborrow().init_attachments(1).get(0);
        attachment.set_content_type("image/png\r\n\r\nevil");
        attachment.set_content(&[0xff; 100]);
        let text = compose(mail.into_reader()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(names, ["Date", "From", "To", "Subject", "MIME-Version", "Content-Type"]);
        assert!(head.contains("Date: Thu, 01 Jan 1970 00:00:01 +0000"), "{head}");
        assert!(head.contains("To: =?UTF-8?B?QsO2YiB4?= <b@y c@z>"), "{head}");
        assert!(text.contains(&STANDARD.encode("Grüße")));
        assert!(text.lines().all(|line| line.len() <= 998));
        assert_eq!(text.matches("\r\n\r\n").count(), 3, "{text}");
    }
}
