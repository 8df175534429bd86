//! Connections that may be one part of a pair, by their clients: few of each client, so
//! that no client makes it slow.

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::config::Periods;
use crate::connection::Connection;
use crate::key::{self, Socket, Tuple, same_text};
use crate::observation::{Evidence, Identity, IdentityKind};
use crate::pool::Pool;

/// Connections of one client that are looked at.
const MOST_OF_CLIENT: usize = 4;
const NONE: u32 = u32::MAX;

/// Of one client the first of its connections, from which [`Chains`] lead on, and in the
/// highest bit whether there were too many to keep.
#[derive(Debug, Clone, Copy)]
struct Client(u32);

impl Client {
    const TOO_MANY: u32 = 1 << 31;

    fn first(self) -> u32 {
        self.0 & !Self::TOO_MANY
    }

    fn too_many(self) -> bool {
        self.0 & Self::TOO_MANY != 0
    }

    fn starts_with(&mut self, first: u32) {
        self.0 = first | (self.0 & Self::TOO_MANY);
    }
}

/// Which connection of the same client comes after one, by their slots.
#[derive(Debug, Default)]
struct Chains(Vec<u32>);

impl Chains {
    fn of(&self, client: Client) -> impl Iterator<Item = u32> {
        let next = |slot: &u32| self.0.get(*slot as usize).copied().filter(|next| *next != NONE);
        std::iter::successors(Some(client.first()), next).take(MOST_OF_CLIENT)
    }

    fn has(&self, client: Client, slot: u32) -> bool {
        self.of(client).any(|other| other == slot)
    }

    fn put(&mut self, slot: u32, next: u32) {
        let at = slot as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, NONE);
        }
        if let Some(place) = self.0.get_mut(at) {
            *place = next;
        }
    }

    /// Takes a slot out. Says what its client starts with then; `None`: it has no more.
    fn remove(&mut self, client: Client, slot: u32) -> Option<u32> {
        let next = self.0.get(slot as usize).copied().unwrap_or(NONE);
        let before = self.of(client).take_while(|other| *other != slot).last();
        match before {
            Some(before) => {
                self.put(before, next);
                Some(client.first())
            }
            None => Some(next).filter(|next| *next != NONE),
        }
    }
}

/// Those of all clients.
#[derive(Debug, Default)]
pub(crate) struct JoinIndex {
    clients: HashTable<Client>,
    chains: Chains,
    state: RandomState,
}

/// Which part a connection is.
pub(crate) struct Part<'a> {
    pub client_high: bool,
    /// Before translation.
    pub is_service: bool,
    pub server: &'a Identity,
}

impl Connection {
    /// `None`: no Service is known for its server. Once something tells who asked, the
    /// other end is the server; before, it is the one that is a Service's.
    pub fn part(&self) -> Option<Part<'_>> {
        let part = |high: bool| {
            let who = self.who.at(high).as_deref()?;
            let is_service = who.kind == IdentityKind::Service;
            let told = if is_service {
                self.evidence >= Evidence::Syn
            } else {
                self.evidence > Evidence::FirstSeen
            };
            let may_serve = !told || self.client_high != high;
            (may_serve && (is_service || !who.service_name.is_empty())).then_some(Part {
                client_high: !high,
                is_service,
                server: who,
            })
        };
        let (server, client) = (part(!self.client_high), part(self.client_high));
        match (&server, &client) {
            (Some(one), Some(other)) if other.is_service && !one.is_service => client,
            _ => server.or(client),
        }
    }

    fn client_tuple(&self, client_high: bool) -> Tuple {
        Tuple {
            low: self.tuple.end(client_high),
            high: Socket::default(),
            proto: self.tuple.proto,
        }
    }

    /// Whether both are at one time.
    pub fn meets(&self, other: &Self, periods: &Periods) -> bool {
        let near = |start: u64, end: u64| start <= end.saturating_add(periods.linger_us);
        near(self.start, other.end) && near(other.start, self.end)
    }

    fn is_of_client(&self, client_high: bool, (other, others): (&Self, bool)) -> bool {
        self.client_tuple(client_high) == other.client_tuple(others)
            && same_text(&self.network, &other.network)
    }

    /// Whether its client may still become that end.
    pub fn may_turn(&self, client_high: bool) -> bool {
        self.client_high == client_high || (self.seq == 0 && self.evidence < Evidence::Syn)
    }
}

/// What there is of a client's connections to one Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// The one part before translation and the one after it.
    pub pair: Option<(u32, u32)>,
    /// The other part, which was not seen at the same time yet.
    pub at_another_time: Option<u32>,
    /// One that was joined with an endpoint which was not seen since this one began.
    pub outlived: Option<u32>,
}

/// Connections that may be one part of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Candidates {
    any: bool,
    /// `None`: there is none, or more than one.
    only: Option<u32>,
}

impl Candidates {
    fn add(&mut self, slot: u32) {
        self.only = (!self.any).then_some(slot);
        self.any = true;
    }
}

impl JoinIndex {
    fn hash(&self, connection: &Connection, client_high: bool) -> u64 {
        let tuple = connection.client_tuple(client_high);
        key::hash(&self.state, &connection.network, &tuple)
    }

