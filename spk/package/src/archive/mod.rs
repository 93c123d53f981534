//! The archive message: a tree of files in one Cap'n Proto message (format, "objects in the
//! archive"). [`tree`] is what is packed, [`layout`] where everything lies, [`read`] the way back.

pub mod class;
pub mod layout;
pub mod read;
pub mod tree;
