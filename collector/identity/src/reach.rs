//! What an address says by itself: `private`, when it means something only within
//! some network or is no single host's, else `internet`.
//!
//! The networks that are private are those of the special-purpose registries of
//! RFC 6890 that are not globally reachable, and multicast:
//!
//! | IPv4 | | IPv6 | |
//! |---|---|---|---|
//! | 0.0.0.0/8 | this network, RFC 791 §3.2 | ::/128, ::1/128 | unspecified, loopback, RFC 4291 §2.5.2, §2.5.3 |
//! | 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 | private use, RFC 1918 §3 | 64:ff9b:1::/48 | local-use translation, RFC 8215 §3 |
//! | 100.64.0.0/10 | carrier-grade NAT, RFC 6598 §7 | 100::/64 | discard, RFC 6666 §4 |
//! | 127.0.0.0/8 | loopback, RFC 1122 §3.2.1.3 | 2001:2::/48 | benchmarks, RFC 5180 §8 |
//! | 169.254.0.0/16 | link-local, RFC 3927 §7 | 2001:db8::/32, 3fff::/20 | documentation, RFC 3849 §4, RFC 9637 §4 |
//! | 192.0.0.0/24 | protocol assignments, RFC 6890 §2.1 | 5f00::/16 | segment routing, RFC 9602 §6 |
//! | 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 | documentation, RFC 5737 §3 | fc00::/7 | unique local, RFC 4193 §3.1 |
//! | 198.18.0.0/15 | benchmarks, RFC 2544 §C.2.2 | fe80::/10, fec0::/10 | link-local, site-local, RFC 4291 §2.5.6, RFC 3879 §4 |
//! | 224.0.0.0/4 | multicast, RFC 5771 §3 | ff00::/8 | multicast, RFC 4291 §2.7 |
//! | 240.0.0.0/4 | reserved, RFC 1112 §4; broadcast, RFC 8190 §2.2 | | |
//!
//! IPv4 addresses within IPv6 ones (::ffff:0:0/96, RFC 4291 §2.5.5.2, and
//! 64:ff9b::/96, RFC 6052 §2.1) are what the IPv4 address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use weir_flow::Identity;

const V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

const V6: [(Ipv6Addr, u32); 12] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

static PRIVATE: LazyLock<Arc<Identity>> = LazyLock::new(|| of_kind("private"));
static INTERNET: LazyLock<Arc<Identity>> = LazyLock::new(|| of_kind("internet"));

fn of_kind(kind: &str) -> Arc<Identity> {
    Arc::new(Identity {
        workload_kind: kind.into(),
        ..Identity::default()
    })
}

/// The identity of an address that nobody is known to have.
pub fn stranger(address: IpAddr) -> &'static Arc<Identity> {
    if is_private(address) { &PRIVATE } else { &INTERNET }
}

/// Whether an address is in one of the networks above.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_private_v4(address),
            None => within(V6.map(|(net, len)| (net.to_bits(), len)), address.to_bits()),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    V4.iter()
        .any(|(net, len)| (bits ^ net.to_bits()) >> (32 - len) == 0)
}

fn within(networks: [(u128, u32); V6.len()], bits: u128) -> bool {
    networks.iter().any(|(net, len)| (bits ^ net) >> (128 - len) == 0)
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let mapped = [a, b, c, d, e, f] == [0, 0, 0, 0, 0, 0xffff];
    let translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    (mapped || translated).then(|| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> &'static str {
        &stranger(address.parse().unwrap()).workload_kind
    }

    #[test]
    fn each_network_of_the_table_is_private_to_its_ends_and_no_further() {
        for (first, last, beyond) in [
            ("0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("127.0.0.1", "127.255.255.255", "128.0.0.0"),
            ("169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("224.0.0.0", "255.255.255.255", "223.255.255.255"),
            ("::", "::1", "2::1"),
            ("64:ff9b:1::", "64:ff9b:1:ffff::1", "64:ff9b:2::"),
            ("100::", "100::ffff", "100:0:0:1::"),
            ("2001:2::", "2001:2:0:ffff::", "2001:2:1::"),
            ("2001:db8::", "2001:db8:ffff::", "2001:db9::"),
            ("3fff::", "3fff:fff::", "3fff:1000::"),
            ("5f00::", "5f00:ffff::", "5f01::"),
            ("fc00::", "fdff:ffff::", "fe00::"),
            ("fe80::", "feff::", "fe7f::"),
            ("ff00::", "ffff::", "2620::"),
        ] {
            assert_eq!((kind(first), kind(last)), ("private", "private"), "{first}");
            assert_eq!(kind(beyond), "internet", "{beyond}");
        }
    }

    #[test]
    fn what_the_registries_have_but_call_globally_reachable_is_internet() {
        // AS112 (RFC 7535, RFC 7534), AMT (RFC 7450), ORCHIDv2 (RFC 7343).
        for address in [
            "192.31.196.10",
            "192.175.48.1",
            "192.52.193.1",
            "2001:4:112::1",
            "2620:4f:8000::1",
            "2001:3::1",
            "2001:20::1",
        ] {
            assert_eq!(kind(address), "internet", "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_within_an_ipv6_one_decides() {
        assert_eq!(kind("::ffff:10.1.2.3"), "private");
        assert_eq!(kind("::ffff:8.8.8.8"), "internet");
        assert_eq!(kind("64:ff9b::192.168.0.1"), "private");
        assert_eq!(kind("64:ff9b::8.8.8.8"), "internet");
    }
}
