//! The Cap'n Proto files of the package format and of the app API, and their Rust bindings; and what of
//! our own is in packages ([`launch`]).
//!
//! The schema text is embedded too ([`text`]): package definitions import it as
//! `/sandstorm/….capnp`, whatever is installed on the machine that evaluates them.

// The generated modules, under the names the generator expects at the crate root.
#![forbid(unsafe_code)]

macro_rules! generated {
    ($($(#[$doc:meta])* $module:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[allow(missing_docs, unused, clippy::all, clippy::unwrap_used, rustdoc::all)]
        #[rustfmt::skip]
        pub mod $module {
            include!(concat!("generated/", stringify!($module), ".rs"));
        }
    )*};
}

generated! {
    /// Activity events and notifications.
    activity_capnp,
    /// Sessions for programs.
    api_session_capnp,
    /// Apps whose key was replaced.
    appid_replacements_capnp,
    /// JSON bodies of the bridge's proxy.
    bridge_proxy_capnp,
    /// Mail.
    email_capnp,
    /// `UiView`, `SandstormApi`, `SessionContext`.
    grain_capnp,
    /// Session types that predate the powerbox.
    hack_session_capnp,
    /// Users and permissions.
    identity_capnp,
    /// Addresses.
    ip_capnp,
    /// What `--explain` learns of answers: spk's own.
    losses_capnp,
    /// Packages.
    package_capnp,
    /// Powerbox descriptors.
    powerbox_capnp,
    /// Annotations for the code generator.
    rust_capnp,
    /// What the bridge stores.
    sandstorm_http_bridge_internal_capnp,
    /// What the bridge offers the app.
    sandstorm_http_bridge_capnp,
    /// The app index's protocol.
    submit_capnp,
    /// Small shared types.
    util_capnp,
    /// HTTP as calls.
    web_session_capnp,
}

pub mod headers;
pub mod launch;
pub mod text;
