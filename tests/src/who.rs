//! Who runs a command: root, or an ordinary user.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

/// Name of the ordinary user that `tests/setup.sh` adds when it runs as root.
pub const TEST_USER: &str = "spk-test";

/// The account a command runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root, with every capability.
    Root,
    /// An ordinary user without any capability or group.
    User,
}

impl Who {
    /// Both, where that is possible: a test run that is not root's can only be its own user.
    pub fn all(test: &str) -> Vec<Who> {
        if geteuid().is_root() {
            vec![Who::User, Who::Root]
        } else {
            crate::skip::needs_root(test, "the part as root");
            vec![Who::User]
        }
    }

    /// A command under this account, with nothing of the environment but a plain `PATH`,
    /// `HOME` below `home` and the C locale.
    pub fn command(self, program: impl AsRef<OsStr>, home: &Path) -> Command {
        let mut command = if self == Who::User && geteuid().is_root() {
            let user = test_user();
            let mut command = Command::new("/usr/bin/setpriv");
            command
                .arg(format!("--reuid={}", user.uid))
                .arg(format!("--regid={}", user.gid))
                .args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"])
                .arg(program.as_ref());
            command
        } else {
            Command::new(program.as_ref())
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", home)
            .stdin(std::process::Stdio::null());
        command
    }

    /// Gives `path` and everything below it to this account.
    pub fn own(self, path: &Path) {
        if self == Who::User && geteuid().is_root() {
            let user = test_user();
            let status = Command::new("chown")
                .arg("-hR")
                .arg(format!("{}:{}", user.uid, user.gid))
                .arg(path)
                .status()
                .expect("chown runs");
            assert!(status.success(), "chown {} failed", path.display());
        }
    }
}

fn test_user() -> User {
    User::from_name(TEST_USER)
        .expect("the user database is readable")
        .unwrap_or_else(|| panic!("there is no user {TEST_USER}: run tests/setup.sh --tests"))
}
