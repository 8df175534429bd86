//! The decoder alone on one core, without a socket: honest datagrams and hostile.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use weir_load::{Card, Generator, Nuisance, Plan, Random, Traffic};
use wire::{Decoder, Record};

use crate::median;

/// Octets of datagrams that a measurement decodes. Hostile ones are few, so that
/// what is new to the decoder stays new.
const OCTETS: usize = 128 << 20;
const HOSTILE_OCTETS: usize = 8 << 20;

/// A time within the year 2026, s since the epoch.
const NOW_SECS: u32 = 1_795_196_542;

/// Datagrams of each hostile kind.
const HOSTILE: usize = 4_000;

struct Cost {
    records_a_second: f64,
    ns_per_octet: f64,
}

/// Prints a table for honest traffic, then one for the hostile kinds.
pub fn print(rounds: usize) {
    println!("| decode alone, one core (median of {rounds}) | records/s | ns/octet |");
    println!("|---|---|---|");
    let mut friendly = Vec::new();
    for traffic in Traffic::FRIENDLY {
        let decks = deck(traffic);
        let cost = cost(rounds, &decks, OCTETS);
        println!(
            "| {traffic:?} | {:.0} | {:.2} |",
            cost.records_a_second, cost.ns_per_octet
        );
        friendly.push(decks);
    }
    let mix = interleave(friendly);
    let friendly = cost(rounds, &mix, OCTETS).ns_per_octet;
    println!("\n| hostile, decode alone | ns/octet | times the friendly mix |\n|---|---|---|");
    println!("| friendly mix | {friendly:.2} | 1 |");
    let mut random = Random::new(1);
    let mut cards =
        |kind: Nuisance| -> Vec<_> { (0..HOSTILE).map(|_| (0, kind.card(&mut random))).collect() };
    let kinds = Nuisance::ALL.map(|kind| (kind, cards(kind)));
    let short = (Nuisance::ShortRecords, cards(Nuisance::ShortRecords));
    for (kind, cards) in kinds.iter().chain([&short]) {
        let octet = cost(rounds, cards, HOSTILE_OCTETS).ns_per_octet;
        println!("| {} | {octet:.2} | {:.2} |", kind.as_str(), octet / friendly);
    }
    let all = interleave(kinds.map(|(_, cards)| cards).into());
    let octet = cost(rounds, &all, HOSTILE_OCTETS).ns_per_octet;
    println!("| hostile mix | {octet:.2} | {:.2} |", octet / friendly);
}

/// Templates and datagrams of eight exporters, 4 MiB.
fn deck(traffic: Traffic) -> Vec<(u32, Card)> {
    let exporters = 8;
    let mut generator = Generator::new(Plan {
        traffic,
        exporters,
        flows: 10_000,
        seed: 1,
        start_secs: NOW_SECS - 60,
    });
    let mut deck = Vec::new();
    for exporter in 0..exporters {
        let run = generator.templates(exporter, NOW_SECS);
        deck.extend(run.cards.iter().map(|card| (exporter, card.clone())));
    }
    let mut octets = 0;
    while octets < 4 << 20 {
        let run = generator.run(usize::MAX, u64::MAX, NOW_SECS);
        octets += run.cards.iter().map(|card| card.octets().len()).sum::<usize>();
        deck.extend(run.cards.iter().map(|card| (run.exporter, card.clone())));
    }
    deck
}

/// One of each in turn, until the shortest ends.
fn interleave(decks: Vec<Vec<(u32, Card)>>) -> Vec<(u32, Card)> {
    let shortest = decks.iter().map(Vec::len).min().unwrap_or_default();
    (0..shortest)
        .flat_map(|place| decks.iter().map(move |deck| deck[place].clone()))
        .collect()
}

/// What this process has had of the CPU: others that want it too do not count.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    let times = [usage.user_time(), usage.system_time()];
    times
        .iter()
        .map(|time| Duration::new(time.tv_sec() as u64, 1_000 * time.tv_usec() as u32))
        .sum()
}

/// Decodes the deck again and again, with a decoder that is new in each round and
/// a clock that goes on.
fn cost(rounds: usize, deck: &[(u32, Card)], octets: usize) -> Cost {
    let size: usize = deck.iter().map(|(_, card)| card.octets().len()).sum();
    let plays = (octets / size.max(1)).max(1);
    let (mut seconds, mut found) = (Vec::new(), 0);
    for _ in 0..rounds.max(1) {
        let (mut decoder, mut records) = (Decoder::default(), Vec::<Record>::new());
        found = 0;
        let start = cpu_time();
        for play in 0..plays {
            let now_ms = u64::from(NOW_SECS) * 1000 + play as u64 * 100;
            for (exporter, card) in deck {
                let session = SocketAddr::from(([127, 1, 0, *exporter as u8], 4739));
                // Refusals are what hostile datagrams are for.
                let _ = decoder.decode(session, now_ms, card.octets(), &mut records);
                found += records.len();
                records.clear();
            }
        }
        seconds.push((cpu_time() - start).as_secs_f64());
    }
    let seconds = median(seconds).unwrap_or(f64::NAN);
    Cost {
        records_a_second: found as f64 / seconds,
        ns_per_octet: seconds * 1e9 / (size * plays) as f64,
    }
}
