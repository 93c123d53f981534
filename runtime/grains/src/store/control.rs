//! How other processes talk to the one that runs a grain: a socket in the grain's directory, one
//! line of JSON each way.
//!
//! Only the store's owner gets there (the directories above are 0700), and the peer's user ID is
//! checked besides. A freeze belongs to its connection: it ends when the client is done, is gone,
//! or has used up its time, so that no client can leave a grain frozen.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::error::{Error, IoContext};
use super::grain::Grain;
use spk_files::Dir;

/// Name of the socket in the grain's directory.
const CONTROL: &str = "control";

/// Longest line accepted: a question with all that an API host answers without a token, or a
/// powerbox query.
const LINE_LIMIT: u64 = 64 << 10;

/// Longest answer accepted: a list of everything a grain may have a thousand of.
const ANSWER_LIMIT: u64 = 4 << 20;

/// Longest freeze whatever the client asks for: browsers give up on a page after about so long.
pub const LONGEST_FREEZE: Duration = Duration::from_secs(120);

/// How long a client waits for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Clients at a time; more wait in the socket's queue.
const CLIENTS: usize = 8;

/// What is asked of the process that runs the grain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Stop all processes of the app where they are. When none runs, start none until the thaw.
    Freeze,
    /// Let them go on. May come without a freeze.
    Thaw,
    /// End as on SIGTERM.
    Stop,
    /// Tell [`Info`].
    Info,
    /// A question to whoever serves the grain, in its words: see `serve`.
    Ask(serde_json::Value),
}

/// What is known about a running grain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Info {
    /// Where a person opens it.
    pub url: Option<String>,
    /// The app's first process, as the host sees it; none while the app is not running.
    pub app_pid: Option<i32>,
}

/// A request, to be answered by the supervisor.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub op: Op,
    reply: oneshot::Sender<Result<Reply, String>>,
}

/// What an answer carries.
#[derive(Debug, Default)]
struct Reply {
    info: Info,
    answer: Option<serde_json::Value>,
}

impl Request {
    /// Says that it is done, or why not.
    pub fn answer(self, result: Result<(), String>) {
        // A client that is gone needs no answer.
        let _ = self.reply.send(result.map(|()| Reply::default()));
    }

    /// Answers [`Op::Info`].
    pub fn answer_info(self, info: Info) {
        let _ = self.reply.send(Ok(Reply { info, answer: None }));
    }

    /// Answers [`Op::Ask`].
    pub fn answer_ask(self, answer: Result<serde_json::Value, String>) {
        let reply = answer.map(|answer| Reply { info: Info::default(), answer: Some(answer) });
        let _ = self.reply.send(reply);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
enum Question {
    #[serde(rename_all = "camelCase")]
    Freeze {
        limit_ms: u64,
    },
    Thaw,
    Stop,
    Info,
    Ask {
        question: serde_json::Value,
    },
}

#[derive(Serialize, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<serde_json::Value>,
    #[serde(flatten)]
    info: Info,
}

/// The server's end: bound while a grain runs.
#[derive(Debug)]
pub struct Listener {
    listener: std::os::unix::net::UnixListener,
    dir: Dir,
}

impl Listener {
    /// Binds the socket of a grain that the caller holds; a stale one of a killed process is
    /// replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(grain: &Grain) -> Result<Listener, Error> {
        Listener::bind_in(grain.dir(), grain.path())
    }

