//! Places for connections: how many there are, and how many of them others may hold.
//!
//! Everybody on the machine can connect to the port. Whoever the front end is for (its own user, and
//! root) may have all places; one other user only some, and all others together not all of them: who
//! holds connections without asking anything does not keep the owner out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peers::Peer;

/// While not more than this part of the places is taken, nobody is asked who they are.
const UNASKED: usize = 8;

/// The part of the places that one other user may have besides.
const ONE_OTHER: usize = 4;

/// The part that is left when all others together have what they may.
const RESERVED: usize = 4;

/// See the module.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    all: usize,
    /// Who may have every place.
    owner: u32,
    others: Others,
}

/// Places of others, by user.
type Others = Arc<Mutex<HashMap<Option<u32>, usize>>>;

/// One of the connections that are served at a time. It goes with the request, so that a WebSocket
/// can keep it.
#[derive(Clone, Debug)]
pub(super) struct Slot(Arc<Held>);

impl Slot {
    /// Whether it is known to be another user's.
    pub fn is_of_another(&self) -> bool {
        self.0.other.is_some()
    }
}

#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    /// Of which other user, and where that is counted.
    other: Option<(Option<u32>, Others)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((user, others)) = &self.other else { return };
        let mut others = locked(others);
        if let Some(count) = others.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                others.remove(user);
            }
        }
    }
}

fn locked(others: &Others) -> MutexGuard<'_, HashMap<Option<u32>, usize>> {
    // Each change is one step.
    others.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// So many places, for this user.
    pub fn new(all: usize, owner: u32) -> Slots {
        Slots { free: Arc::new(Semaphore::new(all)), all, owner, others: Others::default() }
    }

    /// Waits for a place.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.free.clone().acquire_owned().await.ok()
    }

    /// Whether so many places are free that it does not matter who takes one.
    pub fn is_roomy(&self) -> bool {
        self.all - self.free.available_permits() <= self.all / UNASKED
    }

    /// A place for whoever it is.
    pub fn unasked(permit: OwnedSemaphorePermit) -> Slot {
        Slot(Arc::new(Held { _permit: permit, other: None }))
    }

    /// A place for somebody; `None` if they have what they may.
    pub fn admit(&self, peer: Peer, permit: OwnedSemaphorePermit) -> Option<Slot> {
        let user = match peer {
            Peer::Untold => return Some(Slots::unasked(permit)),
            Peer::User(user) if user == self.owner || user == 0 => {
                return Some(Slots::unasked(permit));
            }
            Peer::User(user) => Some(user),
            Peer::Nobody => None,
        };
        let mut others = locked(&self.others);
        let together: usize = others.values().sum();
        let most = self.all - self.all / RESERVED - self.all / UNASKED;
        let count = others.get(&user).copied().unwrap_or(0);
        if together >= most || count >= self.all / ONE_OTHER {
            return None;
        }
        others.insert(user, count + 1);
        Some(Slot(Arc::new(Held { _permit: permit, other: Some((user, self.others.clone())) })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many of this peer's connections as are let in, of `wanted`.
    fn taken(slots: &Slots, peer: Peer, wanted: usize) -> Vec<Slot> {
        let place = || slots.free.clone().try_acquire_owned().ok();
        (0..wanted).filter_map(|_| slots.admit(peer, place()?)).collect()
    }

    #[test]
    fn others_leave_room_for_the_owner() {
        let slots = Slots::new(512, 1000);
        assert!(slots.is_roomy());
        let one = taken(&slots, Peer::User(1001), 560);
        assert_eq!(one.len(), 128);
        assert!(one.iter().all(Slot::is_of_another));
        assert!(!slots.is_roomy());
        // Another has as many, also whoever is not known; together they have not all.
        let two = taken(&slots, Peer::User(65534), 560);
        assert_eq!(two.len(), 128);
        let (nobody, three) = (taken(&slots, Peer::Nobody, 560), taken(&slots, Peer::User(7), 560));
        assert_eq!(nobody.len() + three.len(), 320 - 256);
        // With those who were not asked, a quarter is left: for the owner and for root.
        let own = taken(&slots, Peer::User(1000), 560);
        assert_eq!(own.len(), 512 - 320);
        assert!(!own.iter().any(Slot::is_of_another));
        drop(own);
        assert_eq!(taken(&slots, Peer::User(0), 560).len(), 512 - 320);
        // What is given back can be had again.
        drop(one);
        assert_eq!(taken(&slots, Peer::User(1001), 560).len(), 128);
        drop((two, nobody, three));
        assert!(slots.is_roomy() && locked(&slots.others).is_empty());
        assert_eq!(taken(&slots, Peer::Untold, 560).len(), 512);
    }
}
