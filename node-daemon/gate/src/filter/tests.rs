use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const BRIDGE: &str = "00000000-0000-0000-0000-00000000000b";
const ROW: &str = "00000000-0000-0000-0000-00000000000c";

fn bytes(method: &str, params: &Value, id: &Value) -> Vec<u8> {
    json!({"method": method, "params": params, "id": id})
        .to_string()
        .into_bytes()
}

fn ask(filter: &mut Filter, method: &str, params: Value) -> FromClient {
    filter.from_client(&bytes(method, &params, &json!("a"))).unwrap()
}

fn passes(method: &str, params: Value) -> bool {
    matches!(
        ask(&mut Filter::default(), method, params),
        FromClient::Pass { .. }
    )
}

fn transact(operations: &[Value]) -> FromClient {
    let params: Vec<Value> = [json!("Open_vSwitch")]
        .iter()
        .chain(operations)
        .cloned()
        .collect();
    ask(&mut Filter::default(), "transact", json!(params))
}

#[track_caller]
fn refused(operations: &[Value]) -> Refusal {
    match transact(operations) {
        FromClient::Refuse {
            answer: Some(answer),
            refusal,
        } => {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(
                (&answer["id"], &answer["error"]["error"], &answer["result"]),
                (&json!("a"), &json!("permission error"), &Value::Null)
            );
            refusal
        }
        passed => panic!("{operations:?}: {passed:?}"),
    }
}

fn wait(column: &str, refers_to: Value) -> Value {
    json!({"op": "wait", "timeout": 0, "table": "Bridge", "where": [["_uuid", "==", ["uuid", BRIDGE]]],
           "columns": ["name", column], "until": "==", "rows": [{"name": "br-int", column: refers_to}]})
}

fn insert(table: &str) -> Value {
    json!({"op": "insert", "table": table, "uuid-name": "row0",
           "row": {"targets": "192.0.2.9:2055", "external_ids": ["map", [["weir-owner", "node-a"]]]}})
}

fn refer(column: &str, to: Value) -> Value {
    json!({"op": "update", "table": "Bridge", "where": [["_uuid", "==", ["uuid", BRIDGE]]], "row": {column: to}})
}

fn update(table: &str, row: Value) -> Value {
    json!({"op": "update", "table": table, "where": [["_uuid", "==", ["uuid", ROW]]], "row": row})
}

fn mutate(table: &str, mutations: Value) -> Value {
    json!({"op": "mutate", "table": table, "where": [["_uuid", "==", ["uuid", ROW]]], "mutations": mutations})
}

fn count() -> Value {
    json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]})
}

fn read() -> Value {
    json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]})
}

fn none() -> Value {
    json!(["set", []])
}

/// Every shape that there is.
fn whole() -> Vec<Value> {
    vec![
        json!({"op": "comment", "comment": "weir-node node-a: create IPFIX on br-int"}),
        wait("ipfix", none()),
        wait("sflow", json!(["uuid", ROW])),
        wait("netflow", json!(["uuid", ROW])),
        insert("IPFIX"),
        refer("ipfix", json!(["named-uuid", "row0"])),
        update(
            "sFlow",
            json!({"targets": ["set", ["192.0.2.9:6343", "[2001:db8::1]:6343"]], "agent": none()}),
        ),
        mutate(
            "sFlow",
            json!([
                ["external_ids", "delete", "weir-owner"],
                ["external_ids", "insert", ["map", [["weir-owner", "n"]]]]
            ]),
        ),
        refer("netflow", none()),
        count(),
        read(),
    ]
}

#[test]
fn what_passes_is_written_anew_under_a_number_of_our_own() {
    let mut filter = Filter::default();
    let mut params = vec![json!("Open_vSwitch")];
    params.extend(whole());
    let FromClient::Pass {
        bytes,
        work: Work::Change,
    } = ask(&mut filter, "transact", json!(params))
    else {
        panic!("a transaction of export");
    };
    let sent: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(sent["params"], json!(params));
    assert_eq!(sent["id"], 1);
    let answer = json!({"id": 1, "result": [{}], "error": null}).to_string();
    let FromServer::Pass(answer) = filter.from_server(answer.as_bytes()).unwrap() else {
        panic!("an answer to it");
    };
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer, json!({"id": "a", "result": [{}], "error": null}));
}

