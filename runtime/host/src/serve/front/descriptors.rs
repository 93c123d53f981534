//! Powerbox descriptors: as pages send and get them (http-bridge §7.12), and what fits
//! what.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use spk_schema::powerbox_capnp::powerbox_descriptor;

/// Largest powerbox query taken, in bytes.
const QUERY: usize = 16 << 10;

/// Reads descriptors as pages send them: each a message, packed, in base64 (http-bridge §7.12).
pub(super) fn descriptors(query: &[String]) -> Result<Vec<u8>, String> {
    let bad = |what: String| format!("not a powerbox query: {what}");
    if query.iter().map(String::len).sum::<usize>() > QUERY {
        return Err(bad(format!("it is larger than {QUERY} bytes")));
    }
    let mut message = capnp::message::Builder::new_default();
    let root: capnp::any_pointer::Builder<'_> = message.init_root();
    let mut list: capnp::struct_list::Builder<'_, powerbox_descriptor::Owned> =
        root.initn_as(query.len() as u32);
    for (index, text) in query.iter().enumerate() {
        // Pages use either alphabet, and leave the padding away.
        let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|error| bad(error.to_string()))?;
        let read = capnp::serialize_packed::read_message(
            bytes.as_slice(),
            capnp::message::ReaderOptions::new(),
        )
        .map_err(|error| bad(error.to_string()))?;
        let descriptor: powerbox_descriptor::Reader<'_> =
            read.get_root().map_err(|error| bad(error.to_string()))?;
        list.set_with_caveats(index as u32, descriptor).map_err(|error| bad(error.to_string()))?;
    }
    Ok(capnp::serialize::write_message_to_words(&message))
}

/// A descriptor as pages get it back.
pub(super) fn packed(descriptor: &[u8]) -> Result<String, String> {
    let read = capnp::serialize::read_message(descriptor, capnp::message::ReaderOptions::new());
    let convert = || -> Result<String, capnp::Error> {
        let read = read?;
        let mut message = capnp::message::Builder::new_default();
        let root: powerbox_descriptor::Reader<'_> = read.get_root()?;
        message.set_root(root)?;
        let mut bytes = Vec::new();
        capnp::serialize_packed::write_message(&mut bytes, &message)?;
        Ok(STANDARD.encode(bytes))
    };
    convert().map_err(|error| error.to_string())
}

/// A descriptor with one tag that has no value.
pub(super) fn tagged(tag: u64) -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    let descriptor: powerbox_descriptor::Builder<'_> = message.init_root();
    descriptor.init_tags(1).get(0).set_id(tag);
    capnp::serialize::write_message_to_words(&message)
}

/// The IDs of the tags of each descriptor of a query.
pub(super) fn tags(query: &[u8]) -> Result<Vec<Vec<u64>>, capnp::Error> {
    let message = capnp::serialize::read_message(query, capnp::message::ReaderOptions::new())?;
    let list: capnp::struct_list::Reader<'_, powerbox_descriptor::Owned> =
        message.get_root::<capnp::any_pointer::Reader<'_>>()?.get_as()?;
    let mut all = Vec::new();
    for descriptor in list {
        // One that excludes asks for nothing.
        let excludes = powerbox_descriptor::MatchQuality::Unacceptable;
        if descriptor.get_quality().is_ok_and(|quality| quality == excludes) {
            continue;
        }
        all.push(descriptor.get_tags()?.iter().map(|tag| tag.get_id()).collect());
    }
    Ok(all)
}

/// Whether something with these tags answers one of the descriptors.
pub(super) fn matches(wanted: &[Vec<u64>], has: &[u64]) -> bool {
    wanted.iter().any(|tags| !tags.is_empty() && tags.iter().all(|tag| has.contains(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_comes_packed_in_base64_and_goes_back_so() {
        let descriptor = packed(&tagged(7)).unwrap();
        let unpadded = descriptor.trim_end_matches('=').to_owned();
        for text in [descriptor, unpadded] {
            let query = descriptors(&[text.clone(), text]).unwrap();
            assert_eq!(tags(&query).unwrap(), [[7], [7]]);
        }
        assert!(descriptors(&["!".into()]).unwrap_err().contains("not a powerbox query"));
        assert!(descriptors(&["A".repeat(QUERY + 1)]).is_err());
        assert!(descriptors(&["AAAA".into()]).is_err());
    }

    #[test]
    fn a_descriptor_matches_what_has_all_its_tags() {
        assert!(matches(&[vec![1]], &[1, 2]) && matches(&[vec![9], vec![1, 2]], &[1, 2]));
        assert!(
            !matches(&[vec![1, 3]], &[1, 2]) && !matches(&[], &[1]) && !matches(&[vec![]], &[1])
        );
    }
}
