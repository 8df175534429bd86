//! Edges against the policies of one moment: each end is looked up once, and each edge is
//! evaluated in all readings that it may have.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::edges::{Edge, EdgeEnd, EdgeSet, EndId, Strength};
use crate::engine::{Cluster, Connection, Endpoint, Engine, Snapshot};
use crate::inventory::{Backend, Inventory};
use crate::observed::SETTLE;
use crate::policy::{Policy, PolicyKey};
use crate::profile::Profile;
use crate::verdict::{Reason, Verdict};

mod stand_ins;

pub(crate) use stand_ins::is_added;
use stand_ins::{EndPods, PodName};

/// A Service, and protocol and port of it that was called.
pub(crate) type ServiceCall = (EndId, u8, u16);

/// Whom an end may be.
#[derive(Debug)]
struct Resolved {
    /// The only one that it may be.
    only: Option<Endpoint>,
    endpoints: Vec<Endpoint>,
    /// These are others of its workload, in the stead of one that is gone.
    is_stand_in: bool,
}

impl Resolved {
    fn of(engine: &Engine, end: &EdgeEnd, (pods, is_stand_in): &EndPods) -> Resolved {
        let endpoints = endpoints(engine, end, pods);
        let only = match endpoints.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        Resolved {
            only,
            endpoints,
            is_stand_in: *is_stand_in,
        }
    }
}

/// All ends as an engine knows them.
#[derive(Debug, Default)]
struct Ends {
    /// By number.
    resolved: Vec<Resolved>,
    /// The pods behind, and their ports.
    services: HashMap<ServiceCall, Vec<(Endpoint, u16)>, RandomState>,
}

impl Ends {
    fn of(edges: &EdgeSet, inventory: &Inventory, engine: &Engine, pods: &[EndPods]) -> Ends {
        let ends = edges.ends().iter().zip(pods);
        let mut ends = Ends {
            resolved: ends.map(|(end, pods)| Resolved::of(engine, end, pods)).collect(),
            services: HashMap::default(),
        };
        if edges
            .ends()
            .iter()
            .any(|end| matches!(end, EdgeEnd::Service { .. }))
        {
            ends.resolve_services(edges, inventory, engine);
        }
        ends
    }

    fn resolve_services(&mut self, edges: &EdgeSet, inventory: &Inventory, engine: &Engine) {
        for edge in edges.edges() {
            let EdgeEnd::Service { namespace, name } = edges.at(edge.server) else {
                continue;
            };
            let key = (edge.server, edge.protocol, edge.port);
            self.services.entry(key).or_insert_with(|| {
                let backends = inventory.backends(namespace, name, edge.protocol, edge.port);
                let mut ends = Vec::new();
                for backend in backends {
                    let endpoints = backend_endpoints(engine, backend).into_iter();
                    ends.extend(endpoints.map(|endpoint| (endpoint, backend.port)));
                }
                ends
            });
        }
    }
}

/// Edges against the policies of one moment.
#[derive(Debug)]
pub(crate) struct EdgeJudge<'e> {
    edges: &'e EdgeSet,
    engine: Engine,
    snapshot: Arc<Snapshot>,
    /// For each end its pods.
    pods: Arc<Vec<EndPods>>,
    ends: Arc<Ends>,
}

impl<'e> EdgeJudge<'e> {
    /// Compiles the cluster. Pods of the edges that are gone are put into it in the shape
    /// of others of their workload.
    pub fn new(edges: &'e EdgeSet, inventory: &Inventory, mut cluster: Cluster, profile: Profile) -> Self {
        let pods = Arc::new(stand_ins::add(&mut cluster, edges, inventory));
        let engine = Engine::compile(profile, cluster);
        let ends = Arc::new(Ends::of(edges, inventory, &engine, &pods));
        EdgeJudge {
            edges,
            snapshot: engine.snapshot(),
            engine,
            pods,
            ends,
        }
    }

