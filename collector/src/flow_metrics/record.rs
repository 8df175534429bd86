//! A flow record as [`weir_flowmetrics`] reads it: values by the column of the field table,
//! what it shows of its connection's beginning, who stands on its sides as numbers.

use std::borrow::Cow;

use weir_flow::{FlowRecord, Identity, PolicyVerdict, Server, Side, Value as FlowValue};
use weir_flowmetrics::{ConnectionStart, ControlBits, Identities, Record, ServerSide, StartEvidence, Value};

use weir_api::fields::Column;

/// A record and its numbers.
#[derive(Debug)]
pub struct CountedRecord<'r> {
    record: &'r FlowRecord,
    identities: Option<Identities>,
    is_first: bool,
    /// Texts that are made of several attributes, by column; few records have any.
    made: Vec<(Column, String)>,
}

impl<'r> CountedRecord<'r> {
    /// The record, whose sides may have these numbers, and whether it is the first of its direction of a
    /// connection.
    #[inline]
    pub fn new(record: &'r FlowRecord, identities: Option<Identities>, is_first: bool) -> Self {
        let mut made = Vec::new();
        if !record.attributes.is_empty() {
            record.visit_own(&mut |column, value| {
                if let FlowValue::Text(Cow::Owned(text)) = value {
                    made.push((column, text));
                }
            });
        }
        Self {
            record,
            identities,
            is_first,
            made,
        }
    }

    /// The value of a column that metrics seldom name.
    #[cold]
    fn seldom(&self, wanted: Column) -> Value<'_> {
        let mut found = Value::Absent;
        self.record.visit_own(&mut |column: Column, value| {
            if column == wanted {
                found = match value {
                    FlowValue::Text(Cow::Borrowed(text)) => Value::Text(text),
                    FlowValue::Text(Cow::Owned(text)) => self.made(column, &text),
                    FlowValue::Bool(yes) => Value::Bool(yes),
                    FlowValue::Unsigned(number) => Value::Unsigned(number),
                    FlowValue::Address(address) => Value::Address(address),
                    FlowValue::Mac(bytes) => Value::Mac(bytes),
                    FlowValue::Time(ns) => Value::Time(ns),
                    FlowValue::Flags(flags) => Value::Flags(ControlBits {
                        bits: flags.bits,
                        of_one_packet: flags.of_one_packet,
                    }),
                    FlowValue::Map(_) => Value::Absent,
                };
            }
        });
        found
    }

    /// A text that was made for the record: a number without a word, or several attributes.
    fn made(&self, wanted: Column, text: &str) -> Value<'_> {
        if let Ok(number) = text.parse() {
            return Value::Unsigned(number);
        }
        let known = self.made.iter().find(|(column, _)| *column == wanted);
        known.map_or(Value::Absent, |(_, text)| Value::Text(text))
    }
}

/// Names for the places of columns, so that they can stand in a `match`.
macro_rules! places {
    ($($name:ident $column:literal,)+) => { $(const $name: usize = Column::of($column).index();)+ };
}

places! {
    TIME "time", START "start", END "end", BYTES "bytes", PACKETS "packets", SAMPLING "sampling",
    PROTO "proto", ADDR "addr", DST_ADDR "dst_addr", PORT "port", DST_PORT "dst_port", DSCP "dscp",
    TCP_FLAGS "tcp_flags", IF_NAME "if_name", DST_IF_NAME "dst_if_name", EXPORTER "exporter",
    EXPORTER_NODE "exporter_node", PRIMARY "primary", VERDICT "verdict", SERVER "server",
    DROPPED_PACKETS "dropped_packets", DROPPED_BYTES "dropped_bytes", FORMAT "format",
    POD_NAME "pod_name", DST_POD_NAME "dst_pod_name", NS "ns", DST_NS "dst_ns", KIND "kind",
    DST_KIND "dst_kind", NAME "name", DST_NAME "dst_name", WORKLOAD_NAME "workload_name",
    DST_WORKLOAD_NAME "dst_workload_name", WORKLOAD_KIND "workload_kind",
    DST_WORKLOAD_KIND "dst_workload_kind", SERVICE_NAME "service_name",
    DST_SERVICE_NAME "dst_service_name", SERVICE_NS "service_ns", DST_SERVICE_NS "dst_service_ns",
    NODE_NAME "node_name", DST_NODE_NAME "dst_node_name", NODE_ADDR "node_addr",
    DST_NODE_ADDR "dst_node_addr", ZONE "zone", DST_ZONE "dst_zone", REGION "region",
    DST_REGION "dst_region", NETWORK "network", DST_NETWORK "dst_network",
    SUBNET_LABEL "subnet_label", DST_SUBNET_LABEL "dst_subnet_label",
    POLICY_VERDICT "policy_verdict", POLICY_REASON "policy_reason",
    INGRESS_POLICY "ingress_policy", EGRESS_POLICY "egress_policy",
    INGRESS_POLICY_RULE "ingress_policy_rule", EGRESS_POLICY_RULE "egress_policy_rule",
    INGRESS_POLICY_ACTION "ingress_policy_action", EGRESS_POLICY_ACTION "egress_policy_action",
}

