//! What is wrong on this host: Open vSwitch's socket, the kernel's limit of receive buffers,
//! SELinux, and whether what is sent to collectors passes in one piece.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Finding;

/// What the collector asks for, for each of its sockets (collector/src/receive/socket.rs).
const RECEIVE_BUFFER: u64 = 32 << 20;
/// Bytes of headers before a datagram's own: IPv6's 40 and UDP's 8.
const HEADERS: u32 = 48;
/// The longest message of IPFIX: 1,232 bytes of names from the node daemon; Open vSwitch's own
/// end at 1,024 (ofproto-dpif-ipfix.c, `MAX_MESSAGE_LEN`).
const IPFIX: u32 = 1_232 + HEADERS;
/// 30 records of NetFlow 5 with their header; sFlow of Open vSwitch ends at 1,400.
const NETFLOW: u32 = 30 * 48 + 24 + HEADERS;

/// Looks at all of it.
pub fn examine(socket: &Path, collectors: &[SocketAddr]) -> Vec<Finding> {
    let mut findings = vec![database(socket)];
    let read = |path: &str| fs::read_to_string(path).ok();
    findings.extend(read("/proc/sys/net/core/rmem_max").and_then(|text| receive_buffer(&text)));
    findings.extend(read("/sys/fs/selinux/enforce").and_then(|text| selinux(&text)));
    let routes = Routes {
        v4: read("/proc/net/route").unwrap_or_default(),
        v6: read("/proc/net/ipv6_route").unwrap_or_default(),
    };
    let mtu = |interface: &str| {
        let text = read(&format!("/sys/class/net/{interface}/mtu"))?;
        text.trim().parse().ok()
    };
    findings.extend(
        collectors
            .iter()
            .map(|collector| path_to(*collector, &routes, mtu)),
    );
    findings
}

fn database(socket: &Path) -> Finding {
    let path = socket.display();
    let metadata = match fs::metadata(socket) {
        Ok(metadata) => metadata,
        Err(error) => return unreachable(socket, &error, None),
    };
    if !metadata.file_type().is_socket() {
        return Finding::fault(
            format!("{path} is no socket"),
            "--socket names Open vSwitch's db.sock",
        );
    }
    match UnixStream::connect(socket) {
        Ok(_) => Finding::fine(format!(
            "{path} takes connections, and belongs to {}:{}",
            metadata.uid(),
            metadata.gid()
        )),
        Err(error) => unreachable(socket, &error, Some((metadata.uid(), metadata.gid()))),
    }
}

fn unreachable(socket: &Path, error: &io::Error, owner: Option<(u32, u32)>) -> Finding {
    let what = format!("{}: {error}", socket.display());
    let remedy = match (error.kind(), owner) {
        (ErrorKind::NotFound, _) => "is Open vSwitch installed, and does it keep its files there? Antrea: \
                                     /var/run/antrea/openvswitch"
            .to_owned(),
        (ErrorKind::ConnectionRefused, _) => "nobody listens: start ovsdb-server".to_owned(),
        (ErrorKind::PermissionDenied, Some((user, group))) => {
            format!("run the daemon as {user}:{group}; with SELinux enforcing, as the type spc_t, too")
        }
        _ => "is it Open vSwitch's?".to_owned(),
    };
    Finding::fault(what, remedy)
}

fn receive_buffer(text: &str) -> Option<Finding> {
    let most: u64 = text.trim().parse().ok()?;
    if most >= RECEIVE_BUFFER {
        return Some(Finding::fine(format!("net.core.rmem_max is {most}")));
    }
    Some(Finding::note(
        format!(
            "net.core.rmem_max is {most}: a collector here gets smaller buffers than it asks for, and loses bursts"
        ),
        format!("sysctl -w net.core.rmem_max={RECEIVE_BUFFER}, if a collector runs here"),
    ))
}

fn selinux(text: &str) -> Option<Finding> {
    (text.trim() == "1").then(|| {
        Finding::note(
            "SELinux is enforcing: a container connects to a socket of the host only as the type spc_t",
            "weir install --platform openshift; or seLinuxOptions in a patch of the DaemonSet",
        )
    })
}

/// The kernel's tables, as /proc shows them.
struct Routes {
    v4: String,
    v6: String,
}

