//! All scopes of a decoder, by the address of their sender: which templates the other
//! sessions of an address have, how many scopes each sender has, and which go when
//! there are too many.
//!
//! RFC 3954 §7 binds templates to exporter and source id, not to a port. A data set for
//! which its own session has no template is therefore read by that of another session
//! of the same address, protocol and domain, if all that have one agree.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::layout::Layout;
use crate::protocol::Protocol;
use crate::scope::{Scope, ScopeKey};
use crate::session::{SenderNetwork, Session, Transport};

/// The scopes of one address, protocol and domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExporterKey {
    address: IpAddr,
    transport: Transport,
    protocol: Protocol,
    domain: u32,
}

/// In few words: it is hashed for every message.
impl Hash for ExporterKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.address {
            IpAddr::V4(address) => state.write_u32(address.to_bits()),
            IpAddr::V6(address) => state.write_u128(address.to_bits()),
        }
        let kind = (self.transport as u32) << 8 | self.protocol as u32;
        state.write_u64(u64::from(kind) << 32 | u64::from(self.domain));
    }
}

impl ExporterKey {
    fn of(key: &ScopeKey) -> Self {
        Self {
            address: key.session.peer.ip(),
            transport: key.session.transport,
            protocol: key.protocol,
            domain: key.domain,
        }
    }

    fn scope(&self, peer: SocketAddr) -> ScopeKey {
        ScopeKey {
            session: Session {
                peer,
                transport: self.transport,
            },
            protocol: self.protocol,
            domain: self.domain,
        }
    }
}

#[derive(Debug, Default)]
struct Exporter {
    /// In order of their senders' ports.
    sessions: Vec<(SocketAddr, Box<Scope>)>,
    /// What they have between them, when they are several.
    shared: Option<SharedTemplates>,
}

/// The different templates under each id, and how many sessions have each.
#[derive(Debug, Default)]
pub(crate) struct SharedTemplates {
    by_id: HashMap<u16, Known, RandomState>,
}

/// The different templates under one id.
#[derive(Debug, Default)]
struct Known {
    templates: Vec<(Arc<Layout>, usize)>,
    /// There were more of them than are counted, when all were looked at last.
    too_many: bool,
}

/// Different templates that are counted under one id. Who has more has no agreement to
/// lose, and comparing them all would take long.
const MAX_DIFFERENT: usize = 8;

impl SharedTemplates {
    fn of(sessions: &[(SocketAddr, Box<Scope>)]) -> Self {
        let mut shared = Self::default();
        for (_, scope) in sessions {
            for (id, template) in scope.templates() {
                shared.add(*id, &template.layout);
            }
        }
        shared
    }

    fn add(&mut self, id: u16, layout: &Arc<Layout>) {
        let known = self.by_id.entry(id).or_default();
        if known.too_many {
            return;
        }
        let count = known.templates.len();
        match known.templates.iter_mut().find(|(one, _)| one.is_same(layout)) {
            Some((_, sessions)) => *sessions += 1,
            None if count < MAX_DIFFERENT => known.templates.push((Arc::clone(layout), 1)),
            None => known.too_many = true,
        }
    }

    fn remove(&mut self, id: u16, layout: &Arc<Layout>) {
        let Some(known) = self.by_id.get_mut(&id).filter(|known| !known.too_many) else {
            return;
        };
        if let Some((_, sessions)) = known.templates.iter_mut().find(|(one, _)| one.is_same(layout)) {
            *sessions = sessions.saturating_sub(1);
        }
        known.templates.retain(|(_, sessions)| *sessions > 0);
        if known.templates.is_empty() {
            self.by_id.remove(&id);
        }
    }

    /// Of some ids there were more templates than are counted, so that nobody knows whether
    /// the sessions agree by now.
    fn has_too_many(&self) -> bool {
        self.by_id.values().any(|known| known.too_many)
    }

    fn only(&self, id: u16) -> Option<&Arc<Layout>> {
        let known = self.by_id.get(&id).filter(|known| !known.too_many)?;
        match known.templates.as_slice() {
            [(layout, _)] => Some(layout),
            _ => None,
        }
    }
}

/// What other sessions of the same address know.
#[derive(Debug)]
pub(crate) enum Siblings<'s> {
    /// There is no other, or it is none of this one's business (TCP).
    None,
    /// The only other one.
    One(&'s Scope),
    /// Several; `counts_own` when this session is one of them.
    Several {
        shared: &'s mut SharedTemplates,
        counts_own: bool,
    },
}

