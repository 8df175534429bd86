use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_collector::api::answer::{QueryAnswer, Row};
use weir_collector::api::status::RecordsAnswer;
use weir_query::Measure;

use super::*;
use crate::watch::grouping;
use crate::watch::keys::Key;
use crate::watch::records::Missed;

fn row(value: Value) -> Row {
    serde_json::from_value(value).unwrap()
}

fn model() -> Model {
    let settings = Settings {
        source: "http://here".to_owned(),
        top: 100,
    };
    let mut model = Model::new(settings, String::new(), grouping::all(&[]));
    model.update(Event::Height(10));
    model
}

fn press(model: &mut Model, keys: &str) {
    for c in keys.chars() {
        let key = match c {
            '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\u{1b}' => Key::Escape,
            c => Key::Char(c),
        };
        model.update(Event::Key(key));
    }
}

/// Answers what is wanted now.
fn answer(model: &mut Model, rows: &[Value]) {
    let Wanted::Sums(of) = model.wanted() else {
        panic!("no sums are wanted: {:?}", model.wanted());
    };
    let answer = QueryAnswer {
        rows: rows.iter().cloned().map(row).collect(),
        groups: rows.len(),
        ..QueryAnswer::default()
    };
    let (at, took) = (Instant::now(), Duration::ZERO);
    model.update(Event::Report(Report::Sums(Box::new(Sums {
        of,
        answer,
        at,
        took,
    }))));
}

fn pair(ns: &str, dst_ns: &str, bytes: u64, packets: u64) -> Value {
    json!({"ns": ns, "dst_ns": dst_ns, "bytes": bytes, "packets": packets})
}

fn question(model: &Model) -> Question {
    match model.wanted() {
        Wanted::Sums(question) => *question,
        other => panic!("{other:?}"),
    }
}

fn selected_ns(model: &Model) -> String {
    let place = model.selected().unwrap();
    let row = &model.current_sums().unwrap().answer.rows[place];
    row.0["ns"].as_str().unwrap().to_owned()
}

#[test]
fn enter_goes_down_with_the_row_in_the_filter_and_escape_back_to_the_row() {
    let mut model = model();
    answer(&mut model, &[pair("shop", "bank", 9, 1), pair("shop", "", 5, 1)]);
    press(&mut model, "j\n");
    assert_eq!(model.filter, "ns == \"shop\" && dst_ns == \"\"");
    assert_eq!(model.grouping().unwrap().name, "workloads");
    assert!(model.selected().is_none(), "what was there is of something else");
    let workload = json!({"ns": "shop", "workload_kind": "Deployment", "workload_name": "web",
        "dst_ns": "", "dst_workload_kind": "internet", "dst_workload_name": ""});
    answer(&mut model, &[workload]);
    press(&mut model, "\n");
    assert_eq!(model.grouping().unwrap().name, "pods");
    assert!(model.filter.contains("dst_workload_kind == \"internet\""));
    press(&mut model, "\u{1b}\u{1b}");
    assert_eq!(
        (model.filter.as_str(), model.grouping().unwrap().name.as_str()),
        ("", "namespaces")
    );
    answer(
        &mut model,
        &[
            pair("shop", "bank", 9, 1),
            pair("x", "y", 8, 1),
            pair("shop", "", 5, 1),
        ],
    );
    assert_eq!(model.selected(), Some(2), "the row that was left");
    press(&mut model, "\u{1b}");
    assert!(
        model.said.as_ref().is_some_and(|said| said.contains("began")),
        "{:?}",
        model.said
    );
    assert!(!model.over);
}

#[test]
fn the_last_grouping_leads_to_records_and_a_record_is_shown_whole() {
    let mut model = model();
    press(&mut model, "5");
    answer(&mut model, &[json!({"protocol": "tcp", "dst_port": 443})]);
    press(&mut model, "\n");
    assert_eq!(model.filter, "protocol == \"tcp\" && dst_port == 443");
    let Wanted::Records(of) = model.wanted() else {
        panic!("{:?}", model.wanted());
    };
    let rows = vec![row(json!({"bytes": 1})), row(json!({"bytes": 2}))];
    model.update(Event::Report(Report::Records {
        of,
        rows,
        missed: Missed::default(),
    }));
    press(&mut model, "\n");
    assert!(
        matches!(&model.dialog, Dialog::Record(row, 0) if row.0["bytes"] == 2),
        "the newest is first"
    );
    press(&mut model, "\u{1b}");
    assert_eq!((&model.dialog, model.place), (&Dialog::None, Place::Records));
}

