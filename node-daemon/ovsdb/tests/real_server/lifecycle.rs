//! The end of a client.

use crate::support::*;
use ovsdb::{Operation, TransactError};

#[tokio::test]
async fn closing_one_clone_ends_all_and_their_watches() {
    let server = Server::start();
    let client = server.client(bridges());
    let other = client.clone();
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    client.close().await;
    while watch.changed().await.is_ok() {}
    let refused = other.transact(vec![Operation::comment("late")]).await;
    assert_eq!(refused, Err(TransactError::NotConnected));
    other.close().await;
}

#[tokio::test]
async fn dropping_the_last_clone_ends_the_task() {
    let server = Server::start();
    let client = server.client(bridges());
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    drop(client);
    while watch.changed().await.is_ok() {}
}

#[tokio::test]
async fn a_client_can_be_closed_while_it_waits_for_a_server() {
    let server = Server::stopped();
    let client = server.client(bridges());
    let mut watch = client.watch();
    see(&mut watch, "a failed attempt", |view| {
        !view.link.is_synced() && view.version > 0
    })
    .await;
    client.close().await;
}
