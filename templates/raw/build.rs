//! Makes the Rust side of the app API from `schema/api.request`.
//!
//! That file is what Cap'n Proto's compiler says about the `.capnp` files beside it, so that it
//! need not be installed. After a change of those, make it anew:
//!   cd schema && capnp compile -o- *.capnp >api.request

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=schema/api.request");
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(PathBuf::from(std::env::var("OUT_DIR")?))
        .default_parent_module(vec!["api".into()])
        .run(std::fs::File::open("schema/api.request")?)?;
    Ok(())
}
