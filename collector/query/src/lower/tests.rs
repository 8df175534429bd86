//! The engine finds what somebody would who looks at one row after the other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, col, lit};
use proptest::prelude::*;
use proptest::sample::select;
use weir_api::fields::Column;
use weir_flow::{FlowRecord, TcpFlags, Value, Verdict};
use weir_store::{Identities, Retention, Settings, open};
use wire::{Attribute, AttributeValue};

use crate::filter::expr::{Case, Compare, Term, Test, TextTest, Type};
use crate::filter::literal::{octets, ranges};
use crate::identity_table::IdentityTable;
use crate::lower::{LoweringContext, any, chosen_by, every, not};
use crate::{Filter, compile};
use arrow::array::RecordBatch;

#[allow(dead_code, reason = "shared with other tests")]
#[path = "../../../store/tests/flows/mod.rs"]
pub(crate) mod flows;

/// A store in which records of any time stay.
pub(crate) fn kept_for_ever(directory: &Path) -> Settings {
    let kept = Retention {
        age: None,
        bytes: None,
    };
    Settings {
        retention: [kept; weir_store::Tier::ALL.len()],
        ..Settings::new(directory)
    }
}

/// What a row holds, by column. Text is always there.
pub(crate) type Row = HashMap<Column, Value<'static>>;

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Text(String),
    Number(i64),
    Double(f64),
    Octets(Vec<u8>),
}

pub(crate) fn row(record: &FlowRecord) -> Row {
    let mut row = Row::new();
    record.visit(&mut |column: Column, value: Value<'_>| {
        let value = match value {
            Value::Text(text) => Value::Text(text.into_owned().into()),
            Value::Bool(yes) => Value::Bool(yes),
            Value::Unsigned(number) => Value::Unsigned(number),
            Value::Address(address) => Value::Address(address),
            Value::Mac(mac) => Value::Mac(mac),
            Value::Time(time) => Value::Time(time),
            Value::Flags(flags) => Value::Flags(flags),
            Value::Map(_) => Value::Text(serde_json::to_string(&value).unwrap().into()),
        };
        row.insert(column, value);
    });
    row
}

pub(crate) fn is(test: &Test, row: &Row) -> bool {
    match test {
        Test::Const(yes) => *yes,
        Test::All(tests) => tests.iter().all(|test| is(test, row)),
        Test::Any(tests) => tests.iter().any(|test| is(test, row)),
        Test::Not(test) => !is(test, row),
        Test::Same(a, b) => is(a, row) == is(b, row),
        Test::If(test, yes, no) => is(if is(test, row) { yes } else { no }, row),
        Test::Flag(column) => row.get(column) == Some(&Value::Bool(true)),
        Test::Known(column) => row.contains_key(column),
        Test::Compare(op, a, b) => compare(*op, cell(a, row), cell(b, row)),
        Test::OneOf(term, list) => list
            .iter()
            .any(|item| compare(Compare::Eq, cell(term, row), cell(item, row))),
        Test::Within(term, networks) => match cell(term, row) {
            Some(Cell::Octets(octets)) => {
                networks
                    .iter()
                    .flat_map(|network| ranges(*network))
                    .any(|(first, last)| {
                        first.as_slice() <= octets.as_slice() && octets.as_slice() <= last.as_slice()
                    })
            }
            _ => false,
        },
        Test::HasKey(column, key) => labels(*column, row).contains_key(key),
        Test::HasWord(column, word) => match row.get(column) {
            Some(Value::Flags(flags)) => flags.words().any(|its| its == word),
            _ => false,
        },
        Test::Text(op, of, what) => match (cell(of, row), cell(what, row)) {
            (Some(Cell::Text(of)), Some(Cell::Text(what))) => match op {
                TextTest::StartsWith => of.starts_with(&what),
                TextTest::EndsWith => of.ends_with(&what),
                TextTest::Contains => of.contains(&what),
            },
            _ => false,
        },
        Test::Matches(of, pattern) => match cell(of, row) {
            Some(Cell::Text(text)) => pattern.is_match(&text),
            _ => false,
        },
    }
}

/// What a map holds.
fn labels(column: Column, row: &Row) -> HashMap<String, String> {
    match row.get(&column) {
        Some(Value::Text(json)) => serde_json::from_str(json).unwrap(),
        _ => HashMap::new(),
    }
}

