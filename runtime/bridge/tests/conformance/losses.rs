//! What of answers does not reach clients is told to a host that asks for it, and to no other.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use spk_schema::losses_capnp::{loss, losses, session_params};
use spk_schema::web_session_capnp::web_session;
use tokio::sync::Notify;

use crate::app::App;
use crate::rig::{API_SESSION, Rig, WEB_SESSION, context_client, get, run, usual_user};

#[derive(Default)]
struct Heard {
    said: RefCell<Vec<String>>,
    more: Notify,
}

struct Listener(Rc<Heard>);

impl losses::Server for Listener {
    async fn answered(
        self: Rc<Self>,
        params: losses::AnsweredParams,
        _: losses::AnsweredResults,
    ) -> Result<(), capnp::Error> {
        for said in params.get()?.get_losses()? {
            self.0.said.borrow_mut().push(match said.which()? {
                loss::Status(status) => format!("{} as {}", status.get_said(), status.get_sent()),
                loss::Header(name) => name?.to_string()?,
                loss::Cookie(cookie) => format!("cookie {}", cookie.get_name()?.to_string()?),
                loss::Other(()) => "?".to_owned(),
            });
        }
        self.0.more.notify_one();
        Ok(())
    }
}

/// A session whose host listens.
async fn heard(rig: &Rig, session_type: u64) -> (web_session::Client, Rc<Heard>) {
    let heard = Rc::new(Heard::default());
    let mut request = rig.view.new_session_request();
    let mut call = request.get();
    usual_user(call.reborrow().init_user_info());
    call.set_context(context_client());
    call.set_session_type(session_type);
    let mut params: session_params::Builder<'_> = call.reborrow().get_session_params().init_as();
    params.set_losses(capnp_rpc::new_client(Listener(heard.clone())));
    if session_type == WEB_SESSION {
        let mut web: web_session::params::Builder<'_> = call.get_session_params().get_as().unwrap();
        web.set_base_path("http://h");
        web.init_acceptable_languages(1).set(0, "en");
    }
    let response = request.send().promise.await.unwrap();
    (response.get().unwrap().get_session().unwrap().cast_to(), heard)
}

const ANSWER: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\nLink: <x>\r\n\
    Set-Cookie: a=b,c\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_host_that_listens_hears_what_is_lost() {
    run(async {
        let app = App::answering(ANSWER).await;
        let rig = Rig::with(app.port, &|mut config| config.set_api_path("/"));
        for kind in [WEB_SESSION, API_SESSION] {
            let (session, heard) = heard(&rig, kind).await;
            // The answer is what it is without.
            let plain = get(&rig.session().await, "").await.unwrap();
            assert_eq!(get(&session, "").await.unwrap(), plain);
            heard.more.notified().await;
            let expected = ["401 as 400", "www-authenticate", "link", "cookie a"];
            assert_eq!(*heard.said.borrow(), expected);
        }
        // What is the host's own for the session came through.
        let requests = app.requests.borrow();
        assert!(requests.iter().any(|request| {
            String::from_utf8_lossy(request).contains("Accept-Language: en\r\n")
        }));
    });
}

#[test]
fn the_answer_to_options_loses_more() {
    run(async {
        let answer = "HTTP/1.1 204 X\r\nDAV: 1\r\nAllow: GET\r\nAccess-Control-Max-Age: 1\r\n\r\n";
        let app = App::answering(answer).await;
        let (session, heard) = heard(&Rig::new(app.port), WEB_SESSION).await;
        session.options_request().send().promise.await.unwrap();
        heard.more.notified().await;
        assert_eq!(*heard.said.borrow(), ["204 as 200", "allow", "access-control-max-age"]);
    });
}

/// An answer of which nothing is lost is no message.
#[test]
fn nothing_is_said_of_nothing() {
    run(async {
        let app = App::manual().await;
        let (session, heard) = heard(&Rig::new(app.port), WEB_SESSION).await;
        for answer in ["200 OK\r\nContent-Type: a/b\r\nDate: x\r\nServer: y", "503 X"] {
            let (_, ()) = tokio::join!(get(&session, ""), async {
                let mut connection = app.accept().await;
                let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                connection.send(text.as_bytes()).await;
            });
        }
        heard.more.notified().await;
        assert_eq!(*heard.said.borrow(), ["503 as 500"]);
    });
}
