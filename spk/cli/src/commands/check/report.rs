//! What the check found, and the grade.

use std::path::{Path, PathBuf};

use fuse_tracer::Record;
use serde_json::{Value, json};
use spk_files::printable;
use spk_package::guard::review::Finding;
use spk_package::guard::{Kind, Origin, Review, Verdict};
use spk_sandbox::Denied;

use crate::missing::{self, Missing};
use crate::out_of_reach::Reach;
use crate::serving;
use crate::ui::Ui;

use super::ignore::Ignore;

/// Entries of one kind that are shown as text; the JSON form has all.
const SHOWN: usize = 50;

/// The grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Nothing to say against it.
    Good,
    /// It works; something may be missing, or was refused.
    Fair,
    /// It does not start, answers differently, misses files it needs, or loses data.
    Poor,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Fair => "fair",
            Grade::Poor => "poor",
        }
    }
}

/// An answer that was not the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Method and target.
    pub request: String,
    /// Status and media type in `spk dev`.
    pub expected: String,
    /// Status and media type now, or what went wrong.
    pub got: String,
    /// Why it is no fault of the package, if it is none.
    pub excuse: Option<String>,
}

/// The recorded requests.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// How many there are.
    pub recorded: usize,
    /// How many were answered as recorded.
    pub same: usize,
    /// Those that were not.
    pub different: Vec<Difference>,
    /// Those that were not, and why that is no fault of the package.
    pub excused: Vec<Difference>,
    /// How many of those that were not are to be ignored.
    pub ignored: usize,
    /// Those that could not be asked.
    pub skipped: Vec<String>,
}

/// The backup.
#[derive(Clone, Debug, Default)]
pub struct Backup {
    /// What went wrong.
    pub error: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Its size.
    pub bytes: u64,
    /// What is not in it.
    pub notes: Vec<String>,
}

/// All of it.
pub struct Report {
    package: PathBuf,
    app_id: String,
    /// Why the app did not start, or did not go on.
    pub start: Option<String>,
    /// The recorded requests.
    pub requests: Requests,
    /// What is missing.
    pub missing: Missing,
    /// Where it wanted to write, and what of the kernel's it looked for.
    out_of_reach: Vec<Reach>,
    /// System calls that were denied. Most programs go on without: they do not touch the grade.
    pub denied: Vec<Denied>,
    /// What is in the package and should not be.
    pub review: Review,
    /// Nothing if the app did not start.
    pub backup: Option<Backup>,
    /// Anything else.
    pub notes: Vec<String>,
}

impl Report {
    /// Nothing found yet.
    pub fn new(package: &Path, app_id: &str) -> Report {
        Report {
            package: package.to_owned(),
            app_id: app_id.to_owned(),
            start: None,
            requests: Requests::default(),
            missing: Missing::default(),
            out_of_reach: Vec::new(),
            denied: Vec::new(),
            review: Review::default(),
            backup: None,
            notes: Vec::new(),
        }
    }

    /// Leaves out what the developer's patterns name.
    pub fn ignore(&mut self, ignore: &Ignore) {
        let missing = &mut self.missing;
        for paths in [
            &mut missing.needed,
            &mut missing.looked_for,
            &mut missing.looked_at,
            &mut missing.not_executable,
        ] {
            paths.retain(|one| !ignore.path(&one.path));
        }
        self.out_of_reach.retain(|one| match one.is_write {
            true => !ignore.write(&one.path),
            false => !ignore.path(&one.path),
        });
    }

    /// Takes in what the host said.
    pub fn add_notes(&mut self, notes: &[String]) {
        for note in notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }

    /// Takes in what the app reached for that no grain has.
    pub fn add_out_of_reach(&mut self, record: &Record) {
        self.out_of_reach = Reach::all(record);
    }

    fn writes(&self) -> impl Iterator<Item = &Reach> {
        self.out_of_reach.iter().filter(|reach| reach.is_write)
    }

    /// Most programs go on without: they do not touch the grade.
    fn kernels(&self) -> impl Iterator<Item = &Reach> {
        self.out_of_reach.iter().filter(|reach| !reach.is_write)
    }

    /// The grade.
    pub fn grade(&self) -> Grade {
        let backup_failed = self.backup.as_ref().is_some_and(|backup| backup.error.is_some());
        if self.start.is_some()
            || !self.requests.different.is_empty()
            || !self.missing.needed.is_empty()
            || !self.missing.not_executable.is_empty()
            || self.never().next().is_some()
            || backup_failed
        {
            return Grade::Poor;
        }
        let remarks = !self.missing.looked_for.is_empty()
            || self.writes().next().is_some()
            || !self.review.refused.is_empty();
        if remarks { Grade::Fair } else { Grade::Good }
    }

