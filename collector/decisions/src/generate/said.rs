//! What was learnt and what not, in words.

use weir_policy::generate::{Generated, GenerationReport, Skipped};
use weir_policy::words;

use crate::{EdgeRow, TallyRow, Traffic, grouped, tally};

/// So many edges that were tried in vain are named.
const MOST_TRIED: usize = 20;

pub(super) fn lines(generated: &Generated, traffic: &Traffic) -> Vec<String> {
    let report = &generated.report;
    let sum = |of: &weir_policy::edges::Tally| tally(&TallyRow::from(of));
    let mut lines = vec![format!(
        "learnt from {} of {}",
        sum(&report.learnt),
        sum(&report.all)
    )];
    for (why, of_it) in &report.skipped {
        lines.push(format!("  not from {}: {}", sum(of_it), skipped(*why)));
    }
    let width = &report.width;
    let cut = if width.is_cut { " at least" } else { "" };
    lines.push(format!(
        "pairs of ends and ports: {} seen, {}{cut} allowed",
        grouped(width.seen),
        grouped(width.allowed)
    ));
    rest(&mut lines, report, traffic);
    lines
}

fn rest(lines: &mut Vec<String>, report: &GenerationReport, traffic: &Traffic) {
    for edge in report.tried.iter().take(MOST_TRIED) {
        lines.push(format!("tried: {}", EdgeRow::of(&traffic.edges, edge)));
    }
    for network in &report.aggregated {
        lines.push(format!(
            "{} {}: {} stands for {} addresses",
            network.policy,
            words::direction(network.direction),
            network.network,
            network.seen
        ));
    }
    for (policy, direction) in &report.open {
        let direction = words::direction(*direction);
        lines.push(format!(
            "{policy}: {direction} stays open, for nothing was seen of it"
        ));
    }
    for policy in &report.changed_by_hand {
        lines.push(format!(
            "{policy} was changed by hand: it is left alone, and ours stands beside it"
        ));
    }
    for policy in &report.obsolete {
        lines.push(format!("{policy} is Weir's, and nothing asks for it any more"));
    }
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
}

fn skipped(why: Skipped) -> String {
    match why {
        Skipped::OutOfScope => "neither end gets a policy".to_owned(),
        Skipped::NeedsNoRule => "a policy has no say: own node, probes, the pod itself".to_owned(),
        Skipped::AllowedAlready => "hand-written policies allow it".to_owned(),
        Skipped::Denied => "policies deny it (--denied)".to_owned(),
        Skipped::Unanswered => "nobody answered (--unanswered)".to_owned(),
        Skipped::Weak => "who called is known too weakly (--weak)".to_owned(),
        Skipped::Ephemeral => "a port that clients use, on weak evidence".to_owned(),
        Skipped::Protocol => "a protocol that NetworkPolicies cannot name".to_owned(),
        Skipped::NoSelector => "an end has no labels that last, and no address".to_owned(),
        Skipped::Unknown(reason) => format!("the ends are not known: {}", reason.name()),
    }
}
