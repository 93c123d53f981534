//! Large pages for the encoder's memory.
//!
//! Searching a dictionary of many megabytes jumps about in several hundred megabytes of memory, and
//! with pages of 4 KiB most jumps miss the processor's table of pages. Where the kernel gives large
//! pages to those who ask (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`, the usual
//! setting; see "Transparent Hugepage Support" in the kernel's documentation), glibc's allocator can
//! ask, but is told so only when a program starts (`glibc.malloc.hugetlb` in "Memory Allocation
//! Tunables" of its manual). So the program starts once more.

use std::os::unix::process::CommandExt;
use std::process::Command;

const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Starts this command again with large pages, unless that brings nothing or the user has settings
/// of their own. Must come before anything is read or written.
pub fn ask() {
    let on_request = std::fs::read_to_string(SETTING).is_ok_and(|text| text.contains("[madvise]"));
    if !on_request || std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let Some(name) = arguments.next() else { return };
    // Comes back only if it fails; then it goes on without.
    let _ = Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments)
        .env(TUNABLES, "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1048576")
        .exec();
}