    /// What is in the package and never should be.
    fn never(&self) -> impl Iterator<Item = &Finding> {
        let never = |kind: Kind| kind.verdict(Origin::Project) == Verdict::Never;
        self.review.refused.iter().filter(move |finding| never(finding.kind))
    }

    /// Why the grade is not better, in one line.
    pub fn verdict(&self) -> String {
        let mut reasons = Vec::new();
        let mut count = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => reasons.push(format!("1 {one}")),
            count => reasons.push(format!("{count} {many}")),
        };
        count(self.missing.needed.len(), "missing path", "missing paths");
        count(
            self.missing.not_executable.len(),
            "path that is not executable",
            "paths that are not executable",
        );
        count(self.requests.different.len(), "different answer", "different answers");
        count(
            self.never().count(),
            "file of the packager's own in it",
            "files of the packager's own in it",
        );
        if self.start.is_some() {
            reasons.push("it does not start".into());
        }
        if self.backup.as_ref().is_some_and(|backup| backup.error.is_some()) {
            reasons.push("its backup does not come back".into());
        }
        let grade = self.grade().name();
        let shown = self.package.display();
        match reasons.is_empty() {
            true => format!("{shown} is only {grade}"),
            false => format!("{shown} is {grade}: {}", reasons.join(", ")),
        }
    }

    /// Prints it on stdout.
    pub fn print(&self, as_json: bool, ui: &Ui) -> crate::error::Result<()> {
        match as_json {
            true => ui.line(self.json().to_string()),
            false => self.lines().iter().try_for_each(|line| ui.line(printable::text(line))),
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.package.display(), self.grade().name())];
        match &self.start {
            None => lines.push("start: ok".into()),
            Some(error) => lines.push(format!("start: {error}")),
        }
        let requests = &self.requests;
        lines.push(match requests.recorded {
            0 => format!("requests: {} of 1 answered", requests.same),
            recorded => format!("requests: {} of {recorded} answered as recorded", requests.same),
        });
        let differ = |different: &Difference| {
            let Difference { request, expected, got, excuse } = different;
            let excuse = excuse.as_ref().map(|excuse| format!(" ({excuse})")).unwrap_or_default();
            format!("{request}: {got}, in dev {expected}{excuse}")
        };
        group(&mut lines, "answered differently", requests.different.iter().map(differ));
        let excused = requests.excused.iter().map(differ);
        group(&mut lines, "answered differently, but not for want of anything", excused);
        group(&mut lines, "not asked", requests.skipped.iter().cloned());
        let paths = |paths: &[missing::Path]| -> Vec<String> {
            paths.iter().map(missing::Path::text).collect()
        };
        group(&mut lines, "works in dev, missing in the package", paths(&self.missing.needed));
        group(
            &mut lines,
            "executed in dev, not executable in the package",
            paths(&self.missing.not_executable),
        );
        group(
            &mut lines,
            "looked for and missing in the package, though not used in dev",
            paths(&self.missing.looked_for),
        );
        group(
            &mut lines,
            "looked at in dev, not in the package, and perhaps what the app failed at",
            paths(&self.missing.looked_at),
        );
        group(
            &mut lines,
            "links that lead out of what the definition shows",
            self.missing.dangling.iter().cloned(),
        );
        group(
            &mut lines,
            "wanted to write outside of /var, which a Sandstorm server refuses, too",
            self.writes().map(Reach::text),
        );
        group(
            &mut lines,
            "looked for below /proc and /sys, of which a Sandstorm server has only /proc/cpuinfo, too",
            self.kernels().map(Reach::text),
        );
        group(&mut lines, "denied system calls", self.denied.iter().map(serving::counted));
        let found = |findings: &[Finding]| -> Vec<String> {
            let line = |finding: &Finding| {
                format!("{}: {}", String::from_utf8_lossy(&finding.path), finding.kind.what())
            };
            findings.iter().map(line).collect()
        };
        group(&mut lines, "not for everybody who gets the package", found(&self.review.refused));
        group(&mut lines, "to be looked at", found(&self.review.told));
        match &self.backup {
            None => lines.push("backup: not tried".into()),
            Some(Backup { error: None, files, bytes, .. }) => {
                lines.push(format!("backup: ok, {files} files in {bytes} bytes"));
            }
            Some(Backup { error: Some(error), .. }) => lines.push(format!("backup: {error}")),
        }
        let backup_notes = self.backup.iter().flat_map(|backup| backup.notes.iter().cloned());
        group(&mut lines, "notes", self.notes.iter().cloned().chain(backup_notes));
        lines
    }

    fn json(&self) -> Value {
        let paths = |paths: &[missing::Path]| -> Vec<Value> {
            let path = |path: &missing::Path| json!({ "path": String::from_utf8_lossy(&path.path), "by": path.by });
            paths.iter().map(path).collect()
        };
        let reach = |reach: &Reach| {
            json!({
                "path": String::from_utf8_lossy(&reach.path), "by": reach.by,
                "cure": reach.words(), "harmless": reach.is_harmless(),
            })
        };
        let different = |different: &Difference| {
            json!({
                "request": different.request, "expected": different.expected,
                "got": different.got, "excuse": different.excuse,
            })
        };
        json!({
            "package": self.package.to_string_lossy(),
            "appId": self.app_id,
            "grade": self.grade().name(),
            "start": { "ok": self.start.is_none(), "error": self.start },
            "requests": {
                "recorded": self.requests.recorded,
                "same": self.requests.same,
                "different": self.requests.different.iter().map(different).collect::<Vec<_>>(),
                "excused": self.requests.excused.iter().map(different).collect::<Vec<_>>(),
                "ignored": self.requests.ignored,
                "skipped": self.requests.skipped,
            },
            "missing": paths(&self.missing.needed),
            "notExecutable": paths(&self.missing.not_executable),
            "lookedFor": paths(&self.missing.looked_for),
            "lookedAt": paths(&self.missing.looked_at),
            "danglingLinks": self.missing.dangling,
            "writes": self.writes().map(reach).collect::<Vec<_>>(),
            "kernel": self.kernels().map(reach).collect::<Vec<_>>(),
            "denied": self.denied.iter().map(|call| json!({
                "call": call.call, "detail": call.detail, "answer": call.answer,
                "program": call.program, "count": call.count, "remark": call.remark(),
                "refusedBySandstorm": call.is_refused_by_sandstorm(),
            })).collect::<Vec<_>>(),
            "findings": self.review.all().values().map(|finding| json!({
                "path": String::from_utf8_lossy(&finding.path), "kind": finding.kind.name(),
                "message": finding.kind.what(),
            })).collect::<Vec<_>>(),
            "backup": self.backup.as_ref().map(|backup| json!({
                "ok": backup.error.is_none(), "error": backup.error, "files": backup.files,
                "bytes": backup.bytes, "notes": backup.notes,
            })),
            "notes": self.notes,
        })
    }
}

