use ovsdb::Datum;
use proptest::prelude::*;
use weir_api::OWNER_KEY;

use super::*;
use crate::fixture::{Model, bridge, new_dialect, old_dialect, row, spec};
use crate::observe::observe;
use crate::rows::desired_rows;
use crate::tables::{BRIDGE, EXTERNAL_IDS, bridge_column};
use crate::transaction::transaction;
use weir_api::BridgeExport;

const TARGET: &str = "192.0.2.9:2055";
const POLICIES: [ConflictPolicy; 2] = [ConflictPolicy::Refuse, ConflictPolicy::Adopt];

fn compare(model: &Model, bridges: &[BridgeExport], policy: ConflictPolicy) -> Diff {
    let dialect = new_dialect();
    let rows = desired_rows(&spec(bridges.to_vec()), &dialect, "node-a");
    diff(
        &rows,
        &observe(&model.replica(), &BTreeSet::new()),
        policy,
        &dialect,
    )
}

fn bring(model: &mut Model, bridges: &[BridgeExport], policy: ConflictPolicy) -> Diff {
    let diff = compare(model, bridges, policy);
    model
        .apply(&transaction(&diff.changes, "node-a"))
        .expect("nobody else writes");
    diff
}

#[test]
fn a_changed_target_edits_the_row_that_is_there() {
    let mut model = Model::with_bridges(&["br-int"]);
    bring(
        &mut model,
        &[bridge("br-int", &Protocol::ALL, TARGET)],
        ConflictPolicy::Refuse,
    );
    let before: Vec<_> = Protocol::ALL.map(|p| model.on("br-int", p).unwrap().0).into();
    bring(
        &mut model,
        &[bridge("br-int", &Protocol::ALL, "192.0.2.10:9")],
        ConflictPolicy::Refuse,
    );
    for (protocol, uuid) in Protocol::ALL.into_iter().zip(before) {
        let (now, row) = model.on("br-int", protocol).unwrap();
        assert_eq!(
            (now, row["targets"].as_str()),
            (uuid, Some("192.0.2.10:9")),
            "{protocol}"
        );
    }
}

#[test]
fn only_what_differs_is_written() {
    let mut model = Model::with_bridges(&["br-int"]);
    let bridges = [bridge("br-int", &[Protocol::NetFlow], TARGET)];
    bring(&mut model, &bridges, ConflictPolicy::Refuse);
    let (uuid, _) = model.on("br-int", Protocol::NetFlow).unwrap();
    model.set("NetFlow", uuid, "active_timeout", 5);
    let changes = compare(&model, &bridges, ConflictPolicy::Refuse).changes;
    let Action::Edit { columns, keys, .. } = &changes[0].action else {
        panic!("an edit");
    };
    assert_eq!((columns.len(), keys.len()), (1, 0));
    assert_eq!(changes[0].differences, ["active_timeout: 5 -> 60"]);
}

#[test]
fn keys_of_others_on_our_rows_stay() {
    let mut model = Model::with_bridges(&["br-int"]);
    bring(
        &mut model,
        &[bridge("br-int", &[Protocol::Ipfix], TARGET)],
        ConflictPolicy::Refuse,
    );
    let (uuid, _) = model.on("br-int", Protocol::Ipfix).unwrap();
    let theirs = Datum::string_map([("enable-output-sampling", "true"), ("theirs", "1")]);
    model.set("IPFIX", uuid, "other_config", theirs);
    bring(
        &mut model,
        &[bridge("br-int", &[Protocol::Ipfix], TARGET)],
        ConflictPolicy::Refuse,
    );
    let (_, row) = model.on("br-int", Protocol::Ipfix).unwrap();
    assert_eq!(
        row["other_config"],
        Datum::string_map([("enable-output-sampling", "false"), ("theirs", "1")])
    );
}

