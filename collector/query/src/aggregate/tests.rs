//! Answers are what somebody would find who looks at one record after the other: any
//! records, any filter, any fields in any order, any measures.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value as Json};
use weir_api::fields::Column;
use weir_flow::{FlowRecord, Server};
use weir_store::{TimeRange, Writer, open};
use wire::{Attribute, AttributeValue};

use crate::lower::tests::flows::{Flows, START};
use crate::lower::tests::{Row, expressions, kept_for_ever, row};
use crate::{Embedded, Engine, Limits, Measure, Moment, Question, Since, Until, compile};
use model::{Asked, Even, Key, Name, Views};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

struct Stored {
    rows: Vec<Row>,
    engine: Embedded,
    _writer: Writer,
    _directory: tempfile::TempDir,
}

/// Some hours of flows among few, some of which talk to themselves; most in a segment,
/// with its sums, the rest in memory.
fn stored(seed: u64) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
    let mut made = Flows::new(seed, 9);
    made.pace = 40_000_000;
    let records: Vec<FlowRecord> = (0..400)
        .map(|at| record(&mut made, seed.wrapping_add(at)))
        .collect();
    writer.append(&records[..300]).unwrap();
    writer.seal().unwrap();
    writer.append(&records[300..]).unwrap();
    writer.flush();
    let all = TimeRange {
        from: 0,
        until: i64::MAX,
    };
    while reader.view(all).hour.is_empty() {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Stored {
        rows: records.iter().map(row).collect(),
        engine: Embedded::new(reader),
        _writer: writer,
        _directory: directory,
    }
}

fn record(made: &mut Flows, seed: u64) -> FlowRecord {
    let mut flow = made.flow();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut pick = |of: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % of
    };
    flow.primary = pick(5) > 0;
    flow.server = [Server::Src, Server::Dst, Server::Unknown][pick(3) as usize];
    if pick(4) == 0 {
        flow.dst = flow.src.clone();
    }
    if pick(3) == 0 {
        flow.dst.port = flow.src.port;
    }
    if pick(8) == 0 {
        flow.bytes = None;
    }
    if pick(2) == 0 {
        let name = AttributeValue::Text(["p", "q"][pick(2) as usize].into());
        let policy = [Attribute::IngressPolicyName, Attribute::EgressPolicyName][pick(2) as usize];
        flow.attributes.set(policy, name);
    }
    flow
}

