//! http-bridge §10.11, the app's own side: its socket, hooks, objects, identities; and mail.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use capnp::capability::{Client, FromClientHook};
use capnp::{Error, any_pointer};
use futures::FutureExt;
use spk_schema::email_capnp::email_send_port;
use spk_schema::grain_capnp::{app_persistent, ui_view};
use spk_schema::identity_capnp::identity;
use spk_schema::package_capnp::bridge_config;
use spk_schema::sandstorm_http_bridge_capnp::{app_hooks, sandstorm_http_bridge};
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::util_capnp::handle;

use crate::app::App;
use crate::platform::{Platform, User};
use crate::rig::{Rig, WEB_SESSION, get, run, usual_user};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Opens a session whose user has an identity.
async fn visit(rig: &Rig, platform: &Rc<Platform>) -> Client {
    let mut request = rig.view.new_session_request();
    let mut user = request.get().init_user_info();
    user.set_identity(capnp_rpc::new_client(User("Ana")));
    usual_user(user);
    request.get().set_context(platform.context());
    request.get().set_session_type(WEB_SESSION);
    request.get().set_tab_id(&[0xab; 16]);
    let params = request.get().get_session_params();
    let mut params: spk_schema::web_session_capnp::web_session::params::Builder = params.init_as();
    params.set_base_path("http://h");
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_session().unwrap().cast_to()
}

async fn context_of(
    app: &sandstorm_http_bridge::Client,
    id: &str,
) -> Result<spk_schema::grain_capnp::session_context::Client, Error> {
    let mut request = app.get_session_context_request();
    request.get().set_id(id);
    request.send().promise.await?.get()?.get_context()
}

#[test]
fn x20_session_context() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::new(app.port);
        let _session = visit(&rig, &platform).await;
        let context = context_of(&rig.app(None), "0").await.unwrap();
        context.close_request().send().promise.await.unwrap();
        assert_eq!(platform.claims.borrow()[0].0, "closed");
    });
}

#[test]
fn x21_ended_session() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::new(app.port);
        let peer = rig.app(None);
        let session = visit(&rig, &platform).await;
        assert!(context_of(&peer, "0").await.is_ok());
        drop(session);
        // The host's message that it let go is on its way.
        while context_of(&peer, "0").await.is_ok() {}
        for id in ["0", "1", "", "00", "x"] {
            assert_eq!(context_of(&peer, id).await.err().unwrap().kind, capnp::ErrorKind::Failed);
        }
    });
}

#[test]
fn x22_request_of_normal_session() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        let _session = visit(&rig, &Rc::default()).await;
        let peer = rig.app(None);
        let mut request = peer.get_session_request_request();
        request.get().set_id("0");
        assert_eq!(request.send().promise.await.err().unwrap().kind, capnp::ErrorKind::Failed);
        let mut request = peer.get_session_offer_request();
        request.get().set_id("0");
        assert_eq!(request.send().promise.await.err().unwrap().kind, capnp::ErrorKind::Failed);
    });
}

fn saving(mut config: bridge_config::Builder<'_>) {
    config.set_save_identity_caps(true);
}

async fn saved(app: &sandstorm_http_bridge::Client, id: &str) -> Result<identity::Client, Error> {
    let mut request = app.get_saved_identity_request();
    request.get().set_identity_id(id);
    request.send().promise.await?.get()?.get_identity()
}

const ANA: &str = "00070e151c232a31383f464d545b6269";

#[test]
fn x14_first_visit_is_remembered() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &saving, Some(platform.api()));
        visit(&rig, &platform).await;
        let link = rig.var.path().join(".sandstorm-http-bridge/identities").join(ANA);
        while fs::read_link(&link).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("token%2F0"));
        assert_eq!(*platform.labels.borrow(), ["user identity"]);
        // Only once per run.
        visit(&rig, &platform).await;
        saved(&rig.app(None), ANA).await.unwrap();
        assert_eq!(platform.saved.borrow().len(), 1);
        assert_eq!(platform.restored.borrow().len(), 1);
    });
}

