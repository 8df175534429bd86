//! The questions, asked of a store.

use weir_store::Reader;

use crate::{
    Answer, Explanation, FlowsPage, FlowsRequest, Limits, QueryError, Question, ValueCount, ValuesRequest,
};

/// Sums over groups of flows.
///
/// # Errors
/// The question is wrong, or costs more than `limits` allow.
pub async fn answer(_: &Reader, _: &Question, _: &Limits) -> Result<Answer, QueryError> {
    Err(QueryError::Engine(String::new()))
}

/// A page of records.
///
/// # Errors
/// The request is wrong, or costs more than `limits` allow.
pub async fn flows(_: &Reader, _: &FlowsRequest, _: &Limits) -> Result<FlowsPage, QueryError> {
    Err(QueryError::Engine(String::new()))
}

/// The values of a field that begin with a prefix, the most frequent first.
///
/// # Errors
/// The request is wrong, or costs more than `limits` allow.
pub async fn values(_: &Reader, _: &ValuesRequest, _: &Limits) -> Result<Vec<ValueCount>, QueryError> {
    Err(QueryError::Engine(String::new()))
}

/// Answers a question and says how, in place of the answer.
///
/// # Errors
/// Those of [`answer`].
pub async fn explain(_: &Reader, _: &Question, _: &Limits) -> Result<Explanation, QueryError> {
    Err(QueryError::Engine(String::new()))
}
