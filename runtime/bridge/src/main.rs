//! The program that is packed into HTTP apps as `/sandstorm-http-bridge`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::rc::Rc;

use spk_bridge::process::args::{self, Request};
use spk_bridge::process::run;

fn main() -> ExitCode {
    end_when_panicking();
    let request = match args::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            log(&format!("{error}\n{}", args::HELP.trim_end()));
            return ExitCode::FAILURE;
        }
    };
    let options = match request {
        Request::Run(options) => options,
        Request::Help => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Request::Version => {
            println!("sandstorm-http-bridge {} (spk)", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
    };
    match run(&options, Rc::new(log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A panic ends the process: a bridge without one of its tasks would leave requests without an
/// answer, where the host starts another.
fn end_when_panicking() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::abort();
    }));
}

/// The grain's log is standard error; nobody can do anything if it is gone.
fn log(message: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "** sandstorm-http-bridge: {message}");
}
