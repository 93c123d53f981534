//! The host's part of the powerbox: what was chosen and waits to be claimed, requests that an app
//! is asked to fulfil, and what apps offer (http-bridge §7.12 to §7.14, §8.3). The page
//! on which a person chooses is the shell's.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use spk_grains::store::capabilities::Object;

use super::token;

/// How long a choice waits to be claimed, as on a server.
const CLAIM_TIME: Duration = Duration::from_secs(5 * 60);

/// Choices that wait at a time; the oldest goes.
const CLAIMS: usize = 256;

/// Requests and offers that are remembered for the shell; the oldest goes.
const REMEMBERED: usize = 256;

/// Something that was chosen: claimed with a token.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// What.
    pub object: Object,
    /// Bits the claiming user must have.
    pub required: Vec<bool>,
    until: Instant,
    order: u64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The app has not answered.
    Waiting,
    /// It has: the token to claim it with, and its descriptor, serialized.
    Fulfilled { token: String, descriptor: Vec<u8> },
}

/// What an app offers to a user.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// To whom.
    pub user: String,
    /// What.
    pub object: Object,
    /// Bits the app asks for.
    pub required: Vec<bool>,
    /// Its descriptor, serialized.
    pub descriptor: Vec<u8>,
    /// The app's words for it.
    pub title: String,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Powerbox {
    claims: RefCell<HashMap<String, Claim>>,
    requests: RefCell<BTreeMap<u64, Outcome>>,
    offers: RefCell<VecDeque<(u64, Offer)>>,
    next: Cell<u64>,
}

impl Powerbox {
    fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Something was chosen; the token goes to the page that asked.
    pub fn chosen(&self, object: Object, required: Vec<bool>) -> Result<String, capnp::Error> {
        let token = token::new()?;
        let order = self.number();
        let mut claims = self.claims.borrow_mut();
        let now = Instant::now();
        claims.retain(|_, claim| claim.until > now);
        if claims.len() >= CLAIMS {
            let oldest = claims.iter().min_by_key(|(_, claim)| claim.order);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                claims.remove(&key);
            }
        }
        let claim = Claim { object, required, until: now + CLAIM_TIME, order };
        claims.insert(token::hash(token.as_bytes()), claim);
        Ok(token)
    }

    /// What a token stands for, while it does.
    pub fn claim(&self, token: &[u8]) -> Option<Claim> {
        let claims = self.claims.borrow();
        claims.get(&token::hash(token)).filter(|claim| claim.until > Instant::now()).cloned()
    }

    /// A request session is opened for somebody's request; its number.
    pub fn request(&self) -> u64 {
        let number = self.number();
        let mut requests = self.requests.borrow_mut();
        requests.insert(number, Outcome::Waiting);
        if requests.len() > REMEMBERED {
            requests.pop_first();
        }
        number
    }

    /// The app answered it. The first answer counts.
    pub fn fulfil(&self, request: u64, token: String, descriptor: Vec<u8>) -> bool {
        let mut requests = self.requests.borrow_mut();
        match requests.get_mut(&request) {
            Some(outcome @ Outcome::Waiting) => {
                *outcome = Outcome::Fulfilled { token, descriptor };
                true
            }
            _ => false,
        }
    }

    /// What became of it.
    pub fn outcome(&self, request: u64) -> Option<Outcome> {
        self.requests.borrow().get(&request).cloned()
    }

    /// The app offers something; the offer's number.
    pub fn offer(&self, offer: Offer) -> u64 {
        let number = self.number();
        let mut offers = self.offers.borrow_mut();
        if offers.len() >= REMEMBERED {
            offers.pop_front();
        }
        offers.push_back((number, offer));
        number
    }

    /// What is offered.
    pub fn offers(&self) -> Vec<(u64, Offer)> {
        self.offers.borrow().iter().cloned().collect()
    }

    /// Takes an offer.
    pub fn take_offer(&self, number: u64) -> Option<Offer> {
        let mut offers = self.offers.borrow_mut();
        let index = offers.iter().position(|(known, _)| *known == number)?;
        offers.remove(index).map(|(_, offer)| offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_found_by_its_token_and_the_oldest_makes_room() {
        let powerbox = Powerbox::default();
        let choose =
            |name: &str| powerbox.chosen(Object::Identity(name.into()), vec![true]).unwrap();
        let first = choose("first");
        let claim = powerbox.claim(first.as_bytes()).unwrap();
        assert_eq!((claim.object, claim.required), (Object::Identity("first".into()), vec![true]));
        assert!(powerbox.claim(b"nonsense").is_none());
        let others: Vec<String> = (0..CLAIMS).map(|n| choose(&n.to_string())).collect();
        assert!(powerbox.claim(first.as_bytes()).is_none());
        assert!(others.iter().all(|token| powerbox.claim(token.as_bytes()).is_some()));
    }

    #[test]
    fn a_request_is_fulfilled_once() {
        let powerbox = Powerbox::default();
        let request = powerbox.request();
        assert_eq!(powerbox.outcome(request), Some(Outcome::Waiting));
        assert!(powerbox.fulfil(request, "a".into(), vec![1]));
        assert!(!powerbox.fulfil(request, "b".into(), vec![2]));
        let first = Outcome::Fulfilled { token: "a".into(), descriptor: vec![1] };
        assert_eq!(powerbox.outcome(request), Some(first));
        assert!(!powerbox.fulfil(99, "c".into(), Vec::new()));
    }
}
