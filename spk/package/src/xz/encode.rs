//! Compression of single blocks.

use liblzma::stream::{Action, Filters, LzmaOptions, MatchFinder, Status, Stream};

use super::container::{self, Block, Filter};

/// What liblzma says when it fails; with our options only for want of memory.
#[derive(Debug, thiserror::Error)]
#[error("the xz encoder failed")]
pub struct Error(#[from] liblzma::stream::Error);

/// How a block is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `xz`'s preset, 0 to 9.
    pub preset: u32,
    /// Dictionary in bytes; the block's size is enough, and more is never used.
    pub dictionary: u32,
    /// The filter in front.
    pub filter: Filter,
    /// LZMA's literal context bits; 3 is the default.
    pub literal_context: u32,
    /// LZMA's position bits; 2 is the default, 0 suits text.
    pub position_bits: u32,
}

impl Settings {
    /// `xz`'s preset as it is.
    pub fn preset(preset: u32) -> Settings {
        const DICTIONARY: [u32; 10] = [18, 20, 21, 22, 22, 23, 23, 24, 25, 26];
        let preset = preset.min(9);
        Settings {
            preset,
            dictionary: 1 << DICTIONARY[preset as usize],
            filter: Filter::Plain,
            literal_context: 3,
            position_bits: 2,
        }
    }

    fn options(&self, length: usize) -> Result<LzmaOptions, Error> {
        let mut options = LzmaOptions::new_preset(self.preset)?;
        options
            .dict_size(self.dictionary_for(length))
            .literal_context_bits(self.literal_context)
            .position_bits(self.position_bits);
        if self.preset >= 4 {
            options.match_finder(MatchFinder::BinaryTree4);
        }
        Ok(options)
    }

    /// No dictionary need be larger than the block: less memory on both sides.
    fn dictionary_for(&self, length: usize) -> u32 {
        let length = u32::try_from(length).unwrap_or(u32::MAX).max(4096);
        let rounded = (0..=32u32)
            .flat_map(|shift| [2u64 << shift, 3u64 << shift])
            .find(|&size| size >= u64::from(length))
            .map_or(u32::MAX, |size| u32::try_from(size).unwrap_or(u32::MAX));
        rounded.min(self.dictionary)
    }
}

/// Input is handed to the encoder in steps of this many bytes, for the sake of progress.
const STEP: usize = 1 << 20;

/// Compresses `contents` into one block. The result depends on the arguments (and the liblzma
/// built in) alone.
pub fn block(contents: &[u8], settings: &Settings) -> Result<Block, Error> {
    block_with(contents, settings, &mut |_| {})
}

/// As [`block`]; `progress` is told of bytes done, as many in all as `contents` has.
pub fn block_with(
    contents: &[u8],
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Block, Error> {
    let options = settings.options(contents.len())?;
    let mut filters = Filters::new();
    if settings.filter == Filter::X86 {
        filters.x86();
    }
    filters.lzma2(&options);
    let mut stream = Stream::new_raw_encoder(&filters)?;
    let mut compressed = Vec::with_capacity(contents.len() / 3 + 4096);
    loop {
        let taken = stream.total_in();
        let rest = &contents[taken as usize..];
        let (piece, action) = match rest.get(..STEP) {
            Some(piece) if rest.len() > STEP => (piece, Action::Run),
            _ => (rest, Action::Finish),
        };
        // The encoder gives nothing while there is no room, which `process_vec` does not make.
        if compressed.len() == compressed.capacity() {
            compressed.reserve(compressed.len() / 2 + 4096);
        }
        let status = stream.process_vec(piece, &mut compressed, action)?;
        progress(stream.total_in() - taken);
        if matches!(status, Status::StreamEnd) {
            break;
        }
    }
    drop(stream);
    let dictionary = settings.dictionary_for(contents.len());
    Ok(container::block(contents, &compressed, settings.filter, dictionary))
}

/// Which liblzma compresses: part of what the bytes depend on.
pub fn version() -> &'static str {
    LIBLZMA_VERSION
}

/// The release that the `liblzma` crate of this version builds in (feature `static`).
const LIBLZMA_VERSION: &str = "liblzma-rs 0.4.9";
