//! Datagrams out of UDP sockets: a blocking worker reads its sockets, many
//! datagrams a system call, and counts what the kernel dropped. What is in them is
//! not its business.

use std::io::PipeReader;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use prometheus_client::metrics::counter::Counter;

mod kernel;
mod socket;

use kernel::{BATCH, Batch};
pub use socket::{BindError, bind};

/// How long a stopping worker goes on reading what was already received.
const DRAIN: Duration = Duration::from_secs(3);

/// Reads in which the largest socket buffer is emptied of the smallest datagrams.
const MAX_DISCARDS: usize = 4_096;

/// For so long at most datagrams gather in a socket that was read empty: many are
/// read at the price of one.
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// Octets that the kernel counts for a datagram of 1,500.
const OCTETS_IN_BUFFER: usize = 2_304;

/// Milliseconds of silence after which the drops are asked for once more: those that
/// came with the last datagrams.
const SILENCE: u16 = 1_000;

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
    /// Takes the datagrams of one system call, received at this time (ns since the epoch
    /// UTC).
    fn datagrams<'a>(&mut self, datagrams: impl Iterator<Item = Datagram<'a>>, now_ns: u64);

    /// There are no more datagrams at the moment.
    fn pause(&mut self) {}

    /// Nothing came for a second.
    fn silent(&mut self) {}

    /// So many datagrams were received when there was no time left for them.
    fn too_late(&mut self, datagrams: usize);
}

/// Reads the sockets until the other end of `stop` is closed; then lets nothing
/// more into them and reads them out, for [`DRAIN`] at most; what is left then is
/// counted. Keep all sockets of an address open until
/// the last worker has ended: the kernel shares senders out anew when one closes.
///
/// # Errors
/// A socket fails for good.
pub fn run<'a>(
    sockets: impl IntoIterator<Item = &'a UdpSocket>,
    stop: &PipeReader,
    kernel_drops: &Counter,
    handler: &mut impl Handler,
) -> Result<(), Errno> {
    let sources = sockets
        .into_iter()
        .map(|socket| Source::new(socket, kernel_drops));
    let mut sources: Vec<_> = sources.collect();
    let mut batch = Batch::new();
    let nap = nap(&sources);
    serve(&mut sources, stop, nap, &mut batch, handler)?;
    sources.iter().for_each(Source::shut);
    let deadline = Instant::now() + DRAIN;
    for source in &mut sources {
        while Instant::now() < deadline && source.read(&mut batch, handler)? != Read::Nothing {}
        source.discard(&mut batch, handler);
        source.ask_for_drops();
    }
    Ok(())
}

