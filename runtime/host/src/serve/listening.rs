//! On which ports an app listens, as the kernel's tables of its network namespace have it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::front::peers;

/// State of a socket that connections can be made to (`TCP_LISTEN`).
const LISTENS: &str = "0A";

/// Where a bridge listens for what the app asks of others (http-bridge §2.2).
const PROXY: u16 = 15239;

/// What an app that does not answer on its port listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening(Vec<SocketAddr>);

impl Listening {
    /// Looks at the network namespace of process `pid`. `None`: it cannot be looked at.
    pub(super) fn of(pid: i32) -> Option<Listening> {
        let table = |name: &str, v6| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{name}"))?;
            std::io::Result::Ok(text.lines().filter_map(|line| parse(line, v6)).collect::<Vec<_>>())
        };
        let mut found = table("tcp", false).ok()?;
        // A machine may be without IPv6.
        found.extend(table("tcp6", true).unwrap_or_default());
        found.retain(|address| address.port() != PROXY);
        found.sort();
        found.dedup();
        Some(Listening(found))
    }

    /// Whether a connection to `127.0.0.1` and this port is one to the app.
    fn reaches(&self, port: u16) -> bool {
        let reached = |address: &&SocketAddr| {
            address.port() == port
                && (address.ip().is_unspecified()
                    || address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST))
        };
        self.0.iter().any(|address| reached(&address))
    }

    /// Why nothing answered on the port, as far as it can be seen from here.
    pub(super) fn instead_of(&self, port: u16) -> String {
        if self.reaches(port) {
            return format!(": it listens on port {port}, and has not answered");
        }
        match self.0.is_empty() {
            true => format!(": nobody answers on port {port}, and it listens on no other"),
            false => format!(": nobody answers on port {port}; it listens on {self} instead"),
        }
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More are not named.
        const NAMED: usize = 5;
        let named = self.0.iter().take(NAMED).map(SocketAddr::to_string).collect::<Vec<_>>();
        let more = if self.0.len() > NAMED { " and more" } else { "" };
        write!(out, "{}{more}", named.join(", "))
    }
}

/// The address of a line of a table, if it is of a socket that listens.
fn parse(line: &str, v6: bool) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (own, state) = (fields.next()?, fields.nth(1)?);
    (state == LISTENS).then(|| peers::address(own, v6)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(addresses: &[&str]) -> Listening {
        Listening(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn what_is_listened_on_instead_is_told() {
        assert!(on(&[]).instead_of(8000).ends_with("8000, and it listens on no other"));
        let other = on(&["127.0.0.1:3000", "[::1]:8000"]);
        let told = other.instead_of(8000);
        assert!(told.ends_with("; it listens on 127.0.0.1:3000, [::1]:8000 instead"), "{told}");
        for right in ["127.0.0.1:8000", "0.0.0.0:8000", "[::]:8000"] {
            let told = on(&[right]).instead_of(8000);
            assert_eq!(told, ": it listens on port 8000, and has not answered", "{right}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("127.0.0.1:{}", 1000 + n)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(on(&many).instead_of(8000).contains("127.0.0.1:1004 and more instead"));
    }

    #[test]
    fn own_sockets_are_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let own = || Listening::of(std::process::id().cast_signed()).unwrap();
        assert!(own().reaches(port));
        drop(socket);
        assert!(!own().reaches(port));
        assert_eq!(Listening::of(-1), None);
    }
}
