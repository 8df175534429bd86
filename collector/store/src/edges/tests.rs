use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    BooleanArray, FixedSizeBinaryArray, StringViewArray, TimestampMicrosecondArray, UInt8Array, UInt16Array,
    UInt64Array,
};
use proptest::prelude::*;

use super::record::{ACK, RST, SECOND, SYN};
use super::*;
use crate::schema::{DST_ID, SRC_ID};

const HOUR: i64 = 3_600 * SECOND;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A record, as a test says it.
#[derive(Debug, Clone, Copy)]
struct Row {
    time: i64,
    start: Option<i64>,
    exporter: Option<u8>,
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
    start: None,
    exporter: None,
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
    let starts: TimestampMicrosecondArray = each.clone().map(|r| r.start).collect();
    let exporters = each.clone().map(|r| r.exporter.map(|last| [last; 16]));
    let exporters = FixedSizeBinaryArray::try_from_sparse_iter_with_size(exporters, 16).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(times)),
        ("start", Arc::new(starts.with_timezone("UTC"))),
        ("exporter", Arc::new(exporters)),
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
    edges_of(rows, &Crowds::default())
}

fn edges_of(rows: &[Row], crowds: &Crowds) -> RecordBatch {
    let rows = Sorted::unsorted(vec![Batch::of_rows(facts(rows))], &schema::facts());
    table_of(&of_records(&rows, crowds).rows)
}

/// Those of several parts, added up.
fn added(parts: Vec<RecordBatch>) -> RecordBatch {
    let rows = Sorted::new_sorted(parts.into_iter().map(Batch::of_rows).collect(), &schema::edges());
    table_of(&joined(&rows).rows)
}

fn listed(table: &RecordBatch) -> Vec<(Key, Sums)> {
    let columns: Vec<_> = table.columns().iter().cloned().map(Some).collect();
    let rows = build::Rows::of(&columns, table.num_rows());
    (0..table.num_rows()).map(|row| rows.row(row)).collect()
}

/// Client, server, port, strength, bytes both ways.
fn seen(rows: &[Row]) -> Vec<(u32, u32, Option<u16>, Strength, u64, u64)> {
    seen_of(&edges(rows))
}

fn seen_of(edges: &RecordBatch) -> Vec<(u32, u32, Option<u16>, Strength, u64, u64)> {
    let edges = listed(edges).into_iter();
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
        ("port", Strength::Likely),
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
                        time: call.time + 1,
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
    assert!(
        seen(&calls).iter().all(|edge| edge.3 == Strength::Weak),
        "nobody saw who writes first"
    );
    let answers = calls.iter().map(|call| {
        answer(Row {
            time: call.time + 1,
            ..*call
        })
    });
    let both = [calls.clone(), answers.collect()].concat();
    assert_eq!(seen(&both), [(1, 2, Some(9_090), Strength::Proven, 1_200, 1_200)]);
}

/// What the collector says of the port numbers, where it knows nothing else.
fn by_ports(row: Row) -> Row {
    let (src, dst) = row.ports;
    let server = match (src < 1_024, dst < 1_024) {
        (true, false) => "src",
        (false, true) => "dst",
        _ if src == dst || src >= 32_768 && dst >= 32_768 => return row,
        _ => ["dst", "src"][usize::from(src < dst)],
    };
    Row {
        server,
        why: "port",
        ..row
    }
}

/// Calls from so many ports to one, and their answers.
fn calls(count: u16, from: u16, to: u16) -> Vec<Row> {
    let call = |n| {
        let call = by_ports(Row {
            ports: (from + n, to),
            ..ROW
        });
        [
            call,
            answer(Row {
                time: call.time + 1,
                ..call
            }),
        ]
    };
    (0..count).flat_map(call).collect()
}

#[test]
fn what_the_port_numbers_say_gives_way_to_what_many_clients_show() {
    for (from, to) in [(1_500, 9_090), (40_000, 8_080), (40_000, 443)] {
        assert_eq!(
            seen(&calls(10, from, to)),
            [(1, 2, Some(to), Strength::Proven, 1_000, 1_000)],
            "{from} {to}"
        );
    }
    let both = listed(&edges(&calls(10, 40_000, 443)))[0].1.evidence;
    assert_eq!(
        both.words().collect::<Vec<_>>(),
        ["many_clients", "system_port", "port"],
        "what agrees is told, too"
    );
}

