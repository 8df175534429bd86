//! A template as it is kept: the octets that define it, and the plan, which is
//! compiled when the first data comes. Most of what a flood of templates brings is
//! never used, and what a steady exporter repeats is only compared.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::template::Definition;

/// Octets before the field specifiers: protocol, kind, and the scope's field count.
const PREFIX: usize = 4;

/// What a template says, whatever its id.
#[derive(Debug)]
pub(crate) struct Layout {
    octets: Box<[u8]>,
    protocol: Protocol,
    /// Its records describe the exporter, not flows.
    pub options: bool,
    scope: usize,
    plan: OnceLock<Plan>,
}

impl Layout {
    pub(crate) fn new(definition: &Definition<'_>) -> Self {
        let mut octets = Vec::with_capacity(PREFIX + definition.octets().len());
        write_key(definition, &mut octets);
        Self {
            octets: octets.into(),
            protocol: definition.protocol,
            options: definition.options,
            scope: definition.scope,
            plan: OnceLock::new(),
        }
    }

    /// Whether it is what the definition says.
    pub(crate) fn is(&self, definition: &Definition<'_>) -> bool {
        self.octets
            .split_at_checked(PREFIX)
            .is_some_and(|(start, rest)| start == prefix(definition) && rest == definition.octets())
    }

    /// The protocol that it is of.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How to read its records.
    pub(crate) fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| Plan::compile(&self.definition(0)))
    }

    /// The definition again, under an id.
    pub(crate) fn definition(&self, id: u16) -> Definition<'_> {
        let specifiers = self.octets.get(PREFIX..).unwrap_or_default();
        Definition::of_octets(self.protocol, id, self.scope, self.options, specifiers)
    }
}

fn prefix(definition: &Definition<'_>) -> [u8; PREFIX] {
    // A scope of more fields than two octets can tell does not fit a template.
    let [high, low] = (definition.scope as u16).to_be_bytes();
    [definition.protocol as u8, u8::from(definition.options), high, low]
}

/// Writes what tells a definition from all others.
pub(crate) fn write_key(definition: &Definition<'_>, key: &mut Vec<u8>) {
    key.clear();
    key.extend(prefix(definition));
    key.extend_from_slice(definition.octets());
}

/// A layout found by its octets.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub Arc<Layout>);

impl Shared {
    pub(crate) fn len(&self) -> usize {
        self.0.octets.len()
    }
}

impl Borrow<[u8]> for Shared {
    fn borrow(&self) -> &[u8] {
        &self.0.octets
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.octets.hash(state);
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.0.octets == other.0.octets
    }
}

impl Eq for Shared {}