#[test]
fn the_row_that_is_looked_at_stays_it_when_the_order_changes_and_the_first_place_stays_the_first() {
    let mut model = model();
    answer(&mut model, &[pair("a", "x", 9, 1), pair("b", "x", 5, 3)]);
    press(&mut model, "j");
    answer(&mut model, &[pair("b", "x", 12, 3), pair("a", "x", 9, 1)]);
    assert_eq!((selected_ns(&model).as_str(), model.selected()), ("b", Some(0)));
    press(&mut model, "k");
    answer(&mut model, &[pair("c", "x", 20, 3), pair("b", "x", 12, 3)]);
    assert_eq!(selected_ns(&model), "c");
    press(&mut model, "j");
    answer(&mut model, &[pair("c", "x", 20, 3)]);
    assert_eq!(selected_ns(&model), "c", "a row that is gone");
    answer(&mut model, &[]);
    assert_eq!(model.selected(), None);
    press(&mut model, "jk\nx");
    assert_eq!(model.filter, "");
}

#[test]
fn another_order_is_shown_at_once_and_asked_for() {
    let mut model = model();
    answer(&mut model, &[pair("b", "x", 9, 1), pair("a", "x", 5, 3)]);
    press(&mut model, "p");
    assert_eq!(question(&model).by, Measure::Packets);
    assert_eq!(selected_ns(&model), "a");
    press(&mut model, "b");
    assert_eq!(selected_ns(&model), "b");
    press(&mut model, "n");
    assert_eq!(question(&model).by, Measure::Bytes);
    assert_eq!(selected_ns(&model), "a");
    answer(&mut model, &[pair("z", "x", 9, 1), pair("m", "x", 5, 3)]);
    assert_eq!(selected_ns(&model), "m");
}

#[test]
fn another_order_is_shown_while_it_is_stopped_though_more_is_asked_for_then() {
    let mut model = model();
    answer(&mut model, &[pair("a", "b", 300, 1), pair("c", "d", 200, 9)]);
    press(&mut model, " +p");
    let first = |model: &Model| model.sums.as_ref().unwrap().answer.rows[0].0["ns"].clone();
    assert_eq!(first(&model), "c");
    press(&mut model, "b");
    assert_eq!(first(&model), "a");
}

#[test]
fn an_answer_to_what_is_not_wanted_any_more_is_left() {
    let mut model = model();
    let Wanted::Sums(of) = model.wanted() else {
        panic!("no sums");
    };
    press(&mut model, "2");
    let answer = QueryAnswer {
        rows: vec![row(pair("a", "b", 1, 1))],
        ..QueryAnswer::default()
    };
    let (at, took) = (Instant::now(), Duration::ZERO);
    model.update(Event::Report(Report::Sums(Box::new(Sums {
        of,
        answer,
        at,
        took,
    }))));
    assert!(model.current_sums().is_none() && model.selected().is_none());
    let of = Wanted::Nothing;
    let why = "no".to_owned();
    model.update(Event::Report(Report::Refused { of, why }));
    assert_eq!(model.connection, Connection::Waiting);
}

