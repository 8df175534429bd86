//! How answers are written: tables for people, the rest for programs.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;
use weir_collector::api::answer::{QueryAnswer, Row};
use weir_query::{Explanation, Measure, Note};

use crate::table::{Head, Table};

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For people with a wide terminal.
    Wide,
    /// One object a record and line; sums: one object.
    Json,
    /// With a line of names.
    Csv,
    /// A list of records; sums: one object.
    Yaml,
}

/// Records, as they come page by page.
pub struct Records {
    output: Output,
    /// Nobody said which columns.
    usual: bool,
    begun: bool,
    out: BufWriter<io::Stdout>,
}

impl Records {
    /// Nothing is written yet. `usual`: the columns are those of this form.
    pub fn new(output: Output, usual: bool) -> Self {
        Self {
            output,
            usual,
            begun: false,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Writes a page.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn write(&mut self, columns: &[String], rows: Vec<Row>) -> Result<()> {
        let first = !std::mem::replace(&mut self.begun, true);
        match self.output {
            Output::Table | Output::Wide => self.write_table(columns, &rows, first)?,
            Output::Json => {
                for row in &rows {
                    serde_json::to_writer(&mut self.out, row)?;
                    self.out.write_all(b"\n")?;
                }
            }
            Output::Csv => write_csv(&mut self.out, columns, &rows, first)?,
            Output::Yaml if rows.is_empty() => {}
            Output::Yaml => self.out.write_all(serde_saphyr::to_string(&rows)?.as_bytes())?,
        }
        Ok(())
    }

    fn write_table(&mut self, columns: &[String], rows: &[Row], first: bool) -> Result<()> {
        let table = match (self.usual, self.output) {
            (true, Output::Wide) => records(rows, &WIDE),
            (true, _) => records(rows, &NARROW),
            (false, _) => fields(columns, rows),
        };
        if rows.is_empty() {
            return Ok(());
        }
        Ok(table.print(&mut self.out, first)?)
    }

    /// What was written can be seen now.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    /// Ends the output.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn finish(mut self) -> Result<()> {
        if self.output == Output::Yaml && !self.begun {
            self.out.write_all(b"[]\n")?;
        }
        self.flush()
    }
}

type Cell = (&'static str, bool, fn(&Row) -> String);

const NARROW: [Cell; 7] = [
    ("TIME", false, |row| clock(row, "time")),
    ("SOURCE", false, |row| end(row, ["ns", "name", "addr", "port"])),
    ("DESTINATION", false, |row| {
        end(row, ["dst_ns", "dst_name", "dst_addr", "dst_port"])
    }),
    ("PROTOCOL", false, |row| text(row, "protocol")),
    ("BYTES", true, |row| amount(row, "bytes", true)),
    ("PACKETS", true, |row| amount(row, "packets", true)),
    ("VERDICT", false, |row| text(row, "verdict")),
];

const WIDE: [Cell; 13] = [
    NARROW[0],
    NARROW[1],
    ("WORKLOAD", false, |row| {
        pair(row, "workload_kind", "workload_name")
    }),
    ("NODE", false, |row| text(row, "node_name")),
    ("ZONE", false, |row| text(row, "zone")),
    NARROW[2],
    ("WORKLOAD", false, |row| {
        pair(row, "dst_workload_kind", "dst_workload_name")
    }),
    ("NODE", false, |row| text(row, "dst_node_name")),
    ("ZONE", false, |row| text(row, "dst_zone")),
    NARROW[3],
    NARROW[4],
    NARROW[5],
    NARROW[6],
];

fn records(rows: &[Row], cells: &[Cell]) -> Table {
    let heads = cells.iter().map(|(title, right, _)| Head {
        title: (*title).to_owned(),
        right: *right,
    });
    let mut table = Table::new(heads.collect());
    for row in rows {
        table.push(cells.iter().map(|(_, _, cell)| cell(row)).collect());
    }
    table
}

fn fields(columns: &[String], rows: &[Row]) -> Table {
    let mut table = Table::new(columns.iter().map(|name| head(name, rows)).collect());
    for row in rows {
        table.push(columns.iter().map(|name| text(row, name)).collect());
    }
    table
}

fn head(name: &str, rows: &[Row]) -> Head {
    let first = rows.iter().find_map(|row| row.0.get(name));
    Head {
        title: name.to_uppercase(),
        right: first.is_some_and(Value::is_number),
    }
}

/// `ns/name:port`, or the address where nobody has a name.
fn end(row: &Row, [ns, name, addr, port]: [&str; 4]) -> String {
    let (ns, name, addr, port) = (text(row, ns), text(row, name), text(row, addr), text(row, port));
    let who = match (ns.is_empty(), name.is_empty()) {
        (false, false) => format!("{ns}/{name}"),
        (true, false) => name,
        _ if addr.contains(':') && !port.is_empty() => format!("[{addr}]"),
        _ => addr,
    };
    if port.is_empty() || port == "0" {
        who
    } else {
        format!("{who}:{port}")
    }
}

fn pair(row: &Row, kind: &str, name: &str) -> String {
    let (kind, name) = (text(row, kind), text(row, name));
    match (kind.is_empty(), name.is_empty()) {
        (false, false) => format!("{kind}/{name}"),
        _ => kind + &name,
    }
}

/// The time of day to the millisecond; the date is seldom in doubt.
fn clock(row: &Row, name: &str) -> String {
    let text = text(row, name);
    let time = text
        .split_once('T')
        .map(|(_, time)| time.trim_end_matches('Z').to_owned());
    time.map_or(text, |time| time.chars().take(12).collect())
}

/// A value as it stands in CSV.
fn text(row: &Row, name: &str) -> String {
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

/// Large numbers are shortened for people.
fn amount(row: &Row, name: &str, short: bool) -> String {
    match row.0.get(name).and_then(Value::as_f64) {
        Some(number) if short => shorten(number),
        _ => text(row, name),
    }
}

fn shorten(number: f64) -> String {
    let steps = [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)];
    match steps.iter().find(|(_, step)| number >= *step) {
        Some((unit, step)) => format!("{:.1}{unit}", number / step),
        None if number.fract() == 0.0 => format!("{number}"),
        None => format!("{number:.1}"),
    }
}

/// Writes sums.
///
/// # Errors
/// Standard output is gone.
pub fn sums(answer: &QueryAnswer, group_by: &[String], output: Output) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    match output {
        Output::Table | Output::Wide => {
            let table = sums_table(answer, group_by, output == Output::Table);
            table.print(&mut out, true)?;
        }
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(answer)?)?,
        Output::Csv => write_csv(&mut out, &answer.columns, &answer.rows, true)?,
        Output::Yaml => out.write_all(serde_saphyr::to_string(answer)?.as_bytes())?,
    }
    Ok(out.flush()?)
}

