//! Identity capabilities kept across runs (http-bridge §4.12): a symbolic link per user whose
//! target is the percent-encoded token.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind};
use percent_encoding::{percent_decode, percent_encode};
use spk_files::Dir;
use spk_schema::identity_capnp::identity;

use crate::bridge::Bridge;
use crate::percent::UNESCAPED;
use crate::user::user_id;

/// Hex digits of a user ID.
const ID_DIGITS: usize = 32;

/// The directory below `/var`.
const DIRECTORY: &str = ".sandstorm-http-bridge";

fn failed(action: &str, path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("{action} '{}' failed: {error}", path.display()))
}

/// Where links are, or go before they are forgotten.
fn directory(bridge: &Bridge, name: &str) -> PathBuf {
    bridge.var.join(DIRECTORY).join(name)
}

/// Makes the directories, before the app starts, if the package wants identities kept.
pub fn prepare(bridge: &Bridge) -> Result<(), Error> {
    if !bridge.config.save_identity_caps {
        return Ok(());
    }
    for name in ["identities", "trash"] {
        let path = directory(bridge, name);
        fs::create_dir_all(&path).map_err(|error| failed("creating", &path, &error))?;
    }
    Ok(())
}

/// Forgets tokens that an earlier run moved away but could not drop.
pub async fn empty_trash(bridge: &Bridge) {
    let path = directory(bridge, "trash");
    let Ok(entries) = fs::read_dir(&path) else { return };
    for entry in entries.flatten() {
        let result = forget(bridge, &entry.path()).await;
        if let Err(error) = result {
            (bridge.log)(&format!("dropping an old identity failed: {error}"));
        }
    }
}

/// Stores the identity of a visitor, once per user and run, in the background. Sessions never
/// depend on it.
pub fn remember(bridge: &Rc<Bridge>, id: &str, identity: identity::Client) {
    if !bridge.identities_seen.borrow_mut().insert(id.to_owned()) {
        return;
    }
    let (bridge, id) = (bridge.clone(), id.to_owned());
    tokio::task::spawn_local(async move {
        if let Err(error) = store(&bridge, &id, &identity).await {
            (bridge.log)(&format!("saving the identity of user {id} failed: {error}"));
        }
    });
}

/// Stores an identity the app has.
pub async fn save(bridge: &Rc<Bridge>, identity: identity::Client) -> Result<(), Error> {
    let mut request = bridge.api()?.get_identity_id_request();
    request.get().set_identity(identity.clone());
    let response = request.send().promise.await?;
    let id = user_id(response.get()?.get_id()?)?;
    store(bridge, &id, &identity).await
}

/// The identity with this user ID: 32 hex digits, nothing else, since it becomes a file name.
pub async fn saved(bridge: &Rc<Bridge>, id: &[u8]) -> Result<identity::Client, Error> {
    if !bridge.config.save_identity_caps {
        return Err(Error::failed("the package does not set saveIdentityCaps".into()));
    }
    let is_id =
        id.len() == ID_DIGITS && id.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let id = str::from_utf8(id).ok().filter(|_| is_id);
    let id = id.ok_or_else(|| Error::failed("not a user ID: 32 lower-case hex digits".into()))?;
    let path = directory(bridge, "identities").join(id);
    let token = read(&path)?.ok_or_else(|| Error::failed(format!("user {id} is not known")))?;
    restore(bridge, &token).await
}

async fn restore(bridge: &Bridge, token: &[u8]) -> Result<identity::Client, Error> {
    let mut request = bridge.api()?.restore_request();
    request.get().set_token(token);
    let response = request.send().promise.await?;
    response.get()?.get_cap().get_as_capability()
}

/// Makes sure that a token for the identity is stored and works.
async fn store(bridge: &Bridge, id: &str, identity: &identity::Client) -> Result<(), Error> {
    let path = directory(bridge, "identities").join(id);
    if let Some(token) = read(&path)? {
        match restore(bridge, &token).await {
            Err(error) if error.kind == ErrorKind::Failed => {}
            // It works, or it is not known whether it does.
            other => return other.map(|_| ()),
        }
        discard(bridge, &path, &token).await?;
    }
    let mut request = bridge.api()?.save_request();
    request.get().init_cap().set_as_capability(identity.clone().into_client_hook());
    request.get().init_label().set_default_text("user identity");
    let response = request.send().promise.await?;
    let token = encode(response.get()?.get_token()?);
    std::os::unix::fs::symlink(&token, &path).map_err(|error| failed("creating", &path, &error))?;
    sync(&directory(bridge, "identities"))
}

/// Moves a link away, then forgets its token: a crash in between leaves it in the trash.
async fn discard(bridge: &Bridge, path: &Path, token: &[u8]) -> Result<(), Error> {
    let trash = directory(bridge, "trash").join(encode(token));
    fs::rename(path, &trash).map_err(|error| failed("moving away", path, &error))?;
    forget(bridge, &trash).await
}

async fn forget(bridge: &Bridge, link: &Path) -> Result<(), Error> {
    if let Some(token) = read(link)? {
        let mut request = bridge.api()?.drop_request();
        request.get().set_token(&token);
        request.send().promise.await?;
    }
    fs::remove_file(link).map_err(|error| failed("removing", link, &error))
}

/// The token a link leads to.
fn read(link: &Path) -> Result<Option<Vec<u8>>, Error> {
    use std::os::unix::ffi::OsStrExt;
    match fs::read_link(link) {
        Ok(target) => Ok(Some(percent_decode(target.as_os_str().as_bytes()).collect())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading", link, &error)),
    }
}

fn encode(token: &[u8]) -> String {
    percent_encode(token, UNESCAPED).to_string()
}

fn sync(directory: &Path) -> Result<(), Error> {
    let opened = Dir::open_trusted(directory);
    opened.and_then(|dir| dir.sync()).map_err(|error| failed("syncing", directory, &error))
}
