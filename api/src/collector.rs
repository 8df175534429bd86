//! The one parser of collector entries.
//!
//! It accepts every value that OpenShift's pattern for
//! `exportNetworkFlows.*.collectors` accepts and that OVS can use, and beyond
//! it `[v6]:port`, `:port` (the node's own address) and
//! `NAME.NAMESPACE.svc:port`. What it refuses, it refuses with the reason.
//! Resolving Services and node addresses is the planner's work.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use thiserror::Error;

/// Where one exporter sends its records, as a user wrote it, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collector {
    /// A fixed address.
    Address(SocketAddr),
    /// `:port`: that port on each node's own address.
    NodeLocal(NonZeroU16),
    /// `NAME.NAMESPACE.svc:port`: the ClusterIP of a Service.
    Service(ServiceRef),
}

/// A Service and the port that records go to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceRef {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// UDP port of the Service.
    pub port: NonZeroU16,
}

/// Why an entry is no collector. The text is made for the user who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CollectorError {
    /// There is no `:` that separates a port.
    #[error("has no port; write ADDRESS:PORT")]
    MissingPort,
    /// The port is not a decimal number from 1 to 65535 without leading zeros.
    #[error("port {0:?} is not a number from 1 to 65535 without leading zeros")]
    Port(String),
    /// Four numbers with dots, but not an IPv4 address in its usual form.
    #[error("{0:?} is not an IPv4 address (four numbers from 0 to 255 without leading zeros)")]
    Ipv4(String),
    /// Not an IPv6 address between the brackets.
    #[error("{0:?} is not an IPv6 address")]
    Ipv6(String),
    /// An IPv6 address without brackets is ambiguous.
    #[error("an IPv6 address stands in brackets: [ADDRESS]:PORT")]
    UnbracketedIpv6,
    /// An address that no collector can have or OVS cannot reach.
    #[error("{0} cannot be a collector: {1}")]
    Unusable(IpAddr, &'static str),
    /// A host name other than a Service's.
    #[error(
        "{0:?} is neither an address nor a Service; OVS resolves no names, write NAME.NAMESPACE.svc:PORT"
    )]
    Name(String),
}

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(entry: &str) -> Result<Self, Self::Err> {
        let (host, port) = entry.rsplit_once(':').ok_or(CollectorError::MissingPort)?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(CollectorError::UnbracketedIpv6);
        }
        let port = parse_port(port)?;
        if host.is_empty() {
            return Ok(Self::NodeLocal(port));
        }
        if let Some(inner) = host.strip_prefix('[') {
            let inner = inner
                .strip_suffix(']')
                .ok_or_else(|| CollectorError::Ipv6(host.to_owned()))?;
            return parse_ipv6(inner, port);
        }
        if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return parse_ipv4(host, port);
        }
        parse_service(host, port)
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::NodeLocal(port) => write!(f, ":{port}"),
            Self::Service(s) => write!(f, "{}.{}.svc:{}", s.name, s.namespace, s.port),
        }
    }
}

fn parse_port(text: &str) -> Result<NonZeroU16, CollectorError> {
    let refuse = || CollectorError::Port(text.to_owned());
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    text.parse().map_err(|_| refuse())
}

fn parse_ipv4(host: &str, port: NonZeroU16) -> Result<Collector, CollectorError> {
    let address: Ipv4Addr = host.parse().map_err(|_| CollectorError::Ipv4(host.to_owned()))?;
    usable(IpAddr::V4(address))?;
    Ok(Collector::Address(SocketAddr::new(address.into(), port.get())))
}

fn parse_ipv6(host: &str, port: NonZeroU16) -> Result<Collector, CollectorError> {
    let address: Ipv6Addr = host.parse().map_err(|_| CollectorError::Ipv6(host.to_owned()))?;
    usable(IpAddr::V6(address))?;
    Ok(Collector::Address(SocketAddr::new(address.into(), port.get())))
}

/// Refuses what `connect(2)`, which ovs-vswitchd calls on each target, refuses:
/// the unspecified and the limited broadcast address, and IPv6 link-local
/// addresses, which mean nothing without an interface.
fn usable(address: IpAddr) -> Result<(), CollectorError> {
    let reason = match address {
        a if a.is_unspecified() => "it is the unspecified address",
        IpAddr::V4(a) if a.is_broadcast() => "it is the broadcast address",
        IpAddr::V6(a) if a.is_unicast_link_local() => "a link-local address needs an interface",
        IpAddr::V6(a) if a.to_ipv4_mapped().is_some() => "write the IPv4 address itself",
        _ => return Ok(()),
    };
    Err(CollectorError::Unusable(address, reason))
}

