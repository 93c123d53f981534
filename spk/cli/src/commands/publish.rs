//! `spk publish`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use spk_package::guard;
use spk_package::replacements::Table;
use spk_package::submission::{self, MAX_ANSWER, Review, Status, Webkey, Wish};
use spk_package::verify::{self, Options};

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::guarding;
use crate::keyring;
use crate::progress::Bar;
use crate::ui::Ui;

/// Submit a package to an app index
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to use instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Only ask how the submission stands
    #[arg(short = 's', long, overrides_with_all = ["embargo", "remove"])]
    status: bool,
    /// Have the package reviewed, but not published yet
    #[arg(short = 'e', long, overrides_with_all = ["status", "remove"])]
    embargo: bool,
    /// Withdraw the package
    #[arg(short = 'r', long, overrides_with_all = ["status", "embargo"])]
    remove: bool,
    /// Check the package and the key, and say what would be asked of the index
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Publish this path of the package, or what is below it, although it looks like a secret or a
    /// left-over (may be repeated)
    #[arg(long, value_name = "PATH")]
    allow: Vec<OsString>,
    /// The index and the right to use it, as URL#TOKEN
    #[arg(long, value_name = "WEBKEY", env = "SPK_WEBKEY", hide_env_values = true)]
    webkey: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// The package
    #[arg(value_name = "FILE")]
    package: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let webkey: Webkey = args
        .webkey
        .as_deref()
        .ok_or_else(|| CliError::usage("which app index?"))
        .hint("name it with --webkey URL#TOKEN, or in SPK_WEBKEY")?
        .parse()?;
    let wish = match (args.status, args.embargo, args.remove) {
        (true, ..) => Wish::Status,
        (_, true, _) => Wish::Embargo,
        (.., true) => Wish::Remove,
        _ => Wish::Publish,
    };
    // One descriptor for checking and for sending: what is sent is what was checked.
    let mut package =
        File::open(&args.package).context(format!("cannot open {}", args.package.display()))?;
    let size = package.metadata()?.len();
    let mut bar = Bar::new(ui);
    let info = verify::verify(&mut package, Some(size), &Options::default(), &mut bar)
        .context(args.package.display().to_string())?;
    drop(bar);
    let looked_at = match wish {
        Wish::Publish | Wish::Embargo => {
            guarding::made(&mut package, &args.package, &args.allow, ui)?
        }
        Wish::Status | Wish::Remove => guard::Review::default(),
    };
    let signing = Table::built_in().signing(info.app_id);
    let (path, _) = global.keyring_path(args.keyring.as_ref())?;
    let key = keyring::find(&keyring::open(&path, ui)?, &signing)?
        .ok_or_else(|| CliError::new(format!("no key for {signing} in {}", path.display())))
        .hint(format!(
            "name the keyring that has it with -k{}",
            keyring::elsewhere(Some(&signing), &path)
        ))?;
    let sequence = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let request = submission::request(&info.package_id, wish, sequence, &webkey, &key)?;

    if args.dry_run {
        let (wish, url) = (name(wish), webkey.status_url());
        match args.json {
            true => ui.line(
                serde_json::json!({
                    "packageId": info.package_id.to_string(), "requested": wish, "index": url,
                    "dryRun": true, "findings": guarding::json(&looked_at, &[]),
                })
                .to_string(),
            )?,
            false => ui.line(format!("would ask {url} for: {wish} of {}", info.package_id))?,
        }
        return Ok(());
    }

    let ask = || -> Result<Status> {
        ui.note(format!("asking {}", webkey.status_url()));
        let answer = post(&webkey, &webkey.status_url(), Body::Bytes(&request))?;
        Ok(submission::status(&answer)?)
    };
    let mut status = ask()?;
    if status.review == Review::NotUploaded && wish != Wish::Status {
        ui.note(format!("uploading {}", args.package.display()));
        package.rewind()?;
        let answer = post(&webkey, &webkey.upload_url(), Body::File(package))?;
        if !answer.is_empty() {
            let answer = String::from_utf8_lossy(&answer).trim().to_owned();
            return Err(CliError::new(format!("the index did not take the package: {answer}")));
        }
        status = ask()?;
        if status.review == Review::NotUploaded {
            return Err(CliError::new("the index took the package, but says it does not have it"));
        }
    }
    if args.json {
        let (review, text) = review(&status.review);
        ui.line(
            serde_json::json!({
                "packageId": info.package_id.to_string(),
                "requested": name(status.wish),
                "review": review,
                "text": text,
                "findings": guarding::json(&looked_at, &[]),
            })
            .to_string(),
        )?;
    } else {
        ui.line(spk_files::printable::text(outcome(&status)))?;
    }
    Ok(())
}