#[test]
fn a_foreign_row_is_refused_and_the_others_are_applied() {
    let mut model = Model::with_bridges(&["br-int"]);
    let foreign = model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    let diff = bring(
        &mut model,
        &[bridge("br-int", &Protocol::ALL, TARGET)],
        ConflictPolicy::Refuse,
    );
    assert_eq!(diff.conflicts.len(), 1);
    assert_eq!(diff.conflicts[0].to_string(), "NetFlow on br-int");
    assert_eq!(model.on("br-int", Protocol::NetFlow).unwrap().0, foreign);
    assert!(model.on("br-int", Protocol::Ipfix).is_some() && model.on("br-int", Protocol::SFlow).is_some());
}

#[test]
fn a_foreign_row_is_adopted_in_place_and_goes_with_the_collectors() {
    let mut model = Model::with_bridges(&["br-int"]);
    let foreign = model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    let diff = bring(
        &mut model,
        &[bridge("br-int", &[Protocol::NetFlow], TARGET)],
        ConflictPolicy::Adopt,
    );
    assert!(diff.changes[0].adopts && diff.changes[0].verb() == "adopt");
    let (uuid, row) = model.on("br-int", Protocol::NetFlow).unwrap();
    assert_eq!((uuid, row["targets"].as_str()), (foreign, Some(TARGET)));
    assert_eq!(row[EXTERNAL_IDS].map_get(OWNER_KEY), Some("node-a"));
    bring(
        &mut model,
        &[bridge("br-int", &[], TARGET)],
        ConflictPolicy::Adopt,
    );
    assert_eq!(model.rows("NetFlow"), 0);
}

#[test]
fn an_adopted_row_that_serves_another_bridge_is_left_to_it() {
    let mut model = Model::with_bridges(&["br-ex", "br-int"]);
    let foreign = model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    let other = model.bridge("br-ex");
    model.set(BRIDGE, other, bridge_column(Protocol::NetFlow), foreign);
    bring(
        &mut model,
        &[bridge("br-int", &[Protocol::NetFlow], TARGET)],
        ConflictPolicy::Adopt,
    );
    let (theirs, row) = model.on("br-ex", Protocol::NetFlow).unwrap();
    assert_eq!(
        (theirs, row["targets"].as_str()),
        (foreign, Some("198.51.100.1:1"))
    );
    assert_ne!(model.on("br-int", Protocol::NetFlow).unwrap().0, foreign);
}

#[test]
fn one_row_of_ours_on_two_bridges_becomes_two() {
    let mut model = Model::with_bridges(&["br-ex", "br-int"]);
    let both = ["br-ex", "br-int"].map(|name| bridge(name, &[Protocol::NetFlow], TARGET));
    bring(&mut model, &both, ConflictPolicy::Refuse);
    let (shared, _) = model.on("br-ex", Protocol::NetFlow).unwrap();
    let second = model.bridge("br-int");
    model.set(BRIDGE, second, bridge_column(Protocol::NetFlow), shared);
    bring(&mut model, &both, ConflictPolicy::Refuse);
    assert_eq!(model.on("br-ex", Protocol::NetFlow).unwrap().0, shared);
    assert_ne!(model.on("br-int", Protocol::NetFlow).unwrap().0, shared);
    assert!(compare(&model, &both, ConflictPolicy::Refuse).changes.is_empty());
}

#[test]
fn foreign_rows_where_nothing_is_wanted_are_nobodys_business() {
    let mut model = Model::with_bridges(&["br-ex", "br-int"]);
    model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    model.add_foreign("br-ex", Protocol::Ipfix, "198.51.100.1:1");
    for policy in POLICIES {
        let diff = compare(&model, &[bridge("br-int", &[], TARGET)], policy);
        assert_eq!(diff, Diff::default());
    }
}

#[test]
fn rows_of_ours_on_bridges_outside_the_spec_are_cleared() {
    let mut model = Model::with_bridges(&["br-ex", "br-int"]);
    let both = ["br-ex", "br-int"].map(|name| bridge(name, &Protocol::ALL, TARGET));
    bring(&mut model, &both, ConflictPolicy::Refuse);
    bring(&mut model, &both[1..], ConflictPolicy::Refuse);
    assert!(Protocol::ALL.into_iter().all(|p| model.on("br-ex", p).is_none()));
    assert!(Protocol::ALL.into_iter().all(|p| model.on("br-int", p).is_some()));
}

