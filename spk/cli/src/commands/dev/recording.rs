//! What the app uses during a development session, and the file list that comes of it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fuse_tracer::looked_at::{self, LookedAt};
use fuse_tracer::trace_file::{self, Growing};
use fuse_tracer::{Cache, Callers, Options, Record, Tracer, Use, with_implied};
use spk_host::serve::FuseHook;
use spk_package::file_list::{self, Update};
use spk_package::selection::Tree;
use spk_package::view::View;

use crate::error::{CliError, Result, ResultExt};
use crate::out_of_reach::{self, Reach};
use crate::ui::Ui;

/// How often what was recorded is written while the session goes on, so that little is lost with it.
const INTERVAL: Duration = Duration::from_secs(3);

/// How many times longer than it takes to write is waited until it is done again, at least: what
/// is recorded may be much.
const REST: u32 = 20;

/// How many paths of one kind are named in the summary; the list has them all.
const NAMED: usize = 10;

/// A development session's record.
pub struct Recording {
    shared: Arc<Shared>,
    writer: Option<(Sender<()>, JoinHandle<()>)>,
}

pub(super) struct Shared {
    view: Arc<View>,
    cache: Cache,
    list: Option<PathBuf>,
    /// With `--packed`: all that is shown of the view.
    only: Option<Arc<Tree>>,
    /// Who is told of changes to used files.
    changes: Mutex<Option<Sender<Vec<u8>>>>,
    /// The sources that were there in the beginning.
    sources: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One for each time the app was started; the last is the one that serves.
    tracers: Vec<Tracer>,
    /// How much there was when the list was last written.
    written: u64,
    added: BTreeSet<Vec<u8>>,
    /// Where it is kept why a path is in the list.
    trace: Option<Growing>,
    /// How many uses there were when the trace was last written.
    traced: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is complete at every point where a thread could have panicked.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn serve(
        &self,
        fuse: OwnedFd,
        callers: Callers,
    ) -> std::result::Result<(), fuse_tracer::Error> {
        // What a sandboxed app tries to write reaches us; in other mounts the kernel refuses it.
        let writes_reach_server = callers == Callers::Sandboxed;
        let options =
            Options { cache: self.cache, callers, writes_reach_server, ..Options::default() };
        let view = self.view.clone();
        let tracer = match &self.only {
            None => Tracer::serve(fuse, view, options)?,
            Some(only) => Tracer::serve_selected(fuse, view, only.clone(), options)?,
        };
        let changes = self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(changes) = changes.as_ref() {
            tracer.tell_changes(changes.clone());
        }
        self.state().tracers.push(tracer);
        Ok(())
    }

    /// How many uses of paths are recorded so far.
    pub(super) fn uses(&self) -> usize {
        self.state().tracers.iter().map(Tracer::uses).sum()
    }

    /// What is recorded so far.
    pub(super) fn record(&self) -> Record {
        let mut record = Record::default();
        self.state().tracers.iter().for_each(|tracer| record.merge(tracer.record()));
        record
    }

    /// What the app reached for so far that no grain has.
    pub(super) fn out_of_reach(&self) -> Vec<Reach> {
        let mut all: Vec<Reach> = Vec::new();
        for tracer in &self.state().tracers {
            all.extend(tracer.look(Reach::all));
        }
        all
    }

    /// The paths for the file list so far.
    pub(super) fn used(&self) -> BTreeSet<Vec<u8>> {
        looked_at::for_list(&self.view, &self.record())
    }

    /// Where the file list is, if there is one and it is written.
    pub(super) fn list(&self) -> Option<&Path> {
        self.list.as_deref().filter(|_| self.only.is_none())
    }

    /// A source that was there and is gone: without it entries of the list would look as if they
    /// were no more, and be dropped.
    fn vanished(&self) -> Option<&PathBuf> {
        self.sources.iter().find(|source| !source.exists())
    }

    /// Whether the view has something at `path`, readable or not.
    fn has(&self, path: &[u8]) -> bool {
        !matches!(self.view.lookup(path), Ok(None))
    }

    /// Writes list and trace if something new was used. Errors wait for the end of the session,
    /// where the same thing is tried again and can be told.
    fn write_in_between(&self) {
        let Some(list) = self.list() else { return };
        let uses = self.uses();
        let mut state = self.state();
        let now = state.tracers.iter().map(Tracer::listed).sum();
        let (listed, traced) = (now != state.written, uses != state.traced);
        if !(listed || traced) || self.vanished().is_some() {
            return;
        }
        let mut record = Record::default();
        state.tracers.iter().for_each(|tracer| record.merge(tracer.record()));
        if listed {
            let used = looked_at::for_list(&self.view, &record);
            if let Ok(update) = file_list::update(list, &used, &self.view, false) {
                state.written = now;
                state.added.extend(update.added);
            }
        }
        if let Some(trace) = state.trace.as_mut()
            && trace.save(&record, |path| self.has(path)).is_ok()
        {
            state.traced = uses;
        }
    }
}

