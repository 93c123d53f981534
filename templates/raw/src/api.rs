//! The app API, made by `build.rs`: what is in it says `schema/`.
#![allow(dead_code, clippy::all)]

macro_rules! made {
    ($($module:ident),*) => {$(
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($module), ".rs"));
        }
    )*};
}

made!(activity_capnp, grain_capnp, identity_capnp, powerbox_capnp, util_capnp, web_session_capnp);
