//! The backup's round trip: export, restore, same data, and the app starts from it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FileType;
use sha2::{Digest, Sha256};
use spk_files::lend::{self, Lender};
use spk_files::path::join;
use spk_files::{Dir, printable};
use spk_grains::backup::{self, ExportOptions, RestoreOptions, Target};
use spk_grains::store::Grain;
use spk_host::serve::{AppOptions, GrainOptions, Options, Rootfs};
use spk_package::progress::Silent;

use crate::error::{CliError, Result, ResultExt};
use crate::serving;

use super::Check;
use super::replay::first_page;
use super::report::{Backup, Report};

/// Differences that are named; more tell nothing new.
const NAMED: usize = 10;

/// Puts what came of it into the report.
pub fn round_trip(check: &Check<'_>, grain: Grain, report: &mut Report) -> Result<()> {
    let mut result = Backup::default();
    if let Err(error) = attempt(check, grain, &mut result, report) {
        result.error = Some(error.lines());
    }
    report.backup = Some(result);
    Ok(())
}

fn attempt(
    check: &Check<'_>,
    grain: Grain,
    result: &mut Backup,
    report: &mut Report,
) -> Result<()> {
    let zip = check.store.path().join("backup.zip");
    let exported = backup::export_grain(
        &grain,
        Target::File(zip.clone()),
        &ExportOptions::default(),
        &mut Silent,
    )
    .context("the grain cannot be exported")?;
    (result.files, result.bytes) = (exported.contents.files, exported.size);
    for (whether, told) in
        [("not in", &exported.contents.skipped), ("in", &exported.contents.warnings)]
    {
        for skipped in told {
            let (path, reason) = (printable::line(&skipped.path), &skipped.reason);
            result.notes.push(format!("{whether} the backup, {path}: {reason}"));
        }
    }
    let file = File::open(&zip).context("the backup cannot be read")?;
    let options = RestoreOptions { package: Some(check.package), ..RestoreOptions::default() };
    let mut restored = backup::restore(check.store, file, &options, &mut Silent)
        .context("the backup cannot be restored")?
        .grain;
    compare(&grain.var_path(), &restored.var_path())?;

    restored.touch()?;
    let program = serving::program(&check.package.manifest, true)?;
    let app = AppOptions::new(Rootfs::Package(check.package.dir.clone()), program);
    let mut options = Options::new(app, GrainOptions::of(&restored));
    options.policy.start_timeout = check.args.start_timeout;
    options.visit.user.clone_from(&check.args.user);
    let ended = check.served(options, async move |ready| first_page(&ready).await)?;
    report.add_notes(&ended.notes);
    ended.result.context("the restored grain does not start")?;
    match ended.driven {
        Some(Err(different)) => Err(CliError::new(format!(
            "the restored grain answers {} with {}",
            different.request, different.got
        ))),
        _ => Ok(()),
    }
}

/// Whether two grains have the same data.
fn compare(before: &Path, after: &Path) -> Result<()> {
    let (before, after) = (entries(before)?, entries(after)?);
    let differ: Vec<String> = before
        .iter()
        .filter(|(path, entry)| after.get(*path) != Some(*entry))
        .map(|(path, _)| path)
        .chain(after.keys().filter(|path| !before.contains_key(*path)))
        .map(printable::line)
        .collect();
    if differ.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = differ.iter().take(NAMED).map(String::as_str).collect();
    Err(CliError::new(format!(
        "{} of the grain's files are not the same after a backup: {}",
        differ.len(),
        named.join(", ")
    )))
}

/// What a backup keeps of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    Link(Vec<u8>),
    File { executable: bool, content: [u8; 32] },
}

fn entries(root: &Path) -> Result<BTreeMap<Vec<u8>, Entry>> {
    let cannot = || format!("cannot read {}", root.display());
    let top = Dir::open_trusted(root).context(cannot())?;
    let (mut lender, mut found) = (Lender::new(&top), BTreeMap::new());
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        collect(&mut lender, &path, &mut pending, &mut found).context(cannot())?;
    }
    Ok(found)
}

/// What is in one directory; those in it are to be looked into later.
fn collect(
    lender: &mut Lender<'_>,
    path: &[u8],
    pending: &mut Vec<Vec<u8>>,
    into: &mut BTreeMap<Vec<u8>, Entry>,
) -> io::Result<()> {
    let (dir, _) = lender.open_dir(path)?;
    for name in dir.names()? {
        let (stat, full) = (dir.stat(&name)?, join(path, &name));
        let entry = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                pending.push(full.clone());
                Entry::Directory
            }
            FileType::Symlink => Entry::Link(dir.read_link(&name)?),
            FileType::RegularFile => {
                let (mut file, stat) = lend::open_file(&dir, &name, &stat)?;
                let mut hash = Sha256::new();
                io::copy(&mut file, &mut HashWriter(&mut hash))?;
                let executable = stat.st_mode & 0o100 != 0;
                Entry::File { executable, content: hash.finalize().into() }
            }
            // Made anew by the app.
            FileType::Socket | FileType::Fifo => continue,
            _ => return Err(io::Error::other(format!("{} is a device", printable::line(&full)))),
        };
        into.insert(full, entry);
    }
    Ok(())
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
