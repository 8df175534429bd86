//! Sends what a generator makes: many datagrams a system call, a socket for each
//! exporter, at a rate.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg};
use thiserror::Error;

use crate::card::Card;
use crate::generator::Generator;
use crate::interfaces;

/// Datagrams in one system call, at most.
const BATCH: usize = 32;

/// Template messages a second before the first record: what an honest exporter
/// would send over minutes shall not overflow the receiver's socket.
const TEMPLATES_A_SECOND: u64 = 20_000;

/// The shortest time between two looks at the clock when there is a rate.
const TICK: Duration = Duration::from_millis(1);

/// What cannot be sent.
#[derive(Debug, Error)]
pub enum SendError {
    /// A socket could not be opened.
    #[error("cannot open socket {number} of {wanted}")]
    Open {
        /// Which.
        number: u32,
        /// How many exporters there are.
        wanted: u32,
        /// Why.
        source: io::Error,
    },
    /// The kernel refuses to send.
    #[error("cannot send to {to}")]
    Send {
        /// Where to.
        to: SocketAddr,
        /// Why.
        source: Errno,
    },
}

/// How much is sent and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Records a second (datagrams for hostile traffic); 0: as fast as possible.
    pub rate: u64,
    /// No longer than this.
    pub duration: Duration,
    /// No more records than this, up to the rest of a datagram.
    pub records: u64,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Datagrams, those with templates included.
    pub datagrams: u64,
    /// Those with templates.
    pub templates: u64,
    /// Octets of UDP payload.
    pub bytes: u64,
    /// Flow records (sFlow: flow samples) in them.
    pub records: u64,
    /// Times that the receiver's host said that nobody listens.
    pub refused: u64,
    /// From the first record to the last.
    pub elapsed: Duration,
}

/// A socket for each exporter, connected to the receiver.
#[derive(Debug)]
pub struct Sender {
    to: SocketAddr,
    sockets: Vec<UdpSocket>,
    headers: Headers,
    /// Datagrams of one length that are handed to the kernel as one, at most.
    train: usize,
    sent: Sent,
}

struct Headers(MultiHeaders<SockaddrStorage>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}

impl Sender {
    /// Opens the sockets. On loopback over IPv4, each has an address of its own,
    /// as exporters have.
    ///
    /// # Errors
    /// There are not that many sockets, or no way to `to`.
    pub fn open(to: SocketAddr, exporters: u32) -> Result<Self, SendError> {
        allow_files(u64::from(exporters) + 64);
        let open = |number| {
            open(to, number).map_err(|source| SendError::Open {
                number,
                wanted: exporters,
                source,
            })
        };
        Ok(Self {
            to,
            sockets: (0..exporters.max(1)).map(open).collect::<Result<_, _>>()?,
            headers: Headers(MultiHeaders::preallocate(BATCH, None)),
            train: 1,
            sent: Sent::default(),
        })
    }

    /// Hands up to so many datagrams that follow each other and have one length to the
    /// kernel as a whole (`UDP_SEGMENT`, Linux 4.18). Who asked for it receives them so,
    /// too (`UDP_GRO`).
    #[must_use]
    pub fn in_trains(self, length: usize) -> Self {
        Self {
            train: length.clamp(1, BATCH),
            ..self
        }
    }

    /// Sends the templates of all exporters, then records at the pace asked for.
    /// Says what this call sent.
    ///
    /// # Errors
    /// The kernel refuses for good. That nobody listens is no error: it is counted.
    pub fn send(&mut self, generator: &mut Generator, pace: &Pace) -> Result<Sent, SendError> {
        self.sent = Sent::default();
        self.send_templates(generator)?;
        self.play(generator, pace)
    }

    /// Has the daemon beside each exporter tell which pods are behind its ports, from
    /// a socket of its own. It counts for nothing.
    ///
    /// # Errors
    /// There is no socket, or the kernel refuses for good.
    pub fn announce(&mut self, exporters: u32) -> Result<(), SendError> {
        for number in 0..exporters {
            let daemon = open(self.to, number).map_err(|source| SendError::Open {
                number,
                wanted: exporters,
                source,
            })?;
            for message in interfaces::messages(number, now_secs()) {
                let sent = daemon.send(&message);
                sent.map_err(|error| SendError::Send {
                    to: self.to,
                    source: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                })?;
                thread::sleep(TICK / 4);
            }
        }
        Ok(())
    }

