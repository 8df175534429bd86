use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    BooleanArray, StringViewArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt64Array,
};
use proptest::prelude::*;

use super::*;
use crate::schema::{DST_ID, SRC_ID};

const HOUR: i64 = 3_600 * SECOND;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A record, as a test says it.
#[derive(Debug, Clone, Copy)]
struct Row {
    time: i64,
    src: u32,
    dst: u32,
    proto: Option<u8>,
    ports: (u16, u16),
    bytes: Option<u64>,
    packets: Option<u64>,
    flags: Option<u16>,
    server: &'static str,
    why: &'static str,
    primary: bool,
}

const ROW: Row = Row {
    time: 7 * HOUR + 5 * SECOND,
    src: 1,
    dst: 2,
    proto: Some(TCP),
    ports: (40_000, 443),
    bytes: Some(100),
    packets: Some(2),
    flags: None,
    server: "unknown",
    why: "none",
    primary: true,
};

/// The answer to a record.
fn answer(row: Row) -> Row {
    let server = match row.server {
        "dst" => "src",
        "src" => "dst",
        other => other,
    };
    Row {
        src: row.dst,
        dst: row.src,
        ports: (row.ports.1, row.ports.0),
        server,
        ..row
    }
}

fn facts(rows: &[Row]) -> RecordBatch {
    let each = rows.iter();
    let times =
        TimestampMicrosecondArray::from_iter_values(each.clone().map(|r| r.time)).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(times)),
        (
            SRC_ID,
            Arc::new(UInt32Array::from_iter_values(each.clone().map(|r| r.src))),
        ),
        (
            DST_ID,
            Arc::new(UInt32Array::from_iter_values(each.clone().map(|r| r.dst))),
        ),
        (
            "proto",
            Arc::new(each.clone().map(|r| r.proto).collect::<UInt8Array>()),
        ),
        (
            "port",
            Arc::new(UInt16Array::from_iter_values(each.clone().map(|r| r.ports.0))),
        ),
        (
            "dst_port",
            Arc::new(UInt16Array::from_iter_values(each.clone().map(|r| r.ports.1))),
        ),
        (
            "bytes",
            Arc::new(each.clone().map(|r| r.bytes).collect::<UInt64Array>()),
        ),
        (
            "packets",
            Arc::new(each.clone().map(|r| r.packets).collect::<UInt64Array>()),
        ),
        (
            "tcp_flags",
            Arc::new(each.clone().map(|r| r.flags).collect::<UInt16Array>()),
        ),
        (
            "server",
            Arc::new(StringViewArray::from_iter_values(each.clone().map(|r| r.server))),
        ),
        (
            "server_confidence",
            Arc::new(StringViewArray::from_iter_values(each.clone().map(|r| r.why))),
        ),
        (
            "primary",
            Arc::new(each.map(|r| Some(r.primary)).collect::<BooleanArray>()),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn edges(rows: &[Row]) -> RecordBatch {
    of_batches(vec![Batch::of_rows(facts(rows))])
}

/// Those of several parts, added up.
fn added(parts: Vec<RecordBatch>) -> RecordBatch {
    let rows = Sorted::new_sorted(parts.into_iter().map(Batch::of_rows).collect(), &schema::edges());
    table_of(&joined(&rows))
}

fn listed(table: &RecordBatch) -> Vec<(Key, Sums)> {
    let columns: Vec<_> = table.columns().iter().cloned().map(Some).collect();
    let rows = build::Rows::of(&columns, table.num_rows());
    (0..table.num_rows()).map(|row| rows.row(row)).collect()
}

/// Client, server, port, strength, bytes both ways.
fn seen(rows: &[Row]) -> Vec<(u32, u32, Option<u16>, Strength, u64, u64)> {
    let edges = listed(&edges(rows)).into_iter();
    let each = edges.map(|(key, sums)| {
        let strength = sums.evidence.strength();
        (
            key.client,
            key.server,
            key.port,
            strength,
            sums.forward.bytes,
            sums.reverse.bytes,
        )
    });
    each.collect()
}

fn known(row: Row, why: &'static str) -> Row {
    Row {
        server: "dst",
        why,
        ..row
    }
}

#[test]
fn a_reply_is_never_a_connection() {
    for (why, strength) in [
        ("syn", Strength::Proven),
        ("service", Strength::Proven),
        ("listener", Strength::Likely),
        ("port", Strength::Weak),
    ] {
        let call = known(ROW, why);
        let back = answer(Row {
            bytes: Some(7),
            ..call
        });
        assert_eq!(
            seen(&[call, back]),
            [(1, 2, Some(443), strength, 100, 7)],
            "{why}"
        );
        assert_eq!(seen(&[back]), [(1, 2, Some(443), strength, 0, 7)], "{why}");
    }
}

#[test]
fn an_ephemeral_port_is_never_a_server_without_proof() {
    let peers = Row {
        ports: (40_000, 50_000),
        ..ROW
    };
    assert_eq!(seen(&[peers]), [(1, 2, None, Strength::Unknown, 100, 0)]);
    let proven = known(peers, "syn");
    assert_eq!(seen(&[proven]), [(1, 2, Some(50_000), Strength::Proven, 100, 0)]);
}

#[test]
fn many_ports_that_meet_one_port_show_who_listens() {
    let clients = |count: u16| -> Vec<Row> {
        let calls = (0..count).map(|n| Row {
            ports: (40_000 + n, 50_051),
            ..ROW
        });
        calls
            .flat_map(|call| {
                [
                    call,
                    answer(Row {
                        bytes: Some(1),
                        ..call
                    }),
                ]
            })
            .collect()
    };
    assert_eq!(
        seen(&clients(3)),
        [(1, 2, Some(50_051), Strength::Likely, 300, 3)]
    );
    assert_eq!(
        seen(&clients(10)),
        [(1, 2, Some(50_051), Strength::Proven, 1_000, 10)]
    );
    let few: Vec<_> = seen(&clients(2)).into_iter().map(|edge| edge.2).collect();
    assert_eq!(few, [None, None], "two are no proof, and each end sent something");
}

#[test]
fn where_many_ports_meet_many_nothing_is_taken_for_a_server() {
    let ports = 40_000..40_005;
    let mesh = ports.clone().flat_map(|one| {
        ports.clone().map(move |other| Row {
            ports: (one, other),
            ..ROW
        })
    });
    let edges = seen(&mesh.collect::<Vec<_>>());
    assert!(edges.iter().all(|edge| edge.3 == Strength::Unknown), "{edges:?}");
}

#[test]
fn the_lower_of_two_registered_ports_gives_way_to_what_many_clients_show() {
    let of = |n: u16| Row {
        ports: (1_500 + n, 9_090),
        server: "src",
        why: "port",
        ..ROW
    };
    assert_eq!(seen(&[of(0)]), [(2, 1, Some(1_500), Strength::Weak, 0, 100)]);
    let calls: Vec<_> = (0..12).map(of).collect();
    assert_eq!(seen(&calls), [(1, 2, Some(9_090), Strength::Proven, 1_200, 0)]);
}

#[test]
fn peers_that_speak_from_the_same_port_have_it_in_no_order() {
    let peers = Row {
        ports: (7_946, 7_946),
        proto: Some(UDP),
        ..ROW
    };
    let edges = seen(&[peers, answer(peers)]);
    assert_eq!(
        edges,
        [
            (1, 2, Some(7_946), Strength::Unknown, 100, 0),
            (2, 1, Some(7_946), Strength::Unknown, 100, 0)
        ]
    );
}

#[test]
fn what_is_of_unknown_direction_stays_apart_from_calls_of_the_same_ends() {
    let peers = Row {
        ports: (7_946, 7_946),
        ..ROW
    };
    let edges = seen(&[peers, known(peers, "syn"), answer(known(peers, "syn"))]);
    assert_eq!(
        edges,
        [
            (1, 2, Some(7_946), Strength::Proven, 100, 100),
            (1, 2, Some(7_946), Strength::Unknown, 100, 0)
        ]
    );
}

#[test]
fn what_has_no_ports_has_no_server() {
    let ping = Row {
        proto: Some(1),
        ports: (0, 0),
        ..ROW
    };
    assert_eq!(seen(&[ping]), [(1, 2, None, Strength::Unknown, 100, 0)]);
}

#[test]
fn connections_are_counted_by_their_first_packet_where_flags_are_seen() {
    let opened = |rows: &[Row]| listed(&edges(rows))[0].1.connections;
    let call = known(ROW, "syn");
    let flagged = |flags| Row {
        flags: Some(flags),
        ..call
    };
    assert_eq!(opened(&[call]), None);
    assert_eq!(
        opened(&[flagged(SYN | ACK), call]),
        Some(1),
        "a whole flow of NetFlow"
    );
    assert_eq!(opened(&[flagged(ACK)]), Some(0), "it goes on");
    assert_eq!(opened(&[answer(flagged(SYN | ACK))]), Some(0));
    let single = |flags| Row {
        packets: Some(400),
        ..flagged(flags | schema::OF_ONE_PACKET)
    };
    assert_eq!(opened(&[single(SYN)]), Some(400), "one in 400 was sampled");
    assert_eq!(opened(&[single(SYN | ACK)]), Some(0));
}

#[test]
fn an_edge_knows_when_it_was_seen_within_its_hour() {
    let at = |seconds: i64| Row {
        time: 7 * HOUR + seconds * SECOND,
        ..known(ROW, "syn")
    };
    let all = listed(&edges(&[at(3_599), at(17), at(3_600)]));
    let hours: Vec<_> = all
        .iter()
        .map(|(key, sums)| (key.hour / HOUR, sums.first, sums.last))
        .collect();
    assert_eq!(hours, [(7, 17, 3_599), (8, 0, 0)]);
}

#[test]
fn no_records_make_no_edges() {
    assert_eq!(edges(&[]).num_rows(), 0);
    assert_eq!(added(vec![edges(&[]), edges(&[])]).num_rows(), 0);
    assert_eq!(
        edges(&[Row {
            primary: false,
            ..ROW
        }])
        .num_rows(),
        0
    );
}

/// Records of a few who talk over a few hours, with all that may be known of them.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let port = prop_oneof![
        Just(0_u16),
        Just(53),
        Just(443),
        Just(9_090),
        1_020..1_030_u16,
        32_760..32_780_u16
    ];
    let words = prop::sample::select(vec!["syn", "service", "listener", "port", "none"]);
    let server = prop::sample::select(vec!["src", "dst", "unknown"]);
    let proto = prop::option::of(prop::sample::select(vec![TCP, UDP, 1]));
    let amount = || prop::option::of(0..10_000_u64);
    let who = (0..4_u32, 0..4_u32, proto, (port.clone(), port));
    let what = (amount(), amount(), prop::option::of(any::<u16>()));
    let row = (-2 * HOUR..3 * HOUR, who, what, server, words, any::<bool>());
    let row = row.prop_map(|(time, who, what, server, why, primary)| Row {
        time,
        src: who.0,
        dst: who.1,
        proto: who.2,
        ports: who.3,
        bytes: what.0,
        packets: what.1,
        flags: what.2,
        server,
        why,
        primary,
    });
    prop::collection::vec(row, 0..60)
}

