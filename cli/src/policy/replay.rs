//! What replay, generation and the reports have in common: the traffic, and the cluster that
//! it is held against.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use weir_policy::edges::Tally;
use weir_policy::inventory::Inventory;

use super::evidence::{Evidence, EvidenceArgs};
use super::source::{ObjectArgs, REPLAY, Source};
use crate::cluster::ClusterArgs;
use crate::terminal;
use crate::zone::TimeStyle;

/// Traffic, and policies.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub objects: ObjectArgs,
    #[command(flatten)]
    pub evidence: EvidenceArgs,
}

/// All that was read.
#[derive(Debug)]
pub struct Held {
    /// Objects and policies.
    pub source: Source,
    /// Workloads and Services.
    pub inventory: Inventory,
    /// What was seen.
    pub evidence: Evidence,
}

impl ReplayArgs {
    /// Reads objects first: who may not read them learns so before a long question.
    ///
    /// # Errors
    /// Objects or traffic cannot be had.
    pub async fn read(&self) -> Result<Held> {
        let cluster = ClusterArgs {
            kubeconfig: self.evidence.source.kubeconfig.clone(),
            context: self.evidence.source.context.clone(),
        };
        let source = Source::read(&self.objects, &cluster, &REPLAY).await?;
        Ok(Held {
            inventory: source.objects.inventory(Vec::new()),
            evidence: self.evidence.gather().await?,
            source,
        })
    }

    /// How times are shown.
    pub fn times(&self) -> TimeStyle {
        TimeStyle::new(self.evidence.time().zone(), Timestamp::now(), terminal::width())
    }
}

/// `12 edges, 3,400 flows`.
pub fn tally(tally: &Tally) -> String {
    let edges = if tally.edges == 1 { "edge" } else { "edges" };
    let flows = if tally.flows == 1 { "flow" } else { "flows" };
    format!(
        "{} {edges}, {} {flows}",
        grouped(tally.edges),
        grouped(tally.flows)
    )
}

/// With a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits.get(..first).unwrap_or_default().to_owned();
    for at in (first..digits.len()).step_by(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(digits.get(at..at + 3).unwrap_or_default());
    }
    text
}

/// A moment in nanoseconds since 1970 as people read it.
pub fn moment(times: &TimeStyle, nanoseconds: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(nanoseconds));
    at.map_or_else(|_| "-".to_owned(), |at| times.show_at(at))
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_told_apart() {
        let all = [0, 12, 999, 1000, 20_163, 6_310_223].map(grouped);
        assert_eq!(all, ["0", "12", "999", "1,000", "20,163", "6,310,223"]);
    }
}
