//! The table: titles, and as many rows as there is room for, the one that is looked at among
//! them.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use weir_collector::api::answer::Row;
use weir_query::{Measure, Moment};

use super::{Look, put};
use crate::show::{NARROW, WIDE, shorten, text};
use crate::table::{Head, Table};
use crate::watch::model::{Model, Place, Sort, Sums};
use crate::watch::report::Connection;

/// From so many columns on a bar shows the share.
const ROOM_FOR_BARS: u16 = 90;
/// Columns of the bar.
const BAR: usize = 10;
/// From so many columns on records have more of their fields.
const ROOM_FOR_MORE: u16 = 160;
/// A name is not cut below this while a number can be left out instead.
const LEAST_NAME: usize = 16;

/// Draws it.
pub fn draw(frame: &mut Frame, area: Rect, model: &Model, look: &Look) {
    let height = area.height.saturating_sub(1);
    let selected = model.selected();
    let first = first_shown(selected.unwrap_or(0), model.rows(), height.into());
    let shown = first..model.rows().min(first + usize::from(height));
    let (table, alarms) = match model.place {
        Place::Records => of_records(model, look, area.width, &shown),
        Place::Sums(_) => of_sums(model, area.width, &shown),
    };
    let layout = table.layout(Some(area.width.into()));
    let line = |at: u16| Rect {
        y: area.y + at,
        height: 1,
        ..area
    };
    if area.height == 0 {
        return;
    }
    put(frame, line(0), &table.head_line(&layout), look.title());
    let Some(selected) = selected else {
        return nothing(frame, line(1.min(height)), model, look);
    };
    let is_old = matches!(model.connection, Connection::Lost { .. });
    for (at, place) in (0..height).zip(shown) {
        let style = match (place == selected, alarms.contains(&place)) {
            (true, _) => Style::new().add_modifier(Modifier::REVERSED),
            (false, true) => look.alarm(),
            (false, false) if is_old => look.faint(),
            (false, false) => Style::new(),
        };
        // The whole line is marked, not its text alone.
        let width = usize::from(area.width);
        put(
            frame,
            line(at + 1),
            &format!("{:width$}", table.row_line(at.into(), &layout)),
            style,
        );
    }
}

/// Why there is no row.
fn nothing(frame: &mut Frame, area: Rect, model: &Model, look: &Look) {
    let answered = match model.place {
        Place::Records => model.connection == Connection::Live,
        Place::Sums(_) => model.current_sums().is_some(),
    };
    let why = match (answered, model.filter.is_empty()) {
        (false, _) => "asking …",
        (true, true) => "nothing arrived in this time: + looks further back",
        (true, false) => "no flow of this time fits the filter: + looks further back, c asks for all",
    };
    put(frame, area, why, look.faint());
}

/// The first row that is shown: the one that is looked at stands in the middle where it can.
fn first_shown(selected: usize, rows: usize, height: usize) -> usize {
    selected
        .saturating_sub(height / 2)
        .min(rows.saturating_sub(height))
}

/// Sums at the places that are shown, and the places of rows with drops.
fn of_sums(model: &Model, width: u16, shown: &Range<usize>) -> (Table, Vec<usize>) {
    let titles = model
        .grouping()
        .map_or_else(Vec::new, |grouping| grouping.titles());
    let by = measure(model.sort);
    let names = titles
        .into_iter()
        .map(|title| Head::text(title).cut_to(LEAST_NAME).weighing(9));
    let mut heads: Vec<Head> = names.collect();
    let rated = if by == Measure::Packets {
        Measure::Packets
    } else {
        Measure::Bytes
    };
    heads.push(Head::number(format!("{}/S", rated.to_string().to_uppercase())).weighing(8));
    heads.push(Head::number("SHARE").weighing(7));
    let bars = width >= ROOM_FOR_BARS;
    if bars {
        heads.push(Head::whole("").at_least(BAR).weighing(1));
    }
    let measured = measures(model.conversation);
    for (measure, title, weight) in &measured {
        let sorted = model.sort == Sort::By(*measure);
        let title = if sorted {
            format!("{title}↓")
        } else {
            (*title).to_owned()
        };
        heads.push(Head::number(title).weighing(if sorted { 8 } else { *weight }));
    }
    let (mut table, mut alarms) = (Table::new(heads), Vec::new());
    let Some((sums, grouping)) = model.current_sums().zip(model.grouping()) else {
        return (table, alarms);
    };
    let all = number(&sums.answer.totals, &by.to_string()).unwrap_or(0.0);
    for place in shown.clone() {
        let Some(row) = sums.answer.rows.get(place) else {
            break;
        };
        let of = |measure: Measure| number(row, &measure.to_string()).unwrap_or(0.0);
        let mut cells = grouping.cells(row);
        cells.push(rate(of(rated), seconds(sums)));
        cells.push(share(of(by), all));
        if bars {
            cells.push(bar(of(by), all));
        }
        cells.extend(measured.iter().map(|(measure, ..)| shorten(of(*measure))));
        table.push(cells);
        if of(Measure::DroppedPackets) > 0.0 {
            alarms.push(place);
        }
    }
    (table, alarms)
}

