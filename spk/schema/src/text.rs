//! The schema files' text, for evaluating package definitions that import them.

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../capnp", $path)))),*]
    };
}

/// Absolute import path and text of every embedded schema file.
pub const FILES: &[(&str, &str)] = files![
    "/capnp/c++.capnp",
    "/capnp/rust.capnp",
    "/capnp/schema.capnp",
    "/capnp/stream.capnp",
    "/sandstorm/activity.capnp",
    "/sandstorm/api-session.capnp",
    "/sandstorm/app-index/submit.capnp",
    "/sandstorm/appid-replacements.capnp",
    "/sandstorm/bridge-proxy.capnp",
    "/sandstorm/email.capnp",
    "/sandstorm/grain.capnp",
    "/sandstorm/hack-session.capnp",
    "/sandstorm/identity.capnp",
    "/sandstorm/ip.capnp",
    "/sandstorm/package.capnp",
    "/sandstorm/powerbox.capnp",
    "/sandstorm/sandstorm-http-bridge-internal.capnp",
    "/sandstorm/sandstorm-http-bridge.capnp",
    "/sandstorm/util.capnp",
    "/sandstorm/web-session.capnp",
];

/// Text of the embedded file that `import "path"` names, if there is one.
pub fn find(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}
