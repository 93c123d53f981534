//! From the table to a program: one search tree over the numbers, with the argument checks at its
//! leaves.
//!
//! `seccompiler`, which makes the filter of PID 1, knows one answer for what matches and one for what
//! does not, and our policy has eleven. A stack of eleven of its filters takes several times as long
//! to install and to pass (`docs/architecture.md` has the figures), and a listener for denied calls
//! needs a single filter anyway.

use libc::sock_filter;

use super::arch::{Arch, number};
use super::bpf::{self, AND, ARCH, JEQ, JGE, JSET, JUMP, LOAD, NR, RETURN, jump, stmt};
use super::policy::{Condition, Ruling, Treatment, ruling, ruling_with_terminal};
use super::table::CALLS;

/// What a denied call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Its error number at once.
    Answer,
    /// The same; a listener is told of threads' stacks before they are mapped.
    AnswerWithStacks,
    /// A listener, which answers in its stead (and counts), and is told of stacks, too.
    Notify,
}

/// The kernel's limit for a filter's instructions (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Bit that marks the calls of the x32 ABI among those of x86-64.
const X32: u32 = 0x4000_0000;

/// Why the policy cannot be made a program: no filter is better than a wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Conditional jumps reach 255 instructions only.
    #[error("a jump over {0} instructions does not fit in a system call filter")]
    Jump(usize),
    /// More than [`MAX_INSTRUCTIONS`].
    #[error("{0} instructions are too many for a system call filter")]
    Length(usize),
}

/// The app's filter for `arch`.
///
/// # Errors
/// If a rule is too long for the jumps over it, or the whole for the kernel.
pub fn app_filter(arch: Arch, denial: Denial) -> Result<Vec<sock_filter>, Error> {
    filter(arch, denial, ruling)
}

/// The filter of a program that a person uses at a terminal ([`crate::Console::Terminal`]).
///
/// # Errors
/// As [`app_filter`].
pub fn terminal_filter(arch: Arch, denial: Denial) -> Result<Vec<sock_filter>, Error> {
    filter(arch, denial, ruling_with_terminal)
}

fn filter(
    arch: Arch,
    denial: Denial,
    ruling: fn(&str) -> Treatment,
) -> Result<Vec<sock_filter>, Error> {
    let mut rules: Vec<(u32, Treatment)> =
        CALLS.iter().filter_map(|call| Some((number(arch, call)?, ruling(call.name)))).collect();
    rules.sort_by_key(|(nr, _)| *nr);
    let unknown = Treatment { rules: &[], otherwise: Ruling::Errno(libc::ENOSYS) };
    // Every number belongs to a range, which begins where the one before it ends.
    let mut ranges: Vec<(u32, Treatment)> = Vec::new();
    let mut next = 0;
    for (nr, treatment) in rules {
        if nr > next {
            push(&mut ranges, next, unknown);
        }
        push(&mut ranges, nr, treatment);
        next = nr + 1;
    }
    push(&mut ranges, next, unknown);

    let mut program = vec![
        stmt(LOAD, ARCH),
        jump(JEQ, arch.audit(), 1, 0),
        stmt(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        stmt(LOAD, NR),
    ];
    if arch == Arch::X86_64 {
        // Also catches -1. Not a kill: probing for x32 is no crime.
        program.push(jump(JSET, X32, 0, 1));
        program.push(verdict(Ruling::Errno(libc::ENOSYS), denial));
    }
    program.extend(tree(&ranges, denial)?);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::Length(program.len()));
    }
    Ok(program)
}

/// Adds a range, unless the one before says the same without looking at arguments.
fn push(ranges: &mut Vec<(u32, Treatment)>, first: u32, treatment: Treatment) {
    let same = ranges.last().is_some_and(|(_, last)| {
        last.rules.is_empty() && treatment.rules.is_empty() && last.otherwise == treatment.otherwise
    });
    if !same {
        ranges.push((first, treatment));
    }
}

/// Code that finds the number's range; every path through it returns.
fn tree(ranges: &[(u32, Treatment)], denial: Denial) -> Result<Vec<sock_filter>, Error> {
    Ok(match ranges {
        [] => vec![verdict(Ruling::Errno(libc::ENOSYS), denial)],
        [(_, treatment)] => leaf(treatment, denial)?,
        _ => {
            let (below, above) = ranges.split_at(ranges.len() / 2);
            let pivot = above.first().map_or(0, |(first, _)| *first);
            let (below, above) = (tree(below, denial)?, tree(above, denial)?);
            let mut code = match u8::try_from(below.len()) {
                Ok(length) => vec![jump(JGE, pivot, length, 0)],
                // Beyond the reach of a conditional jump.
                Err(_) => {
                    let length = u32::try_from(below.len());
                    let length = length.map_err(|_| Error::Length(below.len()))?;
                    vec![jump(JGE, pivot, 0, 1), stmt(JUMP, length)]
                }
            };
            code.extend(below);
            code.extend(above);
            code
        }
    })
}

fn leaf(treatment: &Treatment, denial: Denial) -> Result<Vec<sock_filter>, Error> {
    let mut code = Vec::new();
    for (conditions, then) in treatment.rules {
        // From the last instruction to the first, so that each knows how far the rule's end is.
        let mut rule = vec![verdict(*then, denial)];
        for condition in conditions.iter().rev() {
            let mut test = check(condition, rule.len())?;
            test.append(&mut rule);
            rule = test;
        }
        code.extend(rule);
    }
    code.push(verdict(treatment.otherwise, denial));
    Ok(code)
}

