//! sFlow counter samples (sflow_version_5.txt §5.4, sflow_openflow.txt,
//! sflow_host.txt; OVS's own in its `lib/sflow.h`): running totals that an exporter
//! tells about a port, about itself or about its datapath.

use std::net::IpAddr;

use crate::reader::Reader;
use crate::reject::Reject;
use crate::sflow::{Context, padded, source};
use crate::text::Text;

/// One counter sample. Numbers of 32 bits wrap; all ones stand for "not known".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// sFlow agent address.
    pub agent: Option<IpAddr>,
    /// sFlow sub-agent.
    pub sub_agent: u32,
    /// Number of this sample at its source.
    pub sequence: u32,
    /// Class of the data source (0 ifIndex, 1 VLAN, 2 physical entity).
    pub source_type: u32,
    /// Index of the data source in its class.
    pub source_index: u32,
    /// Block 1.
    pub interface: Option<InterfaceCounters>,
    /// Block 2.
    pub ethernet: Option<EthernetCounters>,
    /// Block 1004.
    pub openflow_port: Option<OpenFlowPort>,
    /// Block 1005: the port's name; empty when it was not told.
    pub port_name: Text,
    /// Block 2203.
    pub resources: Option<AppResources>,
    /// Block 2207.
    pub datapath: Option<OvsDatapath>,
    /// Blocks of other kinds, stepped over (OVS sends LACP's, 7).
    pub other_blocks: u32,
}

/// Generic interface counters, after RFC 2233. OVS knows neither unicast packets nor
/// unknown protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are those of the IF-MIB")]
pub struct InterfaceCounters {
    pub if_index: u32,
    pub if_type: u32,
    /// Bits per second.
    pub speed: u64,
    /// 0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out.
    pub direction: u32,
    /// Bit 0: administratively up; bit 1: operationally up.
    pub status: u32,
    pub in_octets: u64,
    pub in_unicast: u32,
    pub in_multicast: u32,
    pub in_broadcast: u32,
    pub in_discards: u32,
    pub in_errors: u32,
    pub in_unknown_protocols: u32,
    pub out_octets: u64,
    pub out_unicast: u32,
    pub out_multicast: u32,
    pub out_broadcast: u32,
    pub out_discards: u32,
    pub out_errors: u32,
    /// 1 promiscuous, 2 not.
    pub promiscuous: u32,
}

/// Ethernet interface counters, after RFC 2358.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are those of the EtherLike-MIB")]
pub struct EthernetCounters {
    pub alignment_errors: u32,
    pub fcs_errors: u32,
    pub single_collisions: u32,
    pub multiple_collisions: u32,
    pub sqe_test_errors: u32,
    pub deferred_transmissions: u32,
    pub late_collisions: u32,
    pub excessive_collisions: u32,
    pub internal_transmit_errors: u32,
    pub carrier_sense_errors: u32,
    pub frames_too_long: u32,
    pub internal_receive_errors: u32,
    pub symbol_errors: u32,
}

/// Which OpenFlow port the counters are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlowPort {
    /// The bridge.
    pub datapath_id: u64,
    /// The port's number there.
    pub port: u32,
}

/// What the exporting process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppResources {
    /// Time in user space, ms.
    pub user_ms: u32,
    /// Time in the kernel, ms.
    pub system_ms: u32,
    /// Memory in use, octets.
    pub memory_used: u64,
    /// Memory that may be used, octets.
    pub memory_max: u64,
    /// Open file descriptors.
    pub files_open: u32,
    /// File descriptors that may be open.
    pub files_max: u32,
    /// Open connections.
    pub connections_open: u32,
    /// Connections that may be open.
    pub connections_max: u32,
}

