use super::*;

fn table() -> Table {
    let mut table = Table::new(vec![Head::text("NAME").weighing(2), Head::number("BYTES")]);
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
fn the_widest_text_is_cut_to_fit_the_terminal() {
    let lines = table().lines(Some(24));
    assert_eq!(lines[2], "a-very-long-nam…  123456");
    assert!(lines.iter().all(|line| line.width() <= 24));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_what_is_left_out_is_told() {
    let mut table = Table::new(vec![
        Head::text("SOURCE").weighing(5),
        Head::number("BYTES").weighing(4),
        Head::number("PACKETS"),
        Head::text("VERDICT"),
    ]);
    let row = ["shop/a-pod-with-a-name:8080", "1234567890", "123", "delivered"];
    table.push(row.map(str::to_owned).to_vec());
    for width in 1..100 {
        let layout = table.layout(Some(width));
        let lines = table.lines(Some(width));
        assert!(
            lines.iter().all(|line| line.width() <= width),
            "{width}: {lines:?}"
        );
        // A number that is there is there as a whole.
        let shown = layout.columns.iter().filter(|(at, _)| *at == 1).count();
        assert_eq!(lines[1].contains("1234567890"), shown == 1, "{width}: {lines:?}");
        assert_eq!(layout.columns.len() + layout.left_out.len(), 4);
    }
    assert_eq!(table.layout(Some(38)).left_out, ["VERDICT"]);
    assert_eq!(table.layout(Some(25)).left_out, ["PACKETS", "VERDICT"]);
    assert_eq!(table.layout(Some(12)).left_out, ["BYTES", "PACKETS", "VERDICT"]);
    assert!(table.layout(Some(60)).left_out.is_empty());
    assert!(table.layout(None).left_out.is_empty());
}

#[test]
fn rows_that_come_later_stand_below_those_before() {
    let heads = || vec![Head::text("NAME").at_least(10), Head::number("BYTES").at_least(7)];
    let layout = Table::new(heads()).layout(Some(40));
    let line = |name: &str, bytes: &str| {
        let mut table = Table::new(heads());
        table.push(vec![name.into(), bytes.into()]);
        let mut out = Vec::new();
        table.print(&mut out, &layout, false).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(line("web", "12"), "web              12\n");
    assert_eq!(line("a-very-long-name", "1.2k"), "a-very-lo…     1.2k\n");
}

#[test]
fn what_would_steer_the_terminal_is_not_written() {
    let mut table = table();
    table.push(vec!["\u{1b}[31mred\n".into(), "宽".into()]);
    let line = table.lines(None).pop().unwrap();
    assert!(!line.contains('\u{1b}') && line.contains("[31mred"));
    assert!(line.ends_with(" 宽"), "{line}");
}

#[test]
fn json_says_the_same_when_it_steers_no_terminal() {
    let value = serde_json::json!({"a\u{9b}\u{202e}": ["\u{1b}[31m", "\u{e0041}\u{ad}", "grün"], "port": 80});
    for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
        let tamed = harmless_json(&json);
        assert!(!tamed.chars().any(|c| steers(c) && c != '\n'), "{tamed:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&tamed).unwrap(), value);
        assert!(tamed.contains("grün"));
    }
    assert_eq!(harmless_lines("a\u{1b}\nb"), "a\u{fffd}\nb");
}
