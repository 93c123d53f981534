//! The requests that `spk dev --record` keeps and `spk check` asks again: a hidden file beside the
//! file list. What people typed is in it, so nobody else may read it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use spk_files::atomic;
use spk_grains::store::capabilities::Assignment;
use spk_host::serve::{Exchange, ExchangeHook, Visitor};

use crate::error::{CliError, Result, ResultExt};

/// Version of the format. The first had no answers beside their heads, and is read as well; others
/// are not.
const VERSION: u32 = 2;
/// Larger files are not read: some ten thousand requests with small forms take a tenth of it.
const MAX_LEN: u64 = 256 << 20;
/// Bytes of answers kept of one session; of what comes then, only digests.
const MAX_ANSWERS: usize = 64 << 20;
/// Requests kept of one session: more than anybody clicks, fewer than fill memory.
const MAX_REQUESTS: usize = 100_000;
/// Nobody else may read what people typed.
const OPTIONS: atomic::Options = atomic::Options::mode(0o600);

/// A recorded request, and what was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which of all that came it was.
    #[serde(default)]
    pub number: u64,
    /// How many had come when the answer's head did.
    #[serde(default)]
    pub until: u64,
    /// Who asked.
    pub user: String,
    /// What was chosen for the session, whatever they may do elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Assignment>,
    /// Whether a program asked, with an API token.
    #[serde(default)]
    pub program: bool,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers that are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body in base64; nothing if it was too long to keep.
    pub body: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// `Content-Type` of the answer.
    pub content_type: Option<String>,
    /// `Location` of the answer.
    pub location: Option<String>,
    /// `Content-Encoding` of the answer.
    #[serde(default)]
    pub encoding: Option<String>,
    /// `Set-Cookie` of the answer, each.
    #[serde(default)]
    pub cookies: Vec<String>,
    /// The answer's body in base64; nothing if it was too long to keep, or did not end.
    #[serde(default)]
    pub answer: Option<String>,
    /// SHA-256 of the answer's body in base64; nothing if it did not end.
    #[serde(default)]
    pub digest: Option<String>,
}

impl Request {
    fn of(exchange: Exchange) -> Request {
        let text = |(name, value)| Some((name, String::from_utf8(value).ok()?));
        Request {
            number: exchange.number,
            until: exchange.until,
            user: exchange.user,
            chosen: exchange.chosen,
            program: exchange.program,
            method: exchange.method,
            target: exchange.target,
            headers: exchange.headers.into_iter().filter_map(text).collect(),
            body: exchange.body.map(|body| STANDARD.encode(body)),
            status: exchange.status,
            content_type: exchange.content_type,
            location: exchange.location,
            encoding: exchange.encoding,
            cookies: exchange.cookies,
            answer: exchange.answer.map(|answer| STANDARD.encode(answer)),
            digest: exchange.digest.map(|digest| STANDARD.encode(digest)),
        }
    }

    /// Who asked, in which session.
    pub fn visitor(&self) -> Visitor {
        Visitor { user: self.user.clone(), chosen: self.chosen.clone() }
    }

    /// The bytes of the answer's body; `None` if they were not kept.
    pub fn answer(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.answer.as_ref()?).ok()
    }

    /// The body's bytes; `None` if it was not kept.
    pub fn body(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.body.as_ref()?).ok()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    version: u32,
    requests: Vec<Request>,
}

/// Where the recording of a definition is: `.NAME.requests` beside `NAME`, which is its file list,
/// or the definition itself if it has no list.
pub fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.requests"))
}

/// Reads a recording.
pub fn load(path: &Path) -> Result<Vec<Request>> {
    let shown = path.display();
    let cannot = || format!("cannot read the recorded requests {shown}");
    if std::fs::metadata(path).context(cannot())?.len() > MAX_LEN {
        return Err(CliError::new(cannot()).context(format!("larger than {MAX_LEN} bytes")));
    }
    let text = std::fs::read(path).context(cannot())?;
    let file: File = serde_json::from_slice(&text)
        .context(format!("not a recording of requests: {shown}"))
        .hint("make a new one with: spk dev --record")?;
    if !(1..=VERSION).contains(&file.version) {
        return Err(CliError::new(format!("{shown} is a recording of version {}", file.version))
            .hint("make a new one with: spk dev --record"));
    }
    if let Some(bad) = file.requests.iter().position(|request| !request.target.starts_with('/')) {
        return Err(CliError::new(format!("{shown}: request {bad} has no path")));
    }
    Ok(file.requests)
}

