//! What is sent, and how many bytes a record of it may have.

use std::{net::SocketAddr, ops::RangeInclusive};

use anyhow::Result;
use weir_lab::traffic::transfer_between;

use crate::exactness::hosts::Host;

/// Address resolution and neighbour discovery that an interface may send, too.
pub const OTHERS: u64 = 1000;

/// What the receiver of some ten thousand bytes sends back: acknowledgements.
pub const FEW: RangeInclusive<u64> = 1..=10_000;

/// Sends bytes over TCP. What a flow of it has is at least that, and at most what
/// the sender's interface counted.
pub fn send(from: &Host, to: &Host, destination: SocketAddr, bytes: u64) -> Result<RangeInclusive<u64>> {
    let before = from.sent()?;
    transfer_between(&from.netns, &to.netns, destination, bytes)?;
    Ok(bytes..=from.sent()?.since(before).bytes + OTHERS)
}

/// What a group of both has.
pub fn sum(one: &RangeInclusive<u64>, other: &RangeInclusive<u64>) -> RangeInclusive<u64> {
    one.start() + other.start()..=one.end() + other.end()
}
