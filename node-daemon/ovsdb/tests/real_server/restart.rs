//! Servers that come late, die, come back empty, or fall silent.

use crate::support::*;
use ovsdb::{
    Client, Condition, Datum, Endpoint, Limits, Link, Operation, Options, Row, TransactError, Until, View,
};
use std::time::Duration;

fn is_down(view: &View) -> bool {
    matches!(view.link, Link::Down { .. })
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let mut server = Server::stopped();
    let client = server.client(bridges());
    let mut watch = client.watch();
    let refused =
        |view: &View| matches!(&view.link, Link::Down { error, attempts: 2.. } if error.contains("db.sock"));
    see(&mut watch, "two failed attempts", refused).await;
    assert_eq!(client.transact(vec![]).await, Err(TransactError::NotConnected));
    server.run();
    see_synced(&mut watch).await;
}

#[tokio::test]
async fn a_server_killed_and_started_again_is_read_anew() {
    let mut server = Server::start();
    server.vsctl(&["add-br", "br0"]);
    let client = server.client(bridges());
    let mut watch = client.watch();
    see_synced(&mut watch).await;

    server.kill();
    let view = see(&mut watch, "the loss", is_down).await;
    assert_eq!(bridge_names(&view), ["br0"], "the last known rows stay");
    assert!(view.schema.is_some());

    server.run();
    server.vsctl(&["add-br", "br1"]);
    let view = see(&mut watch, "both bridges", |view| {
        bridge_names(view) == ["br0", "br1"]
    })
    .await;
    assert_eq!((view.link, view.syncs), (Link::Synced, 2));
    server.vsctl(&["add-br", "br2"]);
    see(&mut watch, "a live update", |view| {
        view.replica.row_count("Bridge") == 3
    })
    .await;
}

#[tokio::test]
async fn a_server_that_comes_back_empty_empties_the_replica() {
    let mut server = Server::start();
    server.vsctl(&["add-br", "br0"]);
    let client = server.client(bridges());
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    server.kill();
    server.wipe();
    server.run();
    let view = see(&mut watch, "the second sync", |view| view.syncs == 2).await;
    assert_eq!((view.link, view.replica.row_count("Bridge")), (Link::Synced, 0));
}

#[tokio::test]
async fn a_server_that_dies_in_mid_transaction_leaves_an_unknown_outcome() {
    let mut server = Server::start();
    let client = server.client(bridges());
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    // Waits for a bridge that nobody makes, so the server holds the transaction.
    let hold = Operation::Wait {
        timeout: None,
        table: "Bridge".into(),
        conditions: vec![Condition::equal("name", "never")],
        columns: vec!["name".into()],
        until: Until::Equal,
        rows: vec![Row::from([("name".into(), Datum::from("never"))])],
    };
    let held = client.transact(vec![hold, Operation::comment("half")]);
    let death = async {
        // Sent second, so its reply shows that the server has read the first.
        client.transact(vec![Operation::comment("behind")]).await.unwrap();
        server.kill();
    };
    let (held, ()) = tokio::join!(biased; held, death);
    let error = held.unwrap_err();
    assert!(
        matches!(error, TransactError::Disconnected { .. }) && error.outcome_unknown(),
        "{error}"
    );
    server.run();
    see(&mut watch, "the second sync", |view| view.syncs == 2).await;
    assert!(client.transact(vec![Operation::comment("again")]).await.is_ok());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_found_again() {
    let server = Server::start();
    let limits = Limits {
        probe_interval: Duration::from_millis(500),
        ..Limits::default()
    };
    let client = Client::spawn(
        server.endpoint(),
        DATABASE,
        bridges(),
        Options { limits, ..options() },
    );
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    server.signal("-STOP");
    let silent =
        |view: &View| matches!(&view.link, Link::Down { error, .. } if error.contains("does not answer"));
    see(&mut watch, "the silence", silent).await;
    server.signal("-CONT");
    see_synced(&mut watch).await;
}

#[tokio::test]
async fn a_server_that_probes_its_clients_keeps_this_one() {
    let arguments = [
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
        "-vjsonrpc:file:dbg",
    ];
    let server = Server::start_with(&arguments.map(str::to_owned));
    let socket = server.path("probing.sock");
    let target = format!("target=\"punix:{}\"", socket.display());
    let create = [
        "--id=@m",
        "create",
        "Manager",
        &target,
        "inactivity_probe=1000",
        "--",
    ];
    server.vsctl(
        &[
            &["init", "--"][..],
            &create,
            &["set", "Open_vSwitch", ".", "manager_options=@m"],
        ]
        .concat(),
    );
    // The client itself asks for nothing so soon, so only its answers keep the connection.
    let limits = Limits {
        probe_interval: Duration::from_secs(3600),
        ..Limits::default()
    };
    let client = Client::spawn(
        Endpoint::Unix(socket),
        DATABASE,
        bridges(),
        Options {
            limits,
            ..Options::default()
        },
    );
    let view = see_synced(&mut client.watch()).await;
    see_file(|| {
        server
            .log()
            .matches("received reply, result=[], id=\"echo\"")
            .count()
            >= 2
    })
    .await;
    assert_eq!(
        client.watch().borrow().version,
        view.version,
        "the connection is still the first one"
    );
}
