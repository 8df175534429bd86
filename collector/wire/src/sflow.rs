//! sFlow v5 (sflow.org/sflow_version_5.txt): datagrams, flow samples and discarded
//! packets. Owns the step from a sample to a record; what a port or a datapath counts
//! is `counters`' business.
//!
//! Everything has its length in front, so what is not known is stepped over.

use std::net::IpAddr;

use crate::clock;
use crate::counters;
use crate::decoder::Summary;
use crate::flow_parts::Parts;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::{PacketSample, Record, SampledInterface};
use crate::reject::Reject;

/// A packet that was discarded, with the reason (sflow.org/sflow_drops.txt): sample
/// format 5. It is told for its own sake, and is no sample of the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discard {
    /// Why: below 256 an ICMP unreachable code, from 256 on sFlow's own.
    pub reason: u32,
    /// The packet. Its `sample` has no rate, no pool, and the discards that could not
    /// be told as its `drops`.
    pub packet: Record,
}

/// Decodes one datagram; its samples are dated `now_ms`. Octets after the last
/// sample are ignored.
pub(crate) fn decode(datagram: &[u8], now_ms: u64, out: &mut Vec<Record>) -> Result<Summary, Reject> {
    let mut reader = Reader::new(datagram);
    let export_ns = clock::from_milliseconds(now_ms).unwrap_or(u64::MAX);
    let mut summary = Summary::new(Protocol::Sflow5, export_ns);
    let _version = reader.u32()?;
    let agent = address(&mut reader)?;
    let sub_agent = reader.u32()?;
    (summary.agent, summary.sub_agent) = (agent, sub_agent);
    summary.sequence = reader.u32()?;
    let _uptime = reader.u32()?;
    let samples = reader.u32()?;
    let context = Context {
        agent,
        sub_agent,
        export_ns,
    };
    for _ in 0..samples {
        let format = reader.u32()?;
        let length = padded(reader.u32()?);
        context.sample(format, reader.part(length)?, &mut summary, out)?;
    }
    Ok(summary)
}

/// What all samples of a datagram share.
pub(crate) struct Context {
    pub agent: Option<IpAddr>,
    pub sub_agent: u32,
    export_ns: u64,
}

impl Context {
    fn sample(
        &self,
        format: u32,
        mut body: Reader<'_>,
        summary: &mut Summary,
        out: &mut Vec<Record>,
    ) -> Result<(), Reject> {
        match format {
            1 | 3 => {
                let sample = flow_sample(&mut body, format == 3)?;
                out.push(self.record(sample));
                if let Some(record) = out.last_mut() {
                    read_parts(&mut body, record)?;
                }
                summary.records += 1;
            }
            2 | 4 => {
                summary.counter_samples += 1;
                summary
                    .counters
                    .push(counters::read(&mut body, format == 4, self)?);
            }
            5 => {
                let (reason, sample) = discard(&mut body)?;
                let mut packet = self.record(sample);
                read_parts(&mut body, &mut packet)?;
                summary.discards.push(Discard { reason, packet });
            }
            _ => summary.other_samples += 1,
        }
        Ok(())
    }

    fn record(&self, sample: PacketSample) -> Record {
        Record {
            agent: self.agent,
            sub_agent: Some(self.sub_agent),
            sampling: (sample.rate > 0).then_some(sample.rate),
            in_if: sample.input.if_index(),
            out_if: sample.output.if_index(),
            start_ns: Some(self.export_ns),
            end_ns: Some(self.export_ns),
            sample: Some(sample),
            ..Record::new(Protocol::Sflow5, self.export_ns)
        }
    }
}

/// The type of an address and the address. Unknown ones have no octets.
fn address(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, Reject> {
    Ok(match reader.u32()? {
        1 => Some(IpAddr::from(reader.array::<4>()?)),
        2 => Some(IpAddr::from(reader.array::<16>()?)),
        _ => None,
    })
}

/// Class and index of a data source: in one word (8 and 24 bits) or in two.
pub(crate) fn source(reader: &mut Reader<'_>, expanded: bool) -> Result<(u32, u32), Reject> {
    let word = reader.u32()?;
    if expanded {
        return Ok((word, reader.u32()?));
    }
    Ok((word >> 24, word & 0x00ff_ffff))
}

/// An interface: in one word (2 bits of format, 30 of value) or in two.
fn interface(reader: &mut Reader<'_>, expanded: bool) -> Result<SampledInterface, Reject> {
    let word = reader.u32()?;
    let (format, value) = if expanded {
        (word, reader.u32()?)
    } else {
        (word >> 30, word & 0x3fff_ffff)
    };
    Ok(SampledInterface { format, value })
}

fn flow_sample(body: &mut Reader<'_>, expanded: bool) -> Result<PacketSample, Reject> {
    let sequence = body.u32()?;
    let (source_type, source_index) = source(body, expanded)?;
    Ok(PacketSample {
        sequence,
        source_type,
        source_index,
        rate: body.u32()?,
        pool: body.u32()?,
        drops: body.u32()?,
        input: interface(body, expanded)?,
        output: interface(body, expanded)?,
        ..PacketSample::default()
    })
}

fn discard(body: &mut Reader<'_>) -> Result<(u32, PacketSample), Reject> {
    let sequence = body.u32()?;
    let (source_type, source_index) = source(body, true)?;
    let drops = body.u32()?;
    let if_index = |value| SampledInterface {
        format: SampledInterface::SINGLE,
        value,
    };
    let sample = PacketSample {
        sequence,
        source_type,
        source_index,
        drops,
        input: if_index(body.u32()?),
        output: if_index(body.u32()?),
        ..PacketSample::default()
    };
    Ok((body.u32()?, sample))
}

/// The parts of a flow sample: what is known of the packet.
fn read_parts(body: &mut Reader<'_>, record: &mut Record) -> Result<(), Reject> {
    let mut parts = Parts::default();
    for _ in 0..body.u32()? {
        let format = body.u32()?;
        let length = padded(body.u32()?);
        parts.read(format, body.part(length)?, record)?;
    }
    parts.fill_gaps(record);
    Ok(())
}

/// XDR fills opaque data up to four octets (RFC 4506 §4.10).
pub(crate) fn padded(length: u32) -> usize {
    usize::try_from(length)
        .unwrap_or(usize::MAX)
        .checked_next_multiple_of(4)
        .unwrap_or(usize::MAX)
}
