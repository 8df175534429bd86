//! What few exporters say ([`wire::Attributes`]) as fields: which column of the field
//! table each attribute is, and how its value is read. A new one is a line in
//! [`reading`]'s list and a row of the field table.

use weir_api::fields::{Column, FieldKind};
use wire::{Attribute, AttributeValue, Attributes};

use crate::columns::word;
use crate::value::Value;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The value as it is, if it is of the column's kind.
    Plain(Column),
    /// The word that a number stands for.
    Word(Column, fn(u64) -> Option<&'static str>),
    /// No field: it is read together with others ([`crate::PolicyVerdict::said`]), or says who
    /// stands on a side.
    Part,
}

/// Makes [`ATTRIBUTES`], [`reading`], which is exhaustive, and [`is_of_cluster`].
macro_rules! readings {
    (
        anybody { $($attribute:ident => $reading:expr,)+ }
        cluster { $($claim:ident => $claimed:expr,)+ }
    ) => {
        /// Every attribute that there is.
        pub const ATTRIBUTES: &[Attribute] = &[$(Attribute::$attribute,)+ $(Attribute::$claim),+];

        const fn reading(attribute: Attribute) -> Reading {
            match attribute {
                $(Attribute::$attribute => const { $reading },)+
                $(Attribute::$claim => const { $claimed },)+
            }
        }

        /// Whether it says something of pods, Services or policies of a cluster, which
        /// only the cluster's own nodes know (Antrea's elements, PEN 56506).
        pub const fn is_of_cluster(attribute: Attribute) -> bool {
            matches!(attribute, $(Attribute::$claim)|+)
        }
    };
}

readings! {
    anybody {
        NatSrcAddr => plain("nat_addr"),
        NatDstAddr => plain("dst_nat_addr"),
        NatSrcPort => plain("nat_port"),
        NatDstPort => plain("dst_nat_port"),
        NatEvent => plain("nat_event"),
        NextHop => plain("next_hop"),
        BgpNextHop => plain("bgp_next_hop"),
        SrcAs => plain("asn"),
        DstAs => plain("dst_asn"),
        SrcPrefixLen => plain("prefix_len"),
        DstPrefixLen => plain("dst_prefix_len"),
        IngressVrf => plain("vrf"),
        EgressVrf => plain("dst_vrf"),
        MplsLabels => plain("mpls_labels"),
        ApplicationId => plain("application_id"),
        ApplicationName => plain("application"),
        UserName => plain("user_name"),
        ForwardingStatus => Reading::Word(Column::of("forwarding_status"), forwarding_status),
        FirewallEvent => Reading::Word(Column::of("firewall_event"), firewall_event),
        FlowId => plain("flow_id"),
    }
    cluster {
        SrcPodNamespace => Reading::Part,
        SrcPodName => Reading::Part,
        DstPodNamespace => Reading::Part,
        DstPodName => Reading::Part,
        SrcNodeName => Reading::Part,
        DstNodeName => Reading::Part,
        DstServiceAddr => plain("dst_service_addr"),
        DstServicePort => plain("dst_service_port"),
        DstServicePortName => Reading::Part,
        IngressPolicyName => Reading::Part,
        IngressPolicyNamespace => Reading::Part,
        EgressPolicyName => Reading::Part,
        EgressPolicyNamespace => Reading::Part,
        IngressPolicyAction => Reading::Part,
        EgressPolicyAction => Reading::Part,
        IngressPolicyRule => Reading::Part,
        EgressPolicyRule => Reading::Part,
        TcpState => plain("tcp_state"),
        SrcPodLabels => Reading::Part,
        DstPodLabels => Reading::Part,
        ClusterId => plain("cluster"),
    }
}

const fn plain(column: &str) -> Reading {
    Reading::Plain(Column::of(column))
}

/// The column that the attribute fills; none if it is read together with another, or
/// says who stands on a side.
pub const fn column_of(attribute: Attribute) -> Option<Column> {
    match reading(attribute) {
        Reading::Plain(column) | Reading::Word(column, _) => Some(column),
        Reading::Part => None,
    }
}

/// The fields that the attributes are, in the attributes' order. What a column cannot
/// hold is left out.
pub(crate) fn fields(attributes: &Attributes) -> impl Iterator<Item = (Column, Value<'_>)> {
    attributes.iter().filter_map(|(attribute, value)| {
        Some(match reading(attribute) {
            Reading::Plain(column) => (column, plain_value(column.kind(), value)?),
            Reading::Word(column, name) => match value {
                AttributeValue::Unsigned(number) => (column, word(name(*number)?)),
                _ => return None,
            },
            Reading::Part => return None,
        })
    })
}

fn plain_value(kind: FieldKind, value: &AttributeValue) -> Option<Value<'_>> {
    match (kind, value) {
        (FieldKind::Unsigned(bits), AttributeValue::Unsigned(number)) => {
            let fits = u64::MAX >> (64 - u32::from(bits)) >= *number;
            fits.then_some(Value::Unsigned(*number))
        }
        (FieldKind::Address, AttributeValue::Address(address)) => Some(Value::Address(*address)),
        (FieldKind::String, AttributeValue::Text(text)) if !text.is_empty() => Some(word(text.as_str())),
        _ => None,
    }
}

/// `ns/name`, or the name alone of what has no namespace.
pub(crate) fn named_text(name: &str, ns: &str) -> String {
    match (ns, name) {
        ("", name) => name.to_owned(),
        (ns, name) => format!("{ns}/{name}"),
    }
}

/// IE 89: the two highest bits of its octet (RFC 7270 §4.12).
fn forwarding_status(status: u64) -> Option<&'static str> {
    let words = ["unknown", "forwarded", "dropped", "consumed"];
    let status = u8::try_from(status).ok()?;
    words.get(usize::from(status >> 6)).copied()
}

/// IE 233; 0 is to be ignored.
fn firewall_event(event: u64) -> Option<&'static str> {
    numbered(&["created", "deleted", "denied", "alert", "update"], event)
}

/// Antrea's actions of a rule; 0 is none.
pub(crate) fn policy_action(action: u64) -> Option<&'static str> {
    numbered(&["allow", "drop", "reject"], action)
}

/// The word of a number, the first word being that of 1.
fn numbered(words: &[&'static str], number: u64) -> Option<&'static str> {
    let place = usize::try_from(number.checked_sub(1)?).ok()?;
    words.get(place).copied()
}

#[cfg(test)]
pub(crate) mod tests;
