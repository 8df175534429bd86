//! What a few exporters say of a flow beside who talked to whom and how much:
//! translated addresses, routing, MPLS, applications, users, names that the exporter
//! knows. Few records have any of it, so it stands apart from the record and takes no
//! room in those that have none.

use std::net::IpAddr;

use crate::text::Text;

/// One thing that an exporter may say of a flow. The numbers are IANA information
/// elements where nothing else is said; NetFlow v9 shares those below 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Attribute {
    /// IE 225, 281: source address after translation.
    NatSrcAddr,
    /// IE 226, 282: destination address after translation.
    NatDstAddr,
    /// IE 227: source port after translation.
    NatSrcPort,
    /// IE 228: destination port after translation.
    NatDstPort,
    /// IE 230 natEvent (RFC 8158 §4.3).
    NatEvent,
    /// IE 15, 62: the next router; NetFlow v5 nexthop.
    NextHop,
    /// IE 18, 63: the next router of another AS.
    BgpNextHop,
    /// IE 16; NetFlow v5 src_as.
    SrcAs,
    /// IE 17; NetFlow v5 dst_as.
    DstAs,
    /// IE 9, 29: bits of the source's network prefix.
    SrcPrefixLen,
    /// IE 13, 30: bits of the destination's network prefix.
    DstPrefixLen,
    /// IE 234: VRF in which the packets came.
    IngressVrf,
    /// IE 235: VRF into which they go.
    EgressVrf,
    /// IE 70 to 79: labels (20 bits each), the top one first, as decimal numbers
    /// with `,` between them.
    MplsLabels,
    /// IE 95: classification engine (8 bits) and selector, `engine:selector` in decimal.
    ApplicationId,
    /// IE 96.
    ApplicationName,
    /// IE 371.
    UserName,
    /// IE 89 forwardingStatus (RFC 7270 §4.12): two bits of status, six of reason.
    ForwardingStatus,
    /// IE 233 firewallEvent.
    FirewallEvent,
    /// IE 148: the exporter's own number of the flow; the two records of a biflow
    /// share it.
    FlowId,
    /// PEN 56506 100.
    SrcPodNamespace,
    /// PEN 56506 101.
    SrcPodName,
    /// PEN 56506 102.
    DstPodNamespace,
    /// PEN 56506 103.
    DstPodName,
    /// PEN 56506 104.
    SrcNodeName,
    /// PEN 56506 105.
    DstNodeName,
    /// PEN 56506 106, 107, 168, 169: the Service's address before translation.
    DstServiceAddr,
    /// PEN 56506 108.
    DstServicePort,
    /// PEN 56506 109: `namespace/name:port-name`.
    DstServicePortName,
    /// PEN 56506 110.
    IngressPolicyName,
    /// PEN 56506 111.
    IngressPolicyNamespace,
    /// PEN 56506 112.
    EgressPolicyName,
    /// PEN 56506 113.
    EgressPolicyNamespace,
    /// PEN 56506 139: 0 none, 1 allow, 2 drop, 3 reject.
    IngressPolicyAction,
    /// PEN 56506 140, likewise.
    EgressPolicyAction,
    /// PEN 56506 141.
    IngressPolicyRule,
    /// PEN 56506 142.
    EgressPolicyRule,
    /// PEN 56506 136.
    TcpState,
    /// PEN 56506 143: JSON.
    SrcPodLabels,
    /// PEN 56506 144: JSON.
    DstPodLabels,
    /// PEN 56506 158.
    ClusterId,
}

impl Attribute {
    /// What it is called in the other direction of the flow; `None` when it says nothing
    /// of that.
    fn reversed(self) -> Option<Self> {
        Some(match self {
            Self::NatSrcAddr => Self::NatDstAddr,
            Self::NatDstAddr => Self::NatSrcAddr,
            Self::NatSrcPort => Self::NatDstPort,
            Self::NatDstPort => Self::NatSrcPort,
            Self::SrcAs => Self::DstAs,
            Self::DstAs => Self::SrcAs,
            Self::SrcPrefixLen => Self::DstPrefixLen,
            Self::DstPrefixLen => Self::SrcPrefixLen,
            Self::IngressVrf => Self::EgressVrf,
            Self::EgressVrf => Self::IngressVrf,
            Self::SrcPodNamespace => Self::DstPodNamespace,
            Self::DstPodNamespace => Self::SrcPodNamespace,
            Self::SrcPodName => Self::DstPodName,
            Self::DstPodName => Self::SrcPodName,
            Self::SrcNodeName => Self::DstNodeName,
            Self::DstNodeName => Self::SrcNodeName,
            Self::SrcPodLabels => Self::DstPodLabels,
            Self::DstPodLabels => Self::SrcPodLabels,
            Self::NextHop
            | Self::BgpNextHop
            | Self::MplsLabels
            | Self::DstServiceAddr
            | Self::DstServicePort
            | Self::DstServicePortName => return None,
            same => same,
        })
    }
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// A number.
    Unsigned(u64),
    /// An address.
    Address(IpAddr),
    /// A text, never empty.
    Text(Text),
}

