//! Who stands on the ends of a connection, and which nodes can be expected to report it.

use std::sync::Arc;

use crate::connection::{Arrival, Connection};
use crate::observation::{Identity, IdentityKind, Observation};

impl Connection {
    /// Takes over who an observation says stands on its ends. Says whether that is news.
    pub fn name(&mut self, observation: &Observation, arrival: Arrival) -> bool {
        let ends = [
            (&observation.src, arrival.sender_high),
            (&observation.dst, !arrival.sender_high),
        ];
        let mut changed = false;
        for (end, high) in ends {
            let Some(who) = &end.who else { continue };
            if arrival.by_service && high != self.client_high {
                self.name_service(who);
            } else {
                changed |= self.learn(high, who, &observation.node);
            }
        }
        changed
    }

    fn name_service(&mut self, who: &Arc<Identity>) {
        if let Some(service) = self.service_mut().filter(|service| service.who.is_none()) {
            service.who = Some(Arc::clone(who));
        }
    }

    /// Names stay as they were at first, except that somebody is better than nobody, and
    /// that the end's own node knows best.
    fn learn(&mut self, high: bool, who: &Arc<Identity>, node: &Arc<str>) -> bool {
        let known = self.who.at(high);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, who)) {
            return false;
        }
        let owner = !node.is_empty() && who.node == *node;
        let better = known.as_ref().is_none_or(|known| {
            let nobody = known.kind == IdentityKind::Unknown && who.kind != IdentityKind::Unknown;
            nobody || (owner && !self.owned.at(high))
        });
        if !better {
            return false;
        }
        let changed = known.as_ref() != Some(who);
        *self.who.at_mut(high) = Some(Arc::clone(who));
        *self.owned.at_mut(high) |= owner;
        changed
    }

    /// Whether each end that is on a node was seen by that node. A Service's address
    /// hides where its end is.
    pub fn is_complete(&self) -> bool {
        [&self.who.low, &self.who.high]
            .into_iter()
            .flatten()
            .all(|who| match who.kind {
                IdentityKind::Service => false,
                IdentityKind::Unknown => true,
                IdentityKind::Pod | IdentityKind::Node => {
                    who.node.is_empty() || self.views.of(&who.node).is_some()
                }
            })
    }
}
