//! One run of the app, driven by the check instead of by a person.

use std::cell::RefCell;
use std::rc::Rc;

use spk_host::serve::{self, Event, Options};
use spk_sandbox::Denied;

use super::ending::Ending;
use crate::driving::{Announced, Ready};
use crate::error::{CliError, Result, ResultExt};
use crate::serving;

/// What became of it.
pub struct Served<T> {
    /// What driving it gave; nothing if it did not start.
    pub driven: Option<T>,
    /// Whether it answered, and ended in order.
    pub result: Result<()>,
    /// The system calls that were denied.
    pub denied: Vec<Denied>,
    /// What the host had to say.
    pub notes: Vec<String>,
}

/// Serves until `drive`, called when the app answers, is done.
///
/// # Errors
/// When it was interrupted. That the app does not work is in [`Served::result`].
pub fn serve<T, F>(options: Options, ending: &Ending, drive: F) -> Result<Served<T>>
where
    T: 'static,
    F: AsyncFnOnce(Ready) -> T + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let local = tokio::task::LocalSet::new();
    let _serving = ending.serving();
    let notes: Rc<RefCell<Vec<String>>> = Rc::default();
    let denied: Rc<RefCell<Vec<Denied>>> = Rc::default();
    let interrupted = Rc::new(RefCell::new(false));
    let outcome: Rc<RefCell<Option<T>>> = Rc::default();
    let result = local.block_on(&runtime, async {
        let (sender, is_ready) = tokio::sync::oneshot::channel();
        let observer = observer(sender, notes.clone(), denied.clone());
        let (interrupted, outcome, asked) = (interrupted.clone(), outcome.clone(), ending.clone());
        let stop = async move {
            let driven = async {
                match is_ready.await {
                    Ok(ready) => {
                        let driven = drive(ready).await;
                        *outcome.borrow_mut() = Some(driven);
                    }
                    // It did not start: what serves it says so.
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = driven => {}
                () = asked.asked() => *interrupted.borrow_mut() = true,
            }
        };
        serve::run(options, observer, stop).await
    });
    drop(local);
    if *interrupted.borrow() {
        return Err(CliError::new("interrupted"));
    }
    let driven = outcome.take();
    Ok(Served {
        driven,
        result: result.map_err(serving::failure),
        notes: notes.take(),
        denied: denied.take(),
    })
}

fn observer(
    sender: tokio::sync::oneshot::Sender<Ready>,
    notes: Rc<RefCell<Vec<String>>>,
    denied: Rc<RefCell<Vec<Denied>>>,
) -> impl FnMut(Event) + 'static {
    let mut sender = Some(sender);
    let mut announced = Announced::default();
    move |event| match event {
        Event::Session { .. } | Event::Ready { .. } => {
            if let Some(ready) = announced.take(&event)
                && let Some(sender) = sender.take()
            {
                // Nobody waits any more after a signal.
                let _ = sender.send(ready);
            }
        }
        Event::DeniedInAll(calls) => denied.borrow_mut().extend(calls),
        Event::Note(text) => notes.borrow_mut().push(text),
        _ => {}
    }
}
