//! The developer's side of a package: its definition's view of this machine's files, and what
//! `spk dev` knows about their use.

use std::path::PathBuf;
use std::time::SystemTime;

use fuse_tracer::{Record, trace_file};
use spk_package::app_id::AppId;
use spk_package::pkgdef::Definition;
use spk_package::view::{Generated, NodeKind, View};

use crate::definition::{self, Located};
use crate::error::Result;
use crate::global::Global;
use crate::ui::Ui;
use crate::{bridge, guarding, requests};

/// See the module's description.
pub struct Developer {
    /// The definition's files.
    pub view: View,
    /// What past sessions used; empty if nothing is known.
    pub trace: Record,
    /// Where recorded requests are, if there are any.
    pub requests: PathBuf,
    /// The file list, or the definition if it has none.
    pub beside: PathBuf,
}

impl Developer {
    /// The developer's side of the app `app_id`: as named by `local`, else as found here. `None`,
    /// with a note why, if there is none here or if it is another app's.
    pub fn find(
        app_id: &AppId,
        local: Option<&str>,
        global: &Global,
        ui: &Ui,
    ) -> Result<Option<Developer>> {
        let located = match definition::locate(local, global) {
            Ok(located) => located,
            Err(error) if local.or(global.pkg_def.as_deref()).is_some() => return Err(error),
            Err(_) => return Ok(None),
        };
        let definition = definition::load(&located, &global.import_path, ui)?;
        if definition.id.parse::<AppId>().ok().as_ref() != Some(app_id) {
            ui.note(format!(
                "{} is the definition of another app ({})",
                located.file.display(),
                definition.id
            ));
            return Ok(None);
        }
        Developer::of(&definition, &located, global, ui).map(Some)
    }

    /// A used file that was changed after `time`.
    pub fn changed_since(&self, time: SystemTime) -> Option<PathBuf> {
        self.trace.used().iter().find_map(|path| {
            let node = self.view.lookup(path).ok().flatten()?;
            let source = node.source_file().filter(|_| node.kind() == NodeKind::File)?.path();
            let modified = std::fs::metadata(&source).and_then(|found| found.modified()).ok()?;
            (modified > time).then_some(source)
        })
    }

    fn of(
        definition: &Definition,
        located: &Located,
        global: &Global,
        ui: &Ui,
    ) -> Result<Developer> {
        let list = definition.file_list.as_ref();
        let list = list.map(|name| definition::list_path(&located.file, name, ui));
        let trace = match &list {
            Some(list) => trace_file::load(&trace_file::beside(list))?,
            None => Record::default(),
        };
        let generated = Generated {
            manifest: definition.manifest.clone(),
            bridge_config: definition.bridge_config_file(),
            bridge: bridge::find().ok(),
        };
        let beside = list.as_deref().unwrap_or(&located.file);
        let requests = requests::beside(beside);
        let own = guarding::Own { list: Some(beside), ..guarding::Own::default() };
        let view = View::new(definition.source_map.clone(), generated)
            .withholding(guarding::withheld(&own, global));
        Ok(Developer { view, trace, requests, beside: beside.to_owned() })
    }
}
