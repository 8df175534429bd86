//! What one datagram brought, beside its records.

use std::net::IpAddr;

use crate::counters::Counters;
use crate::options::OptionsRecord;
use crate::protocol::Protocol;
use crate::reject::Reject;
use crate::sflow::Discard;
use crate::walk::Walked;

/// What one datagram brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Its protocol.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id; 0 in the others.
    pub observation_domain: u32,
    /// Type and id of the engine in a NetFlow v5 header: each has a sequence of its own.
    pub engine: Option<(u8, u8)>,
    /// The sFlow agent's address, whatever address the datagram came from.
    pub agent: Option<IpAddr>,
    /// The sFlow sub-agent; 0 in the others. Each one of an agent has a sequence of its
    /// own (sflow_version_5.txt §5.1).
    pub sub_agent: u32,
    /// The sequence number in its header. What it counts depends on the protocol:
    /// IPFIX data records, NetFlow v9 messages, NetFlow v5 flows, sFlow datagrams.
    pub sequence: u32,
    /// When it was sent, ns since the epoch UTC; for sFlow, when it was received.
    pub export_ns: u64,
    /// Records appended to the output, those of earlier datagrams
    /// (`released_records`) included.
    pub records: usize,
    /// Records of data sets that had waited for a template of this datagram.
    pub released_records: usize,
    /// Records of options data: they say something about the exporter.
    pub options_records: usize,
    /// Those of them that say something we know.
    pub options: Vec<OptionsRecord>,
    /// Data records of this message, whatever became of them: what the sequence numbers
    /// of IPFIX and NetFlow v5 count. What waits, or was lost, is not among them. All
    /// other numbers are of the whole datagram; this one is of its first message.
    pub data_records: usize,
    /// The messages that follow the first one in the datagram, as IPFIX may have them.
    pub further_messages: Vec<FurtherMessage>,
    /// Data records too short to be a flow, stepped over: a message yields eight
    /// records and one for each eight octets of data.
    pub records_skipped: usize,
    /// Data records that tell of both directions of a flow (RFC 5103, or the octets of
    /// initiator and responder).
    pub biflow_records: usize,
    /// Records made of their reverse directions, where these count something.
    pub reverse_records: usize,
    /// Records with lists (RFC 6313), which are skipped.
    pub structured_records: usize,
    /// Templates that are new or different.
    pub templates_learned: usize,
    /// Templates known from an [`Archive`](crate::Archive), of a session that was met again.
    pub templates_recalled: usize,
    /// Templates repeated as they were.
    pub templates_refreshed: usize,
    /// Templates over a limit, or without any octet in their records.
    pub templates_refused: usize,
    /// Data sets read by a template of OVS that is known in advance, because the
    /// exporter's own had not come.
    pub templates_assumed: usize,
    /// Templates withdrawn, over a stream (RFC 7011 §8.1).
    pub templates_withdrawn: usize,
    /// Template withdrawals without effect: all over UDP, where they are ignored
    /// (RFC 7011 §8.4); over a stream those of templates that are not in force.
    pub withdrawals_ignored: usize,
    /// Data sets kept until their template comes.
    pub sets_held: usize,
    /// Data sets lost: no template and no room to wait, or waited in vain for a
    /// template that does not match. Those that waited too long are in
    /// [`Decoder::take_expired_sets`](crate::Decoder::take_expired_sets).
    pub sets_dropped: usize,
    /// Sets with a reserved id (RFC 7011 §3.3.2), and data sets without an octet.
    pub sets_skipped: usize,
    /// Sets left out because they are malformed, while others of the message were read:
    /// they have yielded no record and taught no template.
    pub sets_malformed: usize,
    /// What was wrong with the first of them.
    pub set_fault: Option<Reject>,
    /// Data sets that are shorter than one record of their template.
    pub sets_without_record: usize,
    /// Octets after the last record of their set that are no padding: not all zero.
    pub leftover_bytes: usize,
    /// Octets after the last set, or after the last message, of the datagram.
    pub trailing_bytes: usize,
    /// Data sets read by a template that came in another session of the same address.
    pub templates_borrowed: usize,
    /// sFlow counter samples.
    pub counter_samples: usize,
    /// What they say.
    pub counters: Vec<Counters>,
    /// Packets that sFlow told as discarded.
    pub discards: Vec<Discard>,
    /// sFlow samples of other kinds, skipped.
    pub other_samples: usize,
}

/// What a message says about itself that is not the first of its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FurtherMessage {
    /// Its observation domain.
    pub observation_domain: u32,
    /// The sequence number in its header.
    pub sequence: u32,
    /// Its data records, as in [`Summary::data_records`].
    pub data_records: usize,
}

impl Summary {
    pub(crate) fn new(protocol: Protocol, export_ns: u64) -> Self {
        Self {
            protocol,
            export_ns,
            ..Self::default()
        }
    }

    /// Takes in what a message says about itself.
    pub(crate) fn add_message(&mut self, walked: &Walked, is_first: bool) {
        let header = &walked.header;
        if is_first {
            self.protocol = header.protocol;
            self.observation_domain = header.domain;
            self.sequence = header.sequence;
            self.export_ns = header.clock.export_ns;
            self.data_records = walked.data_records;
        } else {
            self.further_messages.push(FurtherMessage {
                observation_domain: header.domain,
                sequence: header.sequence,
                data_records: walked.data_records,
            });
        }
    }
}
