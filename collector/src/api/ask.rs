//! Asks the store and puts the answers into the form of the API. The CLI uses it
//! too, on a data directory.

use arrow::array::RecordBatch;
use weir_query::{
    Explanation, FlowsRequest, Limits, QueryError, Question, Scope, Stats, ValuesRequest, output,
};
use weir_store::Reader;

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
pub async fn query(reader: &Reader, question: &Question, limits: &Limits) -> Result<QueryAnswer, QueryError> {
    let answer = weir_query::answer(reader, question, limits).await?;
    Ok(QueryAnswer {
        columns: columns(&answer.rows),
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
    reader: &Reader,
    question: &Question,
    limits: &Limits,
) -> Result<Explanation, QueryError> {
    weir_query::explain(reader, question, limits).await
}

/// A page of records.
///
/// # Errors
/// See [`QueryError`].
pub async fn flows(
    reader: &Reader,
    request: &FlowsRequest,
    limits: &Limits,
) -> Result<FlowsAnswer, QueryError> {
    let page = weir_query::flows(reader, request, limits).await?;
    Ok(FlowsAnswer {
        columns: columns(&page.rows),
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
    reader: &Reader,
    request: &ValuesRequest,
    limits: &Limits,
) -> Result<ValuesAnswer, QueryError> {
    Ok(ValuesAnswer {
        field: request.field.clone(),
        values: weir_query::values(reader, request, limits).await?,
    })
}

/// The rows of a question in one of the forms without room for more.
///
/// # Errors
/// See [`QueryError`].
pub async fn query_rows(
    reader: &Reader,
    question: &Question,
    limits: &Limits,
    format: Format,
) -> Result<Written, QueryError> {
    let answer = weir_query::answer(reader, question, limits).await?;
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
    reader: &Reader,
    request: &FlowsRequest,
    limits: &Limits,
    format: Format,
) -> Result<Written, QueryError> {
    let page = weir_query::flows(reader, request, limits).await?;
    Ok(Written {
        format,
        body: write(&page.rows, format)?,
        cursor: page.cursor,
        notes: page.notes.into_iter().map(|note| note.message).collect(),
    })
}

fn write(rows: &RecordBatch, format: Format) -> Result<Vec<u8>, QueryError> {
    let failed = |error: &dyn std::error::Error| QueryError::Engine(error.to_string());
    let mut text = Vec::new();
    match format {
        Format::Json => return Ok(serde_json::to_vec(&output::json_rows(rows)).unwrap_or_default()),
        Format::Csv => output::csv(rows, &mut text).map_err(|e| failed(&e))?,
        Format::Arrow => output::arrow_ipc(rows, &mut text).map_err(|e| failed(&e))?,
    }
    Ok(text)
}

/// How much was read and left out depends on what others have: it is for those alone who
/// may see everything.
fn shown(stats: Stats, limits: &Limits) -> Option<Stats> {
    (limits.scope == Scope::All).then_some(stats)
}

fn columns(rows: &RecordBatch) -> Vec<String> {
    let schema = rows.schema();
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    output::json_rows(batch).into_iter().map(Row).collect()
}