#[test]
fn who_meets_many_ports_that_are_rather_a_servers_is_not_judged_by_fan_in() {
    for (from, to) in [(20_000, 50_051), (800, 2_049), (800, 443)] {
        let edges = seen(&calls(10, from, to));
        let is_hinted = |edge: &(u32, u32, Option<u16>, Strength, u64, u64)| edge.3 == Strength::Weak;
        assert!(edges.iter().all(is_hinted), "{from} {to} {edges:?}");
    }
}

#[test]
fn a_system_port_against_one_that_clients_are_given_is_likely_and_the_lower_one_weak() {
    for (from, to, strength) in [
        (40_000, 443, Strength::Likely),
        (40_000, 8_080, Strength::Weak),
        (20_000, 443, Strength::Weak),
        (62_000, 443, Strength::Weak),
    ] {
        let found = seen(&[by_ports(Row {
            ports: (from, to),
            ..ROW
        })]);
        assert_eq!(found, [(1, 2, Some(to), strength, 100, 0)], "{from} {to}");
    }
}

#[test]
fn who_sends_to_many_ports_is_no_server_of_theirs_whether_they_answer_or_not() {
    let probes = |to: fn(u16) -> (u32, u16)| {
        let probe = move |n| Row {
            dst: to(n).0,
            ports: (40_000, to(n).1),
            ..ROW
        };
        (0..20).map(probe)
    };
    let of_one: Vec<_> = probes(|n| (2, 50_000 + n)).collect();
    let of_many: Vec<_> = probes(|n| (2 + u32::from(n), 50_000)).collect();
    for probes in [of_one, of_many] {
        let refused = probes.iter().map(|probe| {
            answer(Row {
                time: probe.time + 1,
                ..*probe
            })
        });
        let answered = [probes.clone(), refused.collect()].concat();
        for rows in [probes, answered] {
            let edges = seen(&rows);
            assert!(edges.iter().all(|edge| edge.3 == Strength::Unknown), "{edges:?}");
        }
    }
}

/// Probes from one port to these, and what refuses them, each so much later.
fn refused(ports: impl Iterator<Item = u16>, later: impl Fn(u16) -> i64) -> (Vec<Row>, Vec<Row>) {
    let probes: Vec<_> = ports
        .map(|port| {
            by_ports(Row {
                ports: (40_000, port),
                ..ROW
            })
        })
        .collect();
    let refusals = probes.iter().map(|probe| {
        answer(Row {
            time: probe.time + later(probe.ports.1),
            ..*probe
        })
    });
    let refusals = refusals.collect();
    (probes, refusals)
}

#[test]
fn a_scanner_is_never_its_victims_server() {
    for from in [1, 20_000, 50_000] {
        let ports = || from..from + 20;
        let (probes, refusals) = refused(ports(), |_| 0);
        let [half, late, early] = [
            |port: u16| [-1, 1][usize::from(port.is_multiple_of(2))],
            |_| 1,
            |_| -1,
        ]
        .map(|later: fn(u16) -> i64| refused(ports(), later).1);
        let started = |rows: &[Row], at: i64| -> Vec<Row> {
            let start = Some(ROW.time - at);
            rows.iter().map(|row| Row { start, ..*row }).collect()
        };
        let of_another: Vec<_> = early
            .iter()
            .map(|row| Row {
                exporter: Some(1),
                ..*row
            })
            .collect();
        for (what, probes, refusals) in [
            ("refusals alone", &[][..], &refusals),
            ("probes alone", &probes[..], &vec![]),
            ("at once", &probes[..], &refusals),
            ("half of them before the probe", &probes[..], &half),
            ("seen before the probe elsewhere", &probes[..], &of_another),
            (
                "arrived before the probe",
                &started(&probes, 9)[..],
                &started(&early, 8),
            ),
            ("a probe in ten", &probes[..2], &refusals),
            ("after the probes", &probes[..], &late),
        ] {
            let edges = seen(&[probes, refusals].concat());
            let is_right = |edge: &(u32, u32, Option<u16>, Strength, u64, u64)| {
                edge.2 != Some(40_000) && (edge.2.is_none() || (edge.0, edge.1) == (1, 2))
            };
            assert!(edges.iter().all(is_right), "{what} from {from}: {edges:?}");
        }
    }
}

