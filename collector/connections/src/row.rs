//! An output as a row of the field table (`weir_fields::connections`): the same names,
//! kinds and order in JSON, Arrow, ClickHouse and IPFIX.

use std::fmt::Write;
use std::net::IpAddr;

use crate::counts::{Biflow, Counts};
use crate::observation::{Evidence, Identity, IdentityKind, Micros};
use crate::output::{FlowType, JoinedBy, Output, OutputEnd, Reason, SideOutput};

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'o> {
    /// Text, or a word out of a small set; `""`: not known.
    Text(&'o str),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// An address.
    Address(IpAddr),
    /// Nanoseconds since the epoch UTC.
    Time(u64),
    /// Nothing is known.
    Absent,
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::Absent, Self::Number)
    }
}

impl Value<'_> {
    fn time(micros: Micros) -> Self {
        Self::Time(micros.saturating_mul(1_000))
    }

    fn flag(flag: Option<bool>) -> Self {
        flag.map_or(Self::Absent, Self::Flag)
    }
}

/// Where the fields of a row go, one after the other.
type Put<'p, 'o> = &'p mut dyn FnMut(&'static str, Value<'o>);

/// The text of an id, in a row that outlives no output.
#[derive(Debug, Default)]
pub struct IdText(String);

impl Output {
    /// Hands over all its fields, in the order of the table. `id` is room for a text.
    pub fn row<'o>(&'o self, id: &'o mut IdText, put: &mut dyn FnMut(&'static str, Value<'o>)) {
        id.0.clear();
        write!(id.0, "{}", self.id).expect("a String takes whatever is written to it");
        self.put_shared(put);
        self.put_state(&id.0, put);
        self.put_counts(put);
        self.put_service(put);
        self.put_sides(put);
    }

    fn put_shared<'o>(&'o self, put: Put<'_, 'o>) {
        let [client, server] = [&self.client, &self.server];
        put("start", Value::time(self.start));
        put("end", Value::time(self.end));
        put("bytes", Value::Number(self.delta.forward.bytes));
        put("packets", Value::Number(self.delta.forward.packets));
        put("proto", Value::Number(self.proto.into()));
        put("addr", address(client.addr));
        put("dst_addr", address(server.addr));
        put("port", Value::Number(client.port.into()));
        put("dst_port", Value::Number(server.port.into()));
        put("network", Value::Text(&self.network));
        put("dst_network", Value::Text(&self.network));
        put(
            "tcp_state",
            Value::Text(self.tcp_state.map_or("", |state| state.as_str())),
        );
        put("end_reason", Value::Text(self.reason.as_str()));
        put("kind", Value::Text(kind(client)));
        put("dst_kind", Value::Text(kind(server)));
        put("ns", text(client, |who| &who.ns));
        put("dst_ns", text(server, |who| &who.ns));
        put("name", text(client, |who| &who.name));
        put("dst_name", text(server, |who| &who.name));
        put("pod_name", text(client, pod_name));
        put("dst_pod_name", text(server, pod_name));
        put("workload_name", text(client, |who| &who.workload_name));
        put("dst_workload_name", text(server, |who| &who.workload_name));
        put("workload_kind", text(client, |who| &who.workload_kind));
        put("dst_workload_kind", text(server, |who| &who.workload_kind));
        put("service_name", text(client, |who| &who.service_name));
        put("dst_service_name", text(server, |who| &who.service_name));
        put("service_ns", text(client, |who| &who.service_ns));
        put("dst_service_ns", text(server, |who| &who.service_ns));
        let service = self.service.as_ref().map(|service| &service.end);
        put("dst_service_addr", address(service.and_then(|end| end.addr)));
        put("dst_service_port", service.map(|end| u64::from(end.port)).into());
        put("node_name", text(client, |who| &who.node));
        put("dst_node_name", text(server, |who| &who.node));
    }

    fn put_state<'o>(&'o self, id: &'o str, put: Put<'_, 'o>) {
        let sides = match (self.src_side, self.dst_side) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "src",
            (None, Some(_)) => "dst",
            (None, None) => "",
        };
        let joined_by = self.service.as_ref().map(|service| service.joined_by);
        put("connection_id", Value::Text(id));
        put("seq", Value::Number(self.seq.into()));
        put("final", Value::Flag(self.is_final));
        put("late", Value::Flag(self.late));
        put("midstream", Value::Flag(self.midstream));
        put("evidence", Value::Text(self.evidence.as_str()));
        put("sides", Value::Text(sides));
        put("joined_by", Value::Text(joined_by.map_or("", JoinedBy::as_str)));
        put("flow_type", Value::Text(self.flow_type.as_str()));
    }

    fn put_counts<'o>(&'o self, put: Put<'_, 'o>) {
        let [delta, total] = [self.delta, self.total];
        put("bytes_total", Value::Number(total.forward.bytes));
        put("packets_total", Value::Number(total.forward.packets));
        put("rev_bytes", Value::Number(delta.reverse.bytes));
        put("rev_packets", Value::Number(delta.reverse.packets));
        put("rev_bytes_total", Value::Number(total.reverse.bytes));
        put("rev_packets_total", Value::Number(total.reverse.packets));
        put("exact", Value::Flag(self.exact));
        put("sampled_packets", Value::Number(self.sampled_packets.into()));
        put("covered", Value::Number(self.covered));
        put("throughput", self.throughput.map(|of| of.forward).into());
        put("rev_throughput", self.throughput.map(|of| of.reverse).into());
        put("lost_packets", self.lost_packets.forward.into());
        put("rev_lost_packets", self.lost_packets.reverse.into());
        put("resets", Value::Number(self.resets.into()));
        put("clock_off", Value::Flag(self.clock_off));
    }

    fn put_service<'o>(&'o self, put: Put<'_, 'o>) {
        let delta = self.service.as_ref().map(|service| service.delta);
        let total = self.service.as_ref().map(|service| service.total);
        let of = |counts: Option<Biflow<Counts>>, of: fn(Biflow<Counts>) -> u64| counts.map(of).into();
        put("service_bytes", of(delta, |one| one.forward.bytes));
        put("service_packets", of(delta, |one| one.forward.packets));
        put("service_rev_bytes", of(delta, |one| one.reverse.bytes));
        put("service_rev_packets", of(delta, |one| one.reverse.packets));
        put("service_bytes_total", of(total, |one| one.forward.bytes));
        put("service_packets_total", of(total, |one| one.forward.packets));
        put("service_rev_bytes_total", of(total, |one| one.reverse.bytes));
        put("service_rev_packets_total", of(total, |one| one.reverse.packets));
    }

    fn put_sides<'o>(&'o self, put: Put<'_, 'o>) {
        let (src, dst) = (self.src_side, self.dst_side);
        let mut both = |names: [&'static str; 2], of: fn(SideOutput) -> Option<u64>| {
            put(names[0], src.and_then(of).into());
            put(names[1], dst.and_then(of).into());
        };
        both(["bytes_src", "bytes_dst"], |side| Some(side.delta.forward.bytes));
        both(["packets_src", "packets_dst"], |side| {
            Some(side.delta.forward.packets)
        });
        both(["rev_bytes_src", "rev_bytes_dst"], |side| {
            Some(side.delta.reverse.bytes)
        });
        both(["rev_packets_src", "rev_packets_dst"], |side| {
            Some(side.delta.reverse.packets)
        });
        both(["bytes_total_src", "bytes_total_dst"], |side| {
            Some(side.total.forward.bytes)
        });
        both(["packets_total_src", "packets_total_dst"], |side| {
            Some(side.total.forward.packets)
        });
        both(["rev_bytes_total_src", "rev_bytes_total_dst"], |side| {
            Some(side.total.reverse.bytes)
        });
        both(["rev_packets_total_src", "rev_packets_total_dst"], |side| {
            Some(side.total.reverse.packets)
        });
        both(["throughput_src", "throughput_dst"], |side| {
            Some(side.throughput?.forward)
        });
        both(["rev_throughput_src", "rev_throughput_dst"], |side| {
            Some(side.throughput?.reverse)
        });
        put("exact_src", Value::flag(src.map(|side| side.exact)));
        put("exact_dst", Value::flag(dst.map(|side| side.exact)));
        put("end_src", src.map_or(Value::Absent, |side| Value::time(side.end)));
        put("end_dst", dst.map_or(Value::Absent, |side| Value::time(side.end)));
    }
}