type Totals = BTreeMap<(i64, u32, u32, Option<u8>), [u64; 3]>;

fn add(totals: &mut Totals, (hour, a, b, proto): (i64, u32, u32, Option<u8>), sums: [u64; 3]) {
    let total = totals.entry((hour, a.min(b), a.max(b), proto)).or_default();
    total
        .iter_mut()
        .zip(sums)
        .for_each(|(total, more)| *total += more);
}

proptest! {
    #[test]
    fn sums_of_edges_are_those_of_the_primary_records(rows in rows()) {
        let (mut of_records, mut of_edges) = (Totals::new(), Totals::new());
        for row in rows.iter().filter(|row| row.primary) {
            let hour = row.time.div_euclid(HOUR) * HOUR;
            let sums = [row.bytes.unwrap_or(0), row.packets.unwrap_or(0), 1];
            add(&mut of_records, (hour, row.src, row.dst, row.proto), sums);
        }
        for (key, sums) in listed(&edges(&rows)) {
            let (there, back) = (sums.forward, sums.reverse);
            let sums = [there.bytes + back.bytes, there.packets + back.packets, there.flows + back.flows];
            add(&mut of_edges, (key.hour, key.client, key.server, key.proto), sums);
        }
        prop_assert_eq!(of_edges, of_records);
    }

    #[test]
    fn the_order_of_records_does_not_matter(
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
    ) {
        prop_assert_eq!(edges(&rows), edges(&shuffled));
    }

    #[test]
    fn each_edge_is_there_once(rows in rows()) {
        let keys: Vec<_> = listed(&edges(&rows)).into_iter().map(|(key, _)| key).collect();
        for (at, key) in keys.iter().enumerate() {
            prop_assert!(!keys[..at].contains(key), "{:?}", key);
        }
    }

    /// Fan-in is counted within a part: of records that tell for themselves, parts may be
    /// cut anywhere.
    #[test]
    fn parts_added_up_are_the_whole(mut rows in rows(), cuts in prop::collection::vec(0..60_usize, 0..4)) {
        for row in &mut rows {
            if row.why == "none" || row.why == "port" || row.server == "unknown" {
                (row.server, row.why) = ("dst", "syn");
            }
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| edges(&rows[cut[0]..cut[1]])).collect();
        let whole = edges(&rows);
        prop_assert_eq!(&added(parts.clone()), &whole);
        // In any grouping.
        let mut nested = edges(&[]);
        for part in parts {
            nested = added(vec![part, nested]);
        }
        prop_assert_eq!(nested, whole);
    }

    #[test]
    fn whoever_is_called_on_an_ephemeral_port_was_proven_to_listen(rows in rows()) {
        for (key, sums) in listed(&edges(&rows)) {
            if key.port.is_some_and(|port| port >= 32_768) {
                let (of_same_port, claims) = (sums.evidence == Evidence::NONE, Evidence::PORT);
                prop_assert!(of_same_port || sums.evidence != claims, "{:?} {:?}", key, sums);
            }
        }
    }
}
