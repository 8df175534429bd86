//! Names and numbers as people read them.

use weir_policy::{Cni, RuleRef, words};

use crate::TallyRow;

/// The word for a network plugin.
pub fn profile_name(cni: Cni) -> &'static str {
    match cni {
        Cni::Spec => "spec",
        Cni::OvnKubernetes => "ovn-kubernetes",
        Cni::Antrea => "antrea",
        Cni::KubeOvn => "kube-ovn",
    }
}

/// `ns/name ingress[0]`, as a person finds it; the policy alone where no rule is meant.
pub fn rule_name(rule: &RuleRef) -> String {
    match rule.index {
        Some(index) => format!("{} {}[{index}]", rule.policy, words::direction(rule.direction)),
        None => rule.policy.to_string(),
    }
}

/// `12 edges, 3,400 flows`.
pub fn tally(tally: &TallyRow) -> String {
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

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_told_apart() {
        let all = [0, 12, 999, 1000, 20_163, 6_310_223].map(grouped);
        assert_eq!(all, ["0", "12", "999", "1,000", "20,163", "6,310,223"]);
    }
}
