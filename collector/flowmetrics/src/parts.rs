//! Items of lists: words of flags, names of interfaces, events of policies.

use weir_fields::Column;

use crate::record::Record;
use crate::source::text;

/// A key of an item of `NetworkEvents`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKey {
    /// `acl`, or [`COMPUTED`] where nobody saw the policy act.
    Feature,
    /// Kind of the policy; not known.
    Type,
    /// Namespace of the policy.
    Namespace,
    /// Its name.
    Name,
    /// `allow`, `drop` or `reject`.
    Action,
    /// `Ingress` or `Egress`.
    Direction,
}

/// One item of a flattened list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Event {
        policy: &'a str,
        action: &'a str,
        ingress: bool,
        is_computed: bool,
    },
}

/// The feature of an event that was made of a computed verdict, and not seen where policies are
/// enforced.
const COMPUTED: &str = "weir-policy";

/// As many items as the longest list has: the words of TCP flags.
const MOST_PARTS: usize = 11;

/// The items of a list of one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    items: [Part<'a>; MOST_PARTS],
    len: usize,
}

impl<'a> Parts<'a> {
    pub const NONE: Self = Self {
        items: [Part::Text(""); MOST_PARTS],
        len: 0,
    };

    pub fn push(&mut self, part: Part<'a>) {
        if let Some(slot) = self.items.get_mut(self.len) {
            *slot = part;
            self.len += 1;
        }
    }

    pub fn as_slice(&self) -> &[Part<'a>] {
        &self.items[..self.len]
    }
}

impl<'a> Part<'a> {
    /// What this key of the item says; `None` where it has no such key.
    pub fn text(&self, key: Option<EventKey>) -> Option<&'a str> {
        match (*self, key) {
            (Part::Text(text), None) => Some(text),
            (
                Part::Event {
                    policy,
                    action,
                    ingress,
                    is_computed,
                },
                Some(key),
            ) => {
                let (namespace, name) = policy.split_once('/').unwrap_or(("", policy));
                let text = match key {
                    EventKey::Feature if is_computed => COMPUTED,
                    EventKey::Feature => "acl",
                    EventKey::Type => "",
                    EventKey::Namespace => namespace,
                    EventKey::Name => name,
                    EventKey::Action => action,
                    EventKey::Direction if ingress => "Ingress",
                    EventKey::Direction => "Egress",
                };
                (!text.is_empty()).then_some(text)
            }
            _ => None,
        }
    }
}

impl EventKey {
    /// All keys with NetObserv's names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("Feature", Self::Feature),
        ("Type", Self::Type),
        ("Namespace", Self::Namespace),
        ("Name", Self::Name),
        ("Action", Self::Action),
        ("Direction", Self::Direction),
    ];
}

/// The policies that the record names, as NetObserv's events.
pub(crate) fn network_events<'a>(record: &'a impl Record, parts: &mut Parts<'a>) {
    let sides = [
        (
            const { Column::of("ingress_policy") },
            const { Column::of("ingress_policy_action") },
            true,
        ),
        (
            const { Column::of("egress_policy") },
            const { Column::of("egress_policy_action") },
            false,
        ),
    ];
    let is_computed = !text(record, const { Column::of("policy_reason") }).is_empty();
    for (policy, action, ingress) in sides {
        let (policy, action) = (text(record, policy), text(record, action));
        if !policy.is_empty() {
            parts.push(Part::Event {
                policy,
                action,
                ingress,
                is_computed,
            });
        }
    }
}
