//! http-bridge §10.1, process: the real program, with descriptor 3 as its host.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spk_bridge::limits;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::app::App;
use crate::rig::{MainViewClient, Rig, connect, context_client, get, run, usual_user};

/// A running bridge program.
struct Program {
    child: Child,
    host: Option<UnixStream>,
    directory: tempfile::TempDir,
}

/// Asked to end, the program ends its app too; killed, it could not.
impl Drop for Program {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.signal(Signal::SIGTERM);
        }
    }
}

/// What is left of it.
struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Program {
    /// Starts the program with these arguments. The configuration and other files of its own are in
    /// a fresh directory.
    fn start(args: &[&str]) -> Program {
        Program::start_with(args, true)
    }

    fn start_with(args: &[&str], with_config: bool) -> Program {
        let program = [env!("CARGO_BIN_EXE_sandstorm-http-bridge")];
        Program::start_as(&program, args, with_config)
    }

    /// By way of another program, whose last argument is the bridge.
    fn start_through(command: &[&str], args: &[&str]) -> Program {
        Program::start_as(command, args, true)
    }

    fn start_as(command: &[&str], args: &[&str], with_config: bool) -> Program {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        if with_config {
            let mut message = capnp::message::Builder::new_default();
            crate::rig::permissions(message.init_root());
            fs::write(&config, capnp::serialize::write_message_to_words(&message)).unwrap();
        }
        let (host, theirs) = UnixStream::pair().unwrap();
        // Standard input becomes descriptor 3: setting up a number of one's own takes `unsafe`.
        let child = Command::new("/bin/sh")
            .args(["-c", "exec 3<&0 0</dev/null; exec \"$@\"", "sh"])
            .args(command)
            .args(Program::own_files(&directory))
            .args(args)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Program { child, host: Some(host), directory }
    }

    fn own_files(directory: &tempfile::TempDir) -> Vec<PathBuf> {
        let own = |name: &str| directory.path().join(name);
        let (config, socket, var) = (own("config"), own("socket"), own("var"));
        let options = ["--config", "--api-socket", "--var", "--proxy-port"].map(PathBuf::from);
        options
            .into_iter()
            .zip([config, socket, var, "0".into()])
            .flat_map(<[_; 2]>::from)
            .collect()
    }

    async fn finish(mut self) -> Outcome {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let mut out = self.child.stdout.take().unwrap();
        let mut err = self.child.stderr.take().unwrap();
        let (_, _, status) = tokio::join!(
            out.read_to_string(&mut stdout),
            err.read_to_string(&mut stderr),
            self.child.wait()
        );
        Outcome { status: status.unwrap().code(), stdout, stderr }
    }

    /// Reads the program's output up to a line.
    async fn wait_for_line(&mut self, line: &str) {
        let out = self.child.stdout.as_mut().unwrap();
        let mut seen = String::new();
        loop {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).await.unwrap(), 1, "never saw {line:?}, only {seen:?}");
            seen.push(byte[0] as char);
            if byte == *b"\n" && seen.ends_with(&format!("{line}\n")) {
                return;
            }
        }
    }

    fn connect(&mut self) -> MainViewClient {
        connect(self.host.take().unwrap(), None)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap() as i32);
        kill(pid, signal).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }
}

/// A port nobody listens on.
async fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn ends(args: &'static [&'static str], status: i32, message: &'static str) {
    run(async move {
        let outcome = Program::start(args).finish().await;
        assert_eq!(outcome.status, Some(status), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    });
}

#[test]
fn a01_app_exits() {
    ends(&["8000", "--", "/bin/sh", "-c", "exit 3"], 1, "the app exited with status 3");
}