#[test]
fn who_writes_first_is_told_by_the_start_of_flows_of_one_exporter() {
    let clients = |start: [i64; 2], exporters: [u8; 2]| -> Vec<Row> {
        let calls = (0..10).map(|n| Row {
            ports: (40_000 + n, 50_051),
            start: Some(ROW.time - start[0]),
            exporter: Some(exporters[0]),
            ..ROW
        });
        // It arrives before the call.
        let answered = |call: Row| {
            answer(Row {
                time: call.time - 1,
                start: Some(ROW.time - start[1]),
                exporter: Some(exporters[1]),
                ..call
            })
        };
        calls.flat_map(|call| [call, answered(call)]).collect()
    };
    let strength = |rows: &[Row]| seen(rows).iter().map(|edge| edge.3).min();
    assert_eq!(
        seen(&clients([10, 9], [1, 1])),
        [(1, 2, Some(50_051), Strength::Proven, 1_000, 1_000)]
    );
    assert_eq!(
        strength(&clients([10, 9], [1, 2])),
        Some(Strength::Unknown),
        "two clocks"
    );
    assert_eq!(
        strength(&clients([9, 9], [1, 1])),
        Some(Strength::Unknown),
        "at once"
    );
}

#[test]
fn fan_in_without_an_order_makes_likely_what_the_port_numbers_say_and_never_more() {
    let to = |port: u16| {
        (0..12).map(move |n| {
            by_ports(Row {
                ports: (40_000 + n, port),
                ..ROW
            })
        })
    };
    let found = |port| seen(&to(port).collect::<Vec<_>>());
    assert_eq!(found(8_080), [(1, 2, Some(8_080), Strength::Likely, 1_200, 0)]);
    assert_eq!(found(50_051), [(1, 2, None, Strength::Unknown, 1_200, 0)]);
}

#[test]
fn a_syn_that_nobody_answered_or_that_was_refused_names_no_server_for_others() {
    // 1:40000 is a client of 2:27017, and 9 scans it.
    let of_client = by_ports(Row {
        ports: (40_000, 27_017),
        ..ROW
    });
    let syn = |src: u32, port: u16, flags| {
        known(
            Row {
                src,
                dst: 1,
                ports: (50_000 + src as u16, port),
                flags: Some(flags),
                ..ROW
            },
            "syn",
        )
    };
    let back = |row: Row, flags| Row {
        server: "unknown",
        why: "none",
        flags: Some(flags),
        ..answer(row)
    };
    let edge = |rows: &[Row]| {
        let edges = seen(rows).into_iter();
        edges
            .filter(|edge| [edge.0, edge.1].contains(&2))
            .collect::<Vec<_>>()
    };
    let as_it_is = [(1, 2, Some(27_017), Strength::Weak, 100, 0)];
    for port in [40_000, 8_080] {
        let client = by_ports(Row {
            ports: (port, 5_000),
            ..of_client
        });
        let (one, many) = (syn(9, port, SYN), [9, 10, 11].map(|src| syn(src, port, SYN)));
        let refusals = many.map(|probe| back(probe, RST | ACK));
        let alone = seen(&[client])[0];
        assert_eq!(edge(&[one, client]), [alone], "{port}");
        assert_eq!(
            edge(&[&many[..], &refusals[..], &[client]].concat()),
            [alone],
            "{port}"
        );
    }
    // Some really listens there and answered: that is told of, and that others disagree.
    let accepted = [9, 10, 11].map(|src| {
        let call = syn(src, 40_000, SYN);
        [call, back(call, ACK | SYN)]
    });
    let of_one = edge(&[&accepted[0][..], &[of_client]].concat());
    assert_eq!(of_one, as_it_is, "a port that clients take needs several");
    assert_eq!(
        edge(&[&accepted.concat()[..], &[of_client]].concat()),
        [(2, 1, Some(40_000), Strength::Weak, 0, 100)]
    );
}

