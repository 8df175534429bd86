use super::*;
use crate::schema::tests::sample_schema;
use crate::value::{Atom, tests::json_values};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A row of table Thing as plain Rust.
#[derive(Debug, Clone, Default, PartialEq)]
struct Thing {
    name: String,
    flags: BTreeSet<String>,
    options: BTreeMap<String, String>,
    count: Option<i64>,
    weight: i16,
    parts: BTreeSet<u8>,
}

type Model = BTreeMap<u8, Thing>;

fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) << 64 | 1)
}

impl Thing {
    fn row(&self) -> Row {
        Row::from([
            ("name".into(), Datum::from(self.name.as_str())),
            ("flags".into(), Datum::strings(self.flags.clone())),
            ("options".into(), Datum::string_map(self.options.clone())),
            ("count".into(), Datum::set(self.count)),
            ("weight".into(), Datum::from(f64::from(self.weight))),
            (
                "parts".into(),
                Datum::set(self.parts.iter().map(|part| uuid(*part))),
            ),
        ])
    }

    /// As ovsdb-server writes it: a whole real number looks like an integer.
    fn json(&self) -> Map<String, Value> {
        let mut json: Map<String, Value> = self
            .row()
            .iter()
            .map(|(column, datum)| (column.clone(), datum.to_json()))
            .collect();
        json["weight"] = json!(self.weight);
        json
    }

    fn is_default(&self, column: &str) -> bool {
        self.row()[column] == Thing::default().row()[column]
    }

    fn changed(&self, new: &Thing) -> Vec<String> {
        let (old, new) = (self.row(), new.row());
        old.keys()
            .filter(|column| old[*column] != new[*column])
            .cloned()
            .collect()
    }

    fn difference(&self, new: &Thing) -> Map<String, Value> {
        let mut difference = new.json();
        difference["flags"] = Datum::strings(self.flags.symmetric_difference(&new.flags).cloned()).to_json();
        let parts = self.parts.symmetric_difference(&new.parts);
        difference["parts"] = Datum::set(parts.map(|part| uuid(*part))).to_json();
        let gone = self
            .options
            .iter()
            .filter(|(key, _)| !new.options.contains_key(*key));
        let come = new
            .options
            .iter()
            .filter(|(key, value)| self.options.get(*key) != Some(*value));
        difference["options"] = Datum::string_map(gone.chain(come)).to_json();
        let changed = self.changed(new);
        difference.retain(|column, _| changed.contains(column));
        difference
    }
}

/// The updates from one state to the next, as a server would write them.
fn updates(old: &Model, new: &Model, format: Format) -> Value {
    let mut rows = Map::new();
    let numbers: BTreeSet<u8> = old.keys().chain(new.keys()).copied().collect();
    for number in numbers {
        let update = match (old.get(&number), new.get(&number), format) {
            (Some(old), Some(new), _) if old == new => continue,
            (None, Some(new), Format::V1) => json!({"new": new.json()}),
            (Some(old), None, Format::V1) => json!({"old": old.json()}),
            (Some(old), Some(new), Format::V1) => {
                let (mut before, changed) = (old.json(), old.changed(new));
                before.retain(|column, _| changed.contains(column));
                json!({"old": before, "new": new.json()})
            }
            (None, Some(new), Format::V2) => {
                let mut row = new.json();
                row.retain(|column, _| !new.is_default(column));
                json!({"insert": row})
            }
            (Some(_), None, Format::V2) => json!({"delete": null}),
            (Some(old), Some(new), Format::V2) => json!({"modify": old.difference(new)}),
            (None, None, _) => unreachable!("the number came from one of them"),
        };
        rows.insert(uuid(number).to_string(), update);
    }
    json!({"Thing": rows})
}

fn things() -> impl Strategy<Value = Thing> {
    let words = || "[ab]{0,1}";
    (
        words(),
        prop::collection::btree_set(words(), 0..3),
        prop::collection::btree_map(words(), words(), 0..3),
        prop::option::of(0_i64..3),
        -1_i16..2,
        prop::collection::btree_set(0_u8..3, 0..3),
    )
        .prop_map(|(name, flags, options, count, weight, parts)| Thing {
            name,
            flags,
            options,
            count,
            weight,
            parts,
        })
}

fn histories() -> impl Strategy<Value = Vec<Model>> {
    prop::collection::vec(prop::collection::btree_map(0_u8..4, things(), 0..4), 1..8)
}

