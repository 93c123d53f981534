//! What a development session shows in the shell's panel. The session itself is the CLI's: here is
//! what it has to tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::blocking;
use super::problem::printable;
use super::stream::Stream;

/// How often the record is looked at while somebody looks at the panel.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Paths sent at once; more come in the next piece.
const AT_ONCE: usize = 500;

/// A development session.
pub trait Developer: Send + Sync {
    /// A number that changes when [`Developer::paths`] would tell something new. Cheap.
    fn version(&self) -> u64;
    /// Every path that the app used, looked for in vain or tried to write, and used files that
    /// changed since.
    fn paths(&self) -> Vec<Path>;
    /// Where the file list is, and what else is known about the session.
    fn about(&self) -> About;
    /// What the session comes to, in lines for people, if it ends now.
    fn summary(&self) -> Vec<String>;
}

/// A path of the package, and what the app did with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// Package path, without leading slash. Untrusted text.
    pub path: String,
    /// Why it is known: "exec", "read", "list", "link", "empty", "miss", "withheld", "write",
    /// "changed".
    pub why: Vec<String>,
    /// The executables that did it.
    pub by: Vec<String>,
    /// First time, in milliseconds since 1970.
    pub first: u64,
    /// Whether it comes into the file list, and was not in it before this session.
    pub new: bool,
}

/// About a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The file list that is being written, if the definition names one.
    pub list: Option<String>,
    /// Whether the app is started again when a file changes.
    pub watch: bool,
}

/// Tells what the session records: an object `about`, then arrays of paths that are new or not as
/// they were.
pub(super) async fn tell(mut stream: Stream, developer: Arc<dyn Developer>) -> Option<()> {
    stream.send(&json!({ "type": "developer", "about": developer.about() })).await?;
    let mut sent: HashMap<String, Path> = HashMap::new();
    let mut seen = None;
    loop {
        let version = developer.version();
        if seen != Some(version) {
            seen = Some(version);
            let paths = record(&developer).await?;
            let news: Vec<Path> =
                paths.into_iter().filter(|path| sent.get(&path.path) != Some(path)).collect();
            for part in news.chunks(AT_ONCE) {
                stream.send(&json!({ "type": "developer", "paths": part })).await?;
            }
            sent.extend(news.into_iter().map(|path| (path.path.clone(), path)));
        }
        stream.next(tokio::time::sleep(LOOK_EVERY)).await?;
    }
}

async fn record(developer: &Arc<dyn Developer>) -> Option<Vec<Path>> {
    let developer = developer.clone();
    let paths = blocking(move || {
        let mut paths = developer.paths();
        for path in &mut paths {
            path.path = printable(&path.path);
            path.by.iter_mut().for_each(|by| *by = printable(by));
        }
        Ok(paths)
    });
    paths.await.ok()
}
