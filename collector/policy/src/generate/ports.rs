//! Ports as rules write them.

use crate::facts::Protocol;
use crate::policy::{NetworkPort, PortMatch};

/// So many ports in a row are a range.
const LEAST_RANGE: usize = 4;
/// A port of a rule; all of them at the level of namespaces.
pub(super) type Port = Option<(Protocol, u16)>;

/// Ports as they are written, in order; all ports are none.
pub(super) fn written(ports: &[Port], ranges: bool) -> Vec<NetworkPort> {
    let ports: Vec<(Protocol, u16)> = ports.iter().copied().flatten().collect();
    let is_next = |one: &(Protocol, u16), next: &(Protocol, u16)| {
        one.0 == next.0 && one.1.checked_add(1) == Some(next.1)
    };
    let mut written = Vec::new();
    for run in ports.chunk_by(is_next) {
        let port = |protocol, first, last| NetworkPort {
            protocol,
            port: PortMatch::Range(first, last),
        };
        match (run, ranges && run.len() >= LEAST_RANGE) {
            ([(protocol, first), .., (_, last)], true) => written.push(port(*protocol, *first, *last)),
            _ => written.extend(
                run.iter()
                    .map(|(protocol, number)| port(*protocol, *number, *number)),
            ),
        }
    }
    written
}
