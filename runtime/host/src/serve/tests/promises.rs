//! Apps whose promises break, lead nowhere or never end. Calls on them go to the app, whatever it says
//! that they became; the host goes on, and keeps nothing.

use std::sync::mpsc;

use capnp_rpc::rpc_capnp::{cap_descriptor, message};
use spk_web_session_conformance::session::echo;

use super::hostile::{is_alone, resident};
use super::raw::{Heard, Raw, RawLauncher};
use super::*;

/// What an app's promise can become.
type Becomes = fn(message::Builder<'_>);

/// Answers `newSession` with promise 2, which then becomes something, and declines what is asked of
/// it. Tells which of its objects the host gives back.
fn promising(becomes: Becomes, released: mpsc::Sender<u32>) -> impl Fn(Raw) + Clone + Send {
    move |mut raw: Raw| {
        while let Ok((question, _)) = raw.until_get_of(|mut cap| cap.set_sender_promise(2)) {
            if raw.send(becomes).and_then(|()| raw.decline(question)).is_err() {
                break;
            }
        }
        raw.released.iter().for_each(|id| released.send(*id).unwrap());
    }
}

/// Calls with capabilities in them go to a promise of the app's, whatever it becomes, and whenever.
#[test]
fn a_broken_promise_is_the_apps_own_matter() {
    for (name, becomes, given) in [
        ("an error", broken_promise as Becomes, None),
        ("nothing", |message| promise(message, |mut cap| cap.set_none(())), None),
        ("the host's", |message| promise(message, |mut cap| cap.set_receiver_hosted(0)), None),
        ("itself", |message| promise(message, |mut cap| cap.set_sender_promise(2)), Some(2)),
        ("another", |message| promise(message, |mut cap| cap.set_sender_hosted(9)), Some(9)),
    ] {
        let (sender, released) = mpsc::channel();
        let result = run_launcher(
            Launches::new(echo()),
            Box::new(RawLauncher(promising(becomes, sender))),
            |_| {},
            |host| async move {
                for _ in 0..3 {
                    let answer = host.connect().await.get("/x").await;
                    assert_eq!(answer.status, 501, "{name}: {answer:?}");
                }
            },
        );
        result.unwrap();
        if let Some(given) = given {
            assert!(released.iter().any(|id| id == given), "{name}: it is never released");
        }
    }
}

fn promise(message: message::Builder<'_>, becomes: fn(cap_descriptor::Builder<'_>)) {
    let mut resolve = message.init_resolve();
    resolve.set_promise_id(2);
    becomes(resolve.init_cap());
}

fn broken_promise(message: message::Builder<'_>) {
    let mut resolve = message.init_resolve();
    resolve.set_promise_id(2);
    resolve.init_exception().set_reason("broken");
}

/// Promises that nobody has, and chains and circles of them, cost the host nothing that stays.
#[test]
fn promises_without_end_are_not_kept() {
    const MANY: u32 = 100_000;
    if !is_alone("promises", "promises_without_end_are_not_kept") {
        return;
    }
    let launcher = RawLauncher(move |mut raw: Raw| {
        let Ok((question, _)) = raw.until_get() else { return };
        for id in 3..MANY {
            // The host gives each back, which has to be read some time.
            let sent = raw.send(|message| {
                let mut resolve = message.init_resolve();
                resolve.set_promise_id(id);
                match id % 4 {
                    0 => resolve.init_cap().set_sender_promise(id + 1),
                    1 => resolve.init_cap().set_sender_promise(3),
                    2 => resolve.init_cap().set_receiver_hosted(id),
                    _ => resolve.init_exception().set_reason("no"),
                }
            });
            let seen = raw.released.len();
            let mut back = sent;
            while back.is_ok() && id % 4 < 2 && raw.released.len() == seen {
                back = raw.hear().map(drop);
            }
            if back.is_err() {
                return;
            }
        }
        let mut done = raw.decline(question);
        while done.is_ok() {
            done = raw.until_get().and_then(|(question, _)| raw.decline(question));
        }
    });
    let before = resident();
    let result = run_launcher(
        Launches::new(echo()),
        Box::new(launcher),
        |_| {},
        |host| async move {
            assert_eq!(host.connect().await.get("/x").await.status, 501);
            assert!(resident() < before + 32, "{} MiB after {before}", resident());
        },
    );
    result.unwrap();
}

/// The app's main object is asked before it has come, and turns out to be none.
#[test]
fn a_main_object_that_is_none_is_the_apps_own_matter() {
    for (name, answer) in [
        ("nothing", (|mut cap| cap.set_none(())) as fn(cap_descriptor::Builder<'_>)),
        ("the host's", |mut cap| cap.set_receiver_hosted(0)),
        ("a promise", |mut cap| cap.set_sender_promise(1)),
    ] {
        let launcher = RawLauncher(move |mut raw: Raw| {
            // What the host has is its object 0 from then on.
            if raw.bootstrap(0).is_err() {
                return;
            }
            loop {
                let done = match raw.hear() {
                    Ok(Heard::Bootstrap(question)) => raw.give(question, answer),
                    Ok(Heard::Call { question, .. }) => raw.decline(question),
                    Ok(_) => Ok(()),
                    Err(_) => return,
                };
                if done.is_err() {
                    return;
                }
            }
        });
        let result =
            run_launcher(Launches::new(echo()), Box::new(launcher), |_| {}, |_| async move {});
        assert!(matches!(result, Err(Error::Refused { .. })), "{name}: {result:?}");
    }
}
