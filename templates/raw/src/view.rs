//! What the app offers the platform: permissions, roles and sessions.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::traits::HasTypeId;
use capnp::Error;

use crate::api::grain_capnp::{ui_session, ui_view};
use crate::api::web_session_capnp::web_session;
use crate::notes::Notes;
use crate::session::Session;

/// The permissions there are. Their order is kept for ever: grains remember them by number.
const PERMISSIONS: [(&str, &str); 1] = [("edit", "may write and delete notes")];

/// Number of the permission to edit.
const EDIT: u32 = 0;

/// The app, as the platform sees it.
pub struct View {
    pub notes: Rc<RefCell<Notes>>,
}

impl ui_view::Server for View {
    async fn get_view_info(
        self: Rc<Self>,
        _: ui_view::GetViewInfoParams,
        mut results: ui_view::GetViewInfoResults,
    ) -> Result<(), Error> {
        let mut info = results.get();
        let mut permissions = info.reborrow().init_permissions(PERMISSIONS.len() as u32);
        for (number, (name, what)) in PERMISSIONS.iter().enumerate() {
            let mut permission = permissions.reborrow().get(number as u32);
            permission.set_name(name);
            permission.reborrow().init_title().set_default_text(name);
            permission.init_description().set_default_text(what);
        }
        let mut roles = info.init_roles(2);
        for (number, (title, verb, edit)) in
            [("editor", "can edit", true), ("viewer", "can read", false)].iter().enumerate()
        {
            let mut role = roles.reborrow().get(number as u32);
            role.reborrow().init_title().set_default_text(title);
            role.reborrow().init_verb_phrase().set_default_text(verb);
            role.reborrow().init_permissions(1).set(EDIT, *edit);
            role.set_default(*edit);
        }
        Ok(())
    }

    async fn new_session(
        self: Rc<Self>,
        params: ui_view::NewSessionParams,
        mut results: ui_view::NewSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        if params.get_session_type() != <web_session::Client as HasTypeId>::TYPE_ID {
            return Err(Error::unimplemented("this app has sessions for browsers only".into()));
        }
        let user = params.get_user_info()?;
        let permissions = user.get_permissions()?;
        let session: web_session::Client = capnp_rpc::new_client(Session {
            notes: self.notes.clone(),
            user: user.get_display_name()?.get_default_text()?.to_string()?,
            edit: permissions.len() > EDIT && permissions.get(EDIT),
        });
        results.get().set_session(session.cast_to::<ui_session::Client>());
        Ok(())
    }
}
