//! Conversations have the sums that somebody would have who looks at one record after the
//! other: any records, any filter, any fields in any order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value as Json};
use weir_api::fields::{Column, Side};
use weir_flow::{FlowRecord, Server, Value};
use weir_store::{Retention, Settings, TimeRange, Writer, open};
use wire::{Attribute, AttributeValue};

use crate::filter::expr;
use crate::filter::literal::octets;
use crate::lower::tests::flows::{Flows, START};
use crate::lower::tests::{Row, expressions, is, row};
use crate::{Embedded, Engine, Limits, Measure, Moment, Question, Since, Span, Until, compile};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// What a group adds up: flows, bytes, packets, sent, received.
type Sums = [u64; 5];

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
    let kept = Retention {
        age: None,
        bytes: None,
    };
    let settings = Settings {
        retention: [kept; 3],
        ..Settings::new(directory.path())
    };
    let (mut writer, reader, _) = open(settings).unwrap();
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
        rows: records.iter().filter(|r| r.primary).map(row).collect(),
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

/// The flow looked at from its other end.
fn mirrored(row: &Row) -> Row {
    let turn = |(column, value): (&Column, &Value<'static>)| {
        let value = match (column.name(), value) {
            ("server", Value::Text(word)) if word == "src" => Value::Text("dst".into()),
            ("server", Value::Text(word)) if word == "dst" => Value::Text("src".into()),
            _ => value.clone(),
        };
        let name = column.name();
        let other = match name.strip_prefix("dst_") {
            _ if name.contains("gress_policy") || column.side() == Side::Flow => name.to_owned(),
            Some(plain) => plain.to_owned(),
            None if name == "tunnel_addr" => "tunnel_dst_addr".to_owned(),
            None if name == "tunnel_dst_addr" => "tunnel_addr".to_owned(),
            None => format!("dst_{name}"),
        };
        (Column::find(&other).unwrap(), value)
    };
    row.iter().map(turn).collect()
}

/// What a row holds, in an order: what is absent first.
fn cell(row: &Row, column: Column) -> Option<Vec<u8>> {
    let is_text = expr::Type::of(column.kind()) == Some(expr::Type::Text);
    match row.get(&column) {
        Some(Value::Text(text)) => Some(text.as_bytes().to_vec()),
        Some(Value::Unsigned(number)) => Some(number.to_be_bytes().to_vec()),
        Some(Value::Address(address)) => Some(octets(*address).to_vec()),
        Some(other) => panic!("{} is {other:?}", column.name()),
        None => is_text.then(Vec::new),
    }
}

fn cells(row: &Row, columns: &[Column]) -> Vec<Option<Vec<u8>>> {
    columns.iter().map(|column| cell(row, *column)).collect()
}

/// Which of both views of a flow stands first: by who its ends are, then by the rest, in
/// the order of the field table.
fn order(row: &Row, image: &Row, columns: &[Column]) -> Ordering {
    let mut ordered = columns.to_vec();
    ordered.sort_unstable();
    let of = |wanted: bool| {
        ordered
            .iter()
            .copied()
            .filter(move |c| c.field().identity == wanted)
    };
    let names: Vec<_> = of(true).filter(|column| column.side() == Side::Src).collect();
    let fields: Vec<_> = of(false).collect();
    let both = |row| (cells(row, &names), cells(row, &fields));
    both(row).cmp(&both(image))
}

/// A group as it is printed.
fn printed(row: &Row, columns: &[Column], bucket: Option<i64>) -> Vec<Option<String>> {
    let time = |row: &Row| match row.get(&Column::of("time")) {
        Some(Value::Time(ns)) => (ns / 1_000) as i64,
        other => panic!("{other:?}"),
    };
    let bucket = bucket.map(|length| {
        let start = time(row).div_euclid(length) * length;
        let start = Timestamp::from_microsecond(start).unwrap();
        Some(start.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string())
    });
    let text = |column: &Column| match row.get(column) {
        Some(Value::Text(text)) => Some(text.to_string()),
        Some(Value::Unsigned(number)) => Some(number.to_string()),
        Some(Value::Address(address)) => Some(address.to_canonical().to_string()),
        Some(other) => panic!("{other:?}"),
        None => cell(row, *column).map(|_| String::new()),
    };
    bucket.into_iter().chain(columns.iter().map(text)).collect()
}

