//! Columns for people: as wide as they must be, no wider than the terminal. What does
//! not fit is cut where it is text, and left out where it is a number; which columns
//! are left out, the caller is told.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::terminal;

/// Spaces between columns.
const GAP: usize = 2;
/// How far text is cut unless said otherwise.
const LEAST: usize = 8;

/// A column.
#[derive(Debug, Clone)]
pub struct Head {
    /// What stands above it.
    pub title: String,
    /// Numbers stand on the right, and are never cut.
    pub right: bool,
    /// It is not cut below this width while another column can be left out instead;
    /// none: it is never cut.
    pub least: Option<usize>,
    /// Columns of the least weight are left out first, of these the last.
    pub weight: u8,
    /// It is never narrower than this, so that rows still to come stand below those
    /// that were written.
    pub floor: usize,
}

impl Head {
    /// Text.
    pub fn text(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            right: false,
            least: Some(LEAST),
            weight: 1,
            floor: 0,
        }
    }

    /// Numbers.
    pub fn number(title: impl Into<String>) -> Self {
        Self {
            right: true,
            ..Self::whole(title)
        }
    }

    /// Text of which a part would mislead.
    pub fn whole(title: impl Into<String>) -> Self {
        Self {
            least: None,
            ..Self::text(title)
        }
    }

    /// The same, cut no further than this.
    pub fn cut_to(self, least: usize) -> Self {
        Self {
            least: Some(least),
            ..self
        }
    }

    /// The same with this weight.
    pub fn weighing(self, weight: u8) -> Self {
        Self { weight, ..self }
    }

    /// The same, never narrower than this.
    pub fn at_least(self, floor: usize) -> Self {
        Self { floor, ..self }
    }
}

/// Rows under heads.
#[derive(Debug, Default)]
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<String>>,
}

/// Which columns there are, and how wide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Place of the column among the heads, and its width.
    columns: Vec<(usize, usize)>,
    /// Cells that are wider are cut.
    cuts: bool,
    /// Titles of those for which there is no room.
    pub left_out: Vec<String>,
}

impl Layout {
    /// There is nothing left to leave out, and it may be cut.
    fn is_one_text(&self, table: &Table) -> bool {
        matches!(self.columns.as_slice(), [(at, _)] if !table.heads[*at].right)
    }
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

    /// The columns that fit the terminal with the rows that are there.
    pub fn layout(&self, width: Option<usize>) -> Layout {
        let natural = self.natural_widths();
        let all = || natural.iter().copied().enumerate();
        let Some(width) = width else {
            return Layout {
                columns: all().collect(),
                ..Layout::default()
            };
        };
        let mut kept: Vec<usize> = all().map(|(at, _)| at).collect();
        let least = |at: &usize| self.least(*at, natural[*at]);
        while kept.len() > 1 && kept.iter().map(least).sum::<usize>() + gaps(kept.len()) > width {
            let lightest = kept
                .iter()
                .rev()
                .min_by_key(|at| self.heads[**at].weight)
                .copied();
            kept.retain(|at| Some(*at) != lightest);
        }
        let mut widths: Vec<usize> = kept.iter().map(|at| natural[*at]).collect();
        let bounds: Vec<usize> = kept.iter().map(least).collect();
        shrink(&mut widths, &bounds, width.saturating_sub(gaps(kept.len())));
        let left_out = all().filter(|(at, _)| !kept.contains(at));
        Layout {
            left_out: left_out.map(|(at, _)| self.heads[at].title.clone()).collect(),
            columns: kept.into_iter().zip(widths).collect(),
            cuts: true,
        }
    }

    /// Writes the heads, in bold, unless they are not wanted, and the rows.
    ///
    /// # Errors
    /// `out` is gone.
    pub fn print(&self, out: &mut impl Write, layout: &Layout, heads: bool) -> io::Result<()> {
        if heads {
            writeln!(out, "{}", terminal::bold(&self.head_line(layout)))?;
        }
        self.rows
            .iter()
            .try_for_each(|row| writeln!(out, "{}", self.line(row, layout)))
    }

    /// The lines as [`Self::print`] writes them.
    #[cfg(test)]
    pub fn lines(&self, width: Option<usize>) -> Vec<String> {
        let layout = self.layout(width);
        let rows = self.rows.iter().map(|row| self.line(row, &layout));
        std::iter::once(self.head_line(&layout)).chain(rows).collect()
    }

    /// The line of titles.
    pub fn head_line(&self, layout: &Layout) -> String {
        let titles: Vec<String> = self.heads.iter().map(|head| head.title.clone()).collect();
        self.line(&titles, layout)
    }

    /// The row at a place, as a line.
    pub fn row_line(&self, at: usize, layout: &Layout) -> String {
        self.rows
            .get(at)
            .map_or_else(String::new, |row| self.line(row, layout))
    }

    fn line(&self, row: &[String], layout: &Layout) -> String {
        let cells = layout.columns.iter().map(|(at, width)| {
            let cell = row.get(*at).map_or("", String::as_str);
            let cell = match layout.cuts {
                true if self.heads[*at].least.is_some() || layout.is_one_text(self) => cut(cell, *width),
                _ => cell.to_owned(),
            };
            let pad = " ".repeat(width.saturating_sub(cell.width()));
            if self.heads[*at].right {
                pad + &cell
            } else {
                cell + &pad
            }
        });
        let line: Vec<String> = cells.collect();
        line.join(&" ".repeat(GAP)).trim_end().to_owned()
    }

    fn natural_widths(&self) -> Vec<usize> {
        let wide = |head: &Head| head.title.width().max(head.floor);
        let mut widths: Vec<usize> = self.heads.iter().map(wide).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    fn least(&self, at: usize, natural: usize) -> usize {
        self.heads[at].least.map_or(natural, |least| natural.min(least))
    }
}

fn gaps(columns: usize) -> usize {
    GAP * columns.saturating_sub(1)
}

/// Takes from the widest that may be cut until all fit; the last one is cut however
/// narrow it becomes.
fn shrink(widths: &mut [usize], least: &[usize], all: usize) {
    while widths.iter().sum::<usize>() > all {
        let cuttable = widths
            .iter_mut()
            .zip(least)
            .filter(|(width, least)| **width > **least);
        match cuttable.max_by_key(|(width, _)| **width) {
            Some((widest, _)) => *widest -= 1,
            None => break,
        }
    }
    if let [only] = widths {
        *only = (*only).min(all.max(1));
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
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The same of a text of several lines.
pub fn harmless_lines(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) && c != '\n' { '\u{fffd}' } else { c })
        .collect()
}

/// JSON that says the same and steers no terminal: such characters stand in texts alone, where
/// they are escaped.
pub fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                harmless.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// Control characters, and those that turn the direction of what stands around them or
/// cannot be seen.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests;
