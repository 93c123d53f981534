//! Whose connections are: who has made a connection on loopback stands in the kernel's table of
//! sockets.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The tables of the network namespace that we are in, and whether their addresses are IPv6.
const TABLES: [(&str, bool); 2] = [("/proc/net/tcp", false), ("/proc/net/tcp6", true)];

/// The tables are read this often at most, however many connect: they have a line for each socket.
const EVERY: Duration = Duration::from_millis(20);

/// A connection of two ends that live. Of others the kernel does not tell the owner: it says root.
const ESTABLISHED: &str = "01";

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// This user, by number.
    User(u32),
    /// Somebody: the connection is in no table, or half closed.
    Nobody,
    /// It cannot be known here.
    Untold,
}

/// See the module.
pub(super) struct Peers {
    /// The port of the server's ends.
    port: u16,
    table: tokio::sync::Mutex<Option<Table>>,
}

struct Table {
    begun: Instant,
    /// The users of clients' ends; none where there is no table to read.
    users: Option<HashMap<SocketAddr, u32>>,
}

impl Peers {
    pub fn new(port: u16) -> Peers {
        Peers { port, table: tokio::sync::Mutex::default() }
    }

    /// Who has the client's end of a connection that has been accepted.
    pub async fn peer(&self, client: SocketAddr) -> Peer {
        let asked = Instant::now();
        let mut table = self.table.lock().await;
        let known = table.take().filter(|table| table.begun > asked);
        let known = match known {
            Some(known) => known,
            None => {
                // Whoever asks meanwhile is answered by the same table.
                tokio::time::sleep(EVERY).await;
                let (begun, port) = (Instant::now(), self.port);
                let users = tokio::task::spawn_blocking(move || read(port)).await;
                Table { begun, users: users.ok().and_then(Result::ok) }
            }
        };
        let users = &table.insert(known).users;
        match users.as_ref().map(|users| users.get(&plain(client))) {
            None => Peer::Untold,
            Some(None) => Peer::Nobody,
            Some(Some(user)) => Peer::User(*user),
        }
    }
}

/// The clients' ends of connections to a port of ours, and whose they are.
fn read(port: u16) -> io::Result<HashMap<SocketAddr, u32>> {
    let mut users = HashMap::new();
    for (path, v6) in TABLES {
        match std::fs::read_to_string(path) {
            Ok(text) => users.extend(text.lines().filter_map(|line| parse(line, port, v6))),
            // A machine without IPv6.
            Err(_) if v6 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(users)
}

/// A line of a table, if it is about such an end: its number, its own address, the other's, the
/// state, queues, timers, attempts, and the user (proc_pid_net(5)).
fn parse(line: &str, port: u16, v6: bool) -> Option<(SocketAddr, u32)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (own, other, state) = (fields.next()?, fields.next()?, fields.next()?);
    if state != ESTABLISHED || address(other, v6)?.port() != port {
        return None;
    }
    Some((address(own, v6)?, fields.nth(3)?.parse().ok()?))
}

/// An address as the tables have it: words of 32 bits in the machine's order, and the port.
pub(in crate::serve) fn address(text: &str, v6: bool) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(u32::from_be_bytes(word.to_ne_bytes()))
    };
    let host = match v6 {
        false => IpAddr::V4(Ipv4Addr::from_bits(word(0)?)),
        true => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bits = words.iter().fold(0, |bits: u128, word| bits << 32 | u128::from(*word));
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    };
    Some(plain(SocketAddr::new(host, u16::from_str_radix(port, 16).ok()?)))
}

/// IPv4 as such, also where a client's socket is an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_those_of_others_left_out() {
        let v4 = |own: &str, other: &str, state: &str| {
            format!(
                "   7: {own} {other} {state} 00000000:00000000 00:00000000 00000000  1234        0 5 1"
            )
        };
        let (one, two) = (u32::from_ne_bytes([127, 0, 0, 1]), u32::from_ne_bytes([127, 0, 0, 2]));
        let (client, server) = (format!("{two:08X}:D2A4"), format!("{one:08X}:1F90"));
        let found = Some(("127.0.0.2:53924".parse().unwrap(), 1234));
        assert_eq!(parse(&v4(&client, &server, "01"), 8080, false), found);
        // Another port, our own end, one that is half closed or waits, no line at all.
        assert_eq!(parse(&v4(&client, &server, "01"), 8081, false), None);
        assert_eq!(parse(&v4(&server, &client, "01"), 8080, false), None);
        for state in ["06", "05", "08", "0A"] {
            assert_eq!(parse(&v4(&client, &server, state), 8080, false), None);
        }
        for line in
            ["", "  sl  local_address rem_address   st", "1: x y 01 0 0 0 0", "1: 0:1 0:2 01"]
        {
            assert_eq!(parse(line, 8080, false), None, "{line}");
        }
    }

    #[test]
    fn every_kind_of_socket_is_found() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let peers = Peers::new(port);
            let mut held = Vec::new();
            for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
                let address = SocketAddr::new(address.parse().unwrap(), port);
                // A machine without IPv6 has no second kind.
                let Ok(client) = tokio::net::TcpStream::connect(address).await else { continue };
                let (server, from) = listener.accept().await.unwrap();
                assert_eq!(peers.peer(from).await, Peer::User(rustix::process::geteuid().as_raw()));
                held.push((client, server));
            }
            assert!(!held.is_empty());
            let nobody = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
            assert_eq!(peers.peer(nobody).await, Peer::Nobody);
        });
    }
}
