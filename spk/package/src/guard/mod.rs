//! What is the packager's and stays the packager's: what never gets into a package, what only gets
//! in when it is named, and what is told of.
//!
//! * [`withheld`]: files and directories of this machine that no view shows, told by device and
//!   inode: the keyring in use, the state directory, what this tool writes itself, homes and the
//!   machine's secrets ([`private`]). `dev` and `pack` look through the same view.
//! * [`name`], [`content`] and [`layout`]: what a file or directory is, by its name, its bytes and
//!   what lies in it alone.
//! * [`origin`]: whose it is. What the distribution or a downloaded library brings along is not the
//!   packager's secret, however much a test key of theirs looks like one.
//! * [`review`]: all of that over what is about to be packed, or was.

pub mod allow;
pub mod backup;
pub mod content;
pub mod keys;
pub mod layout;
pub mod name;
pub mod origin;
pub mod private;
pub mod review;
pub mod withheld;

pub use allow::Allowed;
pub use origin::Origin;
pub use review::{Finding, Review};
pub use withheld::{What, Withheld};

/// Something that has no business in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Keys that sign packages.
    Keyring,
    /// Which files the app used, as `spk dev` keeps it.
    Trace,
    /// Requests that `spk dev --record` kept, with what people typed.
    Requests,
    /// A private key of any other kind.
    PrivateKey,
    /// A file in which programs keep passwords or tokens, with one in it.
    Credentials,
    /// A package in the package.
    Package,
    /// A backup of a grain: somebody's data.
    Backup,
    /// Grains as they are stored: somebody's data.
    Grain,
    /// A version control directory.
    VersionControl,
    /// What an editor or a desktop left behind.
    LeftOver,
    /// A program or library for another machine than x86-64.
    ForeignCode,
    /// A directory that programs fill for themselves.
    Cache,
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is left out, whatever the definition says.
    Never,
    /// Nothing is packed unless it is allowed by name.
    Refused,
    /// It is packed, and told of.
    Told,
    /// It is packed without a word.
    Quiet,
}

impl Kind {
    /// For JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Keyring => "keyring",
            Kind::Trace => "trace",
            Kind::Requests => "requests",
            Kind::PrivateKey | Kind::Credentials => "secret",
            Kind::Package => "package",
            Kind::Backup => "backup",
            Kind::Grain => "grain",
            Kind::VersionControl => "version-control",
            Kind::LeftOver => "left-over",
            Kind::ForeignCode => "foreign-code",
            Kind::Cache => "cache",
        }
    }

    /// What it is, for one of them.
    pub fn what(self) -> &'static str {
        match self {
            Kind::Keyring => "a keyring: whoever has it can release the app",
            Kind::Trace => "a trace of spk dev",
            Kind::Requests => "requests that spk dev recorded, with what people typed",
            Kind::PrivateKey => "a private key",
            Kind::Credentials => "a password or token",
            Kind::Package => "a package itself",
            Kind::Backup => "a backup of a grain: a user's data",
            Kind::Grain => "a grain's storage: a user's data",
            Kind::VersionControl => "a version control directory, with the whole history",
            Kind::LeftOver => "an editor's or desktop's left-over",
            Kind::ForeignCode => "a program or library for another machine than x86-64",
            Kind::Cache => "a cache, which the app would make again",
        }
    }

    /// What becomes of it where it comes from.
    pub fn verdict(self, origin: Origin) -> Verdict {
        match (self, origin) {
            (Kind::Keyring | Kind::Trace | Kind::Requests, _) => Verdict::Never,
            (Kind::ForeignCode | Kind::Cache, _) => Verdict::Told,
            (_, Origin::Project) => Verdict::Refused,
            (Kind::VersionControl | Kind::LeftOver, Origin::Library) => Verdict::Quiet,
            (_, Origin::Library) => Verdict::Told,
            (_, Origin::System) => Verdict::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_judged_by_where_it_comes_from() {
        for (kind, project, library, system) in [
            (Kind::Keyring, Verdict::Never, Verdict::Never, Verdict::Never),
            (Kind::PrivateKey, Verdict::Refused, Verdict::Told, Verdict::Quiet),
            (Kind::Credentials, Verdict::Refused, Verdict::Told, Verdict::Quiet),
            (Kind::LeftOver, Verdict::Refused, Verdict::Quiet, Verdict::Quiet),
            (Kind::Cache, Verdict::Told, Verdict::Told, Verdict::Told),
        ] {
            assert_eq!(kind.verdict(Origin::Project), project, "{kind:?}");
            assert_eq!(kind.verdict(Origin::Library), library, "{kind:?}");
            assert_eq!(kind.verdict(Origin::System), system, "{kind:?}");
        }
    }
}
