//! Kinds of failures, each with an exit status of its own.

use std::error::Error;
use std::io;

use spk_host::serve;
use spk_package::{author, causes, pkgdef, unpack, verify};

/// What kind of failure it is: what a script that called `spk` would want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed, or what was checked is not in order.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// This machine lacks something, or forbids it: user namespaces, `/dev/fuse`, a newer kernel,
    /// another program. On another machine the same command would work.
    Machine,
    /// A command that was run in the user's name ended so; that is its own exit status, or 128 and the
    /// number of the signal that ended it.
    Command(u8),
    /// `spk` itself is wrong.
    Internal,
}

impl Kind {
    /// The exit status. That of an internal error is `EX_SOFTWARE` of sysexits.h, which nothing
    /// that `spk` runs in a person's name is likely to end with.
    pub const fn status(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Machine => 3,
            Kind::Command(status) => status,
            Kind::Internal => 70,
        }
    }

    /// The kind of a library's error: its own, or that of the nearest cause that has one.
    pub fn of(error: &(dyn Error + 'static)) -> Kind {
        std::iter::once(error).chain(causes::of(error)).find_map(kind).unwrap_or(Kind::Failed)
    }
}

impl From<spk_sandbox::Kind> for Kind {
    fn from(kind: spk_sandbox::Kind) -> Kind {
        match kind {
            spk_sandbox::Kind::Machine => Kind::Machine,
            spk_sandbox::Kind::Internal => Kind::Internal,
            spk_sandbox::Kind::Other => Kind::Failed,
        }
    }
}

/// The kind of this very error, if its type knows one.
fn kind(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(error) = error.downcast_ref::<spk_sandbox::Error>() {
        return Some(error.kind().into());
    }
    // Its variants that stand for the sandbox's have no source of their own.
    if let Some(error) = error.downcast_ref::<serve::Error>() {
        return error.of_the_sandbox().map(|error| error.kind().into());
    }
    let lacking = if let Some(error) = error.downcast_ref::<fuse_tracer::Error>() {
        matches!(error, fuse_tracer::Error::Lacking(..))
    } else if let Some(error) = error.downcast_ref::<pkgdef::Error>() {
        matches!(error, pkgdef::Error::Unsupported { .. })
    } else {
        matches!(of_the_author(error), Some(author::Error::Run(error))
            if error.kind() == io::ErrorKind::NotFound)
    };
    lacking.then_some(Kind::Machine)
}

/// The error about the author's signature that this is, or stands for without naming it as its
/// source.
fn of_the_author<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a author::Error> {
    let verify = match error.downcast_ref::<unpack::Error>() {
        Some(unpack::Error::Verify(error)) => Some(error),
        _ => error.downcast_ref::<verify::Error>(),
    };
    match verify {
        Some(verify::Error::Author(error)) => Some(error),
        _ => error.downcast_ref::<author::Error>(),
    }
}

#[cfg(test)]
mod tests {
    use spk_sandbox::{Failure, Step};

    use super::*;
    use crate::error::{CliError, ResultExt};

    fn refused() -> spk_sandbox::Error {
        spk_sandbox::Error::Setup(Failure::new(Step::Namespaces, "", nix::errno::Errno::EPERM))
    }

    #[test]
    fn a_cause_decides_however_deep_it_lies() {
        let absent = || io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Kind::of(&refused()), Kind::Machine);
        assert_eq!(Kind::of(&serve::Error::Sandbox(refused())), Kind::Machine);
        let shared = serve::Error::Shared(serve::Error::Sandbox(refused()).into());
        assert_eq!(Kind::of(&shared), Kind::Machine);
        let fuse = fuse_tracer::Error::Lacking("/dev/fuse", absent());
        assert_eq!(Kind::of(&serve::Error::FileSystem(fuse.into())), Kind::Machine);
        assert_eq!(Kind::of(&spk_sandbox::Error::Protocol("again".into())), Kind::Internal);
        // A file that is not there is nothing that the machine lacks.
        assert_eq!(Kind::of(&absent()), Kind::Failed);
        let without_gpg = || verify::Error::Author(author::Error::Run(absent()));
        assert_eq!(Kind::of(&without_gpg()), Kind::Machine);
        assert_eq!(Kind::of(&unpack::Error::Verify(without_gpg())), Kind::Machine);
        assert_eq!(Kind::of(&author::Error::Temporary(absent())), Kind::Failed);
    }

    #[test]
    fn words_that_are_added_leave_the_kind() {
        let result: Result<(), _> = Err(refused());
        let error = result.context("cannot start it").hint("look there");
        assert_eq!(error.map_err(|error| error.kind()), Err(Kind::Machine));
        let absent = || io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(CliError::program("curl", "curl", absent()).kind(), Kind::Machine);
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(CliError::program("curl", "curl", refused).kind(), Kind::Failed);
    }
}
