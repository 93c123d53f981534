//! The machines whose calls we know, and what a call is called on each.

use super::bpf::Data;
use super::table::{CALLS, Call};

/// A machine whose calls we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// The one this program is built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The one this program is built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;

    /// `AUDIT_ARCH_…`: the ELF machine, 64-bit, little-endian.
    pub const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }
}

/// The number of `call` on `arch`, if it has it.
pub fn number(arch: Arch, call: &Call) -> Option<u32> {
    match arch {
        Arch::X86_64 => call.x86_64,
        Arch::Aarch64 => call.aarch64,
    }
}

/// The name of call number `nr` on `arch`.
pub fn name(arch: Arch, nr: u32) -> Option<&'static str> {
    CALLS.iter().find(|call| number(arch, call) == Some(nr)).map(|call| call.name)
}

/// For a call of which some uses are allowed: the arguments that decide, as text.
pub fn telling_argument(arch: Arch, data: &Data) -> Option<String> {
    let name = name(arch, data.nr)?;
    let low = |index: usize| data.args[index] as u32;
    match name {
        "ioctl" => Some(format!("request={:#x}", low(1))),
        "prctl" => Some(format!("option={}", low(0))),
        "socket" | "socketpair" => {
            Some(format!("family={} type={} protocol={}", low(0), low(1) & 0xf, low(2)))
        }
        "setsockopt" => Some(format!("level={} option={}", low(1), low(2))),
        "clone" => Some(format!("flags={:#x}", data.args[0])),
        "personality" => Some(format!("persona={:#x}", low(0))),
        "sched_setscheduler" => Some(format!("policy={}", low(1))),
        "setrlimit" => Some(format!("resource={}", low(0))),
        "prlimit64" => Some(format!("resource={}", low(1))),
        "mmap" | "sendto" | "sendmmsg" => Some(format!("flags={:#x}", low(3))),
        "sendmsg" => Some(format!("flags={:#x}", low(2))),
        "memfd_create" => Some(format!("flags={:#x}", low(1))),
        _ => None,
    }
}