/// What else a session keeps, and how it is saved while that goes on.
pub type Saved = Box<dyn FnMut() + Send>;

impl Recording {
    /// Begins one; `list` is where it goes. `only`: show the app nothing but this, and write no
    /// list. `saved` is called now and then.
    ///
    /// # Errors
    /// When list or trace cannot be written, or the trace that is there cannot be read: that is
    /// better known now than after an hour.
    pub fn new(
        view: Arc<View>,
        cache: Cache,
        list: Option<PathBuf>,
        only: Option<Arc<Tree>>,
        changes: Option<Sender<Vec<u8>>>,
        mut saved: Option<Saved>,
    ) -> Result<Recording> {
        let trace = match list.as_deref().filter(|_| only.is_none()) {
            Some(list) => Some(prepare(list)?),
            None => None,
        };
        let state = State { trace, ..State::default() };
        let (state, changes) = (Mutex::new(state), Mutex::new(changes));
        let mappings = view.source_map().mappings().iter();
        let sources = mappings.map(|mapping| mapping.source_path.clone());
        let sources = sources.filter(|source| source.exists()).collect();
        let shared = Arc::new(Shared { view, cache, list, only, changes, sources, state });
        let (stop, stopped) = mpsc::channel();
        let writing = shared.clone();
        let thread = std::thread::Builder::new().name("file-list".into()).spawn(move || {
            let mut pause = INTERVAL;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                writing.write_in_between();
                saved.iter_mut().for_each(|saved| saved());
                pause = INTERVAL.max(begun.elapsed() * REST);
            }
        });
        // Without it the list is written at the end only.
        let writer = thread.ok().map(|thread| (stop, thread));
        Ok(Recording { shared, writer })
    }

    /// For who wants to look at it while it goes on.
    pub(super) fn looked_at(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// What serves the app's root each time a sandbox was made.
    pub fn hook(&self) -> FuseHook {
        let shared = self.shared.clone();
        Box::new(move |fuse: OwnedFd| Ok(shared.serve(fuse, Callers::Sandboxed)?))
    }

    /// Serves the file system of a descriptor that somebody mounted.
    pub fn serve(&self, fuse: OwnedFd) -> Result<()> {
        // The server mounts, not in the grain's PID namespace.
        Ok(self.shared.serve(fuse, Callers::Ours)?)
    }

    /// Mounts the file system at `dir`.
    pub fn mount(&self, dir: &Path) -> Result<()> {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let owner = (uid.as_raw(), gid.as_raw());
        let options = Options { cache: self.shared.cache, owner, ..Options::default() };
        let tracer = Tracer::mount(dir, self.shared.view.clone(), options)?;
        self.shared.state().tracers.push(tracer);
        Ok(())
    }

    /// Whether every mount is gone.
    pub fn has_ended(&self) -> bool {
        self.shared.state().tracers.iter_mut().all(Tracer::has_ended)
    }

    /// Unmounts what was mounted here.
    pub fn unmount(&self) -> std::io::Result<()> {
        self.shared.state().tracers.iter_mut().try_for_each(Tracer::unmount)
    }

    /// Ends it: writes the list, or prints what was used where the definition names no list, and
    /// says what the developer should know. `everything`: the definition includes all files, so
    /// that nobody needs to be told which. `explain`: name what was to be written.
    pub fn finish(mut self, everything: bool, explain: bool, ui: &Ui) -> Result<()> {
        if let Some((stop, thread)) = self.writer.take() {
            drop(stop);
            let _ = thread.join();
        }
        let (tracers, mut added, trace) = {
            let mut state = self.shared.state();
            let (tracers, added) =
                (std::mem::take(&mut state.tracers), std::mem::take(&mut state.added));
            (tracers, added, state.trace.take())
        };
        if tracers.is_empty() {
            return Ok(());
        }
        let mut record = Record::default();
        for tracer in tracers {
            record.merge(tracer.finish());
        }
        for note in &record.notes {
            ui.note(note);
        }
        for (path, reason) in &record.unreadable {
            ui.warn(format!("{} cannot be read: {reason}", path.display()));
        }
        out_of_reach::sum_up(&record, explain, ui);
        if self.shared.only.is_some() {
            report_withheld(&record, ui);
            return Ok(());
        }
        if let Some(source) = self.shared.vanished() {
            let kept = match &self.shared.list {
                Some(list) => format!("; {} is left as it was", list.display()),
                None => String::new(),
            };
            return Err(CliError::new(format!("the source {} is gone{kept}", source.display()))
                .hint("bring it back, and use the app with spk dev once more"));
        }
        let used = looked_at::for_list(&self.shared.view, &record);
        let Some(list) = &self.shared.list else {
            if !everything {
                ui.note("the definition has no fileList; these files were used:");
                for path in &used {
                    ui.bytes_line(path)?;
                }
            }
            return Ok(());
        };
        // Whatever becomes of the list.
        let traced = trace.map(|mut trace| trace.save(&record, |path| self.shared.has(path)));
        let update = file_list::update(list, &used, &self.shared.view, false)?;
        added.extend(update.added.iter().cloned());
        ui.note(format!(
            "{}: {} paths were used, {} of them new",
            list.display(),
            used.len(),
            added.len()
        ));
        report(&update, ui);
        report_looked_at(&self.shared.view, &record, &used, ui);
        Ok(traced.transpose().map(drop)?)
    }
}