fn empty() -> Replica {
    let schema = sample_schema();
    Replica::new(schema.tables.iter().map(|(name, table)| {
        let columns = table.columns.iter();
        (
            name.clone(),
            columns
                .map(|(name, column)| (Arc::from(name.as_str()), column.column_type.clone().into()))
                .collect(),
        )
    }))
}

fn expected(model: &Model) -> Replica {
    let mut replica = Replica::from_rows(
        model
            .iter()
            .map(|(number, thing)| ("Thing", uuid(*number), thing.row())),
    );
    for table in ["Part", "Thing"] {
        replica.tables.entry(table.into()).or_default();
    }
    replica
}

proptest! {
    #[test]
    fn the_replica_follows_any_history_in_both_formats(history in histories()) {
        let (mut v1, mut v2, mut before) = (empty(), empty(), Model::new());
        for state in &history {
            v1.apply(&updates(&before, state, Format::V1), Format::V1).unwrap();
            v2.apply(&updates(&before, state, Format::V2), Format::V2).unwrap();
            prop_assert_eq!(&v1, &expected(state));
            prop_assert_eq!(&v2, &v1);
            before = state.clone();
        }
    }

    #[test]
    fn a_clone_keeps_the_rows_it_was_made_with(old in histories(), new in histories()) {
        let (old, new) = (&old[0], &new[0]);
        let mut replica = empty();
        replica.apply(&updates(&Model::new(), old, Format::V2), Format::V2).unwrap();
        let kept = replica.clone();
        replica.apply(&updates(old, new, Format::V2), Format::V2).unwrap();
        prop_assert_eq!(&kept, &expected(old));
        prop_assert_eq!(&replica, &expected(new));
    }

    #[test]
    fn no_json_makes_it_panic(value in json_values(), row in json_values()) {
        for format in [Format::V1, Format::V2] {
            let _ = empty().apply(&value, format);
            let _ = empty().apply(&json!({"Thing": {uuid(1).to_string(): row}}), format);
        }
    }
}

fn thing(update: Value) -> Value {
    json!({"Thing": {uuid(1).to_string(): update}})
}

fn with_one_row() -> Replica {
    let mut replica = empty();
    replica
        .apply(
            &thing(json!({"initial": {"name": "x", "flags": ["set", ["a", "b"]]}})),
            Format::V2,
        )
        .unwrap();
    replica
}

#[test]
fn a_new_row_has_the_defaults_of_the_columns_that_were_not_sent() {
    let replica = with_one_row();
    let row = replica.row("Thing", uuid(1)).unwrap();
    assert_eq!(row.str("name"), Some("x"));
    assert_eq!(row.column("weight"), Some(&Datum::from(0.0)));
    assert_eq!(row.column("count"), Some(&Datum::empty()));
    assert_eq!(row.column("options").unwrap().to_json(), json!(["map", []]));
    assert_eq!(row.column("nothing"), None);
}

#[test]
fn of_a_map_with_chosen_keys_nothing_else_is_ever_held() {
    let mut replica = empty();
    let table = Arc::make_mut(replica.tables.get_mut("Thing").unwrap());
    let shape = Arc::make_mut(&mut table.shape).get_mut("options").unwrap();
    shape.keys = Some(["remote_ip".to_owned()].as_slice().into());
    let options = |pairs: Value| json!({"options": ["map", pairs]});
    let held = |replica: &Replica| {
        replica
            .row("Thing", uuid(1))
            .unwrap()
            .column("options")
            .unwrap()
            .to_json()
    };
    let secret = json!([["psk", "secret"], ["remote_ip", "192.0.2.1"]]);
    let initial = json!({"initial": options(secret.clone())});
    replica.apply(&thing(initial), Format::V2).unwrap();
    assert_eq!(held(&replica), json!(["map", [["remote_ip", "192.0.2.1"]]]));
    // Another secret, another address; then both go.
    let other = json!([["psk", "other"], ["remote_ip", "192.0.2.2"]]);
    let modify = json!({"modify": options(other.clone())});
    replica.apply(&thing(modify.clone()), Format::V2).unwrap();
    assert_eq!(held(&replica), json!(["map", [["remote_ip", "192.0.2.2"]]]));
    replica.apply(&thing(modify), Format::V2).unwrap();
    assert_eq!(held(&replica), json!(["map", []]));
    // In the older notation what is compared is cut in the same way.
    let change = json!({"old": options(json!([])), "new": options(secret.clone())});
    replica.apply(&thing(change), Format::V1).unwrap();
    let change = json!({"old": options(secret), "new": options(other)});
    replica.apply(&thing(change), Format::V1).unwrap();
    assert!(!format!("{replica:?}").contains("secret") && !format!("{replica:?}").contains("other"));
}

