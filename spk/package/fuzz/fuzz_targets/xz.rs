//! The decoder's own states: several streams, padding, `.lzma`, in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spk_package::xz::decode::{Decoder, Error};

/// Enough to see that output is cut off, not so much that bombs take all the time.
const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let mut total = 0;
    let mut sink = |out: &[u8]| -> Result<(), Error> {
        total += out.len();
        if total > LIMIT { Err(Error::Memory) } else { Ok(()) }
    };
    let mut decoder = Decoder::new(1);
    for piece in bytes.chunks(usize::from(step).max(1)) {
        if decoder.feed(piece, &mut sink).is_err() {
            return;
        }
    }
    let _ = decoder.finish(&mut sink);
});
