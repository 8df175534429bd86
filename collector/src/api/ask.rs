//! Asks an engine and puts the answers into the form of the API. The CLI uses it
//! too, on a data directory.

use weir_query::{
    AnswerRows, Engine, Explanation, FlowsRequest, Limits, MatrixRequest, QueryError, Question, Scope, Stats,
    ValuesRequest,
};

use super::answer::{FlowsAnswer, MatrixAnswer, QueryAnswer, Row, ValuesAnswer};
use super::format::Format;

/// An answer as it is sent: its octets, and what stands beside them in headers
/// where the form has no room for it.
#[derive(Debug)]
pub struct Written {
    /// The form.
    pub media_type: &'static str,
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
        rows: rows(&answer.rows, limits)?,
        other: rows(&answer.other, limits)?,
        totals: rows(&answer.totals, limits)?.pop().unwrap_or_default(),
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

/// Who called whom.
///
/// # Errors
/// See [`QueryError`].
pub async fn matrix(
    engine: &dyn Engine,
    request: &MatrixRequest,
    limits: &Limits,
) -> Result<MatrixAnswer, QueryError> {
    let matrix = engine.matrix(request, limits).await?;
    Ok(MatrixAnswer {
        columns: matrix.rows.columns(),
        rows: rows(&matrix.rows, limits)?,
        edges: matrix.edges,
        since: matrix.since,
        until: matrix.until,
        notes: matrix.notes,
    })
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
        rows: rows(&page.rows, limits)?,
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
        media_type: format.media_type(),
        body: write(&answer.rows, format)?,
        cursor: None,
        notes: answer.notes.into_iter().map(|note| note.message).collect(),
    })
}

/// Who called whom, in one of the forms without room for more.
///
/// # Errors
/// See [`QueryError`].
pub async fn matrix_rows(
    engine: &dyn Engine,
    request: &MatrixRequest,
    limits: &Limits,
    format: Format,
) -> Result<Written, QueryError> {
    let matrix = engine.matrix(request, limits).await?;
    Ok(Written {
        media_type: format.media_type(),
        body: write(&matrix.rows, format)?,
        cursor: None,
        notes: matrix.notes.into_iter().map(|note| note.message).collect(),
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
        media_type: format.media_type(),
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

/// The rows as JSON, if they find room in the memory that a question may take.
fn rows(rows: &AnswerRows, limits: &Limits) -> Result<Vec<Row>, QueryError> {
    let needed = rows.json_memory();
    if needed > limits.memory {
        return Err(QueryError::Memory(format!(
            "{} rows as JSON take some {} MiB; ask for fewer rows or fields, or for CSV or Arrow",
            rows.len(),
            needed >> 20
        )));
    }
    Ok(rows.json().into_iter().map(Row).collect())
}

#[cfg(test)]
mod tests {
    use weir_query::Embedded;
    use weir_store::{Settings, open};

    use super::*;

    #[tokio::test]
    async fn rows_that_find_no_room_as_json_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (_writer, reader, _) = open(Settings::new(directory.path())).unwrap();
        let engine = Embedded::new(reader);
        let answer = engine
            .answer(&Question::default(), &Limits::default())
            .await
            .unwrap();
        let short = Limits {
            memory: 100,
            ..Limits::default()
        };
        let refused = rows(&answer.totals, &short).map(|rows| rows.len());
        assert!(matches!(refused, Err(QueryError::Memory(_))));
        assert_eq!(rows(&answer.totals, &Limits::default()).unwrap().len(), 1);
    }
}