    /// The same edges and pods after a change of policies alone.
    pub fn with_policies(&self, inventory: &Inventory, policies: &[Policy], deleted: &[PolicyKey]) -> Self {
        let mut engine = self.engine.clone();
        deleted.iter().for_each(|key| engine.remove_policy(key));
        policies
            .iter()
            .for_each(|policy| engine.set_policy(policy.clone()));
        let snapshot = engine.snapshot();
        let ends = match snapshot.epoch() == self.snapshot.epoch() {
            true => Arc::clone(&self.ends),
            false => Arc::new(Ends::of(self.edges, inventory, &engine, &self.pods)),
        };
        EdgeJudge {
            edges: self.edges,
            snapshot,
            engine,
            pods: Arc::clone(&self.pods),
            ends,
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// For each end whether one of these policies may be about it.
    pub fn concerned(&self, policies: &BTreeSet<PolicyKey>) -> Vec<bool> {
        let numbers = self.snapshot.policy_numbers(policies);
        let mut known: HashMap<_, bool, RandomState> = HashMap::default();
        let mut is_about = |endpoint: &Endpoint| {
            let is_new = || self.snapshot.is_about(endpoint, &numbers);
            *known.entry(endpoint.class_key()).or_insert_with(is_new)
        };
        let ends = self.edges.ends().iter().zip(&self.ends.resolved);
        ends.map(|(end, resolved)| {
            matches!(end, EdgeEnd::Service { .. }) || resolved.endpoints.iter().any(&mut is_about)
        })
        .collect()
    }

    /// Whether a pod of the edge is judged by another of its workload.
    pub fn has_stand_in(&self, edge: &Edge) -> bool {
        let is_stand_in = |end: EndId| self.resolved(end).is_some_and(|end| end.is_stand_in);
        is_stand_in(edge.client) || is_stand_in(edge.server)
    }

    fn resolved(&self, end: EndId) -> Option<&Resolved> {
        self.ends.resolved.get(end.0 as usize)
    }

    /// All that the edge may have been.
    pub fn readings(&self, edge: &Edge) -> Vec<Connection<'static>> {
        let of = |end: EndId| self.resolved(end).map_or(&[][..], |end| &end.endpoints);
        let is_service = matches!(self.edges.at(edge.server), EdgeEnd::Service { .. });
        let servers: Vec<(Endpoint, u16)> = match is_service {
            true => self.backends(edge).to_vec(),
            false => of(edge.server)
                .iter()
                .map(|server| (*server, edge.port))
                .collect(),
        };
        let clients = of(edge.client).iter();
        clients
            .flat_map(|client| {
                servers
                    .iter()
                    .map(move |(server, port)| (*client, *server, *port))
            })
            .map(|(client, server, port)| Connection {
                through_service: is_service,
                ..Connection::new(client, server, edge.protocol, port)
            })
            .collect()
    }

    fn backends(&self, edge: &Edge) -> &[(Endpoint, u16)] {
        self.ends
            .services
            .get(&(edge.server, edge.protocol, edge.port))
            .map_or(&[], |backends| backends)
    }

    /// The verdict in which all readings agree.
    pub fn verdict(&self, edge: &Edge) -> Verdict {
        let only = |end: EndId| self.resolved(end).and_then(|end| end.only);
        if let (Some(client), Some(server)) = (only(edge.client), only(edge.server)) {
            let connection = Connection::new(client, server, edge.protocol, edge.port);
            return self
                .of_direction(edge, [connection])
                .unwrap_or_else(|| self.snapshot.evaluate(&connection));
        }
        let readings = self.readings(edge);
        if let Some(verdict) = self.of_direction(edge, readings.iter().copied()) {
            return verdict;
        }
        let is_service = matches!(self.edges.at(edge.server), EdgeEnd::Service { .. });
        let knows_client = self
            .resolved(edge.client)
            .is_some_and(|end| !end.endpoints.is_empty());
        let reason = match is_service && knows_client {
            true => Reason::Backend,
            false => Reason::Identity,
        };
        let verdicts = readings.iter().map(|reading| self.snapshot.evaluate(reading));
        Verdict::agreed(verdicts, reason)
    }

    /// Where nothing tells who called whom, the port is not known if it was the other way
    /// round: only where no policy is about either end there is an answer.
    fn of_direction(
        &self,
        edge: &Edge,
        readings: impl IntoIterator<Item = Connection<'static>>,
    ) -> Option<Verdict> {
        let is_free = |end: &Endpoint| self.snapshot.is_free(end);
        let is_open = |reading: Connection<'static>| is_free(&reading.client) && is_free(&reading.server);
        let is_doubtful = edge.strength == Strength::Unknown && !readings.into_iter().all(is_open);
        is_doubtful.then(|| Verdict::unknown(Reason::Direction))
    }
}

fn endpoints(engine: &Engine, end: &EdgeEnd, pods: &[PodName]) -> Vec<Endpoint> {
    match end {
        EdgeEnd::Pod(_) => pods
            .iter()
            .filter_map(|pod| engine.pod(&pod.namespace, &pod.name, pod.address))
            .collect(),
        // Which of its addresses it was is not always known: they must agree then.
        EdgeEnd::Node { name, address } => {
            let all = address.map_or_else(|| engine.node_addresses(name), |address| vec![address]);
            all.into_iter()
                .map(|address| engine.node(name, address))
                .collect()
        }
        EdgeEnd::Outside { network, .. } => engine.snapshot().outside_network(*network),
        EdgeEnd::Service { .. } | EdgeEnd::Unknown => Vec::new(),
    }
}

fn backend_endpoints(engine: &Engine, backend: &Backend) -> Vec<Endpoint> {
    let pod = backend.pod.as_ref();
    match pod.and_then(|(namespace, name)| engine.pod(namespace, name, backend.address)) {
        Some(pod) => vec![pod],
        None => holders(engine, backend.address),
    }
}

/// Who has an address now.
pub(crate) fn holders(engine: &Engine, address: IpAddr) -> Vec<Endpoint> {
    match engine.holders(address) {
        holders if holders.is_empty() => vec![engine.snapshot().outside(address)],
        holders => holders,
    }
}

/// Edges against the policies of their times.
#[derive(Debug)]
pub(crate) struct Judges<'e> {
    /// Sorted: since when, in nanoseconds since 1970.
    versions: Vec<(u64, EdgeJudge<'e>)>,
}

impl<'e> Judges<'e> {
    /// The first version also stands for all time before it.
    pub fn new(mut versions: Vec<(u64, EdgeJudge<'e>)>) -> Self {
        versions.sort_by_key(|(since, _)| *since);
        Judges { versions }
    }

    /// Those that were in force, or may have been, within the edge's time.
    pub fn of(&self, edge: &Edge) -> &[(u64, EdgeJudge<'e>)] {
        let from = edge.first.saturating_sub(SETTLE);
        let is_over = |at: usize| self.versions.get(at + 1).is_some_and(|(next, _)| *next <= from);
        let first = (0..self.versions.len()).find(|at| !is_over(*at)).unwrap_or(0);
        let end = self.versions.partition_point(|(since, _)| *since <= edge.last);
        &self.versions[first..end.max(first + 1).min(self.versions.len())]
    }

    /// The verdict in which all versions agree.
    pub fn verdict(&self, edge: &Edge) -> Verdict {
        match self.of(edge) {
            [(_, only)] => only.verdict(edge),
            several => Verdict::agreed(
                several.iter().map(|(_, judge)| judge.verdict(edge)),
                Reason::Changed,
            ),
        }
    }

    /// The version whose verdict [`Judges::verdict`] gives where all agree.
    pub fn first_of(&self, edge: &Edge) -> Option<&EdgeJudge<'e>> {
        self.of(edge).first().map(|(_, judge)| judge)
    }

    pub fn newest(&self) -> Option<&EdgeJudge<'e>> {
        self.versions.last().map(|(_, judge)| judge)
    }
}