/// Fields that flows can be grouped by, each with its mirror image beside it or not, in
/// any order.
fn keys() -> impl Strategy<Value = Vec<Key>> {
    let names = vec![
        "ns",
        "dst_ns",
        "workload_name",
        "dst_zone",
        "zone",
        "node_addr",
        "addr",
        "dst_addr",
        "port",
        "dst_port",
        "server",
        "protocol",
        "direction",
        "verdict",
        "ingress_policy",
        "egress_policy",
    ];
    let picked = subsequence(names, 0..4).prop_shuffle();
    let prefix = select(vec![None, Some((24, 48)), Some((9, 64))]);
    (picked, any::<bool>(), any::<bool>(), prefix).prop_map(|(names, both, before, prefix)| {
        let mut columns: Vec<Key> = Vec::new();
        for name in names {
            let bits = prefix.filter(|_| name.trim_start_matches("dst_") == "addr");
            let column = Key(Column::of(name), bits);
            let mut pair = vec![column, column.mirrored()];
            pair.truncate(if both { 2 } else { 1 });
            if before {
                pair.reverse();
            }
            for column in pair {
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
        }
        columns
    })
}

fn filters() -> impl Strategy<Value = String> {
    let plain = select(vec![
        "",
        r#"server == "dst""#,
        r#"server in ["src", "unknown"] && dst_port == 443"#,
        r#"server.startsWith("s")"#,
        r#"(primary ? server : verdict) != "dst""#,
        r#"egress_policy == "p""#,
        r#"ns == "team-0" && dst_workload_name == "workload-1""#,
        "dst_port == 443",
        "zone != dst_zone",
        "false",
    ]);
    prop_oneof![plain.prop_map(str::to_owned), expressions()]
}

/// A question about any of the records.
#[derive(Debug, Clone)]
struct Case {
    filter: String,
    keys: Vec<Key>,
    measures: Vec<Measure>,
    by: Measure,
    bucket: Option<(&'static str, Option<&'static str>)>,
    compare: Option<&'static str>,
    top: Option<usize>,
    cover: Option<&'static str>,
    all_observations: bool,
    conversation: bool,
    /// Minutes from when the records begin.
    range: (i64, i64),
}

fn measure(name: &str) -> Measure {
    name.parse().unwrap()
}

/// Those that can be answered out of sums, and those that cannot; some need both ends.
fn measures() -> impl Strategy<Value = (Vec<Measure>, Measure)> {
    let of_sums = vec![
        "bytes",
        "packets",
        "flows",
        "dropped_packets",
        "dropped_bytes",
        "byte_rate",
        "packet_rate",
        "sent",
        "received",
        "max_byte_rate",
        "share",
        "distinct_ns",
        "distinct_dst_workload_name",
        "distinct_protocol",
        "distinct_server",
        "distinct_verdict",
        "distinct_dst_zone",
    ];
    let of_records = vec![
        "first_seen",
        "last_seen",
        "min_bytes",
        "max_packets",
        "avg_bytes",
        "avg_duration",
        "min_duration",
        "max_duration",
        "p50_bytes",
        "p95_bytes",
        "p99.9_duration",
        "p1_duration",
        "distinct_addr",
        "distinct_dst_addr",
        "distinct_dst_port",
        "distinct_ingress_policy",
        "max_dropped_bytes",
        "avg_dropped_packets",
    ];
    let by = vec![
        "bytes",
        "flows",
        "byte_rate",
        "packets",
        "sent",
        "p95_bytes",
        "avg_duration",
        "distinct_dst_addr",
        "last_seen",
        "max_byte_rate",
        "min_bytes",
    ];
    let picked = prop_oneof![
        subsequence(of_sums.clone(), 0..of_sums.len()),
        (
            subsequence(of_sums, 0..5),
            subsequence(of_records.clone(), 1..of_records.len())
        )
            .prop_map(|(sums, records)| [sums, records].concat()),
    ];
    (picked.prop_shuffle(), select(by)).prop_map(|(names, by)| {
        let by = measure(by);
        let usual = ["bytes", "packets", "flows"];
        let names = if names.is_empty() { usual.to_vec() } else { names };
        let names = names.into_iter().map(measure);
        let has_share = |measure: &Measure| *measure != Measure::Share || by.adds_up();
        let measures: Vec<Measure> = names.filter(has_share).collect();
        (
            if measures.is_empty() {
                usual.map(measure).to_vec()
            } else {
                measures
            },
            by,
        )
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let bucket = select(vec![
        None,
        Some(("1h", None)),
        Some(("7m", None)),
        Some(("45s", None)),
        Some(("1d", Some("<+06>-6"))),
        Some(("1w", Some("<-16>16"))),
        Some(("1d", Some("IST-5:30"))),
        Some(("1d", None)),
    ]);
    let range = select(vec![
        (None, (-7, 1_200)),
        (None, (61, 200)),
        (Some("previous"), (120, 240)),
        (Some("1h"), (120, 300)),
        (Some("90m30s"), (100, 180)),
        (Some("1w"), (0, 300)),
    ]);
    let shown = (
        select(vec![None, Some(1), Some(3)]),
        select(vec![None, None, Some("0.6"), Some("99%")]),
    );
    (
        filters(),
        keys(),
        measures(),
        bucket,
        range,
        shown,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                filter,
                keys,
                (measures, by),
                bucket,
                (compare, range),
                (top, cover),
                all_observations,
                conversation,
            )| Case {
                cover: cover.filter(|_| by.adds_up()),
                filter,
                keys,
                measures,
                by,
                bucket,
                compare,
                top,
                all_observations,
                conversation,
                range,
            },
        )
}

impl Case {
    fn question(&self) -> Question {
        let at = |minutes: i64, odd| {
            Moment::At(Timestamp::from_microsecond(START + minutes * MINUTE + odd).unwrap())
        };
        Question {
            filter: self.filter.clone(),
            // Whole hours in the middle, so that sums are used, and edges.
            since: Since(at(self.range.0, 0)),
            until: Until(at(self.range.1, 3)),
            group_by: self.keys.iter().map(|key| key.name()).collect(),
            measures: self.measures.clone(),
            by: self.by,
            top: self.top,
            cover: self.cover.map(|cover| cover.parse().unwrap()),
            bucket: self.bucket.map(|(bucket, _)| bucket.parse().unwrap()),
            zone: self
                .bucket
                .and_then(|(_, zone)| zone)
                .map(|zone| zone.parse().unwrap()),
            compare: self.compare.map(|compare| compare.parse().unwrap()),
            conversation: self.conversation,
            all_observations: self.all_observations,
            raw_only: false,
        }
    }

    fn asked<'a>(&self, question: &'a Question) -> Asked<'a> {
        let bucket = self.bucket.map(|(length, zone)| {
            let east = match zone {
                Some("<+06>-6") => 6 * HOUR,
                Some("<-16>16") => -16 * HOUR,
                Some("IST-5:30") => 5 * HOUR + HOUR / 2,
                _ => 0,
            };
            match length {
                // 1970-01-05 was a Monday.
                "1w" => Even {
                    length: 7 * 24 * HOUR,
                    origin: 4 * 24 * HOUR - east,
                },
                "1d" => Even {
                    length: 24 * HOUR,
                    origin: -east,
                },
                "1h" => Even {
                    length: HOUR,
                    origin: 0,
                },
                "7m" => Even {
                    length: 7 * MINUTE,
                    origin: 0,
                },
                _ => Even {
                    length: MINUTE * 3 / 4,
                    origin: 0,
                },
            }
        });
        let (from, until) = (START + self.range.0 * MINUTE, START + self.range.1 * MINUTE + 3);
        let earlier = self.compare.map(|compare| match compare {
            "previous" => until - from,
            "1h" => HOUR,
            "90m30s" => 90 * MINUTE + MINUTE / 2,
            _ => 7 * 24 * HOUR,
        });
        Asked {
            question,
            test: compile(&self.filter).unwrap().test,
            keys: self.keys.clone(),
            bucket,
            from,
            until,
            earlier,
        }
    }

    /// The part of a name that is not the bucket.
    fn group<'a>(&self, name: &'a Name) -> &'a [Option<String>] {
        &name[usize::from(self.bucket.is_some())..]
    }
}

