//! What is answered, and what is said about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AnswerRows;

/// Sums over groups.
#[derive(Debug, Clone)]
pub struct Answer {
    /// One row a group (and bucket): `time` when there are buckets, the fields
    /// that were grouped by, then the measures. Ordered by time, then as asked.
    pub rows: AnswerRows,
    /// The measures of all groups that are not in `rows`, with `time` when there
    /// are buckets; no rows when nothing was left out.
    pub other: AnswerRows,
    /// The measures of everything, in one row.
    pub totals: AnswerRows,
    /// How many groups there are, those in `other` included.
    pub groups: usize,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
    /// What it cost.
    pub stats: Stats,
}

/// A page of records.
#[derive(Debug, Clone)]
pub struct FlowsPage {
    /// One row a record, columns as asked.
    pub rows: AnswerRows,
    /// Ask with this for the next page; none: that was the last.
    pub cursor: Option<String>,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
    /// What it cost.
    pub stats: Stats,
}

/// One value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueCount {
    /// The value, as a filter writes it.
    pub value: String,
    /// How many records have it; of identity fields: how many identities.
    pub count: u64,
}

/// What one should know about an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// What kind of note.
    pub kind: NoteKind,
    /// The same for people.
    pub message: String,
    /// Where it is about a part of the range (`expired`): from when on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Note {
    /// About the answer as a whole.
    pub fn new(kind: NoteKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            since: None,
            until: None,
        }
    }

    /// About a part of its range.
    pub fn of_part(kind: NoteKind, message: impl Into<String>, (since, until): (String, String)) -> Self {
        Self {
            since: Some(since),
            until: Some(until),
            ..Self::new(kind, message)
        }
    }
}

/// What kind of note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Part of the range had expired already.
    Expired,
    /// Part of the range that is compared with lies before the first record ever.
    BeforeFirstRecord,
    /// A rollup was used.
    Rollup,
    /// A segment could not be read.
    Unreadable,
    /// There is more than the answer shows.
    Truncated,
    /// A measure was estimated.
    Approximate,
    /// Of part of the range there are no edges: they expired, or are not made yet.
    NoEdges,
    /// What whoever asks may not see was left out.
    Hidden,
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Segments in the range of time.
    pub segments: usize,
    /// Of these, never opened or left after their statistics.
    pub segments_pruned: usize,
    /// Row groups in the segments that were opened.
    pub row_groups: usize,
    /// Of these, left after their statistics.
    pub row_groups_pruned: usize,
    /// Rows that were read, memory included.
    pub rows_read: usize,
    /// Octets that were read from disk.
    pub bytes_read: usize,
    /// How long it took, µs.
    pub elapsed_us: u64,
}

impl Stats {
    /// Adds what another step of the same question cost.
    pub(crate) fn add(&mut self, step: &Self) {
        self.segments_pruned += step.segments_pruned;
        self.row_groups += step.row_groups;
        self.row_groups_pruned += step.row_groups_pruned;
        self.rows_read += step.rows_read;
        self.bytes_read += step.bytes_read;
        self.elapsed_us += step.elapsed_us;
    }
}

/// How a question was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The filter as it was understood.
    pub filter: String,
    /// What was read, with the range of each, oldest first.
    pub parts: Vec<Part>,
    /// What it cost.
    pub stats: Stats,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
    /// The plan that was executed, with figures of each step.
    pub plan: String,
}

/// A part of the range and where it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// `raw`, `minute` or `hour`.
    pub tier: String,
    /// From when on, RFC 3339.
    pub since: String,
    /// Until when, itself excluded, RFC 3339.
    pub until: String,
    /// Segments in it.
    pub segments: usize,
    /// Rows in it that are not in a segment yet.
    pub rows_in_memory: usize,
}
