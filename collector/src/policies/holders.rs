//! Who had which address when, as policies see them. Pure.
//!
//! A pod that gets other labels holds its address twice for a while: until the change has come
//! into force everywhere, a flow may have been judged by either. What a pod was is kept beside its
//! end, so that later policies can be asked about it, even where those of then did not tell the two
//! apart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use weir_identity::{Shards, Span};
use weir_policy::observed::SETTLE;
use weir_policy::{Endpoint, Pod};

use super::versions::{HISTORY, Holder, Holders};

/// A change counts as made so long before it was seen: word of it takes its time, and clocks
/// are apart. In nanoseconds.
pub const LAG: u64 = 1_000_000_000;
/// An address that another had before, a pod may have had for so long before it was seen to,
/// in nanoseconds.
const WATCH_LAG: u64 = 5_000_000_000;
/// So many ends are kept at most.
const MOST_ENDED: usize = 100_000;
/// Of these so many of one address: whoever changes a pod's labels all the time costs no more. More
/// than are evaluated of one side.
const MOST_ENDED_OF_ADDRESS: usize = 128;

/// A pod's namespace and name; a node's namespace is empty.
pub type Name = (Arc<str>, Arc<str>);

/// A pod's facts across a change; those of a node are not kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'p> {
    /// Until now, if it was there.
    pub was: Option<&'p Arc<Pod>>,
    /// From now on.
    pub is: Option<&'p Pod>,
}

