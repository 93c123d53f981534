//! The program against the table: every number, every boundary, by interpretation.

use super::policy::{Condition, Ruling};
use super::*;

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];
/// Numbers beyond the newest call that are tried.
const BEYOND: u32 = 50;

fn data(arch: Arch, nr: u32, args: [u64; 6]) -> Data {
    Data { nr, arch: arch.audit(), args }
}

/// The policy, evaluated without any BPF.
pub(super) fn expected(treatment: &Treatment, args: &[u64; 6]) -> Verdict {
    let holds = |condition: &Condition| match *condition {
        Condition::In(at, mask, set) => set.contains(&(args[usize::from(at)] as u32 & mask)),
        Condition::NotIn(at, mask, set) => !set.contains(&(args[usize::from(at)] as u32 & mask)),
        Condition::AnyBit(at, mask) => args[usize::from(at)] as u32 & mask != 0,
        Condition::HighHalf(at) => args[usize::from(at)] >> 32 != 0,
    };
    let rule = treatment.rules.iter().find(|(conditions, _)| conditions.iter().all(holds));
    match rule.map_or(treatment.otherwise, |(_, then)| *then) {
        Ruling::Allow | Ruling::Stack => Verdict::Allow,
        Ruling::Errno(errno) => Verdict::Errno(errno),
    }
}

/// Values around everything a condition looks at, with and without bits above the low half.
fn interesting(treatment: &Treatment) -> Vec<u64> {
    let mut values = vec![0, 1, u64::from(u32::MAX), u64::MAX, 1 << 32];
    for condition in treatment.rules.iter().flat_map(|(conditions, _)| conditions.iter()) {
        match condition {
            Condition::In(_, _, set) | Condition::NotIn(_, _, set) => {
                for value in *set {
                    for near in [value.wrapping_sub(1), *value, value.wrapping_add(1)] {
                        values.extend([u64::from(near), u64::from(near) | 1 << 32]);
                    }
                }
            }
            Condition::AnyBit(_, mask) => {
                values.extend((0..32).map(|bit| 1u64 << bit));
                values.push(u64::from(!mask));
            }
            Condition::HighHalf(_) => values.extend((32..64).map(|bit| 1u64 << bit)),
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

#[test]
fn every_number_gets_what_the_table_says() {
    for arch in ARCHES {
        let filter = app_filter(arch, Denial::Answer).unwrap();
        let highest = CALLS.iter().filter_map(|call| number(arch, call)).max().unwrap();
        for nr in 0..=highest + BEYOND {
            let said = interpret(&filter, &data(arch, nr, [0; 6]));
            let policy = match name(arch, nr) {
                Some(name) => expected(&ruling(name), &[0; 6]),
                None => Verdict::Errno(libc::ENOSYS),
            };
            assert_eq!(said, policy, "{arch:?} {nr} {:?}", name(arch, nr));
        }
        assert!(filter.len() < MAX_INSTRUCTIONS / 4, "{} instructions", filter.len());
    }
}

#[test]
fn every_argument_boundary_gets_what_the_table_says() {
    for arch in ARCHES {
        let filter = app_filter(arch, Denial::Answer).unwrap();
        for call in CALLS {
            let (Some(nr), treatment) = (number(arch, call), ruling(call.name)) else { continue };
            if treatment.rules.is_empty() {
                continue;
            }
            let values = interesting(&treatment);
            let mut conditions = treatment.rules.iter().flat_map(|(conditions, _)| *conditions);
            let looks = conditions.any(|condition| matches!(condition, Condition::AnyBit(3, _)));
            let fourths: &[u64] = if looks {
                &[0, 1, 4, 0o2000, 0o4755, 0x2_0022, 0x4_0000, 0x6_0000, 1 << 32]
            } else {
                &[0]
            };
            for first in &values {
                for second in &values {
                    for third in [
                        0u64,
                        1,
                        6,
                        8,
                        12,
                        17,
                        19,
                        26,
                        31,
                        0o100,
                        100,
                        132,
                        0o2644,
                        0o4000,
                        0o20200000,
                        1 << 32,
                    ] {
                        for fourth in fourths {
                            let args = [*first, *second, third, *fourth, 0, 0];
                            let said = interpret(&filter, &data(arch, nr, args));
                            let right = expected(&treatment, &args);
                            assert_eq!(said, right, "{} {args:x?}", call.name);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn foreign_calls_never_pass() {
    let filter = app_filter(Arch::X86_64, Denial::Answer).unwrap();
    for nr in 0..1024 {
        let x32 = data(Arch::X86_64, nr | 0x4000_0000, [0; 6]);
        assert_eq!(interpret(&filter, &x32), Verdict::Errno(libc::ENOSYS));
        let i386 = Data { nr, arch: 0x4000_0003, args: [0; 6] };
        assert_eq!(interpret(&filter, &i386), Verdict::Kill);
    }
    for arch in ARCHES {
        let filter = app_filter(arch, Denial::Answer).unwrap();
        for nr in [u32::MAX, 999, 1 << 31, 100_000] {
            let said = interpret(&filter, &data(arch, nr, [0; 6]));
            assert_eq!(said, Verdict::Errno(libc::ENOSYS), "{nr}");
        }
    }
}

#[test]
fn with_a_listener_the_same_calls_pass_and_no_other() {
    for arch in ARCHES {
        let (plain, asking) =
            (app_filter(arch, Denial::Answer).unwrap(), app_filter(arch, Denial::Notify).unwrap());
        for nr in 0..600 {
            let data = data(arch, nr, [0; 6]);
            let asked = interpret(&asking, &data);
            match interpret(&plain, &data) {
                Verdict::Allow => assert_eq!(asked, Verdict::Allow),
                _ => assert_eq!(asked, Verdict::Notify),
            }
        }
    }
}

/// What is mapped for threads is told, and nothing else where denied calls are not asked for.
#[test]
fn a_listener_for_stacks_hears_of_nothing_else() {
    for arch in ARCHES {
        let plain = app_filter(arch, Denial::Answer).unwrap();
        let stacks = app_filter(arch, Denial::AnswerWithStacks).unwrap();
        let denied = app_filter(arch, Denial::Notify).unwrap();
        let mmap = CALLS.iter().find(|call| call.name == "mmap").unwrap();
        let mmap = number(arch, mmap).unwrap();
        for nr in 0..600 {
            for flags in [0x22u64, 0x2_0022, 0x6_0022, u64::MAX, 0x22 | 0x2_0000 << 32] {
                let data = data(arch, nr, [0, 8 << 20, 0, flags, 0, 0]);
                let (said, told) = (interpret(&plain, &data), interpret(&stacks, &data));
                if nr == mmap && flags == 0x2_0022 {
                    assert_eq!((said, told), (Verdict::Allow, Verdict::Notify));
                    assert_eq!(interpret(&denied, &data), Verdict::Notify);
                } else {
                    assert_eq!(said, told, "{nr} {flags:x}");
                }
            }
        }
    }
}

#[test]
fn numbers_agree_with_libc() {
    for (name, number) in [
        ("read", libc::SYS_read),
        ("openat", libc::SYS_openat),
        ("clone", libc::SYS_clone),
        ("execve", libc::SYS_execve),
        ("socket", libc::SYS_socket),
        ("ioctl", libc::SYS_ioctl),
        ("seccomp", libc::SYS_seccomp),
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("fchmodat2", libc::SYS_fchmodat2),
        ("mseal", libc::SYS_mseal),
    ] {
        assert_eq!(super::name(Arch::NATIVE, number as u32), Some(name));
    }
}
