//! Rows as CSV (RFC 4180, with line feeds alone): a column for each field, of objects within
//! for each of theirs.

use serde::Serialize;
use serde_json::Value;

use crate::evidence::Row;

/// All rows below a line of names. Names are those of an empty row: what a row may leave out
/// has no column.
pub fn write<T: Serialize + Default>(rows: impl IntoIterator<Item = T>) -> String {
    let mut names = Vec::new();
    columns(&cells_of(&T::default()), "", &mut |name, _| names.push(name));
    let mut text = names.join(",") + "\n";
    for row in rows {
        let row = cells_of(&row);
        let mut cells = Vec::new();
        columns(&row, "", &mut |_, value| cells.push(cell(value)));
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// Rows whose columns are named; what a row does not have is empty.
pub fn table<'r>(columns: &[String], rows: impl IntoIterator<Item = &'r Row>) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let mut text = line(columns.iter().map(|name| quoted(name)).collect());
    for row in rows {
        let cells = columns
            .iter()
            .map(|name| row.get(name).map_or_else(String::new, cell));
        text.push_str(&line(cells.collect()));
    }
    text
}

fn cells_of(row: &impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or_default()
}

fn columns<'v>(value: &'v Value, name: &str, take: &mut impl FnMut(String, &'v Value)) {
    let Value::Object(fields) = value else {
        return take(name.to_owned(), value);
    };
    for (field, value) in fields {
        let name = match name {
            "" => field.clone(),
            name => format!("{name}_{field}"),
        };
        columns(value, &name, take);
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            quoted(&items.collect::<Vec<_>>().join(" "))
        }
        other => quoted(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Inner {
        flows: u64,
    }

    #[derive(Default, Serialize)]
    struct Line {
        name: String,
        rule: Option<String>,
        egress: Inner,
        notes: Vec<String>,
    }

    #[test]
    fn a_row_has_a_cell_for_each_name_and_what_separates_is_quoted() {
        let lines = [
            Line::default(),
            Line {
                name: "a \"b\", c".to_owned(),
                rule: Some("r".to_owned()),
                egress: Inner { flows: 7 },
                notes: vec!["x".to_owned(), "y".to_owned()],
            },
        ];
        assert_eq!(
            write(lines),
            "name,rule,egress_flows,notes\n,,0,\n\"a \"\"b\"\", c\",r,7,x y\n"
        );
        assert_eq!(write::<Line>([]), "name,rule,egress_flows,notes\n");
        let row = serde_json::from_str::<Row>(r#"{"b": ["x", "y"], "a": "1,2", "d": 3}"#).unwrap();
        assert_eq!(
            table(&["a", "b", "c"].map(str::to_owned), [&row]),
            "a,b,c\n\"1,2\",x y,\n"
        );
    }
}
