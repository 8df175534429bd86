//! Traffic between namespaces of the lab, exact to the byte and bounded in
//! time: TCP transfers, UDP datagrams, echo requests, and iperf3 for load.
//!
//! Sockets are opened by threads of this process that enter the namespace, so
//! that nothing has to be installed in it.

mod icmp;
mod iperf;
mod sink;

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::{
    socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt,
        socket, sockopt,
    },
    time::TimeVal,
};

pub use icmp::ping;
pub use iperf::{Iperf, iperf3};
pub use sink::Sink;

use crate::{Netns, Pod};

/// Bound of every single send, receive and connect.
const STALL: Duration = Duration::from_secs(20);
const CHUNK: usize = 16 * 1024;
/// Receive buffer of TCP sockets: fewer packets than a switch's receive queue holds.
const WINDOW: usize = 32 * 1024;

/// A finished TCP transfer, as its receiver saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Payload bytes.
    pub bytes: u64,
    /// The sender's address and port.
    pub source: SocketAddr,
    /// The receiver's address and port.
    pub destination: SocketAddr,
}

/// Sends exactly `bytes` bytes over TCP from one pod to a port of another, and
/// closes in good order; on the pods' IPv4 addresses.
pub fn transfer(from: &Pod, to: &Pod, port: u16, bytes: u64) -> Result<Transfer> {
    transfer_between(from.netns(), to.netns(), SocketAddr::new(to.ip(), port), bytes)
}

/// As [`transfer`], between any two namespaces, to an address of the second.
///
/// # Errors
/// When the connection fails, stalls for 20 s, or delivers another number of
/// bytes.
pub fn transfer_between(from: &Netns, to: &Netns, destination: SocketAddr, bytes: u64) -> Result<Transfer> {
    let listener = to.within(|| listen_on(destination))?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| from.within(|| send_tcp(destination, bytes)));
        let received = receive_tcp(&listener, || sender.is_finished());
        let sent = sender
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the sender panicked")));
        sent.with_context(|| format!("send {bytes} bytes to {destination}"))?;
        let (source, received) = received.with_context(|| format!("receive at {destination}"))?;
        ensure!(
            received == bytes,
            "{destination} received {received} of {bytes} bytes"
        );
        Ok(Transfer {
            bytes,
            source,
            destination,
        })
    })
}

/// A TCP conversation: `bytes` bytes to a server and then as many back. The client calls
/// `destination`, which something on the way may translate to `listen`, where the server
/// is. Windows are small, so that no queue on the way overflows.
///
/// # Errors
/// When the connection fails, stalls for 20 s, or delivers another number of bytes.
pub fn converse(
    from: &Netns,
    to: &Netns,
    destination: SocketAddr,
    listen: SocketAddr,
    bytes: u64,
) -> Result<()> {
    let listener = to.within(|| listen_on(listen))?;
    thread::scope(|scope| {
        let client = scope.spawn(|| from.within(|| call(destination, bytes)));
        let served = accept(&listener, || client.is_finished()).and_then(|(mut stream, _)| {
            let received = std::io::copy(&mut stream, &mut std::io::sink())?;
            send_chunks(&mut stream, bytes)?;
            Ok(received)
        });
        let answered = client
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the client panicked")))
            .with_context(|| format!("call {destination}"))?;
        let received = served.with_context(|| format!("serve at {listen}"))?;
        ensure!(
            received == bytes && answered == bytes,
            "{destination} received {received} and answered {answered} of {bytes} bytes"
        );
        Ok(())
    })
}

fn call(destination: SocketAddr, bytes: u64) -> Result<u64> {
    let socket = tcp_socket(destination)?;
    setsockopt(
        &socket,
        sockopt::SendTimeout,
        &TimeVal::new(STALL.as_secs().cast_signed(), 0),
    )?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(destination))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(STALL))?;
    send_chunks(&mut stream, bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    Ok(std::io::copy(&mut stream, &mut std::io::sink())?)
}

/// Sends datagrams and waits for the answer to each, which is the same again. The
/// client calls `destination`, the server is at `listen`.
///
/// # Errors
/// When a datagram or its answer does not come within 20 s.
pub fn echo_udp(
    from: &Netns,
    to: &Netns,
    destination: SocketAddr,
    listen: SocketAddr,
    count: u32,
    size: usize,
) -> Result<()> {
    let bind = |netns: &Netns, address: SocketAddr| {
        netns.within(|| {
            let socket = UdpSocket::bind(address).with_context(|| format!("bind {address}"))?;
            socket.set_read_timeout(Some(STALL))?;
            Ok(socket)
        })
    };
    let server = bind(to, listen)?;
    let client = bind(from, SocketAddr::new(unspecified(destination), 0))?;
    client.connect(destination)?;
    let mut buffer = vec![0; size];
    for _ in 0..count {
        client.send(&vec![b'u'; size])?;
        let (length, source) = server
            .recv_from(&mut buffer)
            .with_context(|| format!("no datagram came to {listen}"))?;
        server.send_to(&buffer[..length], source)?;
        client
            .recv(&mut buffer)
            .with_context(|| format!("no answer came from {destination}"))?;
    }
    Ok(())
}

/// Sends `count` UDP datagrams of `size` payload bytes from a namespace; the
/// port they come from. Nobody needs to listen.
pub fn send_udp(from: &Netns, destination: SocketAddr, count: u32, size: usize) -> Result<u16> {
    from.within(|| {
        let socket = UdpSocket::bind((unspecified(destination), 0))?;
        let payload = vec![b'u'; size];
        for _ in 0..count {
            socket
                .send_to(&payload, destination)
                .with_context(|| format!("send to {destination}"))?;
        }
        Ok(socket.local_addr()?.port())
    })
}

fn unspecified(peer: SocketAddr) -> IpAddr {
    match peer {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

/// Listens with SO_REUSEADDR, so that a port can be used again at once.
fn listen_on(address: SocketAddr) -> Result<TcpListener> {
    let socket = tcp_socket(address)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
        .with_context(|| format!("listen at {address}"))?;
    listen(&socket, Backlog::new(8)?)?;
    Ok(socket.into())
}

/// With a receive buffer, and so a window, of its own size.
fn tcp_socket(address: SocketAddr) -> Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::RcvBuf, &WINDOW)?;
    Ok(socket)
}

fn send_tcp(destination: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&destination, STALL)?;
    stream.set_write_timeout(Some(STALL))?;
    stream.set_read_timeout(Some(STALL))?;
    send_chunks(&mut stream, bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // The receiver closes when it has read everything.
    ensure!(stream.read(&mut [0; 1])? == 0, "the receiver answered with data");
    Ok(())
}

fn send_chunks(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let chunk = [b't'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        stream.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Accepts one connection and reads it to its end.
fn receive_tcp(listener: &TcpListener, sender_ended: impl Fn() -> bool) -> Result<(SocketAddr, u64)> {
    let (mut stream, source) = accept(listener, sender_ended)?;
    let received = std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok((source, received))
}

fn accept(listener: &TcpListener, sender_ended: impl Fn() -> bool) -> Result<(TcpStream, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let (stream, source) = loop {
        match listener.accept() {
            Ok(accepted) => break accepted,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // A sender that gave up will not come any more.
                ensure!(!sender_ended(), "nobody connected");
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    Ok((stream, source))
}