fn compare(op: Compare, a: Option<Cell>, b: Option<Cell>) -> bool {
    // Numbers in the tests are far from where doubles are no longer exact.
    let widened = |cell, beside: &Option<Cell>| match (cell, beside) {
        (Some(Cell::Number(number)), Some(Cell::Double(_))) => Some(Cell::Double(number as f64)),
        (cell, _) => cell,
    };
    let (a, b) = (widened(a.clone(), &b), widened(b, &a));
    let (Some(a), Some(b)) = (a, b) else { return false };
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

fn cell(term: &Term, row: &Row) -> Option<Cell> {
    let number = |term| match cell(term, row)? {
        Cell::Number(number) => Some(number),
        _ => None,
    };
    let text = |term| match cell(term, row) {
        Some(Cell::Text(text)) => text,
        other => panic!("{other:?} is no text"),
    };
    Some(match term {
        Term::Column(column) => match row.get(column) {
            Some(Value::Text(text)) => Cell::Text(text.to_string()),
            Some(Value::Unsigned(number)) => Cell::Number(i64::try_from(*number).ok()?),
            Some(Value::Address(address)) => Cell::Octets(octets(*address).to_vec()),
            Some(Value::Mac(mac)) => Cell::Octets(mac.to_vec()),
            Some(Value::Time(ns)) => Cell::Number((ns / 1_000) as i64),
            Some(Value::Bool(_) | Value::Flags(_) | Value::Map(_)) => return None,
            None if crate::filter::expr::Type::of(column.kind()) == Some(crate::filter::expr::Type::Text) => {
                Cell::Text(String::new())
            }
            None => return None,
        },
        Term::OtherSide(column) => match cell(&Term::Column(*column), row)? {
            Cell::Text(word) => Cell::Text(crate::filter::expr::other_side(&word).to_owned()),
            other => other,
        },
        Term::Text(text) => Cell::Text(text.clone()),
        Term::Number(number) | Term::Time(number) | Term::Span(number) => Cell::Number(*number),
        Term::Double(double) => Cell::Double(*double),
        Term::Joined(a, b) => Cell::Text(text(a) + &text(b)),
        Term::Cased(Case::Lower, of) => Cell::Text(text(of).to_lowercase()),
        Term::Cased(Case::Upper, of) => Cell::Text(text(of).to_uppercase()),
        Term::Entry(column, key) => Cell::Text(labels(*column, row).remove(key).unwrap_or_default()),
        Term::ToText(kind, of) => Cell::Text(printed(*kind, cell(of, row))),
        Term::ToNumber(kind, of) => Cell::Number(match (kind, cell(of, row)?) {
            (_, Cell::Text(text)) => text.parse().ok()?,
            (Type::Time, Cell::Number(micros)) => micros.div_euclid(1_000_000),
            (_, Cell::Double(double)) => double.trunc() as i64,
            (_, other) => panic!("{other:?}"),
        }),
        Term::ToDouble(_, of) => Cell::Double(match cell(of, row)? {
            Cell::Text(text) => text.parse().ok()?,
            Cell::Number(number) => number as f64,
            other => panic!("{other:?}"),
        }),
        Term::DoubleArithmetic(op, a, b) => {
            let (Cell::Double(a), Cell::Double(b)) = (cell(a, row)?, cell(b, row)?) else {
                panic!("doubles");
            };
            Cell::Double(op.of_doubles(a, b)?)
        }
        Term::Address(octets) => Cell::Octets(octets.to_vec()),
        Term::Mac(octets) => Cell::Octets(octets.to_vec()),
        Term::Arithmetic(op, a, b) => Cell::Number(op.of(number(a)?, number(b)?)?),
        Term::If(test, a, b) => return cell(if is(test, row) { a } else { b }, row),
    })
}

fn printed(kind: Type, cell: Option<Cell>) -> String {
    match (kind, cell) {
        (_, None) => String::new(),
        (_, Some(Cell::Text(text))) => text,
        (Type::Time, Some(Cell::Number(micros))) => {
            jiff::Timestamp::from_microsecond(micros).unwrap().to_string()
        }
        (Type::Span, Some(Cell::Number(micros))) => format!("{}s", micros as f64 / 1e6),
        (_, Some(Cell::Number(number))) => number.to_string(),
        (_, Some(Cell::Double(double))) => double.to_string(),
        (Type::Mac, Some(Cell::Octets(mac))) => mac
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(":"),
        (_, Some(Cell::Octets(address))) => {
            let address = <[u8; 16]>::try_from(address).unwrap();
            IpAddr::from(address).to_canonical().to_string()
        }
    }
}

/// Records in which any field may be absent.
fn records() -> Vec<FlowRecord> {
    let mut made = flows::Flows::new(11, 300);
    let mut state = 7_u64;
    let mut chance = |one_in: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).is_multiple_of(one_in)
    };
    let mut record = || {
        let mut flow = made.flow();
        let mut lose = |absent: &mut dyn FnMut()| {
            if chance(4) {
                absent();
            }
        };
        lose(&mut || flow.bytes = None);
        lose(&mut || flow.packets = Some(0));
        lose(&mut || flow.proto = None);
        lose(&mut || flow.proto = Some(47));
        lose(&mut || flow.src.addr = None);
        lose(&mut || flow.dst.addr = Some("fd00::1".parse::<IpAddr>().unwrap()));
        lose(&mut || flow.dst.port = flow.src.port);
        lose(&mut || flow.dst.port = None);
        lose(&mut || flow.start_ns = flow.end_ns);
        lose(&mut || flow.exporter_node = Arc::clone(&flow.src.identity.node_name));
        lose(&mut || flow.exporter = "10.0.0.1".parse().unwrap());
        lose(&mut || flow.dst.mac = None);
        lose(&mut || flow.src.if_name = "eth0".into());
        lose(&mut || flow.exporter_node = "".into());
        lose(&mut || flow.verdict = Verdict::Dropped);
        lose(&mut || flow.src.identity = weir_flow::Who::NOBODY);
        lose(&mut || flow.dst.identity = flow.src.identity.clone());
        lose(&mut || {
            let labels = [("app", "web"), ("tier", "")].map(|(key, value)| (key.into(), value.into()));
            flow.src.identity = weir_flow::Identity {
                labels: labels.into(),
                ..(*flow.src.identity).clone()
            }
            .into();
        });
        for (attribute, value) in [
            (
                Attribute::NatSrcAddr,
                AttributeValue::Address([192, 0, 2, 7].into()),
            ),
            (
                Attribute::NatSrcAddr,
                AttributeValue::Address("fd00::7".parse().unwrap()),
            ),
            (Attribute::SrcAs, AttributeValue::Unsigned(64_500)),
            (Attribute::DstAs, AttributeValue::Unsigned(4_200_000_000)),
            (Attribute::UserName, AttributeValue::Text("alice".into())),
            (Attribute::ForwardingStatus, AttributeValue::Unsigned(0x80)),
            (Attribute::FlowId, AttributeValue::Unsigned(u64::MAX)),
            (Attribute::NatDstPort, AttributeValue::Unsigned(443)),
        ] {
            lose(&mut || flow.attributes.set(attribute, value.clone()));
        }
        for (bits, of_one_packet) in [(0x02, true), (0x12, true), (0x12, false)] {
            lose(&mut || flow.tcp_flags = Some(TcpFlags { bits, of_one_packet }));
        }
        flow
    };
    (0..400).map(|_| record()).collect()
}

