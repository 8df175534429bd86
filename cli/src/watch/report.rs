//! What passes between the table and its source: what is wanted, and what is heard of it.

use std::time::Duration;

use weir_collector::api::answer::Row;
use weir_collector::api::status::RecordsAnswer;
use weir_query::Question;

use super::keys::Key;
use super::model::Sums;
use super::records::Missed;

/// What is to be asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing new.
    Nothing,
    /// Sums over a window that slides.
    Sums(Box<Question>),
    /// Records as they arrive.
    Records(WantedRecords),
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRecords {
    /// In the filter language.
    pub filter: String,
    /// Not the primary observations alone.
    pub all_observations: bool,
    /// How far back those may be that are shown at first.
    pub window: Duration,
    /// To tell the same wish from an earlier one: how often the table began empty.
    pub emptied: u64,
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// So many rows of the table are shown.
    Height(usize),
    /// The source says something.
    Report(Report),
}

/// What the source says.
#[derive(Debug)]
pub enum Report {
    /// Sums.
    Sums(Box<Sums>),
    /// Records that arrived, the oldest first.
    Records {
        /// To which wish.
        of: WantedRecords,
        /// The records.
        rows: Vec<Row>,
        /// Records that were left out before these.
        missed: Missed,
    },
    /// The connection is there, or is there again.
    Connected {
        /// What was asked.
        of: Wanted,
    },
    /// It is lost, and is tried again so much later.
    Lost {
        /// What was asked.
        of: Wanted,
        /// Why.
        why: String,
        /// How much later.
        again_in: Duration,
    },
    /// The source refuses what is asked: it is not asked again.
    Refused {
        /// What was asked.
        of: Wanted,
        /// Why not.
        why: String,
    },
    /// What became of the collector's records.
    Collector(RecordsAnswer),
    /// Values of a field.
    Values {
        /// Of which field.
        field: String,
        /// What they begin with.
        prefix: String,
        /// The values.
        values: Vec<String>,
    },
}

/// How it stands with the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Nothing was heard yet.
    Waiting,
    /// It answers.
    Live,
    /// It is gone.
    Lost {
        /// Why.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// It refuses what is asked.
    Refused(String),
}
