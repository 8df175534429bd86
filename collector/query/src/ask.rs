//! The questions, asked of a store.
//!
//! A question that is dropped stops: nothing goes on working for it but a step that is
//! begun. They need a tokio runtime with its clock and keep its threads busy while they
//! work, so that a server gives them one of their own.

use weir_store::Reader;

use crate::budget::Budget;
use crate::{
    Answer, Explanation, FlowsPage, FlowsRequest, Limits, QueryError, Question, ValueCount, ValuesRequest,
    aggregate, complete, page,
};

/// Sums over groups of flows.
///
/// # Errors
/// The question is wrong, or costs more than `limits` allow.
pub async fn answer(reader: &Reader, question: &Question, limits: &Limits) -> Result<Answer, QueryError> {
    let budget = Budget::new(limits);
    budget.spend(aggregate::answer(reader, question, &budget)).await
}

/// A page of records.
///
/// # Errors
/// The request is wrong, or costs more than `limits` allow.
pub async fn flows(
    reader: &Reader,
    request: &FlowsRequest,
    limits: &Limits,
) -> Result<FlowsPage, QueryError> {
    let budget = Budget::new(limits);
    budget.spend(page::flows(reader, request, &budget)).await
}

/// The values of a field that begin with a prefix, the most frequent first.
///
/// # Errors
/// The request is wrong, or costs more than `limits` allow.
pub async fn values(
    reader: &Reader,
    request: &ValuesRequest,
    limits: &Limits,
) -> Result<Vec<ValueCount>, QueryError> {
    let budget = Budget::new(limits);
    budget.spend(complete::values(reader, request, &budget)).await
}

/// Answers a question and says how, in place of the answer.
///
/// # Errors
/// Those of [`answer`].
pub async fn explain(
    reader: &Reader,
    question: &Question,
    limits: &Limits,
) -> Result<Explanation, QueryError> {
    let budget = Budget::new(limits);
    budget.spend(aggregate::explain(reader, question, &budget)).await
}
