//! The limits of `spk run` and `spk dev`: one struct of flags for both.

use spk_host::serve::HostLimits;
use spk_sandbox::Limits;

/// How much the app may use.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits (sizes in bytes, or with K, M, G, T)")]
pub struct LimitArgs {
    /// Processes and threads of the grain
    #[arg(long, value_name = "N", default_value = "512", value_parser = processes)]
    pub limit_processes: u64,
    /// Descriptors each process may have open; 1024 of them before it asks for more
    #[arg(long, value_name = "N", default_value = "4096", value_parser = open_files)]
    pub limit_open_files: u64,
    /// Memory: of the whole grain where a cgroup can be had (spk doctor tells), else private
    /// memory of each process
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub limit_memory: u64,
    /// Largest file the app can write
    #[arg(long, value_name = "SIZE", default_value = "16G", value_parser = some)]
    pub limit_file: u64,
    /// Size of /tmp
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = tmpfs)]
    pub limit_tmp: u64,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = tmpfs)]
    pub limit_shm: u64,
    /// Files and directories that /tmp and /dev/shm hold each
    #[arg(long, value_name = "N", default_value = "4096", value_parser = some)]
    pub limit_inodes: u64,
    /// Size at which the grain's log is rotated; one old log is kept
    #[arg(long, value_name = "SIZE", default_value = "512K", value_parser = log)]
    pub limit_log: u64,
    /// Largest Cap'n Proto message the app may send
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = message)]
    pub limit_message: u64,
    /// Bytes of one request body under way to the app that it has not acknowledged
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = stream)]
    pub limit_stream: u64,
    /// Bytes of the app's messages that are kept because they are not dealt with, and of those for
    /// it that it does not read
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = message)]
    pub limit_rpc: u64,
}

/// Fewer than the two processes that are always there, and a child, and nothing starts.
const FEWEST_PROCESSES: u64 = 3;
/// Standard descriptors, the connection to the host, and as many files.
const FEWEST_OPEN_FILES: u64 = 8;
/// Less than that, and most programs do not get as far as to complain.
const LEAST_MEMORY: u64 = 4 << 20;
/// One page: the smallest file system of memory there is.
const LEAST_TMPFS: u64 = 4096;
/// A few lines.
const LEAST_LOG: u64 = 4096;
/// Cap'n Proto's own calls and answers have to fit.
const LEAST_MESSAGE: u64 = 64 << 10;
/// One small piece of a body.
const LEAST_STREAM: u64 = 4096;

impl LimitArgs {
    /// What the sandbox enforces.
    pub fn sandbox(&self) -> Limits {
        Limits {
            tmp_bytes: self.limit_tmp,
            shm_bytes: self.limit_shm,
            tmpfs_inodes: self.limit_inodes,
            open_files_soft: spk_sandbox::OPEN_FILES_SOFT.min(self.limit_open_files),
            open_files_hard: self.limit_open_files,
            processes: self.limit_processes,
            memory_bytes: self.limit_memory,
            file_bytes: self.limit_file,
        }
    }

    /// What the host enforces.
    pub fn host(&self) -> HostLimits {
        HostLimits {
            log_bytes: self.limit_log,
            message_bytes: self.limit_message,
            stream_bytes: self.limit_stream,
            held_bytes: self.limit_rpc,
            ..HostLimits::default()
        }
    }
}

fn processes(text: &str) -> Result<u64, String> {
    at_least(text, FEWEST_PROCESSES)
}

fn open_files(text: &str) -> Result<u64, String> {
    at_least(text, FEWEST_OPEN_FILES)
}

fn memory(text: &str) -> Result<u64, String> {
    at_least(text, LEAST_MEMORY)
}

fn tmpfs(text: &str) -> Result<u64, String> {
    at_least(text, LEAST_TMPFS)
}

fn log(text: &str) -> Result<u64, String> {
    at_least(text, LEAST_LOG)
}

fn message(text: &str) -> Result<u64, String> {
    at_least(text, LEAST_MESSAGE)
}

fn stream(text: &str) -> Result<u64, String> {
    at_least(text, LEAST_STREAM)
}

fn some(text: &str) -> Result<u64, String> {
    at_least(text, 1)
}

fn at_least(text: &str, least: u64) -> Result<u64, String> {
    let value = size(text)?;
    if value < least {
        return Err(format!("must be at least {least}"));
    }
    Ok(value)
}

/// The kernel's sizes are signed: more is the same as no limit.
const MOST: u64 = i64::MAX as u64;

/// A number, with K, M, G or T for 1024, 1024², …
fn size(text: &str) -> Result<u64, String> {
    let shift = match text.bytes().last().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number, with or without K, M, G or T".to_owned());
    }
    let value = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    value.filter(|value| *value <= MOST).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn the_defaults_in_the_help_are_those_of_the_libraries() {
        let limits = Only::parse_from(["spk"]).limits;
        assert_eq!(limits.sandbox(), Limits::default());
        assert_eq!(limits.host(), HostLimits::default());
    }

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("16k"), Ok(16 << 10));
        assert_eq!(size("3G"), Ok(3 << 30));
        for bad in ["", "K", "-1", "1.5M", "1MB", "0x10", "16E", "99999999T", "9223372036854775808"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_nothing_could_run_with_is_refused() {
        for (flag, bad) in [
            ("--limit-processes", "2"),
            ("--limit-open-files", "3"),
            ("--limit-memory", "1M"),
            ("--limit-file", "0"),
            ("--limit-tmp", "0"),
            ("--limit-shm", "4095"),
            ("--limit-inodes", "0"),
            ("--limit-log", "10"),
            ("--limit-message", "1K"),
            ("--limit-stream", "0"),
            ("--limit-rpc", "1K"),
        ] {
            let error = Only::try_parse_from(["spk", flag, bad]).err().expect(flag).to_string();
            assert!(error.contains(flag) && error.contains("at least"), "{error}");
        }
    }
}
