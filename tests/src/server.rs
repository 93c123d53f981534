//! A started `spk run` or `spk dev`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long an app may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a line that was written may take to arrive; the end of stdout is seen at once.
const LINE_LIMIT: Duration = Duration::from_secs(5);
/// How long a server may take to stop in good order.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running server that has printed its ready line. Dropping it kills it.
pub struct Server {
    child: Child,
    stderr: Arc<Mutex<String>>,
    lines: mpsc::Receiver<String>,
    reader: Option<JoinHandle<()>>,
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

    /// As `start`, but without `--json`: the ready line is made from what it says to people.
    #[track_caller]
    pub fn start_plain(command: &mut Command) -> Server {
        let of_people = |url: &str, said: &Mutex<String>| {
            let mark = "for HTTP clients: ";
            let end = Instant::now() + LINE_LIMIT;
            loop {
                let said = said.lock().unwrap().clone();
                let session = said.lines().find_map(|line| Some(line.split_once(mark)?.1));
                if let Some(session) = session {
                    return Ok(serde_json::json!({ "url": url, "sessionUrl": session }));
                }
                if Instant::now() > end {
                    return Err(said);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        match Server::run(command.args(["--port", "0"]), of_people) {
            Ok(server) => server,
            Err(said) => panic!("{command:?} did not become ready:\n{said}"),
        }
    }

    /// As `start`, but gives what it said when it did not become ready.
    pub fn try_start(command: &mut Command) -> Result<Server, String> {
        Server::try_start_on(command, 0)
    }

    /// As `start`, on a port that another has had.
    #[track_caller]
    pub fn start_on(command: &mut Command, port: u16) -> Server {
        match Server::try_start_on(command, port) {
            Ok(server) => server,
            Err(said) => panic!("{command:?} did not become ready:\n{said}"),
        }
    }

    fn try_start_on(command: &mut Command, port: u16) -> Result<Server, String> {
        let json = |line: &str, _: &Mutex<String>| {
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))
        };
        Server::run(command.args(["--json", "--port", &port.to_string()]), json)
    }

    fn run(
        command: &mut Command,
        read: impl FnOnce(&str, &Mutex<String>) -> Result<serde_json::Value, String>,
    ) -> Result<Server, String> {
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
                let ready = read(&line, &stderr)
                    .unwrap_or_else(|error| panic!("the ready line is none: {error}"));
                Ok(Server { child, stderr, lines: receiver, reader: Some(reader), ready })
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

    /// The lines on stdout after the ready line, since the last call of this; all that were to
    /// come, if it has ended.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LINE_LIMIT) {
            lines.push(line);
        }
        lines
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
    pub fn stop(self) -> String {
        let (status, said) = self.end(Signal::SIGINT);
        assert!(status.success(), "it ended with {status}:\n{said}");
        said
    }

    /// Sends a signal and waits for its end. Gives how it ended and what it said.
    #[track_caller]
    pub fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        self.signal(signal);
        let status = self.wait();
        // Its last words may still be in the pipe.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        (status, self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