#[test]
fn what_one_host_of_the_internet_serves_names_no_other_host_a_server() {
    // 1 calls port 8443 of some host outside, which is 3; another calls 1:20000 from 8443.
    let call = known(
        Row {
            dst: 3,
            ports: (40_000, 8_443),
            ..ROW
        },
        "listener",
    );
    let other = Row {
        src: 3,
        dst: 1,
        ports: (8_443, 20_000),
        ..ROW
    };
    let names = |ids: &[(u32, &str)]| {
        let kinds = StringViewArray::from_iter_values(ids.iter().map(|(_, kind)| kind));
        let numbers = UInt32Array::from_iter_values(ids.iter().map(|(id, _)| *id));
        let columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(numbers)), ("kind", Arc::new(kinds))];
        Crowds::of(&RecordBatch::try_from_iter(columns).unwrap())
    };
    let of = |kind| {
        let edges = seen_of(&edges_of(&[call, other], &names(&[(1, "Pod"), (3, kind)])));
        edges
            .into_iter()
            .map(|edge| (edge.0, edge.1, edge.2))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(""), [(1, 3, Some(8_443)), (3, 1, None)]);
    assert_eq!(of("Pod"), [(1, 3, Some(8_443))]);
}

#[test]
fn a_server_that_one_record_names_is_that_of_all_records_of_its_port() {
    for (why, strength) in [
        ("syn", Strength::Proven),
        ("service", Strength::Proven),
        ("listener", Strength::Likely),
    ] {
        for ports in [(40_000, 27_017), (40_000, 50_051)] {
            if (why, ports.1) == ("syn", 50_051) {
                continue;
            }
            let call = Row { ports, ..ROW };
            let of_another = Row {
                src: 3,
                ports: (ports.0 + 1, ports.1),
                ..ROW
            };
            let accepted = Row {
                flags: Some(SYN | ACK),
                ..answer(by_ports(call))
            };
            let rows = [
                known(call, why),
                by_ports(call),
                accepted,
                answer(by_ports(of_another)),
            ];
            let expected = [
                (1, 2, Some(ports.1), strength, 200, 100),
                (3, 2, Some(ports.1), strength, 0, 100),
            ];
            assert_eq!(seen(&rows), expected, "{why} {ports:?}");
        }
    }
}

