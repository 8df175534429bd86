use std::collections::HashSet;
use std::net::IpAddr;

use crate::record::tests::full;

use super::*;

/// A value that the attribute's column can hold; `n` makes it another.
pub(crate) fn sample(attribute: Attribute, n: u64) -> AttributeValue {
    let kind = match reading(attribute) {
        Reading::Plain(column) => column.kind(),
        Reading::Word(..) => return AttributeValue::Unsigned(1 + n % 3),
        Reading::Part if is_policy_action(attribute) => return AttributeValue::Unsigned(1 + n % 3),
        Reading::Part => FieldKind::String,
    };
    match kind {
        FieldKind::Unsigned(bits) => AttributeValue::Unsigned(n & u64::MAX >> (64 - u32::from(bits))),
        FieldKind::Address => AttributeValue::Address(IpAddr::from([10, 9, 8, n as u8])),
        _ => AttributeValue::Text(format!("{attribute:?}-{n}").as_str().into()),
    }
}

fn is_policy_action(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::IngressPolicyAction | Attribute::EgressPolicyAction
    )
}

/// All that an exporter can say.
pub(crate) fn everything() -> Attributes {
    let mut all = Attributes::NONE;
    for (attribute, n) in ATTRIBUTES.iter().zip(1..) {
        all.set(*attribute, sample(*attribute, n));
    }
    all
}

fn only(attribute: Attribute, value: AttributeValue) -> Attributes {
    let mut attributes = Attributes::NONE;
    attributes.set(attribute, value);
    attributes
}

/// The only field of what says one thing, as JSON.
fn read(attribute: Attribute, value: AttributeValue) -> Option<serde_json::Value> {
    let attributes = only(attribute, value);
    fields(&attributes)
        .next()
        .map(|(_, value)| serde_json::to_value(value).unwrap())
}

#[test]
fn every_sparse_field_of_the_table_has_an_attribute_and_every_attribute_a_sparse_field() {
    let mut filled = HashSet::new();
    for attribute in ATTRIBUTES {
        if let Some(column) = column_of(*attribute) {
            assert!(column.field().sparse, "{} is not marked so", column.name());
            assert!(filled.insert(column), "{} has two", column.name());
        }
    }
    for column in Column::all().filter(|column| column.field().sparse) {
        let field = column.field();
        let sides = [Some(field.name), field.dst_name];
        let any = sides
            .iter()
            .flatten()
            .any(|name| filled.contains(&Column::of(name)));
        assert!(any, "nothing fills {}", column.name());
    }
}

#[test]
fn what_is_said_of_a_cluster_is_known_as_such() {
    assert!(is_of_cluster(Attribute::ClusterId) && is_of_cluster(Attribute::SrcPodName));
    assert!(!is_of_cluster(Attribute::FlowId) && !is_of_cluster(Attribute::UserName));
}

#[test]
fn numbers_that_stand_for_words_are_words() {
    let number = AttributeValue::Unsigned;
    for (attribute, value, expected) in [
        (Attribute::ForwardingStatus, 0x40, "forwarded"),
        (Attribute::ForwardingStatus, 0x80 | 3, "dropped"),
        (Attribute::ForwardingStatus, 0xc0, "consumed"),
        (Attribute::ForwardingStatus, 0, "unknown"),
        (Attribute::FirewallEvent, 3, "denied"),
    ] {
        assert_eq!(read(attribute, number(value)), Some(expected.into()), "{value}");
    }
    for (attribute, value) in [
        (Attribute::ForwardingStatus, 256),
        (Attribute::FirewallEvent, 0),
        (Attribute::FirewallEvent, u64::MAX),
    ] {
        assert_eq!(read(attribute, number(value)), None, "{value}");
    }
}

#[test]
fn what_a_column_cannot_hold_is_left_out_and_nothing_is_cut() {
    for (attribute, value) in [
        (Attribute::NatSrcPort, AttributeValue::Unsigned(65_536)),
        (Attribute::SrcPrefixLen, AttributeValue::Unsigned(256)),
        (Attribute::DstAs, AttributeValue::Unsigned(1 << 32)),
        (Attribute::DstAs, AttributeValue::Text("64500".into())),
        (Attribute::UserName, AttributeValue::Text("".into())),
        (Attribute::NextHop, AttributeValue::Unsigned(1)),
        (Attribute::ForwardingStatus, AttributeValue::Text("x".into())),
    ] {
        assert_eq!(read(attribute, value), None, "{attribute:?}");
    }
    let most = AttributeValue::Unsigned(u64::MAX);
    assert_eq!(read(Attribute::FlowId, most), Some(u64::MAX.into()));
}

#[test]
fn a_record_says_how_much_of_the_heap_it_takes() {
    let mut record = full();
    assert_eq!(record.heap_bytes(), 0);
    record.src.if_name = "x".repeat(255).as_str().into();
    assert_eq!(record.heap_bytes(), 255);
    let user = "u".repeat(100);
    record.attributes = only(Attribute::UserName, AttributeValue::Text(user.as_str().into()));
    assert!(
        (355..600).contains(&record.heap_bytes()),
        "{}",
        record.heap_bytes()
    );
}
