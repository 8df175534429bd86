//! The embedded store: flow records go in as they come and lie on disk as
//! Parquet that anybody can read.
//!
//! A record is a row of facts ([`schema::facts`]); who stands on its sides is two
//! numbers that point at identities ([`schema::identities`]), kept once for each
//! segment. Knows no network, no Kubernetes and no query. `docs/store.md` has the
//! files and what each fault does.

#![allow(dead_code)]

mod book;
mod catalog;
mod disk;
mod identities;
mod name;
mod range;
mod reader;
mod rows;
pub mod schema;
mod seal;
mod segment;

pub use catalog::Unreadable;
pub use identities::Identities;
pub use name::Tier;
pub use range::TimeRange;
pub use reader::{Cover, OpenError, Reader, Status, TierStatus, View};
pub use segment::{Segment, SegmentError};
