//! Classic BPF as seccomp has it: the few instructions we emit, and an interpreter for them.

/// `ld [k]`: loads a word of the call's data.
pub(super) const LOAD: u16 = 0x20;
/// `and #k`.
pub(super) const AND: u16 = 0x54;
/// `ja k`.
pub(super) const JUMP: u16 = 0x05;
/// `jeq #k`.
pub(super) const JEQ: u16 = 0x15;
/// `jge #k`.
pub(super) const JGE: u16 = 0x35;
/// `jset #k`.
pub(super) const JSET: u16 = 0x45;
/// `ret #k`.
pub(super) const RETURN: u16 = 0x06;

/// Where the call's number lies in the data.
pub(super) const NR: u32 = 0;
/// Where the architecture lies.
pub(super) const ARCH: u32 = 4;
/// Where argument `index`'s low half lies (both architectures are little-endian).
pub(super) const fn low(index: u8) -> u32 {
    16 + 8 * index as u32
}
/// Where argument `index`'s high half lies.
pub(super) const fn high(index: u8) -> u32 {
    low(index) + 4
}

pub(super) const fn stmt(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

pub(super) const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// What the filter sees of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// The number.
    pub nr: u32,
    /// `AUDIT_ARCH_…`.
    pub arch: u32,
    /// The arguments.
    pub args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            NR => Some(self.nr),
            ARCH => Some(self.arch),
            16..64 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                Some(if offset.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 })
            }
            _ => None,
        }
    }
}

/// What a filter says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel does it.
    Allow,
    /// The caller gets this error.
    Errno(i32),
    /// A listener decides.
    Notify,
    /// The process is killed by SIGSYS.
    Kill,
    /// The program is not one the kernel would accept.
    Malformed,
}

/// Runs `filter` on `data` as the kernel would.
pub fn interpret(filter: &[libc::sock_filter], data: &Data) -> Verdict {
    let mut accumulator = 0u32;
    let mut at = 0usize;
    loop {
        let Some(op) = filter.get(at) else { return Verdict::Malformed };
        at += 1;
        let branch = |holds: bool| usize::from(if holds { op.jt } else { op.jf });
        match op.code {
            LOAD => match data.word(op.k) {
                Some(word) => accumulator = word,
                None => return Verdict::Malformed,
            },
            AND => accumulator &= op.k,
            JUMP => at += op.k as usize,
            JEQ => at += branch(accumulator == op.k),
            JGE => at += branch(accumulator >= op.k),
            JSET => at += branch(accumulator & op.k != 0),
            RETURN => {
                return match op.k & libc::SECCOMP_RET_ACTION_FULL {
                    libc::SECCOMP_RET_ALLOW => Verdict::Allow,
                    libc::SECCOMP_RET_ERRNO => {
                        Verdict::Errno((op.k & libc::SECCOMP_RET_DATA) as i32)
                    }
                    libc::SECCOMP_RET_USER_NOTIF => Verdict::Notify,
                    libc::SECCOMP_RET_KILL_PROCESS => Verdict::Kill,
                    _ => Verdict::Malformed,
                };
            }
            _ => return Verdict::Malformed,
        }
    }
}
