//! Counts what was lost on the way, by the gaps in sequence numbers.
//!
//! | protocol | the number counts | a stream is |
//! |---|---|---|
//! | NetFlow v5 | flows, up to the first of the datagram; from OVS: the index of its *last* flow | a session |
//! | NetFlow v9 | datagrams | a session and source id |
//! | IPFIX | data records before the message | a session and domain; from OVS: a session |
//! | sFlow v5 | datagrams | a session |
//!
//! The count is a floor: a late datagram was counted as lost and stays so, and a
//! number that goes back, or leaps, is a restarted exporter, not a loss.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use wire::Protocol;

/// Streams of strangers that are followed at a time, and as many of others.
const MAX_STREAMS: usize = 16_384;

/// Who sent so many datagrams is no stranger.
const REGULAR: u8 = 8;

/// A larger gap is a restart.
const MAX_GAP: u32 = 1 << 20;

/// A number this little behind is a datagram that was overtaken.
const MAX_LATE: u32 = 64;

/// What one datagram says about its place in its stream.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Sender's address and port.
    pub session: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id.
    pub domain: u32,
    /// The sequence number in its header.
    pub sequence: u32,
    /// Data records in it, options records included.
    pub records: usize,
    /// `records` is all there are.
    pub complete: bool,
    /// Open vSwitch sent it.
    pub ovs: bool,
}

/// The streams and what each should bring next. Those of whom little was heard so far
/// are kept apart: a flood of them does not push the others out.
#[derive(Debug, Default)]
pub struct Sequences {
    strangers: Streams,
    regulars: Streams,
}

type Key = (SocketAddr, Protocol, u32);

/// One stream.
#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    /// The number that should come next; `None` when that cannot be known.
    expected: Option<u32>,
    /// Datagrams so far, up to [`REGULAR`].
    datagrams: u8,
}

impl Sequences {
    /// Takes in one datagram. Returns how many units (flows, records or
    /// datagrams, as the protocol counts) are missing before it.
    pub fn arrive(&mut self, arrival: Arrival) -> u64 {
        let Some((first, next)) = span(&arrival) else {
            return 0;
        };
        let shared = arrival.ovs && arrival.protocol == Protocol::Ipfix;
        let key = (
            arrival.session,
            arrival.protocol,
            if shared { 0 } else { arrival.domain },
        );
        let stream = self.get(&key);
        let gap = stream
            .expected
            .filter(|_| arrival.complete)
            .map_or(0, |expected| first.wrapping_sub(expected));
        let late = gap.wrapping_neg() <= MAX_LATE && gap != 0;
        let expected = if late { stream.expected } else { Some(next) };
        self.set(key, stream, expected.filter(|_| arrival.complete));
        if gap <= MAX_GAP { u64::from(gap) } else { 0 }
    }

    fn get(&self, key: &Key) -> Stream {
        let known = self.regulars.get(key).or_else(|| self.strangers.get(key));
        known.unwrap_or_default()
    }

    fn set(&mut self, key: Key, before: Stream, expected: Option<u32>) {
        let datagrams = REGULAR.min(before.datagrams + 1);
        let stream = Stream { expected, datagrams };
        if datagrams < REGULAR {
            return self.strangers.set(key, stream);
        }
        if before.datagrams < REGULAR {
            self.strangers.forget(&key);
        }
        self.regulars.set(key, stream);
    }
}

/// Streams in two halves. When the younger is full it becomes the older one, and that
/// is forgotten: who was silent longest goes, and nobody has to be searched for.
#[derive(Debug, Default)]
struct Streams {
    young: HashMap<Key, Stream, RandomState>,
    old: HashMap<Key, Stream, RandomState>,
}

