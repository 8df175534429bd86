//! What is said in the log of exporters whose data cannot be used: who, why, and what
//! helps. Anybody can send, so it is said seldom: of each exporter and kind once in
//! [`AGAIN_MS`], and of all together [`MOST`] times in [`WINDOW_MS`].

use std::net::IpAddr;
use std::sync::Arc;

use super::ExporterCounts;
use super::counts::LastReject;
use crate::bounded::BoundedMap;

/// Time between two warnings of one kind about one exporter.
const AGAIN_MS: u64 = 600_000;
/// So many warnings at most ...
const MOST: u32 = 20;
/// ... are given in this time.
const WINDOW_MS: u64 = 60_000;
/// Pairs of exporter and kind of which is known when they were warned of.
const MAX_WARNED: usize = 4_096;

/// When was warned of what.
#[derive(Debug)]
pub(super) struct Warner {
    warned: BoundedMap<(IpAddr, Kind), u64>,
    window_ms: u64,
    given: u32,
}

impl Default for Warner {
    fn default() -> Self {
        Self {
            warned: BoundedMap::new(MAX_WARNED),
            window_ms: 0,
            given: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Rejected(&'static str),
    Held,
    WithoutRecord,
    UnprovenMark,
    OptionsRefused,
    Unscaled,
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    exporter: IpAddr,
    reason: String,
    remedy: &'static str,
}

impl Warning {
    pub(super) fn log(&self) {
        let Self {
            exporter,
            reason,
            remedy,
        } = self;
        tracing::warn!(%exporter, reason, remedy, "an exporter's data cannot be used as it is");
    }
}

impl Warner {
    /// What is to be said about what was just counted of an exporter.
    pub(super) fn look(&mut self, exporter: IpAddr, fresh: &ExporterCounts) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (kind, reason) in reasons(fresh) {
            if self.is_due(exporter, kind, fresh.last_ms) {
                warnings.push(Warning {
                    exporter,
                    reason,
                    remedy: remedy(kind),
                });
            }
        }
        warnings
    }

    fn is_due(&mut self, exporter: IpAddr, kind: Kind, now_ms: u64) -> bool {
        // However far a clock that was set has moved, it is no reason to be silent for longer.
        let is_fresh = |at: &u64| now_ms.abs_diff(*at) < AGAIN_MS;
        if self.warned.get(&(exporter, kind)).is_some_and(is_fresh) {
            return false;
        }
        if now_ms.abs_diff(self.window_ms) >= WINDOW_MS {
            (self.window_ms, self.given) = (now_ms, 0);
        }
        if self.given >= MOST {
            return false;
        }
        self.given += 1;
        *self.warned.meet((exporter, kind), false) = now_ms;
        true
    }
}

fn reasons(fresh: &ExporterCounts) -> Vec<(Kind, String)> {
    let (mut reasons, counters) = (Vec::new(), &fresh.counters);
    let mut add = |kind, applies: bool, reason: &dyn Fn() -> String| {
        if applies {
            reasons.push((kind, reason()));
        }
    };
    if let Some(LastReject { reason, kind, .. }) = &fresh.last_reject {
        add(Kind::Rejected(kind), true, &|| reason.clone());
    }
    let sets = counters.sets_held + counters.sets_dropped;
    add(Kind::Held, sets > 0, &|| {
        format!("{sets} data sets came without their template")
    });
    let sets = counters.sets_without_record;
    add(Kind::WithoutRecord, sets > 0, &|| {
        format!("{sets} data sets yielded no record")
    });
    let node = fresh.claims.as_ref().map_or("", Arc::as_ref);
    add(Kind::UnprovenMark, counters.unproven_marks > 0, &|| {
        format!("it bears the mark of {node:?} and does not come from there")
    });
    let names = counters.options_refused;
    add(Kind::OptionsRefused, names > 0, &|| {
        format!("{names} names of interfaces came from an address of no node")
    });
    let records = counters.unscaled_records;
    add(Kind::Unscaled, records > 0, &|| {
        format!("{records} records have no sampling rate, though it tells of samplers")
    });
    reasons
}

const fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Rejected(_) => {
            "check that it exports NetFlow 5 or 9, IPFIX or sFlow 5 and that nothing on the way cuts its \
             datagrams; if so, report it with a capture"
        }
        Kind::Held => {
            "they are read when the template comes; let the exporter repeat its templates more often"
        }
        Kind::WithoutRecord => {
            "check that its template has addresses and counters; if so, report it with a capture"
        }
        Kind::UnprovenMark => {
            "if a Service, NAT or relay stands between it and that node, declare its address with --relay; \
             else give the exporter another observation domain, engine or agent"
        }
        Kind::OptionsRefused => {
            "let node daemons send from their node's address or their own pod's, or declare the address \
             between with --relay"
        }
        Kind::Unscaled => {
            "let the exporter repeat its sampler options more often, for each sampler and interface"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ExporterCounters;

    const EXPORTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn refused(kind: &'static str, now_ms: u64) -> ExporterCounts {
        let mut counts = ExporterCounts::default();
        counts.seen(now_ms);
        counts.reject(kind);
        counts.last_reject = Some(LastReject {
            reason: "cut short".into(),
            kind,
            at_ms: now_ms,
        });
        counts
    }

    #[test]
    fn a_warning_names_exporter_reason_and_remedy_and_comes_once_in_ten_minutes() {
        let mut warner = Warner::default();
        let warnings = warner.look(EXPORTER, &refused("truncated", 1));
        assert_eq!((warnings.len(), warnings[0].exporter), (1, EXPORTER));
        assert_eq!(warnings[0].reason, "cut short");
        assert!(warnings[0].remedy.contains("capture"));
        assert!(warner.look(EXPORTER, &refused("truncated", 2)).is_empty());
        assert_eq!(
            warner.look(EXPORTER, &refused("version", 2)).len(),
            1,
            "another kind"
        );
        let other = [192, 0, 2, 8].into();
        assert_eq!(warner.look(other, &refused("truncated", 2)).len(), 1);
        assert_eq!(
            warner.look(EXPORTER, &refused("truncated", 1 + AGAIN_MS)).len(),
            1
        );
    }

    #[test]
    fn a_clock_that_was_set_back_silences_no_warning() {
        const DAY_MS: u64 = 24 * 3_600_000;
        let mut warner = Warner::default();
        for n in 0..2 * MOST {
            warner.look(IpAddr::V4(n.into()), &refused("truncated", 2 * DAY_MS));
        }
        assert_eq!(warner.look(EXPORTER, &refused("truncated", DAY_MS)).len(), 1);
        assert_eq!(warner.look(EXPORTER, &refused("truncated", 1)).len(), 1);
        assert!(warner.look(EXPORTER, &refused("truncated", 2)).is_empty());
    }

    #[test]
    fn an_unproven_mark_is_warned_of_with_the_node_and_the_option() {
        let mut counts = ExporterCounts {
            counters: ExporterCounters {
                unproven_marks: 1,
                ..ExporterCounters::default()
            },
            claims: Some("node-a".into()),
            ..ExporterCounts::default()
        };
        counts.seen(1);
        let warnings = Warner::default().look(EXPORTER, &counts);
        assert!(warnings[0].reason.contains("node-a"), "{warnings:?}");
        assert!(warnings[0].remedy.contains("--relay"), "{warnings:?}");
    }

    #[test]
    fn a_flood_of_exporters_does_not_flood_the_log() {
        let mut warner = Warner::default();
        let mut given = 0;
        for n in 0..10_000_u32 {
            let exporter = IpAddr::V4(n.into());
            given += warner.look(exporter, &refused("version", 1)).len();
        }
        assert_eq!(given, MOST as usize);
        assert_eq!(warner.look(EXPORTER, &refused("version", 1 + WINDOW_MS)).len(), 1);
    }
}
