//! `SandstormApi`: the capability the app finds behind its descriptor 3 (grain-runtime §C.2).

use std::rc::Rc;

use capnp::capability::Client;
use capnp::{Error, any_pointer};
use spk_grains::store::capabilities::{Object, Saved};
use spk_grains::store::now;
use spk_schema::activity_capnp::activity_event;
use spk_schema::grain_capnp::sandstorm_api;

use super::{Objects, text};
use crate::serve::record_store::SAVED;
use crate::serve::token;
use crate::serve::user::User;

/// The grain's `SandstormApi`.
pub(crate) struct Api {
    pub objects: Rc<Objects>,
}

type Any = any_pointer::Owned;

/// A capability out of parameters, copied so that these need not be kept.
pub(super) fn capability(pointer: any_pointer::Reader<'_>, method: &str) -> Result<Client, Error> {
    if pointer.is_null() {
        return Err(Error::failed(format!("{method}: the capability is null")));
    }
    let client: Client = pointer.get_as_capability()?;
    Ok(client)
}

impl Api {
    fn not_offered(&self, method: &str) -> Error {
        self.objects.missing(&format!("SandstormApi.{method}"), "no host offers it")
    }
}

impl sandstorm_api::Server<Any> for Api {
    async fn deprecated_publish(
        self: Rc<Self>,
        _: sandstorm_api::DeprecatedPublishParams<Any>,
        _: sandstorm_api::DeprecatedPublishResults<Any>,
    ) -> Result<(), Error> {
        Err(self.not_offered("deprecatedPublish"))
    }

    async fn deprecated_register_action(
        self: Rc<Self>,
        _: sandstorm_api::DeprecatedRegisterActionParams<Any>,
        _: sandstorm_api::DeprecatedRegisterActionResults<Any>,
    ) -> Result<(), Error> {
        Err(self.not_offered("deprecatedRegisterAction"))
    }

    async fn share_cap(
        self: Rc<Self>,
        _: sandstorm_api::ShareCapParams<Any>,
        _: sandstorm_api::ShareCapResults<Any>,
    ) -> Result<(), Error> {
        Err(self.not_offered("shareCap"))
    }

    async fn share_view(
        self: Rc<Self>,
        _: sandstorm_api::ShareViewParams<Any>,
        _: sandstorm_api::ShareViewResults<Any>,
    ) -> Result<(), Error> {
        Err(self.not_offered("shareView"))
    }

    async fn save(
        self: Rc<Self>,
        params: sandstorm_api::SaveParams<Any>,
        mut results: sandstorm_api::SaveResults<Any>,
    ) -> Result<(), Error> {
        let (cap, label) = {
            let params = params.get()?;
            let label = text(params.get_label()?.get_default_text()?);
            (capability(params.get_cap(), "SandstormApi.save")?, label)
        };
        drop(params);
        let objects = &self.objects;
        let (object, own_label) = objects.object_of(cap).await?;
        let label = if label.is_empty() { own_label } else { label };
        let token = token::new()?;
        let full = objects.records.read(|records| records.saved.len() >= SAVED);
        if full {
            let reason = format!("the grain has {SAVED} saved capabilities, the most it can have");
            return Err(objects.failed("SandstormApi.save", &reason));
        }
        let saved = Saved { object, label, created: now() };
        let hash = token::hash(token.as_bytes());
        let kept = objects.records.change(|records| records.saved.insert(hash, saved)).await;
        kept.map_err(|error| objects.failed("SandstormApi.save", &error.to_string()))?;
        results.get().set_token(token.as_bytes());
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: sandstorm_api::RestoreParams<Any>,
        mut results: sandstorm_api::RestoreResults<Any>,
    ) -> Result<(), Error> {
        let object = self.objects.records.saved(params.get()?.get_token()?);
        drop(params);
        let Some(object) = object else {
            return Err(Error::failed("SandstormApi.restore: no such token".into()));
        };
        let client = self.objects.restore(&object).await?;
        results.get().init_cap().set_as_capability(client.hook);
        Ok(())
    }

