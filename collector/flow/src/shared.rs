//! What many records have in common: all but who talked to whom, when and how
//! much. There are few of these for millions of records, so the store keeps each
//! once.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use wire::{Direction, Protocol};

use crate::policy::Judged;
use crate::record::{FlowRecord, IdentifiedBy, Server, ServerConfidence, Verdict};
use crate::value::TcpFlags;

/// A part of a [`FlowRecord`], the fields that [`FlowRecord::visit_shared`] hands on;
/// what they say is documented there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFields<Node = Arc<str>, Policy = Judged> {
    plain: Plain,
    exporter_node: Node,
    policy: Policy,
}

/// Those of a record, borrowed.
pub type SharedFieldsRef<'a> = SharedFields<&'a Arc<str>, &'a Judged>;

/// Makes [`Plain`] and [`SharedFields::of`].
macro_rules! plain_fields {
    (|$record:ident| $($field:ident: $kind:ty = $value:expr,)+) => {
        /// All of it that is no text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        struct Plain {
            $($field: $kind,)+
        }

        impl<'a> SharedFieldsRef<'a> {
            /// Those of a record.
            #[inline]
            pub(crate) fn of($record: &'a FlowRecord) -> Self {
                // In one piece: what is made apart is copied.
                Self {
                    plain: Plain {
                        $($field: $value,)+
                    },
                    exporter_node: &$record.exporter_node,
                    policy: &$record.policy,
                }
            }
        }
    };
}

plain_fields! { |record|
    sampling: Option<u32> = record.sampling,
    proto: Option<u8> = record.proto,
    dscp: Option<u8> = record.dscp,
    ttl: Option<u8> = record.ttl,
    icmp_type: Option<u8> = record.icmp_type,
    icmp_code: Option<u8> = record.icmp_code,
    tcp_flags: Option<TcpFlags> = record.tcp_flags,
    vlan_id: Option<u16> = record.vlan_id,
    tunnel: Option<u8> = record.tunnel.kind,
    direction: Option<Direction> = record.direction,
    format: Protocol = record.format,
    exporter: IpAddr = record.exporter,
    obs_domain_id: Option<u32> = record.obs_domain_id,
    obs_point_id: Option<u64> = record.obs_point_id,
    primary: bool = record.primary,
    verdict: Verdict = record.verdict,
    end_reason: Option<u8> = record.end_reason,
    // Of the source, of the destination.
    found: [IdentifiedBy; 2] = [record.src.found, record.dst.found],
    server: Server = record.server,
    server_confidence: ServerConfidence = record.server_confidence,
}

/// Of the fields in which the records of a cluster differ most, packed: what is
/// equal has the same hash, and few others do.
impl<Node, Policy: Hash> Hash for SharedFields<Node, Policy> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let plain = &self.plain;
        let octet = |octet: Option<u8>| u64::from(octet.unwrap_or_default());
        let flags = plain.tcp_flags.map_or(0, |flags| u64::from(flags.bits));
        let found = plain.found.map(|found| found as u64);
        let headers = [octet(plain.proto), octet(plain.ttl), octet(plain.dscp), flags];
        let judged = [
            plain.server as u64,
            plain.server_confidence as u64,
            found[0],
            found[1],
        ];
        let judged = judged
            .into_iter()
            .fold(u64::from(plain.primary), |all, part| all << 4 | part);
        let direction = plain.direction.map_or(0, |direction| 1 + direction as u64);
        state.write_u64(headers.into_iter().fold(judged, |all, part| all << 10 | part));
        let domain = u64::from(plain.obs_domain_id.unwrap_or_default());
        let icmp = octet(plain.icmp_type) << 8 | octet(plain.icmp_code);
        state.write_u64(domain << 32 | icmp << 8 | direction << 4 | octet(plain.end_reason));
        state.write_u64(
            plain.obs_point_id.unwrap_or_default() << 16 | u64::from(plain.vlan_id.unwrap_or_default()),
        );
        match plain.exporter {
            IpAddr::V4(address) => state.write_u32(address.to_bits()),
            IpAddr::V6(address) => state.write_u128(address.to_bits()),
        }
        self.policy.hash(state);
    }
}

impl SharedFieldsRef<'_> {
    /// The same with a text of its own.
    pub fn owned(self) -> SharedFields {
        SharedFields {
            plain: self.plain,
            exporter_node: Arc::clone(self.exporter_node),
            policy: self.policy.clone(),
        }
    }
}

impl SharedFields {
    /// IANA protocol number.
    pub fn proto(&self) -> Option<u8> {
        self.plain.proto
    }
}

impl PartialEq<SharedFieldsRef<'_>> for SharedFields {
    #[inline]
    fn eq(&self, other: &SharedFieldsRef<'_>) -> bool {
        self.plain == other.plain
            && self.exporter_node == *other.exporter_node
            && self.policy == *other.policy
    }
}

#[cfg(test)]
mod tests;
