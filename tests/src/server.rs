//! A started `spk run` or `spk dev`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long an app may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to stop in good order.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running server that has printed its ready line. Dropping it kills it.
pub struct Server {
    child: Child,
    stderr: Arc<Mutex<String>>,
    /// The ready line.
    pub ready: serde_json::Value,
}

impl Server {
    /// Starts `command` (which gets `--json --port 0`) and waits for its ready line.
    #[track_caller]
    pub fn start(command: &mut Command) -> Server {
        match Server::try_start(command) {
            Ok(server) => server,
            Err(said) => panic!("{command:?} did not become ready:\n{said}"),
        }
    }

    /// As `start`, but gives what it said when it did not become ready.
    pub fn try_start(command: &mut Command) -> Result<Server, String> {
        command.args(["--json", "--port", "0"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut pipe = child.stderr.take().expect("stderr is piped");
        let sink = stderr.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let (sender, receiver) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        match receiver.recv_timeout(READY_LIMIT) {
            Ok(line) => {
                let ready = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("the ready line is not JSON: {error}: {line}"));
                Ok(Server { child, stderr, ready })
            }
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().unwrap();
                let _ = reader.join();
                Err(format!("{status}\n{}", stderr.lock().unwrap()))
            }
        }
    }

    /// A text field of the ready line.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        self.ready[name]
            .as_str()
            .unwrap_or_else(|| panic!("no text {name} in {}", self.ready))
            .to_owned()
    }

    /// The app's own origin, with a closing slash.
    pub fn session_url(&self) -> String {
        self.field("sessionUrl")
    }

    /// URL of a path (without leading slash) of the app.
    pub fn at(&self, path: &str) -> String {
        crate::http::join(&self.session_url(), path)
    }

    /// Process ID of `spk`.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it did not stop in {STOP_LIMIT:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it as Ctrl-C would; it must end with status 0. Gives what it said.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.signal(Signal::SIGINT);
        let status = self.wait();
        let said = self.said();
        assert!(status.success(), "it ended with {status}:\n{said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
