//! The system call filter of the app: default-deny, from one table for both architectures.
//!
//! [`policy`] says what each call gets, [`compile`] turns that into classic BPF, [`interpret`] runs
//! such a program as the kernel does: for the tests, which try every number, and to answer the
//! calls that a developer asked to see.

mod arch;
mod bpf;
mod compile;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod mutants;
mod policy;
mod reaper;
mod table;
#[cfg(test)]
mod tests;

pub use arch::{Arch, name, number, telling_argument};
pub use bpf::{Data, Verdict, interpret};
pub use compile::{Denial, Error, MAX_INSTRUCTIONS, app_filter, terminal_filter};
pub use policy::{Condition, Ruling, Treatment, ruling, ruling_with_terminal};
pub(crate) use reaper::reaper_filter;
pub use table::{CALLS, Call};
