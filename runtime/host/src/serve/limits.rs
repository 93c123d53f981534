//! What the host takes from one app: its log and its messages. What the app's processes may use is
//! the sandbox's matter ([`spk_sandbox::Limits`]).

use spk_sandbox::{Limits, Met};

use super::log::LOG_CAP;

/// Largest message taken from an app (128 MiB): what is not streamed comes in one message, and an
/// app must not make the host hold more than this at a time.
pub const MESSAGE_BYTES: u64 = 128 << 20;

/// Bytes of one stream that may be under way to the app unacknowledged (256 KiB): enough to keep
/// the pipe full, and no more than that kept for an app that does not read.
pub const STREAM_BYTES: u64 = 256 << 10;

/// Bytes of messages from the app that may be kept at a time because they are not dealt with
/// (256 MiB): calls of its that go on, answers on their way to clients. Beyond it the host reads
/// nothing more from the app until some are. Each download to a client that stalls holds the window
/// of its stream, 256 KiB of a bridge's and a piece of 128 KiB more: 512 of them hold three quarters of
/// this, so that all connections together cannot keep the app from answering somebody else.
pub const HELD_BYTES: u64 = 256 << 20;

/// KiB of whole bodies that one app's responses may occupy until clients have taken them (128 MiB,
/// or one that is larger). Beyond it further ones wait, as messages.
pub(super) const BODIES: u32 = 128 << 10;

/// Bytes of a body that does not count: as much as a bridge sends in one piece. All connections
/// together hold 32 MiB of these.
pub(super) const SMALL_BODY: usize = 64 << 10;

/// What the app may lose count of. Each is far beyond what an honest app comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Calls to the app that it has not answered, also after nobody waits for the answer: each keeps
    /// a slot of about 100 bytes. Apps that are made with the same library answer no call that was
    /// given up.
    pub unanswered: usize,
    /// Objects of the host's that the app holds.
    pub exports: u32,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { unanswered: 1 << 20, exports: 64 << 10 }
    }
}

/// How much the host takes from the app; [`HostLimits::default`] is what documentation calls the
/// defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Size at which the log is moved to `log.1`: at most twice this is kept.
    pub log_bytes: u64,
    /// Largest message the app may send.
    pub message_bytes: u64,
    /// Bytes of one stream to the app that may be unacknowledged.
    pub stream_bytes: u64,
    /// Bytes of messages from the app that may be kept at a time.
    pub held_bytes: u64,
    /// What the app may lose count of.
    pub counts: Counts,
}

impl Default for HostLimits {
    fn default() -> HostLimits {
        HostLimits {
            log_bytes: LOG_CAP,
            message_bytes: MESSAGE_BYTES,
            stream_bytes: STREAM_BYTES,
            held_bytes: HELD_BYTES,
            counts: Counts::default(),
        }
    }
}

/// What a met limit means for the developer, with the flag that changes it.
pub(super) fn in_words(met: Met, limits: &Limits) -> String {
    let (what, amount, flag) = match met {
        Met::Tmp => ("/tmp is full", size(limits.tmp_bytes), "--limit-tmp"),
        Met::Shm => ("/dev/shm is full", size(limits.shm_bytes), "--limit-shm"),
        Met::TmpInodes => {
            ("/tmp holds no more files", limits.tmpfs_inodes.to_string(), "--limit-inodes")
        }
        Met::ShmInodes => {
            ("/dev/shm holds no more files", limits.tmpfs_inodes.to_string(), "--limit-inodes")
        }
        Met::Processes => {
            ("it gets no more processes", limits.processes.to_string(), "--limit-processes")
        }
        Met::OpenFiles => (
            "one of its processes gets no more open files",
            open_files(limits),
            "--limit-open-files",
        ),
        Met::Memory => ("it gets no more memory", size(limits.memory_bytes), "--limit-memory"),
    };
    format!("the app has met a limit: {what} ({amount}; {flag} allows more)")
}

/// How many descriptors a process may have, and how it comes to more.
fn open_files(limits: &Limits) -> String {
    let Limits { open_files_soft: soft, open_files_hard: hard, .. } = limits;
    if soft < hard {
        return format!("{soft}, or {hard} once it raises its own limit");
    }
    soft.to_string()
}

/// What it means that the log was moved away.
pub(super) fn log_rotated(cap: u64) -> String {
    let cap = size(cap);
    format!(
        "the app's log was rotated: only the last {cap} and what follows are kept (--limit-log)"
    )
}

/// A size as the flags take it.
pub(super) fn size(bytes: u64) -> String {
    for (shift, unit) in [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_met_limit_is_told_with_its_size_and_its_flag() {
        let limits = Limits { tmp_bytes: 3 << 20, memory_bytes: 5000, ..Limits::default() };
        assert_eq!(
            in_words(Met::Tmp, &limits),
            "the app has met a limit: /tmp is full (3M; --limit-tmp allows more)"
        );
        let few = Limits { open_files_soft: 300, open_files_hard: 300, ..Limits::default() };
        assert!(in_words(Met::OpenFiles, &few).ends_with("(300; --limit-open-files allows more)"));
        let usual = in_words(Met::OpenFiles, &Limits::default());
        assert!(usual.contains("(1024, or 4096 once it raises its own limit; --limit"), "{usual}");
        assert!(in_words(Met::Memory, &limits).contains("(5000; --limit-memory"));
    }
}
