//! The seam to whoever answers on the shell's origin (`crate::shell`): the front end checks host
//! names and the form of requests, the shell does the rest.

use std::rc::Rc;

use futures::future::LocalBoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;

use super::event::Event;
use super::front::body::Outgoing;

/// Who answers on the shell's origin.
pub(crate) trait ShellSite {
    /// Answers a request whose `Host` is the shell's; nothing else of it has been checked.
    fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> LocalBoxFuture<'static, Response<Outgoing>>;

    /// What a person opens.
    fn url(&self) -> String;

    /// Something happened to the grain that the front end was started for.
    fn event(&self, event: &Event);

    /// The front end is about to close: ends what was begun here.
    fn close(self: Rc<Self>) -> LocalBoxFuture<'static, ()>;
}
