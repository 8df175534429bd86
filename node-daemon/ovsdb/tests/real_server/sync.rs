//! First rows and live updates.

use crate::support::*;
use ovsdb::{
    Client, Condition, Datum, Endpoint, Link, Monitor, Mutation, Operation, OperationResult, Row, Uuid, View,
};
use std::collections::BTreeMap;

#[tokio::test]
async fn rows_that_exist_and_rows_that_come_are_seen() {
    let server = Server::start();
    server.vsctl(&["add-br", "br-old"]);
    let client = server.client(bridges());
    let mut watch = client.watch();
    let view = see_synced(&mut watch).await;
    assert_eq!((bridge_names(&view), view.syncs), (vec!["br-old".to_owned()], 1));

    server.vsctl(&[
        "add-br",
        "br-new",
        "--",
        "set",
        "bridge",
        "br-new",
        "external_ids:owner=x",
    ]);
    let view = see(&mut watch, "br-new", |view| view.replica.row_count("Bridge") == 2).await;
    let (_, row) = view.replica.find("Bridge", "name", "br-new").unwrap();
    assert_eq!(row.map_get("external_ids", "owner"), Some("x"));

    server.vsctl(&["del-br", "br-old"]);
    see(&mut watch, "br-old gone", |view| bridge_names(view) == ["br-new"]).await;
}

#[tokio::test]
async fn a_transactions_rows_are_in_the_view_when_it_returns() {
    let server = Server::start();
    let client = server.client(
        Monitor::new()
            .table("Bridge", ["name"])
            .table("Open_vSwitch", ["bridges"]),
    );
    let watch = client.watch();
    see_synced(&mut client.watch()).await;
    client
        .transact(vec![Operation::insert("Open_vSwitch", Row::new())])
        .await
        .unwrap();
    for number in 0..20 {
        let name = format!("br{number}");
        let row = Row::from([("name".into(), Datum::from(name.as_str()))]);
        let insert = Operation::insert_named("Bridge", row, "new");
        let link = Mutation::insert("bridges", Datum::named_uuid("new"));
        let mutate = Operation::mutate("Open_vSwitch", vec![], vec![link]);
        let results = client.transact(vec![insert, mutate]).await.unwrap();
        let uuid = results[0].inserted().unwrap();
        assert_eq!(results[1], OperationResult::Count(1));
        assert_eq!(
            watch.borrow().replica.row("Bridge", uuid).unwrap().str("name"),
            Some(name.as_str())
        );
    }
}

/// All rows of a table as a select reads them.
async fn select(client: &Client, table: &str) -> BTreeMap<Uuid, Row> {
    let results = client
        .transact(vec![Operation::select(table, vec![])])
        .await
        .unwrap();
    let [OperationResult::Rows(rows)] = results.as_slice() else {
        panic!("{results:?}")
    };
    let mut found = BTreeMap::new();
    for row in rows {
        let mut row = row.clone();
        row.remove("_version");
        let uuid = row.remove("_uuid").and_then(|uuid| uuid.as_uuid()).unwrap();
        found.insert(uuid, row);
    }
    found
}

fn replicated(view: &View, table: &str) -> BTreeMap<Uuid, Row> {
    view.replica
        .rows(table)
        .map(|(uuid, row)| (uuid, row.to_row()))
        .collect()
}

#[tokio::test]
async fn after_any_change_the_replica_equals_what_a_select_reads() {
    let server = Server::start();
    let tables = [
        "Open_vSwitch",
        "Bridge",
        "Port",
        "Interface",
        "NetFlow",
        "sFlow",
        "IPFIX",
    ];
    let client = server.client(
        tables
            .iter()
            .fold(Monitor::new(), |monitor, table| monitor.whole_table(*table)),
    );
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    let netflow = [
        "--",
        "--id=@n",
        "create",
        "netflow",
        "targets=\"10.0.0.1:2055\"",
        "--",
    ];
    let changes: [&[&str]; 10] = [
        &["add-br", "br0"],
        &[
            "add-port",
            "br0",
            "p0",
            "--",
            "set",
            "interface",
            "p0",
            "external_ids:iface-id=ns_pod",
            "type=internal",
        ],
        &[
            "set",
            "interface",
            "p0",
            "external_ids:a=1",
            "external_ids:iface-id=ns_other",
        ],
        &["remove", "interface", "p0", "external_ids", "a"],
        &["set", "port", "p0", "trunks=1,2,3", "tag=7"],
        &["set", "port", "p0", "trunks=2,4"],
        &["clear", "port", "p0", "tag"],
        &[&netflow[..], &["set", "bridge", "br0", "netflow=@n"]].concat(),
        &[
            "set",
            "netflow",
            "br0",
            "targets=[\"10.0.0.2:1\",\"10.0.0.3:2\"]",
            "engine_id=5",
        ],
        &["del-port", "p0"],
    ];
    for change in changes {
        server.vsctl(change);
        for table in tables {
            // The updates of the change come before the select's reply.
            let selected = select(&client, table).await;
            assert_eq!(
                replicated(&watch.borrow(), table),
                selected,
                "{table} after {change:?}"
            );
        }
    }
    assert_eq!(watch.borrow().replica.row_count("NetFlow"), 1);
}

