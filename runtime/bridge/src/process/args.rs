//! The command line (http-bridge §2.1).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{app_socket, bridge, config, proxy};

/// What `--help` prints.
pub const HELP: &str = "\
usage: sandstorm-http-bridge [options] <port> [--] <command> [<argument>...]

Runs <command>, an HTTP server on 127.0.0.1:<port>, and serves it to the Sandstorm host on
descriptor 3.

options:
  --config FILE   read the configuration from FILE (default: /sandstorm-http-bridge-config)
  --api-socket FILE
                  serve the app's Cap'n Proto connections on FILE (default: /tmp/sandstorm-api)
  --proxy-port N  listen for the app's outgoing HTTP on 127.0.0.1:N (default: 15239)
  --launch FILE   prepare /var and the working directory as FILE says, if it is there
                  (default: /opt/spk/launch.json)
  --var DIR       keep identities and mail below DIR (default: /var)
  -v, --verbose   accepted and ignored
  --version       print the version and exit
  --help          print this help and exit
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Run an app.
    Run(Options),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// How to run an app.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The app's port on 127.0.0.1.
    pub port: u16,
    /// The program, looked for in PATH, and its arguments.
    pub command: Vec<OsString>,
    /// The configuration file.
    pub config: PathBuf,
    /// The socket for the app's Cap'n Proto connections.
    pub api_socket: PathBuf,
    /// The port of the proxy for the app's outgoing HTTP; 0 for any.
    pub proxy_port: u16,
    /// What is to be prepared before the app is started; nothing if it is not there.
    pub launch: PathBuf,
    /// The grain's data.
    pub var: PathBuf,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An option nobody knows.
    #[error("unrecognized option '{0}'")]
    UnknownOption(String),
    /// An option without its value.
    #[error("option '{0}' needs a value")]
    MissingValue(&'static str),
    /// No port.
    #[error("missing argument: the app's port")]
    MissingPort,
    /// Not a port.
    #[error("invalid port '{0}'")]
    BadPort(String),
    /// No command.
    #[error("missing argument: the app's command")]
    MissingCommand,
}

/// Reads the arguments after the program's name. Options of the bridge end at the command (the
/// original goes on and then needs `--` before it; both forms work here).
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Error> {
    let mut args = args.into_iter();
    let mut port = None;
    let mut config = PathBuf::from(config::PATH);
    let mut api_socket = PathBuf::from(app_socket::PATH);
    let mut proxy_port = proxy::PORT;
    let mut launch = PathBuf::from("/").join(spk_schema::launch::PATH);
    let mut var = PathBuf::from(bridge::VAR);
    let mut command = Vec::new();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        match &*text {
            "--" if port.is_some() => break,
            "--" => {}
            "--help" => return Ok(Request::Help),
            "--version" => return Ok(Request::Version),
            "-v" | "--verbose" => {}
            "--config" => config = value(&mut args, "--config")?.into(),
            "--api-socket" => api_socket = value(&mut args, "--api-socket")?.into(),
            "--launch" => launch = value(&mut args, "--launch")?.into(),
            "--var" => var = value(&mut args, "--var")?.into(),
            "--proxy-port" => {
                let text = value(&mut args, "--proxy-port")?;
                let text = text.to_string_lossy();
                proxy_port = text.parse().map_err(|_| Error::BadPort(text.into_owned()))?;
            }
            option if option.starts_with('-') && option.len() > 1 => {
                return Err(Error::UnknownOption(option.to_owned()));
            }
            number if port.is_none() => port = Some(parse_port(number)?),
            _ => {
                command.push(arg);
                break;
            }
        }
    }
    command.extend(args);
    let port = port.ok_or(Error::MissingPort)?;
    if command.is_empty() {
        return Err(Error::MissingCommand);
    }
    Ok(Request::Run(Options { port, command, config, api_socket, proxy_port, launch, var }))
}

fn value(
    args: &mut impl Iterator<Item = OsString>,
    option: &'static str,
) -> Result<OsString, Error> {
    args.next().ok_or(Error::MissingValue(option))
}

fn parse_port(text: &str) -> Result<u16, Error> {
    let port = text.parse().ok().filter(|&port| port != 0);
    port.ok_or_else(|| Error::BadPort(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &str) -> Result<Request, Error> {
        parse(args.split_whitespace().map(OsString::from))
    }

    fn options(command: &str) -> Result<Request, Error> {
        Ok(Request::Run(Options {
            port: 8000,
            command: command.split_whitespace().map(OsString::from).collect(),
            config: config::PATH.into(),
            api_socket: app_socket::PATH.into(),
            proxy_port: proxy::PORT,
            launch: "/opt/spk/launch.json".into(),
            var: bridge::VAR.into(),
        }))
    }

    #[test]
    fn command_lines() {
        assert_eq!(run("8000 -- /bin/sh -c x"), options("/bin/sh -c x"));
        assert_eq!(run("8000 /bin/sh -c x"), options("/bin/sh -c x"));
        assert_eq!(run("-v 8000 true -- --help"), options("true -- --help"));
        assert_eq!(run("-- 8000 true"), options("true"));
        assert_eq!(run("8000 --verbose -- --odd"), options("--odd"));
        assert_eq!(run("--help"), Ok(Request::Help));
        assert_eq!(run("8000 --version"), Ok(Request::Version));
        assert_eq!(run("abc true"), Err(Error::BadPort("abc".into())));
        assert_eq!(run("65536 true"), Err(Error::BadPort("65536".into())));
        assert_eq!(run("0 true"), Err(Error::BadPort("0".into())));
        assert_eq!(run(""), Err(Error::MissingPort));
        assert_eq!(run("8000"), Err(Error::MissingCommand));
        assert_eq!(run("8000 --"), Err(Error::MissingCommand));
        assert_eq!(run("--odd 8000 true"), Err(Error::UnknownOption("--odd".into())));
        assert_eq!(run("--config"), Err(Error::MissingValue("--config")));
    }
}