fn name(wish: Wish) -> &'static str {
    match wish {
        Wish::Status => "status",
        Wish::Remove => "remove",
        Wish::Embargo => "embargo",
        Wish::Publish => "publish",
    }
}

fn review(review: &Review) -> (&'static str, Option<&str>) {
    match review {
        Review::Pending => ("pending", None),
        Review::NeedsUpdate(why) => ("needsUpdate", Some(why)),
        Review::Approved(place) => ("approved", Some(place)),
        Review::NotUploaded => ("notUploaded", None),
    }
}

fn outcome(status: &Status) -> String {
    match (&status.review, status.wish) {
        (Review::NotUploaded, _) => "the package is not in the index".into(),
        (Review::Pending, Wish::Remove) => "withdrawn; it was never reviewed".into(),
        (Review::Pending, Wish::Embargo) => "under review; it will not be published yet".into(),
        (Review::Pending, _) => "under review; it will be published once it is approved".into(),
        (Review::NeedsUpdate(why), Wish::Remove) => {
            format!("withdrawn; the reviewers had found a problem:\n{why}")
        }
        (Review::NeedsUpdate(why), _) => format!("the reviewers found a problem:\n{why}"),
        (Review::Approved(_), Wish::Remove) => "withdrawn; it had been approved".into(),
        (Review::Approved(_), Wish::Embargo) => "approved; publish it with: spk publish".into(),
        (Review::Approved(place), _) => format!("published: {place}"),
    }
}

enum Body<'a> {
    Bytes(&'a [u8]),
    File(File),
}

/// Sends a request through `curl`. The token goes through a pipe, not on the command line, where
/// everybody could see it.
fn post(webkey: &Webkey, url: &str, body: Body<'_>) -> Result<Vec<u8>> {
    let mut headers = tempfile_headers(webkey)?;
    headers.rewind()?;
    let mut file = match body {
        Body::File(file) => file,
        Body::Bytes(bytes) => {
            let mut file = tempfile::tempfile()?;
            file.write_all(bytes)?;
            file.rewind()?;
            file
        }
    };
    let length = file.seek(std::io::SeekFrom::End(0))?;
    file.rewind()?;
    // Both files are inherited: the body as stdin, the headers through the parent's descriptor.
    let headers_path = fd_path(&headers);
    let mut child = Command::new("curl")
        .args(["-q", "-sS", "--request", "POST", "--http1.1"])
        .args(["--header", "Content-Type: application/x-www-form-urlencoded"])
        .arg("--header")
        .arg(format!("Content-Length: {length}"))
        .args(["--header", "Transfer-Encoding:", "--header", "Expect:"])
        .arg("--header")
        .arg(format!("@{}", headers_path.display()))
        .args(["--upload-file", "-"])
        .arg(url)
        .stdin(Stdio::from(file))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| CliError::program("curl", "curl", error))?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut answer)?;
    }
    if !child.wait()?.success() {
        return Err(CliError::new(format!("cannot reach the index at {url}")));
    }
    Ok(answer)
}

fn tempfile_headers(webkey: &Webkey) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    writeln!(file, "{}", webkey.authorization())?;
    Ok(file)
}

/// A path under which `curl`, our child, can open an unnamed file of ours.
fn fd_path(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc")
        .join(std::process::id().to_string())
        .join("fd")
        .join(file.as_raw_fd().to_string())
}
