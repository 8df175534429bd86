//! Writes a seed corpus for each target: `seeds FOLDER`. The seeds are the capture
//! of a real Open vSwitch, thinned, and what the load generator makes.

#[allow(dead_code)]
#[path = "../../collector/wire/tests/pcap/mod.rs"]
mod pcap;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weir_load::{Generator, Nuisance, Plan, Random, Traffic};
use wire::{Protocol, sniff};

/// Of the capture's many datagrams alike, each so-manieth is enough.
const EACH: usize = 40;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let captured: Vec<_> = pcap::datagrams()
        .into_iter()
        .enumerate()
        .filter(|(number, datagram)| number % EACH == 0 || has_templates(&datagram.payload))
        .map(|(_, datagram)| datagram.payload)
        .collect();
    let all: Vec<_> = captured.into_iter().chain(made()).chain(hostile()).collect();
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
    for (number, datagrams) in all.chunks(12).enumerate() {
        let sequence: Vec<_> = (0u8..)
            .zip(datagrams)
            .map(|(place, d)| (place % 3, place % 2, d.clone()))
            .collect();
        write(&folder, "session", number, &weir_fuzz::join(&sequence))?;
    }
    Ok(())
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

fn hostile() -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let mut three = |nuisance: Nuisance| [(); 3].map(|()| nuisance.card(&mut random).octets().to_vec());
    Nuisance::ALL.into_iter().flat_map(&mut three).collect()
}
