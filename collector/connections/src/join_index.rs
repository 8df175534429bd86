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

/// Connections of one client.
#[derive(Debug, Clone, Copy)]
struct Client {
    slots: [u32; MOST_OF_CLIENT],
    /// There were others, so that nobody knows which two are a pair.
    too_many: bool,
}

impl Client {
    fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots.into_iter().filter(|slot| *slot != NONE)
    }
}

/// Those of all clients.
#[derive(Debug, Default)]
pub(crate) struct JoinIndex {
    clients: HashTable<Client>,
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
        let of = |client: &Client| client.slots().find_map(|slot| of_client(slot, pool));
        let same =
            |client: &Client| of(client).is_some_and(|other| connection.is_of_client(client_high, other));
        if let Some(client) = self.clients.find_mut(hash, same) {
            let free = client.slots.iter_mut().find(|slot| **slot == NONE);
            client.too_many |= free.is_none();
            return free.map(|place| *place = slot).is_some();
        }
        let client = Client {
            slots: std::array::from_fn(|at| if at == 0 { slot } else { NONE }),
            too_many: false,
        };
        let state = &self.state;
        self.clients.insert_unique(hash, client, |client| {
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
        let has = |client: &Client| client.slots.contains(&slot);
        let Ok(mut entry) = self.clients.find_entry(hash, has) else {
            return;
        };
        for place in &mut entry.get_mut().slots {
            if *place == slot {
                *place = NONE;
            }
        }
        if entry.get().slots().next().is_none() {
            entry.remove();
        }
    }

    /// What a connection that is in it belongs to.
    pub fn look(&self, slot: u32, pool: &Pool<Connection>, periods: &Periods) -> Option<Found> {
        let connection = pool.get(slot)?;
        let own = connection.part()?;
        let hash = self.hash(connection, connection.join_client_high?);
        let client = self.clients.find(hash, |client| client.slots.contains(&slot))?;
        let mut found = Found::default();
        let mut parts = [Candidates::default(); 2];
        for other_slot in client.slots() {
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
        let [endpoint, service] = parts.map(|candidates| candidates.only.filter(|_| !client.too_many));
        found.pair = service.zip(endpoint);
        Some(found)
    }

    /// Whether the client of a connection that is in it has more than are kept.
    pub fn is_crowded(&self, slot: u32, pool: &Pool<Connection>) -> bool {
        let client = of_client(slot, pool).and_then(|(connection, client_high)| {
            let hash = self.hash(connection, client_high);
            self.clients.find(hash, |client| client.slots.contains(&slot))
        });
        client.is_some_and(|client| client.too_many)
    }

    /// It has, as [`Self::is_crowded`] said before a restart.
    pub fn set_crowded(&mut self, slot: u32, pool: &Pool<Connection>) {
        let Some((connection, client_high)) = of_client(slot, pool) else {
            return;
        };
        let hash = self.hash(connection, client_high);
        let has = |client: &Client| client.slots.contains(&slot);
        if let Some(client) = self.clients.find_mut(hash, has) {
            client.too_many = true;
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.clients.iter().map(|client| client.slots().count()).sum()
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
