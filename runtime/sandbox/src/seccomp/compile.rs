//! From the table to a program: one search tree over the numbers, with the argument checks at its
//! leaves.
//!
//! `seccompiler` knows one answer for everything that does not match, and our policy has nine;
//! stacking nine of its filters would do, but a listener for denied calls needs a single one.

use libc::sock_filter;

use super::bpf::{self, AND, ARCH, JEQ, JGE, JSET, JUMP, LOAD, NR, RETURN, jump, stmt};
use super::policy::{Condition, Ruling, Treatment, ruling, ruling_with_terminal};
use super::table::CALLS;
use super::{Arch, number};

/// What a denied call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Its error number at once.
    Answer,
    /// A listener, which answers in its stead (and counts).
    Notify,
}

/// The kernel's limit for a filter's instructions (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Bit that marks the calls of the x32 ABI among those of x86-64.
const X32: u32 = 0x4000_0000;

/// The app's filter for `arch`.
pub fn app_filter(arch: Arch, denial: Denial) -> Vec<sock_filter> {
    filter(arch, denial, ruling)
}

/// The filter of a program that a person uses at a terminal ([`crate::Console::Terminal`]).
pub fn terminal_filter(arch: Arch, denial: Denial) -> Vec<sock_filter> {
    filter(arch, denial, ruling_with_terminal)
}

fn filter(arch: Arch, denial: Denial, ruling: fn(&str) -> Treatment) -> Vec<sock_filter> {
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
    program.extend(tree(&ranges, denial));
    program
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
fn tree(ranges: &[(u32, Treatment)], denial: Denial) -> Vec<sock_filter> {
    match ranges {
        [] => vec![verdict(Ruling::Errno(libc::ENOSYS), denial)],
        [(_, treatment)] => leaf(treatment, denial),
        _ => {
            let (below, above) = ranges.split_at(ranges.len() / 2);
            let pivot = above.first().map_or(0, |(first, _)| *first);
            let (below, above) = (tree(below, denial), tree(above, denial));
            let mut code = match u8::try_from(below.len()) {
                Ok(length) => vec![jump(JGE, pivot, length, 0)],
                // Conditional jumps reach 255 instructions only. No filter is anywhere near 2^32.
                Err(_) => vec![jump(JGE, pivot, 0, 1), stmt(JUMP, below.len() as u32)],
            };
            code.extend(below);
            code.extend(above);
            code
        }
    }
}

fn leaf(treatment: &Treatment, denial: Denial) -> Vec<sock_filter> {
    let mut code = Vec::new();
    for (conditions, then) in treatment.rules {
        // From the last instruction to the first, so that each knows how far the rule's end is.
        let mut rule = vec![verdict(*then, denial)];
        for condition in conditions.iter().rev() {
            let mut test = check(condition, rule.len());
            test.append(&mut rule);
            rule = test;
        }
        code.extend(rule);
    }
    code.push(verdict(treatment.otherwise, denial));
    code
}

/// Code that goes on behind itself if the condition holds, and otherwise `rest` further.
fn check(condition: &Condition, rest: usize) -> Vec<sock_filter> {
    // Rules are short: the longest has some thirty instructions. A longer one would make a wrong
    // jump, which the test of every rule's boundary shows.
    let fail = u8::try_from(rest).unwrap_or(u8::MAX);
    let load = |index, mask: u32| {
        let mut code = vec![stmt(LOAD, bpf::low(index))];
        if mask != u32::MAX {
            code.push(stmt(AND, mask));
        }
        code
    };
    match *condition {
        Condition::In(index, mask, values) => {
            let mut code = load(index, mask);
            for (position, value) in values.iter().enumerate() {
                let left = values.len() - position - 1;
                let last = left == 0;
                let hit = u8::try_from(left).unwrap_or(u8::MAX);
                code.push(jump(JEQ, *value, hit, if last { fail } else { 0 }));
            }
            code
        }
        Condition::NotIn(index, mask, values) => {
            let mut code = load(index, mask);
            for (position, value) in values.iter().enumerate() {
                let left = u8::try_from(values.len() - position - 1).unwrap_or(u8::MAX);
                code.push(jump(JEQ, *value, fail.saturating_add(left), 0));
            }
            code
        }
        Condition::AnyBit(index, mask) => {
            vec![stmt(LOAD, bpf::low(index)), jump(JSET, mask, 0, fail)]
        }
        Condition::HighHalf(index) => {
            vec![stmt(LOAD, bpf::high(index)), jump(JEQ, 0, fail, 0)]
        }
    }
}

fn verdict(ruling: Ruling, denial: Denial) -> sock_filter {
    let value = match (ruling, denial) {
        (Ruling::Allow, _) => libc::SECCOMP_RET_ALLOW,
        (Ruling::Errno(errno), Denial::Answer) => {
            libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA)
        }
        (Ruling::Errno(_), Denial::Notify) => libc::SECCOMP_RET_USER_NOTIF,
    };
    stmt(RETURN, value)
}
