//! Files that the app publishes: what lies in `/var/www`, served without asking the app
//! (http-bridge §7.15).

use std::fs::File;
use std::io;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::body::Outgoing;
use super::file_body::FileBody;
use super::{Front, pages};
use spk_files::Dir;

/// Components of a path; the app's tree may be deeper, a path of a site is not.
const DEPTH: usize = 64;

/// What was found.
enum Found {
    File(File, u64),
    Directory,
}

/// Answers a request to a public ID's host.
pub(super) async fn answer(
    front: &Front,
    id: &str,
    request: &Request<Incoming>,
) -> Response<Outgoing> {
    let published = front
        .grains
        .first
        .objects
        .records
        .read(|records| records.public_id.as_deref().is_some_and(|known| known == id));
    if !published {
        return pages::text(StatusCode::NOT_FOUND, "nothing is published here");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return pages::text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    let path = request.uri().path().to_owned();
    let Some(parts) = parts(&path) else {
        return pages::text(StatusCode::NOT_FOUND, "no such file");
    };
    let name = parts.last().cloned().unwrap_or_default();
    // The disk may be slow; the event loop is everybody's.
    let var = front.var.clone();
    let found = tokio::task::spawn_blocking(move || find(&var, &parts)).await;
    match found {
        Ok(Ok(Found::File(file, length))) => {
            let body = match *request.method() {
                Method::HEAD => Outgoing::full(Vec::new()),
                _ => Outgoing::File(FileBody::new(file, length)),
            };
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, length.into());
            let cache = HeaderValue::from_static("public, max-age=30");
            headers.insert(header::CACHE_CONTROL, cache);
            if let Some(kind) = kind(&name) {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            response
        }
        Ok(Ok(Found::Directory)) => {
            let mut response = pages::text(StatusCode::SEE_OTHER, "a directory");
            if let Ok(location) = HeaderValue::from_str(&format!("{path}/")) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        Ok(Err(_)) | Err(_) => pages::text(StatusCode::NOT_FOUND, "no such file"),
    }
}

/// The decoded components of a path, or `None` for one that names nothing.
fn parts(path: &str) -> Option<Vec<Vec<u8>>> {
    let path = path.strip_prefix('/')?;
    let index = if path.is_empty() || path.ends_with('/') { "index.html" } else { "" };
    let parts: Vec<Vec<u8>> = format!("{path}{index}")
        .split('/')
        .map(|part| percent_encoding::percent_decode_str(part).collect())
        .collect();
    let good = |part: &Vec<u8>| {
        !matches!(part.as_slice(), b"" | b"." | b"..")
            && !part.contains(&b'/')
            && !part.contains(&0)
    };
    (parts.len() <= DEPTH && parts.iter().all(good)).then_some(parts)
}

/// Opens what a path names. No link is followed: where it leads, only the app sees as it is.
fn find(var: &std::path::Path, parts: &[Vec<u8>]) -> io::Result<Found> {
    let mut dir = Dir::open_trusted(var)?.open_dir(b"www")?;
    let Some((name, above)) = parts.split_last() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    for part in above {
        dir = dir.open_dir(part)?;
    }
    if dir.open_dir(name).is_ok() {
        return Ok(Found::Directory);
    }
    let file = dir.open_file(name)?;
    let length = file.metadata()?.len();
    Ok(Found::File(file, length))
}

/// The type of a file by its name; none without an extension.
fn kind(name: &[u8]) -> Option<&'static str> {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
    let extension = String::from_utf8_lossy(&name[dot + 1..]).to_ascii_lowercase();
    Some(match extension.as_str() {
        "html" | "htm" => "text/html; charset=UTF-8",
        "css" => "text/css; charset=UTF-8",
        "js" | "mjs" => "text/javascript; charset=UTF-8",
        "txt" | "text" | "log" => "text/plain; charset=UTF-8",
        "md" => "text/markdown; charset=UTF-8",
        "csv" => "text/csv; charset=UTF-8",
        "json" => "application/json; charset=UTF-8",
        "xml" => "application/xml; charset=UTF-8",
        "atom" => "application/atom+xml; charset=UTF-8",
        "rss" => "application/rss+xml; charset=UTF-8",
        "svg" => "image/svg+xml; charset=UTF-8",
        "ics" => "text/calendar; charset=UTF-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_once_and_never_lead_upwards() {
        let shown = |path: &str| {
            parts(path).map(|parts| {
                let parts = parts.iter().map(|part| String::from_utf8_lossy(part).into_owned());
                parts.collect::<Vec<_>>().join("|")
            })
        };
        assert_eq!(shown("/").as_deref(), Some("index.html"));
        assert_eq!(shown("/a%20b/").as_deref(), Some("a b|index.html"));
        assert_eq!(shown("/a/b.txt").as_deref(), Some("a|b.txt"));
        for bad in ["", "//", "/a//b", "/../x", "/a/%2e%2e/x", "/a%2fb", "/a%00", "/./x"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
        assert_eq!(shown(&"/a".repeat(65)), None);
    }

    #[test]
    fn types_come_from_the_extension() {
        assert_eq!(kind(b"a.HTML"), Some("text/html; charset=UTF-8"));
        assert_eq!(kind(b"a.tar.gz"), Some("application/gzip"));
        assert_eq!(kind(b"a.unknown"), Some("application/octet-stream"));
        assert_eq!((kind(b"README"), kind(b".hidden")), (None, None));
    }

    #[test]
    fn links_and_pipes_are_not_served() {
        let place = tempfile::tempdir().unwrap();
        let www = place.path().join("www");
        std::fs::create_dir_all(www.join("d")).unwrap();
        std::fs::write(www.join("a.txt"), "hello").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", www.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", www.join("dir")).unwrap();
        nix::unistd::mkfifo(&www.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let find = |path: &str| find(place.path(), &parts(path).unwrap());
        assert!(matches!(find("/a.txt"), Ok(Found::File(_, 5))));
        assert!(matches!(find("/d"), Ok(Found::Directory)));
        for bad in ["/link", "/dir/passwd", "/pipe", "/none", "/"] {
            assert!(find(bad).is_err(), "{bad}");
        }
    }
}
