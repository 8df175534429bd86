//! What Open vSwitch is known to send by IPFIX (`ofproto/ofproto-dpif-ipfix.c`,
//! `ipfix-enterprise-entities.def`, OVS 2.9 to 3.1): template ids and fields
//! follow from what the packet is. Knowledge for tests and for cold starts: the
//! decoder goes by the templates it receives, and by these until they come.

use crate::template::Field;

/// Private enterprise number of VMware, under which OVS has its own elements.
pub const PEN_VMWARE: u32 = 6876;

/// Id of the options template of exporter statistics.
pub const STATISTICS_TEMPLATE: u16 = 462;

/// Fields of that template; the first is its scope.
pub const STATISTICS_FIELDS: [Field; 2] = [Field::iana(144, 4), Field::iana(167, 8)];

/// The kind of packet that a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateKey {
    /// It has a VLAN tag.
    pub vlan: bool,
    /// Its network layer.
    pub network: Network,
    /// Its transport layer.
    pub transport: Transport,
    /// It came out of a tunnel or goes into one.
    pub tunnel: bool,
    /// It is seen when it leaves the bridge.
    pub egress: bool,
}

/// Network layers that OVS has templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Neither IPv4 nor IPv6.
    Other,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Transport layers that OVS has templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// None of the others.
    Other,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP or ICMPv6.
    Icmp,
}

impl TemplateKey {
    /// The template's id: `256 + (((l2*3+l3)*5+l4)*2+tunnel)*2+egress`.
    pub const fn id(self) -> u16 {
        let layers = (self.vlan as u16 * 3 + self.network as u16) * 5 + self.transport as u16;
        256 + (layers * 2 + self.tunnel as u16) * 2 + self.egress as u16
    }

    /// The kind of packet that the template with this id is for.
    pub fn of_id(id: u16) -> Option<Self> {
        let number = id.checked_sub(256).filter(|&number| number < 120)?;
        let network = match number / 20 % 3 {
            0 => Network::Other,
            1 => Network::Ipv4,
            _ => Network::Ipv6,
        };
        let transport = match number / 4 % 5 {
            0 => Transport::Other,
            1 => Transport::Tcp,
            2 => Transport::Udp,
            3 => Transport::Sctp,
            _ => Transport::Icmp,
        };
        let key = Self {
            vlan: number >= 60,
            network,
            transport,
            tunnel: number & 2 != 0,
            egress: number & 1 != 0,
        };
        (network != Network::Other || transport == Transport::Other).then_some(key)
    }

    /// All 88 templates of a bridge, in the order of their ids.
    pub fn all() -> impl Iterator<Item = Self> {
        use Transport::{Icmp, Other, Sctp, Tcp, Udp};
        let layers = [
            (Network::Other, &[Other][..]),
            (Network::Ipv4, &[Other, Tcp, Udp, Sctp, Icmp]),
            (Network::Ipv6, &[Other, Tcp, Udp, Sctp, Icmp]),
        ];
        [false, true].into_iter().flat_map(move |vlan| {
            layers.into_iter().flat_map(move |(network, transports)| {
                transports.iter().flat_map(move |&transport| {
                    [(false, false), (false, true), (true, false), (true, true)].map(
                        move |(tunnel, egress)| Self {
                            vlan,
                            network,
                            transport,
                            tunnel,
                            egress,
                        },
                    )
                })
            })
        })
    }

    /// The template's fields in order. `virtual_obs_id`: whether the bridge has one
    /// (`other_config:virtual_obs_id`).
    pub fn fields(self, virtual_obs_id: bool) -> Vec<Field> {
        let ip = self.network != Network::Other;
        let mut fields = iana(&[(138, 4), (61, 1), (56, 6), (80, 6), (256, 2), (240, 1)]);
        fields.extend(interface(10, 368));
        if self.egress {
            fields.extend(interface(14, 369));
        }
        if self.vlan {
            fields.extend(iana(&[(58, 2), (243, 2), (244, 1)]));
        }
        if ip {
            fields.extend(iana(&[(60, 1), (192, 1), (4, 1), (195, 1), (196, 1), (5, 1)]));
        }
        fields.extend(iana(self.addresses()));
        fields.extend(iana(self.ports()));
        if self.tunnel {
            fields.extend(tunnel());
        }
        if virtual_obs_id {
            fields.push(Field::vendor(PEN_VMWARE, 898, Field::VARIABLE));
        }
        fields.extend(iana(&COUNTERS));
        if ip {
            fields.extend(iana(&IP_COUNTERS));
        }
        if self.transport == Transport::Tcp {
            fields.extend(iana(&TCP_COUNTERS));
        }
        fields
    }

    const fn addresses(self) -> &'static [(u16, u16)] {
        match self.network {
            Network::Other => &[],
            Network::Ipv4 => &[(8, 4), (12, 4)],
            Network::Ipv6 => &[(27, 16), (28, 16), (31, 4)],
        }
    }

    const fn ports(self) -> &'static [(u16, u16)] {
        match (self.transport, self.network) {
            (Transport::Other, _) => &[],
            (Transport::Icmp, Network::Ipv6) => &[(178, 1), (179, 1)],
            (Transport::Icmp, _) => &[(176, 1), (177, 1)],
            _ => &[(7, 2), (11, 2)],
        }
    }
}

/// Times, packets and layer 2 octets.
const COUNTERS: [(u16, u16); 16] = [
    (158, 4),
    (159, 4),
    (133, 8),
    (135, 8),
    (2, 8),
    (86, 8),
    (354, 8),
    (355, 8),
    (356, 8),
    (357, 8),
    (358, 8),
    (19, 8),
    (174, 8),
    (352, 8),
    (353, 8),
    (136, 1),
];

const IP_COUNTERS: [(u16, u16); 10] = [
    (132, 8),
    (134, 8),
    (1, 8),
    (85, 8),
    (198, 8),
    (199, 8),
    (25, 8),
    (26, 8),
    (20, 8),
    (175, 8),
];

const TCP_COUNTERS: [(u16, u16); 6] = [(222, 8), (219, 8), (221, 8), (220, 8), (218, 8), (223, 8)];

fn iana(fields: &[(u16, u16)]) -> Vec<Field> {
    fields.iter().map(|&(id, width)| Field::iana(id, width)).collect()
}

fn interface(index: u16, kind: u16) -> Vec<Field> {
    iana(&[
        (index, 4),
        (kind, 4),
        (82, Field::VARIABLE),
        (83, Field::VARIABLE),
    ])
}

fn tunnel() -> Vec<Field> {
    [
        (893, 4),
        (894, 4),
        (895, 1),
        (896, 2),
        (897, 2),
        (891, 1),
        (892, Field::VARIABLE),
    ]
    .map(|(id, width)| Field::vendor(PEN_VMWARE, id, width))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_key_belong_together() {
        let by_id: Vec<_> = (0..=u16::MAX).filter_map(TemplateKey::of_id).collect();
        let all: Vec<_> = TemplateKey::all().collect();
        assert_eq!(by_id, all);
        assert!(all.iter().all(|key| TemplateKey::of_id(key.id()) == Some(*key)));
    }
}