impl Facts<'_> {
    /// The pod is other than it was, whether policies tell the two apart now or may later.
    fn differ(&self) -> bool {
        self.was.is_some_and(|was| self.is.is_some_and(|is| **was != *is))
    }
}

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

    /// What the pod or node of that name is to policies by this address now, if it has it.
    pub fn endpoint(&self, address: IpAddr, name: &Name) -> Option<&Endpoint> {
        let known = self.holders.get(&address)?;
        let holder = known
            .iter()
            .find(|holder| holder.span.is_open() && holder.is(name));
        holder.map(|holder| &holder.endpoint)
    }

    /// The pod has the address, and is this for policies.
    pub fn set(&mut self, address: IpAddr, name: &Name, endpoint: Endpoint, facts: Facts<'_>, now: u64) {
        let known = self.holders.get(&address).cloned().unwrap_or_default();
        let is_open = |holder: &Holder| holder.span.is_open() && holder.is(name);
        let from = match known.iter().find(|holder| is_open(holder)) {
            Some(holder) if holder.endpoint == endpoint && !facts.differ() => return,
            Some(_) => now.saturating_sub(LAG),
            None if known.is_empty() => 0,
            None => now.saturating_sub(WATCH_LAG),
        };
        let settled = now.saturating_add(SETTLE);
        let mut holders = self.ended_at(address, &known, (name, facts.was), settled, now);
        holders.push(Holder::since(from, name, endpoint));
        self.addresses.insert(address);
        self.holders.insert(address, holders.into());
    }

    /// The pod, which was this, has the address no more.
    pub fn end(&mut self, address: IpAddr, name: &Name, was: Option<&Arc<Pod>>, now: u64) {
        let Some(known) = self.holders.get(&address).cloned() else {
            return;
        };
        let holders = self.ended_at(address, &known, (name, was), now, now);
        self.holders.insert(address, holders.into());
    }

    /// The addresses that pods of a namespace have or had, and whose they are or were.
    pub fn in_namespace(&self, namespace: &str) -> BTreeSet<(IpAddr, Name)> {
        let of_address = |address: &IpAddr| {
            let known = self.holders.get(address).map_or(&[][..], |known| &known[..]);
            let pods = known.iter().filter(|holder| *holder.namespace == *namespace);
            let names = pods.map(|holder| (Arc::clone(&holder.namespace), Arc::clone(&holder.name)));
            let address = *address;
            names.map(move |name| (address, name))
        };
        self.addresses.iter().flat_map(of_address).collect()
    }

    /// Whoever has or had the address by this name has been to policies all the time what `as_if`
    /// says: of what the pod was, or `is` where it still has the address, and of what it was taken for.
    pub fn correct(
        &mut self,
        address: IpAddr,
        name: &Name,
        is: Option<&Pod>,
        mut as_if: impl FnMut(&Pod, &Endpoint) -> Endpoint,
    ) {
        let Some(known) = self.holders.get(&address) else {
            return;
        };
        let mut holders = known.to_vec();
        for holder in holders.iter_mut().filter(|holder| holder.is(name)) {
            let pod = if holder.span.is_open() {
                is
            } else {
                holder.was.as_deref()
            };
            if let Some(pod) = pod {
                holder.endpoint = as_if(pod, &holder.endpoint);
            }
        }
        self.holders.insert(address, holders.into());
    }

    /// The holders that are not too old, the pod's at the latest until then.
    fn ended_at(
        &mut self,
        address: IpAddr,
        known: &Holders,
        (name, was): (&Name, Option<&Arc<Pod>>),
        then: u64,
        now: u64,
    ) -> Vec<Holder> {
        let mut holders: Vec<Holder> = known.to_vec();
        for holder in holders
            .iter_mut()
            .filter(|holder| holder.is(name) && holder.span.is_open())
        {
            holder.span.to = then;
            holder.was = was.cloned();
            self.ended.push_back((then, address));
        }
        holders.retain(|holder| holder.span.to >= now.saturating_sub(HISTORY));
        let ended = holders.iter().filter(|holder| !holder.span.is_open()).count();
        let mut too_many = ended.saturating_sub(MOST_ENDED_OF_ADDRESS);
        holders.retain(|holder| {
            let is_kept = too_many == 0 || holder.span.is_open();
            too_many -= usize::from(!is_kept);
            is_kept
        });
        holders
    }

    /// Everybody who has an address, looked up anew. Who had his address before has had it since
    /// then; what those are to policies who had one, `as_if` says of what they were, their address
    /// and what their pod is there now.
    pub fn rebuild(
        &mut self,
        mut all: BTreeMap<IpAddr, Vec<(Name, Endpoint)>>,
        mut as_if: impl FnMut(&Pod, IpAddr, Option<&Endpoint>) -> Endpoint,
    ) {
        let addresses: BTreeSet<IpAddr> = self.addresses.iter().chain(all.keys()).copied().collect();
        self.addresses.clear();
        for address in addresses {
            let known = self.holders.get(&address).map_or(&[][..], |known| &known[..]);
            let having = all.remove(&address).unwrap_or_default();
            let ended = known.iter().filter_map(|holder| {
                let was = holder.was.as_ref().filter(|_| !holder.span.is_open())?;
                let now = having
                    .iter()
                    .find(|(name, _)| holder.is(name))
                    .map(|(_, now)| now);
                let endpoint = as_if(was, address, now);
                Some(Holder {
                    endpoint,
                    ..holder.clone()
                })
            });
            let mut holders: Vec<Holder> = ended.collect();
            holders.extend(having.iter().map(|(name, endpoint)| {
                let is_it = |holder: &&Holder| holder.span.is_open() && holder.is(name);
                let since = known.iter().find(is_it).map_or(0, |holder| holder.span.from);
                Holder::since(since, name, *endpoint)
            }));
            self.replace(address, holders);
        }
    }

    /// What stays as it was is shared with the versions before.
    fn replace(&mut self, address: IpAddr, holders: Vec<Holder>) {
        let known = self.holders.get(&address);
        if holders.is_empty() {
            self.holders.remove(&address);
            return;
        }
        self.addresses.insert(address);
        if known.is_none_or(|known| known[..] != holders[..]) {
            self.holders.insert(address, holders.into());
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
            was: None,
        }
    }

    fn is(&self, name: &Name) -> bool {
        self.namespace == name.0 && self.name == name.1
    }
}

