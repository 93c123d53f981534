//! Calls that the host gives up: message by message, since the library hides what stays behind.

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::traits::{HasTypeId, ImbueMut};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{Connection, IncomingMessage, VatNetwork as _};
use spk_bridge::process::{Host, serve_host};
use spk_schema::grain_capnp::ui_view;
use spk_schema::web_session_capnp::web_session;
use tokio::net::TcpListener;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::app::App;
use crate::host::SinkServer;
use crate::rig::{Rig, WEB_SESSION, context_client, run, usual_user};

/// Methods, by their numbers in the schemas.
const NEW_SESSION: u16 = 1;
const GET: u16 = 0;
const OPEN_WEB_SOCKET: u16 = 2;
const POST_STREAMING: u16 = 5;
const GET_RESPONSE: u16 = 0;
const SEND_BYTES: u16 = 0;

/// The one question whose number is used again and again.
const Q: u32 = 7;

/// A host that writes its messages itself.
struct RawHost {
    connection: Box<dyn Connection<Side>>,
    /// The session's number.
    session: u32,
}

/// An answer to a call.
#[derive(Debug, PartialEq)]
enum Answer {
    /// With the number of the first capability in it.
    Results(Option<u32>),
    /// With its reason.
    Exception(String),
    Canceled,
}

impl Answer {
    fn capability(self) -> u32 {
        let Answer::Results(Some(id)) = self else { panic!("no capability in {self:?}") };
        id
    }
}

enum Target {
    Export(u32),
    /// The first pointer of the results of this question.
    ResultOf(u32),
}

impl RawHost {
    /// A second host of the same bridge, and a session in it.
    async fn new(rig: &Rig) -> RawHost {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let host = Host::from_std(theirs).unwrap();
        tokio::task::spawn_local(serve_host(rig.bridge.clone(), host, std::future::pending()));
        ours.set_nonblocking(true).unwrap();
        let (input, output) = tokio::net::UnixStream::from_std(ours).unwrap().into_split();
        let options = capnp::message::ReaderOptions::new();
        let mut network =
            VatNetwork::new(input.compat(), output.compat_write(), Side::Server, options);
        let connection = network.accept().await.unwrap();
        tokio::task::spawn_local(async move { network.drive_until_shutdown().await });
        let mut host = RawHost { connection, session: 0 };
        host.send(|root| root.init_bootstrap().set_question_id(0)).await;
        let view = host.answer(0).await.capability();
        host.finish(0).await;
        host.call(1, Target::Export(view), (ui_view::Client::TYPE_ID, NEW_SESSION), |content| {
            let mut params: ui_view::new_session_params::Builder<'_> = content.init_as();
            params.set_context(context_client());
            usual_user(params.reborrow().init_user_info());
            params.set_session_type(WEB_SESSION);
            params.set_tab_id(&[0xab; 16]);
            let mut web: web_session::params::Builder<'_> = params.get_session_params().init_as();
            web.set_base_path("http://ui-abc.h:7000");
        })
        .await;
        let session = host.answer(1).await.capability();
        host.finish(1).await;
        RawHost { session, ..host }
    }

    async fn send(&mut self, write: impl FnOnce(message::Builder<'_>)) {
        let mut message = self.connection.new_outgoing_message(100);
        write(message.get_body().unwrap().init_as());
        let (sent, _): (Promise<(), capnp::Error>, _) = message.send();
        sent.await.unwrap();
    }

    async fn call(
        &mut self,
        question: u32,
        target: Target,
        (interface, method): (u64, u16),
        params: impl FnOnce(any_pointer::Builder<'_>),
    ) {
        let mut capabilities = Vec::new();
        self.send(|root| {
            let mut call = root.init_call();
            call.set_question_id(question);
            call.set_interface_id(interface);
            call.set_method_id(method);
            let mut to = call.reborrow().init_target();
            match target {
                Target::Export(id) => to.set_imported_cap(id),
                Target::ResultOf(question) => {
                    let mut answer = to.init_promised_answer();
                    answer.set_question_id(question);
                    answer.init_transform(1).get(0).set_get_pointer_field(1);
                }
            }
            let mut payload = call.init_params();
            let mut content = payload.reborrow().get_content();
            content.imbue_mut(&mut capabilities);
            params(content);
            // Nobody calls them: they need not be told apart.
            let mut table = payload.init_cap_table(capabilities.len() as u32);
            for index in 0..capabilities.len() as u32 {
                table.reborrow().get(index).set_sender_hosted(index);
            }
        })
        .await;
    }

    async fn get(&mut self, question: u32) {
        let session = Target::Export(self.session);
        self.call(question, session, (web_session::Client::TYPE_ID, GET), |content| {
            let mut params: web_session::get_params::Builder<'_> = content.init_as();
            params.set_path("page");
        })
        .await;
    }

    async fn finish(&mut self, question: u32) {
        self.send(|root| {
            let mut finish = root.init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(false);
        })
        .await;
    }

    async fn give_up(&mut self, question: u32) {
        self.send(|root| root.init_finish().set_question_id(question)).await;
    }

    async fn receive(&mut self) -> Box<dyn IncomingMessage> {
        self.connection.receive_incoming_message().await.unwrap().expect("the bridge hung up")
    }

    /// The next answer, which has to be that to `question`.
    async fn answer(&mut self, question: u32) -> Answer {
        loop {
            let message = self.receive().await;
            let root: message::Reader<'_> = message.get_body().unwrap().get_as().unwrap();
            match root.which().unwrap() {
                message::Return(answer) => {
                    let answer = answer.unwrap();
                    assert_eq!(answer.get_answer_id(), question);
                    return read(answer);
                }
                // The bridge asks for the API, and lets go of what it was given.
                message::Bootstrap(_) | message::Release(_) | message::Finish(_) => {}
                message::Abort(reason) => panic!("{:?}", reason.unwrap().get_reason()),
                _ => panic!("an unexpected message"),
            }
        }
    }

    /// The answer to a call that was given up.
    async fn refused(&mut self, question: u32) {
        let answer = self.answer(question).await;
        assert_eq!(answer, Answer::Exception("the caller gave the call up".into()));
    }
}

fn read(answer: return_::Reader<'_>) -> Answer {
    match answer.which().unwrap() {
        return_::Results(results) => {
            let mut table = results.unwrap().get_cap_table().unwrap().iter();
            Answer::Results(table.next().map(|descriptor| match descriptor.which().unwrap() {
                cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) => id,
                _ => panic!("a capability of another kind"),
            }))
        }
        return_::Exception(exception) => {
            Answer::Exception(exception.unwrap().get_reason().unwrap().to_string().unwrap())
        }
        return_::Canceled(()) => Answer::Canceled,
        _ => panic!("an answer of another kind"),
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\n\r\n";

#[test]
fn a_call_that_is_given_up_is_answered_and_its_number_free() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        rig.bridge.wait_for_app().await;
        let mut host = RawHost::new(&rig).await;
        host.get(Q).await;
        let mut connection = app.accept().await;
        host.give_up(Q).await;
        host.refused(Q).await;
        assert!(connection.read_to_end().await, "the app's connection is not closed");
        // The same number, for a call that is answered.
        host.get(Q).await;
        app.accept().await.send(OK).await;
        assert_eq!(host.answer(Q).await, Answer::Results(None));
    });
}

