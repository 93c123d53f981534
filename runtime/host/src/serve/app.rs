//! One life of an app: its main object, and its processes, which are looked after until they have
//! ended.

use std::io;
use std::time::Duration;

use spk_sandbox::Exit;
use spk_schema::grain_capnp::ui_view;
use tokio::sync::{mpsc, oneshot, watch};

use super::launch::Process;
use super::view_info::ViewInfo;

/// An app that closes its connection without exiting gets this long to exit (grain-runtime §A.13).
const AFTER_DISCONNECT: Duration = Duration::from_secs(1);

/// How long the app may take to end after SIGTERM before it is killed. The original gives none;
/// this saves the databases of those who listen.
pub const GRACE: Duration = Duration::from_secs(2);

/// One life of the app.
pub(crate) struct App {
    pub view: ui_view::Client,
    pub info: ViewInfo,
    pub(super) ended: watch::Receiver<Option<Exit>>,
    pub(super) disconnected: watch::Receiver<bool>,
}

impl App {
    /// Whether calls can still be answered.
    pub fn is_alive(&self) -> bool {
        !*self.disconnected.borrow() && self.ended.borrow().is_none()
    }

    /// Resolves with how it ended.
    pub async fn how_it_ended(&self) -> Exit {
        wait_for_end(&mut self.ended.clone()).await
    }

    /// Resolves when calls cannot be answered any more.
    pub async fn gone(&self) {
        let (mut ended, mut disconnected) = (self.ended.clone(), self.disconnected.clone());
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => {}
            _ = disconnected.wait_for(|gone| *gone) => {}
        }
    }
}

/// The processes of the app that was started last, also while they do not answer yet.
#[derive(Clone)]
pub(super) struct Life {
    /// The app's first process as the host sees it, where there is one.
    pub pid: Option<i32>,
    /// How it ended.
    pub ended: watch::Receiver<Option<Exit>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What is to be done with the processes.
enum Order {
    Terminate(Duration),
    Kill,
    Freeze(oneshot::Sender<io::Result<()>>),
    Thaw(oneshot::Sender<io::Result<()>>),
}

impl Life {
    /// Looks after processes from now on, until they have ended.
    pub fn begin(process: Box<dyn Process>, disconnected: watch::Receiver<bool>) -> Life {
        let pid = process.pid();
        tracing::info!(pid, "app started");
        let (ended_sender, ended) = watch::channel(None);
        let (orders, order_receiver) = mpsc::unbounded_channel();
        let looking = look_after(process, order_receiver, ended_sender, disconnected);
        tokio::task::spawn_local(looking);
        Life { pid, ended, orders }
    }

    /// Whether they have ended.
    pub fn is_over(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Resolves with how they ended.
    pub async fn over(&mut self) -> Exit {
        wait_for_end(&mut self.ended).await
    }

    /// Stops every process where it is; if there is none left, that is done.
    pub async fn freeze(&self) -> io::Result<()> {
        self.order(Order::Freeze).await
    }

    /// Lets them go on.
    pub async fn thaw(&self) -> io::Result<()> {
        self.order(Order::Thaw).await
    }

    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Order,
    ) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        if self.orders.send(order(done)).is_err() {
            return Ok(());
        }
        // Without an answer the app has ended meanwhile.
        answer.await.unwrap_or(Ok(()))
    }

    /// Ends them, orderly first, and waits until they are gone.
    pub async fn end(mut self, grace: Duration) {
        let _ = self.orders.send(Order::Terminate(grace));
        // The sandbox kills after the grace period itself; this is for one that does not.
        if tokio::time::timeout(grace + GRACE_MARGIN, self.over()).await.is_err() {
            let _ = self.orders.send(Order::Kill);
            self.over().await;
        }
    }
}

/// What the kill at the end of the grace period may take.
const GRACE_MARGIN: Duration = Duration::from_secs(2);

pub(super) async fn wait_for_end(ended: &mut watch::Receiver<Option<Exit>>) -> Exit {
    match ended.wait_for(Option::is_some).await {
        Ok(ended) => ended.unwrap_or(Exit::Lost),
        Err(_) => Exit::Lost,
    }
}

/// Owns the processes until they have ended.
async fn look_after(
    mut process: Box<dyn Process>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ended: watch::Sender<Option<Exit>>,
    mut disconnected: watch::Receiver<bool>,
) {
    let mut asked = false;
    let mut disconnect_seen = false;
    let how = loop {
        tokio::select! {
            how = process.ended() => break how,
            order = orders.recv() => {
                let last = order.is_none();
                let done = match order {
                    // Whoever asked may be gone.
                    Some(Order::Freeze(done)) => {
                        let _ = done.send(process.freeze());
                        continue;
                    }
                    Some(Order::Thaw(done)) => {
                        let _ = done.send(process.thaw());
                        continue;
                    }
                    Some(Order::Terminate(grace)) => process.terminate(grace),
                    // Nobody holds this app any more.
                    Some(Order::Kill) | None => process.kill(),
                };
                asked = true;
                if done.is_err() || last {
                    break process.ended().await;
                }
            }
            _ = disconnected.wait_for(|gone| *gone), if !disconnect_seen => {
                disconnect_seen = true;
                if let Ok(how) =
                    tokio::time::timeout(AFTER_DISCONNECT, process.ended()).await
                {
                    break how;
                }
                let _ = process.kill();
            }
        }
    };
    drop(process);
    let how = if asked { Exit::Killed } else { how };
    tracing::info!(?how, "app ended");
    let _ = ended.send(Some(how));
}