    /// Keeps a connection under its client, and nowhere else. Says whether there is room.
    pub fn put(&mut self, slot: u32, client_high: bool, pool: &mut Pool<Connection>) -> bool {
        let Some(connection) = pool.get(slot) else {
            return true;
        };
        if connection.join_client_high == Some(client_high) {
            return true;
        }
        self.remove(slot, pool);
        let kept = self.insert(slot, client_high, pool);
        if let Some(connection) = pool.get_mut(slot).filter(|_| kept) {
            connection.join_client_high = Some(client_high);
        }
        kept
    }

    fn insert(&mut self, slot: u32, client_high: bool, pool: &Pool<Connection>) -> bool {
        let Some(connection) = pool.get(slot) else {
            return true;
        };
        let hash = self.hash(connection, client_high);
        let of = |client: &Client| of_client(client.first(), pool);
        let same =
            |client: &Client| of(client).is_some_and(|other| connection.is_of_client(client_high, other));
        if let Some(client) = self.clients.find_mut(hash, same) {
            if self.chains.of(*client).count() == MOST_OF_CLIENT {
                client.0 |= Client::TOO_MANY;
                return false;
            }
            self.chains.put(slot, client.first());
            client.starts_with(slot);
            return true;
        }
        self.chains.put(slot, NONE);
        let state = &self.state;
        self.clients.insert_unique(hash, Client(slot), |client| {
            let of = of(client).map(|(one, high)| key::hash(state, &one.network, &one.client_tuple(high)));
            of.unwrap_or(0)
        });
        true
    }

    pub fn remove(&mut self, slot: u32, pool: &mut Pool<Connection>) {
        let Some(connection) = pool.get_mut(slot) else {
            return;
        };
        let Some(client_high) = connection.join_client_high.take() else {
            return;
        };
        let hash = self.hash(connection, client_high);
        let Self { clients, chains, .. } = self;
        let Ok(mut entry) = clients.find_entry(hash, |client| chains.has(*client, slot)) else {
            return;
        };
        match chains.remove(*entry.get(), slot) {
            Some(first) => entry.get_mut().starts_with(first),
            None => drop(entry.remove()),
        }
    }

    /// The client of a connection that is in it.
    fn client_of(&self, slot: u32, pool: &Pool<Connection>) -> Option<Client> {
        let (connection, client_high) = of_client(slot, pool)?;
        let hash = self.hash(connection, client_high);
        let has = |client: &Client| self.chains.has(*client, slot);
        self.clients.find(hash, has).copied()
    }

    /// What a connection that is in it belongs to.
    pub fn look(&self, slot: u32, pool: &Pool<Connection>, periods: &Periods) -> Option<Found> {
        let connection = pool.get(slot)?;
        let own = connection.part()?;
        let client = self.client_of(slot, pool)?;
        let mut found = Found::default();
        let mut parts = [Candidates::default(); 2];
        for other_slot in self.chains.of(client) {
            let Some(other) = pool.get(other_slot) else {
                continue;
            };
            let Some(part) = other.part().filter(|part| part.server.shares_service(own.server)) else {
                continue;
            };
            if let Some(service) = other.service() {
                let over = service.endpoint_end.saturating_add(periods.linger_us);
                if service.bound && !own.is_service && other_slot != slot && connection.start > over {
                    found.outlived = earlier(found.outlived, other_slot, pool);
                }
            } else if connection.meets(other, periods) {
                let [endpoints, services] = &mut parts;
                let of_kind = if part.is_service { services } else { endpoints };
                of_kind.add(other_slot);
            } else if part.is_service != own.is_service {
                found.at_another_time = earlier(found.at_another_time, other_slot, pool);
            }
        }
        let [endpoint, service] = parts.map(|candidates| candidates.only.filter(|_| !client.too_many()));
        found.pair = service.zip(endpoint);
        Some(found)
    }

    /// Whether the client of a connection that is in it has more than are kept.
    pub fn is_crowded(&self, slot: u32, pool: &Pool<Connection>) -> bool {
        self.client_of(slot, pool).is_some_and(Client::too_many)
    }

    /// It has, as [`Self::is_crowded`] said before a restart.
    pub fn set_crowded(&mut self, slot: u32, pool: &Pool<Connection>) {
        let Some((connection, client_high)) = of_client(slot, pool) else {
            return;
        };
        let hash = self.hash(connection, client_high);
        let Self { clients, chains, .. } = self;
        if let Some(client) = clients.find_mut(hash, |client| chains.has(*client, slot)) {
            client.0 |= Client::TOO_MANY;
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        let clients = self.clients.iter();
        clients.map(|client| self.chains.of(*client).count()).sum()
    }
}

/// Of two connections the one that began first, whatever their places are.
fn earlier(known: Option<u32>, slot: u32, pool: &Pool<Connection>) -> Option<u32> {
    let ordinal = |slot: &u32| pool.get(*slot).map_or(u32::MAX, |one| one.ordinal);
    known.into_iter().chain([slot]).min_by_key(ordinal)
}

/// A connection that is kept, and its client's end.
fn of_client(slot: u32, pool: &Pool<Connection>) -> Option<(&Connection, bool)> {
    let connection = pool.get(slot)?;
    Some((connection, connection.join_client_high?))
}