/// In the time that it is, the smallest buffer takes a million datagrams a second.
fn nap(sources: &[Source<'_>]) -> Duration {
    let buffers = sources.iter().map(|s| getsockopt(s.socket, sockopt::RcvBuf));
    let smallest = buffers.map(Result::unwrap_or_default).min().unwrap_or(0);
    let datagrams = (smallest / OCTETS_IN_BUFFER) as u64;
    Duration::from_micros(datagrams).min(LONGEST_NAP)
}

fn serve(
    sources: &mut [Source<'_>],
    stop: &PipeReader,
    nap: Duration,
    batch: &mut Batch,
    handler: &mut impl Handler,
) -> Result<(), Errno> {
    let mut timeout = PollTimeout::ZERO;
    loop {
        let ready = match wait(sources, stop, timeout) {
            Ok(Ready::Stop) => return Ok(()),
            Ok(Ready::Sources(ready)) => ready,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        if ready == 0 && timeout == PollTimeout::ZERO {
            handler.pause();
            timeout = SILENCE.into();
            continue;
        }
        if ready == 0 {
            sources.iter_mut().for_each(Source::ask_for_drops);
            handler.silent();
            timeout = PollTimeout::NONE;
            continue;
        }
        let mut more = false;
        for (n, source) in sources.iter_mut().enumerate() {
            // The bits of the sources from the 64th on are one.
            if ready & (1 << n.min(63)) != 0 {
                more |= matches!(source.read(batch, handler)?, Read::Full);
            }
        }
        if !more {
            thread::sleep(nap);
        }
        timeout = PollTimeout::ZERO;
    }
}

/// What `wait` found.
enum Ready {
    Stop,
    /// A bit for each source that has datagrams.
    Sources(u64),
}

/// Waits for a datagram or the end.
fn wait(sources: &[Source<'_>], stop: &PipeReader, timeout: PollTimeout) -> Result<Ready, Errno> {
    let fds = sources.iter().map(|source| source.socket.as_fd());
    let mut fds: Vec<_> = fds
        .chain([stop.as_fd()])
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    poll(&mut fds, timeout)?;
    let is_ready = |fd: &PollFd<'_>| fd.any() == Some(true);
    if fds.pop().is_some_and(|stop| is_ready(&stop)) {
        return Ok(Ready::Stop);
    }
    let bit = |(n, fd): (usize, &PollFd<'_>)| u64::from(is_ready(fd)) << n.min(63);
    Ok(Ready::Sources(
        fds.iter().enumerate().map(bit).fold(0, |all, bit| all | bit),
    ))
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    Some,
    /// As much as one system call can bring: there may be more.
    Full,
}

/// One socket and its running count of drops, which wraps.
struct Source<'a> {
    socket: &'a UdpSocket,
    drops: &'a Counter,
    seen: u32,
}

impl<'a> Source<'a> {
    fn new(socket: &'a UdpSocket, drops: &'a Counter) -> Self {
        Self {
            socket,
            drops,
            seen: 0,
        }
    }

    fn read(&mut self, batch: &mut Batch, handler: &mut impl Handler) -> Result<Read, Errno> {
        let count = match batch.receive(self.socket) {
            Ok(count) => count,
            Err(Errno::EAGAIN) => return Ok(Read::Nothing),
            // ECONNREFUSED: an ICMP answer to nothing that we sent.
            Err(Errno::EINTR | Errno::ECONNREFUSED) => return Ok(Read::Some),
            Err(error) => return Err(error),
        };
        let now_ns = now_ns();
        // Asking once is cheaper than to be told with every datagram (SO_RXQ_OVFL).
        self.ask_for_drops();
        let batch = &*batch;
        let known = (0..count).filter_map(|n| Some((n, batch.sender(n)?)));
        let datagrams = known.flat_map(|(n, session)| {
            let payloads = batch.datagrams(n);
            payloads.map(move |payload| Datagram { session, payload })
        });
        handler.datagrams(datagrams, now_ns);
        Ok(if count == BATCH { Read::Full } else { Read::Some })
    }

    /// Empties the socket, which lets nothing in any more. Should it, it ends somewhere.
    fn discard(&mut self, batch: &mut Batch, handler: &mut impl Handler) {
        for _ in 0..MAX_DISCARDS {
            let Ok(count) = batch.receive(self.socket) else {
                break;
            };
            let datagrams = (0..count).map(|n| batch.datagrams(n).count());
            handler.too_late(datagrams.sum());
        }
    }

    /// Takes in the count, which wraps.
    fn dropped(&mut self, total: u32) {
        let more = total.wrapping_sub(self.seen);
        self.drops.inc_by(u64::from(more));
        self.seen = total;
    }

    fn ask_for_drops(&mut self) {
        match kernel::count_drops(self.socket) {
            Ok(total) => self.dropped(total),
            Err(error) => tracing::debug!(%error, "the kernel does not tell what it dropped"),
        }
    }

    /// Without the filter more may come while the socket is read out, for a while.
    fn shut(&self) {
        if let Err(error) = kernel::shut(self.socket) {
            tracing::debug!(%error, "the socket stays open while it is read out");
        }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
