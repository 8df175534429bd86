//! The elements that few exporters send, and what of a flow they say
//! ([`crate::Attribute`]). Numbers that are zero, addresses that are unspecified and
//! texts that are empty say nothing: exporters fill templates up with them.

use std::net::IpAddr;

use crate::attribute::{Attribute, AttributeValue};
use crate::record::Record;
use crate::store;
use crate::template::Field;
use crate::text::Text;

/// How the value of an attribute is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeForm {
    Number,
    Address,
    Text,
    /// RFC 6759 §4: 8 bits of engine, then the selector.
    Application,
}

use AttributeForm::{Address, Application, Number};

/// Private enterprise number of Antrea (vmware/go-ipfix).
const PEN_ANTREA: u32 = 56_506;
/// Private enterprise number of ntop.
const PEN_NTOP: u32 = 35_632;

/// What the element says, if it is an attribute.
pub(crate) fn attribute(field: &Field) -> Option<(Attribute, AttributeForm)> {
    match field.enterprise {
        0 => iana(field.id),
        PEN_ANTREA => antrea(field.id),
        // L7_PROTO_NAME of nProbe; in NetFlow v9 below.
        PEN_NTOP if field.id == 119 => Some((Attribute::ApplicationName, AttributeForm::Text)),
        _ => None,
    }
}

/// The IANA registry; above 32767, which IPFIX cannot have, what Cisco's ASA (its
/// NetFlow implementation guide) and nProbe send by NetFlow v9.
fn iana(id: u16) -> Option<(Attribute, AttributeForm)> {
    Some(match id {
        225 | 281 | 40_001 => (Attribute::NatSrcAddr, Address),
        226 | 282 | 40_002 => (Attribute::NatDstAddr, Address),
        227 | 40_003 => (Attribute::NatSrcPort, Number),
        228 | 40_004 => (Attribute::NatDstPort, Number),
        230 => (Attribute::NatEvent, Number),
        15 | 62 => (Attribute::NextHop, Address),
        18 | 63 => (Attribute::BgpNextHop, Address),
        16 => (Attribute::SrcAs, Number),
        17 => (Attribute::DstAs, Number),
        9 | 29 => (Attribute::SrcPrefixLen, Number),
        13 | 30 => (Attribute::DstPrefixLen, Number),
        234 => (Attribute::IngressVrf, Number),
        235 => (Attribute::EgressVrf, Number),
        95 => (Attribute::ApplicationId, Application),
        96 | 57_591 => (Attribute::ApplicationName, AttributeForm::Text),
        371 | 40_000 => (Attribute::UserName, AttributeForm::Text),
        89 => (Attribute::ForwardingStatus, Number),
        233 | 40_005 => (Attribute::FirewallEvent, Number),
        148 => (Attribute::FlowId, Number),
        _ => return None,
    })
}

/// Antrea's registry (vmware/go-ipfix `registry_antrea.csv`).
fn antrea(id: u16) -> Option<(Attribute, AttributeForm)> {
    let text = match id {
        100 => Attribute::SrcPodNamespace,
        101 => Attribute::SrcPodName,
        102 => Attribute::DstPodNamespace,
        103 => Attribute::DstPodName,
        104 => Attribute::SrcNodeName,
        105 => Attribute::DstNodeName,
        109 => Attribute::DstServicePortName,
        110 => Attribute::IngressPolicyName,
        111 => Attribute::IngressPolicyNamespace,
        112 => Attribute::EgressPolicyName,
        113 => Attribute::EgressPolicyNamespace,
        136 => Attribute::TcpState,
        141 => Attribute::IngressPolicyRule,
        142 => Attribute::EgressPolicyRule,
        143 => Attribute::SrcPodLabels,
        144 => Attribute::DstPodLabels,
        158 => Attribute::ClusterId,
        106 | 107 | 168 | 169 => return Some((Attribute::DstServiceAddr, Address)),
        108 => return Some((Attribute::DstServicePort, Number)),
        139 => return Some((Attribute::IngressPolicyAction, Number)),
        140 => return Some((Attribute::EgressPolicyAction, Number)),
        _ => return None,
    };
    Some((text, AttributeForm::Text))
}

impl AttributeForm {
    /// Whether a value of `width` octets can be one.
    pub(crate) fn fits(self, width: u16) -> bool {
        match self {
            Self::Number => (1..=8).contains(&width),
            Self::Address => width == 4 || width == 16,
            Self::Text => true,
            Self::Application => (2..=9).contains(&width),
        }
    }

    /// The value, if it says something.
    fn value(self, bytes: &[u8]) -> Option<AttributeValue> {
        match self {
            Self::Number => {
                let number = store::integer(bytes).filter(|number| *number != 0);
                number.map(AttributeValue::Unsigned)
            }
            Self::Address => {
                let address = store::ip_address(bytes).filter(|address: &IpAddr| !address.is_unspecified());
                address.map(AttributeValue::Address)
            }
            Self::Text => {
                let text = Text::from_wire(bytes);
                (!text.is_empty()).then_some(AttributeValue::Text(text))
            }
            Self::Application => {
                let (engine, selector) = bytes.split_first()?;
                let selector = store::integer(selector)?;
                let is_said = *engine != 0 || selector != 0;
                let text = is_said.then(|| format!("{engine}:{selector}"));
                text.map(|text| AttributeValue::Text(Text::from(text.as_str())))
            }
        }
    }
}

/// Puts an attribute into a record.
pub(crate) fn put(record: &mut Record, attribute: Attribute, form: AttributeForm, bytes: &[u8]) {
    if let Some(value) = form.value(bytes) {
        record.attributes.set(attribute, value);
    }
}