/// Both rows are the same; doubles as far as they can be.
fn assert_same(found: &Map<String, Json>, expected: &Map<String, Json>, what: &str) {
    let names = |row: &Map<String, Json>| row.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(found), names(expected), "{what}: {found:?} {expected:?}");
    for (name, value) in found {
        let wanted = &expected[name];
        let same = match (value.as_f64(), wanted.as_f64()) {
            (Some(a), Some(b)) if value.is_f64() => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3),
            _ => value == wanted,
        };
        assert!(same, "{what}: {name} is {value}, not {wanted}");
    }
}

async fn check(stored: &Stored, case: &Case) {
    let question = case.question();
    let asked = case.asked(&question);
    let groups = asked.groups(&stored.rows);
    let found = stored.engine.answer(&question, &Limits::default()).await.unwrap();
    let mut names: Vec<String> = case.bucket.map(|_| "time".to_owned()).into_iter().collect();
    names.extend(case.keys.iter().map(|key| key.name()));
    // Of each group that is shown all rows are, as they should be, each once.
    let mut shown = BTreeMap::<Name, Map<String, Json>>::new();
    for mut row in found.rows.json() {
        let text = |value: Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name: Name = names.iter().map(|name| row.remove(name).map(text)).collect();
        if let (Some(bytes), Some(sent), Some(received)) =
            (row.get("bytes"), row.get("sent"), row.get("received"))
        {
            assert_eq!(
                bytes.as_u64(),
                Some(sent.as_u64().unwrap() + received.as_u64().unwrap()),
                "{case:?}"
            );
        }
        assert_eq!(shown.insert(name, row), None, "{case:?}");
    }
    let shown_groups: BTreeSet<Name> = shown.keys().map(|name| case.group(name).to_vec()).collect();
    let is_shown = |name: &Name| shown_groups.contains(case.group(name));
    let expected = groups.groups.iter().filter(|(name, _)| is_shown(name));
    assert_eq!(
        shown.keys().collect::<Vec<_>>(),
        expected.clone().map(|(name, _)| name).collect::<Vec<_>>(),
        "{case:?}"
    );
    let mut whole = BTreeMap::<Name, Views>::new();
    for (name, views) in &groups.groups {
        let all = whole.entry(case.group(name).to_vec()).or_default();
        for period in [0, 1] {
            all.0[period].extend(views.0[period].iter().cloned());
        }
    }
    for ((name, views), row) in expected.zip(shown.values_mut()) {
        if case.compare.is_some() {
            let [now, then] = &whole[case.group(name)].0;
            // Without groups there is one row, whatever there was.
            let there = (
                !now.is_empty() || names.is_empty(),
                !then.is_empty() || names.is_empty(),
            );
            let word = match there {
                (true, false) => "new",
                (false, true) => "gone",
                _ => "both",
            };
            assert_eq!(row.remove("compared"), Some(word.into()), "{case:?}");
        }
        let time = case
            .bucket
            .and(name[..1.min(name.len())].first())
            .and_then(|time| time.as_deref());
        let expected = asked.measured(views, &groups.totals, asked.bounds(time));
        assert_same(row, &expected, &format!("{name:?} of {case:?}"));
    }
    check_rest(case, &asked, &groups, &whole, &shown_groups, &found);
}

