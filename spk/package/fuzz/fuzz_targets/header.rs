//! What comes first behind the compression, before anything is known to be signed: the signature
//! message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spk_package::signature;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(length)) = signature::message_length(bytes)
        && let Some(message) = bytes.get(..length)
    {
        let _ = signature::verify(message);
    }
});