    async fn drop(
        self: Rc<Self>,
        params: sandstorm_api::DropParams<Any>,
        _: sandstorm_api::DropResults<Any>,
    ) -> Result<(), Error> {
        let hash = token::hash(params.get()?.get_token()?);
        drop(params);
        let records = &self.objects.records;
        // One that is not known, or of another grain's life, is as good as dropped.
        if !records.read(|records| records.saved.contains_key(&hash)) {
            return Ok(());
        }
        let dropped = records.change(|records| records.saved.remove(&hash)).await;
        dropped.map_err(|error| self.objects.failed("SandstormApi.drop", &error.to_string()))?;
        Ok(())
    }

    async fn deleted(
        self: Rc<Self>,
        _: sandstorm_api::DeletedParams<Any>,
        _: sandstorm_api::DeletedResults<Any>,
    ) -> Result<(), Error> {
        Err(self.not_offered("deleted"))
    }

    async fn stay_awake(
        self: Rc<Self>,
        params: sandstorm_api::StayAwakeParams<Any>,
        mut results: sandstorm_api::StayAwakeResults<Any>,
    ) -> Result<(), Error> {
        let (caption, notification) = {
            let params = params.get()?;
            let caption = text(params.get_display_info()?.get_caption()?.get_default_text()?);
            let notification =
                params.has_notification().then(|| params.get_notification()).transpose()?;
            (caption, notification)
        };
        drop(params);
        let objects = &self.objects;
        let Some(handle) = objects.awake.lock(caption.clone(), notification) else {
            let reason = format!("it already holds {} wake locks", super::awake::LOCKS);
            objects.notes.once(&format!("the app called SandstormApi.stayAwake: {reason}"));
            return Err(Error::overloaded(reason));
        };
        objects.notes.once(&format!("the app stays awake: {caption}"));
        results.get().set_handle(handle);
        Ok(())
    }

    async fn background_activity(
        self: Rc<Self>,
        params: sandstorm_api::BackgroundActivityParams<Any>,
        _: sandstorm_api::BackgroundActivityResults<Any>,
    ) -> Result<(), Error> {
        let event = describe(params.get()?.get_event()?)?;
        self.objects.posted("nobody in particular", &event);
        Ok(())
    }

    async fn get_identity_id(
        self: Rc<Self>,
        params: sandstorm_api::GetIdentityIdParams<Any>,
        mut results: sandstorm_api::GetIdentityIdResults<Any>,
    ) -> Result<(), Error> {
        let identity = params.get()?.get_identity()?;
        drop(params);
        let foreign = || Error::failed("SandstormApi.getIdentityId: not an identity".into());
        let hook = spk_rpc::settled(identity.client).await?;
        let Some(Object::Identity(name)) = self.objects.known(hook.get_ptr()) else {
            return Err(foreign());
        };
        let id = self.objects.identity_id(&User::named(&name)).ok_or_else(foreign)?;
        results.get().set_id(&id);
        Ok(())
    }

    async fn schedule(
        self: Rc<Self>,
        params: sandstorm_api::ScheduleParams,
        _: sandstorm_api::ScheduleResults<Any>,
    ) -> Result<(), Error> {
        super::schedule::add(&self.objects, params).await
    }
}

/// An activity event in words.
pub(super) fn describe(event: activity_event::Reader<'_>) -> Result<String, Error> {
    let path = text(event.get_path()?);
    let caption = text(event.get_notification()?.get_caption()?.get_default_text()?);
    let mut words = format!("type {} at {path:?}", event.get_type());
    if !caption.is_empty() {
        words.push_str(&format!(": {caption}"));
    }
    let users = event.get_users()?.len();
    if users > 0 {
        words.push_str(&format!(" ({users} users named)"));
    }
    Ok(words)
}