#[test]
fn a_single_value_is_replaced_and_a_set_is_toggled() {
    let mut replica = with_one_row();
    let modify = json!({"modify": {"name": "y", "flags": ["set", ["b", "c"]], "count": 3}});
    replica.apply(&thing(modify), Format::V2).unwrap();
    replica
        .apply(&thing(json!({"modify": {"count": ["set", []]}})), Format::V2)
        .unwrap();
    let row = replica.row("Thing", uuid(1)).unwrap();
    assert_eq!(row.column("flags"), Some(&Datum::strings(["a", "c"])));
    assert_eq!(
        (row.str("name"), row.column("count")),
        (Some("y"), Some(&Datum::empty()))
    );
}

#[test]
fn an_update_that_contradicts_the_rows_is_an_error() {
    for (update, format) in [
        (json!({"insert": {}}), Format::V2),
        (json!({"new": {}}), Format::V1),
        (
            json!({"old": {"name": "other"}, "new": {"name": "z"}}),
            Format::V1,
        ),
    ] {
        let error = with_one_row().apply(&thing(update.clone()), format).unwrap_err();
        assert!(
            matches!(error, ReplicaError::Contradiction { .. }),
            "{update}: {error}"
        );
    }
    for (update, format) in [
        (json!({"modify": {"name": "z"}}), Format::V2),
        (json!({"delete": null}), Format::V2),
        (json!({"old": {}, "new": {}}), Format::V1),
        (json!({"old": {}}), Format::V1),
    ] {
        let error = empty().apply(&thing(update.clone()), format).unwrap_err();
        assert!(
            matches!(error, ReplicaError::Contradiction { .. }),
            "{update}: {error}"
        );
    }
}

#[test]
fn an_update_of_what_is_not_monitored_is_an_error() {
    let table = empty().apply(&json!({"Nope": {}}), Format::V2);
    assert_eq!(table, Err(ReplicaError::UnknownTable("Nope".into())));
    let column = empty().apply(&thing(json!({"insert": {"nope": 1}})), Format::V2);
    assert!(matches!(column, Err(ReplicaError::UnknownColumn { .. })));
    let value = empty().apply(&thing(json!({"insert": {"name": 1}})), Format::V2);
    assert!(matches!(value, Err(ReplicaError::Notation(_))));
    let row = empty().apply(&json!({"Thing": {"no uuid": {"insert": {}}}}), Format::V2);
    assert!(matches!(row, Err(ReplicaError::Notation(_))));
}

#[test]
fn a_change_of_one_table_leaves_the_others_shared() {
    let before = with_one_row();
    let mut after = before.clone();
    after
        .apply(
            &json!({"Part": {uuid(2).to_string(): {"insert": {}}}}),
            Format::V2,
        )
        .unwrap();
    assert!(Arc::ptr_eq(&before.tables["Thing"], &after.tables["Thing"]));
    assert!(after.same_table(&before, "Thing") && !after.same_table(&before, "Part"));
}

#[test]
fn rows_are_found_by_a_column() {
    let replica = with_one_row();
    assert_eq!(
        replica.find("Thing", "name", "x").map(|(uuid, _)| uuid),
        Some(uuid(1))
    );
    assert!(replica.find("Thing", "name", "y").is_none() && replica.find("Nope", "name", "x").is_none());
    assert_eq!(
        (
            replica.row_count("Thing"),
            replica.row_count("Part"),
            replica.row_count("Nope")
        ),
        (1, 0, 0)
    );
    assert_eq!(replica.tables().collect::<Vec<_>>(), ["Part", "Thing"]);
    let part = Replica::from_rows([(
        "Part",
        uuid(9),
        Row::from([("owner".into(), Datum::from(Atom::Uuid(uuid(1))))]),
    )]);
    assert_eq!(
        part.row("Part", uuid(9))
            .unwrap()
            .uuids("owner")
            .collect::<Vec<_>>(),
        [uuid(1)]
    );
}
