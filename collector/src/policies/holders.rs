//! Who had which address when, as policies see them. Pure.
//!
//! A pod that gets other labels holds its address twice for a while: until the change has come
//! into force everywhere, a flow may have been judged by either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use weir_identity::{Shards, Span};
use weir_policy::Endpoint;
use weir_policy::observed::SETTLE;

use super::versions::{HISTORY, Holder, Holders};

/// A change counts as made so long before it was seen: word of it takes its time, and clocks
/// are apart. In nanoseconds.
pub const LAG: u64 = 1_000_000_000;
/// An address that another had before, a pod may have had for so long before it was seen to,
/// in nanoseconds.
const WATCH_LAG: u64 = 5_000_000_000;
/// So many ends are kept at most.
const MOST_ENDED: usize = 100_000;

/// A pod's namespace and name; a node's namespace is empty.
pub type Name = (Arc<str>, Arc<str>);

/// All holders.
#[derive(Debug, Clone, Default)]
pub struct HolderTable {
    holders: Shards<IpAddr, Holders>,
    /// The addresses that stand there, and some that do not any more.
    addresses: BTreeSet<IpAddr>,
    /// When a holder of an address ended, the earliest first.
    ended: VecDeque<(u64, IpAddr)>,
}

impl HolderTable {
    /// As it is now.
    pub fn holders(&self) -> Shards<IpAddr, Holders> {
        self.holders.clone()
    }

    /// The pod has the address, and is this for policies.
    pub fn set(&mut self, address: IpAddr, name: &Name, endpoint: Endpoint, now: u64) {
        let known = self.holders.get(&address).cloned().unwrap_or_default();
        let is_open = |holder: &Holder| holder.span.is_open() && holder.is(name);
        let from = match known.iter().find(|holder| is_open(holder)) {
            Some(holder) if holder.endpoint == endpoint => return,
            Some(_) => now.saturating_sub(LAG),
            None if known.is_empty() => 0,
            None => now.saturating_sub(WATCH_LAG),
        };
        let settled = now.saturating_add(SETTLE);
        let mut holders = self.ended_at(address, &known, name, settled, now);
        holders.push(Holder::since(from, name, endpoint));
        self.addresses.insert(address);
        self.holders.insert(address, holders.into());
    }

    /// The pod has the address no more.
    pub fn end(&mut self, address: IpAddr, name: &Name, now: u64) {
        let Some(known) = self.holders.get(&address).cloned() else {
            return;
        };
        let holders = self.ended_at(address, &known, name, now, now);
        self.holders.insert(address, holders.into());
    }

    /// The holders that are not too old, the pod's at the latest until then.
    fn ended_at(
        &mut self,
        address: IpAddr,
        known: &Holders,
        name: &Name,
        then: u64,
        now: u64,
    ) -> Vec<Holder> {
        let mut holders: Vec<Holder> = known.to_vec();
        for holder in holders
            .iter_mut()
            .filter(|holder| holder.is(name) && holder.span.is_open())
        {
            holder.span.to = then;
            self.ended.push_back((then, address));
        }
        holders.retain(|holder| holder.span.to >= now.saturating_sub(HISTORY));
        holders
    }

    /// Everybody who has an address, looked up anew; what has ended is forgotten. Who had his
    /// address before has had it since then.
    pub fn rebuild(&mut self, all: BTreeMap<IpAddr, Vec<(Name, Endpoint)>>) {
        // What stays as it was is shared with the versions before.
        let gone = self.addresses.iter().filter(|address| !all.contains_key(address));
        for address in gone.copied().collect::<Vec<_>>() {
            self.holders.remove(&address);
        }
        self.addresses = all.keys().copied().collect();
        self.ended.clear();
        for (address, having) in all {
            let known = self.holders.get(&address);
            let holders = having.into_iter().map(|(name, endpoint)| {
                let mut its = known.into_iter().flat_map(|known| known.iter());
                let is_it = |holder: &&Holder| holder.span.is_open() && holder.is(&name);
                let since = its.find(is_it).map_or(0, |holder| holder.span.from);
                Holder::since(since, &name, endpoint)
            });
            let holders: Holders = holders.collect();
            if known != Some(&holders) {
                self.holders.insert(address, holders);
            }
        }
    }

