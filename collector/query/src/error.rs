//! Why a question has no answer.

use std::time::Duration;

use datafusion_common::DataFusionError;

use crate::filter::FilterError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The filter is wrong.
    #[error("filter: {0}")]
    Filter(#[from] FilterError),
    /// There is no such field.
    #[error("no field is named {name:?}{}", meant(nearest.as_deref()))]
    UnknownField {
        /// What was asked for.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// The question contradicts itself or asks for what there is not.
    #[error("{0}")]
    Invalid(String),
    /// It took too long.
    #[error("no answer within {0:?}: narrow the range of time or the filter")]
    Timeout(Duration),
    /// There are too many groups.
    #[error("more than {0} groups: group by fewer fields, or narrow the range of time or the filter")]
    TooManyGroups(usize),
    /// There are too many rows.
    #[error("more than {0} rows: ask for the top ones, or narrow the range of time or the filter")]
    TooManyRows(usize),
    /// It needs too much memory.
    #[error("the answer needs more memory than a question may take: {0}")]
    Memory(String),
    /// The engine failed.
    #[error("the query failed: {0}")]
    Engine(String),
}

impl QueryError {
    /// Its kind, for metrics and for machines.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::UnknownField { .. } => "unknown_field",
            Self::Invalid(_) => "invalid",
            Self::Timeout(_) => "timeout",
            Self::TooManyGroups(_) => "too_many_groups",
            Self::TooManyRows(_) => "too_many_rows",
            Self::Memory(_) => "memory",
            Self::Engine(_) => "engine",
        }
    }

    /// Whoever asks can do something about it.
    pub const fn is_of_the_question(&self) -> bool {
        !matches!(self, Self::Engine(_) | Self::Timeout(_) | Self::Memory(_))
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(what) => Self::Memory(what.clone()),
            DataFusionError::External(ours) => match ours.downcast_ref() {
                Some(Self::Timeout(timeout)) => Self::Timeout(*timeout),
                _ => Self::Engine(error.strip_backtrace()),
            },
            _ => Self::Engine(error.strip_backtrace()),
        }
    }
}

impl From<arrow::error::ArrowError> for QueryError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(error.to_string())
    }
}

pub(crate) fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}
