//! Apps that attack the host through the RPC protocol. Each ends alone: the host says why, goes on
//! or ends orderly, and stays small.

use std::sync::mpsc;

use spk_web_session_conformance::session::echo;

use super::raw::{Heard, Raw, RawLauncher};
use super::*;

/// Runs an app that attacks before it answers a request; what the host told it, and the developer.
fn attack(app: impl Fn(&mut Raw) + Clone + Send + 'static) -> (Option<String>, Vec<String>) {
    let (told, verdict) = mpsc::channel();
    let launcher = RawLauncher(move |mut raw: Raw| {
        app(&mut raw);
        let _ = told.send(raw.verdict());
    });
    let notes = Rc::new(RefCell::new(Vec::new()));
    let (dir, kept) = (tempfile::tempdir().unwrap(), notes.clone());
    let mut settings = settings(dir.path());
    settings.policy.start_timeout = Duration::from_secs(30);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let observer = move |event: Event| {
        if let Event::Note(text) = event {
            kept.borrow_mut().push(text);
        }
    };
    let never = std::future::pending();
    let run = run_with(settings, Box::new(launcher), observer, never);
    let error = local.block_on(&runtime, run).unwrap_err();
    let orderly = matches!(error, Error::AppEnded { .. } | Error::Refused { .. });
    assert!(orderly, "{error}");
    let mut notes = notes.borrow().clone();
    // The connection's end and the call's are told in either order.
    notes.push(error.to_string());
    (verdict.recv().unwrap(), notes)
}

/// The attack ends with this reason, told to both sides.
#[track_caller]
fn is_refused(app: impl Fn(&mut Raw) + Clone + Send + 'static, reason: &str) {
    let (told, notes) = attack(app);
    // An app that wrote on and on may find its connection reset instead.
    assert!(told.as_deref().is_none_or(|told| told.contains(reason)), "{told:?}");
    assert!(notes.iter().any(|note| note.contains(reason)), "{notes:?}");
}

#[test]
fn calls_that_are_never_finished_are_counted() {
    let unfinished = |raw: &mut Raw| {
        for question in 0..20_000 {
            if raw.bootstrap(question).is_err() {
                return;
            }
        }
    };
    is_refused(unfinished, "it has more than 16384 calls under way");
}

#[test]
fn calls_on_results_of_calls_have_an_end() {
    let deep = |raw: &mut Raw| {
        raw.bootstrap(0).unwrap();
        for question in 1..1000 {
            let sent = raw.send(|message| {
                let mut call = message.init_call();
                call.set_question_id(question);
                call.reborrow().init_target().init_promised_answer().set_question_id(question - 1);
                call.init_params();
            });
            if sent.is_err() {
                return;
            }
        }
    };
    is_refused(deep, "it makes calls on results of calls on results, more than 64 deep");
}

#[test]
fn a_table_of_capabilities_has_an_end() {
    let many = |raw: &mut Raw| {
        raw.bootstrap(0).unwrap();
        let _ = raw.send(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            call.reborrow().init_target().init_promised_answer().set_question_id(0);
            let mut table = call.init_params().init_cap_table(100_000);
            for index in 0..100_000 {
                table.reborrow().get(index).set_sender_hosted(index);
            }
        });
    };
    is_refused(many, "it sends 100000 capabilities in one message, more than 4096");
}

#[test]
fn the_way_to_a_capability_in_a_result_has_an_end() {
    let far = |raw: &mut Raw| {
        raw.bootstrap(0).unwrap();
        let _ = raw.send(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            let answer = call.reborrow().init_target().init_promised_answer();
            let mut steps = answer.init_transform(100_000);
            for index in 0..100_000 {
                steps.reborrow().get(index).set_get_pointer_field(0);
            }
        });
    };
    is_refused(far, "it names a result by more than 64 steps");
}

