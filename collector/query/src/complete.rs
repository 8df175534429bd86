//! The values that a field takes, to complete what somebody types.

use std::collections::HashMap;

use arrow::array::AsArray;
use weir_api::fields::{Column, FieldKind};
use weir_store::Reader;

use crate::aggregate::{self, range};
use crate::budget::{Budget, off_thread};
use crate::filter::literal;
use crate::groups;
use crate::output::present;
use crate::{Measure, QueryError, Question, Scope, ValueCount, ValuesRequest};

/// Values unless asked otherwise.
const MANY: usize = 100;

/// The values of a field that begin with a prefix, the most frequent first.
pub(crate) async fn values(
    reader: &Reader,
    request: &ValuesRequest,
    budget: &Budget,
) -> Result<Vec<ValueCount>, QueryError> {
    let limits = &budget.limits;
    let column = groups::columns(std::slice::from_ref(&request.field))?[0];
    let of_all = limits.scope == Scope::All && request.filter.is_empty();
    let counts = match column.field().identity && of_all {
        true => {
            let (reader, request) = (reader.clone(), request.clone());
            off_thread(move || of_identities(&reader, &request, column)).await?
        }
        false => of_records(reader, request, column, budget).await?,
    };
    let mut values: Vec<_> = counts
        .into_iter()
        .filter(|(value, _)| !value.is_empty() && value.starts_with(&request.prefix))
        .map(|(value, count)| ValueCount { value, count })
        .collect();
    values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(request.limit.unwrap_or(MANY).min(limits.max_rows));
    Ok(values)
}

/// Of everybody whom the store knows in that range.
fn of_identities(
    reader: &Reader,
    request: &ValuesRequest,
    column: Column,
) -> Result<HashMap<String, u64>, QueryError> {
    let view = reader.view(range(request.since, request.until)?);
    let batch = view.identities.batch();
    let Some(values) = batch.column_by_name(column.field().name) else {
        return Ok(HashMap::new());
    };
    let shown = present(vec![(column.name().to_owned(), values.clone())], batch.num_rows())?;
    let mut counts = HashMap::new();
    let texts = shown.0.column(0).as_string_opt::<i32>();
    for text in texts.into_iter().flatten().flatten() {
        *counts.entry(text.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

/// Of the records, and the words that the field can hold.
async fn of_records(
    reader: &Reader,
    request: &ValuesRequest,
    column: Column,
    budget: &Budget,
) -> Result<HashMap<String, u64>, QueryError> {
    let mut counts: HashMap<String, u64> = match column.kind() {
        FieldKind::Bool => [("true".to_owned(), 0), ("false".to_owned(), 0)].into(),
        FieldKind::Timestamp => return Ok(HashMap::new()),
        _ => {
            let words = literal::words(column).unwrap_or_default();
            words.into_iter().map(|word| (word.to_owned(), 0)).collect()
        }
    };
    let question = Question {
        filter: request.filter.clone(),
        since: request.since,
        until: request.until,
        group_by: vec![column.name().to_owned()],
        measures: vec![Measure::Flows],
        by: Measure::Flows,
        ..Question::default()
    };
    let answer = aggregate::answer(reader, &question, budget).await?;
    for row in answer.rows.json() {
        let count = row
            .get("flows")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default();
        match row.get(column.name()) {
            Some(serde_json::Value::String(text)) => *counts.entry(text.clone()).or_default() += count,
            Some(serde_json::Value::Array(words)) => {
                for word in words.iter().filter_map(serde_json::Value::as_str) {
                    *counts.entry(word.to_owned()).or_default() += count;
                }
            }
            Some(other) => *counts.entry(other.to_string()).or_default() += count,
            None => {}
        }
    }
    Ok(counts)
}
