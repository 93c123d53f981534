//! One user's session: requests as calls. Calls that are not here are answered "unimplemented",
//! which the platform shows as an error.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::Error;

use crate::api::grain_capnp::ui_session;
use crate::api::web_session_capnp::web_session::{self, response};
use crate::notes::Notes;
use crate::page;
use crate::text::field;

const STYLE: &str = include_str!("../static/style.css");

/// See the module's description.
pub struct Session {
    pub notes: Rc<RefCell<Notes>>,
    /// The name to show.
    pub user: String,
    /// Whether they may write and delete notes.
    pub edit: bool,
}

impl ui_session::Server for Session {}

impl web_session::Server for Session {
    async fn get(
        self: Rc<Self>,
        params: web_session::GetParams,
        mut results: web_session::GetResults,
    ) -> Result<(), Error> {
        // Without the leading slash, and with the query if there is one.
        let path = params.get()?.get_path()?.to_str()?;
        match path.split('?').next().unwrap_or_default() {
            "" => {
                let page = page::page(&self.user, self.edit, &self.notes.borrow());
                content(results.get(), "text/html; charset=utf-8", &page);
            }
            "static/style.css" => content(results.get(), "text/css", STYLE),
            _ => refuse(results.get(), response::ClientErrorCode::NotFound, "no such page"),
        }
        Ok(())
    }

    async fn post(
        self: Rc<Self>,
        params: web_session::PostParams,
        mut results: web_session::PostResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let mut response = results.get();
        if params.get_path()?.to_str()? != "notes" {
            refuse(response, response::ClientErrorCode::NotFound, "no such page");
            return Ok(());
        }
        if !self.edit {
            refuse(response, response::ClientErrorCode::Forbidden, "you may not edit");
            return Ok(());
        }
        let form = String::from_utf8_lossy(params.get_content()?.get_content()?).into_owned();
        let mut notes = self.notes.borrow_mut();
        match (field(&form, "delete"), field(&form, "text")) {
            (Some(id), _) => notes.delete(id.parse().unwrap_or(0))?,
            (None, Some(text)) if !text.is_empty() => notes.add(&self.user, &text)?,
            _ => {}
        }
        let mut redirect = response.reborrow().init_redirect();
        redirect.set_switch_to_get(true);
        redirect.set_location("/");
        Ok(())
    }
}

fn content(response: response::Builder<'_>, kind: &str, body: &str) {
    let mut content = response.init_content();
    content.set_mime_type(kind);
    content.init_body().set_bytes(body.as_bytes());
}

fn refuse(response: response::Builder<'_>, code: response::ClientErrorCode, why: &str) {
    let mut error = response.init_client_error();
    error.set_status_code(code);
    let mut body = error.init_non_html_body();
    body.set_mime_type("text/plain; charset=utf-8");
    body.set_data(format!("{why}\n").as_bytes());
}
