//! Sums over primary observations are what arrived, on each way by itself: whatever is
//! exported, and wherever names come from.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, wait_for};

use crate::{
    cells::{Cell, Half, Kind, Seen, Truth},
    cluster::{Cluster, Reader, logs},
    setting::{ALL, Format, IPFIX, Log, NET_FLOW, S_FLOW, end, export, wait_at_rest},
    stage::DEADLINE,
    sum::Sum,
};

pub const CASES: &[Case<Cluster>] = &[
    Case::new("through OVN sums are exact with IPFIX of br-int", |cluster| {
        exact(cluster, &[IPFIX], "br-int")
    }),
    Case::new(
        "through OVN sums are exact with all three formats of both bridges",
        |cluster| exact(cluster, &ALL, "br-int, br-ex"),
    ),
    Case::new(
        "through OVN sums are exact with all three formats of br-int",
        |cluster| exact(cluster, &ALL, "br-int"),
    ),
    Case::new(
        "through OVN sums are exact with IPFIX of both bridges",
        |cluster| exact(cluster, &[IPFIX], "br-int, br-ex"),
    ),
    Case::new(
        "through OVN sums are exact with NetFlow of both bridges",
        |cluster| exact(cluster, &[NET_FLOW], "br-int, br-ex"),
    ),
    Case::new(
        "through OVN sums are exact with sFlow of every packet of both bridges",
        |cluster| exact(cluster, &[S_FLOW], "br-int, br-ex"),
    ),
    Case::new(
        "through OVN sums are exact with NetFlow of br-int, which lacks what enters by a patch port",
        |cluster| exact(cluster, &[NET_FLOW], "br-int"),
    ),
    Case::new(
        "through OVN sums are exact with sFlow of br-int, which lacks what enters by a patch port",
        |cluster| exact(cluster, &[S_FLOW], "br-int"),
    ),
    Case::new(
        "through OVN sums of IPFIX are within three standard errors at 1:10",
        |cluster| sampled(cluster, IPFIX),
    ),
    Case::new(
        "through OVN sums of sFlow are within three standard errors at 1:10",
        |cluster| sampled(cluster, S_FLOW),
    ),
];

/// One packet in so many, in the cases with sampling.
const SAMPLING: u64 = 10;
const SAMPLED_DATAGRAMS: u32 = 1250;
const ROUNDS: u32 = 3;
/// Bound of the wait for the records of a round.
const A_ROUND: Duration = Duration::from_secs(8);
/// Packets of ARP and neighbour discovery that an interface may get meanwhile.
const BESIDE: u64 = 2;
/// Records shown of a way whose sums are wrong.
const SHOWN: usize = 12;

fn exact(cluster: &mut Cluster, formats: &[Format], bridges: &str) -> Result<()> {
    let stage = &cluster.stage;
    end(stage)?;
    let readers = cluster.readers()?;
    let mut logs = logs(&readers)?;
    export(stage, formats, &cluster.targets(formats), bridges, 1)?;
    let mut expected = Vec::new();
    for cell in &cluster.cells {
        let arrived = cell.run().with_context(|| cell.name)?;
        expected.push((cell, seen(cell, arrived, formats, bridges)));
    }
    let check = |logs: &mut [Log]| -> Result<()> {
        let mut wrong = String::new();
        for (reader, log) in readers.iter().zip(logs) {
            log.read_from(reader.process)?;
            wrong += &differences(reader, &log.records, &expected);
        }
        ensure!(wrong.is_empty(), "\n{wrong}");
        Ok(())
    };
    let outcome = wait_for("sums of primary records that fit what arrived", DEADLINE, || {
        check(&mut logs).map(Some)
    });
    // Whatever was still on its way must not be counted on top.
    end(stage)?;
    readers
        .iter()
        .try_for_each(|reader| wait_at_rest(stage, &reader.http))?;
    outcome?;
    check(&mut logs).context("after the exporters were flushed")
}

