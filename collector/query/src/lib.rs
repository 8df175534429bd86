//! Questions to the store and their answers: the filter language, sums over
//! groups, raw records, the values of a field, and how they are written out.
//!
//! [`Engine`] is all that the API and the CLI know of who answers. No HTTP, no Kubernetes:
//! `weir-collector` and `weir` call this.

mod aggregate;
mod aggregation;
mod amount;
mod answer;
mod arriving;
mod broken_segment;
mod bucket;
mod budget;
mod chooser;
mod compare;
mod compared;
mod complete;
mod cursor;
mod direction;
mod embedded;
mod engine;
mod error;
mod export;
mod export_writer;
pub mod filter;
mod frame_selection;
mod function;
mod group_key;
mod groups;
mod identity_table;
mod json_lines;
mod limits;
mod lower;
mod matrix;
mod measure;
mod moment;
mod order;
mod output;
mod page;
mod period;
mod plan;
mod question;
mod rank;
mod record_source;
mod records;
mod row_values;
mod rows;
mod run;
mod segment_reader;
mod selection;
mod shift;
mod shown;
mod sketch;
pub mod span;
mod states;
mod stored_rows;
mod tail;
mod tier_slice;

pub use answer::{Answer, Explanation, FlowsPage, Note, NoteKind, Part, Stats, ValueCount};
pub use bucket::{Bucket, Zone};
pub use budget::{holding, off_thread};
pub use compare::Compare;
pub use embedded::Embedded;
pub use engine::{
    Engine, EngineStatus, ExportRequest, ReaderStatus, RecordExport, RecordTail, TailEnd, TailRequest,
    TierStatus,
};
pub use error::QueryError;
pub use export_writer::{ExportFormat, ExportWriter};
pub use filter::{Filter, FilterError, compile};
pub use frame_selection::FrameSelection;
pub use group_key::GroupName;
pub use json_lines::JsonLines;
pub use limits::{Limits, Scope};
pub use matrix::{CallDirection, Matrix, MatrixEnds, MatrixRequest};
pub use measure::{Measure, Percentile, Quantity, Unit, UnknownMeasure};
pub use moment::{Moment, Since, Span, Until};
pub use order::{Cover, Order};
pub use question::{FlowsRequest, Question, ValuesRequest};
pub use row_values::RowValues;
pub use rows::AnswerRows;
pub use selection::{ArrowRecords, StoreWriteError, StoreWriter};