    /// Binds a socket in a directory; `path` is what messages call it.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind_in(dir: &Dir, path: &Path) -> Result<Listener, Error> {
        let dir = dir.try_clone().at("open", path)?;
        let path = path.join(CONTROL);
        match dir.remove_file(CONTROL.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("remove", path);
            }
            _ => {}
        }
        // Through the descriptor: socket addresses hold 107 bytes, paths more.
        let listener = std::os::unix::net::UnixListener::bind(dir.proc_path(CONTROL))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .at("create", path)?;
        Ok(Listener { listener, dir })
    }

    /// Serves clients until the receiver of `requests` is dropped. To be run within a `LocalSet`.
    ///
    /// # Errors
    /// When the runtime cannot watch the socket.
    pub async fn serve(self, requests: mpsc::Sender<Request>) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener.try_clone()?)?;
        let room = Arc::new(tokio::sync::Semaphore::new(CLIENTS));
        loop {
            let accepted = tokio::select! {
                () = requests.closed() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors for the moment; not an endless busy loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let ours = nix::unistd::geteuid().as_raw();
            if !stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0) {
                continue;
            }
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
            let requests = requests.clone();
            tokio::task::spawn_local(async move {
                // What goes wrong with one client ends that client's connection.
                let _ = client(stream, &requests).await;
                drop(permit);
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A stale socket is replaced by the next start.
        let _ = self.dir.remove_file(CONTROL.as_bytes());
    }
}

/// Speaks with one client, and thaws what it froze however that ends.
async fn client(
    stream: tokio::net::UnixStream,
    requests: &mpsc::Sender<Request>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read);
    let mut frozen_until: Option<tokio::time::Instant> = None;
    let result = async {
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut lines).take(LINE_LIMIT);
            let next = limited.read_until(b'\n', &mut line);
            let count = match frozen_until {
                Some(until) => match tokio::time::timeout_at(until, next).await {
                    Ok(count) => count?,
                    // Time is up; closing the connection tells the client.
                    Err(_) => return Ok(()),
                },
                None => next.await?,
            };
            if count == 0 {
                return Ok(());
            }
            let question = serde_json::from_slice(&line)?;
            let op = match question {
                Question::Freeze { limit_ms } => {
                    let limit = Duration::from_millis(limit_ms).min(LONGEST_FREEZE);
                    frozen_until = Some(tokio::time::Instant::now() + limit);
                    Op::Freeze
                }
                Question::Thaw => Op::Thaw,
                Question::Stop => Op::Stop,
                Question::Info => Op::Info,
                Question::Ask { question } => Op::Ask(question),
            };
            let thaw = op == Op::Thaw;
            let result = ask(requests, op).await;
            if thaw {
                frozen_until = None;
            }
            let answer = match result {
                Ok(Reply { info, answer }) => Answer { ok: true, error: None, answer, info },
                Err(error) => {
                    Answer { ok: false, error: Some(error), answer: None, info: Info::default() }
                }
            };
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            write.write_all(&line).await?;
        }
    }
    .await;
    if frozen_until.is_some() {
        // Nobody is left to tell.
        let _ = ask(requests, Op::Thaw).await;
    }
    result
}

async fn ask(requests: &mpsc::Sender<Request>, op: Op) -> Result<Reply, String> {
    let (reply, answer) = oneshot::channel();
    let ending = || "the grain is being stopped".to_owned();
    requests.send(Request { op, reply }).await.map_err(|_| ending())?;
    answer.await.unwrap_or_else(|_| Err(ending()))
}

/// The client's end.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// What a client's question came to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the grain does not run, or is just starting.
    #[error("the process that holds the grain does not answer")]
    Nobody(#[source] io::Error),
    /// The conversation broke off.
    #[error("the process that runs the grain broke off")]
    BrokeOff(#[source] io::Error),
    /// It said no.
    #[error("the process that runs the grain says: {0}")]
    Refused(String),
}

impl Client {
    /// Connects to whoever runs the grain in `dir`.
    ///
    /// # Errors
    /// When nobody does.
    pub fn connect(dir: &Dir) -> Result<Client, ControlError> {
        let path: PathBuf = dir.proc_path(CONTROL);
        let stream = UnixStream::connect(path).map_err(ControlError::Nobody)?;
        stream
            .set_read_timeout(Some(ANSWER_TIME))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIME)))
            .map_err(ControlError::Nobody)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Stops all processes of the app for at most `limit`, or until [`Client::thaw`], or until
    /// this value is dropped.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn freeze(&mut self, limit: Duration) -> Result<(), ControlError> {
        let limit_ms = limit.as_millis().try_into().unwrap_or(u64::MAX);
        self.ask(&Question::Freeze { limit_ms }).map(drop)
    }

    /// Lets them go on. An error means that the freeze had ended before: what was read meanwhile
    /// is not consistent.
    ///
    /// # Errors
    /// When the time was up, or the process is gone.
    pub fn thaw(&mut self) -> Result<(), ControlError> {
        self.ask(&Question::Thaw).map(drop)
    }

    /// Asks the process to end as on SIGTERM; it goes on ending after the answer.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn stop(&mut self) -> Result<(), ControlError> {
        self.ask(&Question::Stop).map(drop)
    }

    /// What is known about the running grain.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn info(&mut self) -> Result<Info, ControlError> {
        self.ask(&Question::Info).map(|answer| answer.info)
    }

    /// Asks whoever serves the grain: see `docs/sessions.md` for what can be asked.
    ///
    /// # Errors
    /// When it does not answer, or answers no.
    pub fn put(&mut self, question: serde_json::Value) -> Result<serde_json::Value, ControlError> {
        self.ask(&Question::Ask { question }).map(|answer| answer.answer.unwrap_or_default())
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, ControlError> {
        let broke_off = ControlError::BrokeOff;
        let mut line = serde_json::to_vec(question).map_err(|error| broke_off(error.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(broke_off)?;
        let mut answer = Vec::new();
        io::Read::take(&mut self.stream, ANSWER_LIMIT)
            .read_until(b'\n', &mut answer)
            .map_err(broke_off)?;
        if answer.is_empty() {
            return Err(broke_off(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|error| broke_off(error.into()))?;
        match answer {
            Answer { ok: true, .. } => Ok(answer),
            Answer { error, .. } => Err(ControlError::Refused(error.unwrap_or_default())),
        }
    }
}
