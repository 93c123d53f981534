//! Objects of the host's own that an app may be given for tests, each only when the developer asks
//! for it (`spk run --grant NAME`).

use std::rc::Rc;

use capnp::Error;
use capnp::capability::Client;
use spk_grains::store::capabilities::Object;
use spk_schema::api_session_capnp::api_session;
use spk_schema::email_capnp::email_send_port;
use spk_schema::grain_capnp::ui_session;
use spk_schema::web_session_capnp::web_session::{self, context, response};

use super::Objects;
use crate::serve::interfaces;

/// An HTTP API that answers with what it was asked.
pub const HTTP_API: &str = "http-api";

/// A port for mail that ends in the directory of `--mail`.
pub const MAIL: &str = "mail";

/// All of them, with what they are.
pub const GRANTS: [(&str, &str); 2] = [
    (HTTP_API, "an HTTP API that answers with what it was asked"),
    (MAIL, "a port for mail; what is sent is kept in the directory of --mail"),
];

impl Objects {
    /// The object of this name, if it is granted.
    pub(super) fn grant(self: &Rc<Self>, name: &str) -> Result<Client, Error> {
        if !self.granted.iter().any(|granted| granted == name) {
            return Err(Error::failed(format!(
                "the host was started without --grant {name}, with which it was saved"
            )));
        }
        let object = Object::Grant(name.to_owned());
        match name {
            HTTP_API => Ok(self.own_object(object, || {
                let api: api_session::Client = capnp_rpc::new_client(HttpApi);
                api.client
            })),
            MAIL => Ok(self.own_object(object, || {
                let port: email_send_port::Client = capnp_rpc::new_client(Port(self.clone()));
                port.client
            })),
            _ => Err(Error::failed(format!("this host has nothing called {name}"))),
        }
    }
}

/// Where mail goes in.
struct Port(Rc<Objects>);

impl email_send_port::Server for Port {
    async fn send(
        self: Rc<Self>,
        params: email_send_port::SendParams,
        _: email_send_port::SendResults,
    ) -> Result<(), Error> {
        self.0.send_mail(params.get()?.get_email()?)
    }

    async fn hint_address(
        self: Rc<Self>,
        _: email_send_port::HintAddressParams,
        _: email_send_port::HintAddressResults,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// Answers each request with a JSON text about it.
struct HttpApi;

fn answer(
    mut to: response::Builder<'_>,
    method: &str,
    path: capnp::text::Reader<'_>,
    context: context::Reader<'_>,
    content: Option<(&[u8], &[u8])>,
) -> Result<(), Error> {
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = serde_json::Map::new();
    for header in context.get_additional_headers()? {
        let value = words(header.get_value()?.as_bytes());
        headers.insert(words(header.get_name()?.as_bytes()), value.into());
    }
    let mut said = serde_json::json!({
        "method": method, "path": format!("/{}", words(path.as_bytes())), "headers": headers,
    });
    if let Some((kind, body)) = content {
        said["contentType"] = words(kind).into();
        said["body"] = words(body).into();
    }
    let mut content = to.reborrow().init_content();
    content.set_status_code(response::SuccessCode::Ok);
    content.set_mime_type("application/json");
    content.init_body().set_bytes(format!("{said}\n").as_bytes());
    Ok(())
}

impl ui_session::Server for HttpApi {}

macro_rules! with_content {
    ($($method:ident $name:literal $Params:ident $Results:ident;)*) => {$(
        async fn $method(
            self: Rc<Self>,
            params: web_session::$Params,
            mut results: web_session::$Results,
        ) -> Result<(), Error> {
            let p = params.get()?;
            let content = p.get_content()?;
            let content = (content.get_mime_type()?.as_bytes(), content.get_content()?);
            answer(results.get(), $name, p.get_path()?, p.get_context()?, Some(content))
        }
    )*};
}

impl web_session::Server for HttpApi {
    async fn get(
        self: Rc<Self>,
        params: web_session::GetParams,
        mut results: web_session::GetResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        let method = if p.get_ignore_body() { "HEAD" } else { "GET" };
        answer(results.get(), method, p.get_path()?, p.get_context()?, None)
    }

    async fn delete(
        self: Rc<Self>,
        params: web_session::DeleteParams,
        mut results: web_session::DeleteResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        answer(results.get(), "DELETE", p.get_path()?, p.get_context()?, None)
    }

    with_content! {
        post "POST" PostParams PostResults;
        put "PUT" PutParams PutResults;
        patch "PATCH" PatchParams PatchResults;
    }
}

impl api_session::Server for HttpApi {}

/// The powerbox tags of networks, outgoing and incoming: interfaces of the original's `ip.capnp`,
/// which this host does not speak.
const NETWORKS: [u64; 2] = [0xa982_576b_7a2a_2040, 0xe32c_506e_e93e_d6fa];

/// Why nothing here answers a request for these tags, for the developer.
pub(crate) fn why_none(wanted: &[Vec<u64>]) -> String {
    let asks = "the app's page asks the powerbox for";
    match wanted.iter().flatten().next().copied() {
        Some(interfaces::API_SESSION) => {
            format!(
                "{asks} an HTTP API, and none is granted; --grant {HTTP_API} gives one for tests"
            )
        }
        Some(interfaces::EMAIL_SEND_PORT) => {
            format!(
                "{asks} a port for mail, and none is granted; --grant {MAIL}, with --mail, gives one"
            )
        }
        Some(interfaces::UI_VIEW) => {
            format!("{asks} another grain, and this host has none to give")
        }
        Some(tag) if NETWORKS.contains(&tag) => {
            format!(
                "{asks} a network, and this host has none to give: apps here reach nothing outside"
            )
        }
        Some(tag) => format!("{asks} something with the tag {tag:#x}, and nobody here offers it"),
        None => format!("{asks} nothing: the request has no descriptor with a tag"),
    }
}

/// What a descriptor of a grant or identity says: its one tag.
pub(crate) fn tag_of(object: &Object) -> Option<u64> {
    match object {
        Object::Identity(_) => Some(interfaces::IDENTITY),
        Object::Grant(name) if name == HTTP_API => Some(interfaces::API_SESSION),
        Object::Grant(name) if name == MAIL => Some(interfaces::EMAIL_SEND_PORT),
        _ => None,
    }
}
