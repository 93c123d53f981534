//! `SessionContext`: what a session may ask of its host. As the original's it is in fact a
//! `HackSessionContext`, which is an `EmailSendPort` too (grain-runtime §C.2).

use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::Client;
use capnp::{Error, primitive_list};
use spk_grains::store::capabilities::Object;
use spk_schema::email_capnp::email_send_port;
use spk_schema::grain_capnp::session_context;
use spk_schema::hack_session_capnp::hack_session_context;
use spk_schema::powerbox_capnp::{powerbox_descriptor, powerbox_display_info};

use super::{Objects, api, text};
use crate::serve::powerbox::Offer;
use crate::serve::user::User;

/// Largest powerbox descriptor kept. Tags are small: a URL, a few bits.
const DESCRIPTOR: u64 = 16 << 10;

/// Permission bits in a requirement; nobody has that many permissions.
const BITS: u32 = 1024;

/// One session's context.
pub(crate) struct Context {
    pub objects: Rc<Objects>,
    pub user: User,
    /// What the user may do in this session.
    pub permissions: Vec<bool>,
    /// The request this session is to fulfil.
    pub request: Option<u64>,
}

/// What the app hands over, as it is kept.
struct Handed {
    object: Object,
    required: Vec<bool>,
    descriptor: Vec<u8>,
    title: String,
}

impl Context {
    fn missing(&self, method: &str, reason: &str) -> Error {
        self.objects.missing(method, reason)
    }

    fn not_offered(&self, method: &str) -> Error {
        self.missing(&format!("SessionContext.{method}"), "no host offers it")
    }

    /// A message with a descriptor, to be read at another time.
    fn keep(descriptor: powerbox_descriptor::Reader<'_>) -> Result<Vec<u8>, Error> {
        if descriptor.total_size()?.word_count.saturating_mul(8) > DESCRIPTOR {
            return Err(Error::failed(format!("the descriptor is larger than {DESCRIPTOR} bytes")));
        }
        let mut message = capnp::message::Builder::new_default();
        message.set_root(descriptor)?;
        Ok(capnp::serialize::write_message_to_words(&message))
    }

    async fn handed(
        &self,
        method: &str,
        cap: Client,
        required: Vec<bool>,
        descriptor: Vec<u8>,
        title: String,
    ) -> Result<Handed, Error> {
        // As on a server: what is handed to others must outlive the app's process.
        let (object, label) = self.objects.object_of(cap).await.map_err(|error| {
            self.objects.failed(method, &crate::serve::exception::printable(&error))
        })?;
        let title = if title.is_empty() { label } else { title };
        Ok(Handed { object, required, descriptor, title })
    }

    fn offered(&self, handed: Handed) {
        let title = handed.title.clone();
        let number = self.objects.powerbox.offer(Offer {
            user: self.user.key().to_owned(),
            object: handed.object,
            required: handed.required,
            descriptor: handed.descriptor,
            title: handed.title,
        });
        let user = self.user.key();
        self.objects.notes.say(&format!("the app offers {user} a capability: {title} ({number})"));
    }
}

fn bits(list: primitive_list::Reader<'_, bool>) -> Vec<bool> {
    list.iter().take(BITS as usize).collect()
}

fn title(info: powerbox_display_info::Reader<'_>) -> Result<String, Error> {
    Ok(text(info.get_title()?.get_default_text()?))
}

/// Whether nothing is asked for that is not held.
fn holds(held: &[bool], required: &[bool]) -> bool {
    required.iter().enumerate().all(|(bit, wanted)| !wanted || held.get(bit) == Some(&true))
}

impl session_context::Server for Context {
    async fn get_shared_permissions(
        self: Rc<Self>,
        _: session_context::GetSharedPermissionsParams,
        _: session_context::GetSharedPermissionsResults,
    ) -> Result<(), Error> {
        Err(self.not_offered("getSharedPermissions"))
    }

    async fn tie_to_user(
        self: Rc<Self>,
        _: session_context::TieToUserParams,
        _: session_context::TieToUserResults,
    ) -> Result<(), Error> {
        Err(self.not_offered("tieToUser"))
    }

    async fn offer(
        self: Rc<Self>,
        params: session_context::OfferParams,
        _: session_context::OfferResults,
    ) -> Result<(), Error> {
        let method = "SessionContext.offer";
        let (cap, required, descriptor, title) = {
            let p = params.get()?;
            let cap = api::capability(p.get_cap(), method)?;
            let required = bits(p.get_required_permissions()?);
            (cap, required, Context::keep(p.get_descriptor()?)?, title(p.get_display_info()?)?)
        };
        drop(params);
        let handed = self.handed(method, cap, required, descriptor, title).await?;
        self.offered(handed);
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
        params: session_context::FulfillRequestParams,
        _: session_context::FulfillRequestResults,
    ) -> Result<(), Error> {
        let method = "SessionContext.fulfillRequest";
        let (cap, required, descriptor, title) = {
            let p = params.get()?;
            let cap = api::capability(p.get_cap(), method)?;
            let required = bits(p.get_required_permissions()?);
            (cap, required, Context::keep(p.get_descriptor()?)?, title(p.get_display_info()?)?)
        };
        drop(params);
        if !holds(&self.permissions, &required) {
            let user = self.user.key();
            let reason = format!("{user} does not have the permissions that are required");
            return Err(self.objects.failed(method, &reason));
        }
        let handed = self.handed(method, cap, required, descriptor, title).await?;
        let powerbox = &self.objects.powerbox;
        let Some(request) = self.request else {
            // In any other session it equals `offer`.
            self.offered(handed);
            return Ok(());
        };
        let token = powerbox.chosen(handed.object, handed.required)?;
        if !powerbox.fulfil(request, token, handed.descriptor) {
            return Err(Error::failed(format!("{method}: the request is fulfilled already")));
        }
        self.objects.notes.say(&format!("the app fulfilled a powerbox request: {}", handed.title));
        Ok(())
    }