#[test]
fn one_operation_that_does_not_pass_keeps_all_of_them_back() {
    let others = [
        json!({"op": "insert", "table": "Bridge", "uuid-name": "row7", "row": {"name": "br-evil"}}),
        json!({"op": "insert", "table": "Manager", "uuid-name": "row7", "row": {"target": "ptcp:6640"}}),
        json!({"op": "insert", "table": "Controller", "uuid-name": "row7", "row": {"target": "tcp:192.0.2.9"}}),
        json!({"op": "insert", "table": "Mirror", "uuid-name": "row7", "row": {"name": "m"}}),
        json!({"op": "delete", "table": "Bridge", "where": []}),
        json!({"op": "delete", "table": "IPFIX", "where": [["_uuid", "==", ["uuid", ROW]]]}),
        json!({"op": "update", "table": "Interface", "where": [["name", "==", "eth0"]], "row": {"options": ["map", []]}}),
        json!({"op": "update", "table": "Open_vSwitch", "where": [], "row": {"bridges": ["set", []]}}),
        json!({"op": "update", "table": "Open_vSwitch", "where": [], "row": {"other_config": ["map", []]}}),
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["manager_options", "insert", ["named-uuid", "row0"]]]}),
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 2]]}),
        json!({"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", BRIDGE]]], "mutations": [["ipfix", "insert", ["uuid", ROW]]]}),
        json!({"op": "select", "table": "Interface", "where": [], "columns": ["options"]}),
        json!({"op": "select", "table": "SSL", "where": []}),
        json!({"op": "select", "table": "Open_vSwitch", "where": []}),
        json!({"op": "abort"}),
        json!({"op": "commit", "durable": true}),
        json!({"op": "assert", "lock": "x"}),
        json!({"op": "lock", "table": "Bridge"}),
        count(),
        read(),
        json!([]),
        json!(null),
    ];
    for other in others {
        for place in [0, 5, whole().len()] {
            let mut all = whole();
            all.insert(place, other.clone());
            refused(&all);
        }
    }
}

/// A place in a value, and what to put there.
fn edits(at: &Value) -> Vec<Value> {
    let mut edits = vec![
        json!(null),
        json!({}),
        json!([]),
        json!(7),
        json!("Interface"),
        json!(true),
    ];
    edits.retain(|edit| edit != at);
    match at {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                for edit in self::edits(item) {
                    let mut items = items.clone();
                    items[n] = edit;
                    edits.push(json!(items));
                }
            }
        }
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("durable".into(), json!(true));
            edits.push(Value::Object(more));
            for (name, member) in members {
                let mut less = members.clone();
                less.remove(name);
                edits.push(Value::Object(less));
                for edit in self::edits(member) {
                    let mut members = members.clone();
                    members.insert(name.clone(), edit);
                    edits.push(Value::Object(members));
                }
            }
        }
        _ => {}
    }
    edits
}

