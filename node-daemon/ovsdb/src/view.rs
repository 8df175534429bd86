//! What a client shows to those who watch it.

use crate::{replica::Replica, schema::Schema};
use std::sync::Arc;

/// The database as last seen, and whether that is now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    /// State of the connection.
    pub link: Link,
    /// The server's schema, once it was read; the last known while the link is down.
    pub schema: Option<Arc<Schema>>,
    /// The monitored rows; the last known while the link is down.
    pub replica: Arc<Replica>,
    /// How often the replica was read anew as a whole.
    pub syncs: u64,
    /// Grows with each change of anything in here.
    pub version: u64,
}

/// State of the connection to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The first attempt is under way.
    Connecting,
    /// The last attempt or connection failed; another attempt follows.
    Down {
        /// Why, for people to read.
        error: String,
        /// Failures since the replica was last in sync, this one included.
        attempts: u32,
    },
    /// The replica follows the database.
    Synced,
}

impl Link {
    /// Whether the replica follows the database.
    pub fn is_synced(&self) -> bool {
        matches!(self, Link::Synced)
    }
}

impl Default for View {
    fn default() -> View {
        View {
            link: Link::Connecting,
            schema: None,
            replica: Arc::default(),
            syncs: 0,
            version: 0,
        }
    }
}
