//! Starting the app's processes. A trait, so that the host's own tests can put an app made of
//! futures where the sandbox stands; everything else goes through [`SandboxLauncher`].

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::Duration;

use spk_sandbox::Exit;

use super::error::Error;
use super::log::Log;
use super::notes::Notes;

/// Starts the app, as often as needed.
pub(crate) trait Launch {
    /// Starts it; returns when its program runs. `log` receives what it prints, `notes` what the
    /// developer should know.
    fn start(&mut self, log: &Log, notes: &Notes) -> Result<Launched, Error>;
}

/// A started app.
pub(crate) struct Launched {
    /// The host's end of the app's descriptor 3.
    pub rpc: UnixStream,
    /// Its processes.
    pub process: Box<dyn Process>,
}

/// The processes of a started app. Dropping it ends them all.
pub(crate) trait Process {
    /// The first process as the host sees it, where there is one.
    fn pid(&self) -> Option<i32> {
        None
    }
    /// Waits for the end of the first process, which is the end of all. May be dropped and
    /// called again.
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = Exit> + '_>>;
    /// Asks the app to end; after `grace` it is made to. Does not wait.
    fn terminate(&mut self, grace: Duration) -> io::Result<()>;
    /// Ends everything at once. Does not wait.
    fn kill(&mut self) -> io::Result<()>;
    /// Stops every process where it is.
    fn freeze(&mut self) -> io::Result<()>;
    /// Lets them go on.
    fn thaw(&mut self) -> io::Result<()>;
}