/// What is shown of sums: the measure, its title, and the weight of its column.
fn measures(conversation: bool) -> Vec<(Measure, &'static str, u8)> {
    let both = [(Measure::Sent, "SENT", 6), (Measure::Received, "RECEIVED", 6)];
    let usual = [
        (Measure::Bytes, "BYTES", 5),
        (Measure::Packets, "PACKETS", 4),
        (Measure::Flows, "FLOWS", 3),
        (Measure::DroppedPackets, "DROPPED", 2),
    ];
    both.into_iter().filter(|_| conversation).chain(usual).collect()
}

/// Records at the places that are shown, and the places of those that were dropped.
fn of_records(model: &Model, look: &Look, width: u16, shown: &Range<usize>) -> (Table, Vec<usize>) {
    let cells = if width < ROOM_FOR_MORE {
        &NARROW[..]
    } else {
        &WIDE[..]
    };
    let mut table = Table::new(cells.iter().map(|cell| cell.head(&look.times, false)).collect());
    let mut alarms = Vec::new();
    for place in shown.clone() {
        let Some(row) = model.records.at(place) else {
            break;
        };
        table.push(cells.iter().map(|cell| cell.show(row, &look.times)).collect());
        if text(row, "verdict") == "dropped" {
            alarms.push(place);
        }
    }
    (table, alarms)
}

/// The measure of shares.
pub const fn measure(sort: Sort) -> Measure {
    match sort {
        Sort::By(measure) => measure,
        Sort::Name => Measure::Bytes,
    }
}

/// Seconds that the sums are of.
pub fn seconds(sums: &Sums) -> f64 {
    match sums.of.since.0 {
        Moment::Ago(window) => window.as_secs_f64().max(1e-3),
        Moment::At(_) => 1.0,
    }
}

/// A number of a row.
pub fn number(row: &Row, name: &str) -> Option<f64> {
    row.0.get(name)?.as_f64()
}

/// So much a second.
pub fn rate(amount: f64, seconds: f64) -> String {
    let rate = amount / seconds;
    shorten(if rate < 10.0 { rate } else { rate.round() })
}

/// `43.2%`.
pub fn share(part: f64, all: f64) -> String {
    match all > 0.0 {
        true => format!("{:.1}%", 100.0 * part / all),
        false => "-".to_owned(),
    }
}

fn bar(part: f64, all: f64) -> String {
    let eighths = match all > 0.0 {
        true => (part / all * (BAR * 8) as f64).round() as usize,
        false => 0,
    };
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat((eighths / 8).min(BAR)) + rest
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::watch::grouping;
    use crate::watch::model::Settings;
    use crate::zone::TimeStyle;

    #[test]
    fn the_row_that_is_looked_at_is_shown_wherever_it_stands() {
        for height in 1..6 {
            for rows in 1..20 {
                for selected in 0..rows {
                    let first = first_shown(selected, rows, height);
                    assert!(
                        (first..first + height).contains(&selected),
                        "{selected} of {rows} in {height}"
                    );
                    assert!(first == 0 || first + height <= rows, "room is left below");
                }
            }
        }
    }

    #[test]
    fn only_rows_that_are_shown_are_written() {
        let settings = Settings {
            source: String::new(),
            top: 100,
        };
        let mut model = Model::new(settings, String::new(), grouping::all(&[]));
        model.place = Place::Records;
        model.records.take(vec![Row::default(); 500], false);
        let look = Look {
            colours: false,
            times: TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, None),
        };
        let (table, _) = of_records(&model, &look, 100, &(490..497));
        assert_eq!(table.lines(None).len(), 1 + 7);
    }

    #[test]
    fn shares_are_of_everything() {
        assert_eq!(
            (share(1.0, 3.0).as_str(), share(0.0, 0.0).as_str()),
            ("33.3%", "-")
        );
        assert_eq!(
            (rate(879.0, 1.0).as_str(), rate(500.0, 60.0).as_str()),
            ("879", "8.3")
        );
        assert_eq!(rate(90_000.0, 60.0), "1.5k");
        assert_eq!(bar(1.0, 2.0), "█████");
        assert_eq!((bar(1.0, 80.0).as_str(), bar(0.0, 0.0).as_str()), ("▏", ""));
    }
}