const UNBOUNDED: weir_store::Bounds = weir_store::Bounds {
    bytes: u64::MAX,
    age: None,
};

struct Stored {
    rows: Vec<Row>,
    batch: RecordBatch,
    identities: Arc<Identities>,
}

fn stored() -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let records = records();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    // In the order in which they came.
    let mut log = reader.follow_log("test", UNBOUNDED);
    writer.append(&records).unwrap();
    writer.flush();
    let shown = log.next_frame(Duration::from_secs(10)).unwrap().unwrap();
    let batch = shown.rows();
    assert_eq!(batch.num_rows(), records.len());
    Stored {
        rows: records.iter().map(row).collect(),
        batch,
        identities: shown.identities(),
    }
}

const ATOMS: &[&str] = &[
    r#"zone != "" && dst_zone != "" && zone != dst_zone"#,
    r#"ns in ["team-0", ""]"#,
    r#"dst_ns == "team-0""#,
    r#"!(dst_zone == "eu-central-1a")"#,
    r#"pod_name.startsWith("workload-1") || dst_pod_name.endsWith("3")"#,
    r#"workload_name.contains(dst_ns)"#,
    r#"dst_workload_name.matches("-[0-3]$")"#,
    "zone == dst_zone",
    "ns < dst_ns",
    "ns in [dst_ns, zone]",
    "bytes > 1500",
    "bytes > packets",
    "bytes >= packets * 500",
    "bytes / packets > 700",
    "packets % 2 == 1",
    "bytes + 9223372036854774000 > 0",
    "bytes > -1",
    "dst_port == 443",
    "dst_port != 443",
    "dst_port in [443, 53, 70000]",
    "dst_port < 70000",
    "port == dst_port",
    "443 <= dst_port",
    r#"protocol == "tcp""#,
    r#"protocol != "udp""#,
    r#"protocol in ["tcp", "47", ""]"#,
    r#"protocol.startsWith("4")"#,
    r#"protocol == """#,
    r#"inCIDR(addr, "10.128.0.0/28")"#,
    r#"inCIDR(dst_addr, ["fd00::/8", "10.128.0.4"])"#,
    r#"inCIDR(dst_addr, "::/0")"#,
    r#"addr == "10.128.0.1" || addr != dst_addr"#,
    r#"addr == """#,
    r#"addr in ["10.128.0.1", "10.128.0.2", "fd00::1"]"#,
    r#"dst_mac == "0a:58:0a:80:00:01""#,
    r#"dst_mac != """#,
    r#"if_name == "eth0""#,
    r#"if_name != "eth0""#,
    r#"if_name == """#,
    r#"if_name in ["", "eth1"]"#,
    r#"if_name.contains("th")"#,
    r#"nat_addr == ip("192.0.2.7")"#,
    r#"nat_addr == """#,
    r#"inCIDR(nat_addr, "fd00::/8")"#,
    "asn == 64500",
    "asn < dst_asn",
    r#"user_name != """#,
    r#"user_name in ["bob", ""]"#,
    r#"forwarding_status == "dropped" || user_name.startsWith("al")"#,
    "known(flow_id)",
    "dst_nat_port == dst_port",
    r#"exporter_node == "" || exporter_node == node_name"#,
    r#"verdict in ["dropped", "delivered"]"#,
    r#"node_addr == dst_node_addr"#,
    r#"inCIDR(node_addr, "10.0.0.0/31")"#,
    "node_addr == exporter",
    "primary",
    "primary == (dst_port == 443)",
    r#""SYN" in tcp_flags"#,
    r#""SYN_ACK" in tcp_flags"#,
    "known(tcp_flags)",
    "known(dst_port) && known(ns)",
    r#"end - start > duration("10s")"#,
    r#"start + duration("30s") < end"#,
    r#"end < timestamp("2026-09-21T14:13:20Z")"#,
    "start == end",
    r#"(primary ? ns : dst_ns) == "team-0""#,
    "(dst_port == 443 ? bytes : packets) > 5",
    r#"(primary ? addr : dst_addr) == "fd00::1""#,
    r#"zone != "" ? bytes > 1000 : primary"#,
    r#"ns + "/" + pod_name == "team-0/" + pod_name"#,
    r#"dst_zone + verdict in ["eu-central-1adropped", "eu-central-1bunknown"]"#,
    r#"workload_name.upperAscii().contains("LOAD-1")"#,
    r#"protocol.upperAscii() == "TCP" && verdict.lowerAscii() != "dropped""#,
    r#"string(dst_port) == "443""#,
    r#"string(dst_port).startsWith("8")"#,
    r#"string(primary) + string(asn) == "true""#,
    r#"string(dst_addr).startsWith("10.128.0.1")"#,
    r#"string(dst_mac).endsWith("01") || string(end - start) == "0s""#,
    r#"string(start) > "2026-09-21T14:13" && string(bytes) != """#,
    r#"int(pod_name.matches("-1[0-9]*$") ? "7" : "x") == 7"#,
    r#"int(end) % 2 == 0"#,
    r#"int(double(bytes) / 1000.0) == 3"#,
    r#"double(bytes) / double(packets) > 700.5"#,
    r#"double(bytes) * 1.5 > bytes + 3000"#,
    r#"-double(packets) < -10.5"#,
    r#"bytes > 1499.5"#,
    r#"1e3 >= bytes"#,
    r#"double(string(packets) + "0") == packets"#,
    r#"double(packets) in [1, 2.0, 7]"#,
    r#"pod_labels["app"] == "web""#,
    r#"pod_labels.tier == "" && ns != dst_ns"#,
    r#"dst_pod_labels["app"] != pod_labels["app"]"#,
    r#""tier" in pod_labels || has(dst_pod_labels.app)"#,
    r#"pod_labels["app"] + dst_ns == "webteam-0""#,
];

