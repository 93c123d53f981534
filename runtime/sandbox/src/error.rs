//! What can go wrong around a sandbox, by the action that failed.

use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a sandbox could not be set up, or not be steered.
#[derive(Debug, Error)]
pub enum Error {
    /// The helper process (this program, executed again) did not start.
    #[error("cannot start the sandbox helper {program}: {reason}")]
    StartHelper {
        /// What was executed.
        program: String,
        /// Why not.
        reason: io::Error,
    },
    /// No channel to the helper.
    #[error("cannot talk to the sandbox helper: {0}")]
    Channel(io::Error),
    /// The helper ended before it had answered.
    #[error("the sandbox helper ended unexpectedly ({0})")]
    HelperDied(String),
    /// The helper said something that does not belong there.
    #[error("the sandbox helper answered out of turn: {0}")]
    Protocol(String),
    /// One step of the set-up failed.
    #[error("{}", .0.message())]
    Setup(Failure),
    /// The app's program could not be executed.
    #[error("cannot execute {program}: {problem}")]
    Exec {
        /// `argv[0]`.
        program: String,
        /// What is wrong with it.
        problem: ExecProblem,
    },
    /// The app cannot be frozen or thawed.
    #[error("cannot freeze or thaw the app: {0}")]
    Freeze(io::Error),
}

/// Whose matter an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This machine lacks something, or forbids it: no other app would start either.
    Machine,
    /// This program does not do what it should.
    Internal,
    /// Anything else: the app, the files given, the moment.
    Other,
}

impl Error {
    /// Whose matter it is.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Setup(failure) if failure.is_of_the_machine() => Kind::Machine,
            Error::Setup(failure)
                if failure.step == Step::Seccomp && failure.errno == Errno::EOVERFLOW as i32 =>
            {
                Kind::Internal
            }
            Error::HelperDied(_) | Error::Protocol(_) => Kind::Internal,
            _ => Kind::Other,
        }
    }
}

/// A step of the set-up, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Creating the namespaces.
    Namespaces,
    /// Writing the user and group maps.
    IdMap,
    /// Taking on the ids inside.
    Ids,
    /// Asking to die with the helper.
    DeathSignal,
    /// Cutting mount propagation.
    Propagation,
    /// Forbidding further user namespaces inside.
    NamespaceLimit,
    /// Setting the host name.
    HostName,
    /// Setting the loopback interface up.
    Loopback,
    /// Opening the FUSE device.
    FuseDevice,
    /// Making the FUSE file system.
    FuseMount,
    /// Copying a directory's or a file's mount.
    Bind,
    /// Making a mount read-only, nosuid, …
    Restrict,
    /// Translating ids of a mount.
    IdMapMount,
    /// Making a tmpfs.
    Tmpfs,
    /// Making a procfs.
    Proc,
    /// Finding the place for a mount inside the root.
    MountPoint,
    /// Attaching a mount.
    Attach,
    /// Changing the root.
    Pivot,
    /// Giving up capabilities.
    Capabilities,
    /// Setting no_new_privs.
    NoNewPrivileges,
    /// Setting a resource limit.
    Limit,
    /// Setting up the app's descriptors.
    Descriptors,
    /// The second wall.
    Landlock,
    /// Installing the system call filter.
    Seccomp,
    /// Starting another process.
    Fork,
}

impl Step {
    /// The step in words, to follow "cannot".
    pub fn words(self) -> &'static str {
        match self {
            Step::Namespaces => "create a user namespace and the namespaces in it",
            Step::IdMap => "write the id maps of the user namespace",
            Step::Ids => "take on the ids inside the user namespace",
            Step::DeathSignal => "ask for the parent's death signal",
            Step::Propagation => "make the mounts private",
            Step::NamespaceLimit => "forbid user namespaces inside the sandbox",
            Step::HostName => "set the host name inside",
            Step::Loopback => "set up the loopback interface inside",
            Step::FuseDevice => "open the FUSE device",
            Step::FuseMount => "mount the FUSE file system",
            Step::Bind => "bind",
            Step::Restrict => "restrict the mount of",
            Step::IdMapMount => "translate the owners of",
            Step::Tmpfs => "mount a tmpfs for",
            Step::Proc => "mount a procfs",
            Step::MountPoint => "find the mount point",
            Step::Attach => "attach the mount",
            Step::Pivot => "change the root",
            Step::Capabilities => "give up capabilities",
            Step::NoNewPrivileges => "set no_new_privs",
            Step::Limit => "set the limit",
            Step::Descriptors => "set up the app's descriptors",
            Step::Landlock => "apply Landlock",
            Step::Seccomp => "install the system call filter",
            Step::Fork => "start a process inside",
        }
    }
}