/// What the app sent before its end reaches the host: an answer, and a part of one.
#[test]
fn a01_app_exits_while_it_answers() {
    for (body, expected) in [
        ("'Content-Length: 2\\r\\n\\r\\nhi'", "content Ok bytes=hi"),
        ("'Content-Length: 9\\r\\n\\r\\nhi'", "content Ok size=9 stream=hi aborted"),
        ("'X: y\\r\\n\\r\\nhi'", "content Ok bytes=hi"),
        (
            "'Content-Length: 400000\\r\\n\\r\\n' + 'x' * 200000",
            concat!("content Ok size=400000 stream=", "x*200000", " aborted"),
        ),
    ] {
        let script = format!(
            "import os, socket, sys\n\
             listening = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
             while True:\n\
             \x20   connection, _ = listening.accept()\n\
             \x20   if connection.recv(4096): break\n\
             connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n\
             connection.sendall(('HTTP/1.1 200 OK\\r\\n' + {body}).encode())\n\
             os._exit(3)"
        );
        let expected = expected.replace("x*200000", &"x".repeat(200_000));
        run(async move {
            let port = free_port().await;
            let argv = [port.as_str(), "--", "/usr/bin/python3", "-c", &script, &port];
            let mut program = Program::start(&argv);
            let view = program.connect();
            let session = session(&view).await;
            assert_eq!(get(&session, "").await.unwrap(), expected);
            let outcome = program.finish().await;
            assert!(outcome.stderr.contains("exited with status 3"), "{}", outcome.stderr);
        });
    }
}

#[test]
fn a02_app_exits_well() {
    ends(&["8000", "--", "/bin/true"], 1, "the app exited with status 0");
}

#[test]
fn a03_without_separator() {
    ends(&["8000", "/bin/sh", "-c", "exit 3"], 1, "the app exited with status 3");
}

#[test]
fn a04_path_search() {
    ends(&["8000", "true"], 1, "the app exited with status 0");
}

#[test]
fn a05_bad_port() {
    ends(&["abc", "true"], 1, "invalid port 'abc'");
}

#[test]
fn a06_no_arguments() {
    ends(&[], 1, "missing argument");
    run(async {
        let outcome = Program::start(&["--help"]).finish().await;
        assert_eq!(outcome.status, Some(0));
        assert!(outcome.stdout.starts_with("usage: "));
        assert_eq!(Program::start(&["--version"]).finish().await.status, Some(0));
    });
}

#[test]
fn a07_environment() {
    run(async {
        let outcome =
            Program::start(&["--proxy-port", "15239", "8000", "--", "env"]).finish().await;
        for line in [
            "http_proxy=http://127.0.0.1:15239/",
            "HTTP_PROXY=http://127.0.0.1:15239/",
            "no_proxy=localhost,127.0.0.1",
        ] {
            assert!(outcome.stdout.lines().any(|seen| seen == line), "{}", outcome.stdout);
        }
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert!(outcome.stdout.lines().any(|line| line == path), "{}", outcome.stdout);
    });
}

#[test]
fn a08_descriptors() {
    run(async {
        let command =
            ["8000", "--", "/bin/sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done"];
        let outcome = Program::start(&command).finish().await;
        assert!(outcome.stdout.contains("/dev/null"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("socket:"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("anon_inode:"), "{}", outcome.stdout);
    });
}

#[test]
fn a09_signal_state() {
    run(async {
        let outcome =
            Program::start(&["8000", "grep", "^Sig[BI]", "/proc/self/status"]).finish().await;
        let masks: Vec<_> = outcome.stdout.split_whitespace().collect();
        let ["SigBlk:", blocked, "SigIgn:", ignored] = masks[..] else { panic!("{masks:?}") };
        assert_eq!(u64::from_str_radix(blocked, 16), Ok(0));
        // 32 and 33 belong to the C library, whose posix_spawn leaves them ignored.
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & !(3 << 31), 0, "{ignored}");
    });
}

#[test]
fn a10_app_is_killed() {
    ends(
        &["8000", "--", "/bin/sh", "-c", "kill -SEGV $$"],
        1,
        "the app was killed by signal 11 (SIGSEGV)",
    );
}

#[test]
fn a11_no_such_command() {
    ends(&["8000", "/no/such/command"], 1, "executing '/no/such/command' failed: No such file");
}

#[test]
fn a12_no_configuration() {
    run(async {
        let outcome = Program::start_with(&["8000", "--", "echo", "started"], false).finish().await;
        assert_eq!(outcome.status, Some(1));
        assert!(outcome.stderr.contains("reading '"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("/config' failed: No such file"), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "checked before the app is started");
    });
}

#[test]
fn a12_bad_configuration() {
    run(async {
        let program = Program::start_with(&["8000", "--", "echo", "started"], false);
        let config = program.path("config");
        drop(program);
        assert!(!std::path::Path::new(&config).exists());
        let error = spk_bridge::config::Config::from_bytes(b"nonsense").err().unwrap();
        assert!(!error.to_string().is_empty());
    });
}

#[test]
fn a13_proxy_port_is_taken() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let args = ["--proxy-port", port.as_str(), "8000", "--", "echo", "started"];
        let outcome = Program::start(&args).finish().await;
        assert_eq!(outcome.status, Some(1));
        assert!(outcome.stderr.contains("Address already in use"), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "bound before the app is started");
    });
}

