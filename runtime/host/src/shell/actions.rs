//! What is done with grains.

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use spk_grains::backup::automatic;
use spk_grains::store::{GrainId, NewGrain};
use spk_package::package_id::PackageId;

use super::problem::Problem;
use super::{Shell, blocking};
use spk_package::progress::Silent;

/// How long a deletion can be undone. After that, and when spk ends, the data is removed; the
/// backup that is taken before is kept for 30 days.
const UNDO_TIME: Duration = Duration::from_secs(60);

/// A new grain.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct New {
    package: String,
    /// Index of the package's action.
    action: Option<usize>,
    title: Option<String>,
}

/// Another title.
#[derive(Deserialize)]
pub(super) struct Rename {
    title: String,
}

/// Another package.
#[derive(Deserialize)]
pub(super) struct Upgrade {
    package: Option<String>,
}

fn package_id(text: &str) -> Result<PackageId, Problem> {
    text.parse().map_err(|_| Problem::bad("that is not the ID of a package"))
}

impl Shell {
    /// Makes a grain; it is started when it is opened.
    pub(super) async fn new_grain(self: &Rc<Self>, new: New) -> Result<Value, Problem> {
        let (store, package) = (self.store.clone(), package_id(&new.package)?);
        let action = new.action;
        let title = new.title.unwrap_or_default().trim().to_owned();
        let id = blocking(move || {
            let package = store.package(&package)?;
            let actions = &package.manifest.actions;
            if action.is_some_and(|index| index >= actions.len()) {
                return Err(Problem::missing("action"));
            }
            let title = match (title.is_empty(), action.and_then(|index| actions.get(index))) {
                (true, Some(action)) if !action.noun_phrase.is_empty() => {
                    format!("Untitled {} {}", package.manifest.app_title, action.noun_phrase)
                }
                (true, _) => format!("Untitled {}", package.manifest.app_title),
                (false, _) => title,
            };
            Ok(store.create_grain(&package, NewGrain { title })?.id().clone())
        });
        let id = id.await?;
        if let Some(action) = action {
            self.new_by.borrow_mut().insert(id.clone(), action);
        }
        self.changed();
        Ok(json!({ "id": id.as_str() }))
    }

    pub(super) async fn rename(
        self: &Rc<Self>,
        id: GrainId,
        rename: Rename,
    ) -> Result<Value, Problem> {
        let title = rename.title.trim().to_owned();
        if title.is_empty() {
            return Err(Problem::bad("a grain needs a title"));
        }
        let store = self.store.clone();
        blocking(move || Ok(store.rename_grain(&id, &title)?)).await?;
        self.changed();
        Ok(json!({}))
    }

    /// Stops the app. Of the grain that spk was started for the address stays good: the next
    /// request starts it again.
    pub(super) async fn stop(self: &Rc<Self>, id: GrainId) -> Result<Value, Problem> {
        if id == self.primary {
            let open = self.open.borrow().get(&id).cloned();
            let open = open.ok_or_else(|| Problem::conflict("the grain is not open"))?;
            open.grain.halt("stopped from the browser").await;
            self.sizes.forget(&id);
            self.changed();
            return Ok(json!({}));
        }
        if self.open.borrow().contains_key(&id) {
            self.close_grain(&id).await;
            return Ok(json!({}));
        }
        let store = self.store.clone();
        blocking(move || {
            let refused = |error: spk_grains::store::control::ControlError| {
                Problem::conflict(super::problem::chain(&error))
            };
            store.control(&id)?.map_err(refused)?.stop().map_err(refused)
        })
        .await?;
        self.changed();
        Ok(json!({}))
    }

    /// Stops the app and starts it again.
    pub(super) async fn restart(self: &Rc<Self>, id: GrainId) -> Result<Value, Problem> {
        let open = self.open_grain(&id).await?;
        open.grain.restart("restarted from the browser").await;
        self.changed();
        match open.grain.app().await {
            Ok(_) => Ok(json!({})),
            Err(error) => Err(Problem::from(&*error)),
        }
    }

    /// Lets a grain run with another package of its app, after a backup.
    pub(super) async fn upgrade(
        self: &Rc<Self>,
        id: GrainId,
        to: Upgrade,
    ) -> Result<Value, Problem> {
        if self.is_developed(&id) {
            return Err(Problem::conflict("this grain is being developed: it has no package"));
        }
        let package = to.package.as_deref().map(package_id).transpose()?;
        self.close_grain(&id).await;
        let store = self.store.clone();
        let upgraded = blocking(move || {
            let mut grain = store.open_grain_for(&id, "upgrade")?;
            let package = match package {
                Some(package) => store.package(&package)?,
                None => store
                    .newest_package(&grain.meta().app_id)?
                    .ok_or_else(|| Problem::missing("package of this app"))?,
            };
            grain.check_package(&package, false)?;
            if grain.meta().package_id != Some(package.id) {
                automatic::before(&store, &grain, "upgrade", &mut Silent)?;
            }
            grain.set_package(&package, false)?;
            Ok(json!({ "version": package.manifest.app_version }))
        });
        let upgraded = upgraded.await;
        self.changed();
        upgraded
    }

    /// Takes a grain out of the list and holds it, so that the deletion can be undone.
    pub(super) async fn delete(self: &Rc<Self>, id: GrainId) -> Result<Value, Problem> {
        if self.is_developed(&id) {
            return Err(Problem::conflict("this grain is being developed")
                .hint("end spk dev; `spk grain delete` deletes it then"));
        }
        self.close_grain(&id).await;
        let (store, wanted) = (self.store.clone(), id.clone());
        let grain = blocking(move || Ok(store.open_grain_for(&wanted, "delete")?)).await?;
        let title = super::problem::printable(&grain.meta().title);
        self.deleted.borrow_mut().insert(id.clone(), grain);
        let (shell, deleted) = (Rc::downgrade(self), id.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(UNDO_TIME).await;
            if let Some(shell) = shell.upgrade() {
                shell.finish_deletion(&deleted).await;
            }
        });
        self.changed();
        Ok(json!({ "id": id.as_str(), "title": title, "seconds": UNDO_TIME.as_secs() }))
    }

    /// Puts a deleted grain back where it was.
    pub(super) fn undo_delete(self: &Rc<Self>, id: &GrainId) -> Result<Value, Problem> {
        match self.deleted.borrow_mut().remove(id) {
            Some(grain) => drop(grain),
            None => {
                return Err(Problem::conflict("it is too late: the grain's data is gone")
                    .hint("a backup is kept for 30 days: see `spk grain restore`"));
            }
        }
        self.changed();
        Ok(json!({}))
    }

    /// Carries out all deletions that were not undone.
    pub(super) async fn finish_deletions(self: &Rc<Self>) {
        let ids: Vec<GrainId> = self.deleted.borrow().keys().cloned().collect();
        for id in ids {
            self.finish_deletion(&id).await;
        }
    }

    async fn finish_deletion(self: &Rc<Self>, id: &GrainId) {
        let Some(grain) = self.deleted.borrow_mut().remove(id) else { return };
        let store = self.store.clone();
        let done = blocking(move || {
            automatic::before(&store, &grain, "delete", &mut Silent)?;
            Ok(store.delete(grain)?)
        });
        if let Err(problem) = done.await {
            // Nothing is lost: the grain is back.
            let text = format!("a grain could not be deleted: {}", problem.text);
            self.tell(&json!({ "type": "problem", "text": text }));
        }
        self.changed();
    }
}
