//! Files in and out: packages and backups are uploaded, backups downloaded.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use spk_files::printable;
use spk_grains::backup::{self, ExportOptions, RestoreOptions, Target};
use spk_grains::store::{GrainId, Store, random_name};
use tokio::sync::mpsc;

use super::problem::{Problem, printable};
use super::{Shell, blocking};
use spk_package::progress::Silent;

use crate::serve::front::body::Outgoing;

/// Largest upload: 16 GiB, more than any backup people handle in a browser, so that a page cannot
/// fill every disk.
const UPLOAD_LIMIT: u64 = 16 << 30;

/// Pieces on their way between the connection and the disk.
const QUEUE: usize = 16;

/// Backups waiting to be downloaded; each takes room on the disk.
const DOWNLOADS: usize = 8;

/// How long they wait.
const DOWNLOAD_TIME: Duration = Duration::from_secs(600);

/// Remarks about a restored backup that the page shows.
const NOTES: usize = 20;

/// How a package begins (package-format §4.1).
const SPK: [u8; 8] = [0x8f, 0xc6, 0xcd, 0xef, 0x45, 0x1a, 0xea, 0x96];

/// How zip files begin: with a member, or, without members, with their end.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// Backups that were made and wait for their download, each for one.
#[derive(Default)]
pub(super) struct Downloads(VecDeque<Download>);

struct Download {
    ticket: String,
    made: Instant,
    file: File,
    size: u64,
    name: String,
}

impl Shell {
    /// Takes in a package or a backup, whichever the file is. `name`: what the person calls it.
    pub(super) async fn upload(
        self: &Rc<Self>,
        name: String,
        mut body: Incoming,
    ) -> Result<Value, Problem> {
        let (pieces, receiver) = mpsc::channel(QUEUE);
        let store = self.store.clone();
        let writing = tokio::task::spawn_blocking(move || spool(&store, receiver));
        let mut complete = true;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                complete = false;
                break;
            };
            if let Ok(data) = frame.into_data()
                && pieces.send(data).await.is_err()
            {
                // The disk is full, or the like: the writer says so.
                break;
            }
        }
        drop(pieces);
        let ending = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "spk is ending");
        let file = writing.await.map_err(ending)??;
        if !complete {
            return Err(Problem::bad("the upload broke off"));
        }
        let store = self.store.clone();
        let taken = blocking(move || take_in(&store, file, &name)).await;
        self.changed();
        taken
    }

    /// Makes a backup; gives the address at which it can be downloaded once.
    pub(super) async fn backup(self: &Rc<Self>, id: GrainId) -> Result<Value, Problem> {
        let store = self.store.clone();
        let download = blocking(move || export(&store, &id)).await?;
        let answer = json!({
            "url": format!("/download/{}", download.ticket),
            "name": download.name,
            "size": download.size,
        });
        let mut downloads = self.downloads.borrow_mut();
        downloads.0.retain(|download| download.made.elapsed() < DOWNLOAD_TIME);
        if downloads.0.len() >= DOWNLOADS {
            downloads.0.pop_front();
        }
        downloads.0.push_back(download);
        Ok(answer)
    }

    /// Answers the address of a backup.
    pub(super) fn download(self: &Rc<Self>, ticket: &str) -> Result<Response<Outgoing>, Problem> {
        let mut downloads = self.downloads.borrow_mut();
        let index = downloads.0.iter().position(|download| download.ticket == ticket);
        let download = index.and_then(|index| downloads.0.remove(index));
        let download = download.ok_or_else(|| Problem::missing("backup: make it again"))?;
        let (pieces, receiver) = mpsc::channel(QUEUE);
        let mut response = Response::new(Outgoing::Pieces(receiver));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(download.size));
        if let Ok(value) = HeaderValue::from_str(&disposition(&download.name)) {
            headers.insert(header::CONTENT_DISPOSITION, value);
        }
        // It ends when the browser has everything, or is gone.
        drop(tokio::task::spawn_blocking(move || send(download.file, &pieces)));
        Ok(response)
    }
}

fn send(mut file: File, pieces: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; 1 << 16];
    // A file cut short leaves the response shorter than announced, which the browser notices.
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        if pieces.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
            return;
        }
    }
}