/// Whatever is put in the place of any one part of a transaction, it passes only as what
/// export does anyway.
#[test]
fn one_edit_of_a_transaction_is_refused_or_writes_the_same_columns() {
    let mut tried = 0;
    for place in 0..whole().len() {
        for edit in edits(&whole()[place]) {
            let mut all = whole();
            all[place] = edit.clone();
            tried += 1;
            let FromClient::Pass { bytes, .. } = transact(&all) else {
                continue;
            };
            let sent: Value = serde_json::from_slice(&bytes).unwrap();
            let (is, was) = (&sent["params"][place + 1], &whole()[place]);
            for part in ["op", "table", "columns", "timeout", "until"] {
                assert_eq!(is[part], was[part], "{edit}");
            }
            if was["table"] == "Open_vSwitch" || was["table"] == "Bridge" {
                assert_eq!(is["where"], was["where"], "{edit}");
                assert_eq!(is["mutations"], was["mutations"], "{edit}");
                let keys = |value: &Value| -> Vec<String> {
                    let members = value.as_object().map(|members| members.keys().cloned().collect());
                    members.unwrap_or_default()
                };
                assert_eq!(keys(&is["row"]), keys(&was["row"]), "{edit}");
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn no_change_is_made_to_a_row_or_a_bridge_that_was_not_waited_for() {
    refused(&[refer("ipfix", none())]);
    refused(&[wait("sflow", none()), refer("ipfix", none())]);
    refused(&[update("IPFIX", json!({"sampling": 1}))]);
    refused(&[
        wait("sflow", json!(["uuid", ROW])),
        update("IPFIX", json!({"sampling": 1})),
    ]);
    refused(&[mutate("IPFIX", json!([["external_ids", "delete", "weir-owner"]]))]);
    let everywhere = json!({"op": "update", "table": "IPFIX", "where": [], "row": {"sampling": 1}});
    refused(&[wait("ipfix", json!(["uuid", ROW])), everywhere]);
    let named =
        json!({"op": "update", "table": "Bridge", "where": [["name", "!=", ""]], "row": {"ipfix": none()}});
    refused(&[wait("ipfix", none()), named]);
}

#[test]
fn a_bridge_refers_to_a_row_of_the_same_transaction_and_of_that_protocol_alone() {
    let to = |to: Value| [wait("ipfix", none()), insert("NetFlow"), refer("ipfix", to)];
    for reference in [
        json!(["named-uuid", "row0"]),
        json!(["named-uuid", "row1"]),
        json!(["uuid", ROW]),
        json!("row0"),
    ] {
        refused(&to(reference));
    }
    refused(&[wait("ipfix", none()), insert("IPFIX"), insert("IPFIX")]);
    let mut odd = insert("IPFIX");
    odd["uuid-name"] = json!("Open_vSwitch");
    refused(&[odd]);
}

#[test]
fn values_are_bounded() {
    let edit = |table: &str, column: &str, row: Value| {
        let protocol = wait(column, json!(["uuid", ROW]));
        transact(&[protocol, update(table, row)])
    };
    let good = [
        (
            "NetFlow",
            "netflow",
            json!({"engine_id": 255, "engine_type": none(), "active_timeout": 0}),
        ),
        (
            "sFlow",
            "sflow",
            json!({"sampling": 4_294_967_295_u32, "header": 1299, "agent": "eth0"}),
        ),
        (
            "IPFIX",
            "ipfix",
            json!({"sampling": 1, "cache_active_timeout": 4200, "template_interval": 3600}),
        ),
    ];
    for (table, column, row) in good {
        assert!(
            matches!(edit(table, column, row.clone()), FromClient::Pass { .. }),
            "{row}"
        );
    }
    let bad = [
        ("NetFlow", "netflow", json!({"engine_id": 256})),
        ("NetFlow", "netflow", json!({"engine_id": ["set", [1, 2]]})),
        ("NetFlow", "netflow", json!({"active_timeout": -1})),
        ("NetFlow", "netflow", json!({"active_timeout": 1e3})),
        (
            "NetFlow",
            "netflow",
            json!({"active_timeout": 18_446_744_073_709_551_615_u64}),
        ),
        ("NetFlow", "netflow", json!({"add_id_to_interface": 1})),
        ("sFlow", "sflow", json!({"header": 1300})),
        ("sFlow", "sflow", json!({"agent": "a\nb"})),
        ("sFlow", "sflow", json!({"agent": "a".repeat(2000)})),
        ("IPFIX", "ipfix", json!({"sampling": 0})),
        ("IPFIX", "ipfix", json!({"targets": none()})),
        ("IPFIX", "ipfix", json!({"targets": "unix:/etc/passwd"})),
        ("IPFIX", "ipfix", json!({"targets": "evil.example.com:4739"})),
        ("IPFIX", "ipfix", json!({"targets": "192.0.2.9:0"})),
        (
            "IPFIX",
            "ipfix",
            json!({"targets": ["set", (1..12).map(|n| format!("192.0.2.{n}:1")).collect::<Vec<_>>()]}),
        ),
        ("IPFIX", "ipfix", json!({"external_ids": ["map", []]})),
        (
            "IPFIX",
            "ipfix",
            json!({"other_config": ["map", [["virtual_obs_id", "x"]]]}),
        ),
        ("IPFIX", "ipfix", json!({"_uuid": ["uuid", ROW]})),
    ];
    for (table, column, row) in bad {
        let outcome = edit(table, column, row.clone());
        assert!(matches!(outcome, FromClient::Refuse { .. }), "{row}: {outcome:?}");
    }
}

#[test]
fn maps_are_written_key_by_key_and_only_keys_of_ours() {
    let with = |mutations: Value| [wait("ipfix", json!(["uuid", ROW])), mutate("IPFIX", mutations)];
    let switch = json!([[
        "other_config",
        "insert",
        ["map", [["enable-input-sampling", "false"]]]
    ]]);
    assert!(matches!(transact(&with(switch)), FromClient::Pass { .. }));
    for mutations in [
        json!([["external_ids", "insert", ["map", [["iface-id", "x"]]]]]),
        json!([[
            "external_ids",
            "insert",
            ["map", [["weir-owner", "a"], ["x", "y"]]]
        ]]),
        json!([["external_ids", "insert", ["map", [["weir-owner", 7]]]]]),
        json!([["external_ids", "insert", ["map", []]]]),
        json!([["external_ids", "insert", ["set", ["weir-owner"]]]]),
        json!([["external_ids", "delete", ["map", [["weir-owner", "a"]]]]]),
        json!([["external_ids", "delete", ["set", ["weir-owner", "iface-id"]]]]),
        json!([["external_ids", "delete", none()]]),
        json!([["sampling", "+=", 1]]),
        json!([["targets", "insert", "192.0.2.9:1"]]),
        json!([[
            "other_config",
            "insert",
            ["map", [["enable-tunnel-sampling", "a\u{0}b"]]]
        ]]),
    ] {
        refused(&with(mutations));
    }
    let row = |row: Value| json!({"op": "insert", "table": "IPFIX", "uuid-name": "row0", "row": row});
    refused(&[row(json!({"targets": "192.0.2.9:1"}))]);
    refused(&[row(
        json!({"external_ids": ["map", [["weir-owner", "a"], ["b", "c"]]]}),
    )]);
    refused(&[row(
        json!({"external_ids": ["map", [["weir-owner", "a"]]], "options": "x"}),
    )]);
}

#[test]
fn a_comment_is_one_line_of_bounded_length_at_the_beginning() {
    let comment = |text: &str| json!({"op": "comment", "comment": text});
    assert!(matches!(
        transact(&[comment("weir-node é")]),
        FromClient::Pass { .. }
    ));
    refused(&[comment("weir-node\n2026-01-01 root: all is well")]);
    refused(&[comment("\u{1b}[2J")]);
    refused(&[comment(&"x".repeat(transact::MOST_COMMENT + 1))]);
    refused(&[comment("a"), comment("b")]);
    refused(&[read(), comment("b")]);
}

#[test]
fn nothing_waits_at_the_server() {
    for timeout in [json!(1), json!(-1), json!(null), json!("0"), json!(0.0)] {
        let mut wait = wait("ipfix", none());
        wait["timeout"] = timeout;
        refused(&[wait]);
    }
    let mut endless = wait("ipfix", none());
    endless.as_object_mut().unwrap().remove("timeout");
    refused(&[endless]);
}

/// What two parsers could read differently is read by one: what is sent on is written anew.
#[test]
fn a_member_that_stands_there_twice_is_sent_on_as_it_was_judged() {
    let twice = br#"{"id":"a","method":"transact","params":["Open_vSwitch",
        {"op":"select","table":"Interface","table":"Open_vSwitch","where":[],"columns":["options"],"columns":["next_cfg"]}]}"#;
    let Ok(FromClient::Pass { bytes, .. }) = Filter::default().from_client(twice) else {
        panic!("the last one counts");
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("Interface") && !text.contains("options"), "{text}");
    let other_way = String::from_utf8_lossy(twice).replace(
        r#""table":"Interface","table":"Open_vSwitch""#,
        r#""table":"Open_vSwitch","table":"Interface""#,
    );
    assert!(matches!(
        Filter::default().from_client(other_way.as_bytes()),
        Ok(FromClient::Refuse { .. })
    ));
    let method = br#"{"id":"a","method":"echo","method":"lock","params":[]}"#;
    assert!(Filter::default().from_client(method).is_err());
}

#[test]
fn escapes_name_what_they_name() {
    let escaped = br#"{"id":"a","method":"transact","params":["Open_vSwitch",
        {"op":"select","\u0074able":"\u0049nterface","where":[],"columns":["options"]}]}"#;
    assert!(matches!(
        Filter::default().from_client(escaped),
        Ok(FromClient::Refuse { .. })
    ));
    let lone = br#"{"id":"a","method":"echo","params":["\ud800"]}"#;
    assert!(Filter::default().from_client(lone).is_err());
}

