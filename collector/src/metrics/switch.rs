//! What switches count themselves, of exporters that are known: per interface and
//! per datapath from sFlow counter samples, per exporting process from IPFIX options.
//! Owns the room that this takes; how it is shown is `show`'s.
//!
//! An interface, datapath or process that says nothing for [`FORGOTTEN_MS`] is
//! forgotten. From the [`MAX_SHOWN`] and first interface on they share
//! `interface="other"`; from the [`MAX_TRACKED`] and first on they are not counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use wire::{Counters, InterfaceCounters, Options, OptionsRecord, OvsDatapath};

use super::running::{Running, Width};
use weir_identity::exporters::Exporter;

mod show;

/// Interfaces that have series of their own.
const MAX_SHOWN: usize = 4_096;
/// Interfaces that are followed.
const MAX_TRACKED: usize = 65_536;
/// Octets of an interface's name; what is longer is cut. OVS's own have 15.
const MAX_NAME: usize = 64;
/// Datapaths, and exporting processes.
const MAX_OTHERS: usize = 4_096;
/// After so long without a word a source is forgotten.
const FORGOTTEN_MS: u64 = 600_000;

/// What is counted of an interface: octets, unicast, multicast and broadcast packets,
/// discards, errors; in, then out.
const INTERFACE: usize = 12;
const INTERFACE_WIDTHS: [Width; INTERFACE] = {
    let mut widths = [Width::Bits32; INTERFACE];
    widths[0] = Width::Bits64;
    widths[INTERFACE / 2] = Width::Bits64;
    widths
};
/// Hits, misses, lost, mask hits.
const DATAPATH: usize = 4;

/// All that switches tell.
#[derive(Debug, Default)]
pub struct Switches(Mutex<SwitchCounters>);

#[derive(Debug, Default)]
struct SwitchCounters {
    interfaces: HashMap<(Arc<str>, Box<str>), Interface>,
    shown: usize,
    /// What the interfaces that are not shown grew by.
    other: [u64; INTERFACE],
    has_other: bool,
    datapaths: HashMap<(Arc<str>, u32), Datapath>,
    processes: HashMap<(Arc<str>, u64), Process>,
    swept_ms: u64,
}

#[derive(Debug)]
struct Interface {
    counters: Running<INTERFACE>,
    is_up: bool,
    is_shown: bool,
    seen_ms: u64,
}

#[derive(Debug)]
struct Datapath {
    counters: Running<DATAPATH>,
    flows: u32,
    masks: u32,
    seen_ms: u64,
}

#[derive(Debug)]
struct Process {
    not_sent: Running<1>,
    messages: u32,
    seen_ms: u64,
}

impl Switches {
    /// Takes in the counter samples of one datagram.
    pub fn count(&self, exporter: &Exporter, samples: &[Counters], now_ms: u64) {
        if samples.is_empty() {
            return;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.sweep(now_ms);
        for sample in samples {
            if let Some(interface) = &sample.interface {
                told.interface(exporter, sample, interface, now_ms);
            }
            if let Some(datapath) = &sample.datapath {
                told.datapath(exporter, sample, datapath, now_ms);
            }
        }
    }

    /// Takes in the statistics in the options data of one datagram.
    pub fn learn(&self, exporter: &Exporter, options: &[OptionsRecord], now_ms: u64) {
        for record in options {
            if let Options::Statistics(statistics) = record.content {
                let process = statistics.exporting_process.unwrap_or(0);
                let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                told.sweep(now_ms);
                told.process(exporter, process, statistics.not_sent_packets, now_ms);
            }
        }
    }
}

impl SwitchCounters {
    fn interface(
        &mut self,
        exporter: &Exporter,
        sample: &Counters,
        counters: &InterfaceCounters,
        now_ms: u64,
    ) {
        let name = interface_name(sample, counters);
        let values = interface_values(counters);
        let key = (Arc::clone(&exporter.node), name);
        let is_up = counters.status & 2 != 0;
        if let Some(known) = self.interfaces.get_mut(&key) {
            let growth = known.counters.advance(sample.sequence, values);
            known.is_up = is_up;
            known.seen_ms = now_ms;
            if !known.is_shown {
                let grown = self.other.iter_mut().zip(growth);
                grown.for_each(|(total, more)| *total = total.saturating_add(more));
            }
            return;
        }
        if self.interfaces.len() >= MAX_TRACKED {
            return;
        }
        let is_shown = self.shown < MAX_SHOWN;
        self.shown += usize::from(is_shown);
        self.has_other |= !is_shown;
        let interface = Interface {
            counters: Running::new(INTERFACE_WIDTHS, sample.sequence, values),
            is_up,
            is_shown,
            seen_ms: now_ms,
        };
        self.interfaces.insert(key, interface);
    }

    fn datapath(&mut self, exporter: &Exporter, sample: &Counters, datapath: &OvsDatapath, now_ms: u64) {
        let values = [datapath.hits, datapath.misses, datapath.lost, datapath.mask_hits].map(Width::widen);
        let key = (Arc::clone(&exporter.node), sample.sub_agent);
        let place = room(&mut self.datapaths, key, || Datapath {
            counters: Running::new([Width::Bits32; DATAPATH], sample.sequence, values),
            flows: 0,
            masks: 0,
            seen_ms: 0,
        });
        if let Some(known) = place {
            known.counters.advance(sample.sequence, values);
            (known.flows, known.masks) = (datapath.flows, datapath.masks);
            known.seen_ms = now_ms;
        }
    }

    fn process(&mut self, exporter: &Exporter, process: u64, not_sent: u64, now_ms: u64) {
        let key = (Arc::clone(&exporter.node), process);
        let place = room(&mut self.processes, key, || Process {
            not_sent: Running::new([Width::Bits64], 0, [not_sent]),
            messages: 0,
            seen_ms: 0,
        });
        if let Some(known) = place {
            known.messages = known.messages.wrapping_add(1);
            known.not_sent.advance(known.messages, [not_sent]);
            known.seen_ms = now_ms;
        }
    }

    /// Forgets what was silent for long, a few times in that while.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.swept_ms) < FORGOTTEN_MS / 10 {
            return;
        }
        self.swept_ms = now_ms;
        let oldest = now_ms.saturating_sub(FORGOTTEN_MS);
        self.interfaces.retain(|_, known| known.seen_ms >= oldest);
        self.shown = self.interfaces.values().filter(|known| known.is_shown).count();
        self.datapaths.retain(|_, known| known.seen_ms >= oldest);
        self.processes.retain(|_, known| known.seen_ms >= oldest);
    }
}

/// The place of a source, if there is room for it.
fn room<K: Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, fresh: impl FnOnce() -> V) -> Option<&mut V> {
    if map.len() >= MAX_OTHERS && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_insert_with(fresh))
}

/// The name, else the number.
fn interface_name(sample: &Counters, counters: &InterfaceCounters) -> Box<str> {
    let name = sample.port_name.as_str();
    if name.is_empty() {
        return counters.if_index.to_string().into();
    }
    name[..name.floor_char_boundary(MAX_NAME)].into()
}

fn interface_values(c: &InterfaceCounters) -> [u64; INTERFACE] {
    let wide = Width::widen;
    [
        c.in_octets,
        wide(c.in_unicast),
        wide(c.in_multicast),
        wide(c.in_broadcast),
        wide(c.in_discards),
        wide(c.in_errors),
        c.out_octets,
        wide(c.out_unicast),
        wide(c.out_multicast),
        wide(c.out_broadcast),
        wide(c.out_discards),
        wide(c.out_errors),
    ]
}

#[cfg(test)]
mod tests;
