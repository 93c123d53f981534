//! Container images.

use std::fs;
use std::path::Path;

use spk_files::Dir;
use spk_image::{Image, Input, Limits, Platform, Wanted};

/// What an image may have here: bombs must not take all the time.
const LIMITS: Limits = Limits { total: 1 << 20, entries: 200, ratio: 200 };

/// Archives of images, of any form.
///
/// # Panics
/// When something is written outside of its directory.
pub fn archive(bytes: &[u8]) {
    unpack(bytes);
}

/// Two layers, one in each half of the input: what the second makes of the first.
///
/// # Panics
/// As [`archive`].
pub fn layers(bytes: &[u8]) {
    let half = bytes.len() / 2 / 512 * 512;
    let (lower, upper) = bytes.split_at(half);
    let list = br#"[{"Config": "c", "Layers": ["l", "u"]}]"#;
    let mut tar = tar::Builder::new(Vec::new());
    for (name, part) in [("manifest.json", &list[..]), ("c", b"{}"), ("l", lower), ("u", upper)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(part.len() as u64);
        header.set_mode(0o644);
        // Into memory.
        let _ = tar.append_data(&mut header, name, part);
    }
    unpack(&tar.into_inner().unwrap_or_default());
}

fn unpack(archive: &[u8]) {
    let Ok(around) = tempfile::tempdir() else { return };
    let wanted = Wanted { platform: Platform::of_this_machine(), name: None };
    let image = Input::from_stream(archive, &LIMITS).and_then(|input| Image::find(input, &wanted));
    let Ok(image) = image.map_err(|error| error.to_string()) else { return };
    let inside = around.path().join("inside");
    let Ok(dir) = fs::create_dir(&inside).and_then(|()| Dir::open_trusted(&inside)) else { return };
    let _ = image.unpack(&dir, &LIMITS, &mut |_| {}).map_err(|error| error.to_string());
    assert_eq!(names(around.path()), 1, "something is outside");
}

fn names(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}