/// Those that are shown are the first, as few as are asked for; the rest is together.
fn check_rest(
    case: &Case,
    asked: &Asked<'_>,
    groups: &model::Groups,
    whole: &BTreeMap<Name, Views>,
    shown: &BTreeSet<Name>,
    found: &crate::Answer,
) {
    assert_eq!(found.groups, whole.len(), "{case:?}");
    let all_bounds = asked.bounds(None);
    let place = |views: &Views| {
        let row = asked.measured(views, &groups.totals, all_bounds);
        let by = case.by.to_string();
        let amounts = [by.clone(), format!("{by}_then")].map(|name| row.get(&name).cloned());
        let amounts = amounts.into_iter().flatten().map(|amount| match amount {
            Json::String(time) => time.parse::<Timestamp>().unwrap().as_microsecond() as f64,
            amount => amount.as_f64().unwrap(),
        });
        amounts.fold(-1.0, f64::max)
    };
    let mut places: Vec<f64> = whole.values().map(place).collect();
    places.sort_by(|a, b| b.total_cmp(a));
    let mut wanted = places.len().min(case.top.unwrap_or(usize::MAX));
    if let Some(cover) = case.cover {
        let part = if cover == "99%" {
            0.99
        } else {
            cover.parse().unwrap()
        };
        let enough = part * places.iter().sum::<f64>() * (1.0 - 1e-12);
        let mut carried = 0.0;
        wanted = wanted.min(
            places
                .iter()
                .take_while(|own| {
                    let lacks = carried < enough;
                    carried += **own;
                    lacks
                })
                .count(),
        );
    }
    let mut found_places: Vec<f64> = shown.iter().map(|name| place(&whole[name])).collect();
    found_places.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(found_places, places[..wanted], "{case:?}");
    assert_eq!(
        found
            .notes
            .iter()
            .any(|note| note.kind == crate::NoteKind::Truncated),
        wanted < places.len(),
        "{case:?}"
    );
    let mut rest = BTreeMap::<Option<String>, Views>::new();
    for (name, views) in groups
        .groups
        .iter()
        .filter(|(name, _)| !shown.contains(case.group(name)))
    {
        let time = case.bucket.and_then(|_| name[0].clone());
        for period in [0, 1] {
            rest.entry(time.clone()).or_default().0[period].extend(views.0[period].iter().cloned());
        }
    }
    let other = found.other.json();
    assert_eq!(other.len(), rest.len(), "{case:?}");
    for (mut row, (time, views)) in other.into_iter().zip(&rest) {
        assert_eq!(
            row.remove("time")
                .and_then(|time| time.as_str().map(str::to_owned)),
            *time,
            "{case:?}"
        );
        let expected = asked.measured(views, &groups.totals, asked.bounds(time.as_deref()));
        assert_same(&row, &expected, &format!("other of {case:?}"));
    }
    let expected = asked.measured(&groups.totals, &groups.totals, all_bounds);
    assert_same(&found.totals.json()[0], &expected, &format!("totals of {case:?}"));
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

#[test]
fn answers_are_what_looking_at_each_record_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stores: Vec<Stored> = (1..4).map(stored).collect();
    proptest!(config(160), |(case in cases(), store in 0_usize..3)| {
        runtime.block_on(check(&stores[store], &case));
    });
}

#[test]
fn conversations_are_what_looking_at_each_record_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stores: Vec<Stored> = (1..4).map(stored).collect();
    let directions = [
        "flows",
        "bytes",
        "packets",
        "sent",
        "received",
        "distinct_ns",
        "distinct_dst_port",
    ]
    .map(measure);
    proptest!(config(64), |(case in cases(), store in 0_usize..3)| {
        let case = Case { measures: directions.to_vec(), ..case };
        runtime.block_on(check(&stores[store], &case));
    });
}
