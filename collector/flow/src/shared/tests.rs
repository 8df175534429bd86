use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use weir_api::fields::Column;

use crate::Value;
use crate::record::tests::full;

use super::*;

fn fields<'a>(visit: impl FnOnce(&mut dyn FnMut(Column, Value<'a>))) -> HashMap<Column, Value<'a>> {
    let mut fields = HashMap::new();
    visit(&mut |column, value| assert_eq!(fields.insert(column, value), None, "{}", column.name()));
    fields
}

/// Records of which each differs from a full one in one thing.
fn changed() -> Vec<FlowRecord> {
    let change: [fn(&mut FlowRecord); 34] = [
        |_| {},
        |r| r.bytes = Some(9),
        |r| r.src.addr = None,
        |r| r.dst.port = None,
        |r| r.dst.mac = None,
        |r| r.tunnel.key = None,
        |r| r.tunnel.addr = None,
        |r| r.src.if_index = None,
        |r| r.dst.if_name = "".into(),
        |r| r.dropped_bytes = None,
        |r| r.attributes = crate::attributes::tests::everything(),
        |r| r.sampling = None,
        |r| r.proto = Some(17),
        |r| r.dscp = None,
        |r| r.ttl = None,
        |r| r.icmp_type = None,
        |r| r.icmp_code = None,
        |r| r.tcp_flags = r.tcp_flags.map(|flags| TcpFlags { bits: 1, ..flags }),
        |r| {
            r.tcp_flags = r.tcp_flags.map(|flags| TcpFlags {
                of_one_packet: false,
                ..flags
            })
        },
        |r| r.vlan_id = None,
        |r| r.tunnel.kind = Some(1),
        |r| r.direction = Some(Direction::Ingress),
        |r| r.format = Protocol::Sflow5,
        |r| r.exporter = [192, 0, 2, 9].into(),
        |r| r.exporter_node = "node-b".into(),
        |r| r.obs_domain_id = None,
        |r| r.obs_point_id = None,
        |r| r.primary = false,
        |r| r.verdict = Verdict::Dropped,
        |r| r.end_reason = None,
        |r| r.policy = Judged::NOT,
        |r| r.src.found = IdentifiedBy::Mac,
        |r| r.dst.found = IdentifiedBy::Mac,
        |r| (r.server, r.server_confidence) = (Server::Src, ServerConfidence::Port),
    ];
    change
        .into_iter()
        .map(|change| {
            let mut record = full();
            change(&mut record);
            record
        })
        .collect()
}

#[test]
fn what_is_shared_and_the_rest_are_the_whole_record() {
    for record in changed() {
        let mut parts = fields(|field| record.visit_shared(&mut |c: Column, v| field(c, v)));
        parts.extend(fields(|field| record.visit_rest(&mut |c: Column, v| field(c, v))));
        let whole = fields(|field| record.visit_own(&mut |c: Column, v| field(c, v)));
        assert_eq!(parts, whole);
    }
}

#[test]
fn two_are_equal_exactly_when_all_their_fields_are_and_have_one_hash_then() {
    let records = changed();
    let hasher = RandomState::new();
    for (one, other) in records
        .iter()
        .flat_map(|one| records.iter().map(move |other| (one, other)))
    {
        let values = |record: &'_ FlowRecord| {
            format!("{:?}", {
                let mut list = Vec::new();
                record.visit_shared(&mut |column: Column, value: Value<'_>| {
                    list.push((column.name(), format!("{value:?}")))
                });
                list
            })
        };
        let same = values(one) == values(other);
        assert_eq!(
            one.shared() == other.shared(),
            same,
            "{}\n{}",
            values(one),
            values(other)
        );
        assert_eq!(one.shared().owned() == other.shared(), same);
        if same {
            assert_eq!(
                hasher.hash_one(one.shared()),
                hasher.hash_one(other.shared().owned())
            );
        }
    }
}