    async fn close(
        self: Rc<Self>,
        _: session_context::CloseParams,
        _: session_context::CloseResults,
    ) -> Result<(), Error> {
        Err(self.not_offered("close"))
    }

    async fn open_view(
        self: Rc<Self>,
        _: session_context::OpenViewParams,
        _: session_context::OpenViewResults,
    ) -> Result<(), Error> {
        Err(self.not_offered("openView"))
    }

    async fn claim_request(
        self: Rc<Self>,
        params: session_context::ClaimRequestParams,
        mut results: session_context::ClaimRequestResults,
    ) -> Result<(), Error> {
        let method = "SessionContext.claimRequest";
        let (claim, required) = {
            let p = params.get()?;
            let claim = self.objects.powerbox.claim(p.get_request_token()?.as_bytes());
            (claim, bits(p.get_required_permissions()?))
        };
        drop(params);
        let Some(claim) = claim else {
            let reason = "no such request token: it is claimed within 5 minutes, or not at all";
            return Err(self.objects.failed(method, reason));
        };
        if !holds(&self.permissions, &required) || !holds(&self.permissions, &claim.required) {
            let user = self.user.key();
            let reason = format!("{user} does not have the permissions that are required");
            return Err(self.objects.failed(method, &reason));
        }
        let client = self.objects.restore(&claim.object).await?;
        let cap: any_pointer::Builder<'_> = results.get().init_cap();
        set(cap, client);
        Ok(())
    }

    async fn activity(
        self: Rc<Self>,
        params: session_context::ActivityParams,
        _: session_context::ActivityResults,
    ) -> Result<(), Error> {
        let event = api::describe(params.get()?.get_event()?)?;
        self.objects.posted(self.user.key(), &event);
        Ok(())
    }
}

fn set(mut pointer: any_pointer::Builder<'_>, client: Client) {
    pointer.set_as_capability(client.hook);
}

impl email_send_port::Server for Context {
    async fn send(
        self: Rc<Self>,
        params: email_send_port::SendParams,
        _: email_send_port::SendResults,
    ) -> Result<(), Error> {
        self.objects.send_mail(params.get()?.get_email()?)
    }

    async fn hint_address(
        self: Rc<Self>,
        _: email_send_port::HintAddressParams,
        _: email_send_port::HintAddressResults,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// Methods that were taken out of Sandstorm: the developer learns what took their place.
macro_rules! obsolete {
    ($($method:ident $Params:ident $Results:ident $name:literal $reason:literal;)*) => {$(
        async fn $method(
            self: Rc<Self>,
            _: hack_session_context::$Params,
            _: hack_session_context::$Results,
        ) -> Result<(), Error> {
            Err(self.missing(concat!("HackSessionContext.", $name), $reason))
        }
    )*};
}

impl hack_session_context::Server for Context {
    obsolete! {
        obsolete_http_get ObsoleteHttpGetParams ObsoleteHttpGetResults "obsoleteHttpGet"
            "no host offers it; ask for an HTTP API through the powerbox";
        obsolete_generate_api_token ObsoleteGenerateApiTokenParams ObsoleteGenerateApiTokenResults
            "obsoleteGenerateApiToken" "no host offers it; pages ask for an offer template";
        obsolete_list_api_tokens ObsoleteListApiTokensParams ObsoleteListApiTokensResults
            "obsoleteListApiTokens" "no host offers it";
        obsolete_revoke_api_token ObsoleteRevokeApiTokenParams ObsoleteRevokeApiTokenResults
            "obsoleteRevokeApiToken" "no host offers it";
        obsolete_get_ip_network ObsoleteGetIpNetworkParams ObsoleteGetIpNetworkResults
            "obsoleteGetIpNetwork" "this host has no network to give";
        obsolete_get_ip_interface ObsoleteGetIpInterfaceParams ObsoleteGetIpInterfaceResults
            "obsoleteGetIpInterface" "this host has no network to give";
        obsolete_get_ui_view_for_endpoint ObsoleteGetUiViewForEndpointParams
            ObsoleteGetUiViewForEndpointResults "obsoleteGetUiViewForEndpoint"
            "no host offers it";
    }

    async fn get_public_id(
        self: Rc<Self>,
        _: hack_session_context::GetPublicIdParams,
        mut results: hack_session_context::GetPublicIdResults,
    ) -> Result<(), Error> {
        let site = self.objects.publish().await?;
        let mut results = results.get();
        results.set_public_id(site.id.as_str());
        results.set_hostname(site.host.as_str());
        results.set_auto_url(format!("http://{}", site.host).as_str());
        results.set_is_demo_user(false);
        Ok(())
    }

    async fn get_user_address(
        self: Rc<Self>,
        _: hack_session_context::GetUserAddressParams,
        mut results: hack_session_context::GetUserAddressResults,
    ) -> Result<(), Error> {
        if self.objects.mail.is_none() {
            let reason = "this host knows no mail; --mail DIR keeps what the app sends";
            return Err(self.missing("HackSessionContext.getUserAddress", reason));
        }
        let (address, name) = self.objects.address(&self.user);
        results.get().set_address(address.as_str());
        results.get().set_name(name.as_str());
        Ok(())
    }
}
