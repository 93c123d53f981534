//! A host with the parts that bridges use: storage of capabilities, identities, session contexts.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use spk_schema::grain_capnp::{sandstorm_api, session_context};
use spk_schema::identity_capnp::{identity, profile::Pronouns};
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::util_capnp::static_asset;
use tokio::sync::Notify;

/// What the bridge asked the host for.
#[derive(Default)]
pub struct Platform {
    /// Saved capabilities; `None` for tokens that do not work any more.
    pub saved: RefCell<Vec<Option<Client>>>,
    pub labels: RefCell<Vec<String>>,
    pub restored: RefCell<Vec<Vec<u8>>>,
    pub dropped: RefCell<Vec<Vec<u8>>>,
    pub fulfilled: RefCell<Vec<Fulfilled>>,
    pub claims: RefCell<Vec<(String, Vec<bool>)>>,
    /// What claims lead to.
    pub claimed: RefCell<Option<Client>>,
    pub changed: Notify,
}

/// One `fulfillRequest`.
pub struct Fulfilled {
    pub cap: Client,
    pub permissions: Vec<bool>,
    pub title: String,
    pub tag: (u64, String),
}

/// The object ID of [`sandstorm_api`] on the host's side of a bridge.
pub type ObjectId = bridge_object_id::Owned;

impl Platform {
    pub fn api(self: &Rc<Platform>) -> Client {
        let api: sandstorm_api::Client<ObjectId> = capnp_rpc::new_client(Api(self.clone()));
        api.cast_to()
    }

    pub fn context(self: &Rc<Platform>) -> session_context::Client {
        capnp_rpc::new_client(Context(self.clone()))
    }

    /// Tokens look like `token/N`, so that they need encoding.
    fn index(token: &[u8]) -> Result<usize, Error> {
        let number = token.strip_prefix(b"token/").and_then(|text| str::from_utf8(text).ok());
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| Error::failed("no such token".into()))
    }

    pub async fn until(&self, condition: impl Fn(&Platform) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }
}

struct Api(Rc<Platform>);

impl sandstorm_api::Server<ObjectId> for Api {
    async fn save(
        self: Rc<Self>,
        params: sandstorm_api::SaveParams<ObjectId>,
        mut results: sandstorm_api::SaveResults<ObjectId>,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let cap: Client = params.get_cap().get_as_capability()?;
        self.0.saved.borrow_mut().push(Some(cap));
        self.0.labels.borrow_mut().push(params.get_label()?.get_default_text()?.to_string()?);
        let token = format!("token/{}", self.0.saved.borrow().len() - 1);
        results.get().set_token(token.as_bytes());
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: sandstorm_api::RestoreParams<ObjectId>,
        mut results: sandstorm_api::RestoreResults<ObjectId>,
    ) -> Result<(), Error> {
        let token = params.get()?.get_token()?.to_vec();
        self.0.restored.borrow_mut().push(token.clone());
        self.0.changed.notify_waiters();
        let saved = self.0.saved.borrow();
        let cap = saved.get(Platform::index(&token)?).and_then(Option::as_ref);
        let cap = cap.ok_or_else(|| Error::failed("the token was dropped".into()))?;
        results.get().init_cap().set_as_capability(cap.hook.add_ref());
        Ok(())
    }

    async fn drop(
        self: Rc<Self>,
        params: sandstorm_api::DropParams<ObjectId>,
        _: sandstorm_api::DropResults<ObjectId>,
    ) -> Result<(), Error> {
        self.0.dropped.borrow_mut().push(params.get()?.get_token()?.to_vec());
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn get_identity_id(
        self: Rc<Self>,
        _: sandstorm_api::GetIdentityIdParams<ObjectId>,
        mut results: sandstorm_api::GetIdentityIdResults<ObjectId>,
    ) -> Result<(), Error> {
        results.get().set_id(&[0xcd; 32]);
        Ok(())
    }
}

struct Context(Rc<Platform>);

impl session_context::Server for Context {
    async fn fulfill_request(
        self: Rc<Self>,
        params: session_context::FulfillRequestParams,
        _: session_context::FulfillRequestResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let tag = params.get_descriptor()?.get_tags()?.get(0);
        let value: spk_schema::api_session_capnp::api_session::powerbox_tag::Reader =
            tag.get_value().get_as()?;
        self.0.fulfilled.borrow_mut().push(Fulfilled {
            cap: params.get_cap().get_as_capability()?,
            permissions: params.get_required_permissions()?.iter().collect(),
            title: params.get_display_info()?.get_title()?.get_default_text()?.to_string()?,
            tag: (tag.get_id(), value.get_canonical_url()?.to_string()?),
        });
        Ok(())
    }

    async fn claim_request(
        self: Rc<Self>,
        params: session_context::ClaimRequestParams,
        mut results: session_context::ClaimRequestResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let token = params.get_request_token()?.to_string()?;
        let permissions = params.get_required_permissions()?.iter().collect();
        self.0.claims.borrow_mut().push((token, permissions));
        let claimed = self.0.claimed.borrow();
        let claimed = claimed.as_ref().ok_or_else(|| Error::failed("no such request".into()))?;
        results.get().init_cap().set_as_capability(claimed.hook.add_ref());
        Ok(())
    }

    async fn close(
        self: Rc<Self>,
        _: session_context::CloseParams,
        _: session_context::CloseResults,
    ) -> Result<(), Error> {
        self.0.claims.borrow_mut().push(("closed".into(), Vec::new()));
        Ok(())
    }
}

/// A user.
pub struct User(pub &'static str);

impl identity::Server for User {
    async fn get_profile(
        self: Rc<Self>,
        _: identity::GetProfileParams,
        mut results: identity::GetProfileResults,
    ) -> Result<(), Error> {
        let mut profile = results.get().init_profile();
        profile.reborrow().init_display_name().set_default_text(self.0);
        profile.set_preferred_handle("handle");
        profile.set_pronouns(Pronouns::Robot);
        profile.set_picture(capnp_rpc::new_client(Picture));
        Ok(())
    }
}

struct Picture;

impl static_asset::Server for Picture {
    async fn get_url(
        self: Rc<Self>,
        _: static_asset::GetUrlParams,
        mut results: static_asset::GetUrlResults,
    ) -> Result<(), Error> {
        results.get().set_protocol(static_asset::Protocol::Https);
        results.get().set_host_path("static.h/picture");
        Ok(())
    }
}