#[test]
fn nonsense_of_all_kinds_ends_the_app_alone() {
    // What the library refuses by itself: each of these must be an end, not a panic.
    let attacks: [fn(&mut Raw); 8] = [
        |raw| drop(raw.call(0, 4_000_000_000, 1, 1)),
        |raw| {
            for _ in 0..2 {
                let _ = raw.bootstrap(7);
            }
        },
        |raw| {
            let _ = raw.give(99, |mut descriptor| descriptor.set_sender_hosted(1));
        },
        |raw| {
            let _ = raw.send(|message| {
                let mut release = message.init_release();
                release.set_id(5);
                release.set_reference_count(u32::MAX);
            });
        },
        |raw| {
            let _ = raw.send(|message| {
                let disembargo = message.init_disembargo();
                disembargo.init_context().set_receiver_loopback(3);
            });
        },
        |raw| {
            raw.bootstrap(0).unwrap();
            let _ = raw.send(|message| {
                let mut disembargo = message.init_disembargo();
                disembargo.reborrow().init_target().init_promised_answer().set_question_id(0);
                disembargo.init_context().set_sender_loopback(3);
            });
        },
        |raw| {
            let _ = raw.send(|message| {
                let mut call = message.init_call();
                call.reborrow().init_target().set_imported_cap(0);
                call.init_send_results_to().init_third_party();
            });
        },
        |raw| {
            raw.introduce().unwrap();
            // The same answer twice, and one that takes the result of a call that never was.
            let _ = raw.send(|message| {
                let mut answer = message.init_return();
                answer.set_answer_id(0);
                answer.set_take_from_other_question(77);
            });
        },
    ];
    for (number, attack_) in attacks.into_iter().enumerate() {
        let (told, notes) = attack(attack_);
        assert!(told.is_some(), "{number}: {notes:?}");
    }
}