    /// Forgets what ended too long ago; whether there was any.
    pub fn expire(&mut self, now: u64) -> bool {
        let horizon = now.saturating_sub(HISTORY);
        let mut any = false;
        while let Some((end, address)) = self.ended.front().copied()
            && (end < horizon || self.ended.len() > MOST_ENDED)
        {
            self.ended.pop_front();
            any = true;
            let Some(known) = self.holders.get(&address) else {
                continue;
            };
            let left: Vec<Holder> = known
                .iter()
                .filter(|holder| holder.span.to > end)
                .cloned()
                .collect();
            match left.is_empty() {
                true => self.holders.remove(&address),
                false => self.holders.insert(address, left.into()),
            }
        }
        any
    }
}

impl Holder {
    fn since(from: u64, name: &Name, endpoint: Endpoint) -> Self {
        Self {
            namespace: Arc::clone(&name.0),
            name: Arc::clone(&name.1),
            span: Span::since(from),
            endpoint,
        }
    }

    fn is(&self, name: &Name) -> bool {
        self.namespace == name.0 && self.name == name.1
    }
}

#[cfg(test)]
mod tests {
    use weir_policy::facts::Pod;
    use weir_policy::{Engine, Labels, Profile};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn name(name: &str) -> Name {
        ("shop".into(), name.into())
    }

    /// What policies see of pods in two namespaces.
    fn endpoints() -> [Endpoint; 2] {
        let mut engine = Engine::new(Profile::default());
        ["a", "b"].map(|namespace| {
            engine.set_pod(Pod {
                namespace: namespace.into(),
                name: "p".into(),
                labels: Labels::default(),
                addresses: vec![ADDRESS],
                ports: Vec::new(),
                host_network: false,
                node: String::new(),
                finished: false,
            });
            engine.pod(namespace, "p", ADDRESS).unwrap()
        })
    }

    fn held(table: &HolderTable) -> Vec<(&str, u64, u64)> {
        let holders = table
            .holders
            .get(&ADDRESS)
            .map_or(&[][..], |holders| &holders[..]);
        let seconds = |time: u64| if time == u64::MAX { time } else { time / SECOND };
        holders
            .iter()
            .map(|holder| (&*holder.name, seconds(holder.span.from), seconds(holder.span.to)))
            .collect()
    }

    #[test]
    fn an_address_has_one_holder_after_the_other_and_a_relabelled_one_twice_for_a_while() {
        let [first, second] = endpoints();
        let mut table = HolderTable::default();
        table.set(ADDRESS, &name("p"), first, 100 * SECOND);
        table.set(ADDRESS, &name("p"), first, 150 * SECOND);
        assert_eq!(
            held(&table),
            [("p", 0, u64::MAX)],
            "the first may have had it always"
        );
        table.set(ADDRESS, &name("p"), second, 200 * SECOND);
        assert_eq!(held(&table), [("p", 0, 230), ("p", 199, u64::MAX)]);
        table.end(ADDRESS, &name("p"), 300 * SECOND);
        table.set(ADDRESS, &name("q"), first, 302 * SECOND);
        assert_eq!(
            held(&table),
            [("p", 0, 230), ("p", 199, 300), ("q", 297, u64::MAX)]
        );
        let later = 301 * SECOND + HISTORY;
        assert!(table.expire(later));
        assert_eq!(held(&table), [("q", 297, u64::MAX)]);
        assert!(!table.expire(later));
        table.rebuild(BTreeMap::from([(ADDRESS, vec![(name("q"), second)])]));
        assert_eq!(held(&table), [("q", 297, u64::MAX)]);
        assert!(table.holders.get(&ADDRESS).unwrap()[0].endpoint == second);
    }
}
