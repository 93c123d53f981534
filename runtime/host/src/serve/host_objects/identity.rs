//! `Identity`: a user as the app sees one, with a picture.

use std::rc::Rc;

use capnp::Error;
use spk_schema::identity_capnp::identity;
use spk_schema::util_capnp::static_asset;

use crate::serve::user::User;

/// The capability behind `UserInfo.identity`.
pub(crate) struct IdentityCap {
    pub user: User,
    /// Where the picture is.
    pub picture: static_asset::Client,
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
        profile.set_picture(self.picture.clone());
        Ok(())
    }
}

/// Where a picture is: host and path.
pub(crate) struct Picture(pub String);

impl static_asset::Server for Picture {
    async fn get_url(
        self: Rc<Self>,
        _: static_asset::GetUrlParams,
        mut results: static_asset::GetUrlResults,
    ) -> Result<(), Error> {
        results.get().set_protocol(static_asset::Protocol::Http);
        results.get().set_host_path(self.0.as_str());
        Ok(())
    }
}
