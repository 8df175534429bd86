use super::*;
use crate::value::{AtomKind, Datum};
use serde_json::json;

/// A small schema with a column of each kind.
pub(crate) fn sample() -> Value {
    let set = |key: Value| json!({"key": key, "min": 0, "max": "unlimited"});
    json!({
        "name": "Sample", "version": "1.2.3",
        "tables": {
            "Thing": {"isRoot": true, "indexes": [["name"]], "columns": {
                "name": {"type": "string", "mutable": false},
                "flags": {"type": set(json!("string"))},
                "options": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
                "count": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 9}, "min": 0}},
                "weight": {"type": "real", "ephemeral": true},
                "parts": {"type": set(json!({"type": "uuid", "refTable": "Part"}))},
            }},
            "Part": {"maxRows": 8, "columns": {
                "mode": {"type": {"key": {"type": "string", "enum": ["set", ["on", "off"]]}, "min": 0, "max": 1}},
                "owner": {"type": {"key": {"type": "uuid", "refTable": "Thing", "refType": "weak"}, "min": 0}},
            }},
        },
    })
}

pub(crate) fn sample_schema() -> Schema {
    Schema::from_json(&sample()).unwrap()
}

#[test]
fn tables_and_columns_are_found_by_name() {
    let schema = sample_schema();
    assert_eq!(
        (schema.name.as_str(), schema.version.as_str()),
        ("Sample", "1.2.3")
    );
    assert!(schema.has_table("Thing") && !schema.has_table("Things"));
    assert!(schema.has_column("Thing", "name") && !schema.has_column("Part", "name"));
    assert!(schema.tables["Thing"].is_root && !schema.tables["Part"].is_root);
    assert_eq!(schema.tables["Part"].max_rows, Some(8));
    assert_eq!(schema.tables["Thing"].indexes, [["name"]]);
    let weight = schema.column("Thing", "weight").unwrap();
    assert!(weight.ephemeral && weight.mutable);
    assert!(!schema.column("Thing", "name").unwrap().mutable);
}

#[test]
fn ranges_choices_and_references_are_kept() {
    let schema = sample_schema();
    let key = |table, column| &schema.column(table, column).unwrap().column_type.key;
    assert_eq!(key("Thing", "count").integer_range, (Some(0), Some(9)));
    assert_eq!(key("Part", "mode").choices, Some(Datum::strings(["on", "off"])));
    assert_eq!(
        key("Part", "owner").references,
        Some(Reference {
            table: "Thing".into(),
            strong: false
        })
    );
    assert_eq!(
        key("Thing", "parts").references,
        Some(Reference {
            table: "Part".into(),
            strong: true
        })
    );
    assert_eq!(key("Thing", "weight").kind, AtomKind::Real);
}

#[test]
fn only_columns_with_room_for_two_change_by_difference() {
    let schema = sample_schema();
    let composite = |column| schema.column("Thing", column).unwrap().column_type.is_composite();
    assert!(composite("flags") && composite("options") && composite("parts"));
    assert!(!composite("name") && !composite("count"));
}

#[test]
fn defaults_follow_type_and_minimum() {
    let default = |value| ColumnType::from_json(&value).unwrap().default_datum();
    assert_eq!(default(json!("integer")), Datum::from(0));
    assert_eq!(default(json!("string")), Datum::from(""));
    assert_eq!(default(json!("boolean")), Datum::from(false));
    assert_eq!(default(json!({"key": "integer", "min": 0})), Datum::empty());
    let map = json!({"key": "string", "value": "integer", "min": 0, "max": "unlimited"});
    assert_eq!(default(map).to_json(), json!(["map", []]));
}

#[test]
fn without_any_root_every_table_is_one() {
    let schema = Schema::from_json(&json!({"name": "Old", "tables": {"T": {"columns": {}}}})).unwrap();
    assert!(schema.tables["T"].is_root);
}

#[test]
fn a_broken_schema_says_where() {
    let mut broken = sample();
    broken["tables"]["Part"]["columns"]["mode"]["type"] = json!("strong");
    let error = Schema::from_json(&broken).unwrap_err();
    assert!(error.to_string().contains("column mode of table Part"), "{error}");
    assert!(matches!(
        Schema::from_json(&json!([])),
        Err(SchemaError::Shape(_))
    ));
}
