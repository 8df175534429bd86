//! Who has an address: the names that a side of a flow carries.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use weir_api::fields::{self, Column};

use crate::record::{Visitor, word};
use crate::value::Value;

/// What kind of thing has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Nobody knows.
    #[default]
    Unknown,
    /// A pod.
    Pod,
    /// A Service's own address.
    Service,
    /// A node.
    Node,
}

impl Kind {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Node => "Node",
        }
    }
}

/// Who has an address. Unknown strings are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// What it is.
    pub kind: Kind,
    /// Name of the pod, Service or node.
    pub name: Arc<str>,
    /// Namespace of the pod or Service.
    pub ns: Arc<str>,
    /// Top owner.
    pub workload_name: Arc<str>,
    /// Kind of the top owner.
    pub workload_kind: Arc<str>,
    /// Node that it runs on, or is.
    pub node_name: Arc<str>,
    /// Address of that node.
    pub node_addr: Option<IpAddr>,
    /// Zone of that node.
    pub zone: Arc<str>,
    /// Region of that node.
    pub region: Arc<str>,
    /// The Service whose address it is, or whose endpoint.
    pub service_name: Arc<str>,
    /// Namespace of that Service.
    pub service_ns: Arc<str>,
    /// The network of the address: `primary`, or the secondary network's name.
    pub network: Arc<str>,
    /// Labels of the pod, in the order of their keys.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// Name that the configuration gives the smallest network around the address.
    pub subnet_label: Arc<str>,
}

static NOBODY: LazyLock<Arc<Identity>> = LazyLock::new(Arc::default);

impl Identity {
    /// The answer when nothing is known.
    pub fn nobody() -> Arc<Self> {
        Arc::clone(&NOBODY)
    }

    /// The name, of a pod.
    pub fn pod_name(&self) -> &str {
        if self.kind == Kind::Pod { &self.name } else { "" }
    }

    /// Hands each field to `field` as the one of this side, in the order of the
    /// field table.
    pub fn visit<'a>(&'a self, side: fields::Side, field: &mut impl Visitor<'a>) {
        let columns = if side == fields::Side::Dst { &DST } else { &SRC };
        Self::visit_sides(&[(self, columns)], field);
    }

    /// The same of both sides at once, each field of the source's before the same of
    /// the destination's.
    pub fn visit_both<'a>(src: &'a Self, dst: &'a Self, field: &mut impl Visitor<'a>) {
        Self::visit_sides(&[(src, &SRC), (dst, &DST)], field);
    }

    fn visit_sides<'a>(sides: &[(&'a Self, &Columns)], field: &mut impl Visitor<'a>) {
        let mut each = |column: fn(&Columns) -> Column, value: fn(&'a Self) -> Option<Value<'a>>| {
            for (who, columns) in sides {
                if let Some(value) = value(who) {
                    field(column(columns), value);
                }
            }
        };
        each(|c| c.pod_name, |who| text(who.pod_name()));
        each(|c| c.ns, |who| text(&who.ns));
        each(|c| c.kind, |who| text(who.kind.as_str()));
        each(|c| c.name, |who| text(&who.name));
        each(|c| c.workload_name, |who| text(&who.workload_name));
        each(|c| c.workload_kind, |who| text(&who.workload_kind));
        each(|c| c.service_name, |who| text(&who.service_name));
        each(|c| c.service_ns, |who| text(&who.service_ns));
        each(|c| c.node_name, |who| text(&who.node_name));
        each(|c| c.node_addr, |who| who.node_addr.map(Value::Address));
        each(|c| c.zone, |who| text(&who.zone));
        each(|c| c.region, |who| text(&who.region));
        each(|c| c.network, |who| text(&who.network));
        each(
            |c| c.pod_labels,
            |who| (!who.labels.is_empty()).then(|| Value::Map(&who.labels)),
        );
        each(|c| c.subnet_label, |who| text(&who.subnet_label));
    }
}

fn text(text: &str) -> Option<Value<'_>> {
    Some(word(text))
}

/// The columns of one side.
struct Columns {
    pod_name: Column,
    ns: Column,
    kind: Column,
    name: Column,
    workload_name: Column,
    workload_kind: Column,
    service_name: Column,
    service_ns: Column,
    node_name: Column,
    node_addr: Column,
    zone: Column,
    region: Column,
    network: Column,
    pod_labels: Column,
    subnet_label: Column,
}

const SRC: Columns = Columns {
    pod_name: Column::of("pod_name"),
    ns: Column::of("ns"),
    kind: Column::of("kind"),
    name: Column::of("name"),
    workload_name: Column::of("workload_name"),
    workload_kind: Column::of("workload_kind"),
    service_name: Column::of("service_name"),
    service_ns: Column::of("service_ns"),
    node_name: Column::of("node_name"),
    node_addr: Column::of("node_addr"),
    zone: Column::of("zone"),
    region: Column::of("region"),
    network: Column::of("network"),
    pod_labels: Column::of("pod_labels"),
    subnet_label: Column::of("subnet_label"),
};

const DST: Columns = Columns {
    pod_name: Column::of("dst_pod_name"),
    ns: Column::of("dst_ns"),
    kind: Column::of("dst_kind"),
    name: Column::of("dst_name"),
    workload_name: Column::of("dst_workload_name"),
    workload_kind: Column::of("dst_workload_kind"),
    service_name: Column::of("dst_service_name"),
    service_ns: Column::of("dst_service_ns"),
    node_name: Column::of("dst_node_name"),
    node_addr: Column::of("dst_node_addr"),
    zone: Column::of("dst_zone"),
    region: Column::of("dst_region"),
    network: Column::of("dst_network"),
    pod_labels: Column::of("dst_pod_labels"),
    subnet_label: Column::of("dst_subnet_label"),
};