/// A failed step, with what it was applied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// The path, limit or device concerned; may be empty.
    pub subject: String,
    /// The kernel's answer.
    pub errno: i32,
}

impl Failure {
    /// `step` on `subject` was answered by `errno`.
    pub fn new(step: Step, subject: impl Into<String>, errno: Errno) -> Failure {
        Failure { step, subject: subject.into(), errno: errno as i32 }
    }

    /// Whether the kernel has not, or does not allow, what the step needs; not that something ran
    /// out, nor that a file of the user's is not what it should be.
    fn is_of_the_machine(&self) -> bool {
        match Errno::from_raw(self.errno) {
            Errno::ENOSYS | Errno::EOPNOTSUPP => true,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => false,
            refused => match self.step {
                // These touch what the user named.
                Step::Bind
                | Step::Restrict
                | Step::IdMapMount
                | Step::MountPoint
                | Step::Attach => refused == Errno::EPERM,
                // A filter that cannot be expressed is this program's fault.
                Step::Seccomp => refused != Errno::EOVERFLOW,
                Step::Descriptors | Step::Fork => false,
                _ => true,
            },
        }
    }

    fn message(&self) -> String {
        let errno = Errno::from_raw(self.errno);
        let space = if self.subject.is_empty() { "" } else { " " };
        format!("cannot {}{space}{}: {}", self.step.words(), self.subject, words(errno))
    }
}

/// The kernel's words for an error, in this program's style.
fn words(errno: Errno) -> String {
    let text = errno.desc();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{} ({errno:?})", first.to_lowercase(), chars.as_str()),
        None => format!("{errno:?}"),
    }
}

/// What is wrong with the app's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum ExecProblem {
    /// Not in the package.
    #[error("there is no such file in the package")]
    Missing,
    /// It is there, and what it needs to be executed is not: its interpreter, or what it is a link to.
    #[error("{0}")]
    Lacks(String),
    /// It, or a directory on the way, may not be executed.
    #[error(
        "permission denied (is it an executable file, on a file system mounted without noexec?)"
    )]
    NotExecutable,
    /// Neither a script nor a program for this machine.
    #[error("it is neither a script nor a program for this machine")]
    Format,
    /// Anything else.
    #[error("{}", words(Errno::from_raw(*.0)))]
    Other(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_machines_and_a_shortage_is_not() {
        for (step, errno, expected) in [
            (Step::Namespaces, Errno::ENOSPC, Kind::Machine),
            (Step::Namespaces, Errno::EPERM, Kind::Machine),
            (Step::FuseDevice, Errno::ENOENT, Kind::Machine),
            (Step::FuseDevice, Errno::EMFILE, Kind::Other),
            (Step::Bind, Errno::ENOENT, Kind::Other),
            (Step::Bind, Errno::EPERM, Kind::Machine),
            (Step::Restrict, Errno::ENOSYS, Kind::Machine),
            (Step::Fork, Errno::EAGAIN, Kind::Other),
            (Step::Seccomp, Errno::EINVAL, Kind::Machine),
            (Step::Seccomp, Errno::EOVERFLOW, Kind::Internal),
        ] {
            let error = Error::Setup(Failure::new(step, "", errno));
            assert_eq!(error.kind(), expected, "{step:?} {errno:?}");
        }
        assert_eq!(Error::Protocol("ready twice".into()).kind(), Kind::Internal);
        let problem = ExecProblem::Missing;
        assert_eq!(Error::Exec { program: "/app".into(), problem }.kind(), Kind::Other);
    }
}
