//! The text of app IDs: what is read comes out again in canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spk_package::app_id::AppId;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(id) = AppId::parse(bytes) {
        let text = id.to_string();
        assert_eq!(AppId::parse(text.as_bytes()), Ok(id));
        assert_eq!(text.len(), bytes.len());
    }
});