#[test]
fn a_filter_is_asked_for_when_it_is_one_and_told_what_is_wrong_otherwise() {
    let mut model = model();
    press(&mut model, "/nss == \"a\"\n");
    let Dialog::Filter(line) = &model.dialog else {
        panic!("{:?}", model.dialog);
    };
    assert!(
        line.problem
            .as_ref()
            .is_some_and(|problem| problem.contains("nss")),
        "{line:?}"
    );
    assert_eq!(model.filter, "");
    press(&mut model, "\u{1b}/ns == \"q");
    let wanted = model.wanted_values().unwrap();
    assert_eq!((wanted.field.as_str(), wanted.prefix.as_str()), ("ns", "q"));
    let values = vec!["quay".to_owned()];
    let (field, prefix) = (wanted.field, wanted.prefix);
    model.update(Event::Report(Report::Values {
        field,
        prefix,
        values,
    }));
    press(&mut model, "\t\n");
    assert_eq!(
        (model.filter.as_str(), &model.dialog),
        ("ns == \"quay\"", &Dialog::None)
    );
    assert_eq!(question(&model).filter, model.filter);
    assert!(!model.over, "q was text");
    press(&mut model, "/");
    model.update(Event::Paste(" && dst_port == 443\n".to_owned()));
    press(&mut model, "\n");
    assert_eq!(model.filter, "ns == \"quay\" && dst_port == 443");
    press(&mut model, "c");
    assert_eq!(model.filter, "");
    press(&mut model, "\u{1b}\u{1b}");
    assert_eq!(model.filter, "ns == \"quay\"");
}

#[test]
fn a_row_is_left_out_by_a_key() {
    let mut model = model();
    model.filter = "ns == \"a\" || ns == \"b\"".to_owned();
    answer(&mut model, &[pair("a", "x", 9, 1)]);
    press(&mut model, "x");
    assert_eq!(
        model.filter,
        "(ns == \"a\" || ns == \"b\"\n) && !(ns == \"a\" && dst_ns == \"x\")"
    );
    weir_query::compile(&model.filter).unwrap();
    assert_eq!(model.grouping().unwrap().name, "namespaces");
}

#[test]
fn nothing_moves_while_it_is_stopped_and_records_that_wait_are_shown_then() {
    let mut model = model();
    answer(&mut model, &[pair("a", "x", 9, 1)]);
    press(&mut model, " ");
    assert_eq!(model.wanted(), Wanted::Nothing);
    assert!(model.current_sums().is_some(), "what is there stays");
    press(&mut model, "  r ");
    let Wanted::Records(of) = model.wanted() else {
        panic!("{:?}", model.wanted());
    };
    let missed_seven = Missed {
        records: 7,
        and_more: false,
    };
    let rows = vec![Row::default(); 3];
    model.update(Event::Report(Report::Records {
        of,
        rows,
        missed: missed_seven,
    }));
    assert_eq!(
        (model.rows(), model.records.waiting(), model.records.missed),
        (0, 3, missed_seven)
    );
    press(&mut model, " ");
    assert_eq!((model.rows(), model.records.waiting()), (3, 0));
}

#[test]
fn what_the_collector_lost_is_counted_from_when_one_began() {
    let mut model = model();
    let counters = |decoded, dropped, kernel_drops| {
        Event::Report(Report::Collector(RecordsAnswer {
            decoded,
            stored: 0,
            dropped,
            kernel_drops,
        }))
    };
    assert_eq!(model.lost_at_collector(), None);
    model.update(counters(1_000, 50, 5));
    assert_eq!(model.lost_at_collector(), Some((0, 0)));
    model.update(counters(2_000, 53, 9));
    assert_eq!(model.lost_at_collector(), Some((3, 4)));
    model.update(counters(10, 1, 0));
    model.update(counters(20, 3, 0));
    assert_eq!(
        model.lost_at_collector(),
        Some((6, 4)),
        "it was started anew, and what it lost before is lost"
    );
    // It has decoded more than before already.
    model.update(counters(3_000, 2, 1));
    assert_eq!(model.lost_at_collector(), Some((8, 5)));
}

/// Nobody answers what is wanted now.
fn lose(model: &mut Model) {
    let (of, why, again_in) = (model.wanted(), "gone".to_owned(), Duration::from_secs(1));
    model.update(Event::Report(Report::Lost { of, why, again_in }));
}

