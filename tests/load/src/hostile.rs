//! Datagrams that are made to cost a receiver more than they cost the sender.

use wire::Field;
use wire::encode::Ipfix;

use crate::card::Card;
use crate::flow::Flow;
use crate::random::Random;
use crate::{batched, netflow5, ovs, sflow};

/// Octets of sets in a datagram, within Ethernet's 1500.
const CONTENT: usize = 1400;

/// Observation domains that the hostile senders claim.
const DOMAINS: u32 = 10_000;

/// A way to be a nuisance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nuisance {
    /// Nothing but new templates.
    TemplateFlood,
    /// A template of one octet, and a thousand records of it.
    TinyRecords,
    /// The shortest records that are all kept: an address and a counter. Not in the mix:
    /// an honest exporter may send them.
    ShortRecords,
    /// Templates of many fields whose values have no octets.
    ZeroLengthFields,
    /// A template and a record of another domain each time.
    ManyExporters,
    /// Good datagrams that end too early.
    Truncated,
    /// Data whose template never comes.
    Orphans,
}

impl Nuisance {
    /// All that nobody sends by mistake.
    pub const ALL: [Self; 6] = [
        Self::TemplateFlood,
        Self::TinyRecords,
        Self::ZeroLengthFields,
        Self::ManyExporters,
        Self::Truncated,
        Self::Orphans,
    ];

    /// Its name, for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TemplateFlood => "template flood",
            Self::TinyRecords => "tiny records",
            Self::ShortRecords => "records of eight octets",
            Self::ZeroLengthFields => "zero-length fields",
            Self::ManyExporters => "many exporters",
            Self::Truncated => "truncated",
            Self::Orphans => "orphans",
        }
    }

    /// One datagram of the kind, another each time.
    pub fn card(self, random: &mut Random) -> Card {
        Card::raw(match self {
            Self::TemplateFlood => template_flood(random),
            Self::TinyRecords => records(&[Field::iana(4, 1)], random),
            Self::ShortRecords => records(&[Field::iana(12, 4), Field::iana(1, 4)], random),
            Self::ZeroLengthFields => zero_length_fields(random),
            Self::ManyExporters => stranger(random),
            Self::Truncated => truncated(random),
            Self::Orphans => orphan(random),
        })
    }
}

fn message(random: &mut Random) -> Ipfix {
    Ipfix::new(
        random.below(u32::MAX),
        random.below(u32::MAX),
        random.below(DOMAINS),
    )
}

fn template_id(random: &mut Random) -> u16 {
    256 + random.below(65_280) as u16
}

fn template_flood(random: &mut Random) -> Vec<u8> {
    let mut message = message(random);
    let mut left = CONTENT;
    while left > 200 {
        let fields: Vec<_> = (0..1 + random.below(40))
            .map(|_| Field::iana(1 + random.below(500) as u16, 1 + random.below(8) as u16))
            .collect();
        message = message.template(template_id(random), &fields);
        left -= 8 + 4 * fields.len();
    }
    message.encode()
}

fn records(fields: &[Field], random: &mut Random) -> Vec<u8> {
    let id = template_id(random);
    let mut content = vec![0; CONTENT - 16];
    random.fill(&mut content);
    message(random).template(id, fields).set(id, &content).encode()
}

/// Variable-length fields cost an octet each; fields of width zero cost nothing,
/// so that one octet a record buys a hundred of them.
fn zero_length_fields(random: &mut Random) -> Vec<u8> {
    let id = template_id(random);
    let (fields, content) = if random.below(2) == 0 {
        (
            vec![Field::iana(82, Field::VARIABLE); 100],
            vec![0; CONTENT - 420],
        )
    } else {
        let mut fields = vec![Field::iana(82, 0); 100];
        fields.push(Field::iana(4, 1));
        (fields, vec![6; CONTENT - 424])
    };
    message(random).template(id, &fields).set(id, &content).encode()
}

fn stranger(random: &mut Random) -> Vec<u8> {
    let id = template_id(random);
    let mut content = [0; 8];
    random.fill(&mut content);
    let fields = [Field::iana(8, 4), Field::iana(12, 4)];
    message(random).template(id, &fields).set(id, &content).encode()
}

fn truncated(random: &mut Random) -> Vec<u8> {
    let flows: Vec<_> = (0..6).map(|rank| Flow::observe(0, rank, random)).collect();
    let card = match random.below(5) {
        0 => ovs::record(0, &flows[0], random),
        1 => batched::ipfix(0, &flows, 0),
        2 => batched::netflow9(0, &flows),
        3 => netflow5::datagram(0, &flows),
        _ => sflow::datagram(0, &flows),
    };
    let mut octets = card.bytes;
    octets.truncate(random.below(octets.len() as u32) as usize);
    octets
}

fn orphan(random: &mut Random) -> Vec<u8> {
    let mut content = vec![0; 1 + random.below(CONTENT as u32) as usize];
    random.fill(&mut content);
    let id = template_id(random);
    message(random).set(id, &content).encode()
}
