//! A first look at every file that is packed: what it is, and what it has in common with others.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use spk_files::elf::Kind;

use super::similar::{Feature, Sampler, Stretch};
use super::source;
use crate::archive::class::{BYTE_CODE, Class};
use crate::archive::layout::File;
use crate::archive::tree::Contents;
use crate::spk::read_full;

/// Bytes looked at to see what a file is.
const HEAD: usize = 1024;

/// Files are read in steps of this many bytes.
const STEP: usize = 256 << 10;

/// One of 2^this stretches is a feature, in an archive of up to [`DENSE`] bytes: some thousand
/// features a megabyte.
const ZEROS: u32 = 6;

/// In larger archives features are fewer, so that they take no more memory.
const DENSE: u64 = 256 << 20;

/// What was seen of all files.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What each file is.
    pub classes: Vec<Class>,
    /// What they share; the files by their number. In no order.
    pub features: Vec<Feature>,
}

/// Looks at all files, with so many threads. What cannot be read now is told of when it is packed.
pub(super) fn of(files: &[File<'_>], threads: usize) -> Survey {
    let contents: u64 = files.iter().map(File::padded).sum();
    let zeros = ZEROS + contents.div_ceil(DENSE).next_power_of_two().trailing_zeros();
    let next = AtomicUsize::new(0);
    let look = || {
        let mut seen = Seen { zeros, classes: Vec::new(), features: Vec::new() };
        let mut buffer = vec![0; STEP];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(number) else { return seen };
            // What was seen before an error does no harm.
            let _ = seen.file(number, file, &mut buffer);
        }
    };
    let mut survey = Survey { classes: vec![Class::default(); files.len()], features: Vec::new() };
    thread::scope(|scope| {
        // Without more threads this one does all.
        let others: Vec<_> = (1..threads.min(files.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, look).ok())
            .collect();
        let own = look();
        for mut seen in others.into_iter().filter_map(|other| other.join().ok()).chain([own]) {
            seen.classes.into_iter().for_each(|(file, class)| survey.classes[file] = class);
            survey.features.append(&mut seen.features);
        }
    });
    survey
}

/// What one thread has seen: a few long lists, not many short ones, which would stay with the thread's
/// part of the allocator.
struct Seen {
    zeros: u32,
    classes: Vec<(usize, Class)>,
    features: Vec<Feature>,
}

impl Seen {
    fn file(&mut self, number: usize, file: &File<'_>, buffer: &mut [u8]) -> io::Result<()> {
        match file.source {
            Contents::Bytes(bytes) => self.look(number, &file.path, &mut &bytes[..], buffer),
            other => {
                let mut opened = source::open(other)?.take(file.size);
                self.look(number, &file.path, &mut opened, buffer)
            }
        }
    }

    fn look(
        &mut self,
        number: usize,
        path: &[u8],
        input: &mut dyn Read,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut got = read_full(input, buffer)?;
        let class = if path.ends_with(BYTE_CODE) {
            Class::Text
        } else {
            class_of(&buffer[..got.min(HEAD)])
        };
        self.classes.push((number, class));
        let stretch = if class == Class::Text { Stretch::Sixteen } else { Stretch::Eight };
        let mut sampler = Sampler::new(stretch, self.zeros, number, &mut self.features);
        while got > 0 {
            sampler.take(&buffer[..got]);
            got = read_full(input, buffer)?;
        }
        Ok(())
    }
}

fn class_of(head: &[u8]) -> Class {
    // In what is to be linked yet, calls lead nowhere.
    if Kind::of(head).is_some_and(|kind| kind.is_linked() && kind.is_x86()) {
        Class::Code
    } else if head.contains(&0) {
        Class::Binary
    } else {
        Class::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_by_content() {
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0".to_vec();
        elf.resize(64, 0);
        assert_eq!(class_of(&elf), Class::Code);
        elf[16] = 1; // to be linked
        assert_eq!(class_of(&elf), Class::Binary);
        elf[16] = 2;
        elf[18] = 0xb7; // aarch64
        assert_eq!(class_of(&elf), Class::Binary);
        assert_eq!(class_of(b"\x7fELF"), Class::Text);
        assert_eq!(class_of(b"text"), Class::Text);
        assert_eq!(class_of(b"a\0b"), Class::Binary);
    }
}
