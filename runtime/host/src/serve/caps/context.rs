//! `SessionContext`: what a session may ask of its host. As the original's it is in fact a
//! `HackSessionContext`, which is an `EmailSendPort` too (grain-runtime specification, C.2).

use std::rc::Rc;

use capnp::Error;
use spk_schema::email_capnp::email_send_port;
use spk_schema::grain_capnp::session_context;
use spk_schema::hack_session_capnp::hack_session_context;

use super::super::Notes;

/// One session's context.
pub(crate) struct Context {
    pub notes: Notes,
}

impl Context {
    /// The typed answer to what a local host cannot offer; the developer sees why.
    fn missing(&self, method: &str, reason: &str) -> Error {
        self.notes.once(&format!("the app called {method}: {reason}"));
        Error::unimplemented(format!("{method}: {reason}"))
    }
}

const ONE_MACHINE: &str = "not offered by a host for one machine";

impl session_context::Server for Context {
    async fn get_shared_permissions(
        self: Rc<Self>,
        _: session_context::GetSharedPermissionsParams,
        _: session_context::GetSharedPermissionsResults,
    ) -> Result<(), Error> {
        Err(self.missing("SessionContext.getSharedPermissions", "no host offers it"))
    }

    async fn tie_to_user(
        self: Rc<Self>,
        _: session_context::TieToUserParams,
        _: session_context::TieToUserResults,
    ) -> Result<(), Error> {
        Err(self.missing("SessionContext.tieToUser", "no host offers it"))
    }

    async fn offer(
        self: Rc<Self>,
        _: session_context::OfferParams,
        _: session_context::OfferResults,
    ) -> Result<(), Error> {
        self.notes.say("the app offered a capability to the user; there is nobody to take it");
        Ok(())
    }

    async fn request(
        self: Rc<Self>,
        _: session_context::RequestParams,
        _: session_context::RequestResults,
    ) -> Result<(), Error> {
        let remedy = "no host offers it; ask from the page with a powerboxRequest message";
        Err(self.missing("SessionContext.request", remedy))
    }

    async fn fulfill_request(
        self: Rc<Self>,
        _: session_context::FulfillRequestParams,
        _: session_context::FulfillRequestResults,
    ) -> Result<(), Error> {
        self.notes.say("the app fulfilled a powerbox request");
        Ok(())
    }

    async fn close(
        self: Rc<Self>,
        _: session_context::CloseParams,
        _: session_context::CloseResults,
    ) -> Result<(), Error> {
        Err(self.missing("SessionContext.close", "no host offers it"))
    }

    async fn open_view(
        self: Rc<Self>,
        _: session_context::OpenViewParams,
        _: session_context::OpenViewResults,
    ) -> Result<(), Error> {
        Err(self.missing("SessionContext.openView", "no host offers it"))
    }

    async fn claim_request(
        self: Rc<Self>,
        _: session_context::ClaimRequestParams,
        _: session_context::ClaimRequestResults,
    ) -> Result<(), Error> {
        Err(Error::failed("claimRequest: no such request token".into()))
    }

    async fn activity(
        self: Rc<Self>,
        params: session_context::ActivityParams,
        _: session_context::ActivityResults,
    ) -> Result<(), Error> {
        let event = params.get()?.get_event()?;
        let path = String::from_utf8_lossy(event.get_path()?.as_bytes()).into_owned();
        self.notes.say(&format!("activity of type {} at {path:?}", event.get_type()));
        Ok(())
    }
}

impl email_send_port::Server for Context {
    async fn send(
        self: Rc<Self>,
        _: email_send_port::SendParams,
        _: email_send_port::SendResults,
    ) -> Result<(), Error> {
        Err(self.missing("EmailSendPort.send", "this host sends no mail"))
    }

    async fn hint_address(
        self: Rc<Self>,
        _: email_send_port::HintAddressParams,
        _: email_send_port::HintAddressResults,
    ) -> Result<(), Error> {
        Ok(())
    }
}

impl hack_session_context::Server for Context {
    async fn get_public_id(
        self: Rc<Self>,
        _: hack_session_context::GetPublicIdParams,
        _: hack_session_context::GetPublicIdResults,
    ) -> Result<(), Error> {
        Err(self.missing("HackSessionContext.getPublicId", ONE_MACHINE))
    }

    async fn get_user_address(
        self: Rc<Self>,
        _: hack_session_context::GetUserAddressParams,
        _: hack_session_context::GetUserAddressResults,
    ) -> Result<(), Error> {
        Err(self.missing("HackSessionContext.getUserAddress", "this host knows no mail"))
    }
}
