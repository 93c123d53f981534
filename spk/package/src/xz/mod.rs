//! The xz container: blocks made independently ([`encode`]), put together into one stream
//! ([`container`]), and anything `xz -dc` reads taken apart again ([`decode`]).

pub mod container;
pub mod decode;
pub mod encode;
