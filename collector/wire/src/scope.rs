//! What one exporter has told in one observation domain: its templates, and the
//! data that came before them. Templates are kept per transport session and
//! domain (RFC 7011 §8), separately for NetFlow v9 and IPFIX.

use std::sync::Arc;

use crate::held::Held;
use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::session::Session;

/// Who speaks about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ScopeKey {
    pub session: Session,
    pub protocol: Protocol,
    pub domain: u32,
}

/// One exporter's templates in one domain.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// By id, in order: a search in it needs no hashing.
    templates: Vec<(u16, Template)>,
    pub held: Held,
    pub seen_ms: u64,
}

/// A template in force.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub plan: Arc<Plan>,
    /// When it was defined last.
    pub at_ms: u64,
}

impl Scope {
    pub(crate) fn plan(&self, id: u16) -> Option<&Arc<Plan>> {
        let place = self.place(id).ok()?;
        self.templates.get(place).map(|(_, template)| &template.plan)
    }

    /// Where the template is, or where it would be.
    fn place(&self, id: u16) -> Result<usize, usize> {
        self.templates.binary_search_by_key(&id, |&(known, _)| known)
    }

    pub(crate) fn template_count(&self) -> usize {
        self.templates.len()
    }

    /// Puts a template in force or, with `None`, out of it; returns what was.
    pub(crate) fn set(&mut self, id: u16, template: Option<Template>) -> Option<Template> {
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
        let of_kind = self
            .templates
            .iter()
            .filter(|(_, template)| template.plan.options == options);
        of_kind.map(|&(id, _)| id).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.held.is_empty()
    }

    /// Forgets templates not defined since `oldest_ms`.
    pub(crate) fn forget_templates(&mut self, oldest_ms: u64) {
        self.templates.retain(|(_, template)| template.at_ms >= oldest_ms);
    }
}
