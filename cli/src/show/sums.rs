//! Sums over groups.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use weir_collector::api::answer::{QueryAnswer, Row};
use weir_query::{Measure, Unit};

use super::cells::{self, measured};
use super::records::NOTHING;
use super::{for_eyes, json, say_left_out, text, write_csv, yaml};
use crate::output::{Output, Style};
use crate::table::{Head, Table};
use crate::zone::TimeStyle;

/// Writes sums that were grouped so and ordered by this.
///
/// # Errors
/// Standard output is gone.
pub fn sums(answer: &QueryAnswer, group_by: &[String], by: Measure, style: &Style) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let rows = &*for_eyes(&answer.rows, style);
    match &style.output {
        Output::Table | Output::Wide => {
            let short = style.output == Output::Table;
            return print(
                &sums_table(answer, group_by, by, short, &style.times),
                style,
                &mut out,
            );
        }
        Output::CustomColumns(columns) => {
            let mut table = Table::new(columns.iter().map(|(title, _)| Head::text(title)).collect());
            for row in &answer.rows {
                let cells = columns.iter().map(|(_, path)| path.show(row));
                table.push(
                    cells
                        .map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()))
                        .collect(),
                );
            }
            return print(&table, style, &mut out);
        }
        Output::Json => json(&mut out, answer, style.width.is_some())?,
        Output::Csv => write_csv(&mut out, &answer.columns, rows, style.headers)?,
        Output::Yaml => yaml(&mut out, answer, style.width.is_some())?,
        Output::Name => {
            for row in rows {
                let names: Vec<String> = group_by.iter().map(|name| text(row, name)).collect();
                writeln!(out, "{}", names.join("/"))?;
            }
        }
        Output::JsonPath(template) => {
            for row in rows {
                writeln!(out, "{}", template.show(row))?;
            }
        }
    }
    Ok(out.flush()?)
}

pub(super) fn print(table: &Table, style: &Style, out: &mut impl Write) -> Result<()> {
    let layout = table.layout(style.width);
    table.print(out, &layout, style.headers)?;
    out.flush()?;
    say_left_out(&layout);
    Ok(())
}

/// The groups, what is left of them, and everything together.
fn sums_table(
    answer: &QueryAnswer,
    group_by: &[String],
    by: Measure,
    short: bool,
    times: &TimeStyle,
) -> Table {
    let is_sum =
        |name: &str| !["time", "compared"].contains(&name) && !group_by.iter().any(|known| known == name);
    let heads = answer.columns.iter().map(|name| {
        if is_sum(name) && cells::unit(name) == Unit::Time {
            Head::whole(times.head(&name.to_uppercase()))
        } else if is_sum(name) {
            let weight = if *name == by.name() { 3 } else { 1 };
            Head::number(name.to_uppercase()).weighing(weight)
        } else {
            cells::field_head(name, times, false).weighing(2)
        }
    });
    let mut table = Table::new(heads.collect());
    let cells = |row: &Row, label: &str| -> Vec<String> {
        let mut label = Some(label).filter(|label| !label.is_empty());
        let cells = answer.columns.iter().map(|name| {
            if is_sum(name) {
                return measured(row, name, short, times);
            }
            match row.0.contains_key(name).then(|| cells::field(row, name, times)) {
                Some(cell) if cell.is_empty() => "-".to_owned(),
                Some(cell) => cell,
                None => label.take().unwrap_or_default().to_owned(),
            }
        });
        cells.collect()
    };
    for row in &answer.rows {
        table.push(cells(row, ""));
    }
    let others = answer.groups.saturating_sub(answer.rows.len());
    for row in &answer.other {
        table.push(cells(row, &format!("({others} more)")));
    }
    if !group_by.is_empty() && answer.rows.len() + answer.other.len() > 1 {
        table.push(cells(&answer.totals, "(all)"));
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_left_of_the_groups_and_everything_stand_below_them() {
        let answer = QueryAnswer {
            columns: ["ns", "dst_ns", "bytes"].map(str::to_owned).to_vec(),
            rows: vec![row(json!({"ns": "shop", "dst_ns": "", "bytes": 5_000}))],
            other: vec![row(json!({"bytes": 1_500}))],
            totals: row(json!({"bytes": 6_500})),
            groups: 4,
            ..QueryAnswer::default()
        };
        let by = ["ns", "dst_ns"].map(str::to_owned);
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, None);
        let lines = |short| sums_table(&answer, &by, Measure::Bytes, short, &times).lines(None);
        let expected = [
            "NS        DST_NS  BYTES",
            "shop      -        5.0k",
            "(3 more)           1.5k",
            "(all)              6.5k",
        ];
        assert_eq!(lines(true), expected);
        assert!(lines(false)[1].ends_with("5000"));
    }

    #[test]
    fn buckets_stand_at_their_time_in_the_readers_zone() {
        let answer = QueryAnswer {
            columns: ["time", "bytes"].map(str::to_owned).to_vec(),
            rows: vec![row(json!({"time": "2026-11-29T10:00:00Z", "bytes": 5}))],
            ..QueryAnswer::default()
        };
        let zone = TimeZone::posix("CET-1").unwrap();
        let times = TimeStyle::new(zone, Timestamp::UNIX_EPOCH, None);
        let lines = sums_table(&answer, &[], Measure::Bytes, true, &times).lines(None);
        assert_eq!(
            lines,
            ["TIME (CET)               BYTES", "2026-11-29 11:00:00.000      5"]
        );
    }
}