#[test]
fn a_missing_bridge_is_named_and_nothing_is_written_for_it() {
    let model = Model::with_bridges(&["br-int"]);
    let diff = compare(
        &model,
        &[bridge("br-phy", &[Protocol::SFlow], TARGET)],
        ConflictPolicy::Refuse,
    );
    assert!(diff.changes.is_empty());
    assert_eq!(diff.without_bridge[0].to_string(), "sFlow on br-phy");
}

#[test]
fn a_row_that_lost_its_mark_is_still_ours_while_we_remember_it() {
    let mut model = Model::with_bridges(&["br-int"]);
    let bridges = [bridge("br-int", &[Protocol::NetFlow], TARGET)];
    bring(&mut model, &bridges, ConflictPolicy::Refuse);
    let (uuid, _) = model.on("br-int", Protocol::NetFlow).unwrap();
    model.set("NetFlow", uuid, EXTERNAL_IDS, Datum::empty());
    assert_eq!(
        compare(&model, &bridges, ConflictPolicy::Refuse).conflicts.len(),
        1
    );
    let dialect = new_dialect();
    let rows = desired_rows(&spec(bridges.to_vec()), &dialect, "node-a");
    let observed = observe(&model.replica(), &[uuid].into());
    let diff = diff(&rows, &observed, ConflictPolicy::Refuse, &dialect);
    assert_eq!((diff.conflicts.len(), diff.changes[0].verb()), (0, "edit"));
}

#[test]
fn a_changed_bridge_makes_the_transaction_fail_as_a_whole() {
    let mut model = Model::with_bridges(&["br-ex", "br-int"]);
    let both = ["br-ex", "br-int"].map(|name| bridge(name, &[Protocol::NetFlow], TARGET));
    let plan = transaction(&compare(&model, &both, ConflictPolicy::Refuse).changes, "node-a");
    model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
    let seen = model.clone();
    assert!(model.apply(&plan).is_err());
    assert_eq!(model, seen);
}

/// What stands on a bridge: rows of somebody else, or ours with some target.
#[derive(Debug, Clone)]
enum Standing {
    Nothing,
    Foreign,
    Ours(u8),
}

fn any_state() -> impl Strategy<Value = Vec<[Standing; 3]>> {
    let standing = prop_oneof![
        Just(Standing::Nothing),
        Just(Standing::Foreign),
        (0u8..3).prop_map(Standing::Ours)
    ];
    prop::collection::vec(prop::array::uniform3(standing), 3)
}

fn any_spec() -> impl Strategy<Value = Vec<BridgeExport>> {
    let export = (prop::sample::subsequence(Protocol::ALL.to_vec(), 0..=3), 0u8..3);
    prop::collection::btree_map(0usize..4, export, 0..4).prop_map(|bridges| {
        let export = |(i, (protocols, target)): (usize, (Vec<Protocol>, u8))| {
            bridge(NAMES[i], &protocols, &format!("192.0.2.{target}:9"))
        };
        bridges.into_iter().map(export).collect()
    })
}

/// The last one does not exist.
const NAMES: [&str; 4] = ["br-a", "br-b", "br-c", "br-none"];

fn build(state: &[[Standing; 3]]) -> Model {
    let mut model = Model::with_bridges(&NAMES[..3]);
    for (name, standings) in NAMES.iter().zip(state) {
        for (protocol, standing) in Protocol::ALL.into_iter().zip(standings) {
            match standing {
                Standing::Nothing => {}
                Standing::Foreign => {
                    model.add_foreign(name, protocol, "198.51.100.1:1");
                }
                Standing::Ours(target) => {
                    let uuid = model.add_foreign(name, protocol, &format!("192.0.2.{target}:9"));
                    let mark = Datum::string_map([(OWNER_KEY, "node-a")]);
                    model.set(table(protocol), uuid, EXTERNAL_IDS, mark);
                }
            }
        }
    }
    model
}