#[test]
fn deep_nesting_and_huge_numbers_are_no_messages() {
    let deep = format!(
        r#"{{"id":"a","method":"echo","params":[{}{}]}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(Filter::default().from_client(deep.as_bytes()).is_err());
    let huge = br#"{"id":"a","method":"echo","params":[1e400]}"#;
    assert!(Filter::default().from_client(huge).is_err());
    for id in ["1.5", "-1", "18446744073709551616", "[]", "{}", "true"] {
        let odd = format!(r#"{{"id":{id},"method":"echo","params":[]}}"#);
        assert!(Filter::default().from_client(odd.as_bytes()).is_err(), "{id}");
    }
}

#[test]
fn only_methods_of_export_pass() {
    assert!(passes("echo", json!([])));
    assert!(passes("list_dbs", json!([])));
    assert!(passes("get_schema", json!(["Open_vSwitch"])));
    for (method, params) in [
        ("get_schema", json!(["_Server"])),
        ("get_schema", json!([])),
        ("transact", json!(["_Server"])),
        ("transact", json!([])),
        ("lock", json!(["x"])),
        ("steal", json!(["x"])),
        ("set_db_change_aware", json!([true])),
        ("monitor_cond_change", json!(["m", "m", {}])),
        ("monitor_cancel", json!(["of another"])),
        ("echo", json!(["x".repeat(600)])),
        ("convert", json!(["Open_vSwitch", {}])),
        ("exit", json!([])),
        ("stats", json!(["coverage/show"])),
        ("transact", json!({"0": "Open_vSwitch"})),
    ] {
        assert!(!passes(method, params.clone()), "{method} {params}");
    }
}

fn monitor(filter: &mut Filter, tables: Value) -> FromClient {
    ask(filter, "monitor_cond", json!(["Open_vSwitch", "m", tables]))
}

#[test]
fn columns_are_monitored_by_name_and_none_that_is_not_used() {
    let good = json!({"Interface": [{"columns": ["name", "options"]}]});
    assert!(matches!(
        monitor(&mut Filter::default(), good),
        FromClient::Pass { .. }
    ));
    for bad in [
        json!({"Interface": [{}]}),
        json!({"Interface": [{"columns": []}]}),
        json!({"Interface": []}),
        json!({"Interface": {"columns": ["name"]}}),
        json!({"Interface": [{"columns": ["name"]}, {}]}),
        json!({"Interface": [{"columns": ["name"], "where": [["name", "==", "x"]]}]}),
        json!({"Interface": [{"columns": ["mac"]}]}),
        json!({"SSL": [{"columns": ["private_key"]}]}),
        json!({"Manager": [{"columns": ["target"]}]}),
        json!({"Bridge": [{"columns": ["controller"]}]}),
        json!([]),
    ] {
        let outcome = monitor(&mut Filter::default(), bad.clone());
        assert!(matches!(outcome, FromClient::Refuse { .. }), "{bad}");
    }
}

fn told(filter: &mut Filter, message: Value) -> Option<Value> {
    match filter.from_server(message.to_string().as_bytes()).unwrap() {
        FromServer::Pass(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        _ => None,
    }
}

#[test]
fn secrets_beside_what_is_read_never_reach_the_client() {
    let options = json!(["map", [["psk", "secret"], ["remote_ip", "192.0.2.7"]]]);
    let row = json!({"options": options, "mac": "secret"});
    let kept = json!({"options": ["map", [["remote_ip", "192.0.2.7"]]]});
    for (part, method, place) in [
        ("initial", "update2", 1),
        ("modify", "update2", 1),
        ("insert", "update3", 2),
        ("new", "update", 1),
        ("old", "update", 1),
    ] {
        let mut filter = Filter::default();
        monitor(&mut filter, json!({"Interface": [{"columns": ["options"]}]}));
        let rows = json!({"Interface": {ROW: {part: row}}});
        let first = told(&mut filter, json!({"id": 1, "result": rows, "error": null})).unwrap();
        assert_eq!(first["result"]["Interface"][ROW][part], kept, "{part}");
        let mut params = vec![json!("m")];
        params.resize(place, json!(ROW));
        params.push(rows);
        let later = told(
            &mut filter,
            json!({"id": null, "method": method, "params": params}),
        )
        .unwrap();
        assert_eq!(later["params"][place]["Interface"][ROW][part], kept, "{method}");
    }
    let mut filter = Filter::default();
    let since = json!(["Open_vSwitch", "m", {"Interface": [{"columns": ["options"]}]}, ROW]);
    ask(&mut filter, "monitor_cond_since", since);
    let rows = json!([true, ROW, {"Interface": {ROW: {"initial": row}}}]);
    let first = told(&mut filter, json!({"id": 1, "result": rows, "error": null})).unwrap();
    assert_eq!(first["result"][2]["Interface"][ROW]["initial"], kept);
}

#[test]
fn only_what_answers_a_request_comes_back() {
    let mut filter = Filter::default();
    let stray = json!({"id": 7, "result": "secret", "error": null});
    assert_eq!(told(&mut filter, stray), None);
    for method in [
        "update",
        "update2",
        "update3",
        "monitor_canceled",
        "locked",
        "stolen",
    ] {
        let message = json!({"id": null, "method": method, "params": ["m", {}, {}]});
        assert_eq!(told(&mut filter, message), None, "{method}");
    }
    ask(&mut filter, "echo", json!([]));
    let answer = json!({"id": 1, "result": [], "error": null});
    assert!(told(&mut filter, answer.clone()).is_some());
    assert_eq!(told(&mut filter, answer), None, "once");
}

#[test]
fn a_refused_monitor_leaves_room_for_an_older_form_and_one_at_a_time_is_all() {
    let mut filter = Filter::default();
    let tables = json!({"Bridge": [{"columns": ["name"]}]});
    let passed = |outcome: FromClient| matches!(outcome, FromClient::Pass { .. });
    assert!(passed(monitor(&mut filter, tables.clone())));
    assert!(!passed(monitor(&mut filter, tables.clone())));
    let error = told(
        &mut filter,
        json!({"id": 1, "result": null, "error": "unknown method"}),
    )
    .unwrap();
    assert_eq!(error["error"]["error"], "unknown method");
    assert!(passed(monitor(&mut filter, tables.clone())));
    assert!(passed(ask(&mut filter, "monitor_cancel", json!(["m"]))));
    told(&mut filter, json!({"id": 3, "result": {}, "error": null}));
    assert!(passed(monitor(&mut filter, tables)));
}

#[test]
fn ovsdbs_own_questions_are_answered_here_and_not_by_the_client() {
    let mut filter = Filter::default();
    let echo = json!({"id": "echo", "method": "echo", "params": ["x"]}).to_string();
    let FromServer::Answer(answer) = filter.from_server(echo.as_bytes()).unwrap() else {
        panic!("an answer");
    };
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer, json!({"id": "echo", "result": ["x"], "error": null}));
    let forged = json!({"id": "echo", "result": ["x"], "error": null}).to_string();
    let FromClient::Refuse { answer: None, .. } = filter.from_client(forged.as_bytes()).unwrap() else {
        panic!("nobody asked the client");
    };
}

#[test]
fn a_client_takes_back_what_it_asked_itself_and_nothing_else() {
    let mut filter = Filter::default();
    filter
        .from_client(&bytes("echo", &json!([]), &json!(41)))
        .unwrap();
    let cancel = |filter: &mut Filter, id: Value| {
        filter
            .from_client(&bytes("cancel", &json!([id]), &Value::Null))
            .unwrap()
    };
    let FromClient::Pass { bytes, .. } = cancel(&mut filter, json!(41)) else {
        panic!("its own");
    };
    let sent: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(sent, json!({"method": "cancel", "params": [1], "id": null}));
    for id in [json!(1), json!("41"), json!(null), json!([])] {
        assert!(matches!(cancel(&mut filter, id), FromClient::Refuse { .. }));
    }
}

#[test]
fn requests_without_an_answer_are_bounded_and_the_same_name_twice_mixes_nothing_up() {
    let mut filter = Filter::default();
    for n in 0..MOST_PENDING {
        let outcome = ask(&mut filter, "echo", json!([n]));
        assert!(matches!(outcome, FromClient::Pass { .. }));
    }
    assert!(matches!(
        ask(&mut filter, "echo", json!([])),
        FromClient::Refuse {
            refusal: Refusal::TooMany(_),
            ..
        }
    ));
    for n in 1..=MOST_PENDING {
        let answer = told(&mut filter, json!({"id": n, "result": [n], "error": null})).unwrap();
        assert_eq!(answer["id"], "a");
    }
    assert_eq!(filter.fail("gone"), Vec::<Vec<u8>>::new());
    ask(&mut filter, "echo", json!([]));
    let answers = filter.fail("gone");
    let answer: Value = serde_json::from_slice(&answers[0]).unwrap();
    assert_eq!(answer["error"], json!({"error": "I/O error", "details": "gone"}));
}

#[test]
fn a_refusal_repeats_a_bounded_part_of_what_was_asked() {
    let long = "x".repeat(1 << 16);
    let FromClient::Refuse {
        answer: Some(answer),
        refusal,
    } = ask(&mut Filter::default(), &long, json!([]))
    else {
        panic!("no method");
    };
    assert!(answer.len() < 300 && refusal.to_string().len() < 200);
    assert_eq!(refusal.kind(), "method");
    assert!(!Refusal::method("a\nb").to_string().contains('\n'));
}

/// What is kept of a client while its requests have no answer is bounded.
#[test]
fn a_long_identifier_is_neither_kept_nor_repeated() {
    let id = "x".repeat(MOST_ID_BYTES + 1);
    let mut filter = Filter::default();
    let outcome = filter
        .from_client(&bytes("echo", &json!([]), &json!(id)))
        .unwrap();
    assert!(matches!(outcome, FromClient::Refuse { answer: None, .. }));
    assert_eq!(filter.pending.len(), 0);
}

/// JSON out of the words of the protocol, whole requests of it.
fn requests() -> impl Strategy<Value = Value> {
    let words = [
        "op",
        "insert",
        "select",
        "update",
        "mutate",
        "delete",
        "wait",
        "comment",
        "abort",
        "commit",
        "assert",
        "table",
        "where",
        "row",
        "rows",
        "columns",
        "mutations",
        "until",
        "timeout",
        "uuid-name",
        "row0",
        "uuid",
        "named-uuid",
        "set",
        "map",
        "_uuid",
        "==",
        "!=",
        "+=",
        "Bridge",
        "Interface",
        "Open_vSwitch",
        "IPFIX",
        "NetFlow",
        "sFlow",
        "Manager",
        "ipfix",
        "netflow",
        "next_cfg",
        "options",
        "external_ids",
        "other_config",
        "weir-owner",
        "targets",
        "sampling",
        "name",
        "192.0.2.9:1",
        BRIDGE,
        ROW,
    ];
    let words = prop::sample::select(words.to_vec());
    let leaves = prop_oneof![
        6 => words.clone().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ];
    let values = leaves.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..8).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    });
    let method = prop::sample::select(vec![
        "transact",
        "transact",
        "monitor",
        "monitor_cond",
        "monitor_cond_since",
        "stats",
    ]);
    (method, prop::collection::vec(values, 0..4)).prop_map(|(method, mut params)| {
        params.insert(0, json!("Open_vSwitch"));
        json!({"method": method, "params": params, "id": 1})
    })
}

