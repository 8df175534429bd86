//! By what the table is grouped, and what comes below a row: its key as a condition, and
//! the next grouping.

use serde_json::Value;
use weir_api::fields::{Column, FieldKind, Side};
use weir_collector::api::answer::Row;

use crate::shortcut::quote;

/// Fields that flows are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// What a person calls it.
    pub name: String,
    /// The fields.
    pub fields: Vec<String>,
    /// Name of the grouping below it; none: the records.
    below: Option<&'static str>,
}

/// Names, fields, and the grouping below. The first nine have the keys 1 to 9.
const USUAL: [(&str, &[&str], Option<&str>); 11] = [
    ("namespaces", &["ns", "dst_ns"], Some("workloads")),
    (
        "workloads",
        &[
            "ns",
            "workload_kind",
            "workload_name",
            "dst_ns",
            "dst_workload_kind",
            "dst_workload_name",
        ],
        Some("pods"),
    ),
    ("pods", &["ns", "name", "dst_ns", "dst_name"], Some("addresses")),
    ("addresses", &["addr", "dst_addr"], Some("ports")),
    ("ports", &["protocol", "dst_port"], None),
    (
        "senders",
        &["ns", "workload_kind", "workload_name"],
        Some("workloads"),
    ),
    (
        "receivers",
        &["dst_ns", "dst_workload_kind", "dst_workload_name"],
        Some("workloads"),
    ),
    ("nodes", &["node_name", "dst_node_name"], Some("pods")),
    ("zones", &["zone", "dst_zone"], Some("nodes")),
    (
        "services",
        &["dst_service_ns", "dst_service_name", "dst_port"],
        Some("pods"),
    ),
    ("verdicts", &["verdict"], Some("workloads")),
];

/// All groupings; first the fields that were asked for on the command line.
pub fn all(asked: &[String]) -> Vec<Grouping> {
    let usual = USUAL.map(|(name, fields, below)| Grouping {
        name: name.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        below,
    });
    let known = usual.iter().any(|grouping| grouping.fields == asked);
    let own = (!asked.is_empty() && !known).then(|| Grouping {
        name: asked.join(", "),
        fields: asked.to_vec(),
        below: None,
    });
    usual.into_iter().chain(own).collect()
}

impl Grouping {
    /// What the row's group has in common, in the filter language.
    ///
    /// # Errors
    /// The name of a field whose values no filter compares with.
    pub fn condition(&self, row: &Row) -> Result<String, String> {
        let conditions: Result<Vec<String>, String> = self
            .fields
            .iter()
            .map(|field| condition(field, row.0.get(field)).ok_or_else(|| field.clone()))
            .collect();
        Ok(conditions?.join(" && "))
    }

    /// What tells the row from others of this grouping.
    pub fn key(&self, row: &Row) -> Vec<String> {
        let value = |field: &String| row.0.get(field).map_or_else(String::new, Value::to_string);
        self.fields.iter().map(value).collect()
    }

    /// Who is meant, a text for each column: the fields of one side are one column.
    pub fn cells(&self, row: &Row) -> Vec<String> {
        let columns = self.columns().into_iter();
        columns
            .map(|(_, fields)| {
                let texts = fields.iter().map(|field| (*field, plain(row.0.get(*field))));
                let mut texts: Vec<_> = texts.filter(|(_, text)| !text.is_empty()).collect();
                // What kind it is matters where it has no name: internet, private.
                let is_kind = |field: &str| field.ends_with("workload_kind");
                if texts.iter().any(|(field, _)| field.ends_with("workload_name")) {
                    texts.retain(|(field, _)| !is_kind(field));
                }
                let texts: Vec<String> = texts.into_iter().map(|(_, text)| text).collect();
                match texts.is_empty() {
                    true => "-".to_owned(),
                    false => texts.join("/"),
                }
            })
            .collect()
    }

    /// What stands above those columns.
    pub fn titles(&self) -> Vec<String> {
        self.columns().into_iter().map(|(title, _)| title).collect()
    }

    fn columns(&self) -> Vec<(String, Vec<&str>)> {
        let mut columns: Vec<(String, Vec<&str>)> = Vec::new();
        for field in &self.fields {
            let side = Column::find(field).map(Column::side);
            let is_port = field.ends_with("port");
            let title = match side.filter(|_| !is_port) {
                Some(Side::Src) => "SOURCE".to_owned(),
                Some(Side::Dst) => "DESTINATION".to_owned(),
                _ => field.to_uppercase(),
            };
            match columns.iter_mut().find(|(known, _)| *known == title) {
                Some((_, fields)) => fields.push(field),
                None => columns.push((title, vec![field])),
            }
        }
        columns
    }

