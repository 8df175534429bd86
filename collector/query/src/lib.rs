//! Questions to the store and their answers: the filter language, sums over
//! groups, raw records, the values of a field, and how they are written out.
//!
//! No HTTP, no Kubernetes: `weir-collector` and `weir` call this.

mod aggregate;
mod answer;
mod ask;
mod budget;
mod complete;
mod cursor;
mod direction;
mod engine;
mod error;
pub mod filter;
mod function;
mod groups;
mod limits;
mod lower;
mod measure;
pub mod output;
mod page;
mod parts;
mod question;
mod rank;
mod records;
mod scan;
mod segment_reader;
pub mod span;
mod tail;
mod who;

pub use answer::{Answer, Explanation, FlowsPage, Note, NoteKind, Part, Stats, ValueCount};
pub use ask::{answer, explain, flows, values};
pub use error::QueryError;
pub use filter::{Filter, FilterError, compile};
pub use limits::{Limits, Scope};
pub use question::{FlowsRequest, Measure, Moment, Order, Question, Since, Span, Until, ValuesRequest};
pub use tail::{Live, LiveEnd, LiveTail};
