//! What a gate before the folder and its database has refused, as numbers. Pure.

use serde_json::{Map, Value, json};

/// Why something is refused, in words of which there are no others.
pub const REASONS: [&str; 8] = [
    "method",
    "parameters",
    "column",
    "operation",
    "bounds",
    "too_many",
    "peer",
    "unasked",
];

/// How often something was refused since the gate began, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusalCounts([u64; REASONS.len()]);

impl RefusalCounts {
    /// One more, if there is such a reason.
    pub fn add(&mut self, reason: &str) {
        let counts = REASONS.iter().zip(&mut self.0);
        if let Some((_, count)) = counts.into_iter().find(|(known, _)| **known == reason) {
            *count = count.saturating_add(1);
        }
    }

    /// Each reason with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.0)
    }

    /// Reasons of which there are more than before. A gate that began anew counts from zero.
    pub fn grown_since(&self, before: &Self) -> impl Iterator<Item = &'static str> {
        let anew = self.0.iter().zip(before.0).any(|(now, before)| *now < before);
        let before = if anew { Self::default() } else { *before };
        let counts = REASONS.into_iter().zip(self.0).zip(before.0);
        counts
            .filter(|((_, now), before)| now > before)
            .map(|((reason, _), _)| reason)
    }

    /// As an answer.
    pub fn to_json(&self) -> Value {
        let counts = self
            .iter()
            .map(|(reason, count)| (reason.to_owned(), json!(count)));
        Value::Object(counts.collect::<Map<_, _>>())
    }

    /// Reads an answer; reasons of another version are left out.
    pub fn read(answer: &Value) -> Option<Self> {
        let counts = answer.as_object()?;
        let count = |reason: &str| counts.get(reason).and_then(Value::as_u64).unwrap_or(0);
        Some(Self(REASONS.map(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(reasons: &[&str]) -> RefusalCounts {
        let mut counts = RefusalCounts::default();
        reasons.iter().for_each(|reason| counts.add(reason));
        counts
    }

    #[test]
    fn what_was_refused_is_read_as_it_was_written_and_reasons_of_others_are_left_out() {
        let known = counts(&["peer", "peer", "bounds", "of another version"]);
        assert_eq!(RefusalCounts::read(&known.to_json()), Some(known));
        assert_eq!(known.iter().map(|(_, count)| count).sum::<u64>(), 3, "{known:?}");
        let mut of_another = known.to_json();
        of_another["of another version"] = json!(7);
        of_another["method"] = json!("x");
        assert_eq!(RefusalCounts::read(&of_another), Some(known));
        assert_eq!(RefusalCounts::read(&json!([])), None);
    }

    #[test]
    fn what_has_grown_is_named_also_of_a_gate_that_began_anew() {
        let grown =
            |now: &RefusalCounts, before: &RefusalCounts| -> Vec<_> { now.grown_since(before).collect() };
        let before = counts(&["peer", "peer", "method"]);
        assert_eq!(grown(&before, &before), [""; 0]);
        assert_eq!(
            grown(&counts(&["peer", "peer", "method", "bounds"]), &before),
            ["bounds"]
        );
        assert_eq!(grown(&counts(&["peer"]), &before), ["peer"]);
        assert_eq!(grown(&RefusalCounts::default(), &before), [""; 0]);
    }
}