impl Siblings<'_> {
    /// The template that they agree on.
    pub(crate) fn layout(&self, id: u16) -> Option<&Arc<Layout>> {
        match self {
            Self::None => None,
            Self::One(scope) => scope.layout(id),
            Self::Several { shared, .. } => shared.only(id),
        }
    }

    /// This session has another template from now on.
    pub(crate) fn replaced(&mut self, id: u16, old: Option<&Arc<Layout>>, new: Option<&Arc<Layout>>) {
        if let Self::Several {
            shared,
            counts_own: true,
        } = self
        {
            if let Some(new) = new {
                shared.add(id, new);
            }
            if let Some(old) = old {
                shared.remove(id, old);
            }
        }
    }
}

/// All scopes.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    exporters: HashMap<ExporterKey, Exporter, RandomState>,
    by_sender: HashMap<SenderNetwork, usize, RandomState>,
    count: usize,
}

impl Scopes {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// How many of them a sender has.
    pub(crate) fn of_sender(&self, sender: SenderNetwork) -> usize {
        self.by_sender.get(&sender).copied().unwrap_or(0)
    }

    /// The scope, if it is known, and what its siblings know.
    pub(crate) fn find(&mut self, key: &ScopeKey) -> (Option<&mut Scope>, Siblings<'_>) {
        let Some(exporter) = self.exporters.get_mut(&ExporterKey::of(key)) else {
            return (None, Siblings::None);
        };
        let is_stream = key.session.transport == Transport::Stream;
        // Most have one session.
        let place = match exporter.sessions.as_slice() {
            [(peer, _)] if *peer == key.session.peer => Ok(0),
            sessions => sessions.binary_search_by(|(peer, _)| peer.cmp(&key.session.peer)),
        };
        let counts_own = place.is_ok();
        match (place, &mut exporter.shared) {
            (Ok(place), shared) => {
                let siblings = shared
                    .as_mut()
                    .filter(|_| !is_stream)
                    .map_or(Siblings::None, |shared| Siblings::Several { shared, counts_own });
                let scope = exporter.sessions.get_mut(place).map(|(_, scope)| &mut **scope);
                (scope, siblings)
            }
            (Err(_), _) if is_stream => (None, Siblings::None),
            (Err(_), Some(shared)) => (None, Siblings::Several { shared, counts_own }),
            (Err(_), None) => match exporter.sessions.first() {
                Some((_, scope)) => (None, Siblings::One(scope)),
                None => (None, Siblings::None),
            },
        }
    }

    /// Takes in a scope that is not known yet.
    pub(crate) fn insert(&mut self, key: &ScopeKey, scope: Scope) {
        let exporter = self.exporters.entry(ExporterKey::of(key)).or_default();
        let peer = key.session.peer;
        if let Err(place) = exporter.sessions.binary_search_by(|(known, _)| known.cmp(&peer)) {
            if let Some(shared) = &mut exporter.shared {
                for (id, template) in scope.templates() {
                    shared.add(*id, &template.layout);
                }
            }
            exporter.sessions.insert(place, (peer, Box::new(scope)));
            if exporter.sessions.len() == 2 && key.session.transport == Transport::Datagram {
                exporter.shared = Some(SharedTemplates::of(&exporter.sessions));
            }
            *self.by_sender.entry(SenderNetwork::of(peer.ip())).or_default() += 1;
            self.count += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ScopeKey, &Scope)> {
        self.exporters.iter().flat_map(|(key, exporter)| {
            let sessions = exporter.sessions.iter();
            sessions.map(|(peer, scope)| (key.scope(*peer), &**scope))
        })
    }

    /// For what does not change their templates.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ScopeKey, &mut Scope)> {
        self.exporters.iter_mut().flat_map(|(key, exporter)| {
            let sessions = exporter.sessions.iter_mut();
            sessions.map(|(peer, scope)| (key.scope(*peer), &mut **scope))
        })
    }

    /// Keeps those of which `keeps` says so; it may take templates from them. Looks again
    /// at what there were too many of.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&ScopeKey, &mut Scope) -> bool) {
        let Self {
            exporters,
            by_sender,
            count,
        } = self;
        exporters.retain(|key, exporter| {
            let mut changed = exporter
                .shared
                .as_ref()
                .is_some_and(SharedTemplates::has_too_many);
            exporter.sessions.retain_mut(|(peer, scope)| {
                let before = scope.template_count();
                let stays = keeps(&key.scope(*peer), scope);
                changed |= !stays || scope.template_count() != before;
                if !stays {
                    *count -= 1;
                    forget_one(by_sender, SenderNetwork::of(peer.ip()));
                }
                stays
            });
            if changed {
                let several = exporter.shared.is_some() && exporter.sessions.len() > 1;
                exporter.shared = several.then(|| SharedTemplates::of(&exporter.sessions));
            }
            !exporter.sessions.is_empty()
        });
    }
}

fn forget_one(by_sender: &mut HashMap<SenderNetwork, usize, RandomState>, sender: SenderNetwork) {
    if let Some(scopes) = by_sender.get_mut(&sender) {
        *scopes -= 1;
        if *scopes == 0 {
            by_sender.remove(&sender);
        }
    }
}
