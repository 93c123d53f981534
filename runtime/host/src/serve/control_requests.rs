//! What other processes ask for through a grain's control socket: see [`spk_grains::store::control`].

use std::rc::{Rc, Weak};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use spk_grains::store::control::{Info, Listener, Op, Request};
use tokio::sync::{Notify, mpsc};

use super::front::Front;
use super::grain::Grain;

/// Requests that wait at a time; their senders wait, too.
const QUEUE: usize = 8;

/// Serves a grain's control socket: `stop` is told that the grain is to stop. Ends when the grain
/// is closed.
pub(crate) async fn serve(
    grain: Rc<Grain>,
    front: Weak<Front>,
    control: Listener,
    stop: Rc<Notify>,
) {
    let Some(url) = front.upgrade().map(|front| front.url()) else { return };
    let (sender, requests) = mpsc::channel(QUEUE);
    let listening = async {
        if let Err(error) = control.serve(sender).await {
            grain.notes.say(&format!("other processes cannot reach this grain: {error}"));
        }
    };
    let ask = |question| {
        let (grain, front) = (grain.clone(), front.clone());
        async move {
            let front = front.upgrade().ok_or("spk is ending")?;
            front.of(&grain).ask_json(question).await
        }
        .boxed_local()
    };
    tokio::join!(answer(&grain, requests, stop, url, ask), listening);
}

/// Does what is asked for; `stop` is told that the grain is to stop, `ask` answers questions. Ends
/// when nobody can ask any more, or the grain is closed.
async fn answer(
    grain: &Grain,
    mut requests: mpsc::Receiver<Request>,
    stop: Rc<Notify>,
    url: String,
    ask: impl Fn(Value) -> LocalBoxFuture<'static, Result<Value, String>>,
) {
    let mut closed = std::pin::pin!(grain.closed());
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            () = &mut closed => return,
        };
        let Some(mut request) = request else { return };
        match std::mem::replace(&mut request.op, Op::Info) {
            Op::Ask(question) => {
                let answer = ask(question);
                // What takes long must not keep others from stopping the grain.
                tokio::task::spawn_local(async move { request.answer_ask(answer.await) });
            }
            Op::Freeze => {
                request.answer(grain.freeze().await.map_err(|error| error.to_string()));
            }
            Op::Thaw => request.answer(grain.thaw().await.map_err(|error| error.to_string())),
            Op::Stop => {
                request.answer(Ok(()));
                stop.notify_one();
            }
            Op::Info => request.answer_info(Info { url: Some(url.clone()), app_pid: None }),
        }
    }
}
