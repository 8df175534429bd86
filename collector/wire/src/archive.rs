//! Templates outside of a decoder, so that they outlive it: what sessions over UDP have
//! taught, as octets and back. It owns the form of these octets; where they are kept,
//! and whether they came back unharmed, is for others to know.
//!
//! | octets | what |
//! |---|---|
//! | 4 | number of different templates; each: |
//! | 1, 1, 2 | protocol's version, 1 for options, length of the record |
//! | | the template record as on the wire, its id 256 |
//! | 4 | number of sessions and domains; each: |
//! | 1 | 4 or 6, then the address of so many bits; for 6 flow label and zone, 4 each |
//! | 2, 1, 4, 2 | port, protocol's version, domain, number of templates; each: |
//! | 2, 8, 4 | id, when it was told last (ms since the epoch), which of the above |

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use thiserror::Error;

use crate::layout::Layout;
use crate::limits::Limits;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::reject::Reject;
use crate::scope::{ScopeKey, Template};
use crate::session::Session;
use crate::template::{self, Entry};

/// Octets of different templates that are written; those told longest ago are left out.
const MAX_TEMPLATE_OCTETS: usize = 16 << 20;

/// An archive cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// It ends too early, or has a template that no message may have.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// Something in it means nothing.
    #[error("no archive of templates: {what} at offset {offset}")]
    Nonsense {
        /// What was to be read.
        what: &'static str,
        /// Where it was.
        offset: usize,
    },
}

/// The templates of one session and domain, as they are now.
#[derive(Debug, Clone)]
pub struct Learned {
    pub(crate) key: ScopeKey,
    pub(crate) told: ArchivedTemplates,
}

/// What was told, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct ArchivedTemplates {
    /// By id.
    pub templates: Arc<[(u16, Template)]>,
    /// Its sender has sent for a while.
    pub regular: bool,
}

impl ArchivedTemplates {
    /// Who comes first is forgotten first.
    fn rank(&self) -> (bool, u64) {
        (self.regular, newest(&self.templates))
    }
}

/// The templates of many sessions.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    scopes: HashMap<ScopeKey, ArchivedTemplates>,
}

impl Archive {
    /// Takes in what a decoder has learned ([`crate::Decoder::take_learned`]); the
    /// newest stands.
    pub fn merge(&mut self, learned: Learned) {
        self.scopes.insert(learned.key, learned.told);
    }

    /// Forgets sessions that told no template since (ms since the epoch), then strangers
    /// and those silent longest until there are not more than `most`.
    pub fn forget(&mut self, oldest_ms: u64, most: usize) {
        self.scopes.retain(|_, told| newest(&told.templates) >= oldest_ms);
        let Some(surplus) = self.scopes.len().checked_sub(most).filter(|n| *n > 0) else {
            return;
        };
        let keys = self
            .by_rank()
            .into_iter()
            .rev()
            .take(surplus)
            .map(|(key, _)| *key);
        for key in keys.collect::<Vec<_>>() {
            self.scopes.remove(&key);
        }
    }

    /// Pairs of session and observation domain.
    pub fn scopes(&self) -> usize {
        self.scopes.len()
    }

    /// Templates of all of them.
    pub fn templates(&self) -> usize {
        self.scopes.values().map(|told| told.templates.len()).sum()
    }

    pub(crate) fn shared(&self) -> HashMap<ScopeKey, Arc<[(u16, Template)]>> {
        let templates = |(key, told): (&ScopeKey, &ArchivedTemplates)| (*key, Arc::clone(&told.templates));
        self.scopes.iter().map(templates).collect()
    }

    /// Those come first that are to be kept.
    fn by_rank(&self) -> Vec<(&ScopeKey, &ArchivedTemplates)> {
        let mut scopes: Vec<_> = self.scopes.iter().collect();
        scopes.sort_by_cached_key(|(_, told)| std::cmp::Reverse(told.rank()));
        scopes
    }

    /// The octets of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut table = Table::default();
        let mut scopes = Vec::new();
        let by_rank = self.by_rank();
        for (key, told) in &by_rank {
            write_key(key, &mut scopes);
            let known = told.templates.iter().filter_map(|(id, template)| {
                let place = table.place(&template.layout)?;
                Some((id, template.at_ms, place))
            });
            let known: Vec<_> = known.collect();
            scopes.extend((known.len() as u16).to_be_bytes());
            for (id, at_ms, place) in known {
                scopes.extend(id.to_be_bytes());
                scopes.extend(at_ms.to_be_bytes());
                scopes.extend(place.to_be_bytes());
            }
        }
        let mut octets = Vec::with_capacity(table.bytes.len() + scopes.len() + 8);
        octets.extend(table.written.to_be_bytes());
        octets.extend(table.bytes);
        octets.extend((by_rank.len() as u32).to_be_bytes());
        octets.extend(scopes);
        octets
    }

    /// Reads it again. Each template must be one that a message may have and within
    /// `limits`. Those told before `oldest_ms` are left out; what claims to have been
    /// told after `now_ms` was told now. Nobody in it is a stranger any more.
    ///
    /// # Errors
    /// The octets are no archive.
    pub fn decode(octets: &[u8], limits: &Limits, oldest_ms: u64, now_ms: u64) -> Result<Self, ArchiveError> {
        let mut reader = Reader::new(octets);
        let mut layouts = Vec::new();
        for _ in 0..reader.u32()? {
            layouts.push(read_layout(&mut reader, limits)?);
        }
        let mut archive = Self::default();
        for _ in 0..reader.u32()? {
            let key = read_key(&mut reader)?;
            let mut templates = Vec::new();
            for _ in 0..reader.u16()? {
                let (id, template) = read_template(&mut reader, &layouts, key.protocol)?;
                let at_ms = template.at_ms.min(now_ms);
                if at_ms >= oldest_ms && templates.len() < limits.templates_per_scope {
                    templates.push((id, Template { at_ms, ..template }));
                }
            }
            if !templates.is_empty() && archive.scopes.len() < limits.scopes {
                templates.sort_by_key(|(id, _)| *id);
                templates.dedup_by_key(|(id, _)| *id);
                let templates = templates.into();
                let regular = true;
                archive
                    .scopes
                    .insert(key, ArchivedTemplates { templates, regular });
            }
        }
        match reader.left() {
            0 => Ok(archive),
            _ => Err(nonsense("the end", reader.offset())),
        }
    }
}

