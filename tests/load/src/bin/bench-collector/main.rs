//! Measures weir-collector beside nfcapd (nfdump's) on the same datagrams, and
//! prints Markdown. Owns the order of the measurements; [`receiver`] starts and
//! reads the programs, [`decode`] measures the decoder alone.
//!
//! The sender is this process on one core; the receiver is on another.

mod apiserver;
mod cluster;
mod decode;
mod receiver;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use weir_load::Traffic;
use weir_load::flow::NODES;

use apiserver::ApiServer;
use receiver::{Kind, Names, Setting};
use run::{Load, Outcome};

#[derive(Debug, Parser)]
struct Args {
    /// weir-collector's program
    #[arg(long)]
    collector: Option<PathBuf>,

    /// Measurements of each kind, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Length of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// Only the decoder, in this process
    #[arg(long)]
    decode_only: bool,

    /// Only with the store: what it costs from the socket to the sealed segment
    #[arg(long, conflicts_with = "decode_only")]
    ingest: bool,

    /// Only the first table: CPU per record
    #[arg(long, conflicts_with_all = ["decode_only", "ingest"])]
    cost_only: bool,

    /// Of the first table, only the rows whose name has this in it
    #[arg(long)]
    only: Option<String>,

    /// weir-collector knows nobody
    #[arg(long)]
    without_names: bool,

    /// The core that sends; the next one receives
    #[arg(long, default_value_t = 0)]
    core: usize,
}

/// What is compared, and a rate (records/s) that both receivers can take.
const COST: [(&str, Traffic, u64, usize); 5] = [
    (
        "IPFIX as OVS sends it, 1 a datagram",
        Traffic::OvsIpfix,
        100_000,
        1,
    ),
    (
        "the same, 8 datagrams of one length at a time (UDP_SEGMENT)",
        Traffic::OvsIpfix,
        100_000,
        TRAIN,
    ),
    ("NetFlow v5, 24 a datagram", Traffic::NetFlow5, 500_000, 1),
    ("IPFIX, 24 a datagram", Traffic::Ipfix, 500_000, 1),
    (
        "sFlow v5, 6 samples a datagram (sfcapd)",
        Traffic::Sflow5,
        200_000,
        1,
    ),
];

/// Datagrams that are sent as one, where they are.
const TRAIN: usize = 8;

/// Exporters of the load, one a node of the cluster.
const EXPORTERS: u32 = NODES;

/// What is stored, the rates that are aimed at, and whether the receiver may use the
/// sender's core, too.
const INGEST: [(&str, Traffic, u64, bool); 3] = [
    (
        "IPFIX as OVS sends it, 1 a datagram",
        Traffic::OvsIpfix,
        200_000,
        false,
    ),
    ("NetFlow v5, 24 a datagram", Traffic::NetFlow5, 1_000_000, false),
    (
        "the same on both cores, the sender's too",
        Traffic::NetFlow5,
        1_000_000,
        true,
    ),
];

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    pin(args.core)?;
    if !args.ingest && !args.cost_only {
        decode::print(args.rounds);
    }
    let Some(collector) = args.collector.filter(|_| !args.decode_only) else {
        return Ok(());
    };
    let cluster = ApiServer::start()?;
    let names = Names {
        kubeconfig: cluster.kubeconfig(),
        labels: cluster.labels(),
    };
    let bench = Bench {
        rounds: args.rounds.max(1),
        seconds: args.seconds,
        sender: args.core,
        only: args.only,
        setting: Setting {
            collector,
            cores: vec![args.core + 1],
            names: (!args.without_names).then_some(names),
            store: args.ingest,
        },
    };
    if args.ingest {
        return bench.ingest();
    }
    bench.cost()?;
    if args.cost_only {
        return Ok(());
    }
    bench.memory()?;
    bench.ceiling()
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

struct Bench {
    rounds: usize,
    seconds: u64,
    /// The core that sends.
    sender: usize,
    /// What the names of the rows of the first table have in them.
    only: Option<String>,
    setting: Setting,
}

impl Bench {
    fn measure(&self, kind: Kind, load: &Load) -> anyhow::Result<Outcome> {
        run::measure(kind, &self.setting, load)
    }

    fn kinds(traffic: Traffic) -> [Kind; 2] {
        let theirs = if traffic == Traffic::Sflow5 {
            Kind::Sfcapd
        } else {
            Kind::Nfcapd
        };
        [Kind::Weir, theirs]
    }

    /// CPU per record, receivers in turn within each round.
    fn cost(&self) -> anyhow::Result<()> {
        println!(
            "\n| CPU per record, us (median of {}) | records/s | weir-collector | nfcapd | ratio | loss, weir / nfcapd |",
            self.rounds
        );
        println!("|---|---|---|---|---|---|");
        let wanted = |name: &str| self.only.as_deref().is_none_or(|part| name.contains(part));
        for (name, traffic, rate, train) in COST.into_iter().filter(|(name, ..)| wanted(name)) {
            let mut costs = [Vec::new(), Vec::new()];
            let mut lost = [0, 0];
            for _ in 0..self.rounds {
                for (place, kind) in Self::kinds(traffic).into_iter().enumerate() {
                    if !kind.is_there() {
                        continue;
                    }
                    let load = Load::new(traffic, EXPORTERS, rate, self.seconds).in_trains(train);
                    let outcome = self.measure(kind, &load)?;
                    costs[place].push(outcome.cpu_us_per_record());
                    lost[place] += outcome.lost();
                }
            }
            let [ours, theirs] = costs.map(median);
            let [us, them] = lost;
            let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
            println!(
                "| {name} | {rate} | {} | {} | {} | {us} / {them} |",
                show(ours),
                show(theirs),
                show(ratio)
            );
        }
        Ok(())
    }

