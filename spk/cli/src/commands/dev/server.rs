//! `spk dev -s DIR`: an installed Sandstorm server runs the app from our file system, as with the
//! original's `spk dev`.
//!
//! The handshake (dev-mode §14): we start `DIR/sandstorm dev` with one end of a socket as its
//! standard input and output, and write the app ID and whether `/proc` is wanted, a line each. The
//! server's session mounts, and sends one NUL byte with the FUSE descriptor attached; whatever else
//! it sends is text for the terminal. A line `restart` makes it start the app's grains again. When
//! we shut down our side of the socket, it unmounts and closes.

use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use spk_files::printable;
use spk_host::signals::EndSignals;
use spk_package::app_id::AppId;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::{CliError, Result, ResultExt};
use crate::stdout::{self, Stdout};
use crate::ui::Ui;

use super::recording::Recording;

/// The server's program below its directory.
const PROGRAM: &str = "sandstorm";
/// Text of the server that is shown at a time.
const PIECE: usize = 4096;

/// With which server, as what.
pub struct Registration<'a> {
    /// Where the server is installed.
    pub dir: &'a Path,
    /// The app that our files replace for all of the server's users.
    pub app_id: &'a AppId,
    /// Whether its grains see a `/proc`.
    pub proc: bool,
}

/// Registers, serves until a signal comes or the server ends it, and writes the list.
pub fn run(
    registration: Registration<'_>,
    recording: Recording,
    restarts: Option<UnboundedReceiver<String>>,
    everything: bool,
    ui: &Ui,
) -> Result<()> {
    let socket = connect(&registration)?;
    let fuse = receive(&socket)?.ok_or_else(|| {
        CliError::new("the server closed the connection without a file system")
            .hint("its own words above say why; its log may say more")
    })?;
    // The mount exists already: from here on somebody may wait for our answers.
    recording.serve(fuse)?;
    ui.note("registered with the server; Ctrl-C ends it");
    let served = serve(&socket, restarts, ui);
    let written = recording.finish(everything, false, ui);
    served.and(written)
}

fn connect(registration: &Registration<'_>) -> Result<UnixStream> {
    let program = registration.dir.join(PROGRAM);
    let (mut ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    let output = theirs.try_clone().context("cannot make a socket pair")?;
    let mut helper = Command::new(&program)
        .arg("dev")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .spawn()
        .context(format!("cannot start {}", program.display()))
        .hint("-s wants the directory that the server is installed in, such as /opt/sandstorm")?;
    let lines = format!("{}\n{}\n", registration.app_id, u8::from(registration.proc));
    // If it is gone already, its end says more than this.
    let _ = ours.write_all(lines.as_bytes());
    // It ends when it has handed the connection over; nobody is to be left as a zombie.
    std::thread::Builder::new()
        .name("server-helper".into())
        .spawn(move || helper.wait())
        .context("cannot start a thread")?;
    Ok(ours)
}

/// Shows what the server says until the descriptor comes; `None` if the end comes first.
fn receive(socket: &UnixStream) -> Result<Option<OwnedFd>> {
    let mut byte = [0];
    let (mut text, mut out) = (Vec::new(), Stdout::default());
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received =
            match recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => continue,
                // It ended without reading what we wrote.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                received => received.context("cannot read from the server")?,
            };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message
                && let Some(fd) = fds.next()
            {
                show(&mut text, &mut out)?;
                return Ok(Some(fd));
            }
        }
        if received.bytes == 0 {
            show(&mut text, &mut out)?;
            return Ok(None);
        }
        text.push(byte[0]);
        if byte[0] == b'\n' || text.len() >= PIECE {
            show(&mut text, &mut out)?;
        }
    }
}

/// Prints what the server says; where nobody reads it, the session goes on without.
fn show(text: &mut Vec<u8>, out: &mut Stdout) -> Result<()> {
    let shown = out.write_all(printable::text(&*text).as_bytes());
    text.clear();
    if out.reader_gone() { Ok(()) } else { shown.map_err(stdout::failure) }
}

/// Shows the server's text until it closes the connection; shuts down our side when a signal comes.
fn serve(socket: &UnixStream, restarts: Option<UnboundedReceiver<String>>, ui: &Ui) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let (sender, mut news) = tokio::sync::mpsc::unbounded_channel();
    let mut reading = socket.try_clone().context("cannot read from the server")?;
    let mut out = Stdout::default();
    std::thread::Builder::new()
        .name("server-text".into())
        .spawn(move || {
            let mut piece = vec![0; PIECE];
            while let Ok(length @ 1..) = reading.read(&mut piece) {
                if let Err(error) = show(&mut piece[..length].to_vec(), &mut out) {
                    let _ = sender.send(News::Unwritten(error));
                }
            }
            let _ = sender.send(News::Ended);
        })
        .context("cannot start a thread")?;
    runtime.block_on(async {
        let mut signals = EndSignals::new()?;
        let mut unwritten = Ok(());
        let restart = restart(restarts, socket, ui);
        tokio::pin!(restart);
        let mut asked = false;
        loop {
            tokio::select! {
                news = news.recv() => match news {
                    Some(News::Unwritten(error)) if !asked => unwritten = Err(error),
                    // It is told once.
                    Some(News::Unwritten(_)) => continue,
                    Some(News::Ended) | None => {
                        if !asked {
                            ui.warn("the server ended the session");
                        }
                        return unwritten;
                    }
                },
                () = &mut restart => {}
                _ = signals.recv() => {}
            }
            if asked {
                return Err(CliError::new("ended before the server had unmounted")
                    .hint("if the app stays, restart the server"));
            }
            asked = true;
            let _ = socket
                .as_fd()
                .try_clone_to_owned()
                .map(UnixStream::from)
                .and_then(|socket| socket.shutdown(Shutdown::Write));
        }
    })
}

/// What the thread that reads from the server tells.
enum News {
    /// What the server said could not be shown.
    Unwritten(CliError),
    /// The server closed the connection.
    Ended,
}

/// Passes reasons to start again on; never ends.
async fn restart(restarts: Option<UnboundedReceiver<String>>, mut socket: &UnixStream, ui: &Ui) {
    if let Some(mut restarts) = restarts {
        while let Some(reason) = restarts.recv().await {
            ui.note(reason);
            // A server that is gone is noticed by who reads from it.
            let _ = socket.write_all(b"restart\n");
        }
    }
    std::future::pending().await
}