fn newest(templates: &[(u16, Template)]) -> u64 {
    templates
        .iter()
        .map(|(_, template)| template.at_ms)
        .max()
        .unwrap_or(0)
}

/// The different templates, each once.
#[derive(Default)]
struct Table {
    places: HashMap<*const Layout, Option<u32>>,
    written: u32,
    bytes: Vec<u8>,
}

impl Table {
    /// `None` when there is no room for it.
    fn place(&mut self, layout: &Arc<Layout>) -> Option<u32> {
        let (written, octets) = (&mut self.written, &mut self.bytes);
        *self.places.entry(Arc::as_ptr(layout)).or_insert_with(|| {
            let record = layout.definition(256).record();
            let length = u16::try_from(record.len()).ok()?;
            if octets.len() + record.len() > MAX_TEMPLATE_OCTETS {
                return None;
            }
            octets.extend([layout.protocol().version(), u8::from(layout.options)]);
            octets.extend(length.to_be_bytes());
            octets.extend(record);
            *written += 1;
            Some(*written - 1)
        })
    }
}

fn nonsense(what: &'static str, offset: usize) -> ArchiveError {
    ArchiveError::Nonsense { what, offset }
}

fn read_protocol(reader: &mut Reader<'_>) -> Result<Protocol, ArchiveError> {
    let offset = reader.offset();
    match reader.u8()? {
        9 => Ok(Protocol::NetFlow9),
        10 => Ok(Protocol::Ipfix),
        _ => Err(nonsense("a protocol", offset)),
    }
}

fn read_layout(reader: &mut Reader<'_>, limits: &Limits) -> Result<Arc<Layout>, ArchiveError> {
    let protocol = read_protocol(reader)?;
    let offset = reader.offset();
    let options = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(nonsense("a kind of template", offset)),
    };
    let length = usize::from(reader.u16()?);
    let mut record = reader.part(length)?;
    let fault = nonsense("a template", record.offset());
    let definition = match template::next_entry(&mut record, protocol, options)? {
        Some(Entry::Definition(definition)) if record.left() == 0 => definition,
        _ => return Err(fault),
    };
    if definition.min_len == 0 || definition.count > limits.fields_per_template {
        return Err(fault);
    }
    Ok(Arc::new(Layout::new(&definition)))
}

fn read_template(
    reader: &mut Reader<'_>,
    layouts: &[Arc<Layout>],
    protocol: Protocol,
) -> Result<(u16, Template), ArchiveError> {
    let offset = reader.offset();
    let (id, at_ms) = (reader.u16()?, reader.u64()?);
    let layout = usize::try_from(reader.u32()?)
        .ok()
        .and_then(|place| layouts.get(place));
    let layout = layout.filter(|layout| id >= 256 && layout.protocol() == protocol);
    let layout = Arc::clone(layout.ok_or(nonsense("a template's place", offset))?);
    Ok((id, Template { layout, at_ms }))
}

fn write_key(key: &ScopeKey, octets: &mut Vec<u8>) {
    let peer = key.session.peer;
    match peer {
        SocketAddr::V4(peer) => {
            octets.push(4);
            octets.extend(peer.ip().octets());
        }
        SocketAddr::V6(peer) => {
            octets.push(6);
            octets.extend(peer.ip().octets());
            octets.extend(peer.flowinfo().to_be_bytes());
            octets.extend(peer.scope_id().to_be_bytes());
        }
    }
    octets.extend(peer.port().to_be_bytes());
    octets.push(key.protocol.version());
    octets.extend(key.domain.to_be_bytes());
}

fn read_key(reader: &mut Reader<'_>) -> Result<ScopeKey, ArchiveError> {
    let offset = reader.offset();
    let (address, flow, zone) = match reader.u8()? {
        4 => (IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)), 0, 0),
        6 => {
            let address = Ipv6Addr::from(reader.array::<16>()?);
            (IpAddr::V6(address), reader.u32()?, reader.u32()?)
        }
        _ => return Err(nonsense("an address", offset)),
    };
    let port = reader.u16()?;
    let peer = match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, flow, zone).into(),
    };
    Ok(ScopeKey {
        session: Session::datagram(peer),
        protocol: read_protocol(reader)?,
        domain: reader.u32()?,
    })
}
