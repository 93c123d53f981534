//! A hostile app: it makes every attempt it knows to get out, to look around or to take too much,
//! and prints what each got. What it should get is the test's business, not its own.
//!
//! The same program is the launcher that runs it (`launch`), and so the sandbox helper too.
#![allow(clippy::unwrap_used, reason = "an attempt that cannot be made has failed")]

mod attempts;
mod launch;
mod net;
mod numbers;
mod resources;
mod rpc;
mod sys;

fn main() {
    spk_sandbox::run_helper_if_asked();
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [_, "launch", rest @ ..] => launch::main(rest),
        [_, "attempts", port, name] => attempts::main(port, name),
        [_, "numbers", highest] => numbers::main(highest.parse().unwrap()),
        [_, "resources", which] => resources::main(which),
        [_, "exit0", ..] => {}
        [_, "rpc", which] => rpc::main(which),
        // What a set-user-ID copy of us is run for.
        [_, "euid"] => std::process::exit(i32::from(nix::unistd::geteuid().is_root())),
        _ => {
            eprintln!(
                "usage: launch … | attempts PORT NAME | numbers HIGHEST | resources WHICH | rpc WHICH"
            );
            std::process::exit(2);
        }
    }
}
