//! The grains that one front end serves.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::serve::grain::Grain;

/// See the module.
pub(super) struct Grains {
    /// The one that the front end was started for.
    pub first: Rc<Grain>,
    also: RefCell<Vec<Weak<Grain>>>,
}

impl Grains {
    pub fn new(first: Rc<Grain>) -> Grains {
        Grains { first, also: RefCell::default() }
    }

    /// From now on there is this one, too, as long as it lives.
    pub fn add(&self, grain: &Rc<Grain>) {
        let mut also = self.also.borrow_mut();
        also.retain(|grain| grain.strong_count() > 0);
        also.push(Rc::downgrade(grain));
    }

    /// All of them.
    pub fn all(&self) -> Vec<Rc<Grain>> {
        let also = self.also.borrow();
        std::iter::once(self.first.clone()).chain(also.iter().filter_map(Weak::upgrade)).collect()
    }
}
