//! Who has an address: the names that a side of a flow carries.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use weir_api::fields::{self, Column};

use crate::columns::word;
use crate::record::Visitor;
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
///
/// What is asked of every record stands first, in the line of the processor's caches that
/// has the count of an `Arc`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Identity {
    /// What it is.
    pub kind: Kind,
    /// Node that it runs on, or is.
    pub node_name: Arc<str>,
    /// The network of the address: `primary`, or the secondary network's name.
    pub network: Arc<str>,
    /// Name of the pod, Service or node.
    pub name: Arc<str>,
    /// Namespace of the pod or Service.
    pub ns: Arc<str>,
    /// Top owner.
    pub workload_name: Arc<str>,
    /// Kind of the top owner.
    pub workload_kind: Arc<str>,
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
    /// Labels of the pod, in the order of their keys.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// Name that the configuration gives the smallest network around the address.
    pub subnet_label: Arc<str>,
}

/// Hands on a pair of fields after the other: of each side its value, if it has one.
macro_rules! columns {
    ($sides:ident, $field:ident, |$who:ident| $($src:literal / $dst:literal => $value:expr,)+) => {
        $(
            for ($who, side) in $sides {
                let column = match side {
                    fields::Side::Dst => const { Column::of($dst) },
                    fields::Side::Flow | fields::Side::Src => const { Column::of($src) },
                };
                if let Some(value) = $value {
                    $field(column, value);
                }
            }
        )+
    };
}

static NOBODY: LazyLock<Arc<Identity>> = LazyLock::new(Arc::default);

/// Who stands on a side: shared with others, or nobody, which costs no counting.
#[derive(Debug, Clone, Default)]
pub struct Who(Option<Arc<Identity>>);

impl Who {
    /// Nobody is known.
    pub const NOBODY: Self = Self(None);

    /// The identity, as it is shared.
    #[inline]
    pub fn shared(&self) -> &Arc<Identity> {
        self.0.as_ref().unwrap_or_else(|| &NOBODY)
    }
}

impl Deref for Who {
    type Target = Identity;

    #[inline]
    fn deref(&self) -> &Identity {
        self.shared()
    }
}

impl From<Arc<Identity>> for Who {
    fn from(who: Arc<Identity>) -> Self {
        Self(Some(who))
    }
}

impl From<Identity> for Who {
    fn from(who: Identity) -> Self {
        Arc::new(who).into()
    }
}

impl PartialEq for Who {
    fn eq(&self, other: &Self) -> bool {
        self.shared() == other.shared()
    }
}

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
        Self::visit_sides(&[(self, side)], field);
    }

    /// The same of both sides at once, each field of the source's before the same of
    /// the destination's.
    pub fn visit_both<'a>(src: &'a Self, dst: &'a Self, field: &mut impl Visitor<'a>) {
        Self::visit_sides(&[(src, fields::Side::Src), (dst, fields::Side::Dst)], field);
    }

    fn visit_sides<'a>(sides: &[(&'a Self, fields::Side)], field: &mut impl Visitor<'a>) {
        columns! { sides, field, |who|
            "pod_name" / "dst_pod_name" => Some(word(who.pod_name())),
            "ns" / "dst_ns" => Some(word(&who.ns)),
            "kind" / "dst_kind" => Some(word(who.kind.as_str())),
            "name" / "dst_name" => Some(word(&who.name)),
            "workload_name" / "dst_workload_name" => Some(word(&who.workload_name)),
            "workload_kind" / "dst_workload_kind" => Some(word(&who.workload_kind)),
            "service_name" / "dst_service_name" => Some(word(&who.service_name)),
            "service_ns" / "dst_service_ns" => Some(word(&who.service_ns)),
            "node_name" / "dst_node_name" => Some(word(&who.node_name)),
            "node_addr" / "dst_node_addr" => who.node_addr.map(Value::Address),
            "zone" / "dst_zone" => Some(word(&who.zone)),
            "region" / "dst_region" => Some(word(&who.region)),
            "network" / "dst_network" => Some(word(&who.network)),
            "pod_labels" / "dst_pod_labels" => (!who.labels.is_empty()).then(|| Value::Map(&who.labels)),
            "subnet_label" / "dst_subnet_label" => Some(word(&who.subnet_label)),
        }
    }
}