#[test]
fn what_was_said_of_an_earlier_wish_is_left_though_the_same_is_wanted_again() {
    let mut model = model();
    press(&mut model, "r");
    let before = model.wanted();
    press(&mut model, "1r");
    assert_ne!(model.wanted(), before, "the newest are asked for again");
    let Wanted::Records(of) = before.clone() else {
        panic!("{before:?}");
    };
    let (rows, missed) = (vec![Row::default(); 3], Missed::default());
    model.update(Event::Report(Report::Records { of, rows, missed }));
    let (why, again_in) = ("gone".to_owned(), Duration::from_secs(1));
    model.update(Event::Report(Report::Lost {
        of: before.clone(),
        why,
        again_in,
    }));
    model.update(Event::Report(Report::Connected { of: before }));
    assert_eq!((model.rows(), &model.connection), (0, &Connection::Waiting));
}

#[test]
fn a_connection_that_was_lost_is_not_said_to_be_tried_while_nothing_is_asked() {
    let mut model = model();
    let before = model.wanted();
    lose(&mut model);
    press(&mut model, " ");
    assert_eq!(model.connection, Connection::Waiting);
    let (why, again_in) = ("gone".to_owned(), Duration::from_secs(1));
    model.update(Event::Report(Report::Lost {
        of: before,
        why,
        again_in,
    }));
    assert_eq!(model.connection, Connection::Waiting, "it comes late");
}

#[test]
fn a_lost_connection_keeps_what_is_there_and_a_refusal_ends_with_another_question() {
    let mut model = model();
    answer(&mut model, &[pair("a", "x", 9, 1)]);
    lose(&mut model);
    assert_eq!(model.rows(), 1);
    assert!(matches!(model.connection, Connection::Lost { .. }));
    answer(&mut model, &[pair("a", "x", 9, 1)]);
    assert_eq!(model.connection, Connection::Live);
    let (of, why) = (model.wanted(), "you may not".to_owned());
    model.update(Event::Report(Report::Refused { of, why }));
    assert_eq!(model.connection, Connection::Refused("you may not".to_owned()));
    press(&mut model, "2");
    assert_eq!(model.connection, Connection::Waiting);
}

#[test]
fn the_window_grows_and_shrinks_to_its_bounds() {
    let mut model = model();
    press(&mut model, "+");
    assert_eq!(question(&model).since.0, Moment::Ago(Duration::from_secs(300)));
    press(&mut model, "+++++++++");
    assert_eq!(model.window, Duration::from_secs(86_400));
    press(&mut model, "---------");
    assert_eq!(model.window, Duration::from_secs(10));
}

#[test]
fn the_shell_comes_back_for_a_while_whatever_is_open() {
    for start in ["", "/ns", "?"] {
        let mut model = model();
        press(&mut model, start);
        let before = model.dialog.clone();
        model.update(Event::Key(Key::Suspend));
        assert!(model.suspended && !model.over);
        assert_eq!(model.dialog, before);
    }
}

#[test]
fn each_key_is_taken_in_each_state() {
    let keys = [
        Key::Enter,
        Key::Escape,
        Key::Tab,
        Key::BackTab,
        Key::Backspace,
        Key::Delete,
        Key::EraseWord,
        Key::EraseLine,
        Key::Up,
        Key::Down,
        Key::Left,
        Key::Right,
        Key::Home,
        Key::End,
        Key::PageUp,
        Key::PageDown,
        Key::Suspend,
        Key::Other,
    ];
    let keys = keys.into_iter().chain((' '..='~').map(Key::Char));
    for start in ["", "?", "/", "r", "r\n", " "] {
        for with_rows in [false, true] {
            for key in keys.clone() {
                let mut model = model();
                if with_rows {
                    answer(&mut model, &[pair("a", "x", 9, 1), pair("b", "x", 5, 3)]);
                }
                press(&mut model, start);
                model.update(Event::Key(key));
                model.update(Event::Key(key));
                let ends = matches!(key, Key::Char('q' | 'Q')) && start != "/";
                assert!(!model.over || ends, "{start:?} {key:?}");
                let Some(selected) = model.selected() else {
                    continue;
                };
                assert!(selected < model.rows(), "{start:?} {key:?}");
            }
        }
        let mut model = model();
        press(&mut model, start);
        model.update(Event::Key(Key::Interrupt));
        assert!(model.over, "{start:?}");
    }
}