fn path_to(collector: SocketAddr, routes: &Routes, mtu: impl Fn(&str) -> Option<u32>) -> Finding {
    let interface = match collector.ip() {
        IpAddr::V4(address) => interface_v4(&routes.v4, address),
        IpAddr::V6(address) => interface_v6(&routes.v6, address),
    };
    let Some(interface) = interface else {
        return Finding::fault(
            format!("no route of this host leads to {collector}"),
            "name a collector that nodes reach",
        );
    };
    let Some(mtu) = mtu(&interface) else {
        return Finding::note(
            format!("{collector} is behind {interface}, whose MTU is unknown"),
            "",
        );
    };
    if mtu < IPFIX {
        return Finding::fault(
            format!(
                "{collector} is behind {interface} with an MTU of {mtu}: messages of IPFIX take up to {IPFIX}"
            ),
            "raise the MTU; what is longer goes in fragments, of which many networks lose some",
        );
    }
    if mtu < NETFLOW {
        return Finding::note(
            format!(
                "{collector} is behind {interface} with an MTU of {mtu}: NetFlow takes up to {NETFLOW}, in fragments"
            ),
            "take IPFIX, or raise the MTU",
        );
    }
    Finding::fine(format!("{collector} is behind {interface} with an MTU of {mtu}"))
}

/// The interface of the narrowest route to an address.
fn interface_v4(table: &str, address: Ipv4Addr) -> Option<String> {
    // Networks are in the order of bytes of this host.
    let number = |word: &str| Some(u32::from_str_radix(word, 16).ok()?.swap_bytes());
    let routes = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (interface, network, mask) = (words.first()?, number(words.get(1)?)?, number(words.get(7)?)?);
        (u32::from(address) & mask == network).then(|| (mask.count_ones(), (*interface).to_owned()))
    });
    narrowest(routes)
}

fn interface_v6(table: &str, address: Ipv6Addr) -> Option<String> {
    /// Routes that refuse (`RTF_REJECT`).
    const REJECT: u32 = 0x0200;
    let routes = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let network = u128::from_str_radix(words.first()?, 16).ok()?;
        let length = u32::from_str_radix(words.get(1)?, 16).ok()?;
        let flags = u32::from_str_radix(words.get(8)?, 16).ok()?;
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
        let leads = u128::from(address) & mask == network && flags & REJECT == 0;
        leads.then(|| (length, (*words.get(9).unwrap_or(&"")).to_owned()))
    });
    narrowest(routes)
}

fn narrowest(routes: impl Iterator<Item = (u32, String)>) -> Option<String> {
    routes
        .max_by_key(|(length, _)| *length)
        .map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    const V4: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
        eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n\
        geneve0 00001EAC 00000000 0001 0 0 0 0000FFFF 0 0 0\n";
    const V6: &str = "fd000172003000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth1\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";

    fn to(collector: &str, mtu: u32) -> Finding {
        let routes = Routes {
            v4: V4.into(),
            v6: V6.into(),
        };
        path_to(collector.parse().unwrap(), &routes, |_| Some(mtu))
    }

    #[test]
    fn the_narrowest_route_tells_the_interface() {
        assert_eq!(
            interface_v4(V4, [172, 30, 0, 1].into()).as_deref(),
            Some("geneve0")
        );
        assert_eq!(interface_v4(V4, [192, 0, 2, 1].into()).as_deref(), Some("eth0"));
        let here = "fd00:172:30::1".parse().unwrap();
        assert_eq!(interface_v6(V6, here).as_deref(), Some("eth1"));
        assert_eq!(interface_v6(V6, "2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn what_does_not_pass_in_one_piece_is_told_by_protocol() {
        assert_eq!(to("172.30.0.1:4739", 1_500).level, Level::Note);
        assert_eq!(to("172.30.0.1:4739", 9_000).level, Level::Fine);
        let small = to("172.30.0.1:4739", 1_200);
        assert!(
            small.level == Level::Fault && small.what.contains("IPFIX"),
            "{small:?}"
        );
        assert_eq!(to("[2001:db8::1]:4739", 9_000).level, Level::Fault);
    }

    #[test]
    fn a_socket_that_is_not_there_or_nobodys_is_a_fault_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sock");
        assert!(database(&path).remedy.contains("installed"));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(database(&path).remedy.contains("start ovsdb-server"));
        fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(database(&path).level, Level::Fine);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(database(&folder.path().join("file")).what.contains("no socket"));
    }

    #[test]
    fn small_buffers_and_selinux_are_noted() {
        assert_eq!(receive_buffer("212992\n").unwrap().level, Level::Note);
        assert_eq!(receive_buffer("67108864\n").unwrap().level, Level::Fine);
        assert!(selinux("1\n").is_some() && selinux("0").is_none());
    }
}