/// A conditional jump over so many instructions.
fn distance(instructions: usize) -> Result<u8, Error> {
    u8::try_from(instructions).map_err(|_| Error::Jump(instructions))
}

/// Code that goes on behind itself if the condition holds, and otherwise `rest` further.
fn check(condition: &Condition, rest: usize) -> Result<Vec<sock_filter>, Error> {
    let load = |index, mask: u32| {
        let mut code = vec![stmt(LOAD, bpf::low(index))];
        if mask != u32::MAX {
            code.push(stmt(AND, mask));
        }
        code
    };
    Ok(match *condition {
        Condition::In(index, mask, values) => {
            let mut code = load(index, mask);
            for (position, value) in values.iter().enumerate() {
                let left = values.len() - position - 1;
                let miss = if left == 0 { distance(rest)? } else { 0 };
                code.push(jump(JEQ, *value, distance(left)?, miss));
            }
            code
        }
        Condition::NotIn(index, mask, values) => {
            let mut code = load(index, mask);
            for (position, value) in values.iter().enumerate() {
                let left = values.len() - position - 1;
                code.push(jump(JEQ, *value, distance(rest + left)?, 0));
            }
            code
        }
        Condition::AnyBit(index, mask) => {
            vec![stmt(LOAD, bpf::low(index)), jump(JSET, mask, 0, distance(rest)?)]
        }
        Condition::HighHalf(index) => {
            vec![stmt(LOAD, bpf::high(index)), jump(JEQ, 0, distance(rest)?, 0)]
        }
    })
}

fn verdict(ruling: Ruling, denial: Denial) -> sock_filter {
    let value = match (ruling, denial) {
        (Ruling::Allow, _) | (Ruling::Stack, Denial::Answer) => libc::SECCOMP_RET_ALLOW,
        (Ruling::Stack, _) => libc::SECCOMP_RET_USER_NOTIF,
        (Ruling::Errno(errno), Denial::Answer | Denial::AnswerWithStacks) => {
            libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA)
        }
        (Ruling::Errno(_), Denial::Notify) => libc::SECCOMP_RET_USER_NOTIF,
    };
    stmt(RETURN, value)
}

#[cfg(test)]
mod tests {
    use super::super::bpf::{Data, Verdict, interpret};
    use super::*;

    /// Values that differ in their lowest bytes.
    static VALUES: [u32; 512] = {
        let mut values = [0; 512];
        let mut index = 0;
        while index < values.len() {
            values[index] = 1000 + index as u32;
            index += 1;
        }
        values
    };
    const REFUSED: Ruling = Ruling::Errno(libc::EPERM);

    /// What becomes of a call whose first argument is `value` under one rule of these conditions.
    fn run(conditions: &'static [Condition], value: u64) -> Result<Verdict, Error> {
        let rules = Box::leak(Box::new([(conditions, REFUSED)]));
        let code = leaf(&Treatment { rules, otherwise: Ruling::Allow }, Denial::Answer)?;
        Ok(interpret(&code, &Data { nr: 0, arch: 0, args: [value; 6] }))
    }

    fn leaked(conditions: Vec<Condition>) -> &'static [Condition] {
        Vec::leak(conditions)
    }

    #[test]
    fn the_longest_rules_that_fit_are_right_at_their_boundaries() {
        let (refused, allowed) = (Ok(Verdict::Errno(libc::EPERM)), Ok(Verdict::Allow));
        let one_of = leaked(vec![Condition::In(0, u32::MAX, &VALUES[..256])]);
        let none_of = leaked(vec![Condition::NotIn(0, u32::MAX, &VALUES[..255])]);
        for (value, is_in_both) in [(999, false), (1000, true), (1254, true), (1256, false)] {
            assert_eq!(run(one_of, value), if is_in_both { refused } else { allowed }, "{value}");
            assert_eq!(run(none_of, value), if is_in_both { allowed } else { refused }, "{value}");
        }
        assert_eq!(run(one_of, 1255), refused);
        assert_eq!(run(none_of, 1255), refused);
    }

    #[test]
    fn a_rule_that_is_too_long_for_its_jumps_is_an_error() {
        let any = |rest: usize| {
            let last = Condition::In(0, u32::MAX, &VALUES[..rest - 2]);
            leaked(vec![Condition::AnyBit(0, u32::MAX), last])
        };
        for (conditions, far) in [
            (leaked(vec![Condition::In(0, u32::MAX, &VALUES[..257])]), 256),
            (leaked(vec![Condition::NotIn(0, u32::MAX, &VALUES[..256])]), 256),
            (leaked(vec![Condition::NotIn(0, 0xffff, &VALUES)]), 512),
            // Each test fits, but not the jump over all of them.
            (any(256), 256),
            (leaked(vec![Condition::HighHalf(0), any(256)[1]]), 256),
        ] {
            assert_eq!(run(conditions, 1000), Err(Error::Jump(far)));
        }
        assert_eq!(run(any(255), 1000), Ok(Verdict::Errno(libc::EPERM)));
        assert_eq!(run(any(255), 999), Ok(Verdict::Allow));
    }

    #[test]
    fn a_policy_that_is_too_long_for_the_kernel_is_an_error() {
        fn long(_: &str) -> Treatment {
            const RULES: &[(&[Condition], Ruling)] =
                &[(&[Condition::In(0, u32::MAX, &[7; 100])], REFUSED)];
            Treatment { rules: RULES, otherwise: Ruling::Allow }
        }
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let length = match filter(arch, Denial::Answer, long) {
                Err(Error::Length(length)) => length,
                other => panic!("{:?}", other.map(|program| program.len())),
            };
            assert!(length > MAX_INSTRUCTIONS, "{length}");
        }
    }
}
