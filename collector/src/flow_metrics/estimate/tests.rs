use std::collections::BTreeSet;

use weir_flow::{FlowRecord, Server, TcpFlags, Who};
use weir_flowmetrics::{FlowMetric, ObjectName, read_yaml};
use weir_query::Embedded;
use weir_store::Settings;
use wire::Protocol;

use super::super::kept_estimate::FIRST_PAUSE;
use super::super::record::tests::full;
use super::super::{DefinedBy, FlowMetrics};
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn metric(name: &str, spec: &str) -> FlowMetric {
    let text = format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    read_yaml(&text).remove(0).unwrap()
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// Records between a few workloads on a few nodes, of formats with flags and without them, some of them no primary
/// ones, in the last minutes.
fn records(count: u64, seed: u64) -> Vec<FlowRecord> {
    let mut numbers = Numbers(seed);
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    let records = (0..count).map(|number| {
        let mut record = full();
        record.time_ns = now - (count - number) * 20_000_000;
        (record.start_ns, record.end_ns) = (record.time_ns - 5_000, record.time_ns);
        for side in [&mut record.src, &mut record.dst] {
            let mut identity = weir_flow::Identity::clone(&side.identity);
            let who = numbers.below(6);
            identity.workload_name = format!("app-{who}").into();
            identity.workload_kind = ["Deployment", "internet", ""][who as usize % 3].into();
            identity.node_name = ["node-a", "node-b", ""][numbers.below(3) as usize].into();
            side.identity = Who::from(identity);
            side.addr = Some([10, 0, 0, numbers.below(9) as u8].into());
        }
        record.src.port = Some(30_000 + numbers.below(50) as u16);
        record.dst.port = Some([53, 443, 5_432][numbers.below(3) as usize]);
        record.exporter_node = ["node-a", "node-b"][numbers.below(2) as usize].into();
        record.primary = numbers.below(4) > 0;
        record.bytes = (numbers.below(5) > 0).then_some(1_500);
        record.dropped_bytes = (numbers.below(3) == 0).then_some(numbers.below(2));
        record.server = [Server::Src, Server::Dst, Server::Unknown][numbers.below(3) as usize];
        record.tcp_flags = (numbers.below(3) > 0).then(|| TcpFlags {
            bits: numbers.below(64) as u16,
            of_one_packet: numbers.below(2) == 0,
        });
        record.format = if record.tcp_flags.is_some() {
            Protocol::Sflow5
        } else {
            Protocol::Ipfix
        };
        record
    });
    records.collect()
}

/// Metrics with all that a metric can have.
fn metrics() -> Vec<FlowMetric> {
    [
        ("all", "{type: Counter}"),
        ("ports", "{type: Counter, valueField: Bytes, labels: [DstPort, SrcK8S_OwnerName]}"),
        ("owners", "{type: Gauge, valueField: Sampling, labels: [SrcK8S_OwnerType, DstK8S_OwnerType, Etype, DstAddr]}"),
        (
            "syn",
            "{type: Counter, flatten: [Flags], labels: [DstPort, DstK8S_OwnerName, Flags], filters: [{field: Flags, value: SYN}]}",
        ),
        ("words", "{type: Counter, flatten: [tcp_flags], labels: [tcp_flags, SrcK8S_OwnerName]}"),
        ("listed", "{type: Counter, labels: [Flags, Interfaces]}"),
        (
            "events",
            "{type: Counter, flatten: [NetworkEvents], labels: ['NetworkEvents>Name', DstPort], remap: {'NetworkEvents>Name': policy}}",
        ),
        ("in", "{type: Counter, direction: Ingress, labels: [SrcK8S_HostName, DstK8S_HostName, FlowDirection]}"),
        ("out", "{type: Counter, direction: Egress, labels: [SrcAddr]}"),
        (
            "same",
            "{type: Counter, labels: [SrcK8S_OwnerName, DstPort], filters: [{field: SrcK8S_OwnerName, value: $(DstK8S_OwnerName)}]}",
        ),
        (
            "dropped",
            "{type: Histogram, valueField: PktDropBytes, labels: [DstPort], filters: [{field: PktDropBytes, matchType: Presence}, {field: DstPort, matchType: MatchRegex, value: '^4'}]}",
        ),
        ("all-seen", "{type: Counter, labels: [primary, verdict, SrcMac], filters: [{field: primary, matchType: Presence}]}"),
    ]
    .map(|(name, spec)| metric(name, spec))
    .to_vec()
}

/// Series of each metric when these records are received.
fn counted(metrics: &[FlowMetric], records: &[FlowRecord]) -> Vec<usize> {
    let flow_metrics = FlowMetrics::new(1);
    for (name, outcome) in flow_metrics.define(&DefinedBy::Cluster, metrics.to_vec(), None) {
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    flow_metrics.counter(65_536).observe(records);
    flow_metrics.expose(weir_flowmetrics::Exposition::Prometheus);
    let listed = flow_metrics.list();
    let of = |metric: &FlowMetric| {
        let name = ObjectName::of(metric);
        let listed = listed.iter().find(|listed| listed.object == name).unwrap();
        listed.counted.unwrap().series
    };
    metrics.iter().map(of).collect()
}

/// A store that has these records.
fn stored(records: &[FlowRecord]) -> (tempfile::TempDir, weir_store::Writer, Embedded) {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = weir_store::open(Settings::new(directory.path())).unwrap();
    writer.append(records).unwrap();
    writer.flush();
    (directory, writer, Embedded::new(reader))
}

/// Estimates for these metrics.
async fn estimate(
    engine: &Embedded,
    metrics: &[FlowMetric],
    bounds: &EstimateBounds,
) -> Result<Vec<Estimate>, QueryError> {
    let metrics = metrics.iter().map(|metric| Definition::new(metric).unwrap());
    super::estimate(engine, metrics.collect(), bounds).await
}

fn series(estimate: &Estimate) -> &SeriesEstimate {
    match estimate {
        Estimate::Series(known) => known,
        Estimate::Unknown(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn what_is_estimated_from_stored_flows_is_what_there_is_once_they_are_counted() {
    let metrics = metrics();
    for seed in [1, 7, 99] {
        let records = records(3_000, seed);
        let (_directory, _writer, engine) = stored(&records);
        let estimates = estimate(&engine, &metrics, &EstimateBounds::default())
            .await
            .unwrap();
        let expected = counted(&metrics, &records);
        let different: BTreeSet<_> = expected.iter().collect();
        assert!(different.len() > 6, "it tells metrics apart: {expected:?}");
        for ((metric, estimate), expected) in metrics.iter().zip(&estimates).zip(expected) {
            let known = series(estimate);
            assert_eq!(known.series, expected, "{} {estimate}", metric.metadata.name);
            assert!(!known.is_part && !known.is_bounded, "{estimate}");
            assert_eq!(known.flows, 3_000);
            // The store has minutes.
            assert!(known.is_young && known.is_at_least(), "{estimate}");
            let said = estimate.to_string();
            assert!(
                said.starts_with("at least ") && said.ends_with(ALL_STORED),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn an_estimate_keeps_its_bounds_and_says_so() {
    let records = records(9_000, 3);
    let (_directory, _writer, engine) = stored(&records);
    let addresses = metric("addresses", "{type: Counter, labels: [SrcAddr, SrcPort]}");
    let all = series(
        &estimate(
            &engine,
            std::slice::from_ref(&addresses),
            &EstimateBounds::default(),
        )
        .await
        .unwrap()[0],
    )
    .series;
    // Its first range is cut.
    let few = EstimateBounds {
        flows: 100,
        ages: vec![DAY],
        ..EstimateBounds::default()
    };
    let part = estimate(&engine, std::slice::from_ref(&addresses), &few)
        .await
        .unwrap();
    let known = series(&part[0]);
    assert!(
        known.is_part && known.flows < 9_000 && known.series <= all,
        "{known:?}"
    );
    assert!(part[0].to_string().starts_with("at least "), "{}", part[0]);

    let narrow = EstimateBounds {
        series: 50,
        ..EstimateBounds::default()
    };
    let bounded = estimate(&engine, std::slice::from_ref(&addresses), &narrow)
        .await
        .unwrap();
    let known = series(&bounded[0]);
    assert!(
        known.is_part && !known.is_bounded && known.series == 50,
        "the metric refuses nothing: {known:?}"
    );
    assert!(
        !bounded[0].to_string().contains("refused") && bounded[0].is_final(),
        "{}",
        bounded[0]
    );

    let mut own = addresses.clone();
    own.metadata
        .annotations
        .insert(weir_flowmetrics::MAX_SERIES.to_owned(), "20".to_owned());
    let bounded = estimate(&engine, &[own, addresses], &EstimateBounds::default())
        .await
        .unwrap();
    assert_eq!(series(&bounded[0]).series, 20);
    assert!(
        bounded[0].to_string().ends_with(", and more are refused"),
        "{}",
        bounded[0]
    );
    assert_eq!(series(&bounded[1]).series, all, "no other one's bound");
}

#[tokio::test]
async fn records_of_the_last_day_count_and_older_ones_do_not() {
    let mut records = records(40, 5);
    let hour = 3_600_000_000_000;
    for (number, record) in records.iter_mut().enumerate() {
        record.primary = true;
        record.src.port = Some(number as u16);
        record.time_ns -= number as u64 * hour;
    }
    let (_directory, mut writer, engine) = stored(&records);
    writer.seal().unwrap();
    let ports = metric("ports", "{type: Counter, labels: [SrcPort]}");
    let estimates = estimate(&engine, std::slice::from_ref(&ports), &EstimateBounds::default())
        .await
        .unwrap();
    assert_eq!(series(&estimates[0]).series, 24);
    assert_eq!(
        estimates[0].to_string(),
        "about 24 series, estimated from 23 h of flows"
    );
    assert!(estimates[0].is_final() && !series(&estimates[0]).is_at_least());
    let (_directory, _writer, engine) = stored(&[]);
    let estimates = estimate(&engine, &[ports], &EstimateBounds::default())
        .await
        .unwrap();
    assert_eq!(estimates, [Estimate::Unknown(Unknown::NoFlows)]);
}

#[test]
fn a_sentence_is_found_again_at_the_end_of_a_message() {
    let known = SeriesEstimate {
        series: 1_240,
        is_bounded: false,
        is_part: false,
        is_young: false,
        flows: 2_000_000,
        span: 24 * HOUR,
    };
    let says = |known: &SeriesEstimate| Estimate::Series(known.clone()).to_string();
    assert_eq!(says(&known), "about 1,240 series, estimated from 24 h of flows");
    let part = SeriesEstimate {
        is_part: true,
        span: 6 * HOUR,
        ..known.clone()
    };
    let bounded = SeriesEstimate {
        series: 100_000,
        is_bounded: true,
        span: HOUR / 2,
        ..known.clone()
    };
    assert_eq!(
        says(&part),
        "at least 1,240 series, estimated from 2,000,000 flows of the last 6 h"
    );
    assert_eq!(
        says(&bounded),
        "at least 100,000 series, estimated from 30 min of flows, and more are refused"
    );
    let young = SeriesEstimate {
        is_young: true,
        span: HOUR / 2,
        ..known.clone()
    };
    assert_eq!(
        says(&young),
        "at least 1,240 series, estimated from 30 min of flows, all that are stored"
    );
    let all = [known, part, bounded, young].map(Estimate::Series).into_iter();
    for estimate in
        all.chain([Unknown::NothingStored, Unknown::NoFlows, Unknown::Unread].map(Estimate::Unknown))
    {
        let sentence = estimate.to_string();
        let telling = estimate.telling();
        for before in ["", "spec.labels[0]: DstPort may take many values. "] {
            assert_eq!(
                said_in(&format!("{before}{sentence}")),
                Some(said::Said {
                    sentence: &sentence,
                    telling
                })
            );
        }
    }
    assert_eq!(said_in("spec.labels[0]: DstPort may take many values"), None);
}

#[tokio::test]
async fn a_store_that_has_nothing_at_the_first_look_is_looked_at_again() {
    let (_directory, mut writer, engine) = stored(&[]);
    let ports = metric("ports", "{type: Counter, labels: [SrcPort]}");
    let (flow_metrics, bounds) = (FlowMetrics::new(1), EstimateBounds::default());
    flow_metrics.define(&DefinedBy::Cluster, [ports], None);
    let look = async |now: Instant| {
        let due = flow_metrics.without_estimate(8, now);
        let metrics = due.iter().map(|due| due.definition.clone()).collect();
        let estimates = super::estimate(&engine, metrics, &bounds).await.unwrap();
        flow_metrics.set_estimates(due.into_iter().zip(estimates), now);
        flow_metrics
            .estimates(&DefinedBy::Cluster)
            .into_values()
            .next()
            .unwrap()
    };
    let start = Instant::now();
    assert_eq!(look(start).await, Estimate::Unknown(Unknown::NoFlows));
    let records = records(500, 11);
    writer.append(&records).unwrap();
    writer.flush();
    assert_eq!(
        look(start).await,
        Estimate::Unknown(Unknown::NoFlows),
        "not at once"
    );
    let second = look(start + FIRST_PAUSE).await;
    let minutes = series(&second);
    assert!(
        minutes.series > 10 && minutes.is_young && !second.is_final(),
        "{second}"
    );
    // What was not there a day before: more of it counts later.
    let mut old = records;
    let day = 24 * 3_600_000_000_000;
    for record in &mut old {
        record.time_ns -= day;
        record.src.port = record.src.port.map(|port| port + 1_000);
    }
    old[499].time_ns += day / 2;
    writer.append(&old).unwrap();
    writer.seal().unwrap();
    let third = look(start + 3 * FIRST_PAUSE).await;
    assert!(third.is_final(), "{third}");
    assert_eq!(
        series(&third).series,
        minutes.series + usize::from(old[499].primary)
    );
    assert!(flow_metrics.without_estimate(8, start + 48 * HOUR).is_empty());
}

#[tokio::test]
async fn the_youngest_records_count_as_far_as_whole_ranges_were_looked_at() {
    let mut records = records(12_000, 13);
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    let minute = 60_000_000_000;
    for (number, record) in records.iter_mut().enumerate() {
        // 10,000 of two minutes and a half before, and 2,000 of half a minute before.
        let is_young = number >= 10_000;
        record.time_ns = now - if is_young { minute / 2 } else { minute * 5 / 2 };
        record.src.port = Some(if is_young { 1 } else { 2 + number as u16 });
        record.primary = true;
    }
    let ports = [metric("ports", "{type: Counter, labels: [SrcPort]}")];
    for is_sealed in [false, true] {
        let (_directory, mut writer, engine) = stored(&records);
        if is_sealed {
            writer.seal().unwrap();
        }
        let bounds = EstimateBounds {
            flows: 5_000,
            ..EstimateBounds::default()
        };
        let estimates = estimate(&engine, &ports, &bounds).await.unwrap();
        let known = series(&estimates[0]);
        assert!(known.is_part && known.is_at_least(), "{known:?}");
        assert_eq!((known.series, known.flows), (1, 2_000), "{known:?}");
        assert!(known.span < 2 * MINUTE, "{known:?}");
        let bounds = EstimateBounds::default();
        let estimates = estimate(&engine, &ports, &bounds).await.unwrap();
        let known = series(&estimates[0]);
        assert!(!known.is_part, "{known:?}");
        assert_eq!((known.series, known.flows), (10_001, 12_000));
    }
}

#[tokio::test]
async fn what_could_not_be_read_makes_it_a_part() {
    let records = records(40, 5);
    let (directory, mut writer, engine) = stored(&records);
    writer.seal().unwrap();
    let ports = [metric("ports", "{type: Counter, labels: [SrcPort]}")];
    let bounds = EstimateBounds::default();
    let estimates = estimate(&engine, &ports, &bounds).await.unwrap();
    assert!(!series(&estimates[0]).is_part);
    let files = walk(directory.path());
    let segments = files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    let segment = segments
        .max_by_key(|path| path.metadata().unwrap().len())
        .expect("there is one");
    writer.append(&records).unwrap();
    writer.flush();
    std::fs::write(segment, b"no Parquet").unwrap();
    let estimates = estimate(&engine, &ports, &bounds).await.unwrap();
    let known = series(&estimates[0]);
    assert!(known.is_part && known.is_at_least(), "{known:?}");
    assert_eq!(known.flows, 40, "those that could be read");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

#[tokio::test]
async fn whose_series_others_left_no_room_for_is_looked_at_alone() {
    let (_directory, _writer, engine) = stored(&records(9_000, 3));
    let flow_metrics = FlowMetrics::new(1);
    let metrics = [
        metric("all", "{type: Counter}"),
        metric("many", "{type: Counter, labels: [SrcAddr, SrcPort]}"),
        metric("more", "{type: Counter, labels: [DstAddr, SrcPort]}"),
    ];
    flow_metrics.define(&DefinedBy::Cluster, metrics.clone(), None);
    let bounds = EstimateBounds {
        series: 600,
        ..EstimateBounds::default()
    };
    let mut looks = Vec::new();
    for now in std::iter::repeat_n(Instant::now(), 3) {
        let due = flow_metrics.without_estimate(8, now);
        looks.push(due.len());
        let metrics = due.iter().map(|due| due.definition.clone()).collect();
        let estimates = super::estimate(&engine, metrics, &bounds).await.unwrap();
        flow_metrics.set_estimates(due.into_iter().zip(estimates), now);
        let told = flow_metrics.estimates(&DefinedBy::Cluster);
        assert_eq!(told.len(), looks.len(), "those that others crowded out have none");
    }
    assert_eq!(looks, [3, 1, 1]);
    let told = flow_metrics.estimates(&DefinedBy::Cluster);
    for (metric, expected) in metrics.iter().zip([1, 450, 450]) {
        let known = series(&told[&ObjectName::of(metric)]);
        assert_eq!((known.series, known.is_bounded), (expected, false), "{metric:?}");
    }
}
