//! What other processes ask for through a grain's control socket: see [`crate::store::control`].

use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::grain::Grain;
use crate::store::control::{Info, Op, Request};

/// Does what is asked for; `stop` is told that the grain is to stop, `ask` answers questions. Ends
/// when nobody can ask any more, or the grain is closed.
pub(crate) async fn obey(
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
