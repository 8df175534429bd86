//! A template as it is kept: the octets that define it, and the plan, which is
//! compiled when the first data comes. Most of what a flood of templates brings is
//! never used, and what a steady exporter repeats is only compared.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::template::Definition;

/// Octets before the field specifiers: protocol, kind, and the scope's field count.
const PREFIX: usize = 4;

/// What a template says, whatever its id.
#[derive(Debug)]
pub(crate) struct Layout {
    bytes: Box<[u8]>,
    protocol: Protocol,
    /// Its records describe the exporter, not flows.
    pub options: bool,
    scope: usize,
    plan: OnceLock<Plan>,
}

impl Layout {
    pub(crate) fn new(definition: &Definition<'_>) -> Self {
        Self {
            bytes: [&prefix(definition), definition.octets()].concat().into(),
            protocol: definition.protocol,
            options: definition.options,
            scope: definition.scope,
            plan: OnceLock::new(),
        }
    }

    /// Whether it is what the definition says.
    pub(crate) fn is(&self, definition: &Definition<'_>) -> bool {
        self.bytes
            .split_at_checked(PREFIX)
            .is_some_and(|(start, rest)| start == prefix(definition) && rest == definition.octets())
    }

    /// Whether both say the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.bytes == other.bytes
    }

    /// Octets of what is kept of it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The same for a template that is not kept yet.
    pub(crate) fn len_of(definition: &Definition<'_>) -> usize {
        PREFIX + definition.octets().len()
    }

    /// Tells the template from others, though not with certainty.
    pub(crate) fn hash_of(definition: &Definition<'_>, state: &RandomState) -> u64 {
        state.hash_one((prefix(definition), definition.octets()))
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
        let specifiers = self.bytes.get(PREFIX..).unwrap_or_default();
        Definition::of_bytes(self.protocol, id, self.scope, self.options, specifiers)
    }
}

fn prefix(definition: &Definition<'_>) -> [u8; PREFIX] {
    // A scope of more fields than two octets can tell does not fit a template.
    let [high, low] = (definition.scope as u16).to_be_bytes();
    [definition.protocol as u8, u8::from(definition.options), high, low]
}
