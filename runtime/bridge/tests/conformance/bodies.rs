//! http-bridge §10.3 and §10.4: bodies and WebDAV.

use std::rc::Rc;

use capnp::Error;
use spk_schema::web_session_capnp::web_session::{self, PropfindDepth, request_stream, response};

use crate::app::App;
use crate::host::{Sink, describe};
use crate::rig::{Rig, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The request the app sees.
async fn seen(call: impl AsyncFnOnce(web_session::Client)) -> String {
    let app = App::answering(OK).await;
    let rig = Rig::with(app.port, &|mut config| config.set_api_path("/api/"));
    call(rig.session().await).await;
    app.request()
}

fn expect(
    call: impl AsyncFnOnce(web_session::Client) + 'static,
    start: &'static str,
    body: &'static str,
) {
    run(async move {
        let request = seen(call).await;
        assert!(request.starts_with(start), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    });
}

async fn post(session: web_session::Client, mime_type: &str, body: &[u8], encoding: &str) {
    let mut request = session.post_request();
    request.get().set_path("p");
    let mut content = request.get().init_content();
    content.set_mime_type(mime_type);
    content.set_content(body);
    if !encoding.is_empty() {
        content.set_encoding(encoding);
    }
    request.send().promise.await.unwrap();
}

#[test]
fn c01_post() {
    expect(
        async |session| post(session, "text/plain", b"abc", "").await,
        "POST /p HTTP/1.1\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\
         Accept-Language: ",
        "abc",
    );
}

#[test]
fn c02_empty_post() {
    expect(
        async |session| post(session, "text/plain", b"", "").await,
        "POST /p HTTP/1.1\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n",
        "",
    );
}

#[test]
fn c03_put_without_type() {
    expect(
        async |session| {
            let mut request = session.put_request();
            request.get().set_path("p");
            request.get().init_content().set_content(b"abc");
            request.send().promise.await.unwrap();
        },
        "PUT /p HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n",
        "abc",
    );
}

#[test]
fn c04_encoded_post() {
    expect(
        async |session| post(session, "text/plain", b"zzz", "gzip").await,
        "POST /p HTTP/1.1\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\
         Content-Encoding: gzip\r\n",
        "zzz",
    );
}

fn patch(size: usize) {
    run(async move {
        let app = App::answering(OK).await;
        let session = Rig::new(app.port).session().await;
        let body: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let mut request = session.patch_request();
        request.get().set_path("p");
        let mut content = request.get().init_content();
        content.set_mime_type("a/b");
        content.set_content(&body);
        request.send().promise.await.unwrap();
        let requests = app.requests.borrow();
        let start = format!(
            "PATCH /p HTTP/1.1\r\nConnection: close\r\nContent-Type: a/b\r\nContent-Length: {size}\r\n"
        );
        assert!(requests[0].starts_with(start.as_bytes()));
        assert!(requests[0].ends_with(&body));
    });
}

#[test]
fn c08_patch() {
    patch(3_000_000);
}

#[test]
fn c09_large_patch() {
    patch(60_000_000);
}

#[test]
fn c10_delete() {
    run(async {
        let request = seen(async |session| {
            let mut request = session.delete_request();
            request.get().set_path("p");
            request.send().promise.await.unwrap();
        })
        .await;
        assert!(request.starts_with("DELETE /p HTTP/1.1\r\nConnection: close\r\nAccept-Language"));
        assert!(!request.contains("Content-Length"), "{request}");
    });
}

/// A streamed POST.
struct Upload {
    stream: request_stream::Client,
    sink: Rc<Sink>,
}

impl Upload {
    async fn start(session: &web_session::Client) -> Upload {
        let sink = Rc::new(Sink::default());
        let mut request = session.post_streaming_request();
        request.get().set_path("p");
        request.get().set_mime_type("a/b");
        request.get().set_encoding("gzip");
        request.get().init_context().set_response_stream(sink.client());
        let response = request.send().promise.await.unwrap();
        Upload { stream: response.get().unwrap().get_stream().unwrap(), sink }
    }

    async fn write(&self, data: &[u8]) -> Result<(), Error> {
        // As an ordinary call, so that its own error is seen.
        let stream = capnp::capability::Client::new(
            capnp::capability::FromClientHook::into_client_hook(self.stream.clone()),
        );
        let mut request = stream.new_call::<
            spk_schema::util_capnp::byte_stream::write_params::Owned,
            capnp::any_pointer::Owned,
        >(0xcd57_3877_29cf_e35f, 0, None);
        request.get().set_data(data);
        request.send().promise.await.map(|_| ())
    }

    async fn expect_size(&self, size: u64) -> Result<(), Error> {
        let mut request = self.bytes().expect_size_request();
        request.get().set_size(size);
        request.send().promise.await.map(|_| ())
    }

    async fn done(&self) -> Result<(), Error> {
        self.bytes().done_request().send().promise.await.map(|_| ())
    }

    async fn response(&self) -> Result<String, Error> {
        let response = self.stream.get_response_request().send().promise.await?;
        Ok(describe(response.get()?, &self.sink).await)
    }

    fn bytes(&self) -> spk_schema::util_capnp::byte_stream::Client {
        capnp::capability::FromClientHook::cast_to(self.stream.clone())
    }
}

fn upload(steps: impl AsyncFnOnce(&Upload) + 'static, framing: &'static str, body: &'static str) {
    run(async move {
        let request = seen(async |session| {
            let upload = Upload::start(&session).await;
            let answered = upload.response();
            let (response, ()) = tokio::join!(answered, steps(&upload));
            assert_eq!(response.unwrap(), "content Ok bytes=");
        })
        .await;
        let start = "POST /p HTTP/1.1\r\nConnection: close\r\nContent-Type: a/b\r\n\
                     Content-Encoding: gzip\r\nAccept-Language: ";
        assert!(request.starts_with(start), "{request}");
        assert!(request.ends_with(&format!("\r\n{framing}\r\n\r\n{body}")), "{request}");
    });
}

#[test]
fn c11_announced_size() {
    upload(
        async |upload| {
            upload.expect_size(5).await.unwrap();
            upload.write(b"hello").await.unwrap();
            upload.done().await.unwrap();
        },
        "Content-Length: 5",
        "hello",
    );
}

#[test]
fn c12_nothing() {
    upload(async |upload| upload.done().await.unwrap(), "Content-Length: 0", "");
}

#[test]
fn c13_one_chunk_per_write() {
    upload(
        async |upload| {
            upload.write(b"hello, hello, hello").await.unwrap();
            upload.write(b"").await.unwrap();
            upload.write(b"world").await.unwrap();
            upload.done().await.unwrap();
        },
        "Transfer-Encoding: chunked",
        "13\r\nhello, hello, hello\r\n5\r\nworld\r\n0\r\n\r\n",
    );
}

#[test]
fn c13_overlapping_calls_stay_in_order() {
    upload(
        async |upload| {
            let results = futures::join!(
                upload.expect_size(6),
                upload.write(b"a"),
                upload.write(b"bc"),
                upload.write(b"def"),
                upload.done(),
            );
            assert!(results.0.is_ok() && results.1.is_ok() && results.4.is_ok());
        },
        "Content-Length: 6",
        "abcdef",
    );
}

/// The steps on an upload whose app takes everything and never answers.
fn rejected(steps: impl AsyncFnOnce(&Upload) + 'static) {
    run(async move {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let upload = Upload::start(&session).await;
        tokio::task::spawn_local(async move { app.accept().await.read_to_end().await });
        steps(&upload).await;
    });
}

#[test]
fn c14_too_many_bytes() {
    rejected(async |upload| {
        upload.expect_size(5).await.unwrap();
        let error = upload.write(b"abcdef").await.unwrap_err();
        assert!(error.to_string().contains("more bytes"), "{error}");
    });
}

#[test]
fn c15_too_few_bytes() {
    rejected(async |upload| {
        upload.expect_size(5).await.unwrap();
        upload.write(b"abcd").await.unwrap();
        let error = upload.done().await.unwrap_err();
        assert!(error.to_string().contains("fewer bytes"), "{error}");
    });
}

#[test]
fn c16_calls_out_of_turn() {
    rejected(async |upload| {
        upload.write(b"a").await.unwrap();
        upload.done().await.unwrap();
        assert!(upload.done().await.unwrap_err().to_string().contains("twice"));
        assert!(upload.expect_size(1).await.is_err());
        assert!(upload.write(b"a").await.unwrap_err().to_string().contains("after done"));
    });
    run(async {
        let app = App::answering(OK).await;
        let upload = Upload::start(&Rig::new(app.port).session().await).await;
        upload.done().await.unwrap();
        upload.response().await.unwrap();
        assert!(upload.response().await.unwrap_err().to_string().contains("twice"));
    });
}

#[test]
fn c17_dropped_without_done() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let upload = Upload::start(&session).await;
        upload.write(b"abc").await.unwrap();
        let mut connection = app.accept().await;
        drop(upload);
        assert!(connection.read_to_end().await);
        assert_eq!(connection.body(), b"3\r\nabc\r\n");
    });
}