/// Groups and totals, by looking at one record after the other.
fn by_hand(
    stored: &Stored,
    filter: &expr::Test,
    columns: &[Column],
    bucket: Option<i64>,
) -> (BTreeMap<Vec<Option<String>>, Sums>, Sums) {
    let (mut groups, mut totals) = (BTreeMap::<_, Sums>::new(), [0; 5]);
    if columns.is_empty() && bucket.is_none() {
        groups.entry(Vec::new()).or_default();
    }
    let joined = columns.iter().all(|c| columns.contains(&c.mirrored()));
    for row in &stored.rows {
        let image = mirrored(row);
        let (direct, reverse) = (is(filter, row), is(filter, &image));
        let number = |name| match row.get(&Column::of(name)) {
            Some(Value::Unsigned(number)) => *number,
            _ => 0,
        };
        let (bytes, packets) = (number("bytes"), number("packets"));
        let sums = |sent: bool| match sent {
            true => [1, bytes, packets, bytes, 0],
            false => [1, bytes, packets, 0, bytes],
        };
        let mut add = |view: &Row, sent| {
            let sum = groups.entry(printed(view, columns, bucket)).or_default();
            sum.iter_mut()
                .zip(sums(sent))
                .for_each(|(sum, more)| *sum += more);
        };
        let own = cells(row, columns) == cells(&image, columns);
        let mut sent = direct;
        if joined && (direct || reverse) {
            match order(row, &image, columns) {
                Ordering::Less => (sent = true, add(row, true)).1,
                Ordering::Equal => add(row, direct),
                Ordering::Greater => (sent = false, add(&image, false)).1,
            }
        } else {
            if direct {
                add(row, true);
            }
            if reverse && !(direct && own) {
                add(&image, false);
            }
        }
        if direct || reverse {
            totals
                .iter_mut()
                .zip(sums(sent))
                .for_each(|(sum, more)| *sum += more);
        }
    }
    (groups, totals)
}

fn sums_of(row: &Map<String, Json>) -> Sums {
    ["flows", "bytes", "packets", "sent", "received"].map(|name| row[name].as_u64().unwrap())
}

async fn check(stored: &Stored, filter: &str, columns: &[Column], bucket: Option<i64>) {
    let at = |micros| Moment::At(Timestamp::from_microsecond(micros).unwrap());
    let question = Question {
        filter: filter.to_owned(),
        // Whole hours in the middle, so that sums are used, and edges.
        since: Since(at(START - 7 * MINUTE)),
        until: Until(at(START + 20 * HOUR + 3)),
        group_by: columns.iter().map(|column| column.name().to_owned()).collect(),
        measures: vec![
            Measure::Flows,
            Measure::Bytes,
            Measure::Packets,
            Measure::Sent,
            Measure::Received,
        ],
        bucket: bucket.map(|micros| Span(Duration::from_micros(micros as u64))),
        ..Question::default()
    };
    let test = compile(filter).unwrap().test;
    let (groups, totals) = by_hand(stored, &test, columns, bucket);
    let found = stored.engine.answer(&question, &Limits::default()).await.unwrap();
    let names: Vec<&str> = bucket
        .map(|_| "time")
        .into_iter()
        .chain(columns.iter().map(|c| c.name()))
        .collect();
    let mut seen = BTreeMap::new();
    for row in found.rows.json() {
        let text = |name: &&str| {
            row.get(*name)
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
        };
        let sums = sums_of(&row);
        assert_eq!(sums[1], sums[3] + sums[4], "{filter} by {names:?}: {row:?}");
        let twice = seen.insert(names.iter().map(text).collect::<Vec<_>>(), sums);
        assert_eq!(twice, None, "{filter} by {names:?}: {row:?}");
    }
    assert_eq!(seen, groups, "{filter} by {names:?}");
    let found = sums_of(&found.totals.json()[0]);
    assert_eq!(found, totals, "the totals of {filter} by {names:?}");
    assert_eq!(
        found[1],
        found[3] + found[4],
        "the totals of {filter} by {names:?}"
    );
}

/// Fields that flows can be grouped by, each with its mirror image beside it or not, in
/// any order.
fn fields() -> impl Strategy<Value = Vec<Column>> {
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
    (picked, any::<bool>(), any::<bool>()).prop_map(|(names, both, before)| {
        let mut columns: Vec<Column> = Vec::new();
        for column in names.into_iter().map(Column::of) {
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

#[test]
fn conversations_are_what_looking_at_each_record_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stores: Vec<Stored> = (1..4).map(stored).collect();
    let config = ProptestConfig {
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    };
    proptest!(config, |(filter in filters(), columns in fields(), store in 0_usize..3, bucket in select(vec![None, Some(HOUR), Some(7 * MINUTE)]))| {
        runtime.block_on(check(&stores[store], &filter, &columns, bucket));
    });
}
