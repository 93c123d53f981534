//! Several grains in one process: opened when somebody looks at them, closed when they are stopped
//! or when spk ends.

use std::cell::RefCell;
use std::rc::Rc;

use futures::FutureExt;
use spk_grains::store::control::Listener;
use spk_grains::store::{self, GrainId, Package};
use spk_package::manifest::Manifest;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::events::Feed;
use super::problem::Problem;
use super::{Shell, blocking};
use crate::serve::grain::Grain;
use crate::serve::host_objects::Elsewhere;
use crate::serve::jobs::run_jobs;
use crate::serve::{
    self, AppOptions, GRACE, GrainOptions, IdentityHook, Log, Notes, Program, Rootfs,
    control_requests, sandboxed,
};

/// A grain that is served by this process.
pub(super) struct Open {
    pub grain: Rc<Grain>,
    pub feed: Rc<Feed>,
    /// Locked as long as this lives.
    pub held: Rc<RefCell<store::Grain>>,
    /// Kept from being collected.
    pub _package: Option<Package>,
    pub tasks: Vec<JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Gives users their identities in a grain, as long as the grain is open.
pub(super) fn identities(grain: &Rc<RefCell<store::Grain>>) -> IdentityHook {
    let grain = Rc::downgrade(grain);
    Box::new(move |user| grain.upgrade()?.borrow_mut().identity(user).ok())
}

/// What the manifest wants executed: an action for a grain's first start (the first one that needs
/// no input, unless it was chosen), the other command ever after (package-format §7.2:
/// `actions`, `continueCommand`). `None`: it names no program.
pub fn program(manifest: &Manifest, started: bool, action: Option<usize>) -> Option<Program> {
    let command = match (started, action) {
        (true, _) => &manifest.continue_command,
        (false, Some(index)) => &manifest.actions.get(index)?.command,
        (false, None) => manifest.new_command()?,
    };
    (!command.argv.is_empty())
        .then(|| Program { argv: command.argv.clone(), environ: command.environ.clone() })
}

/// How a grain reaches what others gave it.
pub(super) fn elsewhere(shell: &Rc<Shell>) -> Elsewhere {
    let shell = Rc::downgrade(shell);
    Box::new(move |id| {
        let (shell, id) = (shell.upgrade(), id.parse::<GrainId>());
        async move {
            let shell = shell.ok_or("spk is ending")?;
            let id = id.map_err(|error| error.to_string())?;
            let (open, _) = shell.running(&id).await.map_err(|problem| problem.text)?;
            Ok(open.grain.objects.clone())
        }
        .boxed_local()
    })
}

/// What opening a grain in the store gives.
struct Opened {
    grain: store::Grain,
    package: Package,
    program: Program,
    control: Listener,
}

impl Shell {
    /// The grain, opened if it is not; its app is not started.
    pub(super) async fn open_grain(self: &Rc<Self>, id: &GrainId) -> Result<Rc<Open>, Problem> {
        let _turn = self.opening.lock().await;
        if let Some(open) = self.open.borrow().get(id) {
            return Ok(open.clone());
        }
        if self.deleted.borrow().contains_key(id) {
            return Err(Problem::missing("grain: it was deleted"));
        }
        let action = self.new_by.borrow_mut().remove(id);
        let (store, wanted) = (self.store.clone(), id.clone());
        let opened = blocking(move || {
            let mut grain = store.open_grain(&wanted)?;
            let Some(package) = grain.meta().package_id else {
                return Err(Problem::conflict("this grain was made by spk dev and has no package")
                    .hint("pack the app, upload the package here, then upgrade the grain"));
            };
            let package = store.package(&package)?;
            let program = program(&package.manifest, grain.meta().started, action)
                .ok_or_else(|| Problem::conflict("the app's manifest names no program"))?;
            grain.touch()?;
            let control = Listener::bind(&grain)?;
            Ok(Opened { grain, package, program, control })
        });
        let open = Rc::new(self.serve(id, opened.await?)?);
        self.open.borrow_mut().insert(id.clone(), open.clone());
        self.changed();
        Ok(open)
    }

    fn serve(self: &Rc<Self>, id: &GrainId, opened: Opened) -> Result<Open, Problem> {
        let Opened { grain, package, program, control } = opened;
        let held = Rc::new(RefCell::new(grain));
        let mut grain = GrainOptions::of(&held.borrow());
        grain.capabilities = Some(held.borrow().capabilities()?);
        grain.identities = Some(identities(&held));
        let app = AppOptions::new(Rootfs::Package(package.dir.clone()), program);
        let mut options = serve::Options::new(app, grain);
        options.policy = self.policy.clone();
        options.policy.idle_timeout.get_or_insert(serve::IDLE_TIMEOUT);
        let front = self.front()?;
        options.visit.user = front.user().name().to_owned();
        let (mut settings, launcher) =
            sandboxed::split(options).map_err(|error| Problem::from(&error))?;
        let log = Log::open(&settings.grain.log, settings.policy.host_limits.log_bytes)
            .map_err(|source| serve::Error::Log { path: settings.grain.log.clone(), source })
            .map_err(|error| Problem::from(&error))?;
        let feed = Feed::new(id.clone(), self.events.clone());
        let notes = Notes::new({
            let feed = feed.clone();
            move |event| feed.event(&event)
        });
        let grain = serve::make_grain(&mut settings, launcher, log, notes, front.port())
            .map_err(|error| Problem::from(&error))?;
        front.serve_also(&grain);
        grain.objects.set_elsewhere(elsewhere(self));
        let tasks = self.look_after(id, &grain, control);
        Ok(Open { grain, feed, held, _package: Some(package), tasks })
    }

    /// What goes on beside the requests: other processes are answered, and the app is stopped when
    /// nobody uses it.
    fn look_after(
        self: &Rc<Self>,
        id: &GrainId,
        grain: &Rc<Grain>,
        control: Listener,
    ) -> Vec<JoinHandle<()>> {
        let stop = Rc::new(Notify::new());
        let controlling =
            control_requests::serve(grain.clone(), self.front.clone(), control, stop.clone());
        let idling = {
            let grain = grain.clone();
            async move {
                // It only ever ends by being aborted.
                let _ = grain.stop_when_idle().await;
            }
        };
        let jobs = run_jobs(grain.clone());
        let (shell, id) = (Rc::downgrade(self), id.clone());
        // Not among the tasks of the grain: it would abort itself.
        tokio::task::spawn_local(async move {
            stop.notified().await;
            if let Some(shell) = shell.upgrade() {
                shell.close_grain(&id).await;
            }
        });
        vec![
            tokio::task::spawn_local(controlling),
            tokio::task::spawn_local(jobs),
            tokio::task::spawn_local(idling),
        ]
    }

    /// Stops a grain's app and lets go of the grain, if it is open here.
    pub(super) async fn close_grain(self: &Rc<Self>, id: &GrainId) {
        let _turn = self.opening.lock().await;
        let Some(open) = self.open.borrow_mut().remove(id) else { return };
        if let Some(front) = self.front.upgrade() {
            front.forget_sessions(&open.grain);
        }
        open.grain.stop(GRACE).await;
        self.sizes.forget(id);
        self.changed();
    }
}