/// Counts are estimates: each sampled packet stands for ten, and the standard error of n
/// packets is sqrt(n (1 - p) / p). A sum of three rounds is tried before it is called wrong.
fn sampled(cluster: &mut Cluster, format: Format) -> Result<()> {
    let stage = &cluster.stage;
    end(stage)?;
    let readers = cluster.readers()?;
    let mut logs = logs(&readers)?;
    export(
        stage,
        &[format],
        &cluster.targets(&[format]),
        "br-int, br-ex",
        SAMPLING,
    )?;
    let ways: Vec<&Cell> = cluster
        .cells
        .iter()
        .filter(|cell| cell.kind == Kind::Udp)
        .collect();
    let mut sent = 0;
    let check = |logs: &mut [Log], sent: u64| -> Result<()> {
        let bound = 3.0 * ((SAMPLING - 1) as f64 * sent as f64).sqrt();
        for (reader, log) in readers.iter().zip(logs) {
            log.read_from(reader.process)?;
            let is_of = |record: &&Value| {
                let halves = [Half::Call, Half::Answer];
                let mut ways = ways.iter().flat_map(|way| halves.map(|half| (way, half)));
                record["primary"] == true && ways.any(|(way, half)| way.is_of(half, record))
            };
            let sum = Sum::of(log.records.iter().filter(is_of));
            ensure!(
                (sum.packets as f64 - sent as f64).abs() <= bound,
                "{}: {sum:?}, but {sent} packets, give or take {bound:.0}",
                reader.names
            );
        }
        Ok(())
    };
    for round in 1..=ROUNDS {
        for way in &ways {
            way.echo(SAMPLED_DATAGRAMS)?;
            sent += 2 * u64::from(SAMPLED_DATAGRAMS);
        }
        let outcome = wait_for("an estimate within three standard errors", A_ROUND, || {
            check(&mut logs, sent).map(Some)
        });
        match outcome {
            Err(error) if round == ROUNDS => return Err(error),
            Err(_) => {}
            Ok(()) => break,
        }
    }
    end(stage)?;
    readers
        .iter()
        .try_for_each(|reader| wait_at_rest(stage, &reader.http))?;
    check(&mut logs, sent).context("after the exporters were flushed")
}

/// What these formats of these bridges have records of.
fn seen(cell: &Cell, arrived: Truth, formats: &[Format], bridges: &str) -> Truth {
    let Truth { call, answer } = arrived;
    let nothing = Sum::default();
    let patched = !formats.contains(&IPFIX) && !bridges.contains("br-ex");
    match cell.seen {
        Seen::NotByNetFlow if formats == [NET_FLOW] => Truth {
            call: nothing,
            answer: nothing,
        },
        Seen::CallByIpfixAlone if patched => Truth {
            call: nothing,
            answer,
        },
        Seen::AnswerByIpfixAlone if patched => Truth {
            call,
            answer: nothing,
        },
        Seen::TwiceByNetFlow if formats == [NET_FLOW] && bridges.contains("br-ex") => Truth {
            call: twice(call),
            answer: twice(answer),
        },
        _ => arrived,
    }
}

fn twice(sum: Sum) -> Sum {
    Sum {
        packets: 2 * sum.packets,
        bytes: 2 * sum.bytes,
    }
}

/// A line for each way whose sums are wrong, and the records that were counted.
fn differences(reader: &Reader<'_>, records: &[Value], expected: &[(&Cell, Truth)]) -> String {
    let mut lines = String::new();
    let primary: Vec<&Value> = records
        .iter()
        .filter(|record| record["primary"] == true)
        .collect();
    for (cell, truth) in expected {
        for half in [Half::Call, Half::Answer] {
            let counted = primary.iter().copied().filter(|record| cell.is_of(half, record));
            let counted: Vec<&Value> = counted.collect();
            let (sum, arrived) = (Sum::of(counted.iter().copied()), truth.of(half));
            if sum.is_near(arrived, BESIDE) {
                continue;
            }
            let ratio = sum.bytes as f64 / arrived.bytes as f64;
            let _ = writeln!(
                lines,
                "{}: {}, {half:?}: {ratio:.3}: {sum:?} of {arrived:?}",
                reader.names, cell.name
            );
            for record in counted.iter().take(SHOWN) {
                let _ = writeln!(lines, "    {}", line(record));
            }
        }
    }
    lines
}

/// What tells who saw a record's packets and where.
fn line(record: &Value) -> String {
    let text = |field: &str| match &record[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let side = |prefix: &str| {
        format!(
            "{}:{} {} {} if {} {}",
            text(&format!("{prefix}addr")),
            text(&format!("{prefix}port")),
            text(&format!("{prefix}kind")),
            text(&format!("{prefix}name")),
            text(&format!("{prefix}if_index")),
            text(&format!("{prefix}if_name")),
        )
    };
    format!(
        "{} {} domain {} {}: {} -> {}; {} packets, {} bytes",
        text("format"),
        text("exporter_node"),
        text("obs_domain_id"),
        text("direction"),
        side(""),
        side("dst_"),
        text("packets"),
        text("bytes"),
    )
}
