//! Datagrams out of UDP sockets: a blocking worker each, many datagrams a system
//! call, what the kernel dropped counted. What is in them is not its business.

use std::io::{IoSliceMut, PipeReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};
use prometheus_client::metrics::counter::Counter;

mod socket;

pub use socket::{BindError, bind};

/// Datagrams read by one system call.
const BATCH: usize = 32;

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;

/// How long a stopping worker goes on reading what was already received.
const DRAIN: Duration = Duration::from_secs(2);

/// One datagram.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Sender's address and port; an IPv4 sender has an IPv4 address on any socket.
    pub session: SocketAddr,
    /// What it sent.
    pub payload: &'a [u8],
}

/// Who is given the datagrams.
pub trait Handler {
    /// Takes one datagram, received at this time (ns since the epoch UTC).
    fn datagram(&mut self, datagram: Datagram<'_>, now_ns: u64);

    /// All datagrams of one system call were handed over.
    fn batch_end(&mut self);
}

/// Reads the socket until the other end of `stop` is closed, then until the
/// socket is empty.
///
/// # Errors
/// The socket fails for good.
pub fn run(
    socket: &UdpSocket,
    stop: &PipeReader,
    kernel_drops: Counter,
    handler: &mut impl Handler,
) -> Result<(), Errno> {
    let mut buffer = vec![0; BATCH * MAX_DATAGRAM];
    let mut drops = KernelDrops {
        counter: kernel_drops,
        seen: 0,
    };
    let mut deadline: Option<Instant> = None;
    while deadline.is_none_or(|deadline| Instant::now() < deadline) {
        match read_batch(socket, &mut buffer, &mut drops, handler) {
            Ok(()) => handler.batch_end(),
            Err(Errno::EAGAIN) if deadline.is_some() => break,
            Err(Errno::EAGAIN) => {
                if wait(socket, stop)? {
                    deadline = Some(Instant::now() + DRAIN);
                }
                continue;
            }
            // ECONNREFUSED: an ICMP answer to nothing that we sent.
            Err(Errno::EINTR | Errno::ECONNREFUSED) => {}
            Err(error) => return Err(error),
        }
        if deadline.is_none() && is_stopped(stop) {
            deadline = Some(Instant::now() + DRAIN);
        }
    }
    Ok(())
}

fn read_batch(
    socket: &UdpSocket,
    buffer: &mut [u8],
    drops: &mut KernelDrops,
    handler: &mut impl Handler,
) -> Result<(), Errno> {
    let mut slices: Vec<_> = buffer
        .chunks_mut(MAX_DATAGRAM)
        .map(|chunk| [IoSliceMut::new(chunk)])
        .collect();
    // Made anew for each call: the kernel shortens the lengths in it to what it
    // wrote, and without drops it writes no control message.
    let mut headers: MultiHeaders<SockaddrStorage> = MultiHeaders::preallocate(BATCH, Some(cmsg_space!(u32)));
    let received = recvmmsg(
        socket.as_raw_fd(),
        &mut headers,
        slices.iter_mut(),
        MsgFlags::MSG_DONTWAIT,
        None,
    )?;
    let now_ns = now_ns();
    for message in received {
        drops.look_at(&message);
        let Some(session) = message.address.as_ref().and_then(sender) else {
            continue;
        };
        let payload = message.iovs().next().unwrap_or_default();
        handler.datagram(Datagram { session, payload }, now_ns);
    }
    Ok(())
}

/// The socket's running count of drops (SO_RXQ_OVFL), which wraps.
struct KernelDrops {
    counter: Counter,
    seen: u32,
}

impl KernelDrops {
    fn look_at(&mut self, message: &RecvMsg<'_, '_, SockaddrStorage>) {
        for control in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::RxqOvfl(total) = control {
                self.counter.inc_by(u64::from(total.wrapping_sub(self.seen)));
                self.seen = total;
            }
        }
    }
}

fn sender(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::new(IpAddr::V6(v6.ip()).to_canonical(), v6.port()))
}

/// Waits for a datagram or the end. Returns whether it is the end.
fn wait(socket: &UdpSocket, stop: &PipeReader) -> Result<bool, Errno> {
    let mut ready = [
        PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut ready, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(ready[1].any() == Some(true)),
        Err(error) => Err(error),
    }
}

/// Under load the socket is never empty, and `wait` is never called.
fn is_stopped(stop: &PipeReader) -> bool {
    let mut ready = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
