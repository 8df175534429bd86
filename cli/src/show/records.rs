//! Records, as they come: page by page, or one by one while they are followed. What
//! was written above decides where the columns of what comes below stand.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use weir_collector::api::answer::Row;

use super::cells::{self, NARROW, WIDE};
use super::{for_eyes, say_left_out, write_csv};
use crate::output::{Output, Style};
use crate::table::{Head, Layout, Table, harmless_json};
use crate::terminal;
use crate::zone::TimeStyle;

/// Writes records on standard output.
pub struct Records {
    style: Style,
    /// Fields that were asked for; none: the usual ones of the form.
    columns: Vec<String>,
    /// Nobody knows which rows will come.
    endless: bool,
    begun: bool,
    layout: Option<Layout>,
    out: BufWriter<io::Stdout>,
}

impl Records {
    /// Nothing is written yet. `endless`: the rows come one by one.
    pub fn new(style: Style, columns: &[String], endless: bool) -> Self {
        Self {
            style,
            columns: columns.to_vec(),
            endless,
            begun: false,
            layout: None,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// How times are shown.
    pub const fn times(&self) -> &TimeStyle {
        &self.style.times
    }

    /// Writes a page, whose rows have these fields.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn write(&mut self, names: &[String], rows: &[Row]) -> Result<()> {
        let first = !std::mem::replace(&mut self.begun, true);
        let rows = &*for_eyes(rows, &self.style);
        match &self.style.output {
            Output::Table | Output::Wide | Output::CustomColumns(_) => self.write_table(rows)?,
            Output::Json => {
                for row in rows {
                    match self.style.width {
                        Some(_) => self
                            .out
                            .write_all(harmless_json(&serde_json::to_string(row)?).as_bytes())?,
                        None => serde_json::to_writer(&mut self.out, row)?,
                    }
                    self.out.write_all(b"\n")?;
                }
            }
            Output::Csv => write_csv(&mut self.out, names, rows, first && self.style.headers)?,
            Output::Yaml if rows.is_empty() => {}
            Output::Yaml => self.out.write_all(serde_saphyr::to_string(&rows)?.as_bytes())?,
            Output::Name => {
                for row in rows {
                    writeln!(self.out, "{}", cells::ends(row))?;
                }
            }
            Output::JsonPath(template) => {
                for row in rows {
                    writeln!(self.out, "{}", template.show(row))?;
                }
            }
        }
        Ok(())
    }

    fn write_table(&mut self, rows: &[Row]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = terminal::width();
        if width != self.style.width {
            // Somebody took the window by its edge.
            self.style.width = width;
            self.layout = None;
        }
        let mut table = Table::new(self.heads());
        for row in rows {
            table.push(self.row(row));
        }
        let first = self.layout.is_none();
        let layout = self.layout.get_or_insert_with(|| table.layout(width));
        table.print(&mut self.out, layout, first && self.style.headers)?;
        if first && self.endless {
            self.out.flush()?;
            say_left_out(layout);
        }
        Ok(())
    }

    fn heads(&self) -> Vec<Head> {
        let (times, floor) = (&self.style.times, self.endless);
        match &self.style.output {
            Output::CustomColumns(columns) => {
                let heads = columns.iter().map(|(title, _)| Head::text(title));
                let floor = if floor { 16 } else { 0 };
                heads.map(|head| head.at_least(floor)).collect()
            }
            _ if !self.columns.is_empty() => {
                let names = self.columns.iter();
                names.map(|name| cells::field_head(name, times, floor)).collect()
            }
            Output::Wide => WIDE.iter().map(|cell| cell.head(times, floor)).collect(),
            _ => NARROW.iter().map(|cell| cell.head(times, floor)).collect(),
        }
    }

    fn row(&self, row: &Row) -> Vec<String> {
        let times: &TimeStyle = &self.style.times;
        match &self.style.output {
            Output::CustomColumns(columns) => {
                let cells = columns.iter().map(|(_, path)| path.show(row));
                cells
                    .map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()))
                    .collect()
            }
            _ if !self.columns.is_empty() => {
                let names = self.columns.iter();
                names.map(|name| cells::field(row, name, times)).collect()
            }
            Output::Wide => WIDE.iter().map(|cell| cell.show(row, times)).collect(),
            _ => NARROW.iter().map(|cell| cell.show(row, times)).collect(),
        }
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
        if self.style.output == Output::Yaml && !self.begun {
            self.out.write_all(b"[]\n")?;
        }
        self.flush()?;
        if let Some(layout) = self.layout.filter(|_| !self.endless) {
            say_left_out(&layout);
        }
        Ok(())
    }
}

/// What kubectl writes where a custom column has no value.
pub const NOTHING: &str = "<none>";
