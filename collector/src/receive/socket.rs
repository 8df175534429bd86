//! Opens the sockets that datagrams come in by: one for each worker and address.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind as bind_fd, getsockopt, setsockopt, socket,
    sockopt,
};
use thiserror::Error;

/// Octets that the kernel shall keep for each socket: a second of 40,000 datagrams.
const BUFFER: usize = 32 << 20;

/// A socket could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on UDP {address}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Opens as many sockets on one address. The kernel shares the datagrams out by a
/// hash of the sender's address and port, so that a sender always comes in by the
/// same socket as long as all of them are open. Each gets the largest buffer that
/// can be had, and takes datagrams that the kernel has joined (`UDP_GRO`, Linux 5.0).
///
/// # Errors
/// The address is taken (also by another collector), not ours, or not permitted.
pub fn bind(address: SocketAddr, sockets: NonZeroUsize) -> Result<Vec<UdpSocket>, BindError> {
    let failed = |source| BindError { address, source };
    // The first is bound before it may share: two collectors on one address would
    // each get half of the exporters, and nobody would notice.
    let first = UdpSocket::bind(address).map_err(failed)?;
    let mut group = vec![first];
    if sockets.get() > 1 {
        let bound = group[0].local_addr().map_err(failed)?;
        setsockopt(&group[0], sockopt::ReusePort, &true).map_err(|e| failed(e.into()))?;
        for _ in 1..sockets.get() {
            group.push(bind_shared(bound).map_err(failed)?);
        }
    }
    // Where the kernel cannot, datagrams come one by one.
    for socket in &group {
        if let Err(error) = setsockopt(socket, sockopt::UdpGroSegment, &true) {
            tracing::debug!(%address, %error, "the kernel does not join datagrams (UDP_GRO)");
        }
    }
    let capped = group
        .iter()
        .map(enlarge_buffer)
        .min()
        .filter(|octets| *octets < BUFFER);
    if let Some(granted_bytes) = capped {
        tracing::warn!(
            %address,
            granted_bytes,
            wanted_bytes = BUFFER,
            "the socket buffer is capped; raise sysctl net.core.rmem_max, or bursts will be lost"
        );
    }
    Ok(group)
}

fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let fd: OwnedFd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReusePort, &true)?;
    bind_fd(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd.into())
}

/// `SO_RCVBUFFORCE` needs `CAP_NET_ADMIN`; `SO_RCVBUF` is capped by a sysctl. The
/// kernel doubles what it is asked for, to cover its own bookkeeping. Returns
/// the octets that were granted.
fn enlarge_buffer(socket: &UdpSocket) -> usize {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_ok() {
        return BUFFER;
    }
    // What could not be set shows in what is read back.
    let _ = setsockopt(socket, sockopt::RcvBuf, &BUFFER);
    getsockopt(socket, sockopt::RcvBuf).map_or(0, |octets| octets / 2)
}
