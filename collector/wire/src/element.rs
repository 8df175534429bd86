//! Information elements: which of them become which field of a record. The
//! only place that knows element numbers on the way in (RFC 7012 and the IANA
//! registry; RFC 3954 §8 for the NetFlow v9 numbers, the same below 128).

use crate::attribute::Attribute;
use crate::options::Item;
use crate::ovs::PEN_VMWARE;
use crate::template::Field;

pub(crate) mod attributes;
mod notes;

use attributes::AttributeForm;
pub(crate) use notes::{Icmp, IcmpFamily, Layered, Note, Reverse, Section, icmp, layered};
use notes::{note, reverse};

/// Where the value of one template field goes, by the shape of the value. Its kind is an
/// octet of its own: it is looked at for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Target {
    /// Nowhere: unknown, unused or of a width that the element cannot have.
    Skip,
    Wide(Wide),
    Number(Number),
    Octet(Octet),
    Address(Address),
    Mac(Side),
    Text(Name),
    Time(Side, TimeForm),
    /// What stands for another element where that says nothing.
    Spare(Spare),
    Attribute(Attribute, AttributeForm),
    Note(Note),
    /// A value of an options record.
    Option(Item),
}

/// Fields of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    Octets,
    Packets,
    /// As `Octets`, from a running total.
    OctetsTotal,
    PacketsTotal,
    L2Octets,
    DroppedOctets,
    DroppedPackets,
    MinIpLen,
    MaxIpLen,
    ObservationPoint,
    TunnelKey,
    Selector,
}

/// Fields of 16 and 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    SrcPort,
    DstPort,
    TcpFlags,
    Vlan,
    DstVlan,
    EtherType,
    EthernetHeaderLen,
    TunnelSrcPort,
    TunnelDstPort,
    InIf,
    OutIf,
    FlowLabel,
    /// IE 32 and 139: type and code in one number.
    IcmpTypeCode,
}

/// Fields of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Octet {
    Protocol,
    IpVersion,
    Tos,
    Dscp,
    Ttl,
    IcmpType,
    IcmpCode,
    VlanPriority,
    Direction,
    EndReason,
    EngineType,
    EngineId,
    TunnelType,
    TunnelProtocol,
}

/// Address fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    Src,
    Dst,
    TunnelSrc,
    TunnelDst,
}

/// Source or destination, start or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

/// String fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    InIf,
    InIfDescription,
    OutIf,
    OutIfDescription,
    VirtualObsId,
}

/// Elements that stand for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// IE 81 postSourceMacAddress, IE 57 postDestinationMacAddress.
    Mac(Side),
    /// IE 252 ingressPhysicalInterface, IE 253 egressPhysicalInterface.
    Interface(Side),
    /// IE 180 to 183: ports of UDP or TCP alone.
    Port(Side),
    /// IE 193 nextHeaderIPv6.
    Protocol,
}

/// How a time is written (RFC 7011 §6.1.7 to 6.1.10, RFC 7012), the coarsest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimeForm {
    Seconds,
    /// Milliseconds of the exporter's uptime.
    Uptime,
    Milliseconds,
    /// Microseconds before the export time.
    DeltaMicroseconds,
    /// Microseconds and nanoseconds share the 64-bit NTP form.
    NtpMicroseconds,
    Ntp,
}

/// Enterprise number of the reverse half of a biflow (RFC 5103 §6.1).
pub(crate) const PEN_REVERSE: u32 = 29_305;

/// Whether the field is a list (RFC 6313 §4.5: basicList, subTemplateList,
/// subTemplateMultiList).
pub(crate) fn is_structured(field: &Field) -> bool {
    field.enterprise == 0 && (291..=293).contains(&field.id)
}

/// Where `field` goes, seen alone ([`crate::plan`] sees the template). `occurrence`
/// counts earlier fields of the template with the same element: OVS egress templates
/// repeat 82 and 83 for the second interface; of anything else the first
/// (RFC 7011 §8: the outermost) is taken.
pub(crate) fn target(field: &Field, occurrence: usize) -> Target {
    let target = match (field.enterprise, occurrence) {
        (0, 0) => iana(field.id),
        (0, 1) => match field.id {
            82 => Target::Text(Name::OutIf),
            83 => Target::Text(Name::OutIfDescription),
            _ => Target::Skip,
        },
        (PEN_VMWARE, 0) => vmware(field.id),
        (PEN_REVERSE, 0) => reverse(field.id),
        _ => Target::Skip,
    };
    let target = match (target, attributes::attribute(field)) {
        (Target::Skip, Some((attribute, form))) if occurrence == 0 => Target::Attribute(attribute, form),
        (target, _) => target,
    };
    if field.is_variable() || fits(target, field.width) {
        target
    } else {
        Target::Skip
    }
}

