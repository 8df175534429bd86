use serde_json::json;

use super::*;

fn row(value: Value) -> Row {
    serde_json::from_value(value).unwrap()
}

#[test]
fn an_end_is_its_name_or_else_its_address() {
    let end = |value| end(&row(value), ["ns", "name", "addr", "port"]);
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
fn numbers_are_short_for_people() {
    let short = [0.0, 999.0, 1000.0, 1_234_567.0, 2.5e12, 0.25].map(shorten);
    assert_eq!(short, ["0", "999", "1.0k", "1.2M", "2.5T", "0.2"]);
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
    let expected = [
        "NS        DST_NS  BYTES",
        "shop      -        5.0k",
        "(3 more)           1.5k",
        "(all)              6.5k",
    ];
    assert_eq!(sums_table(&answer, &by, true).lines(None), expected);
    assert!(sums_table(&answer, &by, false).lines(None)[1].ends_with("5000"));
}

#[test]
fn a_cell_of_csv_with_a_comma_is_quoted() {
    let mut out = Vec::new();
    let rows = [row(
        json!({"name": "a,\"b\"", "tcp_flags": ["SYN", "ACK"], "port": 80}),
    )];
    let columns = ["name", "tcp_flags", "port", "addr"].map(str::to_owned);
    write_csv(&mut out, &columns, &rows, true).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "name,tcp_flags,port,addr\n\"a,\"\"b\"\"\",SYN ACK,80,\n");
}

#[test]
fn a_clock_shows_the_time_of_day() {
    let time = |text: &str| clock(&row(json!({"time": text})), "time");
    assert_eq!(time("2026-01-31T12:13:14.123456Z"), "12:13:14.123");
    assert_eq!(time("2026-01-31T12:13:14Z"), "12:13:14");
}
