//! Text in a filter, read as the kind of value that it is compared with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use weir_api::fields::{Column, FieldKind};

use super::error::nearest;
use super::expr::{Term, Type};
use crate::span;

/// What is wrong with a literal, and the nearest word that would be right.
pub(super) type Wrong = (String, Option<String>);

/// `text` as a value of type `wanted`, the type of what `who` says.
pub(super) fn coerce(text: &str, wanted: Type, who: &str) -> Result<Term, Wrong> {
    match wanted {
        Type::Text => Ok(Term::Text(text.to_owned())),
        Type::Address => address(text, who),
        Type::Mac => mac(text).map(Term::Mac).ok_or_else(|| {
            let message =
                format!("{who} is an Ethernet address, and {text:?} is none such as 0a:58:0a:80:00:05");
            (message, None)
        }),
        Type::Number | Type::Double => Err((not_a_number(text, who), None)),
        Type::Time => Err((
            format!("{who} is a point in time: write timestamp({text:?})"),
            None,
        )),
        Type::Span => Err((
            format!("{who} is a length of time: write duration({text:?})"),
            None,
        )),
    }
}

fn not_a_number(text: &str, who: &str) -> String {
    if text.parse::<i64>().is_ok() {
        format!("{who} is a number: write {text} without quotes")
    } else if span::parse_size(text).is_some() {
        format!("{who} is a number: write size({text:?})")
    } else {
        format!("{who} is a number, and {text:?} is text")
    }
}

fn address(text: &str, who: &str) -> Result<Term, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(Term::Address(octets(address)));
    }
    let message = if text.parse::<IpNet>().is_ok() {
        format!("{text:?} is a network, {who} an address: write inCIDR({who}, {text:?})")
    } else {
        format!("{who} is an address, and {text:?} is none")
    };
    Err((message, None))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// As the store has it: 16 octets, IPv4 mapped.
pub(crate) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A network, or an address alone.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = parsed.map_err(|_| {
        (
            format!("{text:?} is no network such as 10.0.0.0/8 or fd00::/48"),
            None,
        )
    })?;
    Ok(unmapped(network.trunc()))
}

/// An IPv4 network that is written as a part of `::ffff:0:0/96`.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let plain = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() >= 96);
    let plain = plain.and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
    plain.map_or(network, IpNet::V4)
}

/// The ranges of stored octets that a network covers: IPv4 is no part of an
/// IPv6 network, not even of `::/0`.
pub(crate) fn ranges(network: IpNet) -> Vec<([u8; 16], [u8; 16])> {
    let first = octets(network.network());
    let last = match network {
        IpNet::V4(v4) => octets(IpAddr::V4(v4.broadcast())),
        IpNet::V6(v6) => v6.broadcast().octets(),
    };
    let mapped = (
        Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
        Ipv4Addr::BROADCAST.to_ipv6_mapped(),
    );
    let covers = |end: Ipv6Addr| first <= end.octets() && end.octets() <= last;
    if matches!(network, IpNet::V6(_)) && covers(mapped.0) && covers(mapped.1) {
        let below = (u128::from(mapped.0) - 1).to_be_bytes();
        let above = (u128::from(mapped.1) + 1).to_be_bytes();
        return vec![(first, below), (above, last)];
    }
    vec![(first, last)]
}

/// The words that a column of kind Enum or EnumList takes; none where others
/// are possible too.
pub(crate) fn words(column: Column) -> Option<Vec<&'static str>> {
    let unit = column.field().unit;
    if unit.is_empty() || unit.contains('…') {
        return None;
    }
    let words = unit.split_whitespace();
    Some(words.take_while(|word| *word != "or").collect())
}

/// Is this a word that the column takes?
pub(super) fn check_word(column: Column, word: &str) -> Result<(), Wrong> {
    let Some(words) = words(column) else { return Ok(()) };
    let or_number = column.field().unit.contains("number");
    let is_one = words.contains(&word)
        || (word.is_empty() && column.kind() == FieldKind::Enum)
        || (or_number && word.parse::<u8>().is_ok_and(|number| number.to_string() == word));
    if is_one {
        return Ok(());
    }
    let number = if or_number { " or the number as text" } else { "" };
    let message = format!(
        "{} is never {word:?}: it is one of {}{number}",
        column.name(),
        words.join(", ")
    );
    Err((message, nearest(word, words.into_iter())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_network_written_as_ipv6_is_the_ipv4_network() {
        assert_eq!(
            network("::ffff:10.0.0.0/104").unwrap(),
            "10.0.0.0/8".parse().unwrap()
        );
        assert_eq!(network("10.1.2.3/8").unwrap(), "10.0.0.0/8".parse().unwrap());
        assert_eq!(network("10.1.2.3").unwrap(), "10.1.2.3/32".parse().unwrap());
    }

    #[test]
    fn no_ipv6_network_covers_ipv4() {
        let inside = |network: &str, address: &str| {
            let address = octets(address.parse().unwrap());
            let ranges = ranges(network.parse().unwrap());
            ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&&address))
        };
        assert!(inside("::/0", "::1") && inside("::/0", "fd00::1"));
        assert!(!inside("::/0", "10.0.0.1"));
        assert!(inside("10.0.0.0/8", "10.255.255.255") && !inside("10.0.0.0/8", "11.0.0.0"));
        assert!(inside("0.0.0.0/0", "255.255.255.255") && !inside("0.0.0.0/0", "::1"));
    }
}