/// Atoms, joined in any way.
pub(crate) fn expressions() -> impl Strategy<Value = String> {
    let atom = select(ATOMS).prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} == {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn check(stored: &Stored, text: &str) -> Filter {
    let filter = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let found = filter.select(&stored.batch, &stored.identities);
    let found = found.unwrap_or_else(|error| panic!("{text}: {error}"));
    for (at, row) in stored.rows.iter().enumerate() {
        assert_eq!(found.value(at), is(&filter.test, row), "{text} of {row:?}");
    }
    filter
}

#[test]
fn each_condition_and_its_negation_find_what_looking_at_each_row_finds() {
    let stored = stored();
    let mut dull = Vec::new();
    for atom in ATOMS {
        let filter = check(&stored, atom);
        check(&stored, &format!("!({atom})"));
        let found = stored.rows.iter().filter(|row| is(&filter.test, row)).count();
        if found == 0 || found == stored.rows.len() {
            dull.push(*atom);
        }
    }
    assert_eq!(dull, Vec::<&str>::new(), "some rows of each kind");
}

#[test]
fn joined_conditions_find_what_looking_at_each_row_finds() {
    let stored = stored();
    let config = ProptestConfig::with_cases(200);
    proptest!(config, |(text in expressions())| {
        check(&stored, &text);
    });
}

#[test]
fn a_lowered_condition_grows_with_the_filter_and_no_faster() {
    let who = IdentityTable::new(&stored().identities);
    let nodes = |text: &str| {
        let test = compile(text).unwrap().test;
        let lowered = LoweringContext::Facts(&who).test(&test).unwrap();
        let mut nodes = 0;
        lowered
            .apply(|_| {
                nodes += 1;
                Ok(TreeNodeRecursion::Continue)
            })
            .unwrap();
        nodes
    };
    for (before, after) in [
        ("(", ") ? primary : !primary"),
        ("primary ? (", ") : primary"),
        ("(", ") == (ttl > 3)"),
        ("(bytes > ((", ") ? ttl : packets))"),
    ] {
        let of = |depth| nodes(&format!("{}ttl > 1{}", before.repeat(depth), after.repeat(depth)));
        let (one, two, many) = (of(1), of(2), of(10));
        assert!(
            many <= one + 9 * (two - one),
            "{before}…{after}: {one}, {two}, {many}"
        );
    }
}

#[test]
fn a_mirrored_filter_finds_the_other_direction() {
    let filter = compile(r#"ns == "a" && dst_port == 443 && egress_policy == "p""#).unwrap();
    let mirrored = compile(r#"dst_ns == "a" && port == 443 && egress_policy == "p""#).unwrap();
    assert_eq!(format!("{:?}", filter.mirrored()), format!("{:?}", mirrored.test));
}

#[test]
fn conditions_that_are_the_same_for_every_row_are_not_asked() {
    let asked = || col("primary");
    let null = || lit(ScalarValue::Boolean(None));
    assert_eq!(every(vec![lit(true), asked()]), asked());
    assert_eq!(every(vec![asked(), lit(false)]), lit(false));
    assert_eq!(every(vec![asked(), null()]), lit(false));
    assert_eq!(every(Vec::new()), lit(true));
    assert_eq!(any(vec![lit(false), asked(), null()]), asked());
    assert_eq!(any(vec![asked(), lit(true)]), lit(true));
    assert_eq!(any(vec![null()]), lit(false));
    assert_eq!(not(null()), lit(true));
    assert_eq!(not(lit(true)), lit(false));
    let (yes, no) = (col("bytes"), lit(0_u64));
    let chosen = |by: Expr| chosen_by(&by, yes.clone(), no.clone()).unwrap();
    assert_eq!(chosen(lit(true)), yes);
    assert_eq!(chosen(null()), no);
}
