//! An unpacked package served through the tracer instead of as a plain directory, to see what the
//! app looks for and does not find.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuse_tracer::{Cache, Callers, Options, Record, Tracer};
use spk_host::serve::Rootfs;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::View;

use crate::error::Result;
use crate::out_of_reach::Reach;

/// One for each time the app was started.
#[derive(Clone, Default)]
pub struct Tracers(Arc<Mutex<Vec<Tracer>>>);

impl Tracers {
    fn all(&self) -> MutexGuard<'_, Vec<Tracer>> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the app reached for so far that no grain has.
    pub fn out_of_reach(&self) -> Vec<Reach> {
        self.all().iter().flat_map(|tracer| tracer.look(Reach::all)).collect()
    }
}

/// See the module's description.
pub struct PackageTracer {
    view: Arc<View>,
    tracers: Tracers,
}

impl PackageTracer {
    /// For the package in `dir`.
    pub fn new(dir: &Path) -> Result<PackageTracer> {
        let mapping = Mapping {
            package_path: Vec::new(),
            source_path: dir.to_owned(),
            hide_paths: Vec::new(),
        };
        let view = Arc::new(View::plain(SourceMap::new(vec![mapping])?));
        Ok(PackageTracer { view, tracers: Tracers::default() })
    }

    /// The package's files.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The package as an app's root. `writes_reach_server`: see [`Options::writes_reach_server`].
    pub fn rootfs(&self, writes_reach_server: bool) -> Rootfs {
        let (view, tracers) = (self.view.clone(), self.tracers.clone());
        let options = Options {
            // A package does not change while it is in use.
            cache: Cache::Frozen,
            callers: Callers::Sandboxed,
            writes_reach_server,
            ..Options::default()
        };
        let hook = Box::new(move |fuse: OwnedFd| {
            tracers.all().push(Tracer::serve(fuse, view.clone(), options)?);
            Ok(())
        });
        Rootfs::Fuse { hook, writes_reach_server }
    }

    /// For who wants to look at what is recorded while the app runs.
    pub fn tracers(&self) -> Tracers {
        self.tracers.clone()
    }

    /// What was recorded, once the app has ended.
    pub fn finish(&self) -> Record {
        let mut record = Record::default();
        for tracer in std::mem::take(&mut *self.tracers.all()) {
            record.merge(tracer.finish());
        }
        record
    }
}