/// The datapath of Open vSwitch: where its packets found their flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OvsDatapath {
    /// Packets that matched a flow.
    pub hits: u32,
    /// Packets that did not, and went to ovs-vswitchd.
    pub misses: u32,
    /// Packets that were lost on the way there.
    pub lost: u32,
    /// Masks that were tried.
    pub mask_hits: u32,
    /// Flows now.
    pub flows: u32,
    /// Masks now.
    pub masks: u32,
}

/// Reads one counter sample.
pub(crate) fn read(body: &mut Reader<'_>, expanded: bool, context: &Context) -> Result<Counters, Reject> {
    let sequence = body.u32()?;
    let (source_type, source_index) = source(body, expanded)?;
    let mut counters = Counters {
        agent: context.agent,
        sub_agent: context.sub_agent,
        sequence,
        source_type,
        source_index,
        ..Counters::default()
    };
    for _ in 0..body.u32()? {
        let format = body.u32()?;
        let length = padded(body.u32()?);
        counters.block(format, &mut body.part(length)?)?;
    }
    Ok(counters)
}

impl Counters {
    fn block(&mut self, format: u32, body: &mut Reader<'_>) -> Result<(), Reject> {
        match format {
            1 => self.interface = Some(interface(body)?),
            2 => self.ethernet = Some(ethernet(body)?),
            1004 => {
                self.openflow_port = Some(OpenFlowPort {
                    datapath_id: body.u64()?,
                    port: body.u32()?,
                });
            }
            1005 => {
                let length = usize::try_from(body.u32()?).unwrap_or(usize::MAX);
                self.port_name = Text::from_wire(body.take(length)?);
            }
            2203 => self.resources = Some(resources(body)?),
            2207 => self.datapath = Some(datapath(body)?),
            _ => self.other_blocks += 1,
        }
        Ok(())
    }
}

fn interface(body: &mut Reader<'_>) -> Result<InterfaceCounters, Reject> {
    Ok(InterfaceCounters {
        if_index: body.u32()?,
        if_type: body.u32()?,
        speed: body.u64()?,
        direction: body.u32()?,
        status: body.u32()?,
        in_octets: body.u64()?,
        in_unicast: body.u32()?,
        in_multicast: body.u32()?,
        in_broadcast: body.u32()?,
        in_discards: body.u32()?,
        in_errors: body.u32()?,
        in_unknown_protocols: body.u32()?,
        out_octets: body.u64()?,
        out_unicast: body.u32()?,
        out_multicast: body.u32()?,
        out_broadcast: body.u32()?,
        out_discards: body.u32()?,
        out_errors: body.u32()?,
        promiscuous: body.u32()?,
    })
}

fn ethernet(body: &mut Reader<'_>) -> Result<EthernetCounters, Reject> {
    Ok(EthernetCounters {
        alignment_errors: body.u32()?,
        fcs_errors: body.u32()?,
        single_collisions: body.u32()?,
        multiple_collisions: body.u32()?,
        sqe_test_errors: body.u32()?,
        deferred_transmissions: body.u32()?,
        late_collisions: body.u32()?,
        excessive_collisions: body.u32()?,
        internal_transmit_errors: body.u32()?,
        carrier_sense_errors: body.u32()?,
        frames_too_long: body.u32()?,
        internal_receive_errors: body.u32()?,
        symbol_errors: body.u32()?,
    })
}

fn resources(body: &mut Reader<'_>) -> Result<AppResources, Reject> {
    Ok(AppResources {
        user_ms: body.u32()?,
        system_ms: body.u32()?,
        memory_used: body.u64()?,
        memory_max: body.u64()?,
        files_open: body.u32()?,
        files_max: body.u32()?,
        connections_open: body.u32()?,
        connections_max: body.u32()?,
    })
}

fn datapath(body: &mut Reader<'_>) -> Result<OvsDatapath, Reject> {
    Ok(OvsDatapath {
        hits: body.u32()?,
        misses: body.u32()?,
        lost: body.u32()?,
        mask_hits: body.u32()?,
        flows: body.u32()?,
        masks: body.u32()?,
    })
}
