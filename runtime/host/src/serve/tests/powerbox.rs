//! Requests, claims and offers, as far as one host can have them.

use base64::Engine;
use capnp::capability::{Client as Cap, FromClientHook};
use serde_json::json;
use spk_schema::grain_capnp::session_context;
use spk_schema::identity_capnp::identity;
use spk_schema::powerbox_capnp::powerbox_descriptor;
use spk_schema::web_session_capnp::web_session;
use spk_web_session_conformance::session::echo;

use super::app::{Life, TAG, thing};
use super::objects::{restore, save};
use super::*;

fn context(life: &Life) -> session_context::Client {
    life.context.borrow().clone().unwrap()
}

/// A query as a page sends it.
fn query(tag: u64) -> serde_json::Value {
    let mut message = capnp::message::Builder::new_default();
    let descriptor: powerbox_descriptor::Builder<'_> = message.init_root();
    descriptor.init_tags(1).get(0).set_id(tag);
    let mut bytes = Vec::new();
    capnp::serialize_packed::write_message(&mut bytes, &message).unwrap();
    json!([base64::engine::general_purpose::STANDARD.encode(bytes)])
}

async fn claim(life: &Life, token: &str, required: &[bool]) -> Result<Cap, capnp::Error> {
    let mut request = context(life).claim_request_request();
    request.get().set_request_token(token);
    let mut list = request.get().init_required_permissions(required.len() as u32);
    required.iter().enumerate().for_each(|(index, bit)| list.set(index as u32, *bit));
    request.send().promise.await?.get()?.get_cap().get_as_capability()
}

async fn fulfil(
    context: &session_context::Client,
    cap: Cap,
    offer: bool,
) -> Result<(), capnp::Error> {
    macro_rules! hand {
        ($request:expr) => {{
            let mut request = $request;
            let mut params = request.get();
            params.reborrow().init_cap().set_as_capability(cap.hook);
            params.reborrow().init_descriptor().init_tags(1).get(0).set_id(TAG);
            params.init_display_info().init_title().set_default_text("a thing");
            request.send().promise.await.map(drop)
        }};
    }
    if offer { hand!(context.offer_request()) } else { hand!(context.fulfill_request_request()) }
}

#[test]
fn an_identity_is_chosen_claimed_and_saved() {
    with_host(echo(), |host| async move {
        let wanted = query(crate::serve::interfaces::IDENTITY);
        let choices = host.ask(json!({ "ask": "choices", "query": wanted })).await.unwrap();
        assert_eq!(choices.as_array().unwrap().len(), 5);
        assert_eq!(choices[1]["title"], "Bob Dev User");
        let chosen = host.ask(json!({ "ask": "choose", "choice": choices[1]["choice"] })).await;
        let token = chosen.unwrap()["token"].as_str().unwrap().to_owned();
        let life = host.launches.life();
        let bob = claim(&life, &token, &[true]).await.unwrap();
        let saved = save(&life, bob, "friend").await.unwrap();
        let bob: identity::Client = FromClientHook::new(restore(&life, &saved).await.unwrap().hook);
        let profile = bob.get_profile_request().send().promise.await.unwrap();
        let profile = profile.get().unwrap().get_profile().unwrap();
        assert_eq!(profile.get_preferred_handle().unwrap(), "bob");
        let picture = profile.get_picture().unwrap().get_url_request().send().promise.await;
        let picture = picture.unwrap().get().unwrap().get_host_path().unwrap().to_string().unwrap();
        let (name, path) = picture.split_once('/').unwrap();
        assert_eq!(host.at(name).await.get(&format!("/{path}")).await.status, 200);

        let error = claim(&life, "no token", &[]).await.map(drop).unwrap_err();
        assert!(error.extra.contains("no such request token"), "{error}");
        let error = claim(&life, &token, &[true, true, true, true]).await.map(drop).unwrap_err();
        assert!(error.extra.contains("does not have the permissions"), "{error}");
    });
}

#[test]
fn a_granted_http_api_answers_what_it_was_asked() {
    let grant = |settings: &mut Settings| settings.policy.grants = vec!["http-api".into()];
    with_settings(echo(), grant, |host| async move {
        let wanted = query(crate::serve::interfaces::API_SESSION);
        let choices = host.ask(json!({ "ask": "choices", "query": wanted })).await.unwrap();
        let choice = choices[0]["choice"].clone();
        assert_eq!(choice, json!({ "kind": "grant", "name": "http-api" }));
        let chosen = host.ask(json!({ "ask": "choose", "choice": choice })).await.unwrap();
        let life = host.launches.life();
        let cap = claim(&life, chosen["token"].as_str().unwrap(), &[]).await.unwrap();
        let saved = save(&life, cap, "api").await.unwrap();
        let api: web_session::Client =
            FromClientHook::new(restore(&life, &saved).await.unwrap().hook);
        let mut request = api.post_request();
        request.get().set_path("a/b?c");
        request.get().init_content().set_content(b"hi");
        let response = request.send().promise.await.unwrap();
        let Ok(web_session::response::Which::Content(content)) = response.get().unwrap().which()
        else {
            panic!("not content");
        };
        let web_session::response::content::body::Which::Bytes(bytes) =
            content.get_body().which().unwrap()
        else {
            panic!("not bytes");
        };
        let said: serde_json::Value = serde_json::from_slice(bytes.unwrap()).unwrap();
        assert_eq!(said["path"], "/a/b?c");
        assert_eq!(said["body"], "hi");
        // What was not granted cannot be had.
        let mail = json!({ "kind": "grant", "name": "mail" });
        let error = host.ask(json!({ "ask": "choose", "choice": mail })).await.unwrap_err();
        assert!(error.contains("spk run --grant mail"), "{error}");
    });
}

