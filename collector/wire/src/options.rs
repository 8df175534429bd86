//! Options data: what an exporter says about itself and its sampling. Owns the
//! elements that options records are read for; flow records are `element`'s. Nothing
//! is applied here: what a sampler means for a record is the collector's business.

use crate::protocol::Protocol;
use crate::sampling::{self, SamplingElement, SamplingElements};
use crate::store;
use crate::template::{Definition, Field};
use crate::text::Text;

/// One options data record that says something we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsRecord {
    /// The format it came in.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id.
    pub observation_domain: u32,
    /// When the exporter sent it, ns since the epoch UTC.
    pub export_ns: u64,
    /// What it says.
    pub content: Options,
}

/// What an options data record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// How packets are sampled.
    Sampling(Sampling),
    /// How much an exporting process could not send.
    Statistics(Statistics),
    /// What an enterprise's element is (RFC 5610).
    Element(ElementType),
    /// What an interface is called.
    Interface(InterfaceName),
}

/// A sampler: all of the exporter's when neither `selector` nor `interface` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampling {
    /// IE 302 selectorId, NetFlow v9 FLOW_SAMPLER_ID (48). Records name theirs in
    /// [`crate::Record::selector`].
    pub selector: Option<u64>,
    /// The interface it is for: IE 10 or a NetFlow v9 interface scope.
    pub interface: Option<u32>,
    /// Algorithm as it was sent: IE 304, or 35 and 49 in NetFlow v9.
    pub algorithm: Option<u16>,
    /// Packets taken in a row, or of a population: at least 1.
    pub taken: u64,
    /// Packets of which they are taken: at least `taken`.
    pub out_of: u64,
}

impl Sampling {
    /// One of so many packets is taken, rounded to the nearest number.
    pub fn rate(&self) -> u32 {
        sampling::rate((self.taken, self.out_of))
    }
}

/// Exporting process statistics, as in OVS's template 462.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// IE 144 exportingProcessId.
    pub exporting_process: Option<u64>,
    /// IE 167 notSentPacketTotalCount.
    pub not_sent_packets: u64,
}

/// The type of an information element (RFC 5610 §3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElementType {
    /// IE 346 privateEnterpriseNumber.
    pub enterprise: u32,
    /// IE 303 informationElementId.
    pub id: u16,
    /// IE 339 informationElementDataType.
    pub data_type: Option<u8>,
    /// IE 341 informationElementName.
    pub name: Text,
}

/// What an interface is called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceName {
    /// Its number: IE 10 or a NetFlow v9 interface scope.
    pub interface: u32,
    /// IE 142 portId.
    pub port: Option<u32>,
    /// IE 82 interfaceName.
    pub name: Text,
    /// IE 83 interfaceDescription.
    pub description: Text,
}

/// Where a value of an options record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Selector,
    Interface,
    /// IE 35 and 49, whose numbers are those of NetFlow v9.
    NetFlow9Algorithm,
    Sampling(SamplingElement),
    ExportingProcess,
    NotSentPackets,
    ElementEnterprise,
    ElementId,
    ElementDataType,
    ElementName,
    Port,
    InterfaceName,
    InterfaceDescription,
}

/// Where each field of an options template goes. NetFlow v9 has its own numbers for
/// scopes, of which 2 is the interface (RFC 3954 §6.1).
pub(crate) fn target(definition: &Definition<'_>, number: usize, field: &Field) -> Option<Item> {
    if definition.protocol == Protocol::NetFlow9 && number < definition.scope {
        return (field.id == 2).then_some(Item::Interface);
    }
    if field.enterprise != 0 {
        return None;
    }
    if let Some(element) = sampling::element(field.id) {
        return Some(Item::Sampling(element));
    }
    Some(match field.id {
        48 | 302 => Item::Selector,
        10 => Item::Interface,
        35 | 49 => Item::NetFlow9Algorithm,
        144 => Item::ExportingProcess,
        167 => Item::NotSentPackets,
        346 => Item::ElementEnterprise,
        303 => Item::ElementId,
        339 => Item::ElementDataType,
        341 => Item::ElementName,
        142 => Item::Port,
        82 => Item::InterfaceName,
        83 => Item::InterfaceDescription,
        _ => return None,
    })
}

/// The values of one options record.
#[derive(Debug, Default)]
pub(crate) struct Values {
    selector: Option<u64>,
    interface: Option<u64>,
    algorithm: Option<u64>,
    sampling: SamplingElements,
    exporting_process: Option<u64>,
    not_sent_packets: Option<u64>,
    enterprise: Option<u64>,
    element: Option<u64>,
    data_type: Option<u64>,
    name: Text,
    port: Option<u64>,
    interface_name: Text,
    /// There, and perhaps empty.
    description: Option<Text>,
}

impl Values {
    pub(crate) fn put(&mut self, target: Item, octets: &[u8]) {
        let place = match target {
            Item::Selector => &mut self.selector,
            Item::Interface => &mut self.interface,
            Item::NetFlow9Algorithm => &mut self.algorithm,
            Item::Sampling(element) => {
                self.sampling.put(element, octets);
                if element != SamplingElement::Algorithm {
                    return;
                }
                &mut self.algorithm
            }
            Item::ExportingProcess => &mut self.exporting_process,
            Item::NotSentPackets => &mut self.not_sent_packets,
            Item::ElementEnterprise => &mut self.enterprise,
            Item::ElementId => &mut self.element,
            Item::ElementDataType => &mut self.data_type,
            Item::Port => &mut self.port,
            Item::ElementName => {
                self.name = Text::from_wire(octets);
                return;
            }
            Item::InterfaceName => {
                self.interface_name = Text::from_wire(octets);
                return;
            }
            Item::InterfaceDescription => {
                self.description = Some(Text::from_wire(octets));
                return;
            }
        };
        *place = store::integer(octets);
    }

    /// What they say together.
    pub(crate) fn content(self) -> Option<Options> {
        if let Some((taken, out_of)) = self.sampling.fraction() {
            return Some(Options::Sampling(Sampling {
                selector: self.selector,
                interface: self.interface.and_then(|number| u32::try_from(number).ok()),
                algorithm: self.algorithm.and_then(|number| u16::try_from(number).ok()),
                taken,
                out_of,
            }));
        }
        if let Some(not_sent_packets) = self.not_sent_packets {
            return Some(Options::Statistics(Statistics {
                exporting_process: self.exporting_process,
                not_sent_packets,
            }));
        }
        if let Some((interface, description)) = self.interface.zip(self.description) {
            return Some(Options::Interface(InterfaceName {
                interface: u32::try_from(interface).ok()?,
                port: self.port.and_then(|number| u32::try_from(number).ok()),
                name: self.interface_name,
                description,
            }));
        }
        Some(Options::Element(ElementType {
            id: u16::try_from(self.element?).ok()?,
            enterprise: u32::try_from(self.enterprise.unwrap_or(0)).ok()?,
            data_type: self.data_type.and_then(|kind| u8::try_from(kind).ok()),
            name: self.name,
        }))
    }
}
