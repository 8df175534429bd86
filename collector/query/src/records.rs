//! Stored records as people read them: a record has the names of the identities that
//! its sides point at, and the texts that are there even when they are unknown.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::take;
use weir_api::fields::{Column, Side};
use weir_store::schema::{self, DST_ID, SRC_ID};

use crate::groups::known_text;
use crate::identity_table::IdentityTable;
use crate::lower::{PROTO, PROTOCOL};
use crate::output::present;
use crate::{AnswerRows, QueryError};

/// The name of the column that is stored in place of one of a record itself.
pub(crate) fn stored(column: Column) -> &'static str {
    if column == PROTOCOL { PROTO } else { column.name() }
}

/// Stored rows as people read them.
pub(crate) fn shown(
    rows: &RecordBatch,
    who: &IdentityTable,
    columns: &[Column],
) -> Result<AnswerRows, QueryError> {
    let mut read: Vec<(String, ArrayRef)> = Vec::with_capacity(columns.len());
    for &column in columns {
        let values = if column.field().identity {
            let id = if column.side() == Side::Dst {
                DST_ID
            } else {
                SRC_ID
            };
            let ids = rows.column_by_name(id).map(|ids| who.rows(ids.as_primitive()));
            ids.map(|ids| take(&who.values(column), &ids, None)).transpose()?
        } else {
            facts(rows, column).map(|values| told(column, &values))
        };
        read.extend(values.map(|values| (column.name().to_owned(), values)));
    }
    Ok(present(read, rows.num_rows())?)
}

/// The values of a column of the records themselves; nothing where no row has one.
fn facts(rows: &RecordBatch, column: Column) -> Option<ArrayRef> {
    let name = stored(column);
    if let Some(values) = rows.column_by_name(name) {
        return Some(Arc::clone(values));
    }
    let kind = schema::fact(Column::find(name)?)?;
    Some(new_null_array(&kind, rows.num_rows()))
}

/// A protocol that is absent has no name; some texts are there even when unknown.
fn told(column: Column, values: &ArrayRef) -> ArrayRef {
    if column == PROTOCOL {
        let named = known_text(column, Arc::clone(values));
        let absent = values.nulls().cloned();
        let data = named.to_data().into_builder().nulls(absent).build();
        return data.map_or(named, arrow::array::make_array);
    }
    match column.field().always {
        true => known_text(column, Arc::clone(values)),
        false => Arc::clone(values),
    }
}
