//! `spk oci`: a package as an OCI image.

mod blob;
mod image;
mod output;

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::json;
use spk_package::verify::{self, Options};

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::guarding;
use crate::package_input::Input;
use crate::progress::Bar;
use crate::replacing::{self, Sort};
use crate::ui::Ui;

use image::Image;
use output::Output;

/// Turn a package into an OCI image
///
/// The image has this spk and the package in it. Its entry point serves one grain over HTTP, in the
/// sandbox that spk run makes, and keeps it in the volume /var. The engine has to allow user
/// namespaces and mounts in the container: see docs/oci.md. The same package and spk give the same
/// image.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// The image to make; - is stdout (a tar only)
    #[arg(short, long, value_name = "OUTPUT")]
    output: PathBuf,
    /// tar: one file, for podman load and docker load; dir: an OCI image layout
    #[arg(long, value_name = "FORMAT", default_value = "tar", value_parser = ["tar", "dir"])]
    format: String,
    /// Name and tag of the image [default: the app's title and version]
    #[arg(long, value_name = "NAME:TAG")]
    tag: Option<String>,
    /// Take this path of the package, or what is below it, although it looks like a secret or a
    /// left-over (may be repeated)
    #[arg(long, value_name = "PATH")]
    allow: Vec<OsString>,
    /// Replace OUTPUT even if it is no image
    #[arg(long)]
    force: bool,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    if args.output.as_os_str() != "-" && args.format == "tar" {
        replacing::allow(&args.output, Sort::Image, args.force)?;
    }
    // What is checked is what goes into the image.
    let mut package = tempfile::tempfile().context("cannot make a temporary file")?;
    std::io::copy(&mut Input::open(&args.package)?, &mut package)
        .context(args.package.display().to_string())?;
    let size = package.metadata()?.len();
    std::io::Seek::rewind(&mut package)?;
    let mut bar = Bar::new(ui);
    let info = verify::verify(&mut package, Some(size), &Options::default(), &mut bar)
        .context(args.package.display().to_string())?;
    drop(bar);
    let review = guarding::made(&mut package, &args.package, &args.allow, ui)?;
    let info = info.to_json();
    let title = info["title"]["defaultText"].as_str().unwrap_or("app").to_owned();
    let version = info["version"].as_u64().unwrap_or_default();
    let tag = args.tag.clone().unwrap_or_else(|| format!("{}:{version}", image::name(&title)));
    if !image::is_tag(&tag) {
        return Err(CliError::usage(format!("{tag:?} is not NAME:TAG"))
            .hint("small letters, digits, dots, dashes and slashes, such as notes:3"));
    }

    let mut output = Output::create(&args.output, args.format == "dir", ui)?;
    let image = Image {
        program: std::env::current_exe().context("cannot find this program")?,
        package,
        package_size: size,
        app_id: info["appId"].as_str().unwrap_or_default().to_owned(),
        package_id: info["packageId"].as_str().unwrap_or_default().to_owned(),
        title,
        version,
        tag,
    };
    let digest = image.write(&mut output)?;
    output.finish()?;
    if args.json {
        let value = json!({
            "output": args.output, "tag": image.tag, "manifest": digest,
            "appId": image.app_id, "packageId": image.package_id,
            "findings": guarding::json(&review, &[]),
        });
        ui.line(value.to_string())?;
    } else if args.output.as_os_str() != "-" {
        ui.line(format!("{} {digest}", image.tag))?;
    }
    Ok(())
}
