//! What stands in the cells of tables.

use serde_json::Value;
use weir_api::fields::{Column, FieldKind};
use weir_collector::api::answer::Row;
use weir_query::{Measure, Unit};

use super::text;
use crate::table::Head;
use crate::zone::TimeStyle;

/// Room for short numbers: `1000.0k`.
const SHORT_NUMBER: usize = 7;
/// Below this width an end of a flow tells nobody anything.
const LEAST_END: usize = 16;

/// Columns of a table of records.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    title: &'static str,
    kind: CellKind,
    weight: u8,
    /// Columns that it usually takes.
    usual: usize,
    show: fn(&Row) -> String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellKind {
    Time,
    End,
    Text,
    Number,
}

const TIME: Cell = cell("TIME", CellKind::Time, 8, 0, |row| text(row, "time"));
const SOURCE: Cell = cell("SOURCE", CellKind::End, 9, 36, |row| {
    end(row, ["ns", "name", "addr", "port"])
});
const DESTINATION: Cell = cell("DESTINATION", CellKind::End, 9, 36, |row| {
    end(row, ["dst_ns", "dst_name", "dst_addr", "dst_port"])
});
const PROTOCOL: Cell = cell("PROTOCOL", CellKind::Text, 5, 8, |row| text(row, "protocol"));
const BYTES: Cell = cell("BYTES", CellKind::Number, 7, SHORT_NUMBER, |row| {
    amount(row, "bytes", true)
});
const PACKETS: Cell = cell("PACKETS", CellKind::Number, 4, SHORT_NUMBER, |row| {
    amount(row, "packets", true)
});
const VERDICT: Cell = cell("VERDICT", CellKind::Text, 6, 9, |row| text(row, "verdict"));

/// What `-o table` shows of a record.
pub const NARROW: [Cell; 7] = [TIME, SOURCE, DESTINATION, PROTOCOL, BYTES, PACKETS, VERDICT];

/// What `-o wide` shows of a record.
pub const WIDE: [Cell; 13] = [
    TIME,
    SOURCE,
    cell("WORKLOAD", CellKind::Text, 3, 24, |row| {
        pair(row, "workload_kind", "workload_name")
    }),
    cell("NODE", CellKind::Text, 2, 16, |row| text(row, "node_name")),
    cell("ZONE", CellKind::Text, 1, 12, |row| text(row, "zone")),
    DESTINATION,
    cell("WORKLOAD", CellKind::Text, 3, 24, |row| {
        pair(row, "dst_workload_kind", "dst_workload_name")
    }),
    cell("NODE", CellKind::Text, 2, 16, |row| text(row, "dst_node_name")),
    cell("ZONE", CellKind::Text, 1, 12, |row| text(row, "dst_zone")),
    PROTOCOL,
    BYTES,
    PACKETS,
    VERDICT,
];

const fn cell(
    title: &'static str,
    kind: CellKind,
    weight: u8,
    usual: usize,
    show: fn(&Row) -> String,
) -> Cell {
    Cell {
        title,
        kind,
        weight,
        usual,
        show,
    }
}

impl Cell {
    /// What stands above it. With `floor` it is as wide as it usually must be.
    pub fn head(&self, times: &TimeStyle, floor: bool) -> Head {
        let head = match self.kind {
            CellKind::Time => Head::whole(times.head(self.title)).at_least(times.width()),
            CellKind::End => Head::text(self.title).cut_to(LEAST_END),
            CellKind::Text => Head::text(self.title),
            CellKind::Number => Head::number(self.title),
        };
        let head = head.weighing(self.weight);
        if floor && self.kind != CellKind::Time {
            head.at_least(self.usual)
        } else {
            head
        }
    }

    /// What it shows of a record.
    pub fn show(&self, row: &Row, times: &TimeStyle) -> String {
        let shown = (self.show)(row);
        if self.kind == CellKind::Time {
            times.show(&shown)
        } else {
            shown
        }
    }
}

/// The head of a field. With `floor` it is as wide as its kind usually must be.
pub fn field_head(name: &str, times: &TimeStyle, floor: bool) -> Head {
    let title = name.to_uppercase();
    let (head, usual) = match Column::find(name).map(Column::kind) {
        Some(FieldKind::Timestamp) => (Head::whole(times.head(&title)), times.width()),
        Some(FieldKind::Unsigned(_)) => (Head::number(title), 10),
        Some(FieldKind::Address) => (Head::text(title), 15),
        _ => (Head::text(title), 20),
    };
    if floor { head.at_least(usual) } else { head }
}