    /// The same for exporters that have sent their templates.
    ///
    /// # Errors
    /// The kernel refuses for good.
    pub fn send_records(&mut self, generator: &mut Generator, pace: &Pace) -> Result<Sent, SendError> {
        self.sent = Sent::default();
        self.play(generator, pace)
    }

    fn play(&mut self, generator: &mut Generator, pace: &Pace) -> Result<Sent, SendError> {
        let start = Instant::now();
        let per_datagram = u64::from(generator.plan().traffic.records_per_datagram());
        let mut given = 0;
        while given < pace.records && start.elapsed() < pace.duration {
            let due = due(pace.rate, start.elapsed()).min(pace.records);
            if given >= due {
                thread::sleep(TICK);
                continue;
            }
            let run = generator.run(BATCH, due - given, now_secs());
            given += per_datagram * run.cards.len() as u64;
            self.send_cards(run.exporter, run.cards)?;
        }
        self.sent.elapsed = start.elapsed();
        Ok(self.sent)
    }

    fn send_templates(&mut self, generator: &mut Generator) -> Result<(), SendError> {
        let start = Instant::now();
        for exporter in 0..generator.plan().exporters {
            while self.sent.templates > due(TEMPLATES_A_SECOND, start.elapsed()) + BATCH as u64 {
                thread::sleep(TICK);
            }
            let run = generator.templates(exporter, now_secs());
            self.sent.templates += run.cards.len() as u64;
            for cards in run.cards.chunks(BATCH) {
                self.send_cards(exporter, cards)?;
            }
        }
        Ok(())
    }

    fn send_cards(&mut self, exporter: u32, cards: &[Card]) -> Result<(), SendError> {
        let mut left = cards;
        while !left.is_empty() {
            match self.send_batch(exporter, left) {
                Ok(count) => left = &left[count..],
                Err(Errno::ECONNREFUSED) => self.sent.refused += 1,
                Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN) => thread::yield_now(),
                Err(source) => return Err(SendError::Send { to: self.to, source }),
            }
        }
        for card in cards {
            self.sent.datagrams += 1;
            self.sent.bytes += card.octets().len() as u64;
            self.sent.records += u64::from(card.records());
        }
        Ok(())
    }

    /// One system call; returns how many datagrams it took.
    fn send_batch(&mut self, exporter: u32, cards: &[Card]) -> Result<usize, Errno> {
        let socket = &self.sockets[exporter as usize % self.sockets.len()];
        if self.train > 1 {
            return send_train(socket, cards, self.train);
        }
        let nowhere: [Option<SockaddrStorage>; BATCH] = [None; BATCH];
        let slices: Vec<_> = cards
            .iter()
            .take(BATCH)
            .map(|card| [IoSlice::new(card.octets())])
            .collect();
        let none = MsgFlags::empty();
        let taken = sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers.0,
            &slices,
            nowhere,
            [],
            none,
        )?;
        Ok(taken.count())
    }
}

/// Sends the first datagrams that have one length, as a whole.
fn send_train(socket: &UdpSocket, cards: &[Card], most: usize) -> Result<usize, Errno> {
    let length = |card: &Card| card.octets().len();
    let first = cards.first().map_or(0, length);
    let alike = cards.iter().take(most).take_while(|card| length(card) == first);
    let slices: Vec<_> = alike.map(|card| IoSlice::new(card.octets())).collect();
    let size = u16::try_from(first).unwrap_or(u16::MAX);
    let segments = [ControlMessage::UdpGsoSegments(&size)];
    let control = &segments[..usize::from(slices.len() > 1)];
    let none = MsgFlags::empty();
    sendmsg::<SockaddrStorage>(socket.as_raw_fd(), &slices, control, none, None)?;
    Ok(slices.len())
}

/// The address of an exporter on loopback.
pub fn source(exporter: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + exporter)
}

fn open(to: SocketAddr, exporter: u32) -> io::Result<UdpSocket> {
    let unspecified = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(source(exporter)),
        _ => unspecified,
    };
    let socket = UdpSocket::bind((from, 0)).or_else(|_| UdpSocket::bind((unspecified, 0)))?;
    socket.connect(to)?;
    Ok(socket)
}

/// Raises the soft limit of open files as far as it goes; when that is too little,
/// opening a socket says so.
fn allow_files(wanted: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// Units that a rate allows until now.
fn due(rate: u64, elapsed: Duration) -> u64 {
    if rate == 0 {
        return u64::MAX;
    }
    u64::try_from(elapsed.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX)
}

fn now_secs() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as u32
}
