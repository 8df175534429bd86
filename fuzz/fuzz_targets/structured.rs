//! Datagrams of several senders into one decoder, made to be valid: templates and data
//! under the ids of OVS and others, options, NetFlow v5, sFlow; hours pass.
#![no_main]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use weir_fuzz::exporter::{Exporter, damaged};
use weir_fuzz::{Decoding, frames};
use wire::Protocol;
use wire::encode::{Flow5, NetFlow5};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoding = Decoding::default();
    // What there is of the input is used up; its end is as good as any.
    let _ = run(&mut Unstructured::new(data), &mut decoding);
    decoding.end((0..20).map(sender));
});

/// Five hosts with four sessions each.
fn sender(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number % 5], 4739 + u16::from(number / 5)))
}

fn run(u: &mut Unstructured<'_>, decoding: &mut Decoding) -> Result<()> {
    let mut exporters = BTreeMap::new();
    let mut last = Vec::new();
    while !u.is_empty() {
        decoding.wait(u)?;
        let number = if u.ratio(7, 8)? {
            0
        } else {
            u.int_in_range(0..=19)?
        };
        let from = sender(number);
        let datagram = match u.int_in_range(0..=15)? {
            0 => {
                decoding.decoder.end_session(from);
                exporters.retain(|(of, _, _), _| *of != number);
                continue;
            }
            1 => {
                decoding.decoder.give_up_waiting();
                continue;
            }
            2 => last.clone(),
            3 => netflow5(u)?,
            4 | 5 => frames::datagram(u)?,
            kind => {
                let protocol = if kind > 6 {
                    Protocol::Ipfix
                } else {
                    Protocol::NetFlow9
                };
                let domain = *u.choose(&[0, 0, 0, 1])?;
                let exporter = exporters
                    .entry((number, protocol, domain))
                    .or_insert_with(|| Exporter::new(protocol, domain));
                exporter.message(u)?
            }
        };
        decoding.decode(from, &datagram);
        last = datagram;
    }
    Ok(())
}

fn netflow5(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let flow = |u: &mut Unstructured<'_>| {
        Ok(Flow5 {
            src: u.arbitrary()?,
            dst: u.arbitrary()?,
            input: u.arbitrary()?,
            output: u.arbitrary()?,
            packets: u.arbitrary()?,
            bytes: u.arbitrary()?,
            first_ms: u.arbitrary()?,
            last_ms: u.arbitrary()?,
            src_port: u.arbitrary()?,
            dst_port: u.arbitrary()?,
            tcp_flags: u.arbitrary()?,
            protocol: u.arbitrary()?,
            tos: u.arbitrary()?,
        })
    };
    let datagram = NetFlow5 {
        uptime_ms: u.arbitrary()?,
        unix_secs: u.arbitrary()?,
        unix_nsecs: u.arbitrary()?,
        sequence: u.arbitrary()?,
        engine_type: u.arbitrary()?,
        engine_id: u.arbitrary()?,
        sampling: u.arbitrary()?,
        flows: (0..u.int_in_range(0..=3)?)
            .map(|_| flow(u))
            .collect::<Result<_>>()?,
    };
    damaged(u, datagram.encode())
}
