//! The policy with one thing taken away, every thing once: [`decisions`](super::decisions) must differ
//! with each. What only makes the wall higher (something less that is allowed) is not tried.

use super::bpf::Verdict;
use super::decisions::decisions;
use super::policy::{Condition, Ruling};
use super::tests::expected;
use super::*;

type Rule = (&'static [Condition], Ruling);

fn leaked<T: Clone>(items: &[T]) -> &'static [T] {
    Vec::leak(items.to_vec())
}

fn without<T: Clone>(items: &[T], at: usize) -> &'static [T] {
    let kept = items.iter().enumerate().filter(|(index, _)| *index != at);
    leaked(&kept.map(|(_, item)| item.clone()).collect::<Vec<_>>())
}

fn replaced<T: Clone>(items: &[T], at: usize, item: T) -> &'static [T] {
    let mut items = items.to_vec();
    items[at] = item;
    leaked(&items)
}

/// `condition`, holding for less.
fn narrower(condition: Condition) -> Vec<Condition> {
    match condition {
        Condition::In(at, mask, set) => {
            (0..set.len()).map(|index| Condition::In(at, mask, without(set, index))).collect()
        }
        Condition::AnyBit(at, mask) => {
            let bits = (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| mask & bit != 0);
            bits.map(|bit| Condition::AnyBit(at, mask & !bit)).collect()
        }
        // Nothing but the whole rule can be taken away.
        Condition::NotIn(..) | Condition::HighHalf(_) => Vec::new(),
    }
}

/// Every way to take one thing away from `rules`.
fn less(rules: &'static [Rule]) -> Vec<&'static [Rule]> {
    let mut found = Vec::new();
    for (at, (conditions, then)) in rules.iter().enumerate() {
        if !matches!(then, Ruling::Errno(_)) {
            continue;
        }
        found.push(without(rules, at));
        found.push(replaced(rules, at, (conditions, Ruling::Allow)));
        for (index, condition) in conditions.iter().enumerate() {
            for narrow in narrower(*condition) {
                let conditions = replaced(conditions, index, narrow);
                found.push(replaced(rules, at, (conditions, *then)));
            }
        }
    }
    found
}

fn mutants(treatment: Treatment) -> Vec<Treatment> {
    let rules = less(treatment.rules).into_iter();
    let mut found: Vec<_> = rules.map(|rules| Treatment { rules, ..treatment }).collect();
    if treatment.otherwise != Ruling::Allow {
        found.push(Treatment { otherwise: Ruling::Allow, ..treatment });
    }
    found
}

#[test]
fn every_rule_that_is_taken_away_is_missed() {
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    for call in CALLS {
        let decisions: Vec<_> = decisions().filter(|(name, _, _)| *name == call.name).collect();
        for treatment in [ruling(call.name), ruling_with_terminal(call.name)] {
            // What a terminal is allowed besides is another matter.
            let agrees = |mutant: &Treatment, (_, args, verdict): &(_, [u64; 6], Verdict)| {
                expected(&treatment, args) != *verdict || expected(mutant, args) == *verdict
            };
            for mutant in mutants(treatment) {
                tried += 1;
                if decisions.iter().all(|decision| agrees(&mutant, decision)) {
                    unnoticed.push(format!("{}: {mutant:x?}", call.name));
                }
            }
        }
    }
    assert!(unnoticed.is_empty(), "{} of {tried}:\n{}", unnoticed.len(), unnoticed.join("\n"));
    assert!(tried > 200, "only {tried} mutants");
}
