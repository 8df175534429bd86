//! How answers are written: tables for people, the rest for programs.

mod cells;
mod matrix;
mod records;
mod sums;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use weir_collector::api::answer::Row;
use weir_query::{Explanation, Measure, Note};

use crate::effect::refuse_without_effect;
use crate::output::{Output, OutputArgs, Style};
use crate::table::{Layout, Table, harmless, harmless_json, harmless_lines};
use crate::terminal::{self, say};
pub use cells::{NARROW, WIDE, shorten};
pub use matrix::matrix;
pub use records::Records;
pub use sums::sums;

/// A value as it stands in CSV.
pub fn text(row: &Row, name: &str) -> String {
    match row.0.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            items.collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// Rows as a terminal may show them in forms that say values as they are: names come from
/// the network, and what would steer it must not. For programs they stay what they are.
fn for_eyes<'a>(rows: &'a [Row], style: &Style) -> Cow<'a, [Row]> {
    let says_as_is = matches!(
        style.output,
        Output::Csv | Output::Yaml | Output::Name | Output::JsonPath(_)
    );
    if style.width.is_none() || !says_as_is {
        return Cow::Borrowed(rows);
    }
    let row = |row: &Row| {
        let values = row
            .0
            .iter()
            .map(|(name, value)| (name.clone(), harmless_value(value)));
        Row(values.collect())
    };
    Cow::Owned(rows.iter().map(row).collect())
}

fn harmless_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(harmless(text)),
        Value::Array(items) => items.iter().map(harmless_value).collect(),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (harmless(key), harmless_value(value)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// As JSON on standard output: a terminal gets what it says and is not steered by it.
///
/// # Errors
/// Standard output is gone.
pub fn json(out: &mut impl Write, value: &impl Serialize, is_terminal: bool) -> Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    match is_terminal {
        true => writeln!(out, "{}", harmless_json(&json))?,
        false => writeln!(out, "{json}")?,
    }
    Ok(())
}

/// As YAML, for a terminal the same without what would steer it.
fn yaml(out: &mut impl Write, value: &impl Serialize, is_terminal: bool) -> Result<()> {
    let yaml = match is_terminal {
        true => serde_saphyr::to_string(&harmless_value(&serde_json::to_value(value)?))?,
        false => serde_saphyr::to_string(value)?,
    };
    Ok(out.write_all(yaml.as_bytes())?)
}

/// Writes a whole table on standard output, as wide as the terminal.
///
/// # Errors
/// Standard output is gone.
pub fn table(table: &Table, headers: bool) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let layout = table.layout(terminal::width());
    table.print(&mut out, &layout, headers)?;
    out.flush()?;
    say_left_out(&layout);
    Ok(())
}

/// Says which columns the terminal has no room for.
fn say_left_out(layout: &Layout) {
    if !layout.left_out.is_empty() {
        let columns = layout.left_out.join(", ");
        say(&format!(
            "note: the terminal is too narrow for {columns}; -o json has everything"
        ));
    }
}

/// Says on standard error what one should know about an answer.
pub fn notes(notes: &[Note]) {
    for note in notes {
        say(&format!("note: {}", note.message));
    }
}

/// Refuses forms in which [`explanation`] is not written.
///
/// # Errors
/// It is one of them.
pub fn check_explanation(args: &OutputArgs) -> Result<()> {
    let forms = [Output::Table, Output::Json, Output::Yaml];
    anyhow::ensure!(
        forms.contains(&args.output),
        "--explain is written as table, json or yaml"
    );
    refuse_without_effect(&[("--no-headers", args.no_headers)], "beside --explain")
}

/// Writes how an answer was made.
///
/// # Errors
/// Standard output is gone.
pub fn explanation(explanation: &Explanation, output: &Output) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let is_terminal = terminal::width().is_some();
    match output {
        Output::Json => json(&mut out, explanation, is_terminal)?,
        Output::Yaml => yaml(&mut out, explanation, is_terminal)?,
        _ if is_terminal => {
            let mut text = Vec::new();
            explain_to(&mut text, explanation)?;
            write!(out, "{}", harmless_lines(&String::from_utf8_lossy(&text)))?;
        }
        _ => explain_to(&mut out, explanation)?,
    }
    out.flush()?;
    notes(&explanation.notes);
    Ok(())
}