/// All that is said of one flow, each thing once, in the order of [`Attribute`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::box_collection,
    reason = "eight bytes in a record where there are none, and three times that with a Vec"
)]
pub struct Attributes(Option<Box<Vec<(Attribute, AttributeValue)>>>);

impl Attributes {
    /// Nothing is said.
    pub const NONE: Attributes = Attributes(None);

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is said of this.
    pub fn get(&self, attribute: Attribute) -> Option<&AttributeValue> {
        let said = self.0.as_deref()?;
        let place = said.binary_search_by_key(&attribute, |(known, _)| *known).ok()?;
        said.get(place).map(|(_, value)| value)
    }

    /// Says it, in place of what was said of it before.
    pub fn set(&mut self, attribute: Attribute, value: AttributeValue) {
        let said = self.0.get_or_insert_default();
        match said.binary_search_by_key(&attribute, |(known, _)| *known) {
            Ok(place) => {
                if let Some(known) = said.get_mut(place) {
                    known.1 = value;
                }
            }
            Err(place) => said.insert(place, (attribute, value)),
        }
    }

    /// What they take beside their own size, room for more included.
    pub fn heap_bytes(&self) -> usize {
        let Some(said) = self.0.as_deref() else { return 0 };
        let texts = said.iter().map(|(_, value)| match value {
            AttributeValue::Text(text) => text.heap_bytes(),
            AttributeValue::Unsigned(_) | AttributeValue::Address(_) => 0,
        });
        size_of_val(said) + said.capacity() * size_of::<(Attribute, AttributeValue)>() + texts.sum::<usize>()
    }

    /// What is said of the packets that go the other way: what belongs to one end of the
    /// flow changes sides; the ways that the router chose, and what the source called,
    /// are those of this direction alone.
    pub(crate) fn reversed(&self) -> Self {
        let mut reversed = Self::NONE;
        for (attribute, value) in self.iter() {
            if let Some(attribute) = attribute.reversed() {
                reversed.set(attribute, value.clone());
            }
        }
        reversed
    }

    /// Everything that is said, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, &AttributeValue)> {
        let said = self.0.as_deref().map_or(&[][..], Vec::as_slice);
        said.iter().map(|(attribute, value)| (*attribute, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_and_in_order() {
        let mut said = Attributes::NONE;
        assert!(said.is_empty());
        said.set(Attribute::DstAs, AttributeValue::Unsigned(1));
        said.set(Attribute::NatEvent, AttributeValue::Unsigned(4));
        said.set(Attribute::DstAs, AttributeValue::Unsigned(2));
        let all: Vec<_> = said.iter().map(|(attribute, _)| attribute).collect();
        assert_eq!(all, [Attribute::NatEvent, Attribute::DstAs]);
        assert_eq!(said.get(Attribute::DstAs), Some(&AttributeValue::Unsigned(2)));
        assert_eq!(said.get(Attribute::SrcAs), None);
    }

    #[test]
    fn the_memory_that_it_takes_includes_room_that_is_not_used() {
        let mut said = Attributes::NONE;
        assert_eq!(said.heap_bytes(), 0);
        for attribute in [
            Attribute::SrcAs,
            Attribute::DstAs,
            Attribute::NatEvent,
            Attribute::NextHop,
            Attribute::NatSrcPort,
        ] {
            said.set(attribute, AttributeValue::Unsigned(1));
        }
        let room = said.0.as_deref().map_or(0, Vec::capacity);
        assert!(room > 5, "{room}");
        let each = size_of::<(Attribute, AttributeValue)>();
        assert_eq!(said.heap_bytes(), size_of::<Vec<u8>>() + room * each);
        said.set(
            Attribute::UserName,
            AttributeValue::Text("u".repeat(100).as_str().into()),
        );
        assert!(said.heap_bytes() >= size_of::<Vec<u8>>() + 6 * each + 100);
    }
}
