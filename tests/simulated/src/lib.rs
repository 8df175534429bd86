//! Nodes without a switch, many in one process, each with the code of `weir-node` as it
//! is: its watch, its reconciler, its writes of status, over a database in memory instead of
//! an ovsdb-server. For loads and failures of more nodes than one machine has room for.
//!
//! ```text
//! API server <- kube_source -- agent -- ovsdb client -> unix socket -> server -> database
//! ```

pub mod database;
pub mod member;
pub mod schema;
pub mod server;
