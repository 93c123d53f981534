//! What the list shows: packages and grains, as JSON.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use spk_grains::store::{GrainId, GrainInfo, Store};
use spk_package::app_id::AppId;
use spk_package::package_id::PackageId;

use super::packages::{Cache, Info};
use super::problem::{Problem, printable};
use super::{Shell, blocking, guard};
use crate::serve::KNOWN;

/// Bytes that grains take on the disk, by ID, as of their last use; walking over them takes time.
#[derive(Default)]
pub(super) struct Sizes {
    known: Mutex<HashMap<GrainId, (u64, u64)>>,
    /// Held by whoever is walking.
    walking: Mutex<()>,
}

impl Sizes {
    fn get(&self, id: &GrainId) -> Option<u64> {
        let sizes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(id).map(|(_, size)| *size)
    }

    fn is_known(&self, id: &GrainId, last_used: u64) -> bool {
        let sizes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(id).is_some_and(|(as_of, _)| *as_of == last_used)
    }

    fn set(&self, id: GrainId, last_used: u64, size: u64) {
        let mut sizes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(id, (last_used, size));
    }

    /// The grain is being used: what is known will not be true for long.
    pub fn forget(&self, id: &GrainId) {
        let mut sizes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((as_of, _)) = sizes.get_mut(id) {
            *as_of = 0;
        }
    }
}

/// Grains of this process, as far as the list needs them.
struct Ours {
    /// Open here; and whether the app runs.
    open: HashMap<GrainId, bool>,
    deleted: HashSet<GrainId>,
    primary: GrainId,
    developed: bool,
}

impl Shell {
    /// Packages, grains, and what else the page begins with.
    pub(super) async fn listing(self: &Rc<Self>) -> Result<Value, Problem> {
        let ours = Ours {
            open: self.running_grains(),
            deleted: self.deleted.borrow().keys().cloned().collect(),
            primary: self.primary.clone(),
            developed: self.developer.is_some(),
        };
        let (store, packages, sizes) =
            (self.store.clone(), self.packages.clone(), self.sizes.clone());
        let (mut value, unknown) =
            blocking(move || listing(&store, &packages, &sizes, &ours)).await?;
        self.measure(unknown);
        let front = self.front()?;
        for package in value["packages"].as_array_mut().into_iter().flatten() {
            if package["icon"] == true {
                let id = package["id"].as_str().unwrap_or_default();
                // Good for this picture only: the browser fetches it without the page's key.
                package["icon"] = json!(format!("/icons/{id}/{}", guard::icon_key(&front, id)));
            }
        }
        Ok(value)
    }

    /// The grains that are open here, and whether their apps run.
    fn running_grains(&self) -> HashMap<GrainId, bool> {
        let open = self.open.borrow();
        open.iter().map(|(id, open)| (id.clone(), open.grain.running().is_some())).collect()
    }

    /// Finds out what takes a while, and tells the pages.
    fn measure(self: &Rc<Self>, unknown: Vec<(GrainId, u64)>) {
        let (store, packages, sizes) =
            (self.store.clone(), self.packages.clone(), self.sizes.clone());
        let events = self.events.clone();
        // Nobody waits for it.
        drop(tokio::task::spawn_blocking(move || {
            let Ok(_walking) = sizes.walking.try_lock() else { return };
            let mut any = packages.check_authors();
            for (id, last_used) in unknown {
                if let Ok(size) = store.grain_size(&id) {
                    any = true;
                    sizes.set(id, last_used, size);
                }
            }
            if any {
                let _ = events.send("{\"type\":\"changed\"}".into());
            }
        }));
    }
}

type Newest = HashMap<AppId, (PackageId, u32)>;

fn listing(
    store: &Store,
    cache: &Cache,
    sizes: &Sizes,
    ours: &Ours,
) -> Result<(Value, Vec<(GrainId, u64)>), Problem> {
    let mut infos: HashMap<PackageId, Arc<Info>> = HashMap::new();
    let mut newest: Newest = HashMap::new();
    let mut packages = Vec::new();
    for id in store.packages()? {
        match cache.get(store, &id) {
            Ok(info) => {
                let best = newest.entry(info.app_id).or_insert((id, info.version));
                if info.version > best.1 {
                    *best = (id, info.version);
                }
                packages.push(info.json());
                infos.insert(id, info);
            }
            // Removed meanwhile, or damaged: the second is worth saying.
            Err(problem) if problem.status == http::StatusCode::NOT_FOUND => {}
            Err(problem) => {
                packages.push(json!({ "id": id.to_string(), "problem": problem.text }));
            }
        }
    }
    let mut unknown = Vec::new();
    let mut grains = Vec::new();
    for grain in store.grains()? {
        if ours.deleted.contains(&grain.id) {
            continue;
        }
        if let Ok(meta) = &grain.meta
            && !sizes.is_known(&grain.id, meta.last_used)
        {
            unknown.push((grain.id.clone(), meta.last_used));
        }
        grains.push(describe(&grain, &infos, &newest, sizes, ours));
    }
    let value = json!({
        "packages": packages,
        "grains": grains,
        "users": KNOWN,
        "primary": ours.primary.as_str(),
        "developed": ours.developed,
        "spk": env!("CARGO_PKG_VERSION"),
    });
    Ok((value, unknown))
}

fn describe(
    grain: &GrainInfo,
    infos: &HashMap<PackageId, Arc<Info>>,
    newest: &Newest,
    sizes: &Sizes,
    ours: &Ours,
) -> Value {
    let id = &grain.id;
    let developed = ours.developed && *id == ours.primary;
    let here = ours.open.get(id);
    let state = match (here, &grain.busy) {
        (Some(true), _) => "running",
        (Some(false), _) | (None, None) => "stopped",
        (None, Some(Some(holder))) if holder.runs() => "elsewhere",
        (None, Some(_)) => "busy",
    };
    let mut value = json!({
        "id": id.as_str(), "state": state, "here": here.is_some(),
        "primary": *id == ours.primary, "developed": developed,
    });
    let meta = match &grain.meta {
        Ok(meta) => meta,
        Err(error) => {
            value["problem"] = json!(super::problem::chain(error));
            return value;
        }
    };
    let package = meta.package_id.and_then(|id| infos.get(&id));
    let upgrade = newest.get(&meta.app_id).filter(|(newest, version)| {
        Some(*newest) != meta.package_id && *version >= meta.app_version && !developed
    });
    let any_of_app = newest.get(&meta.app_id).and_then(|(id, _)| infos.get(id));
    value["title"] = json!(printable(&meta.title));
    value["appId"] = json!(meta.app_id.to_string());
    value["app"] = json!(package.or(any_of_app).map(|package| &package.title));
    value["package"] = json!(meta.package_id.map(|id| id.to_string()));
    value["version"] = json!(meta.app_version);
    value["created"] = json!(meta.created);
    value["lastUsed"] = json!(meta.last_used);
    value["size"] = json!(sizes.get(id));
    value["upgrade"] = json!(
        upgrade.map(|(id, version)| json!({ "package": id.to_string(), "version": version }))
    );
    if meta.package_id.is_none() && !developed {
        value["unpackaged"] = json!(true);
    }
    value
}
