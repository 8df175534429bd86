//! What `weir status --server` shows of a collector: what it keeps, what does not go on,
//! who exports to it, and how far behind it is. Pure.

use jiff::Timestamp;
use serde::Serialize;
use weir_collector::api::exporters::{ExporterCountsAnswer, ExportersAnswer};
use weir_collector::api::status::{ReaderAnswer, RecordsAnswer, StatusAnswer, StoreAnswer};

use crate::show::shorten;
use crate::table::{Head, Table};
use crate::zone::TimeStyle;

/// All that a collector says of itself.
#[derive(Debug, Serialize)]
pub struct CollectorReport {
    /// What it keeps, and what became of the records.
    pub status: StatusAnswer,
    /// Who exports to it.
    pub exporters: ExportersAnswer,
}

impl CollectorReport {
    /// Nothing is to be mended.
    pub fn is_well(&self) -> bool {
        self.complaints().is_empty()
    }

    /// What is to be mended, a sentence each.
    pub fn complaints(&self) -> Vec<String> {
        let Some(store) = &self.status.store else {
            return Vec::new();
        };
        let unreadable = store
            .unreadable
            .iter()
            .map(|file| format!("{} is skipped: {}", file.file, file.reason));
        store.troubles.iter().cloned().chain(unreadable).collect()
    }

    /// Sentences that stand above the tables.
    pub fn summary(&self, now: Timestamp) -> Vec<String> {
        let mut lines = vec![format!("collector {}", self.status.version)];
        match &self.status.store {
            Some(store) => lines.extend(kept(store, now)),
            None => lines.push("nothing is stored: it was started without --data-dir".to_owned()),
        }
        lines.extend(self.status.records.as_ref().map(became));
        lines.extend(self.complaints());
        let without_role = self.exporters.without_role;
        if without_role > 1 {
            lines.push(format!(
                "{without_role} exporters are not Open vSwitch and have no role: two of them may count the same \
                 packets"
            ));
        }
        lines
    }

    /// The tiers of the store; none without one.
    pub fn tiers(&self, times: &TimeStyle) -> Option<Table> {
        let store = self.status.store.as_ref()?;
        let mut table = Table::new(vec![
            Head::whole("TIER").weighing(5),
            Head::number("SEGMENTS"),
            Head::number("ROWS").weighing(4),
            Head::number("BYTES").weighing(3),
            Head::whole(times.head("OLDEST")).weighing(2),
            Head::whole(times.head("NEWEST")).weighing(2),
        ]);
        for tier in &store.tiers {
            let at = |time: Option<Timestamp>| time.map_or("-".to_owned(), |at| times.show_at(at));
            table.push(vec![
                tier.tier.clone(),
                tier.segments.to_string(),
                shorten(tier.rows as f64),
                shorten(tier.bytes as f64),
                at(tier.oldest),
                at(tier.newest),
            ]);
        }
        Some(table)
    }

    /// Who exports, the most silent last.
    pub fn exporters(&self, now: Timestamp) -> Option<Table> {
        let mut all: Vec<&ExporterCountsAnswer> = self.exporters.exporters.iter().collect();
        if all.is_empty() {
            return None;
        }
        all.sort_by_key(|exporter| std::cmp::Reverse(exporter.last_seen));
        let mut table = Table::new(vec![
            Head::text("EXPORTER").weighing(9).cut_to(16),
            Head::text("NODE").weighing(8),
            Head::text("STANDING").weighing(3),
            Head::text("FORMATS").weighing(4),
            Head::number("RECORDS").weighing(7),
            Head::number("LOST").weighing(6),
            Head::number("REJECTED").weighing(5),
            Head::number("LAST SEEN").weighing(8),
        ]);
        for exporter in all {
            let rejected: u64 = exporter.rejected.iter().map(|refused| refused.datagrams).sum();
            let node = if exporter.node.is_empty() {
                "-"
            } else {
                &exporter.node
            };
            table.push(vec![
                exporter.address.to_string(),
                node.to_owned(),
                exporter.standing.clone(),
                exporter.formats.join(" "),
                shorten(exporter.counters.records as f64),
                shorten(exporter.counters.lost as f64),
                shorten(rejected as f64),
                exporter
                    .last_seen
                    .map_or("-".to_owned(), |at| format!("{} ago", since(at, now))),
            ]);
        }
        Some(table)
    }
}

fn kept(store: &StoreAnswer, now: Timestamp) -> Vec<String> {
    let newest = store
        .tiers
        .iter()
        .find(|tier| tier.tier == "raw")
        .and_then(|tier| tier.newest);
    let mut lines = vec![match newest {
        Some(newest) => format!(
            "{} rows in memory; the newest file ends {} ago",
            store.memory_rows,
            since(newest, now)
        ),
        None => format!("{} rows in memory, none in a file yet", store.memory_rows),
    }];
    lines.extend(store.disk.map(|disk| {
        let [free, total] = [disk.free, disk.total].map(|bytes| shorten(bytes as f64));
        let early = match disk.expired_early {
            0 => String::new(),
            records => format!("; {records} records expired early for want of room"),
        };
        format!("disk: {free} of {total} bytes are free{early}")
    }));
    lines.extend(store.readers.iter().filter_map(lag));
    lines
}

