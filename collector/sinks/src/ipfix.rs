//! Flows to a collector of IPFIX, over UDP or TCP.
//!
//! IPFIX has no acknowledgement: what the kernel took counts as sent. Over TCP a peer that
//! closed the connection is noticed before the next message, and what was not flushed until then is
//! sent again over another one.

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_sink_formats::FlowRow;
use weir_sink_formats::ipfix::{Layout, Session, records};

use crate::rows::RowBatch;
use crate::target::{Failure, Target};

/// How long a connection, or the peer's kernel, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who takes flows, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpfixSpec {
    /// `HOST:PORT`; a name is looked up for each connection.
    pub address: String,
    /// The way there.
    pub transport: Transport,
    /// Observation domain of the messages.
    pub domain: u32,
    /// Octets of a message at most.
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
            self.session.restart();
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
        self.connect()?;
        let now = seconds();
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
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in spec.address.to_socket_addrs()? {
            match Self::to_address(address, spec.transport) {
                Ok(way) => return Ok(way),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn to_address(address: SocketAddr, transport: Transport) -> io::Result<Self> {
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
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
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
                stream.write_all(&messages.concat())?;
                check_open(stream)
            }
        }
    }
}

/// A collector sends nothing: what can be read is the end of the connection.
fn check_open(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let found = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match found {
        Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Seconds since the epoch UTC.
fn seconds() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // 32 bits by RFC 7011 §3.1, which end in 2106.
    now.as_secs() as u32
}
