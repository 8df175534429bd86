//! What it rests on which end of an edge is the server.

use std::fmt;
use std::ops::Range;

use arrow::array::AsArray;
use weir_flow::{Server, ServerConfidence};

use crate::sorted::{Column, Sorted};

/// What tells that the server of an edge is it: bits, of all its records together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Evidence(u16);

/// How sure it is which end of an edge is the server, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// A handshake, a Service, or ten ports that wrote first to one port.
    Proven,
    /// Something was seen to listen there, three ports met one, or a system port met one
    /// that Linux gives to clients.
    Likely,
    /// The port numbers alone, or what others contradict.
    Weak,
    /// Nothing: the ends stand in no order.
    Unknown,
}

impl Strength {
    /// The word for people and machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Likely => "likely",
            Self::Weak => "weak",
            Self::Unknown => "unknown",
        }
    }
}

impl Evidence {
    /// There is none.
    pub const NONE: Self = Self(0);
    /// A packet of the handshake.
    pub const SYN: Self = Self(1);
    /// A Service has the server's address and port.
    pub const SERVICE: Self = Self(2);
    /// Ten or more ports were seen to write first to the server's one, and not the other way
    /// round.
    pub const MANY_CLIENTS: Self = Self(4);
    /// Something was seen to listen there.
    pub const LISTENER: Self = Self(8);
    /// Three or more ports did, or are rather clients' and met it.
    pub const SOME_CLIENTS: Self = Self(16);
    /// The port numbers.
    pub const PORT: Self = Self(32);
    /// Not how sure it is, but that it stands for more ports than a client calls.
    pub const SCAN: Self = Self(64);
    /// The server's is a system port, the client's one that Linux gives to clients.
    pub const SYSTEM_PORT: Self = Self(128);
    /// Others name the client as the server, and as surely.
    pub const CONTRADICTED: Self = Self(256);

    /// Each with its word, the surest first.
    const WORDS: [(Self, &'static str); 9] = [
        (Self::SYN, "syn"),
        (Self::SERVICE, "service"),
        (Self::MANY_CLIENTS, "many_clients"),
        (Self::LISTENER, "listener"),
        (Self::SOME_CLIENTS, "some_clients"),
        (Self::SYSTEM_PORT, "system_port"),
        (Self::PORT, "port"),
        (Self::SCAN, "scan"),
        (Self::CONTRADICTED, "contradicted"),
    ];

    /// As it is stored; bits that this version does not know count for nothing.
    pub const fn of_bits(bits: u16) -> Self {
        Self(bits & 511)
    }

    /// As it is stored.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This but for the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is among this.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// A record alone tells it, by more than its port numbers.
    pub(super) const fn is_sure(self) -> bool {
        self.0 & (Self::SYN.0 | Self::SERVICE.0 | Self::LISTENER.0) != 0
    }

    /// How sure it makes.
    pub const fn strength(self) -> Strength {
        const PROVEN: u16 = Evidence::SYN.0 | Evidence::SERVICE.0 | Evidence::MANY_CLIENTS.0;
        const LIKELY: u16 = Evidence::LISTENER.0 | Evidence::SOME_CLIENTS.0 | Evidence::SYSTEM_PORT.0;
        match self.0 & !Self::SCAN.0 {
            bits if bits & Self::CONTRADICTED.0 != 0 => Strength::Weak,
            bits if bits & PROVEN != 0 => Strength::Proven,
            bits if bits & LIKELY != 0 => Strength::Likely,
            0 => Strength::Unknown,
            _ => Strength::Weak,
        }
    }

    /// The words for it, the surest first.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let found = Self::WORDS.into_iter().filter(move |(one, _)| self.has(*one));
        found.map(|(_, word)| word)
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

/// What was known of a record when it came: which side is the server, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Claim {
    pub is_source: bool,
    pub evidence: Evidence,
}

impl Claim {
    /// Of the words of a record.
    pub fn of(server: &str, confidence: &str) -> Self {
        let is_source = server == Server::Src.as_str();
        if !is_source && server != Server::Dst.as_str() {
            return Self::default();
        }
        let words = [
            (ServerConfidence::Syn, Evidence::SYN),
            (ServerConfidence::Service, Evidence::SERVICE),
            (ServerConfidence::Listener, Evidence::LISTENER),
            (ServerConfidence::Port, Evidence::PORT),
        ];
        let found = words.into_iter().find(|(why, _)| why.as_str() == confidence);
        found.map_or(Self::default(), |(_, evidence)| Self { is_source, evidence })
    }
}

/// The columns that have them.
pub(super) const CLAIMS: [&str; 2] = ["server", "server_confidence"];

/// The claims of rows, found out once for each pair of words.
pub(super) struct Claims {
    columns: [Option<Column>; 2],
    /// By the word of the server, then by that of the confidence.
    of: Vec<Vec<Claim>>,
}

impl Claims {
    pub fn of(rows: &Sorted) -> Self {
        let columns = CLAIMS.map(|name| rows.find(name));
        let words = [0, 1].map(|at: usize| match &columns[at] {
            Some(Column::Dictionary(column)) => {
                let words = column.words().as_string_view_opt();
                let words = words.into_iter().flatten();
                words.map(|word| word.unwrap_or_default().to_owned()).collect()
            }
            _ => Vec::new(),
        });
        let [servers, confidences] = words;
        let of = |server: &String| confidences.iter().map(|why| Claim::of(server, why)).collect();
        Self {
            of: servers.iter().map(of).collect(),
            columns,
        }
    }