fn iana(id: u16) -> Target {
    match id {
        1 | 2 | 23 | 24 | 25 | 26 | 48 | 85 | 86 | 132 | 133 | 138 | 171 | 172 | 231 | 298 | 302 | 352
        | 353 => iana_wide(id),
        6 | 7 | 10 | 11 | 14 | 31 | 32 | 58 | 59 | 139 | 240 | 243 | 254 | 256 => iana_number(id),
        4 | 5 | 38 | 39 | 60 | 61 | 136 | 176..=179 | 192 | 195 | 244 => iana_octet(id),
        8 | 27 => Target::Address(Address::Src),
        12 | 28 => Target::Address(Address::Dst),
        56 => Target::Mac(Side::First),
        80 => Target::Mac(Side::Second),
        82 => Target::Text(Name::InIf),
        83 => Target::Text(Name::InIfDescription),
        150 | 152 | 154 | 156 | 158 => Target::Time(Side::First, time_form(id)),
        151 | 153 | 155 | 157 | 159 => Target::Time(Side::Second, time_form(id)),
        57 | 81 | 180..=183 | 193 | 252 | 253 => spare(id),
        _ => note(id).map_or(Target::Skip, Target::Note),
    }
}

fn spare(id: u16) -> Target {
    Target::Spare(match id {
        81 => Spare::Mac(Side::First),
        57 => Spare::Mac(Side::Second),
        252 => Spare::Interface(Side::First),
        253 => Spare::Interface(Side::Second),
        180 | 182 => Spare::Port(Side::First),
        181 | 183 => Spare::Port(Side::Second),
        _ => Spare::Protocol,
    })
}

fn iana_wide(id: u16) -> Target {
    Target::Wide(match id {
        1 | 23 | 231 => Wide::Octets,
        2 | 24 | 298 => Wide::Packets,
        25 => Wide::MinIpLen,
        26 => Wide::MaxIpLen,
        48 | 302 => Wide::Selector,
        85 | 171 => Wide::OctetsTotal,
        86 | 172 => Wide::PacketsTotal,
        132 => Wide::DroppedOctets,
        133 => Wide::DroppedPackets,
        138 => Wide::ObservationPoint,
        352 | 353 => Wide::L2Octets,
        _ => return Target::Skip,
    })
}

fn iana_number(id: u16) -> Target {
    Target::Number(match id {
        6 => Number::TcpFlags,
        7 => Number::SrcPort,
        10 => Number::InIf,
        11 => Number::DstPort,
        14 => Number::OutIf,
        31 => Number::FlowLabel,
        32 | 139 => Number::IcmpTypeCode,
        58 | 243 => Number::Vlan,
        59 | 254 => Number::DstVlan,
        240 => Number::EthernetHeaderLen,
        256 => Number::EtherType,
        _ => return Target::Skip,
    })
}

fn iana_octet(id: u16) -> Target {
    Target::Octet(match id {
        4 => Octet::Protocol,
        5 => Octet::Tos,
        38 => Octet::EngineType,
        39 => Octet::EngineId,
        60 => Octet::IpVersion,
        61 => Octet::Direction,
        136 => Octet::EndReason,
        176 | 178 => Octet::IcmpType,
        177 | 179 => Octet::IcmpCode,
        192 => Octet::Ttl,
        195 => Octet::Dscp,
        244 => Octet::VlanPriority,
        _ => return Target::Skip,
    })
}

fn time_form(id: u16) -> TimeForm {
    match id {
        150 | 151 => TimeForm::Seconds,
        152 | 153 => TimeForm::Milliseconds,
        154 | 155 => TimeForm::NtpMicroseconds,
        158 | 159 => TimeForm::DeltaMicroseconds,
        _ => TimeForm::Ntp,
    }
}

/// The elements of OVS's `ipfix-enterprise-entities.def`.
fn vmware(id: u16) -> Target {
    match id {
        891 => Target::Octet(Octet::TunnelType),
        892 => Target::Wide(Wide::TunnelKey),
        893 => Target::Address(Address::TunnelSrc),
        894 => Target::Address(Address::TunnelDst),
        895 => Target::Octet(Octet::TunnelProtocol),
        896 => Target::Number(Number::TunnelSrcPort),
        897 => Target::Number(Number::TunnelDstPort),
        898 => Target::Text(Name::VirtualObsId),
        _ => Target::Skip,
    }
}

/// Whether a value of `width` octets can be one for `target`. Integers come in
/// any width up to 8 (RFC 7011 §6.2).
fn fits(target: Target, width: u16) -> bool {
    let is_integer = (1..=8).contains(&width);
    match target {
        Target::Skip => false,
        Target::Text(_) | Target::Option(_) => true,
        Target::Wide(_) | Target::Number(_) | Target::Octet(_) => is_integer,
        Target::Address(_) => width == 4 || width == 16,
        Target::Mac(_) | Target::Spare(Spare::Mac(_)) => width == 6,
        Target::Spare(_) => is_integer,
        Target::Attribute(_, form) => form.fits(width),
        Target::Time(_, form) => fits_time(form, width),
        Target::Note(note) => match note {
            Note::Time(_, form) | Note::Observed(form) | Note::Reverse(Reverse::Time(_, form)) => {
                fits_time(form, width)
            }
            Note::Section(Section::Ip | Section::Frame) => width > 0,
            Note::MplsLabel(_) => width == 3 || width == 4,
            _ => is_integer,
        },
    }
}

fn fits_time(form: TimeForm, width: u16) -> bool {
    match form {
        TimeForm::Ntp | TimeForm::NtpMicroseconds => width == 8,
        _ => (1..=8).contains(&width),
    }
}
