//! The subcommands, one file each.

mod build_project;
mod cat;
mod check;
mod completions;
mod dev;
mod diff;
mod doctor;
mod files;
mod generate;
mod getkey;
mod grain;
mod init;
mod keygen;
mod listkeys;
mod ls;
mod oci;
mod pack;
mod publish;
mod rekey;
mod run;
mod serve_image;
mod unmount_orphan;
mod unpack;
mod verify;

use clap::Subcommand;

use crate::error::Result;
use crate::global::Global;
use crate::ui::Ui;

/// What the user asked for.
#[derive(Subcommand)]
pub enum Command {
    Init(init::Args),
    Keygen(keygen::Args),
    Listkeys(listkeys::Args),
    Getkey(getkey::Args),
    Rekey(rekey::Args),
    Dev(dev::Args),
    Files(files::Args),
    Pack(pack::Args),
    Check(check::Args),
    Verify(verify::Args),
    Unpack(unpack::Args),
    Publish(publish::Args),
    Ls(ls::Args),
    Diff(diff::Args),
    Cat(cat::Args),
    Run(run::Args),
    Grain(grain::Args),
    Oci(oci::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Generate(generate::Args),
    BuildProject(build_project::Args),
    ServeImage(serve_image::Args),
    UnmountOrphan(unmount_orphan::Args),
}

/// Runs one subcommand.
pub fn run(command: Command, global: &Global, ui: &Ui) -> Result<()> {
    match command {
        Command::Init(args) => init::run(args, global, ui),
        Command::Keygen(args) => keygen::run(args, global, ui),
        Command::Listkeys(args) => listkeys::run(args, global, ui),
        Command::Getkey(args) => getkey::run(args, global, ui),
        Command::Rekey(args) => rekey::run(args, global, ui),
        Command::Dev(args) => dev::run(args, global, ui),
        Command::Files(args) => files::run(args, global, ui),
        Command::Pack(args) => pack::run(args, global, ui),
        Command::Check(args) => check::run(args, global, ui),
        Command::Verify(args) => verify::run(args, global, ui),
        Command::Unpack(args) => unpack::run(args, global, ui),
        Command::Publish(args) => publish::run(args, global, ui),
        Command::Ls(args) => ls::run(args, global, ui),
        Command::Diff(args) => diff::run(args, global, ui),
        Command::Cat(args) => cat::run(args, global, ui),
        Command::Run(args) => run::run(args, global, ui),
        Command::Grain(args) => grain::run(args, global, ui),
        Command::Oci(args) => oci::run(args, global, ui),
        Command::Doctor(args) => doctor::run(args, global, ui),
        Command::Completions(args) => completions::run(args, ui),
        Command::Generate(args) => generate::run(args),
        Command::BuildProject(args) => build_project::run(args),
        Command::ServeImage(args) => serve_image::run(args, global, ui),
        Command::UnmountOrphan(args) => unmount_orphan::run(args),
    }
}
