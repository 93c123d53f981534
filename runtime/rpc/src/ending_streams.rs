//! Flow control that ends with its stream.
//!
//! The library makes a task for each stream of calls, and that task never ends: it waits for
//! calls when nobody is left who could make one.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use capnp::Error;
use capnp::capability::Promise;
use capnp_rpc::{FlowController, OutgoingMessage};

/// The same flow control and task; but the task ends when nobody uses the flow control any more and
/// all calls are answered.
pub fn ending(
    (inner, mut task): (Box<dyn FlowController>, Promise<(), Error>),
) -> (Box<dyn FlowController>, Promise<(), Error>) {
    let stream = Rc::new(Stream::default());
    let controller = Box::new(Ending { inner, stream: stream.clone() });
    let task = std::future::poll_fn(move |context| {
        let polled = Pin::new(&mut task).poll(context);
        if polled.is_pending() && stream.is_over() {
            return Poll::Ready(Ok(()));
        }
        stream.task.replace(Some(context.waker().clone()));
        polled
    });
    (controller, Promise::from_future(task))
}

#[derive(Default)]
struct Stream {
    is_released: Cell<bool>,
    unanswered: Cell<usize>,
    task: RefCell<Option<Waker>>,
}

impl Stream {
    fn is_over(&self) -> bool {
        self.is_released.get() && self.unanswered.get() == 0
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// Flow control whose end is noticed.
struct Ending {
    inner: Box<dyn FlowController>,
    stream: Rc<Stream>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.stream.is_released.set(true);
        self.stream.wake();
    }
}

impl FlowController for Ending {
    fn send(
        &mut self,
        message: Box<dyn OutgoingMessage>,
        answer: Promise<(), Error>,
    ) -> Promise<(), Error> {
        let unanswered = Unanswered::new(self.stream.clone());
        let answer = Promise::from_future(async move {
            let _unanswered = unanswered;
            answer.await
        });
        self.inner.send(message, answer)
    }

    fn wait_all_acked(&mut self) -> Promise<(), Error> {
        self.inner.wait_all_acked()
    }
}

/// A call of the stream that has no answer yet.
struct Unanswered(Rc<Stream>);

impl Unanswered {
    fn new(stream: Rc<Stream>) -> Unanswered {
        stream.unanswered.set(stream.unanswered.get() + 1);
        Unanswered(stream)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.unanswered.set(self.0.unanswered.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake};

    use capnp::message::{Builder, HeapAllocator};
    use futures::channel::oneshot;

    use super::*;

    /// Flow control as the library's: its task keeps the answers, and does not end.
    #[derive(Default)]
    struct Endless(Rc<RefCell<Vec<Promise<(), Error>>>>);

    impl FlowController for Endless {
        fn send(
            &mut self,
            _: Box<dyn OutgoingMessage>,
            answer: Promise<(), Error>,
        ) -> Promise<(), Error> {
            self.0.borrow_mut().push(answer);
            Promise::ok(())
        }

        fn wait_all_acked(&mut self) -> Promise<(), Error> {
            Promise::ok(())
        }
    }

    struct NoMessage;

    impl OutgoingMessage for NoMessage {
        fn get_body(&mut self) -> capnp::Result<capnp::any_pointer::Builder<'_>> {
            Err(Error::failed("there is none".into()))
        }

        fn get_body_as_reader(&self) -> capnp::Result<capnp::any_pointer::Reader<'_>> {
            Err(Error::failed("there is none".into()))
        }

        fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
            (Promise::ok(()), Rc::new(Builder::new_default()))
        }

        fn take(self: Box<Self>) -> Builder<HeapAllocator> {
            Builder::new_default()
        }

        fn size_in_words(&self) -> usize {
            0
        }
    }

    /// Notes that it was woken.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A task that is polled first, and then whenever it was woken.
    struct Run {
        task: Promise<(), Error>,
        woken: Arc<Woken>,
    }

    impl Run {
        fn new(task: Promise<(), Error>) -> Run {
            let run = Run { task, woken: Arc::default() };
            run.woken.0.store(true, Ordering::Relaxed);
            run
        }

        fn has_ended(&mut self) -> bool {
            let waker = self.woken.clone().into();
            while self.woken.0.swap(false, Ordering::Relaxed) {
                let polled = Pin::new(&mut self.task).poll(&mut Context::from_waker(&waker));
                if polled.is_ready() {
                    return true;
                }
            }
            false
        }
    }

    #[test]
    fn the_task_ends_after_the_last_answer() {
        let answers: Rc<RefCell<Vec<Promise<(), Error>>>> = Rc::default();
        let kept = answers.clone();
        let task = Promise::from_future(std::future::poll_fn(move |context| {
            kept.borrow_mut().retain_mut(|answer| Pin::new(answer).poll(context).is_pending());
            Poll::Pending
        }));
        let (mut controller, task) = ending((Box::new(Endless(answers)), task));
        let (answer, answered) = oneshot::channel();
        let answered = Promise::from_future(async move {
            let _ = answered.await;
            Ok(())
        });
        drop(controller.send(Box::new(NoMessage), answered));
        let mut run = Run::new(task);
        assert!(!run.has_ended(), "it is in use");
        drop(controller);
        assert!(!run.has_ended(), "a call has no answer");
        assert_eq!(answer.send(()), Ok(()));
        assert!(run.has_ended());
    }

    #[test]
    fn the_task_of_a_stream_without_calls_ends() {
        let never = Promise::from_future(std::future::pending());
        let (controller, task) = ending((Box::new(Endless::default()), never));
        let mut run = Run::new(task);
        assert!(!run.has_ended(), "it is in use");
        drop(controller);
        assert!(run.has_ended());
    }
}
