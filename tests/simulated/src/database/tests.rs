use std::path::Path;

use super::*;
use crate::schema::INSTALLED;

fn database() -> (Database, Value, String) {
    let database = Database::new(Schema::read(Path::new(INSTALLED)).unwrap());
    let requests = json!({"Bridge": [{"columns": ["name", "netflow"]}], "NetFlow": [{"columns": ["targets"]}],
        "Open_vSwitch": [{"columns": ["next_cfg", "cur_cfg"]}]});
    let rows = database.rows(&requests);
    let bridge = rows["Bridge"].as_object().unwrap().keys().next().unwrap().clone();
    (database, requests, bridge)
}

/// What `weir-node` sends for a new row.
fn insert(bridge: &str) -> Vec<Value> {
    let this = json!([["_uuid", "==", ["uuid", bridge]]]);
    vec![
        json!({"op": "comment", "comment": "x"}),
        json!({"op": "wait", "timeout": 0, "table": "Bridge", "where": this, "columns": ["name", "netflow"],
            "until": "==", "rows": [{"name": "br-int", "netflow": ["set", []]}]}),
        json!({"op": "insert", "table": "NetFlow", "row": {"targets": "192.0.2.1:2055"}, "uuid-name": "row0"}),
        json!({"op": "update", "table": "Bridge", "where": this, "row": {"netflow": ["named-uuid", "row0"]}}),
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}),
        json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]}),
    ]
}

#[test]
fn what_is_written_is_told_and_the_switch_takes_it_over() {
    let (mut database, requests, bridge) = database();
    let (results, changes) = database.transact(&insert(&bridge), &requests, false);
    assert_eq!(results[5], json!({"rows": [{"next_cfg": 1}]}));
    let row = changes["NetFlow"].as_object().unwrap().values().next().unwrap();
    assert_eq!(row["new"]["targets"], "192.0.2.1:2055");
    let root = changes["Open_vSwitch"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap();
    assert_eq!(root["new"]["cur_cfg"], 1);
}

#[test]
fn a_guard_that_fails_takes_everything_back() {
    let (mut database, requests, bridge) = database();
    database.transact(&insert(&bridge), &requests, false);
    let before = database.rows(&requests);
    let (results, changes) = database.transact(&insert(&bridge), &requests, false);
    assert_eq!(results[1]["error"], "timed out");
    assert_eq!((results.len(), changes), (6, json!({})));
    assert_eq!(database.rows(&requests), before);
}

#[test]
fn a_row_that_no_bridge_refers_to_is_gone() {
    let (mut database, requests, bridge) = database();
    database.transact(&insert(&bridge), &requests, false);
    let clear = json!({"op": "update", "table": "Bridge", "where": [["_uuid", "==", ["uuid", bridge]]],
        "row": {"netflow": ["set", []]}});
    let (_, changes) = database.transact(&[clear], &requests, false);
    let row = changes["NetFlow"].as_object().unwrap().values().next().unwrap();
    assert!(row.get("new").is_none() && row["old"]["targets"] == "192.0.2.1:2055");
}

#[test]
fn keys_of_a_map_are_deleted_before_others_are_inserted() {
    let (mut database, requests, bridge) = database();
    database.transact(&insert(&bridge), &requests, false);
    let keys = |operation: &str, argument: Value| json!({"op": "mutate", "table": "NetFlow", "where": [], "mutations": [["external_ids", operation, argument]]});
    let shown = json!({"NetFlow": [{"columns": ["external_ids"]}]});
    let first = keys("insert", json!(["map", [["owner", "a"], ["other", "x"]]]));
    database.transact(&[first], &shown, false);
    let both = [
        keys("delete", json!("owner")),
        keys("insert", json!(["map", [["owner", "b"]]])),
    ];
    let (_, changes) = database.transact(&both, &shown, false);
    let row = changes["NetFlow"].as_object().unwrap().values().next().unwrap();
    assert_eq!(
        row["new"]["external_ids"],
        json!(["map", [["other", "x"], ["owner", "b"]]])
    );
}

#[test]
fn a_switch_that_hangs_takes_nothing_over() {
    let database = Database::new(Schema::read(Path::new(INSTALLED)).unwrap());
    let mut database = database;
    let counted =
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]});
    let requests = json!({"Open_vSwitch": [{"columns": ["next_cfg", "cur_cfg"]}]});
    let of = |changes: Value| {
        let row = changes["Open_vSwitch"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        (row["new"]["next_cfg"].clone(), row["new"]["cur_cfg"].clone())
    };
    let hung = database
        .transact(std::slice::from_ref(&counted), &requests, true)
        .1;
    assert_eq!(of(hung), (json!(1), json!(0)));
    let again = database
        .transact(std::slice::from_ref(&counted), &requests, false)
        .1;
    assert_eq!(of(again), (json!(2), json!(2)));
    // One that goes on does so without being asked again.
    database.transact(&[counted], &requests, true);
    assert_eq!(of(database.catch_up(&requests)), (json!(3), json!(3)));
    assert_eq!(database.catch_up(&requests), json!({}));
}
