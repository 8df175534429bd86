//! What flows can be grouped by: a field, or so much of an address.

use std::net::Ipv6Addr;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryBuilder, StringViewArray};
use arrow::datatypes::DataType;
use datafusion_expr::Expr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use weir_api::fields::{Column, FieldKind};

use crate::QueryError;
use crate::filter::{find_column, nearest_field};
use crate::function::call;
use crate::measure::names_in_questions;

/// A field that flows are grouped by, or a prefix of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) column: Column,
    pub(crate) prefix: Option<Prefix>,
}

/// So many bits of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Prefix {
    v4: u8,
    v6: u8,
}

impl GroupKey {
    /// A whole field.
    pub(crate) const fn of(column: Column) -> Self {
        Self { column, prefix: None }
    }

    /// `ns`, `addr/24`, `addr/24/64`.
    fn parse(text: &str) -> Result<Self, QueryError> {
        let (name, bits) = match text.split_once('/') {
            Some((name, bits)) => (name, Some(bits)),
            None => (text, None),
        };
        let column = find_column(name).ok_or_else(|| QueryError::UnknownField {
            name: name.to_owned(),
            nearest: nearest_field(name),
        })?;
        let Some(bits) = bits else {
            return Ok(Self::of(column));
        };
        if !has_prefixes(column) {
            return Err(QueryError::Invalid(format!(
                "group_by: {text}: only addresses of a record have prefixes, such as addr/24 or dst_addr/24/64"
            )));
        }
        let prefix = Prefix::parse(bits).ok_or_else(|| {
            QueryError::Invalid(format!(
                "group_by: {text}: behind the slash stands a number of bits from 1 to 128, or one of IPv4 up to 32 \
                 and one of IPv6: {name}/24, {name}/24/64"
            ))
        })?;
        Ok(Self {
            column,
            prefix: Some(prefix),
        })
    }

    /// Its name in answers.
    pub(crate) fn name(self) -> String {
        let name = self.column.name();
        match self.prefix {
            None => name.to_owned(),
            Some(Prefix { v4, v6 }) if v4 == v6.min(32) => format!("{name}/{v6}"),
            Some(Prefix { v4, v6 }) => format!("{name}/{v4}/{v6}"),
        }
    }

    /// What stands in its place when the flow is looked at from its other end.
    pub(crate) const fn mirrored(self) -> Self {
        Self {
            column: self.column.mirrored(),
            ..self
        }
    }
}

/// It is an address of a record.
fn has_prefixes(column: Column) -> bool {
    column.kind() == FieldKind::Address && !column.field().identity
}

/// What to group by, for documents: a field, or so many bits of an address.
#[derive(Debug)]
pub struct GroupName;

impl PartialSchema for GroupName {
    fn schema() -> RefOr<Schema> {
        let fields = names_in_questions(|_| true).join("|");
        let addresses = names_in_questions(has_prefixes).join("|");
        let (v4, v6) = (
            "0*([1-9]|[12][0-9]|3[0-2])",
            "0*([1-9]|[1-9][0-9]|1[01][0-9]|12[0-8])",
        );
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({fields}|({addresses})/({v6}|{v4}/{v6}))$")))
            .description(Some(
                "The name of a field; behind one of an address may stand how many bits of it, or how many of \
                 IPv4 and of IPv6",
            ))
            .examples(["dst_workload_name", "addr/24", "dst_addr/24/64"])
            .into()
    }
}

impl ToSchema for GroupName {}

/// What is a key from one end is one from the other, too.
pub(crate) fn are_symmetric(keys: &[GroupKey]) -> bool {
    keys.iter().all(|key| keys.contains(&key.mirrored()))
}

/// What these names stand for.
pub(crate) fn group_keys(names: &[String]) -> Result<Vec<GroupKey>, QueryError> {
    names.iter().map(|name| GroupKey::parse(name)).collect()
}

