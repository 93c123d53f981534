//! What the host's objects do: saving, staying awake, mail, jobs, publishing.

use std::rc::Weak;

use capnp::capability::{Client as Cap, FromClientHook};
use serde_json::json;
use spk_grains::store::CapabilityFile;
use spk_schema::grain_capnp::session_context;
use spk_schema::hack_session_capnp::hack_session_context;
use spk_schema::identity_capnp::identity;
use spk_web_session_conformance::session::echo;

use super::app::{Life, thing};
use super::*;
use spk_files::Dir;

type Any = capnp::any_pointer::Owned;
type Api = spk_schema::grain_capnp::sandstorm_api::Client<Any>;

fn api(life: &Life) -> Api {
    life.api.borrow().clone().unwrap()
}

fn context(life: &Life) -> session_context::Client {
    life.context.borrow().clone().unwrap()
}

pub(super) async fn save(life: &Life, cap: Cap, label: &str) -> Result<Vec<u8>, capnp::Error> {
    let mut request = api(life).save_request();
    request.get().init_cap().set_as_capability(cap.hook);
    request.get().init_label().set_default_text(label);
    Ok(request.send().promise.await?.get()?.get_token()?.to_vec())
}

pub(super) async fn restore(life: &Life, token: &[u8]) -> Result<Cap, capnp::Error> {
    let mut request = api(life).restore_request();
    request.get().set_token(token);
    request.send().promise.await?.get()?.get_cap().get_as_capability()
}

async fn forget(life: &Life, token: &[u8]) -> Result<(), capnp::Error> {
    let mut request = api(life).drop_request();
    request.get().set_token(token);
    request.send().promise.await.map(drop)
}

async fn name(identity: &identity::Client) -> String {
    let response = identity.get_profile_request().send().promise.await.unwrap();
    let profile = response.get().unwrap().get_profile().unwrap();
    profile.get_display_name().unwrap().get_default_text().unwrap().to_string().unwrap()
}

async fn identity_id(life: &Life, identity: &identity::Client) -> Result<Vec<u8>, capnp::Error> {
    let mut request = api(life).get_identity_id_request();
    request.get().set_identity(identity.clone());
    Ok(request.send().promise.await?.get()?.get_id()?.to_vec())
}

fn run_object(life: &Life, cap: Cap) -> impl Future<Output = Result<(), capnp::Error>> + use<> {
    let _ = life;
    let callback: spk_schema::grain_capnp::scheduled_job::callback::Client =
        FromClientHook::new(cap.hook);
    let sent = callback.run_request().send().promise;
    async move { sent.await.map(drop) }
}

#[test]
fn identities_and_the_app_s_objects_are_saved_restored_and_dropped() {
    with_host(echo(), |host| async move {
        let life = host.launches.life();
        let alice = life.identity.borrow().clone().unwrap();
        let token = save(&life, alice.client.clone(), "user identity").await.unwrap();
        assert_eq!(token.len(), 43);
        let again: identity::Client =
            FromClientHook::new(restore(&life, &token).await.unwrap().hook);
        assert_eq!(name(&again).await, "Alice Dev Admin");
        // The same as in the session's user information.
        let id = identity_id(&life, &again).await.unwrap();
        assert_eq!(id, crate::serve::User::named("alice").identity_id("grain").unwrap());

        let own = save(&life, thing(&life, "mine"), "").await.unwrap();
        let restored = restore(&life, &own).await.unwrap();
        run_object(&life, restored).await.unwrap();
        assert_eq!(*life.runs.borrow(), ["mine"]);
        assert_eq!(
            identity_id(&life, &FromClientHook::new(thing(&life, "x").hook))
                .await
                .unwrap_err()
                .kind,
            capnp::ErrorKind::Failed
        );

        forget(&life, &token).await.unwrap();
        forget(&life, &token).await.unwrap();
        forget(&life, b"never was").await.unwrap();
        let gone = restore(&life, &token).await.map(drop).unwrap_err();
        assert_eq!(gone.kind, capnp::ErrorKind::Failed);
        assert!(gone.extra.contains("no such token"), "{gone}");
        assert!(restore(&life, &own).await.is_ok());
    });
}

#[test]
fn what_cannot_be_saved_is_said_so() {
    with_host(echo(), |host| async move {
        let life = host.launches.life();
        for (cap, words) in [
            (thing(&life, "transient"), "does not implement AppPersistent"),
            (thing(&life, "large"), "the object ID has 1048"),
            (context(&life).client, "does not implement AppPersistent"),
        ] {
            let error = save(&life, cap, "x").await.unwrap_err();
            assert_eq!(error.kind, capnp::ErrorKind::Failed);
            assert!(error.extra.contains(words), "{error}");
        }
        let error = api(&life).save_request().send().promise.await.map(drop).unwrap_err();
        assert!(error.extra.contains("the capability is null"), "{error}");
    });
}