#[tokio::test]
async fn what_the_schema_lacks_is_not_asked_for() {
    let server = Server::start();
    let monitor = Monitor::new()
        .table("Bridge", ["name", "from_the_future"])
        .table("Future", ["name"]);
    let client = server.client(monitor);
    let view = see_synced(&mut client.watch()).await;
    let schema = view.schema.unwrap();
    assert!(schema.has_column("Bridge", "name") && !schema.has_column("Bridge", "from_the_future"));
    assert!(!schema.has_table("Future"));
    assert_eq!(view.replica.tables().collect::<Vec<_>>(), ["Bridge"]);
}

#[tokio::test]
async fn the_schemas_ranges_and_roots_are_those_of_open_vswitch() {
    let server = Server::start();
    let client = server.client(Monitor::new());
    let schema = see_synced(&mut client.watch()).await.schema.unwrap();
    assert_eq!(schema.name, DATABASE);
    assert!(schema.tables["Open_vSwitch"].is_root && !schema.tables["NetFlow"].is_root);
    let engine = schema.column("NetFlow", "engine_id").unwrap();
    assert_eq!(engine.column_type.key.integer_range, (Some(0), Some(255)));
    assert_eq!((engine.column_type.min, engine.column_type.max), (0, Some(1)));
}

#[tokio::test]
async fn a_database_that_the_server_lacks_is_named_in_the_link() {
    let server = Server::start();
    let client = Client::spawn(server.endpoint(), "Nowhere", bridges(), options());
    let named =
        |view: &View| matches!(&view.link, Link::Down { error, attempts: 3.. } if error.contains("Nowhere"));
    see(&mut client.watch(), "the third attempt", named).await;
}

#[tokio::test]
async fn tcp_works_with_both_families() {
    for (remote, host) in [("ptcp:0:127.0.0.1", "127.0.0.1"), ("ptcp:0:[::1]", "::1")] {
        let server = Server::start_with(&[format!("--remote={remote}")]);
        let endpoint = Endpoint::Tcp(host.into(), server.port());
        let client = Client::spawn(endpoint, DATABASE, bridges(), options());
        see_synced(&mut client.watch()).await;
        let none = vec![Condition::equal("name", "none")];
        let deleted = client.transact(vec![Operation::delete("Bridge", none)]).await;
        assert_eq!(deleted, Ok(vec![OperationResult::Count(0)]), "{remote}");
    }
}

#[tokio::test]
async fn many_rows_arrive_whole() {
    let server = Server::start();
    let client = server.client(Monitor::new().whole_table("Flow_Table").table("Bridge", ["name"]));
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    client
        .transact(vec![Operation::insert("Open_vSwitch", Row::new())])
        .await
        .unwrap();
    let long = "é\"\\{}[]".repeat(20_000);
    let names = (0..30).map(|number| format!("{number} {long}"));
    let mut operations = Vec::new();
    for (number, name) in names.enumerate() {
        let row = Row::from([("name".into(), Datum::from(name))]);
        operations.push(Operation::insert_named("Bridge", row, format!("b{number}")));
        let link = Mutation::insert("bridges", Datum::named_uuid(format!("b{number}")));
        operations.push(Operation::mutate("Open_vSwitch", vec![], vec![link]));
    }
    client.transact(operations).await.unwrap();
    let whole = |view: &View| {
        bridge_names(view)
            .iter()
            .filter(|name| name.ends_with(&long))
            .count()
            == 30
    };
    assert!(whole(&watch.borrow()));
    let second = server.client(bridges());
    see(&mut second.watch(), "all rows at once", |view| {
        view.link.is_synced() && whole(view)
    })
    .await;
}