    /// CPU per record from the socket to the sealed segment, beside nfcapd's bare
    /// capture, and the highest rate that is stored without loss.
    fn ingest(&self) -> anyhow::Result<()> {
        println!(
            "| socket to sealed segment (median of {}) | records/s | weir-collector, us | nfcapd, us | ratio | octets a record | loss, weir / nfcapd |",
            self.rounds
        );
        println!("|---|---|---|---|---|---|---|");
        for (name, traffic, rate, both) in INGEST {
            let load = Load::new(traffic, EXPORTERS, rate, self.seconds);
            let mut setting = self.setting.clone();
            if both {
                setting.cores.insert(0, self.sender);
            }
            let (mut costs, mut sizes, mut lost) = ([Vec::new(), Vec::new()], Vec::new(), [0, 0]);
            for _ in 0..self.rounds {
                for (place, kind) in Self::kinds(traffic).into_iter().enumerate() {
                    let outcome = run::measure(kind, &setting, &load)?;
                    costs[place].push(outcome.cpu_us_per_record_to_the_end());
                    lost[place] += outcome.lost();
                    if kind == Kind::Weir {
                        sizes.push(outcome.octets_per_record());
                    }
                }
            }
            let [ours, theirs] = costs.map(median);
            let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
            let size = median(sizes).unwrap_or_default();
            println!(
                "| {name} | {rate} | {} | {} | {} | {size:.1} | {} / {} |",
                show(ours),
                show(theirs),
                show(ratio),
                lost[0],
                lost[1]
            );
        }
        self.ceiling()
    }

    /// The highest rate with no loss.
    fn ceiling(&self) -> anyhow::Result<()> {
        println!(
            "\n| highest rate without loss, records/s (median of {}) | weir-collector | nfcapd |",
            self.rounds
        );
        println!("|---|---|---|");
        for (name, traffic, start, _) in [COST[0], COST[2]] {
            let mut found = Vec::new();
            for kind in Self::kinds(traffic) {
                let mut rates = Vec::new();
                for _ in 0..self.rounds {
                    rates.push(self.climb(kind, traffic, start / 2)?);
                }
                found.push(show_rate(median(rates)));
            }
            println!("| {name} | {} | {} |", found[0], found[1]);
        }
        Ok(())
    }

    /// Doubles the rate until something is lost, then halves the distance three
    /// times. The sender's own limit ends the climb too.
    fn climb(&self, kind: Kind, traffic: Traffic, start: u64) -> anyhow::Result<f64> {
        let (mut good, mut bad, mut best) = (0, None, 0.0);
        let mut halvings = 3;
        while halvings > 0 {
            let rate = bad.map_or((good * 2).max(start), |bad| u64::midpoint(good, bad));
            halvings -= u32::from(bad.is_some());
            let outcome = self.measure(kind, &Load::new(traffic, EXPORTERS, rate, 3))?;
            if outcome.lost() > 0 {
                bad = Some(rate);
                continue;
            }
            good = rate;
            best = f64::max(best, outcome.sent_a_second());
            if outcome.sent_a_second() < 0.97 * rate as f64 {
                eprintln!("{kind:?}: the sender cannot send {rate} records/s");
                break;
            }
        }
        Ok(best)
    }

    /// Resident memory at the end of a run with many exporters.
    fn memory(&self) -> anyhow::Result<()> {
        println!(
            "\n| resident memory, MiB, 1,000 exporters | records/s | weir-collector | nfcapd | loss, weir / nfcapd |"
        );
        println!("|---|---|---|---|---|");
        let load = Load::new(Traffic::OvsIpfix, 1000, 100_000, 2 * self.seconds);
        let mut outcomes = Vec::new();
        for kind in Self::kinds(Traffic::OvsIpfix) {
            outcomes.push(self.measure(kind, &load)?);
        }
        let mib = |place: usize| outcomes[place].resident_bytes as f64 / f64::from(1 << 20);
        println!(
            "| IPFIX as OVS sends it | {:.0} | {:.0} | {:.0} | {} / {} |",
            outcomes[0].sent_a_second(),
            mib(0),
            mib(1),
            outcomes[0].lost(),
            outcomes[1].lost()
        );
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn show(value: Option<f64>) -> String {
    value.map_or("not installed".to_owned(), |value| {
        if value < 1.0 {
            format!("{value:.3}")
        } else {
            format!("{value:.2}")
        }
    })
}

fn show_rate(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.0}"))
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
