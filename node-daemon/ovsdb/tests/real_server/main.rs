//! The client against a real ovsdb-server with the schema of Open vSwitch.
//! Needs ovsdb-server, ovsdb-tool, ovs-vsctl and ovs-pki in the path.
#![allow(clippy::unwrap_used)] // A test that cannot be set up may panic.

mod lifecycle;
mod restart;
mod support;
mod sync;
mod tls;
mod transact;
