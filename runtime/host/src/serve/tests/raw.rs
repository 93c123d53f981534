//! An app that speaks the protocol by hand, message by message, on a thread of its own: what no
//! library would send.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::Duration;

use capnp::any_pointer;
use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::private::capability::ClientHook;
use capnp::traits::ImbueMut;
use capnp_rpc::rpc_capnp::{cap_descriptor, exception, message, payload};
use spk_sandbox::Exit;
use spk_schema::grain_capnp::ui_view;
use tokio::sync::watch;

use crate::serve::launch::{Launch, Launched, Process};
use crate::serve::log::Log;

/// The app's end of descriptor 3.
pub(super) struct Raw {
    pub stream: UnixStream,
    /// Which of its objects the host has given back.
    pub released: Vec<u32>,
}

/// A message of the host's, as far as these tests need it.
#[derive(Debug)]
pub(super) enum Heard {
    Bootstrap(u32),
    /// Question, target (export or none), interface, method, and the export of the last capability
    /// in the parameters.
    Call {
        question: u32,
        method: u16,
        interface: u64,
        last_cap: Option<u32>,
    },
    Abort(String),
    /// An answer to a call of the app's.
    Return(u32),
    Other,
}

impl Raw {
    pub fn send(&mut self, fill: impl FnOnce(message::Builder<'_>)) -> io::Result<()> {
        let mut builder = Builder::new(HeapAllocator::new().first_segment_words(64));
        fill(builder.init_root());
        capnp::serialize::write_message(&mut self.stream, &builder).map_err(io::Error::other)
    }

    /// The next message; an error when the host is gone.
    pub fn hear(&mut self) -> io::Result<Heard> {
        let read = capnp::serialize::read_message(&mut self.stream, ReaderOptions::new())
            .map_err(io::Error::other)?;
        let root: message::Reader<'_> = read.get_root().unwrap();
        let exported = |payload: payload::Reader<'_>| {
            let table = payload.get_cap_table().unwrap();
            let ids = table.iter().filter_map(|descriptor| match descriptor.which().unwrap() {
                cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) => Some(id),
                _ => None,
            });
            ids.last()
        };
        Ok(match root.which().unwrap() {
            message::Bootstrap(bootstrap) => Heard::Bootstrap(bootstrap.unwrap().get_question_id()),
            message::Call(call) => {
                let call = call.unwrap();
                Heard::Call {
                    question: call.get_question_id(),
                    interface: call.get_interface_id(),
                    method: call.get_method_id(),
                    last_cap: exported(call.get_params().unwrap()),
                }
            }
            message::Abort(abort) => {
                Heard::Abort(abort.unwrap().get_reason().unwrap().to_string().unwrap())
            }
            message::Return(answer) => Heard::Return(answer.unwrap().get_answer_id()),
            message::Release(release) => {
                self.released.push(release.unwrap().get_id());
                Heard::Other
            }
            _ => Heard::Other,
        })
    }

    /// What the host says when it gives the connection up.
    pub fn verdict(&mut self) -> Option<String> {
        loop {
            match self.hear() {
                Ok(Heard::Abort(reason)) => return Some(reason),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Answers the host's bootstrap with the app's object 1.
    pub fn introduce(&mut self) -> io::Result<()> {
        loop {
            if let Heard::Bootstrap(question) = self.hear()? {
                return self.give(question, |mut descriptor| descriptor.set_sender_hosted(1));
            }
        }
    }

    /// Answers a question with one capability.
    pub fn give(
        &mut self,
        question: u32,
        describe: impl FnOnce(cap_descriptor::Builder<'_>),
    ) -> io::Result<()> {
        self.answer(question, describe, |mut content, cap| content.set_as_capability(cap))
    }

    /// Answers a question; `describe` says what the one capability is that `fill` may use.
    pub fn answer(
        &mut self,
        question: u32,
        describe: impl FnOnce(cap_descriptor::Builder<'_>),
        fill: impl FnOnce(any_pointer::Builder<'_>, Box<dyn ClientHook>),
    ) -> io::Result<()> {
        // Stands for the first capability of the table, whatever it is.
        let stand_in = capnp_rpc::new_broken_cap(capnp::Error::failed(String::new()));
        let mut table = Vec::new();
        let mut builder = Builder::new(HeapAllocator::new().first_segment_words(64));
        {
            let mut answer = builder.init_root::<message::Builder<'_>>().init_return();
            answer.set_answer_id(question);
            answer.set_release_param_caps(false);
            let mut results = answer.init_results();
            describe(results.reborrow().init_cap_table(1).get(0));
            let mut content = results.init_content();
            content.imbue_mut(&mut table);
            fill(content, stand_in.hook);
        }
        capnp::serialize::write_message(&mut self.stream, &builder).map_err(io::Error::other)
    }

    /// Says that the app does not do this.
    pub fn decline(&mut self, question: u32) -> io::Result<()> {
        self.send(|message| {
            let mut answer = message.init_return();
            answer.set_answer_id(question);
            let mut exception = answer.init_exception();
            exception.set_reason("no");
            exception.set_type(exception::Type::Unimplemented);
        })
    }

    /// Calls the host's object `export` with nothing.
    pub fn call(
        &mut self,
        question: u32,
        export: u32,
        interface: u64,
        method: u16,
    ) -> io::Result<()> {
        self.send(|message| {
            let mut call = message.init_call();
            call.set_question_id(question);
            call.set_interface_id(interface);
            call.set_method_id(method);
            call.reborrow().init_target().set_imported_cap(export);
            call.init_params();
        })
    }

    pub fn finish(&mut self, question: u32) -> io::Result<()> {
        self.send(|message| {
            let mut finish = message.init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(true);
        })
    }

    /// Asks for the host's bootstrap object, and hears everything before the answer.
    pub fn bootstrap(&mut self, question: u32) -> io::Result<()> {
        self.send(|message| message.init_bootstrap().set_question_id(question))
    }

    /// Plays an app up to the host's next GET: its question, and the export of the response stream.
    pub fn until_get(&mut self) -> io::Result<(u32, u32)> {
        self.until_get_of(|mut descriptor| descriptor.set_sender_hosted(2))
    }

    /// The same with another description of the session.
    pub fn until_get_of(
        &mut self,
        session: impl Fn(cap_descriptor::Builder<'_>),
    ) -> io::Result<(u32, u32)> {
        loop {
            match self.hear()? {
                Heard::Bootstrap(question) => {
                    self.give(question, |mut descriptor| descriptor.set_sender_hosted(1))?;
                }
                Heard::Call { question, interface: UI_VIEW, method: 1, .. } => {
                    self.answer(question, &session, |content, cap| {
                        let mut results: ui_view::new_session_results::Builder<'_> =
                            content.init_as();
                        results.set_session(capnp::capability::FromClientHook::new(cap));
                    })?;
                }
                Heard::Call {
                    question,
                    interface: crate::serve::interfaces::WEB_SESSION,
                    last_cap,
                    ..
                } => {
                    return Ok((question, last_cap.unwrap_or_default()));
                }
                Heard::Call { question, .. } => self.decline(question)?,
                _ => {}
            }
        }
    }

    /// Writes until nobody takes it for a while; how many bytes were taken.
    pub fn write_until_stuck(&mut self, mut next: impl FnMut(&mut Vec<u8>)) -> usize {
        use std::io::Write;
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut taken, mut buffer) = (0, Vec::new());
        loop {
            buffer.clear();
            next(&mut buffer);
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                match self.stream.write(rest) {
                    Ok(0) | Err(_) => return taken,
                    Ok(count) => {
                        taken += count;
                        rest = &rest[count..];
                    }
                }
            }
        }
    }
}

/// `UiView`'s ID.
const UI_VIEW: u64 = 0xdbb4_d798_ea67_e2e7;

/// Starts such an app.
pub(super) struct RawLauncher<F>(pub F);

impl<F: Fn(Raw) + Clone + Send + 'static> Launch for RawLauncher<F> {
    fn start(
        &mut self,
        log: &Log,
        _: &crate::serve::Notes,
    ) -> Result<Launched, crate::serve::Error> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (output, _) = io::pipe().unwrap();
        log.drain(output).unwrap();
        let app = self.0.clone();
        let shutdown = theirs.try_clone().unwrap();
        let (ended, _) = watch::channel(None);
        let done = ended.clone();
        std::thread::spawn(move || {
            app(Raw { stream: theirs, released: Vec::new() });
            done.send_if_modified(|ended| {
                ended.is_none() && ended.replace(Exit::Code(0)).is_none()
            });
        });
        Ok(Launched { rpc: ours, process: Box::new(RawProcess { ended, shutdown }) })
    }
}

struct RawProcess {
    ended: watch::Sender<Option<Exit>>,
    shutdown: UnixStream,
}

impl Process for RawProcess {
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = Exit> + '_>> {
        let mut ended = self.ended.subscribe();
        Box::pin(async move { ended.wait_for(Option::is_some).await.unwrap().unwrap() })
    }

    fn terminate(&mut self, _: Duration) -> io::Result<()> {
        self.kill()
    }

    fn kill(&mut self) -> io::Result<()> {
        let _ = self.shutdown.shutdown(std::net::Shutdown::Both);
        self.ended.send_replace(Some(Exit::Signal(9)));
        Ok(())
    }

    fn freeze(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn thaw(&mut self) -> io::Result<()> {
        Ok(())
    }
}