fn group(lines: &mut Vec<String>, what: &str, items: impl IntoIterator<Item = String>) {
    let items: Vec<String> = items.into_iter().collect();
    if items.is_empty() {
        return;
    }
    lines.push(format!("{what} ({}):", items.len()));
    lines.extend(items.iter().take(SHOWN).map(|item| format!("  {item}")));
    if items.len() > SHOWN {
        lines.push(format!("  … and {} more", items.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grade_is_that_of_the_worst_finding() {
        let mut report = Report::new(Path::new("a.spk"), "id");
        assert_eq!(report.grade(), Grade::Good);
        let path = missing::Path { path: b"x".to_vec(), by: Default::default() };
        report.out_of_reach.push(Reach {
            path: b"x".to_vec(),
            is_write: true,
            by: Default::default(),
        });
        assert_eq!(report.grade(), Grade::Fair);
        report.review.refused.push(Finding {
            path: b"k".to_vec(),
            kind: Kind::PrivateKey,
            allowed: false,
        });
        assert_eq!(report.grade(), Grade::Fair);
        assert!(report.lines().contains(&"  k: a private key".to_owned()), "{:?}", report.lines());
        report.review.refused[0].kind = Kind::Keyring;
        assert_eq!(report.verdict(), "a.spk is poor: 1 file of the packager's own in it");
        report.review.refused.clear();
        report.missing.needed.push(path);
        assert_eq!(report.grade(), Grade::Poor);
        assert_eq!(report.verdict(), "a.spk is poor: 1 missing path");
        assert!(report.lines().contains(&"works in dev, missing in the package (1):".to_owned()));
    }
}
