//! Settings of glibc's allocator for the encoder's memory. It reads them when a program starts
//! ("Memory Allocation Tunables" in its manual), so the program starts once more.
//!
//! Searching a dictionary of many megabytes jumps about in several hundred megabytes of memory, and
//! with pages of 4 KiB most jumps miss the processor's table of pages. Where the kernel gives large
//! pages to those who ask (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`, the usual
//! setting; see "Transparent Hugepage Support" in the kernel's documentation), it is asked for them.
//!
//! What is large goes back to the kernel as soon as it is free. By default the allocator comes to
//! keep it, up to 32 MiB at a time: the contents of blocks, of which there would be more in memory
//! than are compressed.

use std::os::unix::process::CommandExt;
use std::process::Command;

const PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Starts this command again with these settings, unless the user has some of their own. Must come
/// before anything is read or written.
pub fn tune() {
    // Started again, a program could not tell any more that stdout was closed.
    if std::env::var_os(TUNABLES).is_some() || spk_sandbox::stdout_was_closed() {
        return;
    }
    let on_request = std::fs::read_to_string(PAGES).is_ok_and(|text| text.contains("[madvise]"));
    let pages = if on_request { ":glibc.malloc.hugetlb=1" } else { "" };
    let mut arguments = std::env::args_os();
    let Some(name) = arguments.next() else { return };
    // Comes back only if it fails; then it goes on without.
    let _ = Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments)
        .env(TUNABLES, format!("glibc.malloc.mmap_threshold=1048576{pages}"))
        .exec();
}