/// What somebody who reads the log lacks, where that is anything.
fn lag(reader: &ReaderAnswer) -> Option<String> {
    let dropped = reader.dropped_rows.iter().filter(|(_, rows)| **rows > 0);
    let dropped: Vec<_> = dropped.map(|(reason, rows)| format!("{rows} {reason}")).collect();
    let dropped = match dropped.is_empty() {
        true => String::new(),
        false => format!("; dropped: {}", dropped.join(", ")),
    };
    let is_there = if reader.attached {
        ""
    } else {
        ", which is not there,"
    };
    (reader.lag_rows > 0 || !dropped.is_empty() || !reader.attached).then(|| {
        format!(
            "reader {}{is_there}: {} records, {} bytes of at most {} wait{dropped}",
            reader.name,
            reader.lag_rows,
            shorten(reader.lag_bytes as f64),
            shorten(reader.max_bytes as f64),
        )
    })
}

fn became(records: &RecordsAnswer) -> String {
    let waiting = records
        .decoded
        .saturating_sub(records.stored)
        .saturating_sub(records.dropped);
    format!(
        "records since the start: {} decoded, {} stored, {} dropped, {waiting} on their way; {} datagrams dropped \
         by the kernel",
        records.decoded, records.stored, records.dropped, records.kernel_drops
    )
}

/// A length of time in its largest unit.
fn since(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    fn report(status: Value, exporters: Value) -> CollectorReport {
        CollectorReport {
            status: serde_json::from_value(status).unwrap(),
            exporters: serde_json::from_value(exporters).unwrap(),
        }
    }

    fn nobody() -> Value {
        json!({"exporters": [], "forgotten": 0, "without_role": 0})
    }

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn reader(name: &str, lag: u64, behind: u64) -> Value {
        json!({"name": name, "durable": false, "attached": true, "head": 3, "frame": 7, "lag_rows": lag,
            "lag_bytes": 2_000, "max_bytes": 64_000_000, "acknowledged_rows": 9,
            "dropped_rows": {"behind": behind, "disk_short": 0, "lost": 0}})
    }

    fn full(troubles: &[&str]) -> Value {
        json!({"version": "1", "exporters": [],
            "store": {"memory_rows": 7, "troubles": troubles, "unreadable": [],
                "tiers": [{"tier": "raw", "segments": 2, "rows": 1_500, "bytes": 2_000_000,
                    "oldest": "2026-11-28T12:00:00Z", "newest": "2026-11-29T11:55:00Z"}],
                "disk": {"free": 5_000_000_000_u64, "total": 20_000_000_000_u64, "expired_early": 3},
                "readers": [reader("tail", 0, 0), reader("stdout", 12, 5)]},
            "records": {"decoded": 100, "stored": 90, "dropped": 4, "kernel_drops": 1}})
    }

    #[test]
    fn a_report_says_what_is_kept_and_how_far_behind_it_is() {
        let report = report(full(&[]), nobody());
        let summary = report.summary(now()).join("\n");
        for part in [
            "7 rows in memory; the newest file ends 5 min ago",
            "5.0G of 20.0G bytes are free; 3 records expired early",
            "100 decoded, 90 stored, 4 dropped, 6 on their way",
            "reader stdout: 12 records, 2.0k bytes of at most 64.0M wait; dropped: 5 behind",
        ] {
            assert!(summary.contains(part), "{part}: {summary}");
        }
        assert!(!summary.contains("reader tail"), "nothing is amiss: {summary}");
        let times = TimeStyle::new(TimeZone::UTC, now(), None);
        let lines = report.tiers(&times).unwrap().lines(None);
        assert!(lines[1].starts_with("raw          2  1.5k   2.0M"), "{lines:#?}");
        assert!(report.is_well() && report.exporters(now()).is_none());
    }

    #[test]
    fn what_does_not_go_on_is_told_and_is_not_well() {
        let report = report(full(&["sealing: no space left on device"]), nobody());
        assert!(!report.is_well());
        assert!(
            report
                .summary(now())
                .contains(&"sealing: no space left on device".to_owned())
        );
    }

    #[test]
    fn a_collector_that_stores_nothing_says_so() {
        let report = report(json!({"version": "1", "exporters": []}), nobody());
        assert!(report.summary(now()).join("\n").contains("--data-dir"));
        let times = TimeStyle::new(TimeZone::UTC, now(), None);
        assert!(report.tiers(&times).is_none() && report.is_well());
    }
}
