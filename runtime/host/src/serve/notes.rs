//! Where what the developer should know goes.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use spk_sandbox::Denied;

use super::event::Event;
use super::losses::Loss;
use super::{denied, losses};

/// Where events go.
#[derive(Clone)]
pub(crate) struct Notes {
    inner: Rc<RefCell<NotesInner>>,
}

struct NotesInner {
    observer: Box<dyn FnMut(Event)>,
    said: HashSet<String>,
    denied: denied::Tally,
    lost: losses::Tally,
}

/// How many different notes are remembered so as not to say them twice; an app that makes up
/// reasons must not fill memory.
const REMEMBERED_NOTES: usize = 1000;

impl Notes {
    pub(crate) fn new(observer: impl FnMut(Event) + 'static) -> Notes {
        let inner = NotesInner {
            observer: Box::new(observer),
            said: HashSet::new(),
            denied: denied::Tally::default(),
            lost: losses::Tally::default(),
        };
        Notes { inner: Rc::new(RefCell::new(inner)) }
    }

    /// Tells it.
    pub(crate) fn event(&self, event: Event) {
        // An observer that calls back into the host would find it borrowed; such an event is lost.
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            (inner.observer)(event);
        }
    }

    pub(crate) fn say(&self, text: &str) {
        self.event(Event::Note(text.to_owned()));
    }

    /// Says it the first time only.
    pub(crate) fn once(&self, text: &str) {
        let new = self.inner.try_borrow_mut().is_ok_and(|mut inner| {
            inner.said.len() < REMEMBERED_NOTES && inner.said.insert(text.to_owned())
        });
        if new {
            self.say(text);
        }
    }

    /// Takes note of denied calls, and says which are new.
    pub(crate) fn denied(&self, calls: Vec<Denied>) {
        for call in calls {
            let first = self.inner.try_borrow_mut().ok().and_then(|mut i| i.denied.add(call));
            if let Some(first) = first {
                self.event(Event::Denied(first));
            }
        }
    }

    pub(crate) fn denied_in_all(&self) {
        let Ok(total) = self.inner.try_borrow_mut().map(|inner| inner.denied.total()) else {
            return;
        };
        self.event(Event::DeniedInAll(total));
    }

    /// Takes note of what does not get through, and says it the first time.
    pub(crate) fn lost(&self, loss: &Loss) {
        if self.inner.try_borrow_mut().is_ok_and(|mut inner| inner.lost.add(loss)) {
            self.event(Event::Lost(loss.clone()));
        }
    }

    pub(crate) fn lost_in_all(&self) {
        let Ok(total) = self.inner.try_borrow_mut().map(|inner| inner.lost.total()) else {
            return;
        };
        self.event(Event::LostInAll(total));
    }
}
