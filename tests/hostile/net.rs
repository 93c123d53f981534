//! Attempts on the network. No packet goes anywhere but to this machine's loopback.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;

use nix::errno::Errno;

use crate::sys::raw;

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// Asks for a route by a datagram `connect`, which sends nothing.
pub fn route(to: &str) -> Result<(), Errno> {
    let to: SocketAddr = to.parse().unwrap();
    let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(from).and_then(|socket| socket.connect(to)).map_err(|error| errno(&error))
}

pub fn host_listener(port: &str) -> Result<(), Errno> {
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).map(drop).map_err(|e| errno(&e))
}

pub fn abstract_socket(name: &str) -> Result<(), Errno> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    std::os::unix::net::UnixStream::connect_addr(&address).map(drop).map_err(|e| errno(&e))
}

/// Asks for large buffers, and looks at what there is then.
pub fn buffers() -> String {
    let socket =
        TcpStream::connect(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let socket = socket.unwrap();
    let sizes = || {
        use nix::sys::socket::{getsockopt, sockopt};
        (getsockopt(&socket, sockopt::SndBuf), getsockopt(&socket, sockopt::RcvBuf))
    };
    let before = sizes();
    for name in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        let size = 1u32 << 20;
        let (fd, at) = (socket.as_raw_fd() as u64, &raw const size as u64);
        let (level, name) = (libc::SOL_SOCKET as u64, name as u64);
        if let Err(errno) = raw(libc::SYS_setsockopt, [fd, level, name, at, 4, 0]) {
            return errno.to_string();
        }
    }
    if sizes() == before { "as before".into() } else { format!("{:?}", sizes()) }
}

/// Parks what it can in a connection to itself; small is up to 2 MiB.
pub fn parked() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _unread = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut sum = 0;
    while sum <= 64 << 20 {
        match socket.write(&[0; 1 << 16]) {
            Ok(count) => sum += count,
            Err(_full) => break,
        }
    }
    if sum <= 2 << 20 { "small".into() } else { format!("{sum} bytes") }
}

pub fn socket(family: u64, kind: u64, protocol: u64) -> Result<i64, Errno> {
    raw(libc::SYS_socket, [family, kind, protocol, 0, 0, 0])
}

/// Asks the loopback's name server for an address, as a program does that finds no other.
pub fn name_server() -> Result<(), Errno> {
    let ask = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect("127.0.0.1:53")?;
        // A header with one question, for a name that is reserved (RFC 6761).
        let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07invalid\0\0\x01\0\x01";
        socket.send(question)?;
        socket.recv(&mut [0; 512]).map(drop)
    };
    ask().map_err(|error| errno(&error))
}

/// A socket option with a buffer of zeroes.
pub fn option(kind: u64, level: u64, name: u64) -> Result<i64, Errno> {
    let fd = socket(2, kind, 0)?;
    let zeroes = [0u8; 64];
    raw(libc::SYS_setsockopt, [fd as u64, level, name, zeroes.as_ptr() as u64, 4, 0])
}

/// One byte out of band over a UNIX socket pair.
pub fn out_of_band() -> Result<i64, Errno> {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().map_err(|error| errno(&error))?;
    let byte = [0u8];
    let fd = ours.as_raw_fd() as u64;
    raw(libc::SYS_sendto, [fd, byte.as_ptr() as u64, 1, libc::MSG_OOB as u64, 0, 0])
}

/// `SO_PEERPIDFD` of Linux 6.5: a pidfd of the process that made the socket's other end.
pub fn peer(fd: u64) -> Result<i32, Errno> {
    const SO_PEERPIDFD: u64 = 77;
    let (mut pidfd, mut length) = (-1i32, 4u32);
    let at = (&raw mut pidfd as u64, &raw mut length as u64);
    raw(libc::SYS_getsockopt, [fd, 1, SO_PEERPIDFD, at.0, at.1, 0])?;
    Ok(pidfd)
}

/// The number that `SO_PEERCRED` gives for that process, opened as our own PID namespace has it.
pub fn sender(fd: u64) -> Result<i32, Errno> {
    let (mut who, mut length) = ([-1i32; 3], 12u32);
    let at = (&raw mut who as u64, &raw mut length as u64);
    raw(libc::SYS_getsockopt, [fd, 1, libc::SO_PEERCRED as u64, at.0, at.1, 0])?;
    raw(libc::SYS_pidfd_open, [who[0] as u64, 0, 0, 0, 0, 0]).map(|fd| fd as i32)
}

/// An interface request on a socket, for `lo`.
pub fn interface(request: u64) -> Result<i64, Errno> {
    let fd = socket(2, 2, 0)?;
    let mut lo = [0u8; 64];
    lo[..2].copy_from_slice(b"lo");
    raw(libc::SYS_ioctl, [fd as u64, request, lo.as_ptr() as u64, 0, 0, 0])
}

/// Asks, over NETLINK_ROUTE, for a change of the network: `kind` is RTM_NEW…
pub fn netlink(kind: u16) -> Result<(), Errno> {
    let fd = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Netlink,
        nix::sys::socket::SockType::Raw,
        nix::sys::socket::SockFlag::empty(),
        nix::sys::socket::SockProtocol::NetlinkRoute,
    )?;
    // A header and a zeroed body, for interface 1; what is missing in it would be EINVAL.
    let mut message = vec![0u8; 48];
    message[0] = 48;
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    // NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    message[6..8].copy_from_slice(&0x405u16.to_ne_bytes());
    message[20] = 1;
    nix::sys::socket::send(fd.as_raw_fd(), &message, nix::sys::socket::MsgFlags::empty())?;
    let mut answer = [0u8; 1024];
    nix::sys::socket::recv(fd.as_raw_fd(), &mut answer, nix::sys::socket::MsgFlags::empty())?;
    match -i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}
