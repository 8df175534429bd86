//! Asks an engine and puts the answers into the form of the API. The CLI uses it
//! too, on a data directory.

use weir_query::{
    AnswerRows, Engine, Explanation, FlowsRequest, Limits, QueryError, Question, Scope, Stats, ValuesRequest,
};

use super::answer::{FlowsAnswer, QueryAnswer, Row, ValuesAnswer};
use super::format::Format;

/// An answer as it is sent: its octets, and what stands beside them in headers
/// where the form has no room for it.
#[derive(Debug)]
pub struct Written {
    /// The form.
    pub format: Format,
    /// The answer.
    pub body: Vec<u8>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// What one should know.
    pub notes: Vec<String>,
}

/// Sums over groups.
///
/// # Errors
/// See [`QueryError`].
pub async fn query(
    engine: &dyn Engine,
    question: &Question,
    limits: &Limits,
) -> Result<QueryAnswer, QueryError> {
    let answer = engine.answer(question, limits).await?;
    Ok(QueryAnswer {
        columns: answer.rows.columns(),
        rows: rows(&answer.rows),
        other: rows(&answer.other),
        totals: rows(&answer.totals).pop().unwrap_or_default(),
        groups: answer.groups,
        notes: answer.notes,
        stats: shown(answer.stats, limits),
    })
}

/// How the sums are made.
///
/// # Errors
/// See [`QueryError`].
pub async fn explain(
    engine: &dyn Engine,
    question: &Question,
    limits: &Limits,
) -> Result<Explanation, QueryError> {
    engine.explain(question, limits).await
}

/// A page of records.
///
/// # Errors
/// See [`QueryError`].
pub async fn flows(
    engine: &dyn Engine,
    request: &FlowsRequest,
    limits: &Limits,
) -> Result<FlowsAnswer, QueryError> {
    let page = engine.flows(request, limits).await?;
    Ok(FlowsAnswer {
        columns: page.rows.columns(),
        rows: rows(&page.rows),
        cursor: page.cursor,
        notes: page.notes,
        stats: shown(page.stats, limits),
    })
}

/// Values that a field takes.
///
/// # Errors
/// See [`QueryError`].
pub async fn values(
    engine: &dyn Engine,
    request: &ValuesRequest,
    limits: &Limits,
) -> Result<ValuesAnswer, QueryError> {
    Ok(ValuesAnswer {
        field: request.field.clone(),
        values: engine.values(request, limits).await?,
    })
}

/// The rows of a question in one of the forms without room for more.
///
/// # Errors
/// See [`QueryError`].
pub async fn query_rows(
    engine: &dyn Engine,
    question: &Question,
    limits: &Limits,
    format: Format,
) -> Result<Written, QueryError> {
    let answer = engine.answer(question, limits).await?;
    Ok(Written {
        format,
        body: write(&answer.rows, format)?,
        cursor: None,
        notes: answer.notes.into_iter().map(|note| note.message).collect(),
    })
}

/// A page of records in one of the forms without room for more.
///
/// # Errors
/// See [`QueryError`].
pub async fn flows_rows(
    engine: &dyn Engine,
    request: &FlowsRequest,
    limits: &Limits,
    format: Format,
) -> Result<Written, QueryError> {
    let page = engine.flows(request, limits).await?;
    Ok(Written {
        format,
        body: write(&page.rows, format)?,
        cursor: page.cursor,
        notes: page.notes.into_iter().map(|note| note.message).collect(),
    })
}

fn write(rows: &AnswerRows, format: Format) -> Result<Vec<u8>, QueryError> {
    let failed = |error: &dyn std::error::Error| QueryError::Engine(error.to_string());
    let mut text = Vec::new();
    match format {
        Format::Json => return Ok(serde_json::to_vec(&rows.json()).unwrap_or_default()),
        Format::Csv => rows.csv(&mut text).map_err(|e| failed(&e))?,
        Format::Arrow => rows.arrow(&mut text).map_err(|e| failed(&e))?,
    }
    Ok(text)
}

/// How much was read and left out depends on what others have: it is for those alone who
/// may see everything.
fn shown(stats: Stats, limits: &Limits) -> Option<Stats> {
    (limits.scope == Scope::All).then_some(stats)
}

fn rows(rows: &AnswerRows) -> Vec<Row> {
    rows.json().into_iter().map(Row).collect()
}