/// Whether this is a process in which this test is alone, so that its memory is the test's. Otherwise
/// the test was run in one, and passed.
pub(super) fn is_alone(module: &str, test: &str) -> bool {
    const ALONE: &str = "SPK_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let path = module_path!().split_once("::").unwrap().1.replace("hostile", module);
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let again = again.arg(format!("{path}::{test}"));
    let output = again.args(["--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Resident memory of this process, in MiB.
pub(super) fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    (pages * 4096) >> 20
}

#[test]
fn an_app_that_does_not_read_is_not_read_either() {
    if !is_alone("hostile", "an_app_that_does_not_read_is_not_read_either") {
        return;
    }
    let (told, taken) = mpsc::channel();
    let launcher = RawLauncher(move |mut raw: Raw| {
        let (question, _) = raw.until_get().unwrap();
        raw.decline(question).unwrap();
        // Whole messages, each with an answer that nobody reads.
        let (mut pair, mut number) = (Vec::new(), 0_u32);
        let taken = raw.write_until_stuck(|buffer| {
            number += 1;
            pair.clear();
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut one = Raw { stream: ours, released: Vec::new() };
            one.call(number, 0, 0xdead, 1).unwrap();
            one.finish(number).unwrap();
            drop(one);
            std::io::Read::read_to_end(&mut theirs, &mut pair).unwrap();
            buffer.extend_from_slice(&pair);
        });
        told.send(taken).unwrap();
    });
    let little = |settings: &mut Settings| settings.policy.host_limits.held_bytes = 1 << 20;
    let before = resident();
    let result =
        run_launcher(Launches::new(echo()), Box::new(launcher), little, |host| async move {
            let taken = tokio::task::spawn_blocking(move || taken.recv().unwrap()).await.unwrap();
            // Of 1 MiB of answers, each is about as large as its call.
            assert!(taken < 16 << 20, "{taken} bytes were taken");
            assert!(resident() < before + 64, "{} MiB after {before}", resident());
            host.noted("the app waits: the host keeps").await;
            // Nobody else is kept from anything.
            let view = host.ask(serde_json::json!({ "ask": "tokens" })).await.unwrap();
            assert_eq!(view, serde_json::json!([]));
        });
    result.unwrap();
}

#[test]
fn an_app_that_writes_a_response_that_nobody_reads_is_held_back() {
    if !is_alone("hostile", "an_app_that_writes_a_response_that_nobody_reads_is_held_back") {
        return;
    }
    let (told, taken) = mpsc::channel();
    let launcher = RawLauncher(move |mut raw: Raw| {
        // The host's own first question, and then the client's.
        let (question, _) = raw.until_get().unwrap();
        raw.decline(question).unwrap();
        let (question, stream) = raw.until_get().unwrap();
        raw.answer(
            question,
            |mut descriptor| descriptor.set_sender_hosted(3),
            |content, cap| {
                let response: spk_schema::web_session_capnp::web_session::response::Builder<'_> =
                    content.init_as();
                let handle = capnp::capability::FromClientHook::new(cap);
                response.init_content().init_body().set_stream(handle);
            },
        )
        .unwrap();
        let (piece, mut number) = (vec![b'x'; 256 << 10], 1000_u32);
        let taken = raw.write_until_stuck(|buffer| {
            number += 1;
            let mut message = capnp::message::Builder::new_default();
            let root: capnp_rpc::rpc_capnp::message::Builder<'_> = message.init_root();
            let mut call = root.init_call();
            call.set_question_id(number);
            call.set_interface_id(0xcd57_3877_29cf_e35f);
            call.set_method_id(0);
            call.reborrow().init_target().set_imported_cap(stream);
            let content = call.init_params().init_content();
            let mut params: spk_schema::util_capnp::byte_stream::write_params::Builder<'_> =
                content.init_as();
            params.set_data(&piece);
            capnp::serialize::write_message(buffer, &message).unwrap();
        });
        told.send(taken).unwrap();
        raw.verdict();
    });
    let little = |settings: &mut Settings| settings.policy.host_limits.held_bytes = 4 << 20;
    let before = resident();
    let result =
        run_launcher(Launches::new(echo()), Box::new(launcher), little, |host| async move {
            let mut client = host.connect().await;
            client.request("GET /endless", "", "").await;
            assert_eq!(client.head().await.unwrap().0, 200);
            let taken = tokio::task::spawn_blocking(move || taken.recv().unwrap()).await.unwrap();
            assert!(taken > 4 << 20 && taken < 32 << 20, "{taken} bytes were taken");
            assert!(resident() < before + 64, "{} MiB after {before}", resident());
        });
    result.unwrap();
}

#[test]
fn an_answer_with_the_wrong_things_in_it_is_an_error_of_that_call() {
    // The session is a promise that becomes something of the host's own; the host's calls on it
    // fail, or echo, but nothing else happens.
    let launcher = RawLauncher(move |mut raw: Raw| {
        let (question, stream) = raw.until_get().unwrap();
        raw.decline(question).unwrap();
        loop {
            let Ok(heard) = raw.hear() else { return };
            let Heard::Call { question, .. } = heard else { continue };
            // A capability of the host's where a response should be.
            let given = raw.answer(
                question,
                |mut descriptor| descriptor.set_receiver_hosted(stream),
                |mut content, cap| content.set_as_capability(cap),
            );
            if given.is_err() {
                return;
            }
        }
    });
    let result = run_launcher(
        Launches::new(echo()),
        Box::new(launcher),
        |_| {},
        |host| async move {
            for _ in 0..3 {
                let answer = host.connect().await.get("/x").await;
                assert!(matches!(answer.status, 500 | 502), "{answer:?}");
            }
        },
    );
    result.unwrap();
}

#[test]
fn a_session_that_is_the_host_s_own_object_answers_nothing() {
    let launcher = RawLauncher(move |mut raw: Raw| {
        // `newSession` is answered with the session's own context.
        loop {
            let Ok(heard) = raw.hear() else { return };
            let done = match heard {
                Heard::Bootstrap(question) => {
                    raw.give(question, |mut descriptor| descriptor.set_sender_hosted(1))
                }
                Heard::Call { question, method: 1, last_cap: Some(context), .. } => raw.answer(
                    question,
                    |mut descriptor| descriptor.set_receiver_hosted(context),
                    |content, cap| {
                        let mut results: spk_schema::grain_capnp::ui_view::new_session_results::Builder<'_> = content.init_as();
                        results.set_session(capnp::capability::FromClientHook::new(cap));
                    },
                ),
                Heard::Call { question, .. } => raw.decline(question),
                _ => Ok(()),
            };
            if done.is_err() {
                return;
            }
        }
    });
    let result = run_launcher(
        Launches::new(echo()),
        Box::new(launcher),
        |_| {},
        |host| async move {
            assert_eq!(host.connect().await.get("/x").await.status, 501);
        },
    );
    result.unwrap();
}

/// A response with these bytes in it; the stream that came with the request is kept.
fn answer_with(raw: &mut Raw, question: u32, bytes: &[u8]) -> std::io::Result<()> {
    raw.answer(
        question,
        |mut descriptor| descriptor.set_sender_hosted(3),
        |content, _| {
            let response: spk_schema::web_session_capnp::web_session::response::Builder<'_> =
                content.init_as();
            response.init_content().init_body().set_bytes(bytes);
        },
    )
}

#[test]
fn an_app_that_keeps_what_it_is_given_is_ended() {
    let launcher = RawLauncher(|mut raw: Raw| {
        while let Ok((question, _)) = raw.until_get() {
            if answer_with(&mut raw, question, b"kept").is_err() {
                return;
            }
        }
    });
    let few = |settings: &mut Settings| settings.policy.host_limits.counts.exports = 40;
    let result = run_launcher(Launches::new(echo()), Box::new(launcher), few, |host| async move {
        let mut client = host.connect().await;
        for number in 0..100 {
            // The one that is too many gets its answer, an error, or that of the next app.
            client.request(&format!("GET /{number}"), "", "").await;
            if client.answer(false).await.is_none() {
                client = host.connect().await;
            }
        }
        host.noted("it holds more than 40 of the host's objects").await;
        assert_eq!(host.connect().await.get("/after").await.text(), "kept");
    });
    result.unwrap();
}

#[test]
fn an_app_that_answers_nothing_any_more_is_ended() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let launcher = RawLauncher(move |mut raw: Raw| {
        let (question, _) = raw.until_get().unwrap();
        answer_with(&mut raw, question, b"first").unwrap();
        while raw.until_get().is_ok() {
            let _ = told.send(());
        }
    });
    let few = |settings: &mut Settings| settings.policy.host_limits.counts.unanswered = 40;
    let result = run_launcher(Launches::new(echo()), Box::new(launcher), few, |host| async move {
        // Nobody waits for the answers; the app owes them all the same.
        for number in 0..40 {
            let mut client = host.connect().await;
            client.request(&format!("GET /{number}"), "", "").await;
            heard.recv().await.unwrap();
        }
        assert!(host.notes().is_empty(), "{:?}", host.notes());
        let mut client = host.connect().await;
        client.request("GET /one-more", "", "").await;
        host.noted("it leaves more than 40 calls unanswered").await;
    });
    result.unwrap();
}

/// Whole bodies for clients that read none of them: the first ones fill the room, the others wait
/// as messages, and at last the app is not read any more.
#[test]
fn bodies_that_nobody_reads_have_an_end() {
    /// Of one body.
    const BODY: usize = 8 << 20;
    const CLIENTS: u32 = 60;
    let (told, answered) = mpsc::channel();
    let launcher = RawLauncher(move |mut raw: Raw| {
        let (question, _) = raw.until_get().unwrap();
        answer_with(&mut raw, question, b"first").unwrap();
        let body = vec![b'x'; BODY];
        raw.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let questions: Vec<u32> = (0..CLIENTS).map(|_| raw.until_get().unwrap().0).collect();
        let count = questions.iter().take_while(|id| answer_with(&mut raw, **id, &body).is_ok());
        told.send(count.count()).unwrap();
        raw.verdict();
    });
    let little = |settings: &mut Settings| settings.policy.host_limits.held_bytes = 16 << 20;
    let result =
        run_launcher(Launches::new(echo()), Box::new(launcher), little, |host| async move {
            let mut clients = Vec::new();
            for number in 0..CLIENTS {
                let mut client = host.connect().await;
                client.request(&format!("GET /{number}"), "", "").await;
                clients.push(client);
            }
            let answered =
                tokio::task::spawn_blocking(move || answered.recv().unwrap()).await.unwrap();
            // 16 bodies have room, 2 messages are kept and one more is under way. What is not taken
            // is the app's; the memory of this process is other tests' too.
            assert!((16..24).contains(&answered), "{answered} were taken");
        });
    result.unwrap();
}

/// All connections of the front end with a download that nobody reads, and the app still answers.
#[test]
fn downloads_that_nobody_reads_leave_room_for_others() {
    const CLIENTS: usize = 100;
    /// What one holds: three pieces, and their messages.
    const EACH: u64 = 400 << 10;
    let endless = spk_web_session_conformance::session::script(|call, mut reply| async move {
        if !call.path.starts_with("endless") {
            reply.text("x");
            return Ok(());
        }
        let to = reply.stream(&call);
        // With one that is not acknowledged yet, these are the three of a bridge's window.
        let write = |to: &spk_schema::util_capnp::byte_stream::Client| {
            let mut request = to.write_request();
            request.get().set_data(&[b'x'; 128 << 10]);
            request.send()
        };
        tokio::task::spawn_local(async move {
            while futures::future::try_join(write(&to), write(&to)).await.is_ok() {}
        });
        Ok(())
    });
    // What the limits are made for: a window of 256 KiB and a piece for each connection.
    let fitting = |settings: &mut Settings| {
        settings.client_limits.connections = CLIENTS + 1;
        settings.policy.host_limits.held_bytes = (CLIENTS as u64) * EACH;
    };
    with_settings(endless, fitting, |host| async move {
        let mut stalled = Vec::new();
        for number in 0..CLIENTS {
            let mut client = host.connect().await;
            client.request(&format!("GET /endless{number}"), "", "").await;
            assert_eq!(client.head().await.unwrap().0, 200);
            stalled.push(client);
        }
        assert_eq!(host.connect().await.get("/other").await.text(), "x");
    });
    let defaults = crate::serve::HostLimits::default();
    let connections = crate::serve::front::ClientLimits::default().connections as u64;
    assert!(defaults.held_bytes >= connections * EACH);
}
