//! Draws a [`Model`]. Whatever comes from elsewhere goes through [`put`] or a [`Table`],
//! which make it harmless.

mod dialog;
mod rows;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;
use weir_query::Span as Length;

use super::model::{Dialog, Model, Place, Sort};
use super::report::Connection;
use crate::show::shorten;
use crate::table::harmless;
use crate::zone::TimeStyle;

/// How things look.
#[derive(Debug, Clone)]
pub struct Look {
    /// Colours are wanted; without, nothing is told by colour alone.
    pub colours: bool,
    /// How times are shown.
    pub times: TimeStyle,
}

impl Look {
    fn coloured(&self, color: Color) -> Style {
        match self.colours {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn alarm(&self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn title(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn faint(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// The lines of the screen.
struct Regions {
    head: Rect,
    filter: Rect,
    figures: Rect,
    /// Titles and rows.
    table: Rect,
    foot: Rect,
}

/// A low screen keeps its table.
fn regions(area: Rect) -> Regions {
    let line = |at: u16, height: u16| Rect {
        y: area.y + at.min(area.height),
        height: height.min(area.height.saturating_sub(at)),
        ..area
    };
    let above = match area.height {
        0..=4 => 0,
        5..=7 => 2,
        _ => 3,
    };
    let below = u16::from(area.height > 5);
    Regions {
        head: line(0, u16::from(above > 0)),
        filter: line(1, u16::from(above > 1)),
        figures: line(2, u16::from(above > 2)),
        table: line(above, area.height.saturating_sub(above + below)),
        foot: line(area.height.saturating_sub(below), below),
    }
}

/// Rows of the table that a screen has room for.
pub fn height(area: Rect) -> usize {
    regions(area).table.height.saturating_sub(1).into()
}

/// Draws everything.
pub fn draw(frame: &mut Frame, model: &Model, look: &Look, now: Instant) {
    let regions = regions(frame.area());
    head(frame, regions.head, model, look, now);
    figures(frame, regions.figures, model, look);
    foot(frame, regions.foot, model, look);
    match &model.dialog {
        Dialog::Help => return dialog::help(frame, regions.table, look),
        Dialog::Record(row, first) => return dialog::record(frame, regions.table, row, *first, look),
        Dialog::None | Dialog::Filter(_) => rows::draw(frame, regions.table, model, look),
    }
    match &model.dialog {
        Dialog::Filter(line) => dialog::filter(frame, regions.filter, line, look),
        _ if model.filter.is_empty() => {
            put(
                frame,
                regions.filter,
                "all flows; / writes a filter",
                look.faint(),
            );
        }
        _ => put(
            frame,
            regions.filter,
            &format!("filter: {}", model.filter.replace("\n)", ")").replace('\n', " ")),
            Style::new(),
        ),
    }
}

fn head(frame: &mut Frame, area: Rect, model: &Model, look: &Look, now: Instant) {
    let window = Length(model.window);
    let what = match (model.place, model.grouping()) {
        (Place::Sums(_), Some(grouping)) => {
            format!(
                "weir watch: {} by {} of {window}",
                grouping.name,
                sort_name(model.sort)
            )
        }
        _ => "weir watch: records".to_owned(),
    };
    let mut parts = vec![what];
    if model.conversation && model.grouping().is_some() {
        parts.push("both directions".to_owned());
    }
    if model.all_observations {
        parts.push("all observations".to_owned());
    }
    parts.push(model.settings.source.clone());
    let (state, style) = state(model, look, now);
    let room = usize::from(area.width).saturating_sub(state.width() + 2);
    put(frame, area, &fitting(&parts, ", ", room), look.title());
    put_right(frame, area, &state, style);
}

/// How it stands with the source, in a word or two.
fn state(model: &Model, look: &Look, now: Instant) -> (String, Style) {
    match &model.connection {
        Connection::Lost { .. } => ("LOST".to_owned(), look.alarm()),
        Connection::Refused(_) => ("REFUSED".to_owned(), look.alarm()),
        _ if model.paused => (
            "PAUSED".to_owned(),
            look.coloured(Color::Yellow).add_modifier(Modifier::BOLD),
        ),
        Connection::Waiting => ("asking".to_owned(), look.faint()),
        Connection::Live if model.grouping().is_none() => ("live".to_owned(), look.coloured(Color::Green)),
        Connection::Live => match model.current_sums() {
            None => ("asking".to_owned(), look.faint()),
            Some(sums) => {
                let age = now.saturating_duration_since(sums.at).as_secs();
                (format!("{age} s old"), look.coloured(Color::Green))
            }
        },
    }
}

/// What is wrong, or else the figures of everything and what is not shown.
fn figures(frame: &mut Frame, area: Rect, model: &Model, look: &Look) {
    if let Some(trouble) = trouble(model) {
        return put(frame, area, &trouble, look.alarm());
    }
    let parts: Vec<String> = match model.place {
        Place::Records => record_figures(model),
        Place::Sums(_) => sum_figures(model),
    };
    let width = usize::from(area.width);
    let lost = lost(model);
    let rest = fitting(&parts, "  ", width.saturating_sub(lost.width() + 2));
    put(frame, area, &rest, Style::new());
    let loses = model.lost_at_collector().is_some_and(|lost| lost != (0, 0));
    put_right(
        frame,
        area,
        &lost,
        if loses { look.alarm() } else { look.faint() },
    );
}

fn trouble(model: &Model) -> Option<String> {
    match &model.connection {
        Connection::Lost { why, again_in } => {
            Some(format!("lost, tried again in {} s: {why}", again_in.as_secs()))
        }
        Connection::Refused(why) => Some(why.clone()),
        _ => None,
    }
}

/// What the collector lost since one began to watch.
fn lost(model: &Model) -> String {
    match model.lost_at_collector() {
        None => String::new(),
        Some((0, 0)) => "collector lost 0".to_owned(),
        Some((records, 0)) => format!("collector lost {}", shorten(records as f64)),
        Some((records, datagrams)) => format!(
            "collector lost {} and {} datagrams",
            shorten(records as f64),
            shorten(datagrams as f64)
        ),
    }
}

fn record_figures(model: &Model) -> Vec<String> {
    let records = &model.records;
    let mut parts = vec![format!("{} of {} that came", records.len(), records.came)];
    if records.waiting() > 0 {
        parts.insert(0, format!("{} wait", records.waiting()));
    }
    let missed = match (records.missed.records, records.missed.and_more) {
        (0, false) => String::new(),
        (0, true) => "some came too fast and are left out".to_owned(),
        (known, and_more) => {
            let more = if and_more { " and more" } else { "" };
            format!("{known}{more} came too fast and are left out")
        }
    };
    parts.insert(0, missed);
    if records.cut > 0 {
        parts.push(format!("{} made room for newer ones", records.cut));
    }
    parts
}

fn sum_figures(model: &Model) -> Vec<String> {
    let Some(sums) = model.current_sums() else {
        return Vec::new();
    };
    let seconds = rows::seconds(sums);
    let total = |name: &str| rows::number(&sums.answer.totals, name).unwrap_or(0.0);
    let mut parts = vec![format!("{} bytes/s", rows::rate(total("bytes"), seconds))];
    let others = sums.answer.groups.saturating_sub(sums.answer.rows.len());
    if others > 0 {
        let name = rows::measure(model.sort).to_string();
        let rest: f64 = sums
            .answer
            .other
            .iter()
            .filter_map(|row| rows::number(row, &name))
            .sum();
        let share = rows::share(rest, total(&name));
        parts.push(format!("{others} groups more have {share}"));
    }
    parts.push(format!("{} packets/s", rows::rate(total("packets"), seconds)));
    parts.push(format!("{} flows/s", rows::rate(total("flows"), seconds)));
    parts.push(match sums.answer.groups {
        1 => "1 group".to_owned(),
        groups => format!("{groups} groups"),
    });
    parts.push(format!("answered in {:.2} s", sums.took.as_secs_f64()));
    parts
}

/// What is said of the last key, what one should know of the answer, or the keys.
fn foot(frame: &mut Frame, area: Rect, model: &Model, look: &Look) {
    if let Some(said) = &model.said {
        return put(frame, area, said, look.title());
    }
    let note = model.current_sums().and_then(|sums| {
        use weir_query::NoteKind::{Expired, Unreadable};
        let matters = |note: &&weir_query::Note| matches!(note.kind, Expired | Unreadable);
        sums.answer.notes.iter().find(matters)
    });
    if let Some(note) = note.filter(|_| model.dialog == Dialog::None) {
        return put(frame, area, &format!("note: {}", note.message), look.title());
    }
    let keys: &[&str] = match model.dialog {
        Dialog::None => &[
            "? keys",
            "q end",
            "Enter down",
            "Esc back",
            "/ filter",
            "1-9 groups",
            "s order",
            "Space stop",
            "0 records",
            "x without it",
            "-+ time",
            "v both directions",
        ],
        Dialog::Filter(_) => &["Enter asks", "Tab completes", "Esc leaves it"],
        Dialog::Help => &["any key goes back"],
        Dialog::Record(..) => &["Esc back", "arrows: more of it"],
    };
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    put(
        frame,
        area,
        &fitting(&keys, "  ", area.width.into()),
        look.faint(),
    );
}

fn sort_name(sort: Sort) -> String {
    match sort {
        Sort::Name => "name".to_owned(),
        Sort::By(measure) => measure.to_string(),
    }
}

/// As many whole parts as there is room for, the first one always.
fn fitting(parts: &[String], gap: &str, room: usize) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if text.is_empty() {
            text.push_str(part);
        } else if text.width() + gap.width() + part.width() <= room {
            text = text + gap + part;
        } else {
            break;
        }
    }
    text
}

/// A line of text, cut where its place ends. What would steer the terminal is shown as what
/// it is not.
fn put(frame: &mut Frame, area: Rect, text: &str, style: Style) {
    let text = crate::table::cut(&harmless(text), area.width.into());
    frame.render_widget(Line::from(Span::styled(text, style)), area);
}

/// The same at the right end of its place.
fn put_right(frame: &mut Frame, area: Rect, text: &str, style: Style) {
    let width = u16::try_from(text.width()).unwrap_or(u16::MAX).min(area.width);
    let right = Rect {
        x: area.x + area.width - width,
        width,
        ..area
    };
    put(frame, right, text, style);
}

#[cfg(test)]
mod tests;