    /// The place of the grouping below this one; none: the records are.
    pub fn below(&self, all: &[Self]) -> Option<usize> {
        let below = self.below?;
        all.iter().position(|grouping| grouping.name == below)
    }
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// That a field has this value; none: no filter can say so.
fn condition(field: &str, value: Option<&Value>) -> Option<String> {
    let kind = Column::find(field)?.kind();
    let value = value.filter(|value| !value.is_null());
    Some(match (kind, value) {
        (FieldKind::String | FieldKind::Enum | FieldKind::Address, None) => format!("{field} == \"\""),
        (FieldKind::String | FieldKind::Enum | FieldKind::Address | FieldKind::Mac, Some(value)) => {
            format!("{field} == {}", quote(value.as_str()?))
        }
        (FieldKind::Unsigned(_), Some(value)) => format!("{field} == {}", value.as_u64()?),
        (FieldKind::Timestamp, Some(value)) => {
            format!("{field} == timestamp({})", quote(value.as_str()?))
        }
        (FieldKind::Bool, value) => match value.and_then(Value::as_bool) {
            Some(true) => field.to_owned(),
            _ => format!("!{field}"),
        },
        (FieldKind::Unsigned(_) | FieldKind::Mac | FieldKind::Timestamp, None) => format!("!known({field})"),
        (FieldKind::EnumList | FieldKind::Map, _) => return None,
    })
}

/// A filter that also asks for this. It stands in parentheses, whatever operators it has, and
/// its line ends: a comment would go on over what comes behind.
pub fn and(filter: &str, condition: &str) -> String {
    let filter = filter.trim();
    match filter.is_empty() {
        true => condition.to_owned(),
        false => format!("({filter}\n) && {condition}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_key_of_a_row_is_a_condition_that_the_filter_language_takes() {
        let fields = [
            "ns", "dst_addr", "dst_port", "mac", "primary", "protocol", "start",
        ];
        let own = all(&fields.map(str::to_owned)).pop().unwrap();
        let full = row(
            json!({"ns": "a\"\n\u{1b}", "dst_addr": "::1", "dst_port": 80, "primary": true,
            "mac": "0a:58:0a:80:00:05", "protocol": "tcp", "start": "2026-01-31T12:00:00Z"}),
        );
        let condition = own.condition(&full).unwrap();
        assert!(
            condition.starts_with("ns == \"a\\\"\\n\\u001b\" && dst_addr == \"::1\" && dst_port == 80"),
            "{condition}"
        );
        weir_query::compile(&condition).unwrap();
        let empty = own.condition(&row(json!({}))).unwrap();
        assert!(
            empty.starts_with("ns == \"\" && dst_addr == \"\" && !known(dst_port)"),
            "{empty}"
        );
        weir_query::compile(&empty).unwrap();
        let list = all(&["tcp_flags".to_owned()]).pop().unwrap();
        assert_eq!(list.condition(&row(json!({}))), Err("tcp_flags".to_owned()));
    }

    #[test]
    fn each_usual_grouping_can_be_asked_for_and_leads_down_to_the_records() {
        let groupings = all(&[]);
        for grouping in &groupings {
            let known = grouping.fields.iter().all(|field| Column::find(field).is_some());
            assert!(known, "{grouping:?}");
            weir_query::compile(&grouping.condition(&row(json!({}))).unwrap()).unwrap();
            let (mut steps, mut here) = (0, grouping);
            while let Some(below) = here.below(&groupings) {
                (steps, here) = (steps + 1, &groupings[below]);
                assert!(steps < groupings.len(), "{grouping:?} leads in a circle");
            }
            assert!(here.below.is_none(), "{here:?} leads nowhere");
        }
    }

    #[test]
    fn a_side_is_one_column() {
        let workloads = &all(&[])[1];
        assert_eq!(workloads.titles(), ["SOURCE", "DESTINATION"]);
        let row = row(
            json!({"ns": "shop", "workload_kind": "Deployment", "workload_name": "web",
            "dst_ns": "", "dst_workload_kind": "internet", "dst_workload_name": ""}),
        );
        assert_eq!(workloads.cells(&row), ["shop/web", "internet"]);
        let ports = &all(&[])[4];
        assert_eq!(ports.titles(), ["PROTOCOL", "DST_PORT"]);
    }

    #[test]
    fn a_condition_more_is_asked_for_whatever_the_filter_is() {
        assert_eq!(and(" ", "a"), "a");
        assert_eq!(and("x || y", "a"), "(x || y\n) && a");
        // What it tests, without how it was written.
        let told = |filter: &str| {
            let compiled = weir_query::compile(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
            format!("{compiled:?}").replace(&format!("{filter:?}"), "")
        };
        assert!(
            !told("ns == \"a\" // mine && dst_ns == \"q\"").contains("Text(\"q\")"),
            "a comment is not told"
        );
        for filter in [
            "ns == \"a\"",
            "ns == \"a\" || ns == \"b\"",
            "ns == \"a\" // mine",
            "ns == \"a\" // it's mine || not",
            r#"ns == r"c:\" || ns == "b""#,
            "ns == \"a\" ? port == 1 : port == 2",
        ] {
            let both = and(&and(filter, "dst_ns == \"q\""), "bytes > 7");
            let told = told(&both);
            assert!(
                told.contains("Text(\"q\")") && told.contains("Number(7)"),
                "{both}: {told}"
            );
        }
    }
}