/// The groups, what is left of them, and everything together.
fn sums_table(answer: &QueryAnswer, group_by: &[String], short: bool) -> Table {
    let is_sum = |name: &String| name != "time" && !group_by.contains(name);
    let heads = answer.columns.iter().map(|name| Head {
        title: name.to_uppercase(),
        right: is_sum(name),
    });
    let mut table = Table::new(heads.collect());
    let mut push = |row: &Row, label: Option<&str>| {
        let mut label = label;
        let cells = answer.columns.iter().map(|name| {
            if is_sum(name) || row.0.contains_key(name) {
                let cell = amount(row, name, short && is_sum(name));
                return if cell.is_empty() && !is_sum(name) {
                    "-".to_owned()
                } else {
                    cell
                };
            }
            label.take().unwrap_or_default().to_owned()
        });
        let cells = cells.collect();
        table.push(cells);
    };
    for row in &answer.rows {
        push(row, None);
    }
    let others = answer.groups.saturating_sub(answer.rows.len());
    let other = format!("({others} more)");
    for row in &answer.other {
        push(row, Some(&other));
    }
    if !group_by.is_empty() && answer.rows.len() + answer.other.len() > 1 {
        push(&answer.totals, Some("(all)"));
    }
    table
}

/// Says on standard error what one should know about an answer.
pub fn notes(notes: &[Note]) {
    for note in notes {
        eprintln!("note: {}", note.message);
    }
}

/// Writes how an answer was made.
///
/// # Errors
/// Standard output is gone.
pub fn explanation(explanation: &Explanation, output: Output) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(explanation)?)?,
        Output::Yaml => out.write_all(serde_saphyr::to_string(explanation)?.as_bytes())?,
        Output::Table | Output::Wide | Output::Csv => explain_to(&mut out, explanation)?,
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
    writeln!(out, "octets read: {}", stats.bytes_read)?;
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
pub fn measures() -> impl Iterator<Item = &'static str> {
    Measure::ALL.into_iter().map(Measure::as_str)
}

#[cfg(test)]
mod tests;
