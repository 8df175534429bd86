//! Columns for people: as wide as they must be, no wider than the terminal.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::terminal;

/// Spaces between columns.
const GAP: usize = 2;
/// No column is cut below this width.
const LEAST: usize = 8;

/// A column.
#[derive(Debug, Clone)]
pub struct Head {
    /// What stands above it.
    pub title: String,
    /// Numbers stand on the right.
    pub right: bool,
}

/// Rows under heads.
#[derive(Debug, Default)]
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(heads: Vec<Head>) -> Self {
        Self {
            heads,
            rows: Vec::new(),
        }
    }

    /// Adds a row. What would steer the terminal is shown as what it is not.
    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| harmless(cell)).collect());
    }

    /// Writes the lines, as wide as the terminal at most, the heads, if wanted, in bold.
    ///
    /// # Errors
    /// `out` is gone.
    pub fn print(&self, out: &mut impl Write, with_heads: bool) -> io::Result<()> {
        let lines = self.lines(terminal::width());
        let mut lines = lines.iter();
        if let Some(heads) = lines.next().filter(|_| with_heads) {
            writeln!(out, "{}", terminal::bold(heads))?;
        }
        lines.try_for_each(|line| writeln!(out, "{line}"))
    }

    /// The lines: the heads, then the rows. With a width, none is wider, if columns
    /// can be cut so far.
    pub fn lines(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        let heads: Vec<String> = self.heads.iter().map(|head| head.title.clone()).collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = self
            .heads
            .iter()
            .zip(row)
            .zip(widths)
            .map(|((head, cell), width)| {
                let cell = cut(cell, *width);
                let pad = " ".repeat(width - cell.width());
                if head.right { pad + &cell } else { cell + &pad }
            });
        let line: Vec<String> = cells.collect();
        line.join(&" ".repeat(GAP)).trim_end().to_owned()
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.title.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(width) = width {
            shrink(&mut widths, width);
        }
        widths
    }
}

/// Takes from the widest until all fit.
fn shrink(widths: &mut [usize], all: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let wanted = widths.iter().sum::<usize>() + gaps;
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else {
            return;
        };
        if wanted <= all || *widest <= LEAST {
            return;
        }
        *widest -= 1;
    }
}

/// The beginning of a text, with a mark where it was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if short.width() + 1 > width {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

/// Names come from the network: what would steer a terminal must not.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let heads = [("NAME", false), ("BYTES", true)];
        let heads = heads.map(|(title, right)| Head {
            title: title.to_owned(),
            right,
        });
        let mut table = Table::new(heads.to_vec());
        table.push(vec!["web".into(), "12".into()]);
        table.push(vec!["a-very-long-name-of-a-pod".into(), "123456".into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_numbers_stand_on_the_right() {
        let expected = [
            "NAME                        BYTES",
            "web                            12",
            "a-very-long-name-of-a-pod  123456",
        ];
        assert_eq!(table().lines(None), expected);
    }

    #[test]
    fn the_widest_column_is_cut_to_fit_the_terminal() {
        let lines = table().lines(Some(24));
        assert_eq!(lines[2], "a-very-long-nam…  123456");
        assert!(lines.iter().all(|line| line.width() <= 24));
        // No column becomes useless, even if the terminal is too narrow.
        assert_eq!(table().lines(Some(3))[2], "a-very-…  123456");
    }

    #[test]
    fn what_would_steer_the_terminal_is_not_written() {
        let mut table = table();
        table.push(vec!["\u{1b}[31mred\n".into(), "宽".into()]);
        let line = table.lines(None).pop().unwrap();
        assert!(!line.contains('\u{1b}') && line.contains("[31mred"));
        assert!(line.ends_with(" 宽"), "{line}");
    }
}
