//! A way of packets through OVN, and what is sent on it: a call and its answer, by ports
//! that no other way has, so that the records of each can be told apart.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{
    Netns,
    link::Counters,
    traffic::{converse, echo_udp, ping},
    wait_for,
};

use crate::{stage::DEADLINE, sum::Sum};

/// Bytes of a TCP conversation each way, and conversations.
const BYTES: u64 = 60_000;
const CONVERSATIONS: u32 = 2;
const DATAGRAMS: u32 = 50;
const PAYLOAD: usize = 1000;
const PINGS: u64 = 20;
/// Octets of an echo request and its IPv4 header.
const PING: u64 = 20 + 8 + 48;
const IPV4_AND_UDP: u64 = 20 + 8;
const ICMP: u8 = 1;
/// For so long nothing comes where nothing is on its way.
const QUIET: Duration = Duration::from_millis(100);

/// An end of traffic.
#[derive(Clone)]
pub struct End {
    pub netns: Netns,
    pub device: &'static str,
    pub address: IpAddr,
}

/// How packets are sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Tcp,
    Udp,
    Ping,
}

/// Which formats of `br-int` alone have a record of a way, beside IPFIX; all have when
/// `br-ex` exports, too.
#[derive(Clone, Copy, PartialEq)]
pub enum Seen {
    ByAll,
    /// NetFlow has no record of IPv6.
    NotByNetFlow,
    /// The call enters `br-int` by a patch port and by nothing else.
    CallByIpfixAlone,
    /// The answer does.
    AnswerByIpfixAlone,
    /// Nobody tells the addresses of its ends, and NetFlow has no Ethernet addresses to find
    /// them by: with both bridges it counts on both nodes.
    TwiceByNetFlow,
}

/// A way of packets.
#[derive(Clone)]
pub struct Cell {
    pub name: &'static str,
    pub kind: Kind,
    pub client: End,
    pub server: End,
    /// What the client calls.
    pub call: SocketAddr,
    /// Where the server is.
    pub listen: SocketAddr,
    pub seen: Seen,
}

/// What arrived of a call, and of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    pub call: Sum,
    pub answer: Sum,
}

/// Which way of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Half {
    Call,
    Answer,
}

impl Cell {
    /// One packet each way, at least.
    pub fn warm_up(&self) -> Result<()> {
        match self.kind {
            Kind::Tcp => self.converse(1),
            Kind::Udp => self.echo(1),
            Kind::Ping => ping(&self.client.netns, self.call.ip()).map(drop),
        }
    }

    /// Sends what is to be counted; what arrived.
    pub fn run(&self) -> Result<Truth> {
        match self.kind {
            Kind::Tcp => self.run_tcp(),
            Kind::Udp => {
                self.echo(DATAGRAMS)?;
                Ok(Truth::both(DATAGRAMS.into(), PAYLOAD as u64 + IPV4_AND_UDP))
            }
            Kind::Ping => {
                for _ in 0..PINGS {
                    ensure!(ping(&self.client.netns, self.call.ip())? == 1, "a ping was lost");
                }
                Ok(Truth::both(PINGS, PING))
            }
        }
    }

    /// The interfaces tell what arrived, what was sent twice included.
    fn run_tcp(&self) -> Result<Truth> {
        let before = [self.server.received()?, self.client.received()?];
        for _ in 0..CONVERSATIONS {
            self.converse(BYTES)?;
        }
        let after = self.at_rest()?;
        let [call, answer] = [after[0].since(before[0]), after[1].since(before[1])];
        // The one interface of a pod that calls itself gets both.
        let answer = if self.is_hairpin() { Sum::default() } else { answer };
        Ok(Truth { call, answer })
    }

    /// What both ends have got, when nothing more is on its way: the last acknowledgements
    /// come after the programs have all that they wait for.
    fn at_rest(&self) -> Result<[Sum; 2]> {
        let received = || -> Result<[Sum; 2]> { Ok([self.server.received()?, self.client.received()?]) };
        let mut last = received()?;
        wait_for("packets to be at rest", DEADLINE, || {
            std::thread::park_timeout(QUIET);
            let now = received()?;
            let rests = now == std::mem::replace(&mut last, now);
            Ok(rests.then_some(now))
        })
    }

    fn converse(&self, bytes: u64) -> Result<()> {
        converse(
            &self.client.netns,
            &self.server.netns,
            self.call,
            self.listen,
            bytes,
        )
    }

    /// Sends datagrams and gets them back.
    pub fn echo(&self, count: u32) -> Result<()> {
        let (from, to) = (&self.client.netns, &self.server.netns);
        echo_udp(from, to, self.call, self.listen, count, PAYLOAD)
    }

    /// Whether client and server are one.
    fn is_hairpin(&self) -> bool {
        self.client.netns == self.server.netns
    }

    /// Whether a record is of this half. A pod that calls itself is at both ends of both.
    pub fn is_of(&self, half: Half, record: &Value) -> bool {
        match (half, self.kind) {
            (Half::Call, Kind::Ping) => self.is_echo(record, 8, "dst_addr"),
            (Half::Answer, Kind::Ping) => self.is_echo(record, 0, "addr"),
            (Half::Call, _) if self.is_hairpin() => {
                self.is_at(&record["port"]) || self.is_at(&record["dst_port"])
            }
            (Half::Call, _) => self.is_at(&record["dst_port"]),
            (Half::Answer, _) => !self.is_hairpin() && self.is_at(&record["port"]),
        }
    }

    fn is_at(&self, port: &Value) -> bool {
        *port == self.call.port() || *port == self.listen.port()
    }

    fn is_echo(&self, record: &Value, kind: u8, far: &str) -> bool {
        record["proto"] == ICMP
            && record["icmp_type"] == kind
            && record[far] == self.server.address.to_string()
    }
}

impl Truth {
    /// What arrived of a half.
    pub fn of(&self, half: Half) -> Sum {
        match half {
            Half::Call => self.call,
            Half::Answer => self.answer,
        }
    }

    fn both(packets: u64, each: u64) -> Self {
        let sum = Sum {
            packets,
            bytes: packets * each,
        };
        Self {
            call: sum,
            answer: sum,
        }
    }
}

impl End {
    fn received(&self) -> Result<Sum> {
        let counters = Counters::read(&self.netns, self.device)?;
        Ok(Sum {
            packets: counters.received_packets,
            bytes: counters.received_bytes - 14 * counters.received_packets,
        })
    }
}
