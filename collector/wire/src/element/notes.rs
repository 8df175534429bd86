//! Elements that say something only together with others of the record: parts of times
//! and of samplers, the outer one of two headers, the other direction, sampled packets.

use super::{Side, Target, TimeForm, time_form};
use crate::sampling::{self, SamplingElement};
use crate::template::Field;

/// Values that only say something together with others of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// IE 22 and 21: ms of the exporter's uptime.
    Uptime(Side),
    /// IE 160: when the exporter started, ms since the epoch.
    SystemInit,
    /// One of several times of the same packet.
    Time(Side, TimeForm),
    /// IE 161 flowDurationMilliseconds.
    DurationMilliseconds,
    /// IE 162 flowDurationMicroseconds.
    DurationMicroseconds,
    /// IE 322 to 325: when the event was observed; IE 258: when the record was made.
    Observed(TimeForm),
    Sampling(SamplingElement),
    /// Of the outer header, where a template has two.
    Outer(Layered),
    /// One of several elements of ICMP.
    Icmp(Icmp),
    /// Of the packets that go the other way.
    Reverse(Reverse),
    Section(Section),
    /// IE 70 to 79: the label so many below the top.
    MplsLabel(u8),
}

/// What an encapsulated packet has twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layered {
    Src,
    Dst,
    SrcPort,
    DstPort,
    Protocol,
    IpVersion,
    Tos,
    Dscp,
    Ttl,
    FlowLabel,
    TcpFlags,
}

/// How type and code of ICMP (1) and ICMPv6 (58) are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icmp {
    /// IE 176, 178.
    Type(IcmpFamily),
    /// IE 177, 179.
    Code(IcmpFamily),
    /// IE 32, 139: both in one number.
    Both(IcmpFamily),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IcmpFamily {
    V4,
    V6,
}

/// What is told of the reverse direction of a flow (RFC 5103; IE 232 and 299).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reverse {
    Octets,
    Packets,
    L2Octets,
    TcpFlags,
    Tos,
    Ttl,
    Time(Side, TimeForm),
}

/// What is told of a sampled packet (RFC 5477 §8.3, RFC 7133).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// IE 313 ipHeaderPacketSection.
    Ip,
    /// IE 315 dataLinkFrameSection; IE 104 layer2packetSectionData.
    Frame,
    /// IE 312 dataLinkFrameSize.
    FrameSize,
    /// IE 408 dataLinkFrameType: 1 is Ethernet.
    FrameType,
    /// IE 409 sectionOffset, IE 102: where in the packet the section begins.
    Offset,
    /// IE 410 sectionExportedOctets, IE 103: octets of the section.
    Exported,
    /// IE 224 ipTotalLength.
    IpLength,
}

/// What an element of IANA says, if it is one of these.
pub(super) fn note(id: u16) -> Option<Note> {
    if let Some(element) = sampling::element(id) {
        return Some(Note::Sampling(element));
    }
    Some(match id {
        22 => Note::Uptime(Side::First),
        21 => Note::Uptime(Side::Second),
        160 => Note::SystemInit,
        161 => Note::DurationMilliseconds,
        162 => Note::DurationMicroseconds,
        322 => Note::Observed(TimeForm::Seconds),
        258 | 323 => Note::Observed(TimeForm::Milliseconds),
        324 => Note::Observed(TimeForm::NtpMicroseconds),
        325 => Note::Observed(TimeForm::Ntp),
        232 => Note::Reverse(Reverse::Octets),
        299 => Note::Reverse(Reverse::Packets),
        313 => Note::Section(Section::Ip),
        104 | 315 => Note::Section(Section::Frame),
        312 => Note::Section(Section::FrameSize),
        408 => Note::Section(Section::FrameType),
        102 | 409 => Note::Section(Section::Offset),
        103 | 410 => Note::Section(Section::Exported),
        224 => Note::Section(Section::IpLength),
        70..=79 => Note::MplsLabel((id - 70) as u8),
        _ => return None,
    })
}

/// Elements of the reverse direction have the numbers of the forward ones.
pub(super) fn reverse(id: u16) -> Target {
    Target::Note(Note::Reverse(match id {
        1 | 23 | 85 => Reverse::Octets,
        2 | 24 | 86 => Reverse::Packets,
        352 | 353 => Reverse::L2Octets,
        6 => Reverse::TcpFlags,
        5 => Reverse::Tos,
        192 => Reverse::Ttl,
        150 | 152 | 154 | 156 | 158 => Reverse::Time(Side::First, time_form(id)),
        151 | 153 | 155 | 157 | 159 => Reverse::Time(Side::Second, time_form(id)),
        _ => return Target::Skip,
    }))
}

/// What of an encapsulated packet the element says of either header.
pub(crate) fn layered(field: &Field) -> Option<Layered> {
    if field.enterprise != 0 {
        return None;
    }
    Some(match field.id {
        8 | 27 => Layered::Src,
        12 | 28 => Layered::Dst,
        7 => Layered::SrcPort,
        11 => Layered::DstPort,
        4 => Layered::Protocol,
        60 => Layered::IpVersion,
        5 => Layered::Tos,
        195 => Layered::Dscp,
        192 => Layered::Ttl,
        31 => Layered::FlowLabel,
        6 => Layered::TcpFlags,
        _ => return None,
    })
}

/// What of ICMP the element says.
pub(crate) fn icmp(field: &Field) -> Option<Icmp> {
    if field.enterprise != 0 {
        return None;
    }
    Some(match field.id {
        176 => Icmp::Type(IcmpFamily::V4),
        177 => Icmp::Code(IcmpFamily::V4),
        178 => Icmp::Type(IcmpFamily::V6),
        179 => Icmp::Code(IcmpFamily::V6),
        32 => Icmp::Both(IcmpFamily::V4),
        139 => Icmp::Both(IcmpFamily::V6),
        _ => return None,
    })
}
