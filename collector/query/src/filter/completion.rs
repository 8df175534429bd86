//! How a filter that is being written may go on: with the name of a field, or with a
//! value of the field before it. Which values there are is for others to ask.

use weir_api::fields::{Column, FieldKind};

use super::find_column;

/// How a filter may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion<'a> {
    /// What stays as it is.
    pub before: &'a str,
    /// What is begun, and may be replaced; of a value without its quote.
    pub begun: &'a str,
    /// With what.
    pub with: CompleteWith,
}

/// What may stand where a filter ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompleteWith {
    /// One of these fields.
    Fields(Vec<Column>),
    /// A value of this field, in quotes.
    ValuesOf(Column),
}

/// How a filter may go on behind this much of it; not at all inside of other texts.
pub fn complete(text: &str) -> Option<Completion<'_>> {
    if let Some(completion) = value_begun(text) {
        return Some(completion);
    }
    let (before, begun) = text.split_at(word_start(text));
    let inside_text = before.matches('"').count() % 2 == 1;
    if inside_text || (begun.is_empty() && !before.is_empty() && !before.ends_with([' ', '(', '!'])) {
        return None;
    }
    let fitting = Column::all().filter(|column| column.name().starts_with(begun));
    Some(Completion {
        before,
        begun,
        with: CompleteWith::Fields(fitting.collect()),
    })
}

/// When the text ends in `field == "beg`.
fn value_begun(text: &str) -> Option<Completion<'_>> {
    let quote = text.rfind('"')?;
    if text.get(..quote)?.matches('"').count() % 2 == 1 {
        return None;
    }
    let (before, begun) = (text.get(..quote)?, text.get(quote + 1..)?);
    let left = before.trim_end();
    let left = ["==", "!=", "in [", "startsWith("]
        .iter()
        .find_map(|sign| left.strip_suffix(sign))?;
    let left = left.trim_end().trim_end_matches('.');
    let column = find_column(left.get(word_start(left)..)?)?;
    let has_values = matches!(column.kind(), FieldKind::String | FieldKind::Enum);
    has_values.then_some(Completion {
        before,
        begun,
        with: CompleteWith::ValuesOf(column),
    })
}

/// Where the last word of a text begins.
fn word_start(text: &str) -> usize {
    text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<&str>> {
        match complete(text)?.with {
            CompleteWith::Fields(columns) => Some(columns.into_iter().map(Column::name).collect()),
            CompleteWith::ValuesOf(_) => None,
        }
    }

    #[test]
    fn fields_come_where_a_condition_begins() {
        assert_eq!(names("ns == \"a\" && verd"), Some(vec!["verdict"]));
        assert_eq!(names("!(prim"), Some(vec!["primary"]));
        assert_eq!(names("xyzzy"), Some(Vec::new()));
        assert_eq!(names("").map(|names| names.len()), Some(Column::COUNT));
        assert_eq!(names("inCIDR(addr, \"10."), None);
        assert_eq!(names("\u{fc}prim"), Some(vec!["primary"]));
    }

    #[test]
    fn after_a_quote_come_values_of_the_field_before_it() {
        for (text, before, field, begun) in [
            ("ns == \"sh", "ns == ", "ns", "sh"),
            (
                "ns == \"a\" && dst_zone != \"",
                "ns == \"a\" && dst_zone != ",
                "dst_zone",
                "",
            ),
            ("src_ns in [\"k", "src_ns in [", "ns", "k"),
            ("pod_name.startsWith(\"r", "pod_name.startsWith(", "pod_name", "r"),
        ] {
            let completion = complete(text).unwrap();
            assert_eq!((completion.before, completion.begun), (before, begun), "{text}");
            assert_eq!(
                completion.with,
                CompleteWith::ValuesOf(Column::of(field)),
                "{text}"
            );
        }
        assert_eq!(complete("bytes == \"1"), None);
    }
}
