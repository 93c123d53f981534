//! What is told of requests and answers to who records them.

use spk_web_session_conformance::session::echo;

use super::*;
use crate::serve::{Exchange, KEPT_BODY};

#[test]
fn every_exchange_is_told_of_once_and_in_the_order_of_the_requests() {
    let told: Rc<RefCell<Vec<Exchange>>> = Rc::default();
    let hook = {
        let told = told.clone();
        move |settings: &mut Settings| {
            settings.visit.exchanges =
                Some(Rc::new(move |exchange| told.borrow_mut().push(exchange)));
        }
    };
    with_settings(echo(), hook, |host| async move {
        let headers = "Accept: text/x\r\nIf-None-Match: \"a\"\r\nCookie: c=d\r\n";
        host.connect().await.exchange("GET /a?b", headers, "").await;
        let form = "Content-Type: text/plain\r\nContent-Length: 5\r\n";
        host.connect().await.exchange("POST /p", form, "12345").await;
        let chunked = "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
        host.connect().await.exchange("PUT /q", chunked, "2\r\nab\r\n0\r\n\r\n").await;
        let long = format!("Content-Length: {}\r\n", KEPT_BODY + 1);
        host.connect().await.exchange("POST /long", &long, vec![b'x'; KEPT_BODY + 1]).await;
    });
    let mut told = told.take();
    told.sort_by_key(|exchange| exchange.number);
    let asked: Vec<_> = told
        .iter()
        .map(|told| (told.number, told.method.as_str(), told.target.as_str(), told.body.clone()))
        .collect();
    assert_eq!(
        asked,
        [
            (0, "GET", "/a?b", Some(Vec::new())),
            (1, "POST", "/p", Some(b"12345".to_vec())),
            (2, "PUT", "/q", Some(b"ab".to_vec())),
            (3, "POST", "/long", None),
        ]
    );
    assert!(told.iter().all(|told| told.status == 200 && told.user == "alice"), "{told:?}");
    // The answers came one after the other, and all of each.
    for told in &told {
        assert_eq!(told.until, told.number + 1);
        assert!(!told.program && told.answer.is_some() && told.digest.is_some(), "{told:?}");
    }
    let names: Vec<&str> = told[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "cookie"], "nothing of the connection or of a cache");
}

/// The next session has another origin, which is no other server.
#[test]
fn a_destination_in_the_session_is_told_of_as_a_path() {
    let told: Rc<RefCell<Vec<Exchange>>> = Rc::default();
    let hook = {
        let told = told.clone();
        move |settings: &mut Settings| {
            settings.visit.exchanges =
                Some(Rc::new(move |exchange| told.borrow_mut().push(exchange)));
        }
    };
    with_settings(echo(), hook, |host| async move {
        let own = format!("http://{}", host.host);
        for given in [&format!("{own}/d?e,f"), &own, "/d", "http://elsewhere.h/d"] {
            let header = format!("Destination: {given}\r\n");
            host.connect().await.exchange("COPY /s", &header, "").await;
        }
    });
    let kept = |told: &Exchange| {
        let header = told.headers.iter().find(|(name, _)| name == "destination").unwrap();
        String::from_utf8(header.1.clone()).unwrap()
    };
    let kept: Vec<String> = told.borrow().iter().map(kept).collect();
    assert_eq!(kept, ["/d?e,f", "/", "/d", "http://elsewhere.h/d"]);
}

#[test]
fn other_users_sessions_are_announced() {
    let more = |settings: &mut Settings| {
        settings.visit.other_users =
            vec![crate::serve::Visitor { user: "Bob".into(), chosen: None }]
    };
    with_settings(echo(), more, |host| async move {
        let events = host.events.borrow().clone();
        let Some(Event::Session { user, url, .. }) = events.first() else { panic!("{events:?}") };
        assert_eq!(user, "bob");
        let bob = url["http://".len()..].trim_end_matches('/');
        assert_ne!(bob, host.host);
        let answer = Client::connect(&host.address, bob).await.get("/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    });
}

#[test]
fn a_session_in_every_role_is_announced() {
    let more = |settings: &mut Settings| settings.visit.every_role = true;
    with_settings(echo(), more, |host| async move {
        let events = host.events.borrow().clone();
        let sessions = events.iter().map_while(|event| match event {
            Event::Session { user, role, url, .. } => Some((user.as_str(), role.as_deref(), url)),
            _ => None,
        });
        let sessions: Vec<_> = sessions.collect();
        let who: Vec<_> = sessions.iter().map(|(user, role, _)| (*user, *role)).collect();
        let expected = [("bob", Some("Editor")), ("carol", Some("Viewer")), ("anonymous", None)];
        assert_eq!(who, expected);
        for (user, role, url) in sessions {
            let own = url["http://".len()..].trim_end_matches('/');
            let answer = Client::connect(&host.address, own).await.get("/x").await;
            assert_eq!(answer.status, 200, "{user} {role:?}: {answer:?}");
        }
    });
}
