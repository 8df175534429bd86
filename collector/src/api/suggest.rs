//! What to ask instead: for each problem that another question would not have, the
//! parameter that would be another one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_query::filter::length_at;
use weir_query::{FilterError, QueryError};

/// A parameter that would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// Its name.
    pub parameter: String,
    /// Its value, in place of the one that it has.
    pub value: String,
    /// What that does, in a few words.
    pub text: String,
}

/// What was asked, as far as something else could be asked instead.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The filter.
    pub filter: String,
    /// Parameters that name fields, with the names in them.
    pub fields: Vec<(&'static str, Vec<String>)>,
}

/// Ranges of time that are tried when one is too long.
const SHORTER: &str = "15m";

/// What would help.
pub fn suggestions(error: &QueryError, asked: &Asked) -> Vec<Suggestion> {
    match error {
        QueryError::Filter(wrong) => nearest_word(wrong, &asked.filter).into_iter().collect(),
        QueryError::UnknownField { name, nearest } => {
            let nearest = nearest.as_deref();
            let named = asked.fields.iter().filter(|(_, names)| names.contains(name));
            named
                .filter_map(|(parameter, names)| in_place_of(parameter, names, name, nearest?))
                .collect()
        }
        QueryError::Timeout(_)
        | QueryError::TooManyGroups(_)
        | QueryError::TooManyRows(_)
        | QueryError::Memory(_) => {
            vec![Suggestion {
                parameter: "since".to_owned(),
                value: SHORTER.to_owned(),
                text: "ask about the last quarter of an hour".to_owned(),
            }]
        }
        QueryError::Invalid(_) | QueryError::Engine(_) => Vec::new(),
    }
}

/// The filter with the nearest name in place of the wrong one. Where a word of a field is
/// wrong, the column may be the field's: then it is the first text in quotes behind it.
fn nearest_word(wrong: &FilterError, filter: &str) -> Option<Suggestion> {
    let nearest = wrong.nearest.as_deref()?;
    let is_quote = |c: char| ['"', '\''].contains(&c);
    let behind = filter
        .chars()
        .skip(wrong.column.saturating_sub(1))
        .position(is_quote);
    let in_quotes = behind.map(|behind| wrong.column + behind);
    let places = [Some(wrong.column), in_quotes].into_iter().flatten();
    let mut suggested = places.map(|column| in_place(filter, column, nearest));
    suggested.find(|suggested| match weir_query::compile(&suggested.value) {
        Ok(_) => true,
        // Something behind it is wrong, too.
        Err(next) => next.column > wrong.column,
    })
}

/// The filter with this name or word in place of the one at a column.
fn in_place(filter: &str, column: usize, nearest: &str) -> Suggestion {
    let (before, length) = (column.saturating_sub(1), length_at(filter, column));
    let word: String = filter.chars().skip(before).take(length).collect();
    // A word of a field stands in quotes, a field does not.
    let quote = word.chars().next().filter(|first| ['"', '\''].contains(first));
    let meant = match quote {
        Some(quote) => format!("{quote}{nearest}{quote}"),
        None => nearest.to_owned(),
    };
    let head = filter.chars().take(before);
    let rest = filter.chars().skip(before + length);
    Suggestion {
        parameter: "filter".to_owned(),
        value: head.chain(meant.chars()).chain(rest).collect(),
        text: format!("{meant} in place of {word}"),
    }
}

fn in_place_of(parameter: &str, names: &[String], wrong: &str, nearest: &str) -> Option<Suggestion> {
    let value = names
        .iter()
        .map(|name| if name == wrong { nearest } else { name.as_str() });
    Some(Suggestion {
        parameter: parameter.to_owned(),
        value: value.collect::<Vec<_>>().join(","),
        text: format!("{nearest} in place of {wrong}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_filter(filter: &str) -> Option<String> {
        let error = weir_query::compile(filter).unwrap_err();
        let asked = Asked {
            filter: filter.to_owned(),
            ..Asked::default()
        };
        let mut suggested = suggestions(&error.into(), &asked);
        let suggested = suggested.pop()?;
        assert_eq!(suggested.parameter, "filter");
        Some(suggested.value)
    }

    #[test]
    fn a_filter_with_a_wrong_word_is_suggested_with_the_right_one() {
        assert_eq!(
            of_filter(r#"1 == 1 && nss == "a" && true"#).as_deref(),
            Some(r#"1 == 1 && ns == "a" && true"#)
        );
        assert_eq!(
            of_filter(r#"verdict == "droped""#).as_deref(),
            Some(r#"verdict == "dropped""#)
        );
        assert_eq!(of_filter("ns =="), None);
        // What is suggested can be asked.
        assert!(weir_query::compile(&of_filter(r#"namespace == "a""#).unwrap()).is_ok());
    }

    #[test]
    fn a_field_that_there_is_not_is_replaced_in_the_parameter_that_names_it() {
        let error = QueryError::UnknownField {
            name: "zonne".to_owned(),
            nearest: Some("zone".to_owned()),
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let asked = Asked {
            filter: String::new(),
            fields: vec![("group_by", words(&["ns", "zonne"])), ("columns", words(&["ns"]))],
        };
        let suggested = suggestions(&error, &asked);
        assert_eq!(suggested.len(), 1);
        assert_eq!(
            (suggested[0].parameter.as_str(), suggested[0].value.as_str()),
            ("group_by", "ns,zone")
        );
    }

    #[test]
    fn who_asked_too_much_is_told_to_ask_for_less() {
        let error = QueryError::TooManyGroups(1);
        assert_eq!(suggestions(&error, &Asked::default())[0].parameter, "since");
        assert!(suggestions(&QueryError::Engine("x".to_owned()), &Asked::default()).is_empty());
    }
}
