//! The connections of a front end: how many and how slow they may be, and their end.

use std::cell::RefCell;
use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client_limits::ClientLimits;

/// See the module.
pub(super) struct Clients {
    pub limits: ClientLimits,
    closing: watch::Sender<bool>,
    connections: RefCell<JoinSet<()>>,
}

impl Clients {
    pub fn new(limits: ClientLimits) -> Clients {
        Clients { limits, closing: watch::channel(false).0, connections: RefCell::default() }
    }

    /// Serves a connection beside the others.
    pub fn serve(&self, connection: impl Future<Output = ()> + 'static) {
        let mut connections = self.connections.borrow_mut();
        while connections.try_join_next().is_some() {}
        connections.spawn_local(connection);
    }

    /// Says `true` when no further request is to be taken.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Lets requests under way finish, for a moment, and closes every connection.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut connections = std::mem::take(&mut *self.connections.borrow_mut());
        let drained = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.limits.drain, drained).await;
        connections.shutdown().await;
    }
}
