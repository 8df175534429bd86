//! Who called whom.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use weir_collector::api::answer::{MatrixAnswer, Row};
use weir_decisions::matrix::MIXED;

use super::cells::amount;
use super::records::NOTHING;
use super::sums::print;
use super::{for_eyes, json, text, write_csv, yaml};
use crate::output::{Output, Style};
use crate::table::{Head, Table};
use crate::zone::TimeStyle;

/// Below this width an end tells nobody anything.
const LEAST_END: usize = 16;

/// Kinds of workloads as kubectl shortens them.
const SHORT_KINDS: [(&str, &str); 6] = [
    ("Deployment", "deploy"),
    ("StatefulSet", "sts"),
    ("DaemonSet", "ds"),
    ("ReplicaSet", "rs"),
    ("Service", "svc"),
    ("Node", "node"),
];

/// Writes a matrix.
///
/// # Errors
/// Standard output is gone.
pub fn matrix(answer: &MatrixAnswer, style: &Style) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let rows = &*for_eyes(&answer.rows, style);
    match &style.output {
        Output::Table | Output::Wide => {
            let is_wide = style.output == Output::Wide;
            return print(&matrix_table(answer, is_wide, &style.times), style, &mut out);
        }
        Output::CustomColumns(columns) => {
            let mut table = Table::new(columns.iter().map(|(title, _)| Head::text(title)).collect());
            for row in &answer.rows {
                let cells = columns.iter().map(|(_, path)| path.show(row));
                let cells = cells.map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()));
                table.push(cells.collect());
            }
            return print(&table, style, &mut out);
        }
        Output::Json => json(&mut out, answer, style.width.is_some())?,
        Output::Csv => write_csv(&mut out, &answer.columns, rows, style.headers)?,
        Output::Yaml => yaml(&mut out, answer, style.width.is_some())?,
        Output::Name => {
            for row in rows {
                writeln!(out, "{} {}", end(row, ""), end(row, "dst_"))?;
            }
        }
        Output::JsonPath(template) => {
            for row in rows {
                writeln!(out, "{}", template.show(row))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// For people: wide, also what came back and what the direction rests on.
fn matrix_table(answer: &MatrixAnswer, is_wide: bool, times: &TimeStyle) -> Table {
    let has_ports = answer.columns.iter().any(|name| name == "dst_port");
    let mut heads = vec![
        Head::text("CLIENT").cut_to(LEAST_END).weighing(9),
        Head::text("SERVER").cut_to(LEAST_END).weighing(9),
    ];
    if has_ports {
        heads.push(Head::whole("PORT").weighing(8));
    }
    heads.push(Head::number("FLOWS").weighing(4));
    heads.push(Head::number("BYTES").weighing(7));
    if is_wide {
        heads.push(Head::number("REVERSE_BYTES").weighing(3));
        heads.push(Head::number("CONNECTIONS").weighing(3));
        heads.push(Head::whole(times.head("FIRST")).weighing(2));
    }
    heads.push(Head::whole(times.head("LAST")).weighing(5));
    heads.push(Head::whole("DIRECTION").weighing(6));
    if is_wide {
        heads.push(Head::text("EVIDENCE").weighing(1));
    }
    let has_policies = answer.columns.iter().any(|name| name == "policy_verdict");
    if has_policies {
        heads.push(Head::text("POLICY").cut_to(LEAST_END).weighing(8));
    }
    let mut table = Table::new(heads);
    for row in &answer.rows {
        let mut cells = vec![end(row, ""), end(row, "dst_")];
        if has_ports {
            cells.push(port(row));
        }
        cells.push(amount(row, "flows", !is_wide));
        cells.push(amount(row, "bytes", !is_wide));
        if is_wide {
            cells.push(amount(row, "reverse_bytes", false));
            cells.push(or_nothing(text(row, "connections")));
            cells.push(times.show(&text(row, "first_seen")));
        }
        cells.push(times.show(&text(row, "last_seen")));
        cells.push(text(row, "strength"));
        if is_wide {
            cells.push(or_nothing(text(row, "evidence")));
        }
        if has_policies {
            cells.push(or_nothing(policy(row)));
        }
        table.push(cells);
    }
    table
}

/// `allow shop/api ingress[0]`, `deny shop/api isolates ingress`, `allow default`; of rows whose
/// edges do not agree, what weighs most: `mixed: deny shop/api isolates ingress`.
fn policy(row: &Row) -> String {
    let field = |name: &str| text(row, &format!("policy_{name}"));
    let (verdict, reason, rule) = (text(row, "policy_verdict"), field("reason"), field("rule"));
    if verdict.is_empty() {
        return verdict;
    }
    // Of these reasons somebody denies; the others are why it cannot be said.
    let worst = match (verdict.as_str(), reason.as_str()) {
        (MIXED, "rule" | "isolation") => "mixed: deny",
        (MIXED, _) => "mixed: unknown",
        (verdict, _) => verdict,
    };
    match (rule.as_str(), reason.as_str()) {
        ("", reason) => format!("{worst} {reason}"),
        (rule, "rule") => format!("{worst} {rule}"),
        (rule, "isolation") => format!("{worst} {rule} isolates {}", field("side")),
        (rule, reason) => format!("{worst} {reason} {rule}"),
    }
}

fn or_nothing(cell: String) -> String {
    if cell.is_empty() { NOTHING.to_owned() } else { cell }
}

/// `443/tcp`; of what has no port, or none that is known, the protocol.
fn port(row: &Row) -> String {
    let (port, protocol) = (text(row, "dst_port"), text(row, "protocol"));
    match (port.is_empty(), protocol.is_empty()) {
        (false, false) => format!("{port}/{protocol}"),
        _ => or_nothing(port + &protocol),
    }
}

/// `shop/deploy/web`, `internet (payments)`.
fn end(row: &Row, side: &str) -> String {
    let field = |name: &str| text(row, &format!("{side}{name}"));
    let kind = field("workload_kind");
    let short = SHORT_KINDS.iter().find(|(long, _)| *long == kind);
    let kind = short.map_or_else(|| kind.to_lowercase(), |(_, short)| (*short).to_owned());
    let (workload, pod) = (field("workload_name"), field("pod_name"));
    let parts = match pod.is_empty() {
        true => [field("ns"), kind, workload],
        false => [field("ns"), pod, String::new()],
    };
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let subnet = field("subnet_label");
    match (parts.is_empty(), subnet.is_empty()) {
        (true, true) => "unknown".to_owned(),
        (false, true) => parts.join("/"),
        (true, false) => subnet,
        (false, false) => format!("{} ({subnet})", parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    fn answer() -> MatrixAnswer {
        let rows = [
            json!({"ns": "shop", "workload_kind": "Deployment", "workload_name": "frontend",
                "dst_ns": "shop", "dst_workload_kind": "Deployment", "dst_workload_name": "checkout",
                "dst_port": 5050, "protocol": "tcp", "flows": 48_210, "bytes": 3_300_000, "reverse_bytes": 12,
                "connections": 7, "first_seen": "2026-11-29T09:00:00Z", "last_seen": "2026-11-29T10:00:00Z",
                "strength": "proven", "evidence": ["syn", "port"]}),
            json!({"ns": "shop", "workload_kind": "Deployment", "workload_name": "checkout",
                "dst_workload_kind": "internet", "dst_subnet_label": "payments",
                "protocol": "icmp", "flows": 1, "bytes": 64, "reverse_bytes": 0,
                "first_seen": "2026-11-29T09:00:00Z", "last_seen": "2026-11-29T09:00:00Z",
                "strength": "unknown", "evidence": []}),
        ];
        MatrixAnswer {
            columns: ["ns", "dst_port"].map(str::to_owned).to_vec(),
            rows: rows.map(row).to_vec(),
            edges: 2,
            ..MatrixAnswer::default()
        }
    }

    #[test]
    fn a_matrix_names_both_ends_the_port_and_how_sure_the_direction_is() {
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, Some(80));
        let lines = matrix_table(&answer(), false, &times).lines(None);
        let expected = [
            "CLIENT                SERVER                PORT      FLOWS  BYTES  LAST (UTC)      DIRECTION",
            "shop/deploy/frontend  shop/deploy/checkout  5050/tcp  48.2k   3.3M  11-29 10:00:00  proven",
            "shop/deploy/checkout  internet (payments)   icmp          1     64  11-29 09:00:00  unknown",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_narrow_terminal_keeps_the_ends_and_the_port() {
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, Some(50));
        let table = matrix_table(&answer(), true, &times);
        let layout = table.layout(Some(50));
        assert!(layout.left_out.contains(&"EVIDENCE".to_owned()), "{layout:?}");
        let lines = table.lines(Some(50));
        assert!(lines.iter().all(|line| line.chars().count() <= 50), "{lines:?}");
        assert!(
            ["CLIENT", "SERVER", "PORT"]
                .iter()
                .all(|title| lines[0].contains(title))
        );
    }

    #[test]
    fn what_policies_say_is_a_column_where_it_was_asked_for() {
        let mut answer = answer();
        answer.columns.push("policy_verdict".to_owned());
        let said = json!({"policy_verdict": "deny", "policy_reason": "isolation", "policy_side": "ingress",
            "policy": "shop/checkout", "policy_rule": "shop/checkout", "policy_denied_flows": 5,
            "policy_unknown_flows": 0});
        answer.rows[0].0.extend(row(said).0);
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, Some(80));
        let lines = matrix_table(&answer, false, &times).lines(None);
        assert!(lines[0].ends_with("DIRECTION  POLICY"), "{lines:?}");
        assert!(
            lines[1].ends_with("proven     deny shop/checkout isolates ingress"),
            "{lines:?}"
        );
        assert!(lines[2].ends_with("unknown    <none>"), "{lines:?}");
    }

    #[test]
    fn a_verdict_is_told_with_who_decides_or_why() {
        let said = |verdict: &str, reason: &str, rule: &str| {
            policy(&row(
                json!({"policy_verdict": verdict, "policy_reason": reason, "policy_rule": rule,
                "policy_side": "ingress"}),
            ))
        };
        let all = [
            said("allow", "rule", "a/b ingress[0]"),
            said("allow", "default", ""),
            said("deny", "isolation", "hidden"),
            said("unknown", "identity", ""),
            said("unknown", "foreign", "a/b"),
            said("mixed", "isolation", "a/b"),
            said("mixed", "backend", ""),
            said("", "", ""),
        ];
        let expected = [
            "allow a/b ingress[0]",
            "allow default",
            "deny hidden isolates ingress",
            "unknown identity",
            "unknown foreign a/b",
            "mixed: deny a/b isolates ingress",
            "mixed: unknown backend",
            "",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn an_end_that_nobody_knows_says_so_and_a_pod_stands_for_its_workload() {
        assert_eq!(end(&row(json!({"ns": "", "workload_kind": ""})), ""), "unknown");
        let pod = json!({"ns": "a", "workload_kind": "DaemonSet", "workload_name": "d", "pod_name": "d-1"});
        assert_eq!(end(&row(pod), ""), "a/d-1");
        assert_eq!(
            end(&row(json!({"workload_kind": "Node", "workload_name": "n1"})), ""),
            "node/n1"
        );
    }
}
