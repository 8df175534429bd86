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
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

pub use icmp::ping;
pub use iperf::{Iperf, iperf3};
pub use sink::Sink;

use crate::{Netns, Pod};

/// Bound of every single send, receive and connect.
const STALL: Duration = Duration::from_secs(20);
const CHUNK: usize = 16 * 1024;

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
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
        .with_context(|| format!("listen at {address}"))?;
    listen(&socket, Backlog::new(8)?)?;
    Ok(socket.into())
}

fn send_tcp(destination: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&destination, STALL)?;
    stream.set_write_timeout(Some(STALL))?;
    stream.set_read_timeout(Some(STALL))?;
    let chunk = [b't'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        stream.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // The receiver closes when it has read everything.
    ensure!(stream.read(&mut [0; 1])? == 0, "the receiver answered with data");
    Ok(())
}

/// Accepts one connection and reads it to its end.
fn receive_tcp(listener: &TcpListener, sender_ended: impl Fn() -> bool) -> Result<(SocketAddr, u64)> {
    listener.set_nonblocking(true)?;
    let (mut stream, source) = loop {
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
    let received = std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok((source, received))
}
