//! Transactions that the server refuses, each with its own error.

use crate::support::*;
use ovsdb::{
    Client, Condition, Datum, ErrorCode, FailedAt, Monitor, Mutation, Mutator, Operation, OperationResult,
    Row, TransactError, Until, Uuid,
};
use std::time::Duration;

fn row<const N: usize>(columns: [(&str, Datum); N]) -> Row {
    columns
        .into_iter()
        .map(|(column, datum)| (column.to_owned(), datum))
        .collect()
}

/// A synced client; the database has its one row of table Open_vSwitch.
async fn ready(server: &Server) -> Client {
    let client = server.client(Monitor::new().table("Open_vSwitch", ["next_cfg", "external_ids"]));
    see_synced(&mut client.watch()).await;
    client
        .transact(vec![Operation::insert("Open_vSwitch", Row::new())])
        .await
        .unwrap();
    client
}

/// What was refused, and where; the details must say something.
async fn refusal(client: &Client, operations: Vec<Operation>) -> (ErrorCode, FailedAt) {
    match client.transact(operations).await {
        Err(TransactError::Rejected { error, at }) => {
            assert!(!error.details.is_empty(), "{error}");
            (error.code, at)
        }
        other => panic!("{other:?}"),
    }
}

fn set_external_id(key: &str) -> Operation {
    Operation::update(
        "Open_vSwitch",
        vec![],
        row([("external_ids", Datum::string_map([(key, "x")]))]),
    )
}

#[tokio::test]
async fn a_value_out_of_range_is_a_constraint_violation_of_its_operation() {
    let server = Server::start();
    let client = ready(&server).await;
    let bad = Operation::insert(
        "NetFlow",
        row([("targets", "10.0.0.1:1".into()), ("engine_id", 300.into())]),
    );
    let refused = refusal(&client, vec![Operation::comment("first"), bad]).await;
    assert_eq!(refused, (ErrorCode::ConstraintViolation, FailedAt::Operation(1)));
}

#[tokio::test]
async fn a_reference_to_no_row_fails_the_commit_not_an_operation() {
    let server = Server::start();
    let client = ready(&server).await;
    let bridge = Datum::from(Uuid::from_u128(1));
    let dangling = Operation::insert(
        "Flow_Sample_Collector_Set",
        row([("id", 1.into()), ("bridge", bridge)]),
    );
    let refused = refusal(&client, vec![dangling, Operation::comment("last")]).await;
    assert_eq!(
        refused,
        (ErrorCode::ReferentialIntegrityViolation, FailedAt::Commit)
    );
}

#[tokio::test]
async fn a_second_row_where_one_is_allowed_fails_the_commit() {
    let server = Server::start();
    let client = ready(&server).await;
    let refused = refusal(&client, vec![Operation::insert("Open_vSwitch", Row::new())]).await;
    assert_eq!(refused, (ErrorCode::ConstraintViolation, FailedAt::Commit));
}

#[tokio::test]
async fn an_unknown_column_refuses_the_whole_transaction() {
    let server = Server::start();
    let client = ready(&server).await;
    let unknown = Operation::update("Open_vSwitch", vec![], row([("nope", "x".into())]));
    let refused = refusal(&client, vec![set_external_id("half"), unknown]).await;
    assert_eq!(refused, (ErrorCode::UnknownColumn, FailedAt::Operation(1)));
    let view = client.watch().borrow().clone();
    let (_, row) = view.replica.rows("Open_vSwitch").next().unwrap();
    assert_eq!(row.map_get("external_ids", "half"), None);
}

#[tokio::test]
async fn each_error_of_rfc_7047_has_its_type() {
    let server = Server::start();
    let client = ready(&server).await;
    let named = || Operation::insert_named("NetFlow", row([("targets", "x".into())]), "same");
    let calculate = |mutator, value: i64| {
        let mutation = Mutation {
            column: "next_cfg".into(),
            mutator,
            value: value.into(),
        };
        Operation::mutate("Open_vSwitch", vec![], vec![mutation])
    };
    let wait = Operation::Wait {
        timeout: Some(Duration::ZERO),
        table: "Open_vSwitch".into(),
        conditions: vec![],
        columns: vec!["next_cfg".into()],
        until: Until::NotEqual,
        rows: vec![row([("next_cfg", 0.into())])],
    };
    let cases = [
        (vec![named(), named()], ErrorCode::DuplicateUuidName, 1),
        (vec![Operation::Abort], ErrorCode::Aborted, 0),
        (
            vec![Operation::Assert { lock: "mine".into() }],
            ErrorCode::NotOwner,
            0,
        ),
        (vec![wait], ErrorCode::TimedOut, 0),
        (vec![calculate(Mutator::Divide, 0)], ErrorCode::DomainError, 0),
        (
            vec![calculate(Mutator::Add, i64::MAX), calculate(Mutator::Add, 1)],
            ErrorCode::RangeError,
            1,
        ),
        (
            vec![Operation::insert("Nope", Row::new())],
            ErrorCode::SyntaxError,
            0,
        ),
    ];
    for (operations, code, at) in cases {
        assert_eq!(
            refusal(&client, operations).await,
            (code, FailedAt::Operation(at))
        );
    }
}

#[tokio::test]
async fn every_operation_that_succeeds_has_its_result() {
    let server = Server::start();
    let client = ready(&server).await;
    let wait = Operation::Wait {
        timeout: None,
        table: "Open_vSwitch".into(),
        conditions: vec![],
        columns: vec!["next_cfg".into()],
        until: Until::Equal,
        rows: vec![row([("next_cfg", 1.into())])],
    };
    let bump = Mutation {
        column: "next_cfg".into(),
        mutator: Mutator::Add,
        value: 1.into(),
    };
    let select = Operation::Select {
        table: "Open_vSwitch".into(),
        conditions: vec![Condition::equal("next_cfg", 1)],
        columns: Some(vec!["next_cfg".into(), "external_ids".into()]),
    };
    let operations = vec![
        Operation::mutate("Open_vSwitch", vec![], vec![bump]),
        set_external_id("k"),
        wait,
        select,
        Operation::delete("Bridge", vec![]),
        Operation::comment("done"),
        Operation::Commit { durable: true },
    ];
    let selected = row([
        ("next_cfg", 1.into()),
        ("external_ids", Datum::string_map([("k", "x")])),
    ]);
    let expected = vec![
        OperationResult::Count(1),
        OperationResult::Count(1),
        OperationResult::Done,
        OperationResult::Rows(vec![selected]),
        OperationResult::Count(0),
        OperationResult::Done,
        OperationResult::Done,
    ];
    assert_eq!(client.transact(operations).await, Ok(expected));
}

#[tokio::test]
async fn many_transactions_at_once_each_get_their_own_reply() {
    let server = Server::start();
    let client = ready(&server).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_i64 {
        let client = client.clone();
        tasks.spawn(async move {
            let row = row([("targets", "x".into()), ("active_timeout", number.into())]);
            let select = Operation::select("NetFlow", vec![Condition::equal("active_timeout", number)]);
            let results = client
                .transact(vec![Operation::insert("NetFlow", row), select])
                .await
                .unwrap();
            let OperationResult::Rows(rows) = &results[1] else {
                panic!("{results:?}")
            };
            assert_eq!(rows[0]["active_timeout"].as_integer(), Some(number));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
