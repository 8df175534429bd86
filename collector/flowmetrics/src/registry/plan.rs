//! What is done with a record, made of the metrics whenever these change: those with the same filters and labels are
//! a batch, and what several count is read once.

use super::{Batch, Member, Registry};
use crate::shared::SharedValue;

impl Registry {
    /// Puts together what a record is held against once.
    pub(crate) fn plan(&mut self) {
        (self.values, self.batches) = (Vec::new(), Vec::new());
        self.pairs.reset(self.groups.len());
        for (at, metric) in self.metrics.iter_mut().enumerate() {
            let source = metric.definition.value;
            let known = self.values.iter().position(|value| value.source == source);
            let value = known.unwrap_or_else(|| {
                self.values.push(SharedValue {
                    source,
                    generation: 0,
                    value: None,
                });
                self.values.len() - 1
            });
            let member = Member {
                metric: at,
                value,
                addition: metric.addition(),
                column: metric.series.column(),
            };
            metric.filters.sort_unstable();
            let all_observations = metric.definition.all_observations;
            let same = |batch: &&mut Batch| {
                (batch.group, batch.all_observations) == (metric.group, all_observations)
                    && batch.filters == metric.filters
            };
            match self.batches.iter_mut().find(same) {
                Some(batch) => batch.members.push(member),
                None => self.batches.push(Batch {
                    filters: metric.filters.clone(),
                    all_observations,
                    group: metric.group,
                    members: vec![member],
                    by_pair: None,
                }),
            }
        }
        self.plan_pairs();
    }
}
