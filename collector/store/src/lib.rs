//! The embedded store: flow records go in as they come and lie on disk as
//! Parquet that anybody can read.
//!
//! A record is a row of facts ([`schema::facts`]); who stands on its sides is two
//! numbers that point at identities ([`schema::identities`]), kept once for each
//! segment. Knows no network, no Kubernetes and no query. `docs/store.md` has the
//! files and what each fault does.

mod appender;
mod batch;
mod catalog;
mod chunk;
mod clock;
mod column_dictionary;
mod dictionary;
mod disk;
mod edges;
mod expiry;
mod fixed_width;
mod gathering;
mod identities;
mod identity_cache;
mod identity_ids;
mod lock;
mod log_frame;
mod log_readers;
mod logging;
mod maintenance;
mod memory_identities;
mod memory_log;
mod memtable;
mod merge;
mod name;
mod orphans;
mod range;
mod reader;
mod recovery;
mod rollup;
mod rows;
pub mod schema;
mod seal;
mod sealing;
mod segment;
mod selection;
mod settings;
mod small_dictionary;
mod sorted;
mod space;
mod state;
mod status;
mod unlogged;
mod view;
mod wal;
mod writer;

pub use appender::Appender;
pub use batch::Batch;
pub use catalog::Unreadable;
pub use clock::Clock;
pub use edges::{Evidence, Strength};
pub use identities::Identities;
pub use lock::{Lock, Refused};
pub use log_frame::{Cursor, FreshIdentities, IdentityCursor, LogFrame};
pub use log_readers::{Bounds, DroppedRows, LogReader, LogReaderStatus, LogStatus, NoFrame, ReadLogError};
pub use memory_log::MemoryLog;
pub use name::Tier;
pub use range::TimeRange;
pub use reader::{Broken, Reader};
pub use recovery::Recovery;
pub use segment::{Segment, SegmentError};
pub use selection::{Selection, SelectionError};
pub use settings::{Retention, Settings};
pub use space::{Disk, DiskSpace};
pub use status::{Counts, Refusal, Status, TierStatus, Trouble};
pub use view::{Cover, View};
pub use writer::{CloseSummary, OpenError, Writer, open};