/// Collects what passes while an app is served.
#[derive(Clone)]
pub struct Recording {
    path: PathBuf,
    recorded: Arc<Mutex<Recorded>>,
}

#[derive(Default)]
struct Recorded {
    /// By the order in which they came.
    requests: BTreeMap<u64, Request>,
    /// How many of them are in the file; nothing as long as it was not written.
    saved: Option<usize>,
    /// Bytes of answers among them.
    answers: usize,
}

impl Recording {
    fn locked(&self) -> MutexGuard<'_, Recorded> {
        // A request is in there or not.
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the session of the app whose file list is `list`.
    ///
    /// # Errors
    /// When what is recorded could not be written there.
    pub fn beside(list: &Path) -> Result<Recording> {
        let path = beside(list);
        OPTIONS.create(&path).context(cannot_write(&path))?;
        Ok(Recording { path, recorded: Arc::default() })
    }

    /// Where it is saved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the host tells.
    pub fn hook(&self) -> ExchangeHook {
        let recording = self.clone();
        Rc::new(move |exchange| {
            let mut recorded = recording.locked();
            if recorded.requests.len() < MAX_REQUESTS {
                let number = exchange.number;
                let mut request = Request::of(exchange);
                let length = request.answer.as_ref().map_or(0, String::len);
                if recorded.answers + length > MAX_ANSWERS {
                    request.answer = None;
                } else {
                    recorded.answers += length;
                }
                recorded.requests.insert(number, request);
            }
        })
    }

    /// Writes it in one step, if there are requests that the file does not have.
    pub fn save_new(&self) -> Result<()> {
        let recorded = self.locked();
        let count = recorded.requests.len();
        if count == recorded.saved.unwrap_or(0) {
            return Ok(());
        }
        let requests = recorded.requests.values().cloned().collect();
        // Requests that come meanwhile do not wait for the disk.
        drop(recorded);
        write(&self.path, &File { version: VERSION, requests })
            .context(cannot_write(&self.path))?;
        self.locked().saved = Some(count);
        Ok(())
    }

    /// Writes it in one step, also if there were none, and gives how many there were.
    pub fn save(&self) -> Result<usize> {
        self.save_new()?;
        let (count, saved) = {
            let recorded = self.locked();
            (recorded.requests.len(), recorded.saved)
        };
        if saved.is_none() {
            write(&self.path, &File { version: VERSION, requests: Vec::new() })
                .context(cannot_write(&self.path))?;
        }
        Ok(count)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write the recorded requests {}", path.display())
}

fn write(path: &Path, file: &File) -> io::Result<()> {
    OPTIONS.write(path, &serde_json::to_vec_pretty(file)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_recording_comes_back_in_the_order_of_the_requests() {
        let dir = tempfile::tempdir().unwrap();
        let recording = Recording::beside(&dir.path().join("list")).unwrap();
        let path = recording.path().to_owned();
        assert!(path.ends_with(".list.requests"));
        recording.save_new().unwrap();
        assert!(!path.exists(), "nothing is new");
        for number in [1, 0] {
            (recording.hook())(Exchange {
                number,
                user: "alice".into(),
                method: "POST".into(),
                target: format!("/{number}"),
                headers: vec![("a".into(), b"b".to_vec()), ("c".into(), b"\xff".to_vec())],
                body: Some(b"\0x".to_vec()),
                status: 200,
                location: Some("/x".into()),
                answer: Some(b"\xff".to_vec()),
                ..Exchange::default()
            });
        }
        assert_eq!(recording.save().unwrap(), 2);
        let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = modified();
        recording.save_new().unwrap();
        assert_eq!(modified(), before, "it has all of them");
        let requests = load(&path).unwrap();
        assert_eq!(requests[0].target, "/0");
        assert_eq!(requests[1].body().unwrap(), b"\0x");
        assert_eq!(requests[1].answer().unwrap(), b"\xff");
        assert_eq!(requests[0].headers, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_recording_of_the_first_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let text = r#"{"version":1,"requests":[{"user":"alice","method":"GET","target":"/",
            "headers":[],"body":"","status":200,"contentType":null,"location":null}]}"#;
        std::fs::write(&path, text).unwrap();
        let requests = load(&path).unwrap();
        assert_eq!((requests.len(), &requests[0].answer, requests[0].program), (1, &None, false));
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(load(&path).is_err(), "missing");
        for text in ["", "[]", r#"{"version":9,"requests":[]}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path).is_err(), "{text}");
        }
    }
}