    /// Those of these rows.
    pub fn read(&self, rows: &Sorted, range: Range<usize>) -> Vec<Claim> {
        let [
            Some(Column::Dictionary(servers)),
            Some(Column::Dictionary(confidences)),
        ] = &self.columns
        else {
            return vec![Claim::default(); range.len()];
        };
        let (mut server, mut why) = (Vec::new(), Vec::new());
        servers.numbers(rows, range.clone(), &mut server);
        confidences.numbers(rows, range, &mut why);
        let claim = |(server, why): (&u32, &u32)| {
            let claims = self.of.get(*server as usize);
            claims
                .and_then(|claims| claims.get(*why as usize))
                .copied()
                .unwrap_or_default()
        };
        server.iter().zip(&why).map(claim).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_evidence_counts() {
        let of = |all: &[Evidence]| {
            all.iter()
                .fold(Evidence::NONE, |sum, one| sum.and(*one))
                .strength()
        };
        assert_eq!(of(&[]), Strength::Unknown);
        assert_eq!(of(&[Evidence::PORT]), Strength::Weak);
        assert_eq!(of(&[Evidence::PORT, Evidence::SOME_CLIENTS]), Strength::Likely);
        assert_eq!(of(&[Evidence::LISTENER]), Strength::Likely);
        assert_eq!(
            of(&[Evidence::PORT, Evidence::SYSTEM_PORT]),
            Strength::Likely,
            "two hints"
        );
        assert_eq!(of(&[Evidence::SYN, Evidence::CONTRADICTED]), Strength::Weak);
        assert_eq!(of(&[Evidence::PORT, Evidence::SCAN]), Strength::Weak);
        for proof in [Evidence::SYN, Evidence::SERVICE, Evidence::MANY_CLIENTS] {
            assert_eq!(of(&[Evidence::PORT, proof]), Strength::Proven);
        }
    }

    #[test]
    fn evidence_survives_its_bits_and_unknown_ones_are_nothing() {
        let both = Evidence::SYN.and(Evidence::PORT);
        assert_eq!(Evidence::of_bits(both.bits()), both);
        assert_eq!(Evidence::of_bits(512 | 1_024), Evidence::NONE);
        assert_eq!(both.words().collect::<Vec<_>>(), ["syn", "port"]);
    }

    #[test]
    fn a_record_that_names_no_server_claims_nothing() {
        let claim = |server, why| Claim::of(server, why).evidence;
        assert_eq!(claim("unknown", "syn"), Evidence::NONE);
        assert_eq!(claim("src", "none"), Evidence::NONE);
        assert_eq!(claim("dst", "service"), Evidence::SERVICE);
        assert!(Claim::of("src", "port").is_source);
    }
}
