//! What one exporter has told in one observation domain: its templates, and the
//! data that came before them. Templates are kept per transport session and
//! domain (RFC 7011 §8), separately for NetFlow v9 and IPFIX.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::held::Held;
use crate::layout::Layout;
use crate::protocol::Protocol;
use crate::session::Session;

/// Who speaks about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScopeKey {
    pub session: Session,
    pub protocol: Protocol,
    pub domain: u32,
}

/// In few words: it is hashed for every message.
impl Hash for ScopeKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Session { peer, transport } = self.session;
        match peer.ip() {
            IpAddr::V4(address) => state.write_u32(address.to_bits()),
            IpAddr::V6(address) => state.write_u128(address.to_bits()),
        }
        let kind = u32::from(peer.port()) << 16 | (transport as u32) << 8 | self.protocol as u32;
        state.write_u64(u64::from(kind) << 32 | u64::from(self.domain));
    }
}

/// One exporter's templates in one domain.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// By id, in order: a search in it needs no hashing.
    templates: Vec<(u16, Template)>,
    /// How many of them are of options.
    options: usize,
    pub held: Held,
    pub seen_ms: u64,
    /// Messages so far, up to [`REGULAR`].
    messages: u8,
    /// Its templates are not what was told to the outside last.
    pub changed: bool,
    /// When that was.
    pub told_ms: u64,
}

/// Who sent so many messages is no stranger: a flood of invented senders is forgotten
/// before it.
const REGULAR: u8 = 16;

/// A template in force.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub layout: Arc<Layout>,
    /// When it was defined last.
    pub at_ms: u64,
}

impl Scope {
    #[inline]
    pub(crate) fn layout(&self, id: u16) -> Option<&Arc<Layout>> {
        let place = self.place(id).ok()?;
        self.templates.get(place).map(|(_, template)| &template.layout)
    }

    /// Where the template is, or where it would be.
    fn place(&self, id: u16) -> Result<usize, usize> {
        self.templates.binary_search_by_key(&id, |&(known, _)| known)
    }

    /// All templates, by id.
    pub(crate) fn templates(&self) -> &[(u16, Template)] {
        &self.templates
    }

    /// A scope that has taught these templates, by id.
    pub(crate) fn recalled(templates: &[(u16, Template)], oldest_ms: u64) -> Self {
        let young = templates
            .iter()
            .filter(|(_, template)| template.at_ms >= oldest_ms);
        let templates: Vec<_> = young.cloned().collect();
        Self {
            options: options_among(&templates),
            templates,
            ..Self::default()
        }
    }

    pub(crate) fn template_count(&self) -> usize {
        self.templates.len()
    }

    /// Puts a template in force or, with `None`, out of it; returns what was.
    pub(crate) fn set(&mut self, id: u16, template: Option<Template>) -> Option<Template> {
        let of_options =
            |place: &Option<Template>| usize::from(place.as_ref().is_some_and(|one| one.layout.options));
        self.options += of_options(&template);
        let replaced = self.put(id, template);
        self.options -= of_options(&replaced);
        replaced
    }

    fn put(&mut self, id: u16, template: Option<Template>) -> Option<Template> {
        match (self.place(id), template) {
            (Ok(place), Some(template)) => {
                let known = self.templates.get_mut(place)?;
                Some(std::mem::replace(&mut known.1, template))
            }
            (Ok(place), None) => Some(self.templates.remove(place).1),
            (Err(place), Some(template)) => {
                self.templates.insert(place, (id, template));
                None
            }
            (Err(_), None) => None,
        }
    }

    /// Ids of the templates in force, either those of options or the others.
    pub(crate) fn ids(&self, options: bool) -> Vec<u16> {
        let others = self.templates.len() - self.options;
        if (if options { self.options } else { others }) == 0 {
            return Vec::new();
        }
        let of_kind = self
            .templates
            .iter()
            .filter(|(_, template)| template.layout.options == options);
        of_kind.map(|&(id, _)| id).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.held.is_empty()
    }

    /// A message came, in a datagram of its own or not: a single datagram makes nobody
    /// regular, however many messages are in it.
    pub(crate) fn seen(&mut self, now_ms: u64, is_first: bool) {
        self.seen_ms = now_ms;
        if is_first && self.messages < REGULAR {
            self.messages += 1;
            // To be told: strangers are kept apart outside, too.
            self.changed |= self.is_regular();
        }
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.messages >= REGULAR
    }

    /// The clock was set.
    pub(crate) fn move_times(&mut self, moved: impl Fn(u64) -> u64) {
        for (_, template) in &mut self.templates {
            template.at_ms = moved(template.at_ms);
        }
        self.seen_ms = moved(self.seen_ms);
        self.told_ms = moved(self.told_ms);
        self.held.move_times(moved);
    }

    /// Forgets templates not defined since `oldest_ms`.
    pub(crate) fn forget_templates(&mut self, oldest_ms: u64) {
        self.templates.retain(|(_, template)| template.at_ms >= oldest_ms);
        self.options = options_among(&self.templates);
    }
}

fn options_among(templates: &[(u16, Template)]) -> usize {
    templates
        .iter()
        .filter(|(_, template)| template.layout.options)
        .count()
}