fn address<'o>(addr: Option<IpAddr>) -> Value<'o> {
    addr.map_or(Value::Absent, Value::Address)
}

fn text(end: &OutputEnd, of: fn(&Identity) -> &str) -> Value<'_> {
    Value::Text(end.who.as_deref().map_or("", of))
}

fn pod_name(who: &Identity) -> &str {
    if who.kind == IdentityKind::Pod {
        &who.name
    } else {
        ""
    }
}

fn kind(end: &OutputEnd) -> &'static str {
    match end.who.as_deref().map(|who| who.kind) {
        None | Some(IdentityKind::Unknown) => "",
        Some(IdentityKind::Pod) => "Pod",
        Some(IdentityKind::Service) => "Service",
        Some(IdentityKind::Node) => "Node",
    }
}

impl Reason {
    /// The word of the field table for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::End => "end",
            Self::Forced => "forced",
            Self::LackOfResources => "lack",
        }
    }
}

impl Evidence {
    /// The word of the field table for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstSeen => "none",
            Self::Port => "port",
            Self::Listener => "listener",
            Self::Service => "service",
            Self::Syn => "syn",
            Self::Conntrack => "conntrack",
        }
    }
}

impl JoinedBy {
    /// The word of the field table for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conntrack => "conntrack",
            Self::Service => "service",
        }
    }
}

impl FlowType {
    /// The word of the field table for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::IntraNode => "intra_node",
            Self::InterNode => "inter_node",
            Self::ToExternal => "to_external",
            Self::FromExternal => "from_external",
        }
    }
}
