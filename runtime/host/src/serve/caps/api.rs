//! `SandstormApi`: the capability the app finds behind its descriptor 3.

use std::rc::Rc;

use capnp::{Error, any_pointer};
use spk_schema::grain_capnp::sandstorm_api;

use super::super::Notes;

/// The grain's `SandstormApi`.
pub(crate) struct Api {
    pub notes: Notes,
}

impl Api {
    fn missing(&self, method: &str, reason: &str) -> Error {
        self.notes.once(&format!("the app called SandstormApi.{method}: {reason}"));
        Error::unimplemented(format!("SandstormApi.{method}: {reason}"))
    }
}

type Any = any_pointer::Owned;

impl sandstorm_api::Server<Any> for Api {
    async fn share_cap(
        self: Rc<Self>,
        _: sandstorm_api::ShareCapParams<Any>,
        _: sandstorm_api::ShareCapResults<Any>,
    ) -> Result<(), Error> {
        Err(self.missing("shareCap", "no host offers it"))
    }

    async fn share_view(
        self: Rc<Self>,
        _: sandstorm_api::ShareViewParams<Any>,
        _: sandstorm_api::ShareViewResults<Any>,
    ) -> Result<(), Error> {
        Err(self.missing("shareView", "no host offers it"))
    }

    async fn background_activity(
        self: Rc<Self>,
        params: sandstorm_api::BackgroundActivityParams<Any>,
        _: sandstorm_api::BackgroundActivityResults<Any>,
    ) -> Result<(), Error> {
        let event = params.get()?.get_event()?;
        self.notes.say(&format!("background activity of type {}", event.get_type()));
        Ok(())
    }

    async fn schedule(
        self: Rc<Self>,
        _: sandstorm_api::ScheduleParams,
        _: sandstorm_api::ScheduleResults<Any>,
    ) -> Result<(), Error> {
        Err(self.missing("schedule", "this host runs no scheduled jobs"))
    }
}
