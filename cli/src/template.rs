//! The parts of a record that somebody wants: `.pod_labels['app']`, and templates of
//! them as kubectl's `-o jsonpath` and `-o custom-columns` write them. What needs more
//! than one record (`range`, filters, slices) is refused by name.

use std::str::FromStr;

use serde_json::Value;
use weir_collector::api::answer::Row;

use crate::fields::canonical;

/// A text with values of a record in it: `{.ns}/{.pod_name}{"\t"}{.bytes}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Path),
}

/// The way to a value: `.bytes`, `.pod_labels['app']`, `.tcp_flags[0]`, `.tcp_flags[*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    All,
}

/// This is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no value in it.
    #[error("{0:?} names no field: write '{{.ns}}{{\"\\t\"}}{{.bytes}}'")]
    NoField(String),
    /// A brace or a quote is not closed.
    #[error("in {0:?} a brace, bracket or quote is not closed")]
    Open(String),
    /// It is of JSONPath, but not of the part that is known.
    #[error(
        "{0:?} is not supported: a record at a time is shown, by paths such as .ns or .pod_labels['app']"
    )]
    Unsupported(String),
}

impl Template {
    /// What it says of a record.
    pub fn show(&self, row: &Row) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(path) => path.show(row).unwrap_or_default(),
        });
        pieces.collect()
    }

    /// The fields in it; none: all of the record.
    pub fn fields(&self) -> Option<Vec<String>> {
        let paths = self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(path) => Some(path),
        });
        fields(paths)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let end = closing(after).ok_or_else(|| TemplateError::Open(text.to_owned()))?;
            pieces.push(piece(after[..end].trim())?);
            rest = &after[end + 1..];
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Value(_))) {
            return Err(TemplateError::NoField(text.to_owned()));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

/// Where the brace that was opened ends; quotes may hold others.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            (None, _) => {}
        }
    }
    None
}

fn piece(inside: &str) -> Result<Piece, TemplateError> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let inner = inside.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(unescape(inner))
    });
    match quoted {
        Some(text) => Ok(Piece::Text(text)),
        None => inside.parse().map(Piece::Value),
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            c => plain.push(c),
        }
    }
    plain
}

impl Path {
    /// What stands there, as it stands in CSV; none: nothing does.
    pub fn show(&self, row: &Row) -> Option<String> {
        let Some((first, rest)) = self.0.split_first() else {
            return serde_json::to_string(row).ok();
        };
        let Step::Name(name) = first else { return None };
        let mut found = vec![row.0.get(name)?];
        for step in rest {
            found = found.into_iter().flat_map(|value| down(value, step)).collect();
        }
        let shown: Vec<String> = found.into_iter().map(plain).collect();
        (!shown.is_empty()).then(|| shown.join(" "))
    }

    fn field(&self) -> Option<&str> {
        match self.0.first()? {
            Step::Name(name) => Some(name),
            Step::Index(_) | Step::All => None,
        }
    }
}

fn down<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Name(name) => value.get(name).into_iter().collect(),
        Step::Index(at) => value.get(at).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(entries) => entries.values().collect(),
            _ => Vec::new(),
        },
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The names of the fields that these paths begin with, each once; none where one of
/// them is the whole record.
pub fn fields<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for path in paths {
        let name = path.field()?;
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

impl FromStr for Path {
    type Err = TemplateError;

    /// `.ns`, and `ns` alone as in custom columns of kubectl.
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let unsupported = || TemplateError::Unsupported(text.to_owned());
        let mut rest = text.trim().trim_start_matches('$');
        let mut steps = Vec::new();
        if rest == "@" || rest == "." {
            return Ok(Self(steps));
        }
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let end = inside
                    .find(']')
                    .ok_or_else(|| TemplateError::Open(text.to_owned()))?;
                steps.push(bracket(&inside[..end]).ok_or_else(unsupported)?);
                rest = &inside[end + 1..];
                continue;
            }
            let (name, after) = name(rest.strip_prefix('.').unwrap_or(rest));
            let known = |c: char| c.is_alphanumeric() || "_-/.".contains(c);
            if name.is_empty() || !name.chars().all(known) {
                return Err(unsupported());
            }
            steps.push(Step::Name(name));
            rest = after;
        }
        match steps.first_mut() {
            Some(Step::Name(field)) => {
                *field = canonical(field);
                Ok(Self(steps))
            }
            _ => Err(unsupported()),
        }
    }
}

/// The name at the beginning, in which `\.` is a point of its own, and the rest.
fn name(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, &text[at..]),
            c => {
                name.push(c);
                escaped = false;
            }
        }
    }
    (name, "")
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    let quoted = ['\'', '"']
        .into_iter()
        .find_map(|quote| inside.strip_prefix(quote)?.strip_suffix(quote));
    match quoted {
        Some(name) => Some(Step::Name(name.to_owned())),
        None => inside.parse().ok().map(Step::Index),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Row {
        let value = json!({"ns": "shop", "bytes": 5, "tcp_flags": ["SYN", "ACK"],
            "pod_labels": {"app": "web", "app.kubernetes.io/name": "front"}});
        serde_json::from_value(value).unwrap()
    }

    fn show(template: &str) -> String {
        template.parse::<Template>().unwrap().show(&row())
    }

    #[test]
    fn a_template_shows_values_among_text() {
        assert_eq!(show("{.ns}"), "shop");
        assert_eq!(show(r#"{.ns}{"\t"}{.bytes}{'\n'}"#), "shop\t5\n");
        assert_eq!(show("ns={ .ns }, {$.bytes} bytes"), "ns=shop, 5 bytes");
        assert_eq!(show(r#"{.ns}{"}"}"#), "shop}");
        assert_eq!(show("[{.pod_name}]"), "[]");
        assert_eq!(show("{.src_ns}"), "shop");
    }

    #[test]
    fn a_path_goes_into_lists_and_maps() {
        assert_eq!(show("{.tcp_flags[1]}{.tcp_flags[2]}"), "ACK");
        assert_eq!(show("{.tcp_flags[*]}"), "SYN ACK");
        assert_eq!(show("{.tcp_flags}"), r#"["SYN","ACK"]"#);
        assert_eq!(show("{.pod_labels.app}"), "web");
        assert_eq!(show("{.pod_labels['app.kubernetes.io/name']}"), "front");
        assert_eq!(show(r"{.pod_labels.app\.kubernetes\.io/name}"), "front");
        assert!(show("{@}").starts_with(r#"{"ns":"shop""#));
    }

    #[test]
    fn what_is_no_template_is_refused_with_what_would_be_one() {
        for (wrong, word) in [
            ("ns", "names no field"),
            ("", "names no field"),
            ("{.ns", "not closed"),
            ("{.tcp_flags[0}", "not closed"),
            (r#"{"a}"#, "not closed"),
            ("{range .items[*]}{.ns}{end}", "not supported"),
            ("{.tcp_flags[?(@.a)]}", "not supported"),
            ("{..ns}", "not supported"),
            ("{[0]}", "not supported"),
            ("{}{.ns}", "not supported"),
        ] {
            let error = wrong.parse::<Template>().expect_err(wrong).to_string();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_fields_that_are_wanted_are_known_beforehand() {
        let fields = |text: &str| text.parse::<Template>().unwrap().fields();
        let names = ["ns", "pod_labels"].map(str::to_owned).to_vec();
        assert_eq!(fields("{.ns}{.pod_labels.app}{.ns}"), Some(names));
        assert_eq!(fields("{.ns}{@}"), None);
    }
}
