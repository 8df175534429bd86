//! Frames of the flow log as a filter and chosen columns let them through: for whoever sends
//! flows on.

use arrow::array::BooleanArray;
use weir_api::fields::Column;
use weir_store::LogFrame;

use crate::chooser::LiveChooser;
use crate::identity_table::IdentityTable;
use crate::records::shown;
use crate::{AnswerRows, Filter, QueryError, Scope, groups};

/// A filter and columns, made ready for frame after frame.
#[derive(Debug)]
pub struct FrameSelection {
    chooser: LiveChooser,
    columns: Vec<Column>,
}

impl FrameSelection {
    /// Rows that the filter fits; of several observations of a packet the primary one, or all of
    /// them. No columns: all of them.
    ///
    /// # Errors
    /// The filter or a column is wrong.
    pub fn new(filter: &str, all_observations: bool, columns: &[String]) -> Result<Self, QueryError> {
        let filter = Filter::of_records(filter, false, all_observations, &Scope::All)?;
        Ok(Self {
            chooser: LiveChooser::new(filter)?,
            columns: match columns {
                [] => Column::all().collect(),
                names => groups::columns(names)?,
            },
        })
    }

    /// What of a frame goes through, the oldest first.
    ///
    /// # Errors
    /// The engine fails.
    pub fn select(&mut self, frame: &LogFrame) -> Result<AnswerRows, QueryError> {
        let chosen = self.chooser.choose(frame)?;
        chosen_records(frame, &chosen, &self.columns)
    }
}

/// These rows of a frame, with all that is known of their sides: what costs most.
pub(crate) fn chosen_records(
    frame: &LogFrame,
    chosen: &BooleanArray,
    columns: &[Column],
) -> Result<AnswerRows, QueryError> {
    let rows = frame.chosen_rows(chosen)?;
    shown(&rows, &IdentityTable::new(&frame.identities()), columns)
}
