//! Writes a seed corpus for each target: `seeds FOLDER`. The seeds are the capture
//! of a real Open vSwitch, thinned, and what the load generator makes.

#[allow(dead_code)]
#[path = "../../collector/wire/tests/pcap/mod.rs"]
mod pcap;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weir_load::{Generator, Nuisance, Plan, Random, Traffic};
use wire::{Archive, Decoder, Limits, Protocol, sniff};

/// Of the capture's many datagrams alike, each so-manieth is enough.
const EACH: usize = 40;

/// Inputs of the structured targets.
const CHOICES: usize = 256;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let captured: Vec<_> = pcap::datagrams()
        .into_iter()
        .enumerate()
        .filter(|(number, datagram)| number % EACH == 0 || has_templates(&datagram.payload))
        .map(|(_, datagram)| datagram.payload)
        .collect();
    let made = made();
    let whole = joined(&made);
    let all: Vec<_> = captured
        .into_iter()
        .chain(made)
        .chain(whole)
        .chain(hostile())
        .collect();
    for protocol in Protocol::ALL {
        assert!(
            all.iter().any(|datagram| is_read(datagram, protocol)),
            "no seed of {protocol} yields records"
        );
    }
    for (number, datagram) in all.iter().enumerate() {
        let Ok(protocol) = sniff(datagram) else { continue };
        let version = if protocol == Protocol::Sflow5 { 4 } else { 2 };
        write(&folder, protocol.as_str(), number, &datagram[version..])?;
    }
    let ipfix: Vec<_> = all
        .iter()
        .filter(|datagram| sniff(datagram) == Ok(Protocol::Ipfix))
        .collect();
    for (number, messages) in ipfix.chunks(6).enumerate() {
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| message.iter().copied())
            .collect();
        write(&folder, "stream", number, &[&[7], &stream[..]].concat())?;
    }
    for (number, datagrams) in all.chunks(40).enumerate() {
        write(&folder, "archive", number, &archive(datagrams))?;
    }
    for (number, datagrams) in all.chunks(12).enumerate() {
        let sequence: Vec<_> = (0u8..)
            .zip(datagrams)
            .map(|(place, d)| (place % 3, place % 2, d.clone()))
            .collect();
        write(&folder, "session", number, &weir_fuzz::join(&sequence))?;
    }
    for target in ["structured", "structured_stream"] {
        for number in 0..CHOICES {
            write(&folder, target, number, &choices(number))?;
        }
    }
    Ok(())
}

/// Bytes by which a structured target chooses: any will do, more make more messages.
fn choices(number: usize) -> Vec<u8> {
    let mut bytes = vec![0; 64 << (number % 7)];
    Random::new(number as u64 + 1).fill(&mut bytes);
    bytes
}

/// Whether the datagram alone makes records of the protocol, so that a target that
/// knows nothing else gets as far as them. What is assumed of OVS does not count.
fn is_read(datagram: &[u8], protocol: Protocol) -> bool {
    let limits = Limits {
        assume_ovs: false,
        ..weir_fuzz::limits()
    };
    let summary = Decoder::new(limits).decode(weir_fuzz::session(1), 1_000, datagram, &mut Vec::new());
    summary.is_ok_and(|summary| summary.protocol == protocol && summary.records > 0)
}

/// Templates and the data of them in one message.
fn joined(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut joined = Vec::new();
    for (protocol, header) in [(Protocol::Ipfix, 16), (Protocol::NetFlow9, 20)] {
        let of_protocol = datagrams
            .iter()
            .filter(|datagram| sniff(datagram) == Ok(protocol));
        let of_protocol: Vec<_> = of_protocol.collect();
        for (first, second) in of_protocol.iter().zip(of_protocol.iter().skip(1)) {
            let mut message = [first, &second[header..]].concat();
            if protocol == Protocol::Ipfix {
                let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
                message[2..4].copy_from_slice(&length.to_be_bytes());
            }
            joined.push(message);
        }
    }
    joined
}

fn has_templates(datagram: &[u8]) -> bool {
    datagram.starts_with(&[0, 10]) && matches!(datagram.get(17), Some(2 | 3))
}

fn write(folder: &Path, target: &str, number: usize, octets: &[u8]) -> io::Result<()> {
    let folder = folder.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{number:04}")), octets)
}

/// Templates and records of all protocols.
fn made() -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for traffic in Traffic::FRIENDLY {
        let mut generator = Generator::new(Plan {
            traffic,
            exporters: 1,
            flows: 10,
            seed: 1,
            start_secs: 1,
        });
        let templates = generator.templates(0, 1).cards.to_vec();
        let records = generator.run(6, u64::MAX, 1).cards.to_vec();
        datagrams.extend(
            templates
                .iter()
                .chain(&records)
                .map(|card| card.octets().to_vec()),
        );
    }
    datagrams
}

/// What these datagrams teach.
fn archive(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut decoder = Decoder::default();
    for datagram in datagrams {
        // Only what it teaches counts here.
        let _ = decoder.decode(weir_fuzz::session(1), 1_000, datagram, &mut Vec::new());
    }
    let mut archive = Archive::default();
    let learned = decoder.take_learned(1_000);
    learned.into_iter().for_each(|learned| archive.merge(learned));
    archive.encode()
}

fn hostile() -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let mut three = |nuisance: Nuisance| [(); 3].map(|()| nuisance.card(&mut random).octets().to_vec());
    Nuisance::ALL.into_iter().flat_map(&mut three).collect()
}
