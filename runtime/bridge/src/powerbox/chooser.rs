//! The page on which a user chooses one of the app's HTTP APIs.

use std::rc::Rc;

use capnp::capability::{FromClientHook, Results};
use capnp::{Error, text};
use spk_schema::grain_capnp::{session_context, ui_session};
use spk_schema::identity_capnp::user_info;
use spk_schema::package_capnp::bridge_config::powerbox_api;
use spk_schema::web_session_capnp::web_session::response::{ClientErrorCode, SuccessCode};
use spk_schema::web_session_capnp::web_session::{self, response};

use super::descriptors::describe;
use super::open::open_http_api;
use super::page;
use crate::bridge::Bridge;
use crate::http_api::{HttpApi, fill_permissions};

/// A request session that the bridge serves itself.
pub struct Chooser {
    bridge: Rc<Bridge>,
    context: session_context::Client,
    permissions: Vec<bool>,
    identity_id: Vec<u8>,
}

impl Chooser {
    /// For this user.
    pub fn new(
        bridge: Rc<Bridge>,
        info: user_info::Reader<'_>,
        context: session_context::Client,
    ) -> Result<Chooser, Error> {
        Ok(Chooser {
            bridge,
            context,
            permissions: info.get_permissions()?.iter().collect(),
            identity_id: info.get_identity_id()?.to_vec(),
        })
    }

    /// Whether the user has all permissions the API needs.
    fn permits(&self, api: powerbox_api::Reader<'_>) -> Result<bool, Error> {
        let has = |index: usize| self.permissions.get(index).copied().unwrap_or(false);
        Ok(api.get_permissions()?.iter().enumerate().all(|(index, needed)| !needed || has(index)))
    }

    async fn fulfill(&self, name: &[u8]) -> Result<(), Error> {
        let mut request = self.context.fulfill_request_request();
        let mut found = false;
        for api in self.bridge.config.reader()?.get_powerbox_apis()? {
            if api.get_name()?.as_bytes() != name || !self.permits(api)? {
                continue;
            }
            let http_api = HttpApi {
                name: name.to_vec(),
                path: api.get_path()?.as_bytes().to_vec(),
                permissions: api.get_permissions()?.iter().collect(),
                identity_id: self.identity_id.clone(),
            };
            let mut call = request.get();
            let bits = &http_api.permissions;
            fill_permissions(call.reborrow().init_required_permissions(bits.len() as u32), bits);
            describe(call.reborrow().init_descriptor(), api)?;
            call.set_display_info(api.get_display_info()?)?;
            let session = open_http_api(self.bridge.clone(), http_api);
            call.init_cap().set_as_capability(session.into_client_hook());
            found = true;
            break;
        }
        if !found {
            return Err(Error::failed(format!("no API is called '{}'", name.escape_ascii())));
        }
        request.send().promise.await.map(|_| ())
    }
}

fn not_found(mut results: Results<response::Owned>) {
    results.get().init_client_error().set_status_code(ClientErrorCode::NotFound);
}

impl ui_session::Server for Chooser {}

impl web_session::Server for Chooser {
    async fn get(
        self: Rc<Self>,
        params: web_session::GetParams,
        mut results: Results<response::Owned>,
    ) -> Result<(), Error> {
        if !params.get()?.get_path()?.is_empty() {
            not_found(results);
            return Ok(());
        }
        let mut permitted = Vec::new();
        for api in self.bridge.config.reader()?.get_powerbox_apis()? {
            if self.permits(api)? {
                permitted.push(page::describe(api)?);
            }
        }
        let mut content = results.get().init_content();
        content.set_status_code(SuccessCode::Ok);
        content.set_mime_type(text::Reader(b"text/html;charset=UTF-8"));
        content.init_body().set_bytes(page::page(&permitted).as_bytes());
        Ok(())
    }

    async fn post(
        self: Rc<Self>,
        params: web_session::PostParams,
        mut results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let name = {
            let params = params.get()?;
            if !params.get_path()?.is_empty() {
                not_found(results);
                return Ok(());
            }
            params.get_content()?.get_content()?.to_vec()
        };
        drop(params);
        self.fulfill(&name).await?;
        results.get().init_no_content().set_should_reset_form(false);
        Ok(())
    }
}
