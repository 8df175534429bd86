//! The layout of single records: one for IPv4 and one for IPv6, since a template has an
//! address of one kind.

use std::net::IpAddr;

use weir_fields::Column;
use wire::Field;

use super::layout::{ANTREA, Element, Layout, ipv4, ipv6, micros, text};
use crate::row::FlowRow;

/// Template of records of IPv4, and of those without addresses.
pub const IPV4: u16 = 256;
/// Template of records of IPv6.
pub const IPV6: u16 = 257;

/// An element whose value is a number of a column.
macro_rules! number {
    ($id:literal, $kind:ty, $column:literal) => {
        Element {
            field: Field::iana($id, size_of::<$kind>() as u16),
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| {
                let value = row.number(const { Column::of($column) }).unwrap_or(0);
                out.extend(<$kind>::try_from(value).unwrap_or(<$kind>::MAX).to_be_bytes());
            },
        }
    };
}

/// An element of Antrea's whose value is a text of a column.
macro_rules! name {
    ($id:literal, $column:literal) => {
        Element {
            field: Field {
                id: $id,
                enterprise: ANTREA,
                width: Field::VARIABLE,
            },
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| text(row.text(const { Column::of($column) }), out),
        }
    };
}

macro_rules! address {
    ($write:ident, $id:literal, $width:literal, $column:literal) => {
        Element {
            field: Field::iana($id, $width),
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| {
                $write(row.address(const { Column::of($column) }), out)
            },
        }
    };
}

macro_rules! time {
    ($id:literal, $column:literal) => {
        Element {
            field: Field::iana($id, 8),
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| {
                micros(row.time(const { Column::of($column) }).unwrap_or(0), out)
            },
        }
    };
}

macro_rules! mac {
    ($id:literal, $column:literal) => {
        Element {
            field: Field::iana($id, 6),
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| {
                out.extend(row.mac(const { Column::of($column) }).unwrap_or_default())
            },
        }
    };
}

/// The number of a word, by which its element tells it.
macro_rules! word {
    ($id:literal, $column:literal, $other:literal, $($word:literal => $number:literal),+) => {
        Element {
            field: Field::iana($id, 1),
            write: |row: &dyn FlowRow, out: &mut Vec<u8>| out.push(match row.text(const { Column::of($column) }) {
                $($word => $number,)+
                _ => $other,
            }),
        }
    };
}

/// Both layouts.
pub fn layouts() -> [Layout; 2] {
    let of = |id, addresses: Vec<Element>, icmp: Vec<Element>| Layout {
        id,
        elements: counted()
            .into_iter()
            .chain(addresses)
            .chain(icmp)
            .chain(seen())
            .chain(names())
            .collect(),
    };
    let old = vec![address!(ipv4, 8, 4, "addr"), address!(ipv4, 12, 4, "dst_addr")];
    let new = vec![address!(ipv6, 27, 16, "addr"), address!(ipv6, 28, 16, "dst_addr")];
    [
        of(
            IPV4,
            old,
            vec![number!(176, u8, "icmp_type"), number!(177, u8, "icmp_code")],
        ),
        of(
            IPV6,
            new,
            vec![number!(178, u8, "icmp_type"), number!(179, u8, "icmp_code")],
        ),
    ]
}

/// Which of the templates a row is written by.
pub fn template(row: &dyn FlowRow) -> u16 {
    let is_v6 = |column| matches!(row.address(column), Some(IpAddr::V6(_)));
    match is_v6(const { Column::of("addr") }) || is_v6(const { Column::of("dst_addr") }) {
        true => IPV6,
        false => IPV4,
    }
}

fn counted() -> Vec<Element> {
    vec![
        time!(154, "start"),
        time!(155, "end"),
        number!(1, u64, "bytes"),
        number!(2, u64, "packets"),
        number!(4, u8, "proto"),
        number!(7, u16, "port"),
        number!(11, u16, "dst_port"),
    ]
}

fn seen() -> Vec<Element> {
    vec![
        number!(195, u8, "dscp"),
        number!(192, u8, "ttl"),
        number!(6, u16, "tcp_flags"),
        mac!(56, "mac"),
        mac!(80, "dst_mac"),
        number!(58, u16, "vlan_id"),
        number!(10, u32, "if_index"),
        number!(14, u32, "dst_if_index"),
        // RFC 5102: 0 in, 1 out; 255 is what nobody defines.
        word!(61, "direction", 255, "ingress" => 0, "egress" => 1),
        word!(136, "end_reason", 0, "idle" => 1, "active" => 2, "end" => 3, "forced" => 4, "lack" => 5),
        number!(138, u64, "obs_point_id"),
        // Who exported it first (IANA, from RFC 8038's originals): an address of either kind.
        address!(ipv4, 403, 4, "exporter"),
        address!(ipv6, 404, 16, "exporter"),
        number!(405, u32, "obs_domain_id"),
    ]
}

fn names() -> Vec<Element> {
    vec![
        name!(100, "ns"),
        name!(101, "pod_name"),
        name!(102, "dst_ns"),
        name!(103, "dst_pod_name"),
        name!(104, "node_name"),
        name!(105, "dst_node_name"),
        name!(109, "dst_service_name"),
        name!(141, "ingress_policy_rule"),
        name!(142, "egress_policy_rule"),
    ]
}