#[test]
fn x06_the_app_fulfils_a_request_in_a_session_of_its_own() {
    with_host(echo(), |host| async move {
        let wanted = query(TAG);
        let choices = host.ask(json!({ "ask": "choices", "query": wanted })).await.unwrap();
        assert_eq!(choices, json!([{ "choice": { "kind": "app" }, "title": "A test" }]));
        let ask = json!({ "ask": "request", "user": "bob", "query": wanted });
        let opened = host.ask(ask).await.unwrap();
        let name = opened["url"].as_str().unwrap().trim_end_matches('/').to_owned();
        let name = name.strip_prefix("http://").unwrap();
        assert_eq!(host.at(name).await.get("/").await.status, 200);
        let session = host.launches.sessions.borrow().last().unwrap().clone();
        assert!(session.starts_with("user=Bob Dev User"), "{session}");
        assert!(session.ends_with("REQUEST tags=[7] tab=16"), "{session}");
        let outcome = json!({ "ask": "outcome", "request": opened["request"] });
        assert_eq!(host.ask(outcome.clone()).await.unwrap(), json!({ "state": "waiting" }));
        let life = host.launches.life();
        let error = fulfil(&context(&life), thing(&life, "transient"), false).await.unwrap_err();
        assert!(error.extra.contains("does not implement AppPersistent"), "{error}");
        // Nobody gives what they do not have.
        let mut request = context(&life).fulfill_request_request();
        request.get().init_cap().set_as_capability(thing(&life, "given").hook);
        let mut required = request.get().init_required_permissions(4);
        (0..4).for_each(|bit| required.set(bit, true));
        let error = request.send().promise.await.map(drop).unwrap_err();
        assert!(error.extra.contains("bob does not have the permissions"), "{error}");
        fulfil(&context(&life), thing(&life, "given"), false).await.unwrap();
        let second = fulfil(&context(&life), thing(&life, "given"), false).await.unwrap_err();
        assert!(second.extra.contains("fulfilled already"), "{second}");
        let fulfilled = host.ask(outcome).await.unwrap();
        assert_eq!(fulfilled["state"], "fulfilled");
        assert_eq!(fulfilled["descriptor"], wanted[0]);
        let cap = claim(&life, fulfilled["token"].as_str().unwrap(), &[true]).await.unwrap();
        let saved = save(&life, cap, "x").await.unwrap();
        assert!(restore(&life, &saved).await.is_ok());
        assert!(host.ask(json!({ "ask": "outcome", "request": 99 })).await.is_err());
    });
}

#[test]
fn x07_an_offer_comes_back_in_an_offer_session() {
    with_host(echo(), |host| async move {
        let life = host.launches.life();
        // In an ordinary session, fulfilling equals offering.
        fulfil(&context(&life), thing(&life, "first"), false).await.unwrap();
        fulfil(&context(&life), thing(&life, "second"), true).await.unwrap();
        host.noted("the app offers alice a capability: a thing").await;
        let offers = host.ask(json!({ "ask": "offers" })).await.unwrap();
        assert_eq!(
            (offers[0]["user"].as_str(), offers[1]["title"].as_str()),
            (Some("alice"), Some("a thing"))
        );
        let ask = json!({ "ask": "accept", "offer": offers[1]["offer"], "user": "carol" });
        let opened = host.ask(ask.clone()).await.unwrap();
        assert!(host.ask(ask).await.unwrap_err().contains("there is no offer"));
        let name = opened["url"].as_str().unwrap().trim_end_matches('/').to_owned();
        let name = name.strip_prefix("http://").unwrap();
        assert_eq!(host.at(name).await.get("/").await.status, 200);
        let session = host.launches.sessions.borrow().last().unwrap().clone();
        assert!(session.starts_with("user=Carol Dev User"), "{session}");
        assert!(session.ends_with("OFFER tags=[7]"), "{session}");
        assert!(life.offered.borrow().is_some());
    });
}

#[test]
fn questions_that_are_none_are_refused() {
    with_host(echo(), |host| async move {
        for bad in [
            json!(3),
            json!({ "ask": "nothing" }),
            json!({ "ask": "choices", "query": ["!!"] }),
            json!({ "ask": "choose", "choice": { "kind": "app" } }),
            json!({ "ask": "choose", "choice": { "kind": "identity", "user": "anonymous" } }),
            json!({ "ask": "accept", "offer": 5, "user": "bob" }),
            json!({ "ask": "cancel", "lock": 5 }),
        ] {
            assert!(host.ask(bad.clone()).await.is_err(), "{bad}");
        }
    });
}

/// What one machine does not have: the page gets no choice, the developer the reason.
#[test]
fn what_cannot_be_had_here_is_told_with_the_remedy() {
    with_host(echo(), |host| async move {
        for (tag, reason) in [
            (crate::serve::interfaces::API_SESSION, "--grant http-api gives one for tests"),
            (crate::serve::interfaces::EMAIL_SEND_PORT, "--grant mail, with --mail, gives one"),
            (crate::serve::interfaces::UI_VIEW, "another grain, and this host has none to give"),
            // IpNetwork and IpInterface.
            (0xa982_576b_7a2a_2040, "a network, and this host has none to give"),
            (0xe32c_506e_e93e_d6fa, "a network, and this host has none to give"),
            (99, "something with the tag 0x63, and nobody here offers it"),
        ] {
            let choices = host.ask(json!({ "ask": "choices", "query": query(tag) })).await;
            assert_eq!(choices.unwrap(), json!([]), "{tag:x}");
            host.noted(reason).await;
        }
    });
}