fn parse_service(host: &str, port: NonZeroU16) -> Result<Collector, CollectorError> {
    let refuse = || CollectorError::Name(host.to_owned());
    let (name, namespace) = host
        .strip_suffix(".svc")
        .and_then(|rest| rest.split_once('.'))
        .ok_or_else(refuse)?;
    let starts_with_letter = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !starts_with_letter || !is_dns_label(name) || !is_dns_label(namespace) {
        return Err(refuse());
    }
    Ok(Collector::Service(ServiceRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port,
    }))
}

/// RFC 1123 label as Kubernetes wants it: at most 63 of `a-z`, `0-9`, `-`,
/// beginning and ending with a letter or digit.
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| inner(b) || b == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(entry: &str) -> Result<String, CollectorError> {
        entry.parse::<Collector>().map(|c| c.to_string())
    }

    #[test]
    fn what_openshift_documents_is_accepted_unchanged() {
        for entry in [
            "192.168.1.99:2056",
            "10.0.0.1:1",
            "255.255.255.254:65535",
            "224.0.0.1:6343",
            "9.9.9.9:9",
        ] {
            assert_eq!(parse(entry).as_deref(), Ok(entry));
        }
    }

    #[test]
    fn ipv6_is_normalised() {
        assert_eq!(
            parse("[2020:1111:f::1:0933]:3333").as_deref(),
            Ok("[2020:1111:f::1:933]:3333")
        );
        assert_eq!(parse("[0:0:0:0:0:0:0:1]:3333").as_deref(), Ok("[::1]:3333"));
    }

    #[test]
    fn node_local_and_service_forms_are_accepted() {
        assert_eq!(
            ":2055".parse(),
            Ok(Collector::NodeLocal(NonZeroU16::new(2055).unwrap()))
        );
        let Ok(Collector::Service(service)) = "weir-collector.weir-system.svc:4739".parse() else {
            panic!("a Service");
        };
        assert_eq!(
            (service.name.as_str(), service.namespace.as_str()),
            ("weir-collector", "weir-system")
        );
        assert_eq!(service.port.get(), 4739);
    }

    #[test]
    fn what_ovs_cannot_use_is_refused_with_the_reason() {
        let cases = [
            ("10.0.0.09:2055", "IPv4 address"),
            ("00.0.0.1:2055", "IPv4 address"),
            ("1.2.3:2055", "IPv4 address"),
            ("1.2.3.256:2055", "IPv4 address"),
            ("10.0.0.9:0", "65535"),
            ("10.0.0.9:65536", "65535"),
            ("10.0.0.9:02055", "leading zeros"),
            ("10.0.0.9:", "65535"),
            ("10.0.0.9:+5", "65535"),
            ("10.0.0.9", "no port"),
            ("", "no port"),
            ("0.0.0.0:2055", "unspecified"),
            ("255.255.255.255:2055", "broadcast"),
            ("[::]:2055", "unspecified"),
            ("[fe80::1]:2055", "interface"),
            ("[::ffff:10.0.0.1]:2055", "IPv4 address itself"),
            ("[::1:2055", "IPv6 address"),
            ("::1:2055", "brackets"),
            ("[fe80::1%eth0]:1", "IPv6 address"),
            ("collector.example.com:2055", "NAME.NAMESPACE.svc"),
            ("localhost:2055", "NAME.NAMESPACE.svc"),
            ("a.b.c.svc:2055", "NAME.NAMESPACE.svc"),
            ("A.b.svc:2055", "NAME.NAMESPACE.svc"),
            (".b.svc:2055", "NAME.NAMESPACE.svc"),
            (" 10.0.0.1:2055", "neither"),
        ];
        for (entry, reason) in cases {
            let error = parse(entry).expect_err(entry).to_string();
            assert!(error.contains(reason), "{entry}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_normal_forms_are_stable(text in ".{0,40}") {
            if let Ok(normal) = parse(&text) {
                prop_assert_eq!(parse(&normal), Ok(normal.clone()));
            }
        }

        #[test]
        fn every_usable_address_survives(bits: u32, port in 1u16..) {
            let address = Ipv4Addr::from(bits);
            prop_assume!(!address.is_unspecified() && !address.is_broadcast());
            let text = format!("{address}:{port}");
            prop_assert_eq!(parse(&text), Ok(text));
        }
    }
}