#[test]
fn nothing_is_left_of_thousands_that_are_given_up() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        rig.bridge.wait_for_app().await;
        let mut host = RawHost::new(&rig).await;
        // A number that is still in the library's table makes it hang up.
        for _ in 0..10_000 {
            host.get(Q).await;
            host.give_up(Q).await;
            host.refused(Q).await;
        }
        host.get(Q).await;
        // Requests of those that were given up may have got through.
        tokio::task::spawn_local(async move {
            loop {
                app.accept().await.send(OK).await;
            }
        });
        assert_eq!(host.answer(Q).await, Answer::Results(None));
    });
}

#[test]
fn others_go_on_while_calls_are_given_up() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        rig.bridge.wait_for_app().await;
        let mut host = RawHost::new(&rig).await;
        host.get(Q).await;
        let mut first = app.accept().await;
        host.get(Q + 1).await;
        let mut second = app.accept().await;
        host.give_up(Q + 1).await;
        host.refused(Q + 1).await;
        assert!(second.read_to_end().await);
        first.send(OK).await;
        assert_eq!(host.answer(Q).await, Answer::Results(None));
        // Too late: it is answered already.
        host.give_up(Q).await;
        host.get(Q).await;
        app.accept().await.send(OK).await;
        assert_eq!(host.answer(Q).await, Answer::Results(None));
    });
}

#[test]
fn a_call_that_waits_for_the_app_to_listen_can_be_given_up() {
    run(async {
        // A port on which nobody listens.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let rig = Rig::new(port);
        let mut host = RawHost::new(&rig).await;
        host.get(Q).await;
        host.give_up(Q).await;
        host.refused(Q).await;
    });
}

#[test]
fn the_response_to_an_upload_can_be_given_up() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        rig.bridge.wait_for_app().await;
        let mut host = RawHost::new(&rig).await;
        let session = Target::Export(host.session);
        let method = (web_session::Client::TYPE_ID, POST_STREAMING);
        host.call(1, session, method, |content| {
            let _: web_session::post_streaming_params::Builder<'_> = content.init_as();
        })
        .await;
        let upload = host.answer(1).await.capability();
        let method = (web_session::request_stream::Client::TYPE_ID, GET_RESPONSE);
        host.call(Q, Target::Export(upload), method, |_| {}).await;
        host.give_up(Q).await;
        host.refused(Q).await;
    });
}

/// `Finish` says that the caller needs the result no more; other calls may.
#[test]
fn a_call_goes_on_for_calls_on_its_result() {
    run(async {
        let app = App::manual().await;
        let rig = Rig::new(app.port);
        rig.bridge.wait_for_app().await;
        let mut host = RawHost::new(&rig).await;
        let session = Target::Export(host.session);
        let method = (web_session::Client::TYPE_ID, OPEN_WEB_SOCKET);
        host.call(Q, session, method, |content| {
            let mut params: web_session::open_web_socket_params::Builder<'_> = content.init_as();
            params.set_path("chat");
            params.set_client_stream(capnp_rpc::new_client(SinkServer(Rc::default())));
        })
        .await;
        let mut connection = app.accept().await;
        let method = (web_session::web_socket_stream::Client::TYPE_ID, SEND_BYTES);
        host.call(Q + 1, Target::ResultOf(Q), method, |content| {
            let mut params: web_session::web_socket_stream::send_bytes_params::Builder<'_> =
                content.init_as();
            params.set_message(b"over the tunnel");
        })
        .await;
        host.give_up(Q).await;
        connection.send(UPGRADE).await;
        assert_eq!(host.answer(Q).await, Answer::Canceled);
        assert_eq!(host.answer(Q + 1).await, Answer::Results(None));
        assert!(connection.read_until(b"over the tunnel").await);
    });
}
