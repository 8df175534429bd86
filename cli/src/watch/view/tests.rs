use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};
use weir_collector::api::answer::{QueryAnswer, Row};
use weir_collector::api::status::RecordsAnswer;
use weir_query::{Note, NoteKind};

use super::*;
use crate::watch::grouping;
use crate::watch::keys::Key;
use crate::watch::model::{Settings, Sums};
use crate::watch::records::Missed;
use crate::watch::report::{Event, Report, Wanted};

fn row(value: Value) -> Row {
    serde_json::from_value(value).unwrap()
}

fn model() -> Model {
    let settings = Settings {
        source: "http://127.0.0.1:8080".to_owned(),
        top: 2,
    };
    Model::new(settings, String::new(), grouping::all(&[]))
}

fn answered(mut model: Model, notes: Vec<Note>) -> Model {
    let Wanted::Sums(of) = model.wanted() else {
        panic!("no sums are wanted");
    };
    let row = |from: &str, to: &str, bytes: u64, dropped: u64| {
        row(
            json!({"ns": from, "dst_ns": to, "bytes": bytes, "packets": bytes / 1000, "flows": 7,
            "dropped_packets": dropped}),
        )
    };
    let answer = QueryAnswer {
        rows: vec![
            row("shop", "bank", 60_000_000, 0),
            row(
                "a-namespace-with-quite-a-long-name",
                "another-namespace-with-a-long-name",
                30_000_000,
                12,
            ),
        ],
        other: vec![row("", "", 10_000_000, 0)],
        totals: row("", "", 100_000_000, 12),
        groups: 7,
        notes,
        ..QueryAnswer::default()
    };
    let (at, took) = (Instant::now(), Duration::from_millis(20));
    model.update(Event::Report(Report::Sums(Box::new(Sums {
        of,
        answer,
        at,
        took,
    }))));
    model
}

fn records(mut model: Model, rows: &[Value]) -> Model {
    model.update(Event::Key(Key::Char('r')));
    let Wanted::Records(of) = model.wanted() else {
        panic!("no records are wanted");
    };
    let rows = rows.iter().cloned().map(row).collect();
    model.update(Event::Report(Report::Records {
        of,
        rows,
        missed: Missed {
            records: 5,
            and_more: false,
        },
    }));
    model
}

fn record(name: &str, verdict: &str) -> Value {
    json!({"time": "2026-11-29T10:00:00.123456Z", "ns": "shop", "name": name, "port": 40_000, "dst_ns": "bank",
        "dst_name": "checkout-service-6d4b75cb6d-hx2zv", "dst_port": 443, "protocol": "tcp", "bytes": 1_234,
        "packets": 5, "verdict": verdict})
}

