//! The usual causes of a refused set-up, and what to do about each.

use nix::errno::Errno;

use crate::error::{Error, ExecProblem, Failure, Step};

impl Error {
    /// What the user can do about it, when we know.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::Setup(failure) => of(failure),
            Error::Exec { problem, .. } => problem.remedy(),
            _ => None,
        }
    }
}

impl ExecProblem {
    fn remedy(&self) -> Option<String> {
        match self {
            ExecProblem::Missing => Some(
                "the program's path is looked up inside the package, from `/`, and never searched for"
                    .into(),
            ),
            ExecProblem::Lacks(_) => Some(
                "a path of the source map must show it, with the libraries it loads; homes are never \
                 shown"
                    .into(),
            ),
            ExecProblem::NotExecutable => Some("chmod +x the file".into()),
            ExecProblem::Format | ExecProblem::Other(_) => None,
        }
    }
}

/// Oldest kernel with all that the sandbox is built from: `mount_setattr` is of 5.12.
pub const OLDEST_KERNEL: (u32, u32) = (5, 12);

/// What to do about `failure`, judged by it and by the machine's settings.
fn of(failure: &Failure) -> Option<String> {
    let settings = Settings::read();
    with(failure, &settings)
}

/// What to do where user namespaces cannot be had, judged by the machine's settings alone.
pub fn user_namespaces() -> Option<String> {
    namespaces(Errno::EPERM, &Settings::read())
}

/// The knobs that decide whether an ordinary user gets a user namespace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Settings {
    /// `user.max_user_namespaces`.
    max_user_namespaces: Option<u64>,
    /// Debian's `kernel.unprivileged_userns_clone`.
    unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    apparmor_restrict: Option<u64>,
    /// Whether this process's root is below that of its mount namespace: chroot(2), for which
    /// user_namespaces(7) and clone(2) say EPERM.
    chrooted: bool,
    /// The kernel's release.
    kernel: String,
}

impl Settings {
    /// This machine's.
    fn read() -> Settings {
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        Settings {
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            chrooted: chrooted(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

/// The kernel shows in mountinfo only what is mounted below a process's root; outside of a chroot
/// that begins with a mount on `/` itself. (In a chroot whose root happens to be a mount point it
/// looks the same: the hint is then the general one.)
fn chrooted() -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return false };
    !mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

fn with(failure: &Failure, settings: &Settings) -> Option<String> {
    let errno = Errno::from_raw(failure.errno);
    let refused = matches!(errno, Errno::EPERM | Errno::EACCES);
    match failure.step {
        Step::FuseDevice => return fuse_device(errno),
        Step::FuseMount if errno == Errno::ENODEV => {
            return Some("load the kernel's FUSE module: sudo modprobe fuse".into());
        }
        Step::Bind if errno == Errno::EINVAL => {
            return Some(
                "something is mounted below that directory: unmount it, or use a plain directory"
                    .into(),
            );
        }
        Step::Proc if refused => {
            return Some(
                "parts of /proc are masked here, as containers do; leave out --proc".into(),
            );
        }
        _ => {}
    }
    if errno == Errno::ENOSYS && failure.step != Step::Namespaces {
        return Some(too_old(&settings.kernel));
    }
    if failure.step == Step::Namespaces || refused { namespaces(errno, settings) } else { None }
}

fn too_old(kernel: &str) -> String {
    let (major, minor) = OLDEST_KERNEL;
    format!("a kernel of {major}.{minor} or later is needed; this is {kernel}")
}

fn fuse_device(errno: Errno) -> Option<String> {
    match errno {
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => Some(
            "the kernel's FUSE module is not loaded: sudo modprobe fuse (in a container, pass the \
             device in: --device /dev/fuse)"
                .into(),
        ),
        Errno::EACCES | Errno::EPERM => {
            Some("let ordinary users open it: sudo chmod 666 /dev/fuse".into())
        }
        _ => None,
    }
}

fn namespaces(errno: Errno, settings: &Settings) -> Option<String> {
    if settings.max_user_namespaces == Some(0) {
        return Some(
            "user namespaces are switched off: sudo sysctl user.max_user_namespaces=10000".into(),
        );
    }
    if settings.unprivileged_userns_clone == Some(0) {
        return Some(
            "user namespaces are switched off for ordinary users: sudo sysctl \
             kernel.unprivileged_userns_clone=1"
                .into(),
        );
    }
    if settings.apparmor_restrict.is_some_and(|value| value != 0) {
        return Some(
            "AppArmor restricts user namespaces to programs with a profile: give this program one \
             (docs/security.md has it), or, for all programs: sudo sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0"
                .into(),
        );
    }
    match errno {
        Errno::ENOSPC | Errno::EUSERS => Some(
            "too many user namespaces, or nested too deeply: raise user.max_user_namespaces".into(),
        ),
        Errno::EPERM if settings.chrooted => Some(
            "the kernel makes no user namespace for a process in a chroot: run outside of it, or \
             enter the tree as containers do, by pivot_root"
                .into(),
        ),
        Errno::EPERM | Errno::EACCES => Some(
            "user namespaces are refused here, as by the default seccomp profile of containers: \
             allow them (docker: --security-opt seccomp=unconfined), or run outside"
                .into(),
        ),
        Errno::EINVAL | Errno::ENOSYS => {
            Some("the kernel is built without user namespaces (CONFIG_USER_NS)".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(step: Step, errno: Errno, settings: &Settings) -> String {
        with(&Failure::new(step, "", errno), settings).unwrap_or_default()
    }

    #[test]
    fn each_knob_is_named() {
        let open = Settings { max_user_namespaces: Some(5), ..Settings::default() };
        let off = Settings { max_user_namespaces: Some(0), ..Settings::default() };
        let debian = Settings { unprivileged_userns_clone: Some(0), ..open.clone() };
        let old = Settings { kernel: "5.4.0".into(), ..open.clone() };
        let chroot = Settings { chrooted: true, ..open.clone() };
        let ubuntu = Settings { apparmor_restrict: Some(1), ..open.clone() };
        for (step, errno, settings, words) in [
            (Step::Namespaces, Errno::ENOSPC, &off, "user.max_user_namespaces=10000"),
            (Step::Namespaces, Errno::EPERM, &debian, "kernel.unprivileged_userns_clone=1"),
            (Step::Namespaces, Errno::EACCES, &ubuntu, "apparmor_restrict_unprivileged_userns=0"),
            (Step::Propagation, Errno::EACCES, &ubuntu, "apparmor_restrict_unprivileged_userns=0"),
            (Step::Namespaces, Errno::EPERM, &open, "seccomp=unconfined"),
            (Step::Namespaces, Errno::EPERM, &chroot, "in a chroot"),
            (Step::Namespaces, Errno::EINVAL, &open, "CONFIG_USER_NS"),
            (Step::Restrict, Errno::ENOSYS, &old, "5.12 or later is needed; this is 5.4.0"),
            (Step::FuseDevice, Errno::EACCES, &open, "chmod 666 /dev/fuse"),
            (Step::FuseDevice, Errno::ENOENT, &open, "modprobe fuse"),
            (Step::Proc, Errno::EPERM, &open, "leave out --proc"),
            (Step::Bind, Errno::EINVAL, &open, "unmount it"),
        ] {
            let said = remedy(step, errno, settings);
            assert!(said.contains(words), "{step:?} {errno:?}: {said}");
        }
    }

    #[test]
    fn an_unknown_cause_gets_no_remedy() {
        assert_eq!(with(&Failure::new(Step::Pivot, "", Errno::EINVAL), &Settings::default()), None);
    }
}
