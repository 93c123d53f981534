//! Starting, ending, starting again.

use spk_web_session_conformance::session::{echo, script, write};

use super::app::{MANNER, Manner};
use super::*;
use crate::serve::Exit;

fn failure(manner: Manner, change: impl FnOnce(&mut Settings)) -> (Error, Rc<Launches>) {
    MANNER.set(manner);
    let (result, launches) = run_host(echo(), change, |_| async { unreachable!() });
    MANNER.set(Manner::Ordinary);
    (result.unwrap_err(), launches)
}

#[test]
fn an_app_that_exits_at_once_is_reported_with_its_last_words() {
    let (error, _) = failure(Manner::EndsAtOnce, |_| {});
    assert_eq!(
        error.to_string(),
        "the app exited with status 3 before it answered; the last lines of its log:\n    \
         app: something is \\u{1b}[31mwrong"
    );
}

#[test]
fn an_app_that_never_answers_is_reported_with_the_port_it_should_listen_on() {
    let (error, launches) = failure(Manner::Silent, |settings| {
        settings.policy.start_timeout = Duration::from_millis(200)
    });
    assert_eq!(
        error.to_string(),
        "the app did not answer within 0.2 s: nobody answers on port 8000; the last lines of \
         its log:\n    app: something is \\u{1b}[31mwrong"
    );
    assert!(error.remedy().unwrap().contains("127.0.0.1:8000"));
    // It is not left running.
    assert!(launches.life().ended.borrow().is_some());
}

#[test]
fn an_app_that_refuses_sessions_is_quoted() {
    let (error, launches) = failure(Manner::RefusesSessions, |_| {});
    assert!(error.to_string().contains("no sessions today"), "{error}");
    assert!(launches.life().ended.borrow().is_some());
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (result, launches) =
        run_host(echo(), |settings| settings.visit.port = port, |_| async { unreachable!() });
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), format!("port {port} is taken on 127.0.0.1"));
    assert!(error.remedy().unwrap().contains("--port 0"));
    assert_eq!(launches.count.get(), 0);
}

#[test]
fn g15_an_app_that_died_is_started_again_by_the_next_request() {
    with_host(echo(), |host| async move {
        let mut client = host.connect().await;
        assert_eq!(client.get("/a").await.text(), "GET a");
        host.launches.life().ended.send_replace(Some(Exit::Code(1)));
        assert_eq!(client.get("/b").await.text(), "GET b");
        assert_eq!(host.launches.count.get(), 2);
        // Several at once start it once.
        host.launches.life().ended.send_replace(Some(Exit::Code(1)));
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(host.connect().await);
        }
        for client in &mut clients {
            client.request("GET /c", "", "").await;
        }
        for client in &mut clients {
            assert_eq!(client.answer(false).await.unwrap().text(), "GET c");
        }
        assert_eq!(host.launches.count.get(), 3);
    });
}

#[test]
fn l07_an_idle_app_is_stopped_and_comes_back() {
    let soon =
        |settings: &mut Settings| settings.policy.idle_timeout = Some(Duration::from_millis(150));
    with_settings(echo(), soon, |host| async move {
        assert_eq!(host.connect().await.get("/a").await.status, 200);
        let mut ended = host.launches.life().ended.subscribe();
        ended.wait_for(Option::is_some).await.unwrap();
        assert_eq!(host.connect().await.get("/b").await.text(), "GET b");
        assert_eq!(host.launches.count.get(), 2);
    });
}

#[test]
fn l08_an_open_websocket_keeps_the_app_awake() {
    let soon =
        |settings: &mut Settings| settings.policy.idle_timeout = Some(Duration::from_millis(100));
    with_settings(echo(), soon, |host| async move {
        let mut client = host.connect().await;
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: k\r\n";
        client.request("GET /quiet", upgrade, "").await;
        assert_eq!(client.head().await.unwrap().0, 101);
        let starts = host.launches.count.get();
        let life = host.launches.life();
        // Several idle times pass; the app must outlive them.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(life.ended.borrow().is_none());
        assert_eq!(host.launches.count.get(), starts);
        drop(client);
        life.ended.subscribe().wait_for(Option::is_some).await.unwrap();
    });
}

#[test]
fn g16_a_session_that_nobody_used_for_a_while_is_opened_again() {
    let soon = |settings: &mut Settings| settings.session_idle = Duration::from_millis(50);
    with_settings(echo(), soon, |host| async move {
        assert_eq!(host.connect().await.get("/").await.status, 200);
        let before = host.launches.sessions.borrow().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(host.connect().await.get("/").await.status, 200);
        assert_eq!(host.launches.sessions.borrow().len(), before + 1);
        assert_eq!(host.launches.count.get(), 1, "the app itself runs on");
    });
}

#[test]
fn l09_a_visit_without_account_shows_nobody() {
    let visit = |settings: &mut Settings| settings.visit.user = "anonymous".into();
    with_settings(echo(), visit, |host| async move {
        let session = host.launches.sessions.borrow().last().unwrap().clone();
        let nobody = "user=Anonymous User handle=anonymous id=0 identity=false ";
        assert!(session.starts_with(nobody), "{session}");
    });
}

#[test]
fn f21_a_download_that_takes_long_keeps_the_app_awake() {
    let endless = script(|call, mut reply| async move {
        if call.path != "endless" {
            reply.text("x");
            return Ok(());
        }
        let stream = reply.stream(&call);
        write(&stream, b"begin").await?;
        // Kept until the app ends: neither done nor broken.
        std::mem::forget(stream);
        Ok(())
    });
    let soon =
        |settings: &mut Settings| settings.policy.idle_timeout = Some(Duration::from_millis(100));
    with_settings(endless, soon, |host| async move {
        let mut client = host.connect().await;
        client.request("GET /endless", "", "").await;
        assert_eq!(client.head().await.unwrap().0, 200);
        let life = host.launches.life();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(life.ended.borrow().is_none(), "five idle times have passed");
        drop(client);
        life.ended.subscribe().wait_for(Option::is_some).await.unwrap();
    });
}

#[test]
fn the_end_closes_connections_and_ends_the_app() {
    let address = Rc::new(RefCell::new(None));
    let kept = address.clone();
    let (result, launches) = run_host(
        echo(),
        |_| {},
        |host| async move {
            let client: Client = host.connect().await;
            *kept.borrow_mut() = Some((host.address.clone(), client));
        },
    );
    result.unwrap();
    assert!(launches.life().ended.borrow().is_some());
    let (address, _client) = address.take().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}