#[test]
fn a14_host_goes_away() {
    run(async {
        let mut program =
            Program::start(&["8000", "--", "/bin/sh", "-c", "echo up; exec sleep 1000"]);
        program.wait_for_line("up").await;
        drop(program.host.take());
        let outcome = program.finish().await;
        assert_eq!(outcome.status, Some(1));
        assert!(outcome.stderr.contains("the host closed its connection"), "{}", outcome.stderr);
    });
}

#[test]
fn a15_signals_are_passed_on() {
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP")]
    {
        run(async move {
            // Blocked before "up" is said, so that the signal cannot come too early; a shell's
            // `wait` can miss one.
            let script = format!(
                "import signal, sys\n\
                 number = signal.SIG{name}\n\
                 signal.pthread_sigmask(signal.SIG_BLOCK, [number])\n\
                 signal.signal(number, lambda *_: None)\n\
                 print('up', flush=True)\n\
                 signal.sigwait([number])\n\
                 print('got {name}', flush=True)\n\
                 sys.exit(5)"
            );
            let argv = ["8000", "--", "/usr/bin/python3", "-c", script.leak()];
            let mut program = Program::start(&argv);
            program.wait_for_line("up").await;
            program.signal(signal);
            let outcome = program.finish().await;
            assert_eq!(outcome.stdout, format!("got {name}\n"));
            assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        });
    }
}

/// The shell's client: a request sent before the app listens.
#[test]
fn a16_request_before_the_app_listens() {
    run(async {
        let port = free_port().await;
        let mut program = Program::start(&[port.as_str(), "sleep", "1000"]);
        let view = program.connect();
        let session = session(&view).await;
        let mut request = Box::pin(get(&session, ""));
        // Answered at once, while the request still waits.
        let info = a19(&view).await;
        assert_eq!(info, 3);
        assert!(futures::FutureExt::now_or_never(&mut request).is_none());
        let app = App::on(TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap());
        let (answer, ()) = tokio::join!(request, async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        });
        assert_eq!(answer.unwrap(), "content Ok bytes=hi");
    });
}

async fn session(view: &MainViewClient) -> spk_schema::web_session_capnp::web_session::Client {
    use capnp::capability::FromClientHook;
    let view: spk_schema::grain_capnp::ui_view::Client = view.clone().cast_to();
    let mut request = view.new_session_request();
    usual_user(request.get().init_user_info());
    request.get().set_context(context_client());
    request.get().set_session_type(crate::rig::WEB_SESSION);
    let params = request.get().get_session_params();
    let mut params: spk_schema::web_session_capnp::web_session::params::Builder = params.init_as();
    params.set_base_path("http://h");
    // The session is used before it exists.
    request.send().pipeline.get_session().cast_to()
}

async fn a19(view: &MainViewClient) -> u32 {
    use capnp::capability::FromClientHook;
    let view: spk_schema::grain_capnp::ui_view::Client = view.clone().cast_to();
    let response = view.get_view_info_request().send().promise.await.unwrap();
    response.get().unwrap().get_permissions().unwrap().len()
}

#[test]
fn a17_first_connection_is_empty() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let _program = Program::start(&[port.as_str(), "sleep", "1000"]);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        assert_eq!(stream.read_to_end(&mut bytes).await.unwrap(), 0);
    });
}