#[test]
fn saved_capabilities_survive_the_app_and_the_host() {
    let place = tempfile::tempdir().unwrap();
    let file = || {
        let dir = Dir::open_trusted(place.path()).unwrap();
        Some(CapabilityFile::new(&dir, place.path()).unwrap())
    };
    let tokens = Rc::new(RefCell::new(Vec::new()));
    let kept = tokens.clone();
    let with_file = |settings: &mut Settings| settings.grain.capabilities = file();
    with_settings(echo(), with_file, |host| async move {
        let life = host.launches.life();
        let alice = life.identity.borrow().clone().unwrap();
        let of_alice = save(&life, alice.client.clone(), "a").await.unwrap();
        let of_thing = save(&life, thing(&life, "mine"), "b").await.unwrap();
        kept.borrow_mut().extend([of_alice, of_thing.clone()]);
        let made = host.ask(json!({ "ask": "token" })).await.unwrap();
        kept.borrow_mut().push(made["token"].as_str().unwrap().into());
        // The app is started again.
        life.ended.send_replace(Some(crate::serve::Exit::Code(1)));
        assert_eq!(host.connect().await.get("/").await.status, 200);
        let life = host.launches.life();
        assert!(restore(&life, &of_thing).await.is_ok());
    });
    // Nobody who reads the file can use what is in it.
    let text = std::fs::read_to_string(place.path().join("capabilities.json")).unwrap();
    for token in tokens.borrow().iter() {
        assert!(!text.contains(str::from_utf8(token).unwrap()));
    }
    let with_file = |settings: &mut Settings| settings.grain.capabilities = file();
    with_settings(echo(), with_file, |host| async move {
        let life = host.launches.life();
        let saved = tokens.borrow().clone();
        let alice: identity::Client =
            FromClientHook::new(restore(&life, &saved[0]).await.unwrap().hook);
        assert_eq!(name(&alice).await, "Alice Dev Admin");
        let cap = restore(&life, &saved[1]).await.unwrap();
        run_object(&life, cap).await.unwrap();
        assert_eq!(*life.runs.borrow(), ["mine"]);
        let listed = host.ask(json!({ "ask": "tokens" })).await.unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_file_that_cannot_be_read_stops_the_host_before_the_app_starts() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("capabilities.json"), "{").unwrap();
    let dir = Dir::open_trusted(place.path()).unwrap();
    let file = CapabilityFile::new(&dir, place.path()).unwrap();
    let (result, launches) = run_host(
        echo(),
        |settings| settings.grain.capabilities = Some(file),
        |_| async { unreachable!() },
    );
    assert_eq!(result.unwrap_err().to_string(), "cannot keep the grain's capabilities");
    assert_eq!(launches.count.get(), 0);
}

/// The user's side of a wake lock.
struct Notification(Rc<tokio::sync::Notify>);

impl spk_schema::activity_capnp::ongoing_notification::Server for Notification {
    async fn cancel(
        self: Rc<Self>,
        _: spk_schema::activity_capnp::ongoing_notification::CancelParams,
        _: spk_schema::activity_capnp::ongoing_notification::CancelResults,
    ) -> Result<(), capnp::Error> {
        self.0.notify_one();
        Ok(())
    }
}

#[test]
fn an_app_that_stays_awake_is_not_stopped_until_it_is_done_or_told_to() {
    let soon =
        |settings: &mut Settings| settings.policy.idle_timeout = Some(Duration::from_millis(100));
    with_settings(echo(), soon, |host| async move {
        // Asked for something all the time, until it holds its lock.
        let client = host.connect().await.get("/").await;
        assert_eq!(client.status, 200);
        let life = host.launches.life();
        let cancelled = Rc::new(tokio::sync::Notify::new());
        let lock = async |life: &Life| {
            let mut request = api(life).stay_awake_request();
            let notification = capnp_rpc::new_client(Notification(cancelled.clone()));
            request.get().set_notification(notification);
            request.get().init_display_info().init_caption().set_default_text("indexing\x1b");
            let response = request.send().promise.await.unwrap();
            response.get().unwrap().get_handle().unwrap()
        };
        let handle = lock(&life).await;
        handle.ping_request().send().promise.await.unwrap();
        let held = host.ask(json!({ "ask": "awake" })).await.unwrap();
        assert_eq!(held[0]["caption"], "indexing\\u{1b}");
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(life.ended.borrow().is_none(), "four idle times have passed");
        drop(handle);
        life.ended.subscribe().wait_for(Option::is_some).await.unwrap();

        assert_eq!(host.connect().await.get("/").await.status, 200);
        let life = host.launches.life();
        let handle = lock(&life).await;
        let held = host.ask(json!({ "ask": "awake" })).await.unwrap();
        host.ask(json!({ "ask": "cancel", "lock": held[0]["lock"] })).await.unwrap();
        cancelled.notified().await;
        assert_eq!(host.ask(json!({ "ask": "awake" })).await.unwrap(), json!([]));
        life.ended.subscribe().wait_for(Option::is_some).await.unwrap();
        drop(handle);
    });
}

#[test]
fn activity_is_told_in_printable_words() {
    with_host(echo(), |host| async move {
        let life = host.launches.life();
        let mut request = context(&life).activity_request();
        let mut event = request.get().init_event();
        event.set_type(3);
        event.set_path(capnp::text::Reader(b"a\x1b[2J\xffb"));
        let long = "long ".repeat(1 << 20);
        event.init_notification().init_caption().set_default_text(long.as_str());
        request.send().promise.await.unwrap();
        let mut request = api(&life).background_activity_request();
        request.get().init_event().set_path("x");
        request.send().promise.await.unwrap();
        let note = host.noted("activity of alice: type 3").await;
        assert!(note.len() < 2000 && !note.contains('\x1b'), "{note}");
        host.noted("activity of nobody in particular: type 0 at \"x\"").await;
        let events = host.ask(json!({ "ask": "events" })).await.unwrap();
        assert_eq!(events.as_array().unwrap().len(), 2);
    });
}

#[test]
fn what_no_host_offers_is_unimplemented_with_a_reason() {
    with_host(echo(), |host| async move {
        let life = host.launches.life();
        let hack: hack_session_context::Client = FromClientHook::new(context(&life).client.hook);
        let mail: spk_schema::email_capnp::email_send_port::Client =
            FromClientHook::new(context(&life).client.hook);
        macro_rules! unimplemented {
            ($($client:expr, $request:ident, $name:literal;)*) => {$(
                let error = $client.$request().send().promise.await.map(drop).unwrap_err();
                assert_eq!(error.kind, capnp::ErrorKind::Unimplemented, $name);
                assert!(error.extra.contains($name), "{error}");
                host.noted(concat!("the app called ", $name, ": ")).await;
            )*};
        }
        unimplemented! {
            api(&life), deprecated_publish_request, "SandstormApi.deprecatedPublish";
            api(&life), deprecated_register_action_request, "SandstormApi.deprecatedRegisterAction";
            api(&life), share_cap_request, "SandstormApi.shareCap";
            api(&life), share_view_request, "SandstormApi.shareView";
            api(&life), deleted_request, "SandstormApi.deleted";
            context(&life), get_shared_permissions_request, "SessionContext.getSharedPermissions";
            context(&life), tie_to_user_request, "SessionContext.tieToUser";
            context(&life), request_request, "SessionContext.request";
            context(&life), close_request, "SessionContext.close";
            context(&life), open_view_request, "SessionContext.openView";
            hack, get_user_address_request, "HackSessionContext.getUserAddress";
            hack, obsolete_http_get_request, "HackSessionContext.obsoleteHttpGet";
            hack, obsolete_generate_api_token_request,
                "HackSessionContext.obsoleteGenerateApiToken";
            hack, obsolete_list_api_tokens_request, "HackSessionContext.obsoleteListApiTokens";
            hack, obsolete_revoke_api_token_request, "HackSessionContext.obsoleteRevokeApiToken";
            hack, obsolete_get_ip_network_request, "HackSessionContext.obsoleteGetIpNetwork";
            hack, obsolete_get_ip_interface_request, "HackSessionContext.obsoleteGetIpInterface";
            hack, obsolete_get_ui_view_for_endpoint_request,
                "HackSessionContext.obsoleteGetUiViewForEndpoint";
            mail, send_request, "EmailSendPort.send";
        }
    });
}

#[test]
fn mail_becomes_files() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_owned();
    let kept = dir.clone();
    with_settings(
        echo(),
        |settings| settings.policy.mail = Some(dir),
        |host| async move {
            let life = host.launches.life();
            let hack: hack_session_context::Client =
                FromClientHook::new(context(&life).client.hook);
            let address = hack.get_user_address_request().send().promise.await.unwrap();
            let address = address.get().unwrap();
            assert_eq!(address.get_address().unwrap(), "alice@spk.localhost");
            let port: spk_schema::email_capnp::email_send_port::Client =
                FromClientHook::new(context(&life).client.hook);
            let mut request = port.send_request();
            let mut mail = request.get().init_email();
            mail.set_subject("hello");
            mail.set_text("text");
            request.send().promise.await.unwrap();
            host.noted("the app sent mail: ").await;
            let mut files = std::fs::read_dir(kept).unwrap();
            let text = std::fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap();
            assert!(text.contains("Subject: hello\r\n"), "{text}");
        },
    );
}

