//! What the page shows of a package. Packages never change, so it is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capnp::message::ReaderOptions;
use serde_json::{Value, json};
use spk_grains::store::{Package, Store};
use spk_package::app_id::AppId;
use spk_package::manifest::SIZE_LIMIT_WORDS;
use spk_package::package_id::PackageId;
use spk_package::{author, info};
use spk_schema::package_capnp::{manifest, metadata};

use super::problem::{Problem, chain, printable};

/// Largest icon sent to the page.
const ICON_LIMIT: usize = 2 << 20;

/// How a PNG file begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What is known about packages, by ID.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<PackageId, Arc<Info>>>);

/// A package, as the page shows it.
pub(super) struct Info {
    pub app_id: AppId,
    pub version: u32,
    pub title: String,
    /// Media type and bytes.
    pub icon: Option<(&'static str, Vec<u8>)>,
    json: Value,
    author: Mutex<Author>,
}

/// The author's PGP signature.
enum Author {
    /// Not checked yet: it takes a moment.
    Unchecked(info::AuthorSignature),
    /// The package has none.
    None,
    /// Good; the key's fingerprint.
    Verified(String),
    /// Not good.
    Bad(String),
}

impl Info {
    /// For the page.
    pub fn json(&self) -> Value {
        let mut value = self.json.clone();
        value["author"] = match &*locked(&self.author) {
            Author::Unchecked(_) => json!({ "state": "checking" }),
            Author::None => json!({ "state": "none" }),
            Author::Verified(fingerprint) => {
                json!({ "state": "verified", "fingerprint": fingerprint })
            }
            Author::Bad(reason) => json!({ "state": "bad", "reason": reason }),
        };
        value
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// A package of the store.
    pub fn get(&self, store: &Store, id: &PackageId) -> Result<Arc<Info>, Problem> {
        if let Some(known) = locked(&self.0).get(id) {
            return Ok(known.clone());
        }
        let package = store.package(id)?;
        let info = Arc::new(read(&package)?);
        locked(&self.0).insert(*id, info.clone());
        Ok(info)
    }

    /// Checks the signatures of authors that were not checked yet; whether there were any.
    pub fn check_authors(&self) -> bool {
        let all: Vec<Arc<Info>> = locked(&self.0).values().cloned().collect();
        let mut any = false;
        for info in all {
            let signature = match &*locked(&info.author) {
                Author::Unchecked(signature) => signature.clone(),
                _ => continue,
            };
            let checked = match author::check(&info.app_id, &signature) {
                Ok(fingerprint) => Author::Verified(printable(&fingerprint)),
                Err(error) => Author::Bad(chain(&error)),
            };
            *locked(&info.author) = checked;
            any = true;
        }
        any
    }
}

fn read(package: &Package) -> Result<Info, Problem> {
    let bytes = package.manifest_bytes()?;
    let author = match info::Manifest::parse(&bytes) {
        Ok(manifest) => match manifest.author_signature() {
            Some(signature) => Author::Unchecked(signature.clone()),
            None => Author::None,
        },
        Err(error) => Author::Bad(chain(&error)),
    };
    // Without an icon the page shows the title's first letter.
    let icon = icon(&bytes).unwrap_or(None);
    let plain = &package.manifest;
    let actions: Vec<Value> = (plain.actions.iter().enumerate())
        .filter(|(_, action)| action.needs_no_input)
        .map(|(index, action)| {
            let noun =
                [&action.noun_phrase, &action.title].into_iter().find(|text| !text.is_empty());
            let noun = noun.map_or("grain", String::as_str);
            json!({
                "index": index,
                "noun": printable(noun),
                "description": printable(&action.description),
            })
        })
        .collect();
    let json = json!({
        "id": package.id.to_string(),
        "appId": package.app_id.to_string(),
        "title": printable(&plain.app_title),
        "version": plain.app_version,
        "marketingVersion": printable(&plain.marketing_version),
        "description": printable(&plain.short_description),
        "website": plain.website.as_deref().map(printable),
        "codeUrl": plain.code_url.as_deref().map(printable),
        "size": package.disk_usage().ok(),
        "icon": icon.is_some(),
        "actions": actions,
    });
    Ok(Info {
        app_id: package.app_id,
        version: plain.app_version,
        title: printable(&plain.app_title),
        icon,
        json,
        author: Mutex::new(author),
    })
}

fn icon(bytes: &[u8]) -> capnp::Result<Option<(&'static str, Vec<u8>)>> {
    let options =
        ReaderOptions { traversal_limit_in_words: Some(SIZE_LIMIT_WORDS), nesting_limit: 64 };
    let message = capnp::serialize::read_message(bytes, options)?;
    let manifest: manifest::Reader<'_> = message.get_root()?;
    let icons = manifest.get_metadata()?.get_icons();
    for icon in [icons.get_app_grid()?, icons.get_grain()?, icons.get_market()?] {
        if let Some(found) = picture(icon)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn picture(icon: metadata::icon::Reader<'_>) -> capnp::Result<Option<(&'static str, Vec<u8>)>> {
    use metadata::icon::Which;
    let found = match icon.which() {
        Ok(Which::Svg(svg)) if icon.has_svg() => ("image/svg+xml", svg?.as_bytes().to_vec()),
        Ok(Which::Png(png)) => {
            let data = if png.has_dpi2x() { png.get_dpi2x()? } else { png.get_dpi1x()? };
            if !data.starts_with(PNG) {
                return Ok(None);
            }
            ("image/png", data.to_vec())
        }
        _ => return Ok(None),
    };
    Ok(Some(found).filter(|(_, bytes)| !bytes.is_empty() && bytes.len() <= ICON_LIMIT))
}