/// Looks whether list and trace can be written, and reads the trace.
fn prepare(list: &Path) -> Result<Growing> {
    let hint = "spk dev writes there which files the app uses: make it writable, or work in a copy \
                of the project";
    file_list::can_update(list).hint(hint)?;
    let trace = trace_file::beside(list);
    trace_file::can_save(&trace).hint(hint)?;
    Ok(Growing::open(&trace)?)
}

/// What the app looked for and would not find in the package, though it is here.
fn report_withheld(record: &Record, ui: &Ui) {
    let withheld: Vec<String> = record
        .paths
        .iter()
        .filter_map(|(path, uses)| {
            let by: Vec<&str> = uses.get(&Use::Withheld)?.by.iter().map(String::as_str).collect();
            let path = String::from_utf8_lossy(path).into_owned();
            Some(if by.is_empty() { path } else { format!("{path} (by {})", by.join(", ")) })
        })
        .collect();
    if withheld.is_empty() {
        ui.note("nothing that the app looked for and that is here would be missing in the package");
        return;
    }
    ui.warn(format!("works here, missing in the package ({}):", withheld.len()));
    for path in withheld {
        ui.warn(format!("  {path}"));
    }
}

/// What the app only looked at, and the links it followed to what it cannot see.
fn report_looked_at(view: &View, record: &Record, listed: &BTreeSet<Vec<u8>>, ui: &Ui) {
    let found = looked_at::looked_at(view, record);
    // What comes with what was used is no news.
    let implied = with_implied(view, record.used());
    let (taken, left): (Vec<&LookedAt>, Vec<&LookedAt>) = found
        .iter()
        .filter(|one| one.is_harmless && !implied.contains(&one.path))
        .partition(|one| listed.contains(&one.path));
    if !taken.is_empty() {
        let what = many(
            &taken,
            "were only looked at, and are listed",
            "was only looked at, and is listed",
        );
        ui.note(format!("{what} all the same"));
    }
    if !left.is_empty() {
        let what = many(&left, "more were looked at", "more was looked at");
        ui.note(format!("{what}: spk files closure names them, and spk pack --closure takes them"));
    }
    let dangling = looked_at::dangling(view, record);
    if dangling.is_empty() {
        return;
    }
    ui.warn(format!("links that lead to what the app cannot see ({}):", dangling.len()));
    for one in dangling.iter().take(NAMED) {
        ui.warn(format!("  {}", one.text()));
    }
    if dangling.len() > NAMED {
        ui.warn(format!(
            "  and {} more: spk files closure names all of them",
            dangling.len() - NAMED
        ));
    }
}

/// How many they are, what they did, and how large they are.
fn many(paths: &[&LookedAt], several: &str, one: &str) -> String {
    let bytes: u64 = paths.iter().map(|path| path.bytes).sum();
    let size = format!("{} KB", bytes.div_ceil(1000));
    match paths.len() {
        1 => format!("1 path {one} ({size})"),
        count => format!("{count} paths {several} ({size})"),
    }
}

fn report(update: &Update, ui: &Ui) {
    let dropped: Vec<Vec<u8>> = update.dropped.iter().map(|(path, _)| path.clone()).collect();
    group("no longer there, and dropped from the list", &dropped, ui);
    let rewritten: Vec<Vec<u8>> = update.rewritten.iter().map(|item| item.listed.clone()).collect();
    group("listed through a link, and now listed as link and target", &rewritten, ui);
    group(
        "used, but the list cannot hold such names; name their directory in alwaysInclude",
        &update.unlistable,
        ui,
    );
}

fn group(what: &str, paths: &[Vec<u8>], ui: &Ui) {
    if paths.is_empty() {
        return;
    }
    ui.warn(format!("{what} ({}):", paths.len()));
    for path in paths.iter().take(NAMED) {
        ui.warn(format!("  {}", String::from_utf8_lossy(path)));
    }
    if paths.len() > NAMED {
        ui.warn(format!("  and {} more", paths.len() - NAMED));
    }
}