fn drawn(width: u16, height: u16, model: &Model, colours: bool) -> Buffer {
    let times = TimeStyle::new(TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH, Some(width.into()));
    let look = Look { colours, times };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = Instant::now();
    terminal.draw(|frame| draw(frame, model, &look, now)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(width: u16, height: u16, model: &Model) -> Vec<String> {
    let buffer = drawn(width, height, model, false);
    let line = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol().to_owned())
            .collect::<String>()
    };
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

#[test]
fn sums_are_shown_with_rates_and_shares_in_terminals_of_three_widths() {
    let model = answered(model(), Vec::new());
    let narrow = lines(60, 10, &model);
    assert!(
        narrow[0].starts_with("weir watch: namespaces by bytes of 1m"),
        "{narrow:#?}"
    );
    assert!(narrow[0].ends_with("0 s old"), "{narrow:#?}");
    assert!(
        narrow[2].starts_with("1.7M bytes/s  5 groups more have 10.0%"),
        "{narrow:#?}"
    );
    let head: Vec<&str> = narrow[3].split_whitespace().collect();
    assert_eq!(
        head,
        ["SOURCE", "DESTINATION", "BYTES/S", "SHARE", "BYTES↓"],
        "{narrow:#?}"
    );
    let first: Vec<&str> = narrow[4].split_whitespace().collect();
    assert_eq!(first, ["shop", "bank", "1.0M", "60.0%", "60.0M"], "{narrow:#?}");
    assert!(narrow[5].starts_with("a-namespace-wit"), "{narrow:#?}");
    assert!(narrow[9].starts_with("? keys  q end"), "{narrow:#?}");
    let middle = lines(100, 10, &model);
    assert!(
        middle[3].contains("BYTES↓") && middle[4].contains("██████ "),
        "{middle:#?}"
    );
    let wide = lines(200, 10, &model);
    assert!(wide[3].ends_with("BYTES↓  PACKETS  FLOWS  DROPPED"), "{wide:#?}");
    assert!(
        wide[5].contains("another-namespace-with-a-long-name"),
        "{wide:#?}"
    );
    assert!(
        wide[2].contains("7 groups") && wide[2].contains("answered in 0.02 s"),
        "{wide:#?}"
    );
}

#[test]
fn records_are_shown_with_what_was_left_out_in_terminals_of_three_widths() {
    let model = records(
        model(),
        &[record("first", "delivered"), record("second", "dropped")],
    );
    for width in [60, 100, 200] {
        let shown = lines(width, 10, &model);
        assert!(
            shown[2].starts_with("5 came too fast and are left out"),
            "{shown:#?}"
        );
        assert!(
            shown[4].contains("shop/second:40"),
            "the newest first: {shown:#?}"
        );
        assert!(shown[5].contains("shop/first:40"), "{shown:#?}");
        assert_eq!(shown[3].contains("VERDICT"), width > 60, "{shown:#?}");
        assert_eq!(shown[3].contains("WORKLOAD"), width > 160, "{shown:#?}");
    }
}

#[test]
fn any_size_of_terminal_is_drawn() {
    let mut models = vec![
        model(),
        answered(model(), Vec::new()),
        records(model(), &[record("a", "dropped")]),
    ];
    for keys in ["?", "/dst_", "/ns == \"", "/x\n", " ", "v"] {
        let mut model = answered(model(), Vec::new());
        for c in keys.chars() {
            model.update(Event::Key(if c == '\n' { Key::Enter } else { Key::Char(c) }));
        }
        models.push(model);
    }
    let mut open = records(model(), &[record("a", "dropped")]);
    open.update(Event::Key(Key::Enter));
    models.push(open);
    for model in models {
        for width in [1, 2, 7, 20, 60] {
            for height in 1..12 {
                let shown = lines(width, height, &model);
                assert_eq!(shown.len(), usize::from(height));
            }
        }
    }
}

#[test]
fn names_that_would_steer_a_terminal_are_harmless_wherever_they_stand() {
    let evil = "a\u{1b}[31m\u{202e}b\r\n\u{9b}c\u{200b}";
    let harmless = |model: &Model| {
        for width in [60, 200] {
            for line in lines(width, 12, model) {
                let steers = line
                    .chars()
                    .any(|c| c.is_control() || ['\u{202e}', '\u{200b}'].contains(&c));
                assert!(!steers, "{line:?}");
            }
        }
    };
    let mut model = records(model(), &[record(evil, evil)]);
    harmless(&model);
    assert!(lines(200, 12, &model)[4].contains("a\u{fffd}[31m\u{fffd}b"));
    model.update(Event::Key(Key::Enter));
    harmless(&model);
    assert!(
        lines(200, 30, &model)
            .iter()
            .any(|line| line.starts_with("name "))
    );
    model.update(Event::Key(Key::Escape));
    model.said = Some(evil.to_owned());
    harmless(&model);
    let (of, why, again_in) = (model.wanted(), evil.to_owned(), Duration::from_secs(4));
    model.update(Event::Report(Report::Lost { of, why, again_in }));
    harmless(&model);
    assert!(lines(60, 12, &model)[2].starts_with("lost, tried again in 4 s: a\u{fffd}"));
    model.filter = format!("ns == \"{evil}");
    harmless(&model);
    model.update(Event::Key(Key::Char('/')));
    let (field, prefix) = ("ns".to_owned(), evil.to_owned());
    model.update(Event::Report(Report::Values {
        field,
        prefix,
        values: vec![format!("{evil}x")],
    }));
    let shown = lines(60, 12, &model);
    assert!(
        shown[2].contains("\\u001b[31m\u{fffd}b"),
        "the value is offered: {shown:#?}"
    );
    harmless(&model);
}

#[test]
fn without_colours_there_are_none_and_what_they_said_is_said_otherwise() {
    use ratatui::style::Color::Reset;
    let coloured = |model: &Model, colours| {
        let buffer = drawn(100, 10, model, colours);
        buffer
            .content()
            .iter()
            .any(|cell| cell.fg != Reset || cell.bg != Reset)
    };
    let mut model = answered(model(), Vec::new());
    assert!(coloured(&model, true) && !coloured(&model, false));
    let buffer = drawn(100, 10, &model, false);
    let marked = |y| buffer[(0, y)].modifier.contains(Modifier::REVERSED);
    assert!(marked(4) && !marked(5), "the row that is looked at");
    model.paused = true;
    assert!(lines(60, 10, &model)[0].ends_with("PAUSED"));
}

#[test]
fn what_the_collector_lost_and_what_an_answer_lacks_is_told() {
    let note = Note::new(NoteKind::Unreadable, "a file could not be read");
    let mut model = answered(model(), vec![note]);
    let counters = |dropped| RecordsAnswer {
        decoded: 100,
        stored: 0,
        dropped,
        kernel_drops: 0,
    };
    model.update(Event::Report(Report::Collector(counters(5))));
    assert!(lines(60, 10, &model)[2].ends_with("collector lost 0"));
    model.update(Event::Report(Report::Collector(counters(17))));
    let shown = lines(60, 10, &model);
    assert!(shown[2].ends_with("collector lost 12"), "{shown:#?}");
    assert_eq!(shown[9], "note: a file could not be read");
}

#[test]
fn a_filter_is_written_where_it_is_shown_and_the_cursor_is_seen() {
    let mut model = answered(model(), Vec::new());
    model.filter = format!("ns == \"{}\" && dst_workload", "x".repeat(80));
    model.update(Event::Key(Key::Char('/')));
    let shown = lines(60, 12, &model);
    assert!(
        shown[1].starts_with("filter: …x") && shown[1].ends_with("dst_workload"),
        "{shown:#?}"
    );
    assert!(shown[2].ends_with("dst_workload_name"), "{shown:#?}");
    let mut terminal = Terminal::new(TestBackend::new(60, 12)).unwrap();
    let times = TimeStyle::new(TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH, Some(60));
    let look = Look {
        colours: false,
        times,
    };
    terminal
        .draw(|frame| draw(frame, &model, &look, Instant::now()))
        .unwrap();
    terminal.backend_mut().assert_cursor_position((59, 1));
}