fn explain_to(out: &mut impl Write, explanation: &Explanation) -> Result<()> {
    let stats = &explanation.stats;
    writeln!(out, "filter: {}", explanation.filter)?;
    for part in &explanation.parts {
        writeln!(
            out,
            "{}: {} to {}: {} segments, {} rows in memory",
            part.tier, part.since, part.until, part.segments, part.rows_in_memory
        )?;
    }
    writeln!(
        out,
        "segments: {}, of these left out: {}",
        stats.segments, stats.segments_pruned
    )?;
    writeln!(
        out,
        "row groups: {}, of these left out: {}",
        stats.row_groups, stats.row_groups_pruned
    )?;
    writeln!(out, "rows read: {}", stats.rows_read)?;
    writeln!(out, "bytes read: {}", stats.bytes_read)?;
    writeln!(out, "time: {:.3} s", stats.elapsed_us as f64 / 1e6)?;
    writeln!(out, "\n{}", explanation.plan.trim_end())?;
    Ok(())
}

/// RFC 4180, with line feeds alone.
fn write_csv(out: &mut impl Write, columns: &[String], rows: &[Row], heads: bool) -> Result<()> {
    if heads {
        writeln!(out, "{}", columns.join(","))?;
    }
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|name| quoted(&text(row, name))).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// Names of the measures, for completion.
pub fn measures() -> impl Iterator<Item = String> {
    Measure::all().map(|measure| measure.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::zone::TimeStyle;

    #[test]
    fn on_a_terminal_no_form_says_what_would_steer_it_and_programs_get_what_it_is() {
        let value = json!({"name": "a\u{1b}[31m", "tcp_flags": ["\u{9b}"], "pod_labels": {"k\u{202e}": "\r"}, "port": 80});
        let rows: [Row; 1] = [serde_json::from_value(value.clone()).unwrap()];
        let style = |output: &str, width| Style {
            output: output.parse().unwrap(),
            headers: true,
            width,
            times: TimeStyle::new(jiff::tz::TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH, width),
        };
        let tamed = json!({"name": "a\u{fffd}[31m", "tcp_flags": ["\u{fffd}"],
            "pod_labels": {"k\u{fffd}": "\u{fffd}"}, "port": 80});
        for output in ["csv", "yaml", "name", "jsonpath={.name}"] {
            let shown = |width| json!(for_eyes(&rows, &style(output, width)).to_vec());
            assert_eq!(shown(Some(80)), json!([tamed]), "{output}");
            assert_eq!(shown(None), json!([value]), "{output}");
        }
    }

    #[test]
    fn sums_in_json_and_yaml_steer_no_terminal_either() {
        let value = json!({"rows": [{"name": "a\u{1b}[31m\u{9b}\u{202e}"}], "groups": 1});
        let shown = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let steers = |text: &str| harmless_lines(text) != text;
        let as_json = |is_terminal| shown(&|out| super::json(out, &value, is_terminal).unwrap());
        let as_yaml = |is_terminal| shown(&|out| yaml(out, &value, is_terminal).unwrap());
        assert!(!steers(&as_json(true)) && steers(&as_json(false)));
        assert!(!steers(&as_yaml(true)) && steers(&as_yaml(false)));
        for is_terminal in [true, false] {
            let read: Value = serde_json::from_str(&as_json(is_terminal)).unwrap();
            assert_eq!(read, value, "programs read the same");
        }
    }

    #[test]
    fn a_cell_of_csv_with_a_comma_is_quoted() {
        let mut out = Vec::new();
        let row = json!({"name": "a,\"b\"", "tcp_flags": ["SYN", "ACK"], "port": 80});
        let rows: [Row; 1] = [serde_json::from_value(row).unwrap()];
        let columns = ["name", "tcp_flags", "port", "addr"].map(str::to_owned);
        write_csv(&mut out, &columns, &rows, true).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "name,tcp_flags,port,addr\n\"a,\"\"b\"\"\",SYN ACK,80,\n");
    }
}
