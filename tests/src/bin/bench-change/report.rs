//! Prints what was measured, as rows of a Markdown table.

use std::time::Duration;

use crate::fleet::{Cost, Delays, Requests};

/// One round in short.
pub fn line(delays: &Delays) -> String {
    format!(
        "p50 {} p99 {} slowest {}, specs written p50 {} p99 {}",
        ms(&delays.from_return, 50),
        ms(&delays.from_return, 99),
        ms(&delays.from_return, 100),
        ms(&delays.written, 50),
        ms(&delays.written, 99)
    )
}

/// Everything.
pub fn print(nodes: u16, rounds: &[Delays], cost: &Cost) {
    let all = |pick: fn(&Delays) -> &Vec<Duration>| -> Vec<Duration> {
        rounds
            .iter()
            .flat_map(|round| pick(round).iter().copied())
            .collect()
    };
    println!("{nodes} nodes, {} changes", rounds.len());
    println!("| from | p50 | p99 | slowest |");
    println!("|---|---|---|---|");
    for (name, delays) in [
        ("`kubectl patch` returning", all(|d| &d.from_return)),
        ("`kubectl patch` starting", all(|d| &d.from_start)),
        ("the same, to the spec at the API server", all(|d| &d.written)),
    ] {
        println!(
            "| {name} | {} | {} | {} |",
            ms(&delays, 50),
            ms(&delays, 99),
            ms(&delays, 100)
        );
    }
    println!("| API requests | controller reads | writes | daemons reads | writes |");
    println!("|---|---|---|---|---|");
    for (round, delays) in rounds.iter().enumerate() {
        println!("| change {} {}", round + 1, requests(&delays.requests));
    }
    let (asked, rest) = &cost.at_rest;
    println!("| at rest, {} s {}", rest.as_secs(), requests(asked));
    let [now, most] = cost.controller_kib.map(|kib| kib as f64 / 1024.0);
    println!("controller: {now:.1} MiB resident, {most:.1} MiB at most");
    println!("| `weir-node` | median | greatest |");
    println!("|---|---|---|");
    let (middle, most) = ends(cost.resident_kib.iter().map(|kib| *kib as f64 / 1024.0).collect());
    println!("| resident memory | {middle:.1} MiB | {most:.1} MiB |");
    let (middle, most) = ends(cost.idle_share.iter().map(|share| share * 100.0).collect());
    println!("| CPU at rest | {middle:.3} % | {most:.3} % |");
}

fn requests(asked: &Requests) -> String {
    let (controller, daemons) = (asked.controller, asked.daemons);
    format!(
        "| {} | {} | {} | {} |",
        controller.reads, controller.writes, daemons.reads, daemons.writes
    )
}

fn ms(delays: &[Duration], percent: usize) -> String {
    let mut sorted = delays.to_vec();
    sorted.sort();
    // The smallest value that so many percent do not exceed.
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).map_or("-".to_owned(), |delay| {
        format!("{:.0} ms", delay.as_secs_f64() * 1000.0)
    })
}

fn ends(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or_default();
    (middle, values.last().copied().unwrap_or_default())
}
