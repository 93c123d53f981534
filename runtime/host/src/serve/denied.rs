//! The denied system calls of all lives of an app, summed up.

use std::collections::BTreeMap;

use spk_sandbox::Denied;

/// How many kinds of denied calls are told apart; an app that makes up programs must not fill
/// memory.
const MAX_KINDS: usize = 1024;

/// Denied calls by call, deciding argument, answer and program.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(String, Option<String>, String, String), u64>);

impl Tally {
    /// Adds what was reported; gives it back if it is the first of its kind.
    pub fn add(&mut self, denied: Denied) -> Option<Denied> {
        let key = (
            denied.call.clone(),
            denied.detail.clone(),
            denied.answer.clone(),
            denied.program.clone(),
        );
        if let Some(count) = self.0.get_mut(&key) {
            *count += denied.count;
            return None;
        }
        if self.0.len() >= MAX_KINDS {
            return None;
        }
        self.0.insert(key, denied.count);
        Some(denied)
    }

    /// All of them, the most frequent first.
    pub fn total(&self) -> Vec<Denied> {
        let mut all: Vec<Denied> = self
            .0
            .iter()
            .map(|((call, detail, answer, program), count)| Denied {
                call: call.clone(),
                detail: detail.clone(),
                answer: answer.clone(),
                program: program.clone(),
                count: *count,
            })
            .collect();
        all.sort_by_key(|denied| std::cmp::Reverse(denied.count));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(call: &str, program: &str, count: u64) -> Denied {
        Denied {
            call: call.into(),
            detail: None,
            answer: "EPERM".into(),
            program: program.into(),
            count,
        }
    }

    #[test]
    fn the_same_call_of_the_same_program_is_one_kind() {
        let mut tally = Tally::default();
        assert!(tally.add(denied("unshare", "/a", 1)).is_some());
        assert!(tally.add(denied("unshare", "/a", 4)).is_none());
        assert!(tally.add(denied("unshare", "/b", 2)).is_some());
        assert!(tally.add(denied("chroot", "/a", 9)).is_some());
        assert_eq!(
            tally.total(),
            [denied("chroot", "/a", 9), denied("unshare", "/a", 5), denied("unshare", "/b", 2)]
        );
    }

    #[test]
    fn an_app_cannot_fill_memory_with_kinds() {
        let mut tally = Tally::default();
        for number in 0..MAX_KINDS + 100 {
            tally.add(denied("unshare", &format!("/{number}"), 1));
        }
        assert_eq!(tally.total().len(), MAX_KINDS);
    }
}
