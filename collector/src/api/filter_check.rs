//! What `filter` answers: whether a filter is right, how it reads, and how it may go on. It
//! is checked and never run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::fields::Column;
use weir_query::filter::{CompleteWith, complete, length_at};
use weir_query::{Filter, QueryError};

use super::suggest::{Asked, Suggestion, suggestions};

/// What there is to say of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct FilterAnswer {
    /// What is wrong with it; nothing, if it can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<FilterFault>,
    /// The filter written the one way that all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub canonical: Option<String>,
    /// The filter for the other direction, where exchanging names is all there is to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mirrored: Option<String>,
    /// The fields that it looks at.
    pub fields: Vec<String>,
    /// Those of them that nothing fills: they are empty in every record.
    pub unfilled: Vec<String>,
    /// Those of them that sums do not have: with them every record is read.
    pub not_in_sums: Vec<String>,
    /// How it may go on at the position that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub completion: Option<CompletionAnswer>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilterFault {
    /// In words.
    pub message: String,
    /// Where it begins, in characters from 1.
    pub column: usize,
    /// How many characters it has.
    pub length: usize,
    /// The name that may have been meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub nearest: Option<String>,
    /// What would be right.
    pub suggest: Vec<Suggestion>,
}

/// How a filter may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompletionAnswer {
    /// Where what is begun begins, in characters from 1; it is to be replaced up to the
    /// position.
    pub column: usize,
    /// Names of fields that may stand there.
    pub fields: Vec<String>,
    /// Values of this field may stand there, in quotes: ask `values` for those that begin
    /// with `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub values_of: Option<String>,
    /// What is begun.
    pub prefix: String,
}

impl FilterAnswer {
    /// Checks a filter; the position is in characters from the beginning.
    pub fn of(text: &str, at: Option<usize>) -> Self {
        let completion = at.and_then(|at| completion(text, at));
        match weir_query::compile(text) {
            Ok(filter) => Self {
                completion,
                ..Self::right(&filter)
            },
            Err(wrong) => {
                let asked = Asked {
                    filter: text.to_owned(),
                    ..Asked::default()
                };
                let fault = FilterFault {
                    message: wrong.message.clone(),
                    column: wrong.column,
                    length: length_at(text, wrong.column),
                    nearest: wrong.nearest.clone(),
                    suggest: suggestions(&QueryError::Filter(wrong), &asked),
                };
                Self {
                    error: Some(fault),
                    completion,
                    ..Self::default()
                }
            }
        }
    }

    fn right(filter: &Filter) -> Self {
        let names = |columns: &mut dyn Iterator<Item = Column>| {
            columns.map(|column| column.name().to_owned()).collect()
        };
        let fields = filter.fields();
        Self {
            canonical: Some(filter.canonical()),
            mirrored: filter.mirrored_text(),
            unfilled: filter.unfilled().into_iter().map(str::to_owned).collect(),
            not_in_sums: names(&mut filter.fields_not_in_sums().into_iter()),
            fields: names(&mut fields.iter().copied()),
            ..Self::default()
        }
    }
}

fn completion(text: &str, at: usize) -> Option<CompletionAnswer> {
    let before = text.char_indices().nth(at).map_or(text, |(end, _)| &text[..end]);
    let completion = complete(before)?;
    let (fields, values_of, quote) = match completion.with {
        CompleteWith::Fields(columns) => (columns, None, 0),
        CompleteWith::ValuesOf(column) => (Vec::new(), Some(column.name().to_owned()), 1),
    };
    let begun = completion.begun.chars().count() + quote;
    Some(CompletionAnswer {
        column: before.chars().count() - begun + 1,
        fields: fields
            .into_iter()
            .map(|column| column.name().to_owned())
            .collect(),
        values_of,
        prefix: completion.begun.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_filter_is_told_with_what_it_looks_at() {
        let answer = FilterAnswer::of(r#"src_ns=="a" && ttl > 3"#, None);
        assert_eq!(answer.error, None);
        assert_eq!(answer.canonical.as_deref(), Some(r#"ns == "a" && ttl > 3"#));
        assert_eq!(answer.fields, ["ns", "ttl"]);
        assert_eq!(answer.not_in_sums, ["ttl"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_its_length_and_what_would_be_right() {
        let answer = FilterAnswer::of(r#"bytes > 1 && nss == "a""#, None);
        let fault = answer.error.unwrap();
        assert_eq!((fault.column, fault.length), (14, 3));
        assert_eq!(fault.nearest.as_deref(), Some("ns"));
        assert_eq!(fault.suggest[0].value, r#"bytes > 1 && ns == "a""#);
        assert_eq!(answer.canonical, None);
    }

    #[test]
    fn a_filter_that_is_being_written_goes_on_where_the_cursor_is() {
        let at = |text: &str, at| FilterAnswer::of(text, Some(at)).completion;
        let fields = at("verd && true", 4).unwrap();
        assert_eq!((fields.column, fields.fields), (1, vec!["verdict".to_owned()]));
        let values = at("\u{fc} || ns == \"sh", 14).unwrap();
        assert_eq!(values.values_of.as_deref(), Some("ns"));
        assert_eq!((values.column, values.prefix.as_str()), (12, "sh"));
        assert_eq!(at("inCIDR(addr, \"10.", 17), None);
        assert!(at("", 0).is_some() && at("ns", 100).is_some());
    }
}
