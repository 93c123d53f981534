//! The proxy as a user of `spk-web-session`: the rows that hold for each of them, with a capability
//! that leads to a scripted session.

use std::rc::Rc;

use capnp::capability::FromClientHook;
use spk_web_session_conformance::client::Client;
use spk_web_session_conformance::session::{Seen, Session};
use spk_web_session_conformance::{Row, for_each_row};

use crate::app::App;
use crate::platform::Platform;
use crate::rig::{Rig, run};

/// What the app believes to ask.
const HOST: &str = "any.example:8080";

/// `token/0` in base64.
const BEARER: &str = "Authorization: Bearer dG9rZW4vMA==\r\n";

fn through_the_proxy(rows: Vec<Row>) {
    run(async move {
        let base = format!("http://{HOST}");
        let app = App::manual().await;
        for row in rows {
            let seen = Rc::new(Seen::default());
            let (script, streams) = (row.script(), row.streaming());
            let session = Session { script, seen: seen.clone(), streams }.client();
            let platform = Rc::new(Platform::default());
            platform.saved.borrow_mut().push(Some(session.cast_to()));
            let rig = Rig::serving(app.port, &|_| {}, Some(platform.api()));
            let address = format!("127.0.0.1:{}", rig.proxy_port);
            let mut client = Client::connect(&address, HOST).await;
            row.check(&seen, &mut client, &base, &base, BEARER).await;
        }
    });
}

for_each_row!(through_the_proxy);
