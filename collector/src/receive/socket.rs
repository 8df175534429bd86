//! Opens the sockets that datagrams come in by.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use thiserror::Error;

/// Octets that the kernel shall keep for us: a second of 40,000 datagrams.
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

/// Opens a socket with the largest buffer that can be had, and has the kernel
/// count what it drops.
///
/// # Errors
/// The address is taken, not ours, or not permitted.
pub fn bind(address: SocketAddr) -> Result<UdpSocket, BindError> {
    let failed = |source| BindError { address, source };
    let socket = UdpSocket::bind(address).map_err(failed)?;
    if let Err(error) = setsockopt(&socket, sockopt::RxqOvfl, &1) {
        tracing::warn!(%address, %error, "drops in the kernel will not be counted");
    }
    enlarge_buffer(&socket, address);
    Ok(socket)
}

/// `SO_RCVBUFFORCE` needs `CAP_NET_ADMIN`; `SO_RCVBUF` is capped by a sysctl. The
/// kernel doubles what it is asked for, to cover its own bookkeeping.
fn enlarge_buffer(socket: &UdpSocket, address: SocketAddr) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_ok() {
        return;
    }
    let outcome = setsockopt(socket, sockopt::RcvBuf, &BUFFER);
    let granted = getsockopt(socket, sockopt::RcvBuf).map_or(0, |octets| octets / 2);
    if outcome.is_err() || granted < BUFFER {
        tracing::warn!(
            %address,
            granted_octets = granted,
            wanted_octets = BUFFER,
            "the socket buffer is capped; raise sysctl net.core.rmem_max, or bursts will be lost"
        );
    }
}