#[cfg(test)]
mod tests {
    use weir_policy::{Engine, Labels, Profile};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn name(name: &str) -> Name {
        ("shop".into(), name.into())
    }

    fn pod(namespace: &str) -> Pod {
        Pod {
            namespace: namespace.into(),
            name: "p".into(),
            labels: Labels::default(),
            addresses: vec![ADDRESS],
            ports: Vec::new(),
            host_network: false,
            node: String::new(),
            finished: false,
        }
    }

    /// What policies see of pods in two namespaces.
    fn endpoints() -> [Endpoint; 2] {
        let mut engine = Engine::new(Profile::default());
        ["a", "b"].map(|namespace| {
            engine.set_pod(pod(namespace));
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
        let was = Arc::new(pod("a"));
        let mut table = HolderTable::default();
        table.set(ADDRESS, &name("p"), first, Facts::default(), 100 * SECOND);
        table.set(ADDRESS, &name("p"), first, Facts::default(), 150 * SECOND);
        assert_eq!(
            held(&table),
            [("p", 0, u64::MAX)],
            "the first may have had it always"
        );
        let relabelled = Facts {
            was: Some(&was),
            is: None,
        };
        table.set(ADDRESS, &name("p"), second, relabelled, 200 * SECOND);
        assert_eq!(held(&table), [("p", 0, 230), ("p", 199, u64::MAX)]);
        table.end(ADDRESS, &name("p"), Some(&was), 300 * SECOND);
        table.set(ADDRESS, &name("q"), first, Facts::default(), 302 * SECOND);
        assert_eq!(
            held(&table),
            [("p", 0, 230), ("p", 199, 300), ("q", 297, u64::MAX)]
        );
        // By other policies they are others, and had their addresses as long.
        table.rebuild(
            BTreeMap::from([(ADDRESS, vec![(name("q"), second)])]),
            |_, _, _| second,
        );
        assert_eq!(
            held(&table),
            [("p", 0, 230), ("p", 199, 300), ("q", 297, u64::MAX)]
        );
        let holders = table.holders.get(&ADDRESS).unwrap();
        assert!(holders.iter().all(|holder| holder.endpoint == second));
        let later = 301 * SECOND + HISTORY;
        assert!(table.expire(later));
        assert_eq!(held(&table), [("q", 297, u64::MAX)]);
        assert!(!table.expire(later));
        table.rebuild(BTreeMap::new(), |_, _, _| second);
        assert!(held(&table).is_empty());
    }

    #[test]
    fn a_pod_that_is_another_holds_its_address_twice_though_policies_do_not_tell_it_apart() {
        let [first, _] = endpoints();
        let was = Arc::new(pod("a"));
        let mut relabelled = pod("a");
        relabelled.labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let mut table = HolderTable::default();
        let mut set = |is: &Pod, now: u64| {
            let (was, is) = (Some(&was), Some(is));
            table.set(ADDRESS, &name("p"), first, Facts { was, is }, now);
        };
        set(&was, 100 * SECOND);
        set(&was, 150 * SECOND);
        set(&relabelled, 200 * SECOND);
        assert_eq!(held(&table), [("p", 0, 230), ("p", 199, u64::MAX)]);
    }

    #[test]
    fn of_a_pod_that_changes_all_the_time_the_latest_is_kept() {
        let [endpoint, _] = endpoints();
        let mut table = HolderTable::default();
        let mut was = Arc::new(pod("a"));
        for n in 0..300 {
            let mut is = pod("a");
            is.labels.insert("n".to_owned(), n.to_string());
            let facts = Facts {
                was: Some(&was),
                is: Some(&is),
            };
            table.set(ADDRESS, &name("p"), endpoint, facts, (100 + n) * SECOND);
            was = Arc::new(is);
        }
        let held = held(&table);
        assert_eq!(held.len(), MOST_ENDED_OF_ADDRESS + 1);
        assert_eq!(held.first(), Some(&("p", 270, 302)));
        assert_eq!(held.last(), Some(&("p", 398, u64::MAX)));
    }
}