#[test]
fn c18_early_answer() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let upload = Upload::start(&session).await;
        let piece = vec![b'x'; 8192];
        let (response, (), ()) = tokio::join!(
            upload.response(),
            async {
                for _ in 0..3_000_000 / piece.len() {
                    upload.write(&piece).await.unwrap();
                }
                upload.done().await.unwrap();
            },
            async {
                let mut connection = app.accept().await;
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                // Gone without having read the body.
            },
        );
        assert_eq!(response.unwrap(), "content Ok bytes=hi");
    });
}

#[test]
fn c18_early_answer_to_a_buffered_body() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let body = vec![b'x'; 20_000_000];
        let ((), mut connection) = tokio::join!(post(session, "a/b", &body, ""), async {
            let mut connection = app.accept().await;
            connection.send(OK.as_bytes()).await;
            connection
        });
        connection.read_to_end().await;
        assert!(connection.received.len() < body.len());
    });
}

#[test]
fn c22_answer_before_the_upload_ends() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let upload = Upload::start(&session).await;
        let ((), mut connection) =
            tokio::join!(async { upload.write(b"abc").await.unwrap() }, async {
                let mut connection = app.accept().await;
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                connection
            });
        assert_eq!(upload.response().await.unwrap(), "content Ok bytes=hi");
        upload.write(b"def").await.unwrap();
        upload.done().await.unwrap();
        assert!(connection.read_until(b"0\r\n\r\n").await);
        assert_eq!(connection.body(), b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    });
}