/// What stands before the address in an IPv6 address that is one of IPv4.
const MAPPED: u32 = 96;

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str, most| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|bits| digits && (1..=most).contains(bits))
        };
        match text.split_once('/') {
            Some((v4, v6)) => Some(Self {
                v4: number(v4, 32)?,
                v6: number(v6, 128)?,
            }),
            None => {
                let bits: u8 = number(text, 128)?;
                Some(Self {
                    v4: bits.min(32),
                    v6: bits,
                })
            }
        }
    }

    /// What of it is of one family: how many bits of all 128, and how many of the family's.
    fn bits(self, address: u128) -> (u32, u8) {
        match address >> (128 - MAPPED) == 0xffff {
            true => (MAPPED + u32::from(self.v4), self.v4),
            false => (u32::from(self.v6), self.v6),
        }
    }

    /// The first address that begins as this one does.
    fn network(self, address: u128) -> u128 {
        let (bits, _) = self.bits(address);
        address & u128::MAX << (128 - bits)
    }

    /// The networks of a column of addresses.
    pub(crate) fn networks(self, addresses: Expr, name: &str) -> Expr {
        call(
            name,
            DataType::FixedSizeBinary(16),
            vec![addresses],
            move |args| {
                let mut networks = FixedSizeBinaryBuilder::with_capacity(args[0].len(), 16);
                for address in args[0].as_fixed_size_binary().iter() {
                    match address.and_then(|address| address.try_into().ok()) {
                        Some(address) => {
                            let network = self.network(u128::from_be_bytes(address));
                            networks.append_value(network.to_be_bytes())?;
                        }
                        None => networks.append_null(),
                    }
                }
                Ok(Arc::new(networks.finish()) as ArrayRef)
            },
        )
    }

    /// Networks as people write them; none where there is no address.
    pub(crate) fn written(self, networks: &ArrayRef) -> ArrayRef {
        let written = |network: Option<&[u8]>| {
            let network = network.and_then(|network| <[u8; 16]>::try_from(network).ok())?;
            let (_, bits) = self.bits(u128::from_be_bytes(network));
            Some(format!("{}/{bits}", Ipv6Addr::from(network).to_canonical()))
        };
        let networks = networks.as_fixed_size_binary().iter();
        Arc::new(networks.map(written).collect::<StringViewArray>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    /// Names that are nearly right, or right.
    fn nearly_keys() -> impl Strategy<Value = String> {
        let names = vec![
            "addr",
            "dst_addr",
            "src_addr",
            "src_dst_addr",
            "node_addr",
            "ns",
            "src_ns",
            "time",
            "src_time",
            "tunnel_addr",
            "next_hop",
            "service_addr",
            "x",
            "",
        ];
        let bits = "(/0{0,2}[0-9]{0,3})?(/0{0,2}[0-9]{1,3})?(/[0-9])?|/[0-9]+[+ a]";
        (proptest::sample::select(names), bits).prop_map(|(name, bits)| format!("{name}{bits}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_document_has_a_pattern_for_what_is_read_as_a_key_and_nothing_else(name in nearly_keys()) {
            let pattern = Regex::new(&crate::moment::tests::pattern::<GroupName>()).unwrap();
            prop_assert_eq!(pattern.is_match(&name), GroupKey::parse(&name).is_ok(), "{}", name);
        }
    }

    fn network(prefix: &str, address: &str) -> String {
        let prefix = Prefix::parse(prefix).unwrap();
        let address: std::net::IpAddr = address.parse().unwrap();
        let octets = crate::filter::literal::octets(address);
        let network = prefix.network(u128::from_be_bytes(octets)).to_be_bytes();
        let column = FixedSizeBinaryBuilder::with_capacity(1, 16);
        let mut column = column;
        column.append_value(network).unwrap();
        let written = prefix.written(&(Arc::new(column.finish()) as ArrayRef));
        written.as_string_view().value(0).to_owned()
    }

    #[test]
    fn an_address_is_cut_in_its_own_family() {
        for (prefix, address, expected) in [
            ("24", "10.1.2.3", "10.1.2.0/24"),
            ("32", "10.1.2.3", "10.1.2.3/32"),
            ("1", "192.0.2.1", "128.0.0.0/1"),
            ("48", "10.1.2.3", "10.1.2.3/32"),
            ("48", "2001:db8:1:2::3", "2001:db8:1::/48"),
            ("128", "2001:db8::1", "2001:db8::1/128"),
            ("8/64", "10.1.2.3", "10.0.0.0/8"),
            ("8/64", "2001:db8:1:2:3::", "2001:db8:1:2::/64"),
            ("24", "2001:db8::1", "2001:d00::/24"),
        ] {
            assert_eq!(network(prefix, address), expected);
        }
    }

    #[test]
    fn keys_are_named_as_they_are_asked_for() {
        for (text, name) in [
            ("ns", "ns"),
            ("src_addr/24", "addr/24"),
            ("dst_addr/48", "dst_addr/48"),
            ("addr/24/64", "addr/24/64"),
            ("addr/32/128", "addr/128"),
        ] {
            assert_eq!(GroupKey::parse(text).unwrap().name(), name);
        }
        for wrong in [
            "ns/24",
            "node_addr/24",
            "addr/",
            "addr/0",
            "addr/129",
            "addr/33/64",
            "addr/+1",
            "addr/1/2/3",
        ] {
            let error = GroupKey::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("/24"), "{error}");
        }
        let error = GroupKey::parse("adr/24").unwrap_err().to_string();
        assert!(error.contains("\"addr\""), "{error}");
    }
}
