//! Where flows go besides the store: files and collectors of others. Each sink has a thread
//! that reads the flow log from a cursor of its own, so that none of them holds up what is
//! received, or another sink.
//!
//! ```text
//! source (frames of the log, filtered) -> delivery (window, retries) -> target (file, IPFIX)
//!        <- acknowledged: the target has it
//! ```
//!
//! - **At least once.** A frame is acknowledged when the target has it. What was not
//!   acknowledged comes again after a failure, a stop or a crash, under the same name
//!   ([`Place`]), by which a target can leave out what it has.
//! - **Failures are not ends.** Whatever fails is tried again, after 0.1 s to 30 s, as long as
//!   the bounds of the log hold ([`Backoff`]).
//! - What a sink did is counted in rows ([`Counters`]), and what the bounds made it give up
//!   where they are, in the log: a row that was given up while it was being sent is in both.

#![deny(missing_docs)]

mod backoff;
mod counters;
mod delivery;
pub mod file;
pub mod ipfix;
mod rows;
mod target;
#[cfg(test)]
mod testing;

pub use backoff::Backoff;
pub use counters::{Counters, Snapshot};
pub use delivery::{Delivery, Next, Source, Step, run};
pub use rows::{Place, RowBatch};
pub use target::{Failure, Target};
