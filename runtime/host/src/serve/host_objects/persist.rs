//! From a capability to something that can be kept, and back (grain-runtime §C.5
//! and §C.6).

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::capability::{Client, FromClientHook};
use capnp::{Error, ErrorKind, any_pointer};
use spk_grains::store::capabilities::Object;
use spk_schema::grain_capnp::{app_persistent, main_view};

use super::Objects;
use crate::serve::record_store::OBJECT_ID;
use crate::serve::user::User;

const WORD: u64 = 8;

impl Objects {
    /// What to keep of a capability: one of ours by its name, one of the app's by the object ID
    /// that it gives itself; and the app's label for it.
    pub(super) async fn object_of(&self, client: Client) -> Result<(Object, String), Error> {
        let hook = spk_rpc::settled(client).await?;
        if let Some(object) = self.known(hook.get_ptr()) {
            return Ok((object, String::new()));
        }
        let own: app_persistent::Client<any_pointer::Owned> = FromClientHook::new(hook);
        let response = match own.save_request().send().promise.await {
            Ok(response) => response,
            Err(error) if error.kind == ErrorKind::Unimplemented => {
                return Err(Error::failed(
                    "the capability cannot be saved: it does not implement AppPersistent".into(),
                ));
            }
            Err(error) => return Err(error),
        };
        let saved = response.get()?;
        let object_id = saved.get_object_id()?;
        let size = object_id.target_size()?;
        if size.word_count.saturating_mul(WORD) > OBJECT_ID {
            let bytes = size.word_count.saturating_mul(WORD);
            return Err(Error::failed(format!(
                "the object ID has {bytes} bytes, more than {OBJECT_ID}"
            )));
        }
        if size.cap_count > 0 {
            return Err(Error::failed("an object ID cannot hold capabilities".into()));
        }
        let mut message = capnp::message::Builder::new_default();
        message.init_root::<any_pointer::Builder<'_>>().set_as(object_id)?;
        let bytes = capnp::serialize::write_message_to_words(&message);
        let label = super::text(saved.get_label()?.get_default_text()?);
        Ok((Object::App(STANDARD.encode(bytes)), label))
    }

    /// The capability that was kept.
    pub async fn restore(self: &Rc<Self>, object: &Object) -> Result<Client, Error> {
        match object {
            Object::Identity(name) => Ok(self.identity(&User::named(name)).client),
            Object::Grant(name) => self.grant(name),
            Object::Other { grain, object: id } => {
                let asked = self.elsewhere.borrow().as_ref().map(|elsewhere| elsewhere(grain));
                let asked =
                    asked.ok_or_else(|| Error::failed("there are no other grains".into()))?;
                let other = asked.await.map_err(|error| {
                    Error::failed(format!("the grain that gave it cannot be reached: {error}"))
                })?;
                let id = Object::App(id.clone());
                // One step only: what a grain keeps as its own is its own.
                let client = Box::pin(other.restore(&id)).await?;
                self.note_foreign(object.clone(), &client);
                Ok(client)
            }
            Object::App(id) => {
                let view = self.view.borrow().clone();
                let view = view.ok_or_else(|| Error::disconnected("the app has ended".into()))?;
                let view: main_view::Client<any_pointer::Owned> =
                    FromClientHook::new(view.client.hook);
                let damaged = |_| Error::failed("what was saved cannot be read".into());
                let bytes = STANDARD.decode(id).map_err(damaged)?;
                let message = capnp::serialize::read_message(
                    bytes.as_slice(),
                    capnp::message::ReaderOptions::new(),
                )?;
                let mut request = view.restore_request();
                let id: any_pointer::Reader<'_> = message.get_root()?;
                request.get().init_object_id().set_as(id)?;
                let response = request.send().promise.await?;
                let restored: Client = response.get()?.get_cap().get_as_capability()?;
                // Not a promise of the app's: nothing of the host's may become one.
                Ok(Client::new(spk_rpc::settled(restored).await?))
            }
        }
    }
}