#[test]
fn c23_writes_wait_for_the_app() {
    run(async {
        let app = App::manual().await;
        let session = Rig::new(app.port).session().await;
        let upload = Upload::start(&session).await;
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        let patience = std::time::Duration::from_millis(300);
        while tokio::time::timeout(patience, upload.write(&piece)).await.is_ok() {
            sent += piece.len();
            assert!(sent < 100 << 20, "no back-pressure");
        }
    });
}

// WebDAV

fn dav(
    call: impl AsyncFnOnce(web_session::Client) + 'static,
    lines: &'static str,
    body: &'static str,
) {
    run(async move {
        let request = seen(call).await;
        let expected = lines.replacen('\n', " HTTP/1.1\r\nConnection: close\r\n", 1);
        let expected = expected.replace("\r\n", "\n").replace('\n', "\r\n");
        assert!(request.starts_with(&format!("{expected}\r\nAccept-Language")), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    });
}

#[test]
fn d01_propfind() {
    dav(
        async |session| {
            let mut request = session.propfind_request();
            request.get().set_path("p");
            request.send().promise.await.unwrap();
        },
        "PROPFIND /p\nDepth: infinity\nContent-Type: application/xml;charset=utf-8\nContent-Length: 0",
        "",
    );
}

#[test]
fn d02_propfind_with_depth() {
    dav(
        async |session| {
            let mut request = session.propfind_request();
            request.get().set_path("p");
            request.get().set_depth(PropfindDepth::One);
            request.get().set_xml_content("<a/>");
            request.send().promise.await.unwrap();
        },
        "PROPFIND /p\nDepth: 1\nContent-Type: application/xml;charset=utf-8\nContent-Length: 4",
        "<a/>",
    );
}

#[test]
fn d04_copy() {
    dav(
        async |session| {
            let mut request = session.copy_request();
            request.get().set_path("p");
            request.get().set_destination("x");
            request.get().set_no_overwrite(true);
            request.get().set_shallow(true);
            request.send().promise.await.unwrap();
        },
        "COPY /p\nDestination: /x\nOverwrite: F\nDepth: 0",
        "",
    );
}

#[test]
fn d05_copy_by_default() {
    dav(
        async |session| {
            let mut request = session.copy_request();
            request.get().set_path("p");
            request.get().set_destination("x");
            request.send().promise.await.unwrap();
        },
        "COPY /p\nDestination: /x\nOverwrite: T\nDepth: infinity",
        "",
    );
}

#[test]
fn d09_move() {
    dav(
        async |session| {
            let mut request = session.move_request();
            request.get().set_path("p");
            request.get().set_destination("d/e,f");
            request.send().promise.await.unwrap();
        },
        "MOVE /p\nDestination: /d/e,f\nOverwrite: T",
        "",
    );
}

#[test]
fn d09_bad_destination() {
    run(async {
        let app = App::answering(OK).await;
        let session = Rig::new(app.port).session().await;
        for destination in ["a b", "a\nb", "a\tb"] {
            let mut request = session.move_request();
            request.get().set_destination(destination);
            assert!(request.send().promise.await.is_err(), "{destination:?}");
        }
        assert!(app.requests.borrow().is_empty());
    });
}

#[test]
fn d10_move_in_api_session() {
    run(async {
        let app = App::answering(OK).await;
        let rig = Rig::with(app.port, &|mut config| config.set_api_path("/api/"));
        let session = rig.api(None).await.unwrap();
        let mut request = session.move_request();
        request.get().set_path("p");
        request.get().set_destination("d/e");
        request.send().promise.await.unwrap();
        let request = app.request();
        assert!(request.starts_with("MOVE /api/p HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nDestination: /api/d/e\r\n"), "{request}");
    });
}

#[test]
fn d11_unlock() {
    dav(
        async |session| {
            let mut request = session.unlock_request();
            request.get().set_path("p");
            request.get().set_lock_token("<urn:x>");
            request.send().promise.await.unwrap();
        },
        "UNLOCK /p\nLock-Token: <urn:x>",
        "",
    );
}

#[test]
fn d12_lock() {
    dav(
        async |session| {
            let mut request = session.lock_request();
            request.get().set_path("p");
            request.get().set_xml_content("<l/>");
            request.send().promise.await.unwrap();
        },
        "LOCK /p\nDepth: infinity\nContent-Type: application/xml;charset=utf-8\nContent-Length: 4",
        "<l/>",
    );
}

#[test]
fn d13_report() {
    dav(
        async |session| {
            let mut request = session.report_request();
            request.get().set_path("p");
            let mut content = request.get().init_content();
            content.set_mime_type("text/xml");
            content.set_content(b"<r/>");
            request.send().promise.await.unwrap();
        },
        "REPORT /p\nContent-Type: text/xml\nContent-Length: 4",
        "<r/>",
    );
}

#[test]
fn d14_acl_and_proppatch() {
    dav(
        async |session| {
            let mut request = session.acl_request();
            request.get().set_path("p");
            request.get().set_xml_content("<a/>");
            request.send().promise.await.unwrap();
        },
        "ACL /p\nContent-Type: application/xml;charset=utf-8\nContent-Length: 4",
        "<a/>",
    );
    dav(
        async |session| {
            let mut request = session.proppatch_request();
            request.get().set_path("p");
            request.get().set_xml_content("<a/>");
            request.send().promise.await.unwrap();
        },
        "PROPPATCH /p\nContent-Type: application/xml;charset=utf-8\nContent-Length: 4",
        "<a/>",
    );
}

#[test]
fn d15_mkcol() {
    dav(
        async |session| {
            let mut request = session.mkcol_request();
            request.get().set_path("p");
            request.send().promise.await.unwrap();
        },
        "MKCOL /p\nContent-Type: \nContent-Length: 0",
        "",
    );
}

async fn options(response: &'static str) -> (bool, bool, bool, Vec<String>) {
    let app = App::answering(response).await;
    let session = Rig::new(app.port).session().await;
    let mut request = session.options_request();
    request.get().set_path("p");
    let response = request.send().promise.await.unwrap();
    let options = response.get().unwrap();
    assert!(app.request().starts_with("OPTIONS /p HTTP/1.1\r\n"));
    let extensions = options.get_dav_extensions().unwrap().iter();
    (
        options.get_dav_class1(),
        options.get_dav_class2(),
        options.get_dav_class3(),
        extensions.map(|token| token.unwrap().to_string().unwrap()).collect(),
    )
}

#[test]
fn d16_options() {
    run(async {
        let answer =
            options("HTTP/1.1 200 OK\r\nDAV: 1, 2,calendar-access\r\nDAV: addressbook\r\n\r\n")
                .await;
        let extensions = vec!["calendar-access".to_owned(), "addressbook".to_owned()];
        assert_eq!(answer, (true, true, false, extensions));
    });
}

#[test]
fn d17_options_refused() {
    run(async {
        for status in [405, 500] {
            let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(options(response.leak()).await, (false, false, false, vec![]));
        }
    });
}

/// The response type of all methods with one is the same, as the code relies on.
#[test]
fn d18_response_branch_of_dav() {
    run(async {
        let app =
            App::answering("HTTP/1.1 207 Multi-Status\r\nContent-Length: 4\r\n\r\n<m/>").await;
        let session = Rig::new(app.port).session().await;
        let request = session.propfind_request();
        let answer = request.send().promise.await.unwrap();
        let reader: response::Reader<'_> = answer.get().unwrap();
        // Without a response stream everything is buffered.
        assert_eq!(describe(reader, &Sink::default()).await, "content MultiStatus bytes=<m/>");
    });
}