fn foreign_rows(model: &Model) -> Vec<(usize, Protocol, Uuid, ovsdb::Row)> {
    let slots = (0..3).flat_map(|i| Protocol::ALL.map(|p| (i, p)));
    slots
        .filter_map(|(i, p)| model.on(NAMES[i], p).map(|(uuid, row)| (i, p, uuid, row.clone())))
        .filter(|(.., row)| row.get(EXTERNAL_IDS).and_then(|d| d.map_get(OWNER_KEY)).is_none())
        .collect()
}

proptest! {
    #[test]
    fn applying_the_difference_leaves_none(
        state in any_state(), wanted in any_spec(), adopt: bool,
    ) {
        let policy = POLICIES[usize::from(adopt)];
        let mut model = build(&state);
        bring(&mut model, &wanted, policy);
        prop_assert_eq!(compare(&model, &wanted, policy).changes, vec![]);
        let dialect = new_dialect();
        let rows = desired_rows(&spec(wanted.clone()), &dialect, "node-a");
        let left = compare(&model, &wanted, policy);
        for (slot, wanted) in &rows {
            if left.conflicts.contains(slot) || left.without_bridge.contains(slot) {
                continue;
            }
            let (_, is) = model.on(&slot.bridge, slot.protocol).expect("a row");
            for (column, datum) in &wanted.columns {
                prop_assert_eq!(&is.get(*column).cloned().unwrap_or_else(Datum::empty), datum);
            }
        }
        for (name, protocol) in NAMES[..3].iter().flat_map(|n| Protocol::ALL.map(|p| (*n, p))) {
            let slot = Slot { bridge: name.to_owned(), protocol };
            let ours = model.on(name, protocol).is_some_and(|(_, row)| {
                row.get(EXTERNAL_IDS).and_then(|d| d.map_get(OWNER_KEY)).is_some()
            });
            prop_assert!(!ours || rows.contains_key(&slot), "{} is left over", slot);
        }
    }

    #[test]
    fn foreign_rows_are_never_touched_unless_adopted(state in any_state(), wanted in any_spec()) {
        let mut model = build(&state);
        let before = foreign_rows(&model);
        bring(&mut model, &wanted, ConflictPolicy::Refuse);
        prop_assert_eq!(foreign_rows(&model), before);
    }

    #[test]
    fn rows_that_stay_wanted_keep_their_identity(state in any_state(), wanted in any_spec(), adopt: bool) {
        let mut model = build(&state);
        let before = model.clone();
        bring(&mut model, &wanted, POLICIES[usize::from(adopt)]);
        for export in wanted.iter().filter(|b| b.name != "br-none") {
            for protocol in Protocol::ALL.into_iter().filter(|p| export.targets(*p).is_some()) {
                if let Some((uuid, _)) = before.on(&export.name, protocol) {
                    prop_assert_eq!(model.on(&export.name, protocol).map(|x| x.0), Some(uuid));
                }
            }
        }
    }
}

#[test]
fn a_table_that_this_ovs_lacks_is_named() {
    let mut tables = serde_json::json!({});
    for name in ["Open_vSwitch", "Bridge", "NetFlow"] {
        tables[name] = serde_json::json!({"columns": {"name": {"type": "string"}}});
    }
    let schema = serde_json::json!({"name": "Open_vSwitch", "tables": tables});
    let schema = ovsdb::Schema::from_json(&schema).unwrap();
    let dialect = Dialect::new(std::sync::Arc::new(schema), None);
    let mut model = Model::with_bridges(&["br-int"]);
    model.insert("NetFlow", row([("targets", TARGET)]));
    let rows = desired_rows(
        &spec(vec![bridge("br-int", &[Protocol::Ipfix], TARGET)]),
        &old_dialect(),
        "n",
    );
    let observed = observe(&model.replica(), &BTreeSet::new());
    let diff = diff(&rows, &observed, ConflictPolicy::Refuse, &dialect);
    assert_eq!((diff.without_table.len(), diff.changes.len()), (1, 0));
}
