//! Decompression of whatever `xz -dc` would take: several streams, padding between and after them,
//! every check, BCJ filters, and the legacy `.lzma` format (format, "compression").

use liblzma::stream::{Action, MtStreamBuilder, Status, Stream};

use crate::limits::{XZ_DECODER_MEMORY, XZ_PARALLEL_MEMORY};

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Output handed to the sink at a time, in bytes.
const OUTPUT: usize = 256 << 10;

/// Why data cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not xz at all.
    #[error("the package's data is not in xz format")]
    Format,
    /// Damaged.
    #[error("the package's xz data is damaged")]
    Damaged,
    /// The input ended early.
    #[error("the package is cut off: its xz data ends early")]
    Truncated,
    /// Something after the last stream that is neither a stream nor padding.
    #[error("there is something else after the package's xz data")]
    Trailing,
    /// Options that no decoder knows, or a dictionary larger than allowed.
    #[error("the package's xz data uses options that this tool does not know")]
    Options,
    /// Decoding would take too much memory.
    #[error(
        "decompressing the package would take more than {} MiB of memory",
        XZ_DECODER_MEMORY >> 20
    )]
    Memory,
    /// The machine has not enough memory.
    #[error("not enough memory to decompress the package")]
    OutOfMemory,
}

impl From<liblzma::stream::Error> for Error {
    fn from(error: liblzma::stream::Error) -> Error {
        use liblzma::stream::Error as Lzma;
        match error {
            Lzma::Format => Error::Format,
            Lzma::Options | Lzma::UnsupportedCheck | Lzma::NoCheck => Error::Options,
            Lzma::MemLimit => Error::Memory,
            Lzma::Mem => Error::OutOfMemory,
            Lzma::Data | Lzma::Program => Error::Damaged,
        }
    }
}

enum State {
    /// Before a stream; the bytes gathered so far, and whether a stream came before.
    Between { head: Vec<u8>, padding: u64, first: bool },
    /// Within a stream.
    Xz(Box<Stream>),
    /// Within a `.lzma` file, which nothing may follow.
    Lzma(Box<Stream>),
    /// After a `.lzma` file.
    LzmaEnd,
}

/// Takes compressed bytes and hands out what they decompress to.
pub struct Decoder {
    threads: u32,
    state: State,
    buffer: Vec<u8>,
}

impl Decoder {
    /// A decoder that works on up to `threads` blocks at once.
    pub fn new(threads: usize) -> Decoder {
        Decoder {
            threads: threads.clamp(1, 64) as u32,
            state: State::Between { head: Vec::new(), padding: 0, first: true },
            buffer: vec![0; OUTPUT],
        }
    }

    /// Decodes `input` and hands the output to `sink`.
    pub fn feed<E: From<Error>>(
        &mut self,
        mut input: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !input.is_empty() {
            match &mut self.state {
                State::Between { .. } => input = self.between(input)?,
                State::Xz(_) | State::Lzma(_) => {
                    input = self.decode(input, Action::Run, sink)?;
                }
                State::LzmaEnd => return Err(Error::Trailing.into()),
            }
        }
        Ok(())
    }

    /// The input has ended: hands out what is left.
    pub fn finish<E: From<Error>>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let State::Between { head, first: true, .. } = &self.state
            && !head.is_empty()
        {
            // Fewer bytes than the magic has.
            let error = if MAGIC.starts_with(head) { Error::Truncated } else { Error::Format };
            return Err(error.into());
        }
        while matches!(self.state, State::Xz(_) | State::Lzma(_)) {
            self.decode(&[], Action::Finish, sink)?;
        }
        match &self.state {
            State::Between { first: true, .. } => Err(Error::Truncated.into()),
            State::Between { head, padding, .. } if !head.is_empty() || padding % 4 != 0 => {
                Err(Error::Trailing.into())
            }
            _ => Ok(()),
        }
    }

    /// Finds out what comes next.
    fn between<'a>(&mut self, mut input: &'a [u8]) -> Result<&'a [u8], Error> {
        let State::Between { head, padding, first } = &mut self.state else { return Ok(input) };
        if head.is_empty() && !*first {
            let zeros = input.iter().take_while(|&&byte| byte == 0).count();
            *padding += zeros as u64;
            input = &input[zeros..];
            if input.is_empty() {
                return Ok(input);
            }
            if *padding % 4 != 0 {
                return Err(Error::Trailing);
            }
        }
        let wanted = MAGIC.len() - head.len();
        let (taken, rest) = input.split_at(wanted.min(input.len()));
        head.extend(taken);
        if head.len() < MAGIC.len() {
            return Ok(rest);
        }
        let first = *first;
        let head = std::mem::take(head);
        if head == MAGIC {
            self.state = State::Xz(Box::new(self.xz()?));
        } else if first {
            self.state = State::Lzma(Box::new(Stream::new_lzma_decoder(XZ_DECODER_MEMORY)?));
        } else {
            return Err(Error::Trailing);
        }
        // The decoder wants to see the magic too; it gives nothing for it.
        let (State::Xz(stream) | State::Lzma(stream)) = &mut self.state else { return Ok(rest) };
        let before = stream.total_in();
        stream.process(&head, &mut self.buffer, Action::Run)?;
        if stream.total_in() - before != head.len() as u64 || stream.total_out() != 0 {
            return Err(Error::Damaged);
        }
        Ok(rest)
    }

    fn xz(&self) -> Result<Stream, Error> {
        let mut builder = MtStreamBuilder::new();
        builder
            .threads(self.threads)
            .memlimit_threading(XZ_PARALLEL_MEMORY)
            .memlimit_stop(XZ_DECODER_MEMORY);
        Ok(builder.decoder()?)
    }

    /// One call of the decoder: gives the input it left.
    fn decode<'a, E: From<Error>>(
        &mut self,
        input: &'a [u8],
        action: Action,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let (State::Xz(stream) | State::Lzma(stream)) = &mut self.state else { return Ok(input) };
        let (before_in, before_out) = (stream.total_in(), stream.total_out());
        let status = stream.process(input, &mut self.buffer, action).map_err(Error::from)?;
        let taken = (stream.total_in() - before_in) as usize;
        let made = (stream.total_out() - before_out) as usize;
        let stuck = taken == 0 && made == 0 && matches!(status, Status::MemNeeded);
        sink(&self.buffer[..made])?;
        match (status, &self.state) {
            (Status::StreamEnd, State::Xz(_)) => {
                self.state = State::Between { head: Vec::new(), padding: 0, first: false };
            }
            (Status::StreamEnd, _) => self.state = State::LzmaEnd,
            // The decoder needs more input, and there is none.
            _ if stuck && matches!(action, Action::Finish) => return Err(Error::Truncated.into()),
            _ if stuck && !input.is_empty() => return Err(Error::Damaged.into()),
            _ => {}
        }
        Ok(&input[taken..])
    }
}