impl Record for CountedRecord<'_> {
    #[inline]
    fn value(&self, column: Column) -> Value<'_> {
        let record = self.record;
        let (src, dst): (&Identity, &Identity) = (&record.src.identity, &record.dst.identity);
        match column.index() {
            TIME => Value::Time(record.time_ns),
            START => Value::Time(record.start_ns),
            END => Value::Time(record.end_ns),
            BYTES => number(record.bytes),
            PACKETS => number(record.packets),
            SAMPLING => number(record.sampling),
            PROTO => number(record.proto),
            ADDR => address(&record.src),
            DST_ADDR => address(&record.dst),
            PORT => number(record.src.port),
            DST_PORT => number(record.dst.port),
            DSCP => number(record.dscp),
            TCP_FLAGS => match control_bits(record) {
                Some(flags) => Value::Flags(flags),
                None => Value::Absent,
            },
            IF_NAME => Value::Text(record.src.if_name.as_str()),
            DST_IF_NAME => Value::Text(record.dst.if_name.as_str()),
            FORMAT => Value::Text(record.format.as_str()),
            EXPORTER => Value::Address(record.exporter),
            EXPORTER_NODE => Value::Text(&record.exporter_node),
            PRIMARY => Value::Bool(record.primary),
            VERDICT => Value::Text(record.verdict.as_str()),
            SERVER => Value::Text(record.server.as_str()),
            DROPPED_PACKETS => number(record.dropped_packets),
            DROPPED_BYTES => number(record.dropped_bytes),
            POD_NAME => Value::Text(src.pod_name()),
            DST_POD_NAME => Value::Text(dst.pod_name()),
            NS => Value::Text(&src.ns),
            DST_NS => Value::Text(&dst.ns),
            KIND => Value::Text(src.kind.as_str()),
            DST_KIND => Value::Text(dst.kind.as_str()),
            NAME => Value::Text(&src.name),
            DST_NAME => Value::Text(&dst.name),
            WORKLOAD_NAME => Value::Text(&src.workload_name),
            DST_WORKLOAD_NAME => Value::Text(&dst.workload_name),
            WORKLOAD_KIND => Value::Text(&src.workload_kind),
            DST_WORKLOAD_KIND => Value::Text(&dst.workload_kind),
            SERVICE_NAME => Value::Text(&src.service_name),
            DST_SERVICE_NAME => Value::Text(&dst.service_name),
            SERVICE_NS => Value::Text(&src.service_ns),
            DST_SERVICE_NS => Value::Text(&dst.service_ns),
            NODE_NAME => Value::Text(&src.node_name),
            DST_NODE_NAME => Value::Text(&dst.node_name),
            NODE_ADDR => src.node_addr.map_or(Value::Absent, Value::Address),
            DST_NODE_ADDR => dst.node_addr.map_or(Value::Absent, Value::Address),
            ZONE => Value::Text(&src.zone),
            DST_ZONE => Value::Text(&dst.zone),
            REGION => Value::Text(&src.region),
            DST_REGION => Value::Text(&dst.region),
            NETWORK => Value::Text(&src.network),
            DST_NETWORK => Value::Text(&dst.network),
            SUBNET_LABEL => Value::Text(&src.subnet_label),
            DST_SUBNET_LABEL => Value::Text(&dst.subnet_label),
            POLICY_VERDICT => policy(record, |verdict| verdict.answer),
            POLICY_REASON => policy(record, |verdict| verdict.reason),
            INGRESS_POLICY => policy(record, |verdict| &verdict.ingress.policy),
            EGRESS_POLICY => policy(record, |verdict| &verdict.egress.policy),
            INGRESS_POLICY_RULE => policy(record, |verdict| &verdict.ingress.rule),
            EGRESS_POLICY_RULE => policy(record, |verdict| &verdict.egress.rule),
            INGRESS_POLICY_ACTION => policy(record, |verdict| verdict.ingress.action),
            EGRESS_POLICY_ACTION => policy(record, |verdict| verdict.egress.action),
            _ if column.field().sparse && record.attributes.is_empty() => Value::Absent,
            _ if column.field().identity || !column.field().filled => Value::Absent,
            _ => self.seldom(column),
        }
    }

    fn connection_start(&self) -> ConnectionStart {
        ConnectionStart::judge(&StartEvidence {
            protocol: self.record.proto,
            flags: control_bits(self.record),
            server: match self.record.server {
                Server::Unknown => ServerSide::Unknown,
                Server::Src => ServerSide::Source,
                Server::Dst => ServerSide::Destination,
            },
            first_record: self.is_first,
        })
    }

    #[inline]
    fn identities(&self) -> Option<Identities> {
        self.identities
    }
}

fn control_bits(record: &FlowRecord) -> Option<ControlBits> {
    record.tcp_flags.map(|flags| ControlBits {
        bits: flags.bits,
        of_one_packet: flags.of_one_packet,
    })
}

#[inline]
fn number(number: Option<impl Into<u64>>) -> Value<'static> {
    number.map_or(Value::Absent, |number| Value::Unsigned(number.into()))
}

/// A word of what policies say.
#[inline]
fn policy<'r>(record: &'r FlowRecord, word: impl Fn(&'r PolicyVerdict) -> &'r str) -> Value<'r> {
    match record.policy.verdict().map(word) {
        Some(word) if !word.is_empty() => Value::Text(word),
        _ => Value::Absent,
    }
}

#[inline]
fn address(side: &Side) -> Value<'static> {
    side.addr.map_or(Value::Absent, Value::Address)
}

#[cfg(test)]
pub(super) mod tests;
