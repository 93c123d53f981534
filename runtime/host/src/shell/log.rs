//! A grain's log, as pages see it: its end, and what comes after it for as long as the grain is
//! open here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use spk_grains::store::{GrainId, Store};
use tokio::sync::broadcast;

use super::problem::Problem;
use super::stream::Stream;
use super::{Shell, blocking};

/// How much of the log there is at first; more is in `spk grain log`.
const SHOWN: u64 = 256 << 10;

/// Tells it: `begin` first, then pieces of text.
pub(super) async fn tell(shell: Rc<Shell>, mut stream: Stream, id: GrainId) -> Option<()> {
    use broadcast::error::RecvError;
    let open = shell.open.borrow().get(&id).cloned();
    let followed = open.as_ref().and_then(|open| open.grain.log.follow(SHOWN).ok());
    let (last, news) = match followed {
        Some((last, news)) => (last, Some(news)),
        None => {
            let store = shell.store.clone();
            (blocking(move || end(&store, &id)).await.unwrap_or_default(), None)
        }
    };
    // Neither outlives its use: a grain can be closed while its log is shown.
    drop((shell, open));
    stream.send(&json!({ "type": "log", "begin": true })).await?;
    let mut text = Text::default();
    stream.send(&json!({ "type": "log", "text": text.push(&last) })).await?;
    let mut news = news?;
    loop {
        let piece: Arc<[u8]> = match stream.next(news.recv()).await? {
            Ok(piece) => piece,
            Err(RecvError::Lagged(_)) => b"\n** spk: lines are missing here\n"[..].into(),
            Err(RecvError::Closed) => return None,
        };
        stream.send(&json!({ "type": "log", "text": text.push(&piece) })).await?;
    }
}

fn end(store: &Store, id: &GrainId) -> Result<Vec<u8>, Problem> {
    let failed = |error: std::io::Error| Problem::conflict(format!("cannot read the log: {error}"));
    let Some(mut file): Option<File> = store.logs(id)?.pop() else { return Ok(Vec::new()) };
    let size = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(SHOWN))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(SHOWN).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Bytes that come in pieces, as text: a character may be spread over two of them.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn push(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let keep = match std::str::from_utf8(&self.0) {
            // Cut short at the end, rather than wrong.
            Err(error) if error.error_len().is_none() => self.0.len() - error.valid_up_to(),
            _ => 0,
        };
        let rest = self.0.split_off(self.0.len() - keep);
        let whole = std::mem::replace(&mut self.0, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_is_one() {
        let mut text = Text::default();
        let bytes = "aä€".as_bytes();
        let pieces: String = bytes.iter().map(|byte| text.push(&[*byte])).collect();
        assert_eq!(pieces, "aä€");
        assert_eq!(text.push(b"\xffx"), "\u{fffd}x");
    }
}
