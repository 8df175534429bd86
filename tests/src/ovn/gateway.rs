//! The OpenFlow rules that OVN-Kubernetes' node puts on `br-ex` in its shared gateway
//! mode (go-controller/pkg/node, `openflow_manager.go` and `gateway_shared_intf.go`), as
//! text for `ovs-ofctl`; no I/O.
//!
//! Node and gateway router share one address and one MAC address. Connection tracking
//! tells whose a packet from the fabric is: a mark says who began.

use crate::address::Mac;

/// Zone of the connections of `br-ex`.
const ZONE: u16 = 64000;
/// Marks of the connections that OVN began, and that the node began.
const OF_OVN: u8 = 1;
const OF_NODE: u8 = 2;
/// UDP port of Geneve.
const GENEVE: u16 = 6081;

/// The bridge's ports and address.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    /// The uplink's OpenFlow port.
    pub uplink: u16,
    /// That of the patch to the gateway router's switch.
    pub patch: u16,
    /// The bridge's MAC address.
    pub mac: Mac,
}

/// What a node takes from the fabric for a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exposed {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The address; of a node port, none: it is the node's.
    pub address: Option<std::net::Ipv4Addr>,
    /// The port.
    pub port: u16,
}

/// All rules of the bridge.
pub(crate) fn rules(gateway: &Gateway, exposed: &[Exposed]) -> Vec<String> {
    let Gateway { uplink, patch, mac } = gateway;
    let track = |mark: u8| format!("ct(commit,zone={ZONE},exec(set_field:{mark}->ct_mark))");
    let mut rules = vec![
        format!("table=0,priority=205,in_port={uplink},udp,tp_dst={GENEVE},actions=LOCAL"),
        format!("table=0,priority=200,in_port=LOCAL,udp,tp_dst={GENEVE},actions={uplink}"),
        format!("table=0,priority=10,in_port={uplink},dl_dst={mac},actions={patch},LOCAL"),
        format!("table=0,priority=10,in_port={patch},dl_src={mac},actions=NORMAL"),
        format!("table=0,priority=9,in_port={patch},actions=drop"),
        "table=0,priority=0,actions=NORMAL".to_owned(),
        format!("table=1,priority=10,dl_dst={mac},actions=LOCAL"),
        "table=1,priority=0,actions=NORMAL".to_owned(),
    ];
    for family in ["ip", "ipv6"] {
        rules.extend([
            format!(
                "table=0,priority=100,in_port={patch},dl_src={mac},{family},actions={},{uplink}",
                track(OF_OVN)
            ),
            format!(
                "table=0,priority=100,in_port=LOCAL,{family},actions={},{uplink}",
                track(OF_NODE)
            ),
            format!(
                "table=0,priority=50,in_port={uplink},{family},dl_dst={mac},actions=ct(zone={ZONE},table=1)"
            ),
        ]);
        for state in ["+est+trk", "+rel+trk"] {
            for (mark, port) in [(OF_OVN, patch.to_string()), (OF_NODE, "LOCAL".to_owned())] {
                rules.push(format!(
                    "table=1,priority=100,{family},ct_state={state},ct_mark={mark},actions={port}"
                ));
            }
        }
    }
    rules.extend(exposed.iter().flat_map(|service| serve(gateway, service)));
    rules
}

fn serve(gateway: &Gateway, service: &Exposed) -> [String; 2] {
    let Gateway { uplink, patch, mac } = gateway;
    let Exposed { protocol, port, .. } = service;
    let matched = |side: &str| {
        service
            .address
            .map_or_else(String::new, |a| format!(",nw_{side}={a}"))
    };
    let (to, from) = (matched("dst"), matched("src"));
    [
        format!("table=0,priority=110,in_port={uplink},{protocol}{to},tp_dst={port},actions={patch}"),
        format!(
            "table=0,priority=110,in_port={patch},dl_src={mac},{protocol}{from},tp_src={port},actions={uplink}"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rules_of(exposed: &[Exposed]) -> Vec<String> {
        let gateway = Gateway {
            uplink: 1,
            patch: 7,
            mac: Mac([2, 0, 0, 0, 0, 1]),
        };
        rules(&gateway, exposed)
    }

    #[test]
    fn calls_of_a_service_go_to_the_gateway_router_and_answers_to_the_fabric() {
        let exposed = [
            Exposed {
                protocol: "tcp",
                address: None,
                port: 30080,
            },
            Exposed {
                protocol: "udp",
                address: Some(Ipv4Addr::new(198, 51, 100, 20)),
                port: 53,
            },
        ];
        let rules = rules_of(&exposed);
        let [node_port, balancer] = [
            "priority=110,in_port=1,tcp,tp_dst=30080,actions=7",
            "priority=110,in_port=7,dl_src=02:00:00:00:00:01,udp,nw_src=198.51.100.20,tp_src=53,actions=1",
        ];
        for wanted in [node_port, balancer] {
            assert!(
                rules.iter().any(|rule| rule.ends_with(wanted)),
                "{wanted}: {rules:?}"
            );
        }
        assert_eq!(rules.len(), rules_of(&[]).len() + 4);
    }

    #[test]
    fn what_answers_goes_to_who_began_the_connection() {
        let rules = rules_of(&[]);
        for (mark, port) in [(OF_OVN, "7"), (OF_NODE, "LOCAL")] {
            let wanted = format!("ip,ct_state=+est+trk,ct_mark={mark},actions={port}");
            assert!(
                rules.iter().any(|rule| rule.ends_with(&wanted)),
                "{wanted}: {rules:?}"
            );
        }
    }
}
