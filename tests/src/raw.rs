//! The program of the template `raw`: an app that speaks Cap'n Proto itself, without a bridge.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::Stage;
use crate::bins::ok;

/// Where the template's definition expects the program.
const PLACE: &str = "target/x86_64-unknown-linux-gnu/release/notes";

/// Builds the template in `stage`, once for all tests that keep their files in `shared`, and puts
/// the program where the definition expects it. The template's own tests are run, too.
pub fn build(stage: &Stage, shared: &str) {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let dir = PathBuf::from(shared).join("raw");
        for what in ["build", "test"] {
            let mut cargo = Command::new("cargo");
            // How fast the app is is no question here, but how fast it is built is.
            cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").current_dir(stage.work());
            ok(cargo.args([what, "--release", "--offline", "--target-dir"]).arg(&dir));
        }
        let built = dir.join("x86_64-unknown-linux-gnu/release/notes");
        let headers = ok(Command::new("readelf").arg("-ld").arg(&built));
        assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "{headers}");
        // Another test may build it anew while this one uses it.
        let mine = dir.join(format!("notes-{}", std::process::id()));
        crate::bins::copy_program(&built, &mine);
        mine
    });
    stage.write(PLACE, fs::read(program).unwrap());
    ok(Command::new("chmod").arg("755").arg(stage.work().join(PLACE)));
    stage.who.own(&stage.work());
}