/// A transaction of [`whole`] in which parts stand in each other's place.
fn shuffled() -> impl Strategy<Value = Vec<Value>> {
    let parts = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    prop::collection::vec(parts, 1..4).prop_map(|swaps| {
        let mut all = whole();
        for (one, other, members) in swaps {
            let (one, other) = (one.index(all.len()), other.index(all.len()));
            match members {
                false => all.swap(one, other),
                true => {
                    let from = all[other].as_object().unwrap().clone();
                    let into = all[one].as_object_mut().unwrap();
                    // Half of the members of the one are the other's.
                    into.extend(from.into_iter().step_by(2));
                }
            }
        }
        all
    })
}

/// What may be in a message that passed, whatever it was made of.
fn is_export(sent: &Value) -> bool {
    let operations = sent["params"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part.is_object());
    let mut operations = operations.filter(|part| !part["op"].is_null());
    operations.all(
        |operation| match (operation["op"].as_str().unwrap(), operation["table"].as_str()) {
            ("comment", None) | ("wait", Some("Bridge")) => true,
            ("insert" | "update" | "mutate", Some("NetFlow" | "sFlow" | "IPFIX")) => true,
            ("update", Some("Bridge")) => operation["row"]
                .as_object()
                .unwrap()
                .keys()
                .all(|column| ["netflow", "sflow", "ipfix"].contains(&column.as_str())),
            ("mutate", Some("Open_vSwitch")) => operation["mutations"] == json!([["next_cfg", "+=", 1]]),
            ("select", Some("Open_vSwitch")) => operation["columns"] == json!(["next_cfg"]),
            _ => false,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Filter::default().from_client(&bytes);
        let _ = Filter::default().from_server(&bytes);
    }

    #[test]
    fn whatever_passes_of_arbitrary_requests_is_export(request in requests()) {
        let bytes = request.to_string();
        if let Ok(FromClient::Pass { bytes, .. }) = Filter::default().from_client(bytes.as_bytes()) {
            prop_assert!(is_export(&serde_json::from_slice(&bytes).unwrap()));
        }
    }

    #[test]
    fn whatever_passes_of_shuffled_transactions_is_export(operations in shuffled()) {
        if let FromClient::Pass { bytes, .. } = transact(&operations) {
            prop_assert!(is_export(&serde_json::from_slice(&bytes).unwrap()));
        }
    }

    #[test]
    fn whatever_ovsdb_says_reaches_the_client_without_other_columns(
        rows in prop::collection::vec(requests(), 1..3), table in prop::sample::select(vec!["Interface", "Manager", "IPFIX"]),
        part in prop::sample::select(vec!["new", "initial", "modify"]),
    ) {
        let mut filter = Filter::default();
        monitor(&mut filter, json!({"Interface": [{"columns": ["options"]}]}));
        let rows: serde_json::Map<String, Value> = rows
            .into_iter()
            .enumerate()
            .map(|(n, row)| (n.to_string(), json!({part: row["params"][1]})))
            .collect();
        let update = json!({"id": null, "method": "update2", "params": ["m", {table: rows}]});
        let told = told(&mut filter, update).unwrap();
        for update in told["params"][1][table].as_object().unwrap().values() {
            for (column, value) in update[part].as_object().into_iter().flatten() {
                let readable = vocabulary::readable(table, column);
                prop_assert!(readable.is_some(), "{column}");
                if readable != Some(vocabulary::Readable::Whole) {
                    prop_assert_eq!(&value[0], "map");
                }
            }
        }
    }
}
