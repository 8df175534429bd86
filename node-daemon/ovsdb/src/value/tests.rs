use super::*;
use crate::schema::ColumnType;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Real numbers that survive the server, which writes 15 digits (see [`super::notation`]).
fn reals() -> impl Strategy<Value = f64> {
    (-999_999_999_999_999_i64..=999_999_999_999_999, 0..22)
        .prop_map(|(digits, places)| digits as f64 / 10_f64.powi(places))
}

fn atoms() -> impl Strategy<Value = Atom> {
    prop_oneof![
        any::<i64>().prop_map(Atom::Integer),
        reals().prop_map(Atom::Real),
        any::<bool>().prop_map(Atom::Boolean),
        any::<String>().prop_map(Atom::String),
        any::<u128>().prop_map(|bits| Atom::Uuid(Uuid::from_u128(bits))),
        "[a-z_][a-z0-9_]{0,8}".prop_map(Atom::NamedUuid),
    ]
}

fn data() -> impl Strategy<Value = Datum> {
    prop_oneof![
        prop::collection::vec(atoms(), 0..6).prop_map(Datum::set::<Atom>),
        prop::collection::vec((atoms(), atoms()), 0..6).prop_map(Datum::map::<Atom, Atom>),
    ]
}

/// Any JSON, often looking like the notation.
pub(crate) fn json_values() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        reals().prop_map(Value::from),
        prop::sample::select(vec![
            "set",
            "map",
            "uuid",
            "named-uuid",
            "new",
            "old",
            "modify",
            "error"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaves.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_datum_survives_its_notation(datum in data()) {
        let text = datum.to_json().to_string();
        let read = Datum::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(&read, &datum);
        prop_assert_eq!(read.to_json(), datum.to_json());
    }

    #[test]
    fn the_order_of_elements_does_not_matter(mut atoms in prop::collection::vec(atoms(), 0..6)) {
        let one = Datum::set(atoms.clone());
        atoms.reverse();
        atoms.extend(atoms.clone());
        prop_assert_eq!(one, Datum::set(atoms));
    }

    #[test]
    fn a_uuid_survives_its_text(bits in any::<u128>()) {
        let uuid = Uuid::from_u128(bits);
        prop_assert_eq!(Uuid::parse(&uuid.to_string()), Ok(uuid));
    }

    #[test]
    fn no_text_makes_the_uuid_parser_panic(text in any::<String>()) {
        let _ = Uuid::parse(&text);
    }

    #[test]
    fn no_json_makes_the_readers_panic(value in json_values()) {
        let _ = Datum::from_json(&value);
        let _ = crate::operation::OperationResult::from_json(&value);
        let _ = crate::schema::Schema::from_json(&value);
        let _ = ColumnType::from_json(&value);
    }
}

#[test]
fn a_uuid_is_written_as_the_server_writes_it() {
    let text = "0123abcd-4567-89ab-cdef-0123456789ab";
    assert_eq!(Uuid::parse(text).unwrap().to_string(), text);
    assert!(Uuid::parse("0123abcd-4567-89ab-cdef-0123456789a").is_err());
    assert!(Uuid::parse("0123abcd+4567-89ab-cdef-0123456789ab").is_err());
    assert!(Uuid::parse("0123abcd-4567-89ab-cdef-0123456789aé").is_err());
}

#[test]
fn values_are_written_as_in_section_5_1() {
    let uuid = Uuid::from_u128(1);
    assert_eq!(Datum::from("x").to_json(), json!("x"));
    assert_eq!(Datum::empty().to_json(), json!(["set", []]));
    assert_eq!(Datum::set([2, 1, 2]).to_json(), json!(["set", [1, 2]]));
    assert_eq!(
        Datum::string_map([("b", "2"), ("a", "1")]).to_json(),
        json!(["map", [["a", "1"], ["b", "2"]]])
    );
    assert_eq!(Datum::string_map::<&str, &str>([]).to_json(), json!(["map", []]));
    assert_eq!(
        Datum::from(uuid).to_json(),
        json!(["uuid", "00000000-0000-0000-0000-000000000001"])
    );
    assert_eq!(Datum::named_uuid("row").to_json(), json!(["named-uuid", "row"]));
}

#[test]
fn a_set_of_one_and_a_scalar_are_the_same() {
    assert_eq!(
        Datum::from_json(&json!(["set", ["x"]])).unwrap(),
        Datum::from("x")
    );
}

#[test]
fn an_empty_map_equals_an_empty_set_but_keeps_its_notation() {
    let map = Datum::string_map::<&str, &str>([]);
    assert_eq!(map, Datum::empty());
    assert_ne!(map.to_json(), Datum::empty().to_json());
    assert_ne!(map, Datum::from("x"));
}

#[test]
fn both_zeros_are_one_number() {
    assert_eq!(Datum::set([0.0, -0.0]), Datum::from(-0.0));
}

#[test]
fn of_pairs_with_one_key_the_last_stays() {
    assert_eq!(
        Datum::string_map([("a", "1"), ("a", "2")]).map_get("a"),
        Some("2")
    );
}

#[test]
fn readers_find_what_is_there_and_nothing_else() {
    let map = Datum::string_map([("iface-id", "ns_pod"), ("attached-mac", "0a:00:00:00:00:01")]);
    assert_eq!(map.map_get("iface-id"), Some("ns_pod"));
    assert_eq!(map.map_get("iface"), None);
    assert_eq!(map.as_str(), None);
    assert_eq!(map.string_pairs().count(), 2);
    assert_eq!(Datum::map([(7_i64, "x")]).map_get("x"), None);

    let set = Datum::strings(["b", "a"]);
    assert_eq!(set.as_strings().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(set.as_str(), None);
    assert_eq!(Datum::from(7_i64).as_integer(), Some(7));
    assert_eq!(Datum::from(true).as_bool(), Some(true));
    assert_eq!(Datum::from(0.5).as_real(), Some(0.5));
    assert_eq!(Datum::from(7_i64).as_bool(), None);
    let uuid = Uuid::from_u128(5);
    assert_eq!(Datum::from(uuid).as_uuid(), Some(uuid));
    assert_eq!(Datum::from(uuid).uuids().collect::<Vec<_>>(), [uuid]);
}

#[test]
fn a_whole_number_in_a_real_column_is_a_real() {
    let real = ColumnType::from_json(&json!({"key": "real", "min": 0, "max": "unlimited"})).unwrap();
    assert_eq!(
        Datum::from_json_as(&json!(["set", [1, 2.5]]), &real).unwrap(),
        Datum::set([1.0, 2.5])
    );
}

#[test]
fn a_value_of_another_type_than_the_column_is_refused() {
    let integer = ColumnType::from_json(&json!("integer")).unwrap();
    let map =
        ColumnType::from_json(&json!({"key": "string", "value": "string", "min": 0, "max": 5})).unwrap();
    for (value, column) in [
        (json!("7"), &integer),
        (json!(7.5), &integer),
        (json!(["map", []]), &integer),
        (json!("x"), &map),
        (json!(["map", [["a", 1]]]), &map),
    ] {
        assert!(Datum::from_json_as(&value, column).is_err(), "{value}");
    }
    assert_eq!(
        Datum::from_json_as(&json!(["set", []]), &map).unwrap().to_json(),
        json!(["map", []])
    );
}

#[test]
fn an_integer_beyond_64_bits_is_refused_not_rounded() {
    assert!(Datum::from_json(&json!(u64::MAX)).is_err());
    assert_eq!(Datum::from_json(&json!(i64::MIN)).unwrap(), Datum::from(i64::MIN));
}

#[test]
fn an_error_shows_only_the_beginning_of_a_large_value() {
    let error = Datum::from_json(&json!(["set", "é".repeat(1000)])).unwrap_err();
    assert!(error.to_string().chars().count() < 150, "{error}");
}
