//! What stands in place of the table or above it: the filter line, the keys, a record.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::Clear;
use unicode_width::UnicodeWidthStr;
use weir_api::fields::{Column, FieldKind};
use weir_collector::api::answer::Row;

use super::{Look, put};
use crate::show::text;
use crate::table::harmless;
use crate::watch::keys::HELP;
use crate::watch::line::{FilterLine, SHOWN};

const PROMPT: &str = "filter: ";

/// The line in which a filter is written, and below it how it may go on or what is wrong.
pub fn filter(frame: &mut Frame, area: Rect, line: &FilterLine, look: &Look) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let (before, behind) = line.halves();
    // The lines of a filter that was gone down from are shown as one.
    let one_line = |text: &str| harmless(&text.replace('\n', " "));
    let (before, behind) = (one_line(before), one_line(behind));
    // What does not fit is left out on the left: the cursor is seen.
    let room = usize::from(area.width).saturating_sub(PROMPT.width() + 1);
    let shown = end_of(&before, room);
    frame.render_widget(Clear, area);
    put(frame, area, &format!("{PROMPT}{shown}{behind}"), Style::new());
    let column = u16::try_from(PROMPT.width() + shown.width()).unwrap_or(u16::MAX);
    frame.set_cursor_position(Position::new(area.x + column.min(area.width - 1), area.y));
    below(frame, area, line, look);
}

fn below(frame: &mut Frame, area: Rect, line: &FilterLine, look: &Look) {
    let under = |at: usize| Rect {
        y: area.y + 1 + u16::try_from(at).unwrap_or(u16::MAX - area.y - 1),
        ..area
    };
    let bottom = frame.area().bottom();
    let fits = |place: Rect| place.y < bottom;
    if let Some(problem) = &line.problem {
        let place = under(0);
        if fits(place) {
            frame.render_widget(Clear, place);
            put(frame, place, problem, look.alarm());
        }
        return;
    }
    let (candidates, chosen) = line.candidates();
    let first = chosen.map_or(0, |at| at / SHOWN * SHOWN);
    for (at, candidate) in candidates.iter().enumerate().skip(first).take(SHOWN) {
        let place = under(at - first);
        if !fits(place) {
            break;
        }
        let style = match chosen == Some(at) {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => look.faint(),
        };
        frame.render_widget(Clear, place);
        let shown = end_of(
            &harmless(candidate),
            usize::from(area.width).saturating_sub(PROMPT.width()),
        );
        put(frame, place, &format!("{:1$}{shown}", "", PROMPT.width()), style);
    }
}

/// The end of a text, with a mark where it was cut.
fn end_of(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut end = String::new();
    for c in text.chars().rev() {
        if end.width() + UnicodeWidthStr::width(c.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        end.insert(0, c);
    }
    format!("…{end}")
}

/// What the keys do.
pub fn help(frame: &mut Frame, area: Rect, look: &Look) {
    let widest = HELP.iter().map(|(keys, _)| keys.width()).max().unwrap_or(0);
    let lines = HELP.iter().map(|(keys, what)| format!("{keys:widest$}  {what}"));
    list(frame, area, "KEYS", lines, look);
}

/// A record with all that it has, from a line on.
pub fn record(frame: &mut Frame, area: Rect, row: &Row, first: usize, look: &Look) {
    let shown: Vec<(&String, String)> = row
        .0
        .keys()
        .map(|name| (name, value(row, name, look)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let widest = shown.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let first = first.min(shown.len().saturating_sub(1));
    let lines = shown
        .iter()
        .skip(first)
        .map(|(name, value)| format!("{name:widest$}  {value}"));
    list(frame, area, "RECORD", lines, look);
}

fn value(row: &Row, name: &str, look: &Look) -> String {
    let shown = text(row, name);
    match Column::find(name).map(Column::kind) {
        Some(FieldKind::Timestamp) if !shown.is_empty() => look.times.show(&shown),
        _ => shown,
    }
}

fn list(frame: &mut Frame, area: Rect, title: &str, lines: impl Iterator<Item = String>, look: &Look) {
    let titled = std::iter::once((title.to_owned(), look.title()));
    let lines = titled.chain(lines.map(|line| (line, Style::new())));
    for ((line, style), at) in lines.zip(0..area.height) {
        let place = Rect {
            y: area.y + at,
            height: 1,
            ..area
        };
        put(frame, place, &line, style);
    }
}
