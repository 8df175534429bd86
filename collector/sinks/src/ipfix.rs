//! Flows to a collector of IPFIX, over UDP or TCP.
//!
//! IPFIX has no acknowledgement: what the kernel took counts as sent. Over TCP a peer that
//! closed the connection is noticed before the next message, and what was not flushed until then is
//! sent again over another one.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_sink_formats::FlowRow;
use weir_sink_formats::ipfix::{Layout, Session, records};

use crate::rows::RowBatch;
use crate::target::{Failure, Target};

/// How long connecting may take, and taking what is sent.
const PATIENCE: Duration = Duration::from_secs(4);

/// Who takes flows, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpfixSpec {
    /// `HOST:PORT`; a name is looked up for each connection.
    pub address: String,
    /// The way there.
    pub transport: Transport,
    /// Observation domain of the messages.
    pub domain: u32,
    /// Bytes of a message at most.
    pub message_bytes: usize,
}

/// The way to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Datagrams; templates are told again and again.
    #[default]
    Udp,
    /// A stream.
    Tcp,
}

/// A collector that takes rows.
pub struct IpfixTarget {
    spec: IpfixSpec,
    layouts: [Layout; 2],
    session: Session,
    way: Option<Way>,
    /// Messages that were not sent.
    messages: Vec<Vec<u8>>,
    waiting: usize,
    record: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl std::fmt::Debug for IpfixTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IpfixTarget")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl IpfixTarget {
    /// Nothing is connected yet.
    pub fn new(spec: IpfixSpec) -> Self {
        let layouts = records::layouts();
        let templates = layouts
            .iter()
            .map(|layout| (layout.id, layout.fields()))
            .collect();
        Self {
            session: Session::new(spec.domain, spec.message_bytes, templates),
            spec,
            layouts,
            way: None,
            messages: Vec::new(),
            waiting: 0,
            record: Vec::new(),
        }
    }

    fn connect(&mut self) -> Result<(), Failure> {
        if self.way.is_none() {
            let way =
                Way::to(&self.spec).map_err(Failure::io(format!("cannot reach {}", self.spec.address)))?;
            self.way = Some(way);
        }
        Ok(())
    }

    fn hold(&mut self, message: Vec<u8>) {
        self.waiting += message.len();
        self.messages.push(message);
    }

    fn add(&mut self, row: &dyn FlowRow, now: u32) {
        let is_due = match self.spec.transport {
            Transport::Udp => self.session.wants_templates(now),
            Transport::Tcp => !self.session.has_told_templates(),
        };
        if is_due {
            let before = self.session.finish(now);
            before.into_iter().for_each(|message| self.hold(message));
            let templates = self.session.templates(now);
            self.hold(templates);
        }
        let template = records::template(row);
        let Some(layout) = self.layouts.iter().find(|layout| layout.id == template) else {
            return;
        };
        self.record.clear();
        layout.write(row, &mut self.record);
        let full = self.session.add(template, &self.record, now);
        full.into_iter().for_each(|message| self.hold(message));
    }
}

impl Target for IpfixTarget {
    fn take(&mut self, rows: &dyn RowBatch) -> Result<(), Failure> {
        let now = seconds();
        let is_udp = self.spec.transport == Transport::Udp;
        if is_udp && self.messages.is_empty() && self.session.wants_templates(now) {
            // The name may have another address by now.
            self.way = None;
        }
        self.connect()?;
        rows.each(&mut |row| self.add(row, now));
        Ok(())
    }

    fn flush(&mut self) -> Result<u64, Failure> {
        let rest = self.session.finish(seconds());
        rest.into_iter().for_each(|message| self.hold(message));
        let messages = std::mem::take(&mut self.messages);
        let bytes = std::mem::take(&mut self.waiting) as u64;
        if messages.is_empty() {
            return Ok(0);
        }
        let way = self.way.as_mut().expect("what waits was taken over a way");
        way.send(&messages)
            .map_err(Failure::io(format!("cannot send to {}", self.spec.address)))?;
        Ok(bytes)
    }

    fn reset(&mut self) {
        self.messages.clear();
        self.waiting = 0;
        self.way = None;
        self.session.restart();
    }

    fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Way {
    fn to(spec: &IpfixSpec) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in spec.address.to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match Self::to_address(address, spec.transport, left) {
                Ok(way) => return Ok(way),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn to_address(address: SocketAddr, transport: Transport, within: Duration) -> io::Result<Self> {
        match transport {
            Transport::Udp => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&address, within)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn send(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => messages
                .iter()
                .try_for_each(|message| socket.send(message).map(drop)),
            Self::Tcp(stream) => {
                check_open(stream)?;
                write_within(stream, &messages.concat(), PATIENCE)?;
                check_open(stream)
            }
        }
    }
}

/// Writes all of it in that time, however little the other side takes at once.
fn write_within(stream: &mut TcpStream, mut bytes: &[u8], within: Duration) -> io::Result<()> {
    let deadline = Instant::now() + within;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a collector says is nothing to us, but its end of the connection is.
fn check_open(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut said = [0; 4096];
    // Who says more than that is heard next time.
    let heard = (0..16).find_map(|_| match stream.read(&mut said) {
        Ok(0) => Some(Err(io::ErrorKind::ConnectionReset.into())),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    stream.set_nonblocking(false)?;
    heard.unwrap_or(Ok(()))
}

/// Seconds since the epoch UTC.
fn seconds() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // 32 bits by RFC 7011 §3.1, which end in 2106.
    now.as_secs() as u32
}