/// The value of a field as a table shows it.
pub fn field(row: &Row, name: &str, times: &TimeStyle) -> String {
    let shown = text(row, name);
    match Column::find(name).map(Column::kind) {
        Some(FieldKind::Timestamp) => times.show(&shown),
        _ => shown,
    }
}

/// Source and destination as one word each.
pub fn ends(row: &Row) -> String {
    format!("{} {}", (SOURCE.show)(row), (DESTINATION.show)(row))
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

/// Large numbers are shortened for people.
pub fn amount(row: &Row, name: &str, short: bool) -> String {
    match row.0.get(name).and_then(Value::as_f64) {
        Some(number) if short => shorten(number),
        _ => text(row, name),
    }
}

/// What kind of values a column of sums has: a measure, what it was then, or what changed.
pub fn unit(name: &str) -> Unit {
    let ends = ["_then", "_change"];
    let bare = ends.into_iter().find_map(|end| name.strip_suffix(end));
    let measure = name
        .parse()
        .or_else(|wrong| bare.map_or(Err(wrong), str::parse::<Measure>));
    measure.map_or(Unit::Number, Measure::unit)
}

/// A measure of a group; shortened for people, with a sign before what changed.
pub fn measured(row: &Row, name: &str, short: bool, times: &TimeStyle) -> String {
    let unit = unit(name);
    if unit == Unit::Time {
        let time = text(row, name);
        return if time.is_empty() { time } else { times.show(&time) };
    }
    let number = row.0.get(name).and_then(Value::as_f64).filter(|_| short);
    let Some(number) = number else {
        return text(row, name);
    };
    let shown = match unit {
        Unit::Part => format!("{:.1}%", number * 100.0),
        Unit::Seconds => format!("{number:.3}s"),
        _ => shorten(number),
    };
    match name.ends_with("_change") && number > 0.0 {
        true => format!("+{shown}"),
        false => shown,
    }
}

/// `1.2M`.
pub fn shorten(number: f64) -> String {
    if number < 0.0 {
        return format!("-{}", shorten(-number));
    }
    let steps = [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)];
    match steps.iter().find(|(_, step)| number >= *step) {
        Some((unit, step)) => format!("{:.1}{unit}", number / step),
        None if number.fract() == 0.0 => format!("{number}"),
        None => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_is_its_name_or_else_its_address() {
        let end = |value| {
            let row: Row = serde_json::from_value(value).unwrap();
            end(&row, ["ns", "name", "addr", "port"])
        };
        let addr = "10.0.0.1";
        assert_eq!(
            end(json!({"ns": "shop", "name": "web", "addr": addr, "port": 80})),
            "shop/web:80"
        );
        assert_eq!(
            end(json!({"ns": "", "name": "node-a", "addr": addr, "port": 0})),
            "node-a"
        );
        assert_eq!(
            end(json!({"ns": "", "name": "", "addr": addr, "port": 53})),
            "10.0.0.1:53"
        );
        assert_eq!(
            end(json!({"addr": "2001:db8::1", "port": 443})),
            "[2001:db8::1]:443"
        );
        assert_eq!(end(json!({})), "");
    }

    #[test]
    fn a_measure_is_shown_in_its_unit_and_a_change_with_its_sign() {
        let times = TimeStyle::new(jiff::tz::TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH, None);
        let row = json!({"share": 0.125, "p95_duration": 1.25, "bytes_change": 1500, "flows_change": -3,
            "share_then": 1.0, "last_seen": "2026-11-29T10:00:00.5Z", "packets_change": 0});
        let row: Row = serde_json::from_value(row).unwrap();
        let shown = |name| measured(&row, name, true, &times);
        assert_eq!(
            (shown("share"), shown("share_then")),
            ("12.5%".into(), "100.0%".into())
        );
        assert_eq!(
            (shown("p95_duration"), shown("min_duration")),
            ("1.250s".into(), String::new())
        );
        let changes = ["bytes_change", "flows_change", "packets_change"].map(shown);
        assert_eq!(changes, ["+1.5k", "-3", "0"]);
        assert_eq!(shown("last_seen"), "2026-11-29 10:00:00.500");
        assert_eq!(measured(&row, "bytes_change", false, &times), "1500");
    }

    /// The web UI has the same list in a test of its own.
    #[test]
    fn numbers_are_short_for_people() {
        let numbers: Vec<(f64, String)> = serde_json::from_str(include_str!("short_numbers.json")).unwrap();
        for (number, short) in numbers {
            assert_eq!(shorten(number), short, "{number}");
            assert!(short.len() <= SHORT_NUMBER, "{short}");
        }
    }
}