/// What `attachment` header a file of this name has (RFC 6266).
fn disposition(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || " .-_".contains(c) { c } else { '_' })
        .collect();
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, KEPT)
    )
}

/// A file name from a title: nothing that means something in paths.
fn file_name(title: &str) -> String {
    const LONGEST: usize = 80;
    let name: String = title
        .chars()
        .map(|c| if printable::acts(c) || "/\\:*?\"<>|\u{fffd}".contains(c) { '_' } else { c })
        .take(LONGEST)
        .collect();
    let name = name.trim().trim_start_matches('.').to_owned();
    if name.is_empty() { "grain.zip".into() } else { format!("{name}.zip") }
}

fn export(store: &Store, id: &GrainId) -> Result<Download, Problem> {
    let staging = store.stage("download")?;
    let path = staging.path.join("backup.zip");
    let target = Target::File(path.clone());
    let exported = backup::export(store, id, target, &ExportOptions::default(), &mut Silent)?;
    // The name goes with the staging directory; the file stays as long as it is open.
    let failed = |error| Problem::conflict(format!("cannot read the backup: {error}"));
    let file = File::open(&path).map_err(failed)?;
    staging.discard()?;
    Ok(Download {
        ticket: random_name(32)?,
        made: Instant::now(),
        file,
        size: exported.size,
        name: file_name(&exported.title),
    })
}

/// Collects an upload in a file without a name.
fn spool(store: &Store, mut pieces: mpsc::Receiver<Bytes>) -> Result<File, Problem> {
    let failed = |error: std::io::Error| {
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, format!("cannot keep the upload: {error}"))
    };
    let mut file = store.unnamed_file().map_err(failed)?;
    let mut size = 0;
    while let Some(piece) = pieces.blocking_recv() {
        size += piece.len() as u64;
        if size > UPLOAD_LIMIT {
            let text = format!("the file is larger than {} GiB", UPLOAD_LIMIT >> 30);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        file.write_all(&piece).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

fn take_in(store: &Store, mut file: File, name: &str) -> Result<Value, Problem> {
    let failed = |error: std::io::Error| Problem::conflict(format!("cannot read it: {error}"));
    let name = printable(name);
    let mut start = Vec::new();
    (&file).take(8).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    // What is wrong is told about the person's file, not about ours.
    let ours = format!("/proc/self/fd/{}", file.as_raw_fd());
    let theirs = |problem: Problem| Problem { text: problem.text.replace(&ours, &name), ..problem };
    if start == SPK {
        let package = store.add_package(ours.as_ref()).map_err(Problem::from).map_err(theirs)?;
        return Ok(json!({
            "kind": "package", "id": package.id.to_string(),
            "title": printable(&package.manifest.app_title),
        }));
    }
    if ZIP.iter().any(|magic| start.starts_with(magic)) {
        let restored = backup::restore(
            store,
            file,
            &RestoreOptions { sync: true, ..RestoreOptions::default() },
            &mut Silent,
        )
        .map_err(Problem::from)
        .map_err(|problem| Problem { text: format!("{name}: {}", problem.text), ..problem })?;
        let meta = restored.grain.meta();
        let note = |note: &backup::Skipped| {
            printable(&format!("{}: {}", String::from_utf8_lossy(&note.path), note.reason))
        };
        let notes: Vec<String> = restored.notes.iter().take(NOTES).map(note).collect();
        return Ok(json!({
            "kind": "grain", "id": restored.grain.id().as_str(),
            "title": printable(&meta.title), "notes": notes,
        }));
    }
    let text = format!("{name} is neither a package (.spk) nor a backup (.zip)");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_a_harmless_file_name() {
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd.zip");
        assert_eq!(file_name("a\r\nSet-Cookie: x\x1b[1m"), "a__Set-Cookie_ x_[1m.zip");
        assert_eq!(file_name("x\u{202e}piz.exe"), "x_piz.exe.zip");
        assert_eq!(file_name("  "), "grain.zip");
        assert_eq!(
            disposition("ä \"b\".zip"),
            "attachment; filename=\"_ _b_.zip\"; filename*=UTF-8''%C3%A4%20%22b%22.zip"
        );
    }
}
