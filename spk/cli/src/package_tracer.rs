//! An unpacked package served through the tracer instead of as a plain directory, to see what the
//! app looks for and does not find.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use fuse_tracer::{Cache, Callers, Options, Record, Tracer};
use spk_host::serve::FuseHook;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::View;

use crate::error::Result;

/// See the module's description.
pub struct PackageTracer {
    view: Arc<View>,
    tracers: Rc<RefCell<Vec<Tracer>>>,
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
        Ok(PackageTracer { view, tracers: Rc::default() })
    }

    /// The package's files.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What serves the app's root. `ask_writes`: see [`Options::ask_writes`].
    pub fn hook(&self, ask_writes: bool) -> FuseHook {
        let (view, tracers) = (self.view.clone(), self.tracers.clone());
        Box::new(move |fuse: OwnedFd| {
            // A package does not change while it is in use.
            let callers = Callers::Sandboxed;
            let options =
                Options { cache: Cache::Frozen, callers, ask_writes, ..Options::default() };
            tracers.borrow_mut().push(Tracer::serve(fuse, view.clone(), options)?);
            Ok(())
        })
    }

    /// What was recorded, once the app has ended.
    pub fn finish(&self) -> Record {
        let mut record = Record::default();
        for tracer in self.tracers.take() {
            record.merge(tracer.finish());
        }
        record
    }
}
