use super::*;

fn row() -> Row {
    [("name".to_owned(), Datum::from("br0"))].into()
}

#[test]
fn operations_are_written_as_in_section_5_2() {
    let uuid = Uuid::from_u128(1);
    let by_uuid = vec![Condition::uuid(uuid)];
    let where_uuid = json!([["_uuid", "==", ["uuid", "00000000-0000-0000-0000-000000000001"]]]);
    let cases = [
        (
            Operation::insert("T", row()),
            json!({"op": "insert", "table": "T", "row": {"name": "br0"}}),
        ),
        (
            Operation::insert_named("T", row(), "new"),
            json!({"op": "insert", "table": "T", "row": {"name": "br0"}, "uuid-name": "new"}),
        ),
        (
            Operation::select("T", vec![]),
            json!({"op": "select", "table": "T", "where": []}),
        ),
        (
            Operation::Select {
                table: "T".into(),
                conditions: vec![],
                columns: Some(vec!["name".into()]),
            },
            json!({"op": "select", "table": "T", "where": [], "columns": ["name"]}),
        ),
        (
            Operation::update("T", by_uuid.clone(), row()),
            json!({"op": "update", "table": "T", "where": where_uuid, "row": {"name": "br0"}}),
        ),
        (
            Operation::delete("T", by_uuid),
            json!({"op": "delete", "table": "T", "where": where_uuid}),
        ),
        (
            Operation::Commit { durable: true },
            json!({"op": "commit", "durable": true}),
        ),
        (Operation::Abort, json!({"op": "abort"})),
        (
            Operation::comment("why"),
            json!({"op": "comment", "comment": "why"}),
        ),
        (
            Operation::Assert { lock: "l".into() },
            json!({"op": "assert", "lock": "l"}),
        ),
    ];
    for (operation, expected) in cases {
        assert_eq!(operation.to_json(), expected);
    }
}

#[test]
fn mutations_are_written_with_their_symbols() {
    let add = Mutation {
        column: "n".into(),
        mutator: Mutator::Add,
        value: Datum::from(1),
    };
    let link = Mutation::insert("links", Datum::named_uuid("new"));
    let mutate = Operation::mutate("T", vec![], vec![add, link, Mutation::delete("set", "x")]);
    assert_eq!(
        mutate.to_json()["mutations"],
        json!([
            ["n", "+=", 1],
            ["links", "insert", ["named-uuid", "new"]],
            ["set", "delete", "x"]
        ])
    );
}

#[test]
fn a_wait_has_a_timeout_in_milliseconds_or_none() {
    let wait = |timeout| Operation::Wait {
        timeout,
        table: "T".into(),
        conditions: vec![],
        columns: vec!["name".into()],
        until: Until::NotEqual,
        rows: vec![row()],
    };
    let expected = json!({"op": "wait", "table": "T", "where": [], "columns": ["name"], "until": "!=",
                          "rows": [{"name": "br0"}], "timeout": 1500});
    assert_eq!(wait(Some(Duration::from_millis(1500))).to_json(), expected);
    assert_eq!(wait(None).to_json().get("timeout"), None);
}

#[test]
fn results_are_told_apart_by_their_members() {
    let read = |value| OperationResult::from_json(&value);
    let uuid = json!(["uuid", "00000000-0000-0000-0000-000000000001"]);
    assert_eq!(
        read(json!({"uuid": uuid})).unwrap().inserted(),
        Some(Uuid::from_u128(1))
    );
    assert_eq!(read(json!({"count": 2})).unwrap(), OperationResult::Count(2));
    assert_eq!(
        read(json!({"rows": [{"name": "br0"}]})).unwrap(),
        OperationResult::Rows(vec![row()])
    );
    assert_eq!(read(json!({})).unwrap(), OperationResult::Done);
    assert!(read(json!({"uuid": "x"})).is_err());
    assert!(read(json!({"count": -1})).is_err());
    assert!(read(json!(7)).is_err());
}