#[test]
fn x15_second_run() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &saving, Some(platform.api()));
        platform.saved.borrow_mut().push(Some(user("Ana")));
        let directory = rig.var.path().join(".sandstorm-http-bridge/identities");
        std::os::unix::fs::symlink("token%2F0", directory.join(ANA)).unwrap();
        visit(&rig, &platform).await;
        platform.until(|platform| !platform.restored.borrow().is_empty()).await;
        assert_eq!(*platform.restored.borrow(), [b"token/0"]);
        saved(&rig.app(None), ANA).await.unwrap();
        assert!(platform.labels.borrow().is_empty(), "not saved again");
    });
}

#[test]
fn x15_token_that_does_not_work() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &saving, Some(platform.api()));
        platform.saved.borrow_mut().push(None);
        let directory = rig.var.path().join(".sandstorm-http-bridge");
        std::os::unix::fs::symlink("token%2F0", directory.join("identities").join(ANA)).unwrap();
        visit(&rig, &platform).await;
        let link = directory.join("identities").join(ANA);
        while fs::read_link(&link).ok().is_none_or(|target| target.to_str() != Some("token%2F1")) {
            tokio::task::yield_now().await;
        }
        assert_eq!(*platform.dropped.borrow(), [b"token/0"]);
        assert_eq!(fs::read_dir(directory.join("trash")).unwrap().count(), 0);
    });
}

#[test]
fn x23_no_saved_identities() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &|_| {}, Some(platform.api()));
        let peer = rig.app(None);
        assert!(saved(&peer, ANA).await.is_err());
        // Accepted and forgotten.
        let mut request = peer.save_identity_request();
        request.get().set_identity(user("Ana").cast_to());
        request.send().promise.await.unwrap();
        assert!(platform.saved.borrow().is_empty());
    });
}

fn user(name: &'static str) -> Client {
    let user: identity::Client = capnp_rpc::new_client(User(name));
    user.cast_to()
}

#[test]
fn x24_saved_identity() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &saving, Some(platform.api()));
        let peer = rig.app(None);
        let mut request = peer.save_identity_request();
        request.get().set_identity(user("Bo").cast_to());
        request.send().promise.await.unwrap();
        let identity = saved(&peer, &"cd".repeat(16)).await.unwrap();
        let response = identity.get_profile_request().send().promise.await.unwrap();
        let profile = response.get().unwrap().get_profile().unwrap();
        assert_eq!(profile.get_display_name().unwrap().get_default_text().unwrap(), "Bo");
    });
}

#[test]
fn x25_bad_identity_ids() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(app.port, &saving, Some(platform.api()));
        let peer = rig.app(None);
        for id in ["zz", "", &"CD".repeat(16), "../../../../../../../../etc/pas", &"ab".repeat(16)]
        {
            assert_eq!(
                saved(&peer, id).await.err().unwrap().kind,
                capnp::ErrorKind::Failed,
                "{id}"
            );
        }
    });
}

// Hooks and objects

fn hooked(mut config: bridge_config::Builder<'_>) {
    config.set_expect_app_hooks(true);
}

/// Hooks that count their calls.
struct Hooks {
    has_view: bool,
    calls: Rc<Cell<u32>>,
}

impl app_hooks::Server<any_pointer::Owned> for Hooks {
    async fn get_view_info(
        self: Rc<Self>,
        _: app_hooks::GetViewInfoParams<any_pointer::Owned>,
        mut results: app_hooks::GetViewInfoResults,
    ) -> Result<(), Error> {
        self.calls.set(self.calls.get() + 1);
        if !self.has_view {
            return Err(Error::unimplemented("no view of my own".into()));
        }
        results.get().init_permissions(1).get(0).set_name("dynamic");
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: app_hooks::RestoreParams<any_pointer::Owned>,
        mut results: app_hooks::RestoreResults<any_pointer::Owned>,
    ) -> Result<(), Error> {
        let id: capnp::text::Reader<'_> = params.get()?.get_object_id()?.get_as()?;
        let object: handle::Client =
            capnp_rpc::new_client(Object(id.to_string()?, self.calls.clone()));
        results.get().init_cap().set_as_capability(object.into_client_hook());
        Ok(())
    }

    async fn drop(
        self: Rc<Self>,
        params: app_hooks::DropParams<any_pointer::Owned>,
        _: app_hooks::DropResults<any_pointer::Owned>,
    ) -> Result<(), Error> {
        let id: capnp::text::Reader<'_> = params.get()?.get_object_id()?.get_as()?;
        assert_eq!(id, "object-1");
        self.calls.set(self.calls.get() + 100);
        Ok(())
    }
}