#[test]
fn records_that_contradict_each_other_make_a_weak_edge_of_their_own_that_says_so() {
    let call = Row {
        ports: (20_000, 27_017),
        ..ROW
    };
    let turned = Row {
        server: "src",
        why: "listener",
        ..call
    };
    let of_another = known(
        Row {
            ports: (20_001, 27_017),
            ..ROW
        },
        "syn",
    );
    let rows = [known(call, "syn"), turned, of_another];
    let found: Vec<_> = listed(&edges(&rows))
        .into_iter()
        .map(|(key, sums)| {
            let words: Vec<_> = sums.evidence.words().collect();
            (key.client, key.port, sums.evidence.strength(), words)
        })
        .collect();
    let expected = [
        (1, Some(27_017), Strength::Proven, vec!["syn"]),
        (1, Some(27_017), Strength::Weak, vec!["syn", "contradicted"]),
        (2, Some(20_000), Strength::Weak, vec!["listener", "contradicted"]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn of_what_is_of_unknown_direction_nobody_says_who_opened_connections() {
    let peers = Row {
        ports: (40_000, 50_000),
        flags: Some(SYN | ACK),
        ..ROW
    };
    let edges = listed(&edges(&[peers, answer(peers)]));
    assert!(
        edges.iter().all(|(_, sums)| sums.connections.is_none()),
        "{edges:?}"
    );
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
    // Either is seen to call the other: with one port at both ends that is no contradiction.
    let back = known(
        Row {
            src: 2,
            dst: 1,
            ..peers
        },
        "syn",
    );
    let edges = seen(&[peers, known(peers, "syn"), answer(known(peers, "syn")), back]);
    assert_eq!(
        edges,
        [
            (1, 2, Some(7_946), Strength::Proven, 100, 100),
            (1, 2, Some(7_946), Strength::Unknown, 100, 0),
            (2, 1, Some(7_946), Strength::Proven, 100, 0)
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
    let seen_at = (prop::option::of(0..9_i64), prop::option::of(0..2_u8));
    let what = (amount(), amount(), prop::option::of(any::<u16>()), seen_at);
    let row = (-2 * HOUR..3 * HOUR, who, what, server, words, any::<bool>());
    let row = row.prop_map(|(time, who, what, server, why, primary)| Row {
        time,
        start: what.3.0,
        exporter: what.3.1,
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
            // And none contradicts another.
            let is_source = (row.src, row.ports.0) > (row.dst, row.ports.1);
            row.server = if is_source { "src" } else { "dst" };
            if row.why == "none" || row.why == "port" {
                row.why = "syn";
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
                let of_same_port = sums.evidence == Evidence::NONE;
                let is_contradicted = sums.evidence.has(Evidence::CONTRADICTED);
                let is_weak = sums.evidence.strength() == Strength::Weak && !is_contradicted;
                prop_assert!(of_same_port || !is_weak, "{:?} {:?}", key, sums);
            }
        }
    }
}

/// Who called whom: client, its port, server, its port; how many records of the call and of
/// its answer there are, what tells that the server is it, and whether the answer came first.
type Connection = ((u32, u32, usize), (usize, usize), Option<&'static str>, bool);

const SERVER_PORTS: [u16; 6] = [53, 443, 2_379, 8_080, 30_080, 50_051];

/// Connections of a few clients to a few servers, no two from the same port.
fn connections() -> impl Strategy<Value = Vec<Connection>> {
    let told = prop::sample::select(vec![None, None, Some("syn"), Some("service"), Some("listener")]);
    let ends = (1..5_u32, 5..8_u32, 0..SERVER_PORTS.len());
    let connection = (ends, (0..3_usize, 0..3_usize), told, any::<bool>());
    prop::collection::vec(connection, 0..40)
}

/// The records of connections.
fn records_of(connections: &[Connection]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, ((client, server, place), (calls, answers), told, is_late)) in connections.iter().enumerate() {
        let call = Row {
            time: ROW.time + at as i64 * 10 + i64::from(*is_late),
            src: *client,
            dst: *server,
            ports: (33_000 + at as u16, SERVER_PORTS[*place]),
            ..ROW
        };
        let call = told.map_or_else(|| by_ports(call), |why| known(call, why));
        let back = answer(Row {
            time: ROW.time + at as i64 * 10 + i64::from(!*is_late),
            ..call
        });
        rows.extend(std::iter::repeat_n(call, *calls));
        rows.extend(std::iter::repeat_n(back, *answers));
    }
    rows
}

proptest! {
    #[test]
    fn replies_are_never_connections_and_ports_of_clients_never_servers(connections in connections()) {
        let mut truth = BTreeMap::<(u32, u32, u16), [u64; 2]>::new();
        for ((client, server, place), (calls, answers), ..) in &connections {
            let flows = truth.entry((*client, *server, SERVER_PORTS[*place])).or_default();
            *flows = [flows[0] + *calls as u64, flows[1] + *answers as u64];
        }
        let mut found = BTreeMap::<(u32, u32, u16), [u64; 2]>::new();
        for (key, sums) in listed(&edges(&records_of(&connections))) {
            match key.port {
                Some(port) => {
                    let flows = found.entry((key.client, key.server, port)).or_default();
                    *flows = [flows[0] + sums.forward.flows, flows[1] + sums.reverse.flows];
                }
                // Of few clients of the one port that clients take nothing is told.
                None => prop_assert_eq!(sums.evidence, Evidence::NONE),
            }
        }
        for (edge, flows) in &found {
            let of_truth = truth.get(edge).copied().unwrap_or_default();
            match edge.2 {
                50_051 => prop_assert!(flows[0] <= of_truth[0] && flows[1] <= of_truth[1], "{:?}", edge),
                _ => prop_assert_eq!(*flows, of_truth, "{:?}", edge),
            }
        }
        let untold = truth.iter().filter(|(edge, flows)| **flows != [0, 0] && !found.contains_key(*edge));
        for (edge, _) in untold {
            prop_assert_eq!(edge.2, 50_051);
        }
    }
}