#[test]
fn jobs_run_when_they_are_due_and_survive() {
    let place = tempfile::tempdir().unwrap();
    let file = || {
        let dir = Dir::open_trusted(place.path()).unwrap();
        Some(CapabilityFile::new(&dir, place.path()).unwrap())
    };
    let with_file = |settings: &mut Settings| settings.grain.capabilities = file();
    with_settings(echo(), with_file, |host| async move {
        let life = host.launches.life();
        // Long ago: due at once.
        let mut request = api(&life).schedule_request();
        request.get().init_name().set_default_text("clean");
        request.get().set_callback(FromClientHook::new(thing(&life, "once").hook));
        request.get().get_schedule().init_one_shot().set_when(1);
        request.send().promise.await.unwrap();
        host.noted("running the scheduled job \"clean\"").await;
        while life.runs.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(*life.runs.borrow(), ["once"]);
        let mut request = api(&life).schedule_request();
        request.get().init_name().set_default_text("hourly");
        request.get().set_callback(FromClientHook::new(thing(&life, "often").hook));
        let hourly = spk_schema::grain_capnp::SchedulingPeriod::Hourly;
        request.get().get_schedule().set_periodic(hourly);
        request.send().promise.await.unwrap();
        let jobs = host.ask(json!({ "ask": "jobs" })).await.unwrap();
        assert_eq!(
            (jobs[0]["name"].as_str(), jobs[0]["period"].as_str()),
            (Some("hourly"), Some("hourly"))
        );
        let error = api(&life).schedule_request().send().promise.await.map(drop).unwrap_err();
        assert!(error.extra.contains("the callback is null"), "{error}");
    });
    // Due while nobody served it.
    let path = place.path().join("capabilities.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut records: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(records["jobs"].as_object().unwrap().len(), 1);
    records["jobs"].as_object_mut().unwrap().values_mut().next().unwrap()["due"] = 5.into();
    std::fs::write(&path, records.to_string()).unwrap();
    let with_file = |settings: &mut Settings| settings.grain.capabilities = file();
    with_settings(echo(), with_file, |host| async move {
        host.noted("running the scheduled job \"hourly\"").await;
        let life = Rc::downgrade(&host.launches.life());
        while Weak::upgrade(&life).unwrap().runs.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // It comes again.
        let jobs = host.ask(json!({ "ask": "jobs" })).await.unwrap();
        assert!(jobs[0]["due"].as_u64().unwrap() >= spk_grains::store::now());
    });
}

#[test]
fn what_lies_in_www_is_published_once_the_app_asks() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("www/sub")).unwrap();
    std::fs::write(place.path().join("www/index.html"), "<p>hello").unwrap();
    std::fs::write(place.path().join("www/sub/a b.txt"), vec![b'x'; 300_000]).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path().join("www/evil")).unwrap();
    let var = place.path().to_owned();
    with_settings(
        echo(),
        |settings| settings.grain.var = var,
        |host| async move {
            let (_, rest) = host.host.split_once('.').unwrap();
            let early = format!("{}.{rest}", "a".repeat(20));
            assert_eq!(host.at(&early).await.get("/").await.status, 404);
            let life = host.launches.life();
            let hack: hack_session_context::Client =
                FromClientHook::new(context(&life).client.hook);
            let site = async || {
                let response = hack.get_public_id_request().send().promise.await.unwrap();
                let site = response.get().unwrap();
                assert_eq!(site.get_public_id().unwrap().len(), 20);
                let name = site.get_hostname().unwrap().to_string().unwrap();
                assert_eq!(
                    site.get_auto_url().unwrap().to_string().unwrap(),
                    format!("http://{name}")
                );
                name
            };
            let name = site().await;
            assert_eq!(site().await, name);
            let mut client = host.at(&name).await;
            let before = host.calls().len();
            let answer = client.get("/?x=1").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "<p>hello"));
            assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
            assert_eq!(answer.header("cache-control"), Some("public, max-age=30"));
            assert_eq!(client.get("/sub/a%20b.txt").await.body.len(), 300_000);
            let head = client.exchange("HEAD /sub/a%20b.txt", "", "").await;
            assert_eq!((head.header("content-length"), head.body.len()), (Some("300000"), 0));
            let answer = client.get("/sub").await;
            assert_eq!((answer.status, answer.header("location")), (303, Some("/sub/")));
            for bad in ["/sub/", "/none", "/evil", "/../x", "/sub/..%2f..", "//index.html"] {
                assert_eq!(client.get(bad).await.status, 404, "{bad}");
            }
            assert_eq!(client.exchange("POST /", "Content-Length: 0\r\n", "").await.status, 405);
            assert_eq!(host.calls().len(), before);
        },
    );
}
