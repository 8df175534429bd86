//! The extensions of an sFlow flow sample (sflow_version_5.txt §5.3) that say what the
//! exporter knows of the packet beside its headers: routing, translation, users. One
//! that is not as it should be says nothing, and spoils nothing of the sample.

use std::net::IpAddr;

use crate::attribute::{Attribute, AttributeValue};
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::sflow::{address, padded};
use crate::text::Text;

/// Reads one extension; an unknown one is left alone.
pub(crate) fn read(format: u32, body: &mut Reader<'_>, record: &mut Record) {
    // What is whole of one that is cut short is as good as in any other.
    let _ = match format {
        1002 => router(body, record),
        1003 => gateway(body, record),
        1004 => user(body, record),
        1007 => nat(body, record),
        1020 => nat_ports(body, record),
        _ => Ok(()),
    };
}

fn router(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    set_address(record, Attribute::NextHop, address(body)?);
    for attribute in [Attribute::SrcPrefixLen, Attribute::DstPrefixLen] {
        let bits = body.u32()?;
        if bits <= 128 {
            set_number(record, attribute, bits);
        }
    }
    Ok(())
}

/// AS numbers are 0 where the exporter's own AS is meant, or none is known. The last of
/// the path to the destination is the destination's.
fn gateway(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    set_address(record, Attribute::BgpNextHop, address(body)?);
    let _own_as = body.u32()?;
    let src_as = body.u32()?;
    let _src_peer_as = body.u32()?;
    if src_as != 0 {
        set_number(record, Attribute::SrcAs, src_as);
    }
    let mut dst_as = None;
    for _ in 0..body.u32()? {
        let _segment_type = body.u32()?;
        for _ in 0..body.u32()? {
            dst_as = Some(body.u32()?);
        }
    }
    if let Some(dst_as) = dst_as.filter(|&dst_as| dst_as != 0) {
        set_number(record, Attribute::DstAs, dst_as);
    }
    Ok(())
}

/// The source's user, else the destination's.
fn user(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    for _ in 0..2 {
        let _charset = body.u32()?;
        let length = body.u32()?;
        let mut opaque = body.part(padded(length))?;
        let name = Text::from_wire(opaque.take(usize::try_from(length).unwrap_or(usize::MAX))?);
        if !name.is_empty() {
            let name = AttributeValue::Text(name);
            record.attributes.set(Attribute::UserName, name);
            break;
        }
    }
    Ok(())
}

fn nat(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    set_address(record, Attribute::NatSrcAddr, address(body)?);
    set_address(record, Attribute::NatDstAddr, address(body)?);
    Ok(())
}

fn nat_ports(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    for attribute in [Attribute::NatSrcPort, Attribute::NatDstPort] {
        let port = body.u32()?;
        if u16::try_from(port).is_ok() {
            set_number(record, attribute, port);
        }
    }
    Ok(())
}

fn set_number(record: &mut Record, attribute: Attribute, value: u32) {
    let value = AttributeValue::Unsigned(value.into());
    record.attributes.set(attribute, value);
}

/// All zeros are no address.
fn set_address(record: &mut Record, attribute: Attribute, value: Option<IpAddr>) {
    if let Some(value) = value.filter(|value| !value.is_unspecified()) {
        record.attributes.set(attribute, AttributeValue::Address(value));
    }
}
