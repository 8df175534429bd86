//! Ends that no policy tells apart, put together: what one of many may have been is evaluated once
//! for each class, and not for each end.

use super::snapshot::{Endpoint, EndpointKind, NONE};

/// Ends of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookalikes {
    /// One of them.
    one: Endpoint,
    /// Their numbers and those of their nodes, sorted.
    pods: Vec<u32>,
    nodes: Vec<u32>,
}

impl Lookalikes {
    /// Puts ends with something beside them together where both are the same to policies, in the
    /// order of the first of each. `None`: there are more than so many classes.
    pub fn of<T: PartialEq>(
        ends: impl IntoIterator<Item = (Endpoint, T)>,
        most: usize,
    ) -> Option<Vec<(Self, T)>> {
        let mut all: Vec<(Self, T)> = Vec::new();
        for (end, beside) in ends {
            let is_full = all.len() >= most;
            let is_it = |known: &&mut (Self, T)| known.0.is_like(&end) && known.1 == beside;
            match all.iter_mut().find(is_it) {
                Some((known, _)) => known.push(&end),
                None if is_full => return None,
                None => all.push((Self::one(end), beside)),
            }
        }
        for (known, _) in &mut all {
            for numbers in [&mut known.pods, &mut known.nodes] {
                numbers.sort_unstable();
                numbers.dedup();
            }
        }
        Some(all)
    }

    fn one(end: Endpoint) -> Self {
        Self {
            one: end,
            pods: vec![end.pod],
            nodes: vec![end.node],
        }
    }

    fn is_like(&self, end: &Endpoint) -> bool {
        let of = |end: &Endpoint| (end.class_key(), end.epoch, end.network, end.reaches_own_pods);
        of(&self.one) == of(end)
    }

    fn push(&mut self, end: &Endpoint) {
        self.pods.push(end.pod);
        self.nodes.push(end.node);
    }

    /// One end for each way in which they stand to another: the same pod or not, on the same node
    /// or not, as far as that counts.
    pub fn seen_by(&self, other: &Endpoint) -> impl Iterator<Item = Endpoint> + use<> {
        let of_pods = self.one.kind == EndpointKind::Pod && other.kind == EndpointKind::Pod;
        let has_node = self.one.kind == EndpointKind::Node || other.kind == EndpointKind::Node;
        let (same, elsewhere) = if of_pods {
            let (has, others) = split(&self.pods, other.pod);
            let same = Endpoint {
                pod: other.pod,
                node: other.node,
                ..self.one
            };
            (has.then_some(same), others.then_some(self.one.as_another_pod()))
        } else if has_node {
            let (has, others) = split(&self.nodes, other.node);
            let at = |node| Endpoint { node, ..self.one };
            (has.then(|| at(other.node)), others.then(|| at(NONE - 1)))
        } else {
            (Some(self.one), None)
        };
        same.into_iter().chain(elsewhere)
    }
}

/// Whether the number is among them, and whether others are.
fn split(numbers: &[u32], number: u32) -> (bool, bool) {
    let has = numbers.binary_search(&number).is_ok();
    (has, numbers.len() > usize::from(has))
}
