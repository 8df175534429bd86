//! A generic client of the Open vSwitch Database protocol (OVSDB, RFC 7047).
//!
//! Owns: the protocol's values, schema, operations and errors; a session and a
//! replica of monitored tables that do no I/O and read no clock; and, on top of
//! them, [`Client`], one tokio task per database over unix, TCP or TLS sockets.
//!
//! Does not own: what the rows mean. Nothing here knows a table by name.
//!
//! ```text
//! client (tokio, sockets) -> session (messages, timers as data) -> replica (rows)
//!                               |-> rpc, framing                     |-> schema, value
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::{Client, Condition, Datum, Monitor, Operation, Options};
//!
//! let monitor = Monitor::new().table("Bridge", ["name", "external_ids"]);
//! let endpoint = "unix:/var/run/openvswitch/db.sock".parse()?;
//! let client = Client::spawn(endpoint, "Open_vSwitch", monitor, Options::default());
//!
//! let mut watch = client.watch();
//! let view = watch.wait_for(|view| view.link.is_synced()).await?.clone();
//! for (uuid, row) in view.replica.rows("Bridge") {
//!     println!("{uuid} {:?}", row.str("name"));
//! }
//! let row = [("external_ids".to_owned(), Datum::string_map([("owner", "me")]))].into();
//! let whose = vec![Condition::equal("name", "br-int")];
//! client.transact(vec![Operation::update("Bridge", whose, row)]).await?;
//! # Ok(()) }
//! ```
#![deny(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
pub mod error;
pub mod framing;
pub mod operation;
pub mod replica;
pub mod rpc;
pub mod schema;
pub mod session;
pub mod value;
pub mod view;

#[cfg(feature = "client")]
pub use client::{Client, Endpoint, EndpointError, Options, TlsFiles};
pub use error::{ErrorCode, FailedAt, OvsdbError, TransactError};
pub use operation::{Condition, Function, Mutation, Mutator, Operation, OperationResult, Row, Until};
pub use replica::{Replica, ReplicaError, RowData};
pub use schema::{ColumnSchema, ColumnType, Schema, SchemaError, TableSchema};
pub use session::{Limits, Monitor, Session, SessionError};
pub use value::{Atom, Datum, NotationError, Uuid};
pub use view::{Link, View};