/// An object of the app that can be saved, and answers pings.
struct Object(String, Rc<Cell<u32>>);

impl handle::Server for Object {
    async fn ping(
        self: Rc<Self>,
        _: handle::PingParams,
        _: handle::PingResults,
    ) -> Result<(), Error> {
        self.1.set(self.1.get() + 10);
        Ok(())
    }
}

impl app_persistent::Server<any_pointer::Owned> for Object {
    async fn save(
        self: Rc<Self>,
        _: app_persistent::SaveParams<any_pointer::Owned>,
        mut results: app_persistent::SaveResults<any_pointer::Owned>,
    ) -> Result<(), Error> {
        let mut results = results.get();
        results.reborrow().init_object_id().set_as(capnp::text::Reader(self.0.as_bytes()))?;
        results.init_label().set_default_text("an object");
        Ok(())
    }
}

fn hooks(has_view: bool) -> (Client, Rc<Cell<u32>>) {
    let calls = Rc::new(Cell::new(0));
    let hooks: app_hooks::Client<any_pointer::Owned> =
        capnp_rpc::new_client(Hooks { has_view, calls: calls.clone() });
    (hooks.cast_to(), calls)
}

async fn permissions(view: &ui_view::Client) -> Vec<String> {
    let response = view.get_view_info_request().send().promise.await.unwrap();
    let list = response.get().unwrap().get_permissions().unwrap();
    list.iter().map(|item| item.get_name().unwrap().to_string().unwrap()).collect()
}

#[test]
fn x16_hooks_not_connected_yet() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &hooked);
        let mut pending = Box::pin(permissions(&rig.view));
        let session = rig.session().await;
        get(&session, "").await.unwrap();
        assert!((&mut pending).now_or_never().is_none());
        // Names in headers keep coming from the configuration.
        assert!(app.request().contains("\r\nX-Sandstorm-Permissions: view,edit\r\n"));
        let (bootstrap, _) = hooks(true);
        let _peer = rig.app(Some(bootstrap));
        assert_eq!(pending.await, ["dynamic"]);
    });
}

#[test]
fn x17_hooks_without_view() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &hooked);
        let (bootstrap, calls) = hooks(false);
        let _peer = rig.app(Some(bootstrap));
        assert_eq!(permissions(&rig.view).await, ["view", "comment", "edit"]);
        assert_eq!(calls.get(), 1);
    });
}

#[test]
fn x26_first_peer_counts() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &hooked);
        let ((first, first_calls), (second, second_calls)) = (hooks(true), hooks(true));
        let peer = rig.app(Some(first));
        // An answered call: the bridge has accepted the first peer before the second comes.
        let _ = context_of(&peer, "0").await;
        let _other = rig.app(Some(second));
        permissions(&rig.view).await;
        assert_eq!((first_calls.get(), second_calls.get()), (1, 0));
    });
}

async fn restore(rig: &Rig, id: &str) -> Result<Client, Error> {
    let mut request = rig.main_view.restore_request();
    let mut object_id = request.get().init_object_id().init_application();
    object_id.set_as(capnp::text::Reader(id.as_bytes()))?;
    request.send().promise.await?.get()?.get_cap().get_as_capability()
}

#[test]
fn x18_restore_without_hooks() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        assert_eq!(restore(&rig, "x").await.err().unwrap().kind, capnp::ErrorKind::Failed);
    });
}

#[test]
fn x19_saving_an_object_of_the_app() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &hooked);
        let (bootstrap, calls) = hooks(true);
        let _peer = rig.app(Some(bootstrap));
        let object = restore(&rig, "object-1").await.unwrap();
        let own: handle::Client = object.clone().cast_to();
        own.ping_request().send().promise.await.unwrap();
        assert_eq!(calls.get(), 10);
        let persistent = rig.saved_object().await;
        let response = persistent.save_request().send().promise.await.unwrap();
        let saved = response.get().unwrap();
        assert_eq!(saved.get_label().unwrap().get_default_text().unwrap(), "an object");
        let Ok(bridge_object_id::Application(id)) = saved.get_object_id().unwrap().which() else {
            panic!("not wrapped")
        };
        assert_eq!(id.get_as::<capnp::text::Reader<'_>>().unwrap(), "object-1");
        let mut request = rig.main_view.drop_request();
        let mut object_id = request.get().init_object_id().init_application();
        object_id.set_as(capnp::text::Reader(b"object-1")).unwrap();
        request.send().promise.await.unwrap();
        assert_eq!(calls.get(), 110);
    });
}

