//! Fills a directory with named flows of the last hours, for who wants to look at them: the
//! tests of the web UI do. The same flows for the same number of rows, but for their time; some
//! are between strangers whose names are to break what shows them.
//!
//! `cargo run --example fill -- DIRECTORY [ROWS [HOURS]]`

#![allow(clippy::unwrap_used, reason = "a tool for tests fails by panicking")]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../../store/tests/flows/mod.rs"]
mod flows;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flows::Flows;
use jiff::Timestamp;
use weir_flow::{FlowRecord, Identity, Judged, Kind, PolicySide, PolicyVerdict, Server, Verdict};
use weir_store::{Settings, open};

const HOUR: i64 = 3_600_000_000;
const ENDPOINTS: usize = 400;
/// Records that are handed over at once.
const BATCH: usize = 4_096;
/// One in so many is dropped.
const DROPPED: usize = 97;
/// One in so many is between two whose names are to break what shows them.
const HOSTILE: usize = 401;
/// Names that are markup, code, conditions, other directions of writing, or keys that objects have.
const HOSTILE_NAMES: [&str; 9] = [
    "<img src=x onerror=globalThis.broken=1>",
    "</script><script>globalThis.broken=1</script>",
    "\"'quotes\\\" && 1 == 1 || \"",
    "\u{202e}gnp.exe\u{2066}mirror\u{200f}",
    "a,b;c=d~e&f%20g#h?i/j",
    "line\nbreak\ttab",
    "__proto__",
    "constructor",
    "${globalThis.broken=1}{{broken}}",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.first().expect("a directory is named");
    let number = |at: usize, usual: i64| arguments.get(at).map_or(usual, |text| text.parse().unwrap());
    let (rows, hours) = (number(1, 100_000), number(2, 3));
    let (mut writer, _, _) = open(Settings::new(Path::new(directory))).unwrap();
    let mut flows = Flows::new(1, ENDPOINTS);
    flows.now = Timestamp::now().as_microsecond() - hours * HOUR;
    flows.pace = hours * HOUR / rows;
    let rows = usize::try_from(rows).unwrap();
    let strangers = strangers();
    for done in (0..rows).step_by(BATCH) {
        let mut batch = flows.batch(BATCH.min(rows - done));
        for record in batch.iter_mut().step_by(DROPPED) {
            record.verdict = Verdict::Dropped;
            record.dropped_packets = record.packets;
            record.dropped_bytes = record.bytes;
        }
        for (number, record) in batch.iter_mut().skip(1).step_by(HOSTILE).enumerate() {
            let at = number % strangers.len();
            record.src.identity = Arc::clone(&strangers[at]).into();
            record.dst.identity = Arc::clone(&strangers[(at + 1) % strangers.len()]).into();
        }
        for record in &mut batch {
            record.policy = judged(record);
        }
        while writer.append(&batch).is_err() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    writer.seal().unwrap();
    writer.close();
}

/// Whoever has such a name, and one whose name is as long as names may be.
fn strangers() -> Vec<Arc<Identity>> {
    let long = "long-".repeat(50);
    let names = HOSTILE_NAMES.into_iter().chain([long.as_str()]);
    let identity = |name: &str| Identity {
        kind: Kind::Pod,
        name: name.into(),
        ns: name.into(),
        workload_name: name.into(),
        workload_kind: "Stranger".into(),
        zone: "hostile".into(),
        ..Identity::default()
    };
    names.map(|name| Arc::new(identity(name))).collect()
}

/// What policies say of it: each namespace of servers has one thing said of it.
fn judged(record: &FlowRecord) -> Judged {
    let server = match record.server {
        Server::Src => &record.src,
        _ => &record.dst,
    };
    let side = |rule: &str, action| PolicySide {
        policy: format!("{}/guard", server.identity.ns).into(),
        rule: rule.into(),
        action,
    };
    let (answer, reason, ingress) = match &*server.identity.ns {
        "team-0" => ("deny", "isolation", side("", "")),
        "team-1" => ("allow", "rule", side("ingress[0]", "allow")),
        "team-2" => ("allow", "default", PolicySide::default()),
        "team-3" => ("unknown", "gap", PolicySide::default()),
        _ => return Judged::NOT,
    };
    Judged::from(PolicyVerdict {
        answer,
        reason,
        ingress,
        egress: PolicySide::default(),
    })
}