impl Streams {
    fn get(&self, key: &Key) -> Option<Stream> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn set(&mut self, key: Key, stream: Stream) {
        if self.young.len() >= MAX_STREAMS / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, stream);
    }

    fn forget(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// The numbers of the first unit in the datagram and of the one after the last.
/// A datagram that holds no unit says nothing.
fn span(arrival: &Arrival) -> Option<(u32, u32)> {
    let sequence = arrival.sequence;
    let records = u32::try_from(arrival.records).ok()?;
    match arrival.protocol {
        Protocol::NetFlow9 | Protocol::Sflow5 => Some((sequence, sequence.wrapping_add(1))),
        _ if records == 0 && arrival.complete => None,
        Protocol::NetFlow5 if arrival.ovs => {
            let next = sequence.wrapping_add(1);
            Some((next.wrapping_sub(records), next))
        }
        Protocol::NetFlow5 | Protocol::Ipfix => Some((sequence, sequence.wrapping_add(records))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(protocol: Protocol, sequence: u32, records: usize) -> Arrival {
        Arrival {
            session: ([192, 0, 2, 1], 4000).into(),
            protocol,
            domain: 7,
            sequence,
            records,
            complete: true,
            ovs: true,
        }
    }

    fn losses(arrivals: impl IntoIterator<Item = Arrival>) -> Vec<u64> {
        let mut sequences = Sequences::default();
        arrivals
            .into_iter()
            .map(|arrival| sequences.arrive(arrival))
            .collect()
    }

    #[test]
    fn netflow_from_ovs_numbers_the_last_flow_of_a_datagram() {
        let stream = [(3, 4), (5, 2), (9, 1)].map(|(seq, n)| arrival(Protocol::NetFlow5, seq, n));
        assert_eq!(losses(stream), [0, 0, 3]);
    }

    #[test]
    fn netflow_from_others_numbers_the_first_flow() {
        let stream = [(0, 4), (4, 2), (9, 1)].map(|(seq, n)| Arrival {
            ovs: false,
            ..arrival(Protocol::NetFlow5, seq, n)
        });
        assert_eq!(losses(stream), [0, 0, 3]);
    }

    #[test]
    fn ipfix_domains_of_ovs_share_one_sequence() {
        let options = Arrival {
            domain: 0,
            ovs: false,
            ..arrival(Protocol::Ipfix, 2, 1)
        };
        let stream = [
            arrival(Protocol::Ipfix, 1, 1),
            options,
            arrival(Protocol::Ipfix, 3, 1),
            arrival(Protocol::Ipfix, 6, 1),
        ];
        assert_eq!(losses(stream), [0, 0, 0, 2]);
    }

    #[test]
    fn ipfix_domains_of_others_count_apart() {
        let foreign = |domain, sequence| Arrival {
            domain,
            ovs: false,
            ..arrival(Protocol::Ipfix, sequence, 1)
        };
        assert_eq!(
            losses([foreign(1, 10), foreign(2, 500), foreign(1, 11), foreign(2, 502)]),
            [0, 0, 0, 1]
        );
    }

    #[test]
    fn a_restart_and_a_late_datagram_are_no_loss() {
        let datagram = |sequence| arrival(Protocol::Sflow5, sequence, 0);
        assert_eq!(losses([5000, 1, 2].map(datagram)), [0, 0, 0]);
        assert_eq!(losses([10, 12, 11, 13].map(datagram)), [0, 1, 0, 0]);
        assert_eq!(losses([u32::MAX, 0, 1].map(datagram)), [0, 0, 0]);
    }

    #[test]
    fn templates_alone_and_data_that_waits_for_them_count_nothing() {
        let waiting = Arrival {
            complete: false,
            ..arrival(Protocol::Ipfix, 5, 0)
        };
        let stream = [
            arrival(Protocol::Ipfix, 1, 1),
            arrival(Protocol::Ipfix, 9, 0),
            waiting,
            arrival(Protocol::Ipfix, 8, 1),
        ];
        assert_eq!(losses(stream), [0, 0, 0, 0]);
    }

    #[test]
    fn invented_senders_take_bounded_room() {
        let mut sequences = Sequences::default();
        for n in 0..40_000u32 {
            let session = (n.to_be_bytes(), 1).into();
            sequences.arrive(Arrival {
                session,
                ..arrival(Protocol::Sflow5, 1, 0)
            });
        }
        let Streams { young, old } = &sequences.strangers;
        assert!(young.len() + old.len() <= MAX_STREAMS);
    }

    #[test]
    fn a_flood_of_invented_senders_does_not_make_known_ones_forgotten() {
        let mut sequences = Sequences::default();
        let known = |sequence| arrival(Protocol::Sflow5, sequence, 0);
        for sequence in 1..=u32::from(REGULAR) {
            sequences.arrive(known(sequence));
        }
        for n in 0..40_000u32 {
            let session = (n.to_be_bytes(), 1).into();
            sequences.arrive(Arrival { session, ..known(1) });
        }
        assert_eq!(sequences.arrive(known(u32::from(REGULAR) + 6)), 5);
    }

    #[test]
    fn regulars_take_bounded_room_and_the_longest_silent_go() {
        let mut sequences = Sequences::default();
        let from = |n: u32, sequence| Arrival {
            session: (n.to_be_bytes(), 1).into(),
            ..arrival(Protocol::Sflow5, sequence, 0)
        };
        for n in 0..20_000 {
            for sequence in 1..=u32::from(REGULAR) {
                sequences.arrive(from(n, sequence));
            }
        }
        let Streams { young, old } = &sequences.regulars;
        assert!(young.len() + old.len() <= MAX_STREAMS);
        let next = u32::from(REGULAR) + 1;
        assert_eq!(sequences.arrive(from(0, next + 2)), 0);
        assert_eq!(sequences.arrive(from(19_999, next + 2)), 2);
    }
}