/// With little patience instead of the 30 seconds.
#[test]
fn a18_one_warning_and_the_wait_goes_on() {
    run(async {
        assert_eq!(limits::CONNECT_WARN_AFTER, Duration::from_secs(30));
        let port = free_port().await;
        let (rig, said) = Rig::patient(port.parse().unwrap(), Duration::ZERO);
        let session = rig.session().await;
        let mut request = Box::pin(get(&session, ""));
        while said.borrow().is_empty() {
            assert!(futures::FutureExt::now_or_never(&mut request).is_none());
            tokio::time::sleep(limits::CONNECT_RETRY).await;
        }
        // Many further attempts fail without another word.
        tokio::time::sleep(limits::CONNECT_RETRY * 20).await;
        assert!(futures::FutureExt::now_or_never(&mut request).is_none());
        let warning =
            format!("the app does not listen on 127.0.0.1:{port} after 0 seconds; still waiting");
        assert_eq!(*said.borrow(), [warning.as_str()]);
        let app = App::on(TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap());
        let (answer, ()) = tokio::join!(request, async {
            let mut connection = app.accept().await;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        });
        assert_eq!(answer.unwrap(), "content Ok bytes=hi");
        let relief = format!("the app listens on 127.0.0.1:{port} now");
        assert_eq!(*said.borrow(), [warning, relief]);
    });
}

/// The bridge needs a descriptor for each request, the app keeps what programs expect.
#[test]
fn the_app_keeps_the_usual_limit_of_descriptors() {
    run(async {
        let bridge = env!("CARGO_BIN_EXE_sandstorm-http-bridge");
        let script = "ulimit -n; read -r _ < \"$0\"; grep 'open files' /proc/$PPID/limits";
        let directory = tempfile::tempdir().unwrap();
        let gate = directory.path().join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut program = Program::start_through(
            &["/bin/sh", "-c", "ulimit -Sn 100; ulimit -Hn 200; exec \"$@\"", "sh", bridge],
            &["8000", "--", "/bin/sh", "-c", script, gate.to_str().unwrap()],
        );
        assert_eq!(a19(&program.connect()).await, 3);
        fs::write(&gate, "\n").unwrap();
        let outcome = program.finish().await;
        let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
        assert_eq!(words, ["100", "Max", "open", "files", "200", "200", "files"]);
    });
}

#[test]
fn a19_view_info_before_the_app_listens() {
    run(async {
        let port = free_port().await;
        let mut program = Program::start(&[port.as_str(), "sleep", "1000"]);
        assert_eq!(a19(&program.connect()).await, 3);
    });
}

/// The socket is there before the app is, in place of what was there.
#[test]
fn a20_stale_socket() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("api");
        fs::write(&socket, "stale").unwrap();
        let socket = socket.to_str().unwrap();
        let args = [
            "--api-socket",
            socket,
            "8000",
            "--",
            "/bin/sh",
            "-c",
            "test -S $0 && echo ok",
            socket,
        ];
        let outcome = Program::start(&args).finish().await;
        assert_eq!(outcome.stdout, "ok\n", "{}", outcome.stderr);
    });
}

/// As PID 1 of a PID namespace the bridge inherits every orphan.
#[test]
fn a21_orphans_are_reaped() {
    run(async {
        let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
        let probe = std::process::Command::new("unshare").args(unshare).arg("true").status();
        if !probe.is_ok_and(|status| status.success()) {
            spk_skip::skip("a21_orphans_are_reaped", "no PID namespace can be made here");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        let mut message = capnp::message::Builder::new_default();
        crate::rig::permissions(message.init_root());
        fs::write(&config, capnp::serialize::write_message_to_words(&message)).unwrap();
        // The orphan writes its PID, and is gone from /proc once it was reaped. Bounded by the test's
        // own time limit.
        let script = "(sh -c 'echo $$ > \"$1\"' orphan \"$1\" &) ; \
             while ! [ -s \"$1\" ]; do :; done; while [ -e /proc/$(cat \"$1\") ]; do :; done; \
             echo reaped";
        let (_host, theirs) = UnixStream::pair().unwrap();
        let output = Command::new("/bin/sh")
            .args(["-c", "exec 3<&0 0</dev/null; exec \"$@\"", "sh", "unshare"])
            .args(unshare)
            .arg(env!("CARGO_BIN_EXE_sandstorm-http-bridge"))
            .args(Program::own_files(&directory))
            .args(["8000", "--", "/bin/sh", "-c", script, "sh"])
            .arg(directory.path().join("pid"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "reaped\n", "{stderr}");
    });
}
