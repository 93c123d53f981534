//! Answers of the app that are on their way to the host.

use std::rc::Rc;

use tokio::sync::watch;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub struct Underway(Rc<watch::Sender<usize>>);

impl Underway {
    /// One more, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Answer {
        self.0.send_modify(|count| *count += 1);
        Answer(self.clone())
    }

    /// Waits until there is none.
    pub(crate) async fn none(&self) {
        // Fails only if the sender is gone, which `self` owns.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// One of them.
pub(crate) struct Answer(Underway);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
