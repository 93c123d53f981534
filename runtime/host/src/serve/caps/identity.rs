//! `Identity`: a user as the app sees one.

use std::rc::Rc;

use capnp::Error;
use spk_schema::identity_capnp::identity;

use crate::serve::user::User;

/// The capability behind `UserInfo.identity`.
pub(crate) struct IdentityCap {
    pub user: User,
}

impl identity::Server for IdentityCap {
    async fn get_profile(
        self: Rc<Self>,
        _: identity::GetProfileParams,
        mut results: identity::GetProfileResults,
    ) -> Result<(), Error> {
        let mut profile = results.get().init_profile();
        profile.reborrow().init_display_name().set_default_text(self.user.display_name());
        profile.set_preferred_handle(self.user.handle());
        profile.set_pronouns(self.user.pronouns());
        Ok(())
    }
}