impl Rig {
    /// An object with `AppPersistent`, as it arrives at a host when the app passes it out.
    async fn saved_object(&self) -> app_persistent::Client<bridge_object_id::Owned> {
        let platform = Rc::new(Platform::default());
        let rig = Rig::serving(self.bridge.port, &|_| {}, Some(platform.api()));
        let api = rig.app(None).get_sandstorm_api_request().send().promise.await.unwrap();
        let api = api.get().unwrap().get_api().unwrap();
        let object: app_persistent::Client<any_pointer::Owned> =
            capnp_rpc::new_client(Object("object-1".into(), Rc::default()));
        let mut request = api.save_request();
        request.get().init_cap().set_as_capability(object.clone().into_client_hook());
        request.send().promise.await.unwrap();
        // What comes back to the app is its own object again, with its own form of ID.
        let mut request = api.restore_request();
        request.get().set_token(b"token/0");
        let restored = request.send().promise.await.unwrap();
        let restored: Client = restored.get().unwrap().get_cap().get_as_capability().unwrap();
        let own: app_persistent::Client<any_pointer::Owned> = restored.cast_to();
        let response = own.save_request().send().promise.await.unwrap();
        let id = response.get().unwrap().get_object_id().unwrap();
        assert_eq!(id.get_as::<capnp::text::Reader<'_>>().unwrap(), "object-1");
        let saved = platform.saved.borrow()[0].clone().unwrap();
        saved.cast_to()
    }
}

#[test]
fn x19_foreign_objects_cannot_be_saved_by_the_app() {
    run(async {
        let app = App::answering(OK).await;
        let platform = Rc::new(Platform::default());
        let rig = Rig::new(app.port);
        let _session = visit(&rig, &platform).await;
        let context = context_of(&rig.app(None), "0").await.unwrap();
        let persistent: app_persistent::Client<any_pointer::Owned> = context.cast_to();
        let error = persistent.save_request().send().promise.await.err().unwrap();
        assert_eq!(error.kind, capnp::ErrorKind::Unimplemented);
    });
}

// Mail

#[test]
fn m01_mail() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::new(app.port);
        fs::create_dir_all(rig.var.path().join("mail/tmp")).unwrap();
        fs::create_dir_all(rig.var.path().join("mail/new")).unwrap();
        let mut request = rig.view.new_session_request();
        request.get().set_session_type(spk_bridge::session_types::EMAIL_SESSION);
        let response = request.send().promise.await.unwrap();
        let port: email_send_port::Client =
            response.get().unwrap().get_session().unwrap().cast_to();
        let mut request = port.send_request();
        let mut mail = request.get().init_email();
        mail.set_date(816_416_724_000_000_000);
        mail.set_subject("one\nEvil: two");
        mail.set_text("hello\r\n");
        mail.set_html("<p>hello");
        mail.reborrow().init_from().set_address("a@b.c");
        mail.reborrow().get_from().unwrap().set_name("Ana");
        let mut attachment = mail.init_attachments(1).get(0);
        attachment.set_content_type("a/b");
        attachment.set_content(&[7; 100]);
        request.send().promise.await.unwrap();
        let mut files = fs::read_dir(rig.var.path().join("mail/new")).unwrap();
        let file = files.next().unwrap().unwrap();
        assert_eq!(file.file_name().len(), 23);
        assert!(files.next().is_none());
        assert_eq!(fs::read_dir(rig.var.path().join("mail/tmp")).unwrap().count(), 0);
        let text = fs::read_to_string(file.path()).unwrap();
        let head = "Date: Wed, 15 Nov 1995 06:25:24 +0000\nFrom: Ana <a@b.c>\n\
                    Subject: one Evil: two\nMIME-Version: 1.0\n\
                    Content-Type: multipart/alternative; boundary=\"";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\nContent-Type: text/plain; charset=UTF-8\n\nhello\n"), "{text}");
        assert!(text.contains("\nContent-Transfer-Encoding: base64\n\nBwcH"), "{text}");
        assert!(!text.contains('\r'));
    });
}