#[cfg(test)]
mod tests {
    use super::super::container::{self, Filter};
    use super::super::encode::{self, Settings};
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn decode(bytes: &[u8], step: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let mut sink = |bytes: &[u8]| -> Result<(), Error> {
            out.extend_from_slice(bytes);
            Ok(())
        };
        let mut decoder = Decoder::new(2);
        for chunk in bytes.chunks(step) {
            decoder.feed(chunk, &mut sink)?;
        }
        decoder.finish(&mut sink)?;
        Ok(out)
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..length as u64).map(|n| (n.wrapping_mul(n ^ 0x9e37) >> 7) as u8 & 0x3f).collect()
    }

    fn xz(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("xz")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "xz {arguments:?}");
        output.stdout
    }

    fn ours(contents: &[u8], settings: &Settings) -> Vec<u8> {
        let blocks: Vec<_> =
            contents.chunks(100_000).map(|c| encode::block(c, settings).unwrap()).collect();
        let first = container::stored_block(&contents[..contents.len().min(192)]);
        let mut out = container::stream_header().to_vec();
        let mut records = vec![first.record];
        out.extend(first.bytes);
        for block in blocks {
            out.extend(block.bytes);
            records.push(block.record);
        }
        out.extend(container::stream_end(&records));
        out
    }

    #[test]
    fn xz_reads_what_we_write_and_so_do_we() {
        let contents = sample(350_000);
        let whole = [&contents[..192], &contents[..]].concat();
        for settings in [
            Settings::preset(0),
            Settings::preset(6),
            Settings { filter: Filter::X86, ..Settings::preset(6) },
            Settings { position_bits: 0, literal_context: 4, ..Settings::preset(6) },
        ] {
            let packed = ours(&contents, &settings);
            assert_eq!(xz(&["-dc"], &packed), whole);
            for step in [1, 1000, packed.len()] {
                assert_eq!(decode(&packed, step).unwrap(), whole);
            }
            xz(&["-t", "-T2"], &packed);
        }
    }

    #[test]
    fn takes_whatever_xz_makes() {
        let contents = sample(300_000);
        for arguments in [
            &["-c", "-0"][..],
            &["-c", "-9e"],
            &["-c", "--check=none"],
            &["-c", "--check=crc32"],
            &["-c", "--check=sha256"],
            &["-c", "--x86", "--lzma2=preset=6"],
            &["-c", "--arm64", "--delta=dist=4", "--lzma2=preset=1"],
            &["-c", "-T2", "--block-size=65536"],
            &["-c", "--format=lzma"],
        ] {
            let arguments: Vec<&str> =
                arguments.iter().copied().filter(|a| *a != "--arm64").collect();
            let packed = xz(&arguments, &contents);
            let back =
                decode(&packed, 4096).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
            assert_eq!(back, contents, "{arguments:?}");
            for end in [1, 5, 7, packed.len() / 2, packed.len() - 1] {
                let cut = decode(&packed[..end], 4096);
                assert!(
                    matches!(cut, Err(Error::Truncated | Error::Format)),
                    "{arguments:?} {end}: {:?}",
                    cut.map(|_| ())
                );
            }
        }
    }

    #[test]
    fn streams_and_padding() {
        let contents = sample(5000);
        let one = xz(&["-c"], &contents);
        let two = contents.repeat(2);
        for (padding, after) in [(0, 0), (4, 0), (8, 12), (0, 4)] {
            let packed = [&one[..], &vec![0; padding], &one[..], &vec![0; after]].concat();
            for step in [1, 13, 100_000] {
                assert_eq!(decode(&packed, step).unwrap(), two);
            }
        }
        for bad in [&[0][..], &[0, 0, 0], &[0, 0, 0, 0, 1], b"x", b"\xfd7zXZ", &one[..20]] {
            let packed = [&one[..], bad].concat();
            assert!(decode(&packed, 7).is_err(), "{bad:?}");
        }
        let lzma = xz(&["-c", "--format=lzma"], &contents);
        assert!(matches!(
            decode(&[&lzma[..], b"x"].concat(), 100),
            Err(Error::Trailing | Error::Damaged)
        ));
        assert!(matches!(decode(b"", 1), Err(Error::Truncated)));
        assert!(decode(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 100).is_err());
    }

    #[test]
    fn huge_dictionaries_are_refused() {
        let packed = xz(&["-c", "--lzma2=preset=0,dict=1GiB"], &sample(100));
        // xz itself shrinks nothing here: the header says 1 GiB
        assert!(matches!(decode(&packed, 100), Err(Error::Memory)));
    }
}
