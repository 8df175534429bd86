//! Values that several kinds share: names, selectors, networks, ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::Value;

use super::object::Object;
use super::{Origin, Reader};
use crate::facts::{PROTOCOLS, Protocol};
use crate::selector::{Operator, Requirement, Selector};

/// The longest name of an object.
const MOST_NAME: usize = 253;
/// The longest label value, and the longest name within a label key.
const MOST_LABEL: usize = 63;

impl Reader {
    /// `metadata`: namespace and name. What else is there is not looked at.
    pub(super) fn metadata(&mut self, object: &mut Object<'_>) -> Option<(String, String)> {
        let Some(mut metadata) = object.object("metadata", self) else {
            self.problem("metadata", "is missing");
            return None;
        };
        let namespace = metadata.text("namespace", self).unwrap_or_default().to_owned();
        let name = metadata.text("name", self).unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > MOST_NAME {
            self.problem("metadata.name", "must have 1 to 253 characters");
        }
        (!name.is_empty()).then_some((namespace, name))
    }

    /// A label selector. What cannot be understood selects nothing.
    pub(super) fn selector(&mut self, value: &Value, place: String) -> Selector {
        let before = self.problems.len();
        let mut object = Object::new(value, place, self);
        let mut requirements = Vec::new();
        if let Some(labels) = object.object("matchLabels", self) {
            requirements.extend(self.match_labels(&labels, value));
        }
        for (place, expression) in object.list("matchExpressions", usize::MAX, self) {
            requirements.extend(self.requirement(expression, place));
        }
        object.close(self);
        match self.problems.len() > before {
            true => Selector::Unreadable,
            false => Selector::Requirements(requirements),
        }
    }

    /// A selector field, if it is there.
    pub(super) fn selector_field(&mut self, object: &mut Object<'_>, name: &'static str) -> Option<Selector> {
        let value = object.field(name)?;
        Some(self.selector(value, object.at(name)))
    }

    fn match_labels(&mut self, object: &Object<'_>, selector: &Value) -> Vec<Requirement> {
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        let mut requirements = Vec::new();
        for (key, value) in labels.into_iter().flatten() {
            self.label_key(key, object.place());
            let Some(value) = value.as_str() else {
                self.problem(object.at(key), format!("{value} is no string"));
                continue;
            };
            self.label_value(value, &object.at(key));
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value.to_owned()]),
            });
        }
        requirements
    }

    fn requirement(&mut self, value: &Value, place: String) -> Option<Requirement> {
        let mut object = Object::new(value, place, self);
        let key = object.text("key", self).unwrap_or_default();
        self.label_key(key, &object.at("key"));
        let mut values = Vec::new();
        for (place, value) in object.list("values", usize::MAX, self) {
            let Some(value) = value.as_str() else {
                self.problem(place, format!("{value} is no string"));
                continue;
            };
            self.label_value(value, &place);
            values.push(value.to_owned());
        }
        let word = object.text("operator", self).unwrap_or_default();
        let wants_values = matches!(word, "In" | "NotIn");
        if wants_values == values.is_empty() && matches!(word, "In" | "NotIn" | "Exists" | "DoesNotExist") {
            let must = if wants_values {
                "must have some"
            } else {
                "may have none"
            };
            self.problem(object.at("values"), format!("{word} {must}"));
        }
        let operator = match word {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => {
                self.problem(
                    object.at("operator"),
                    format!("{word:?} is none of In, NotIn, Exists, DoesNotExist"),
                );
                return None;
            }
        };
        object.close(self);
        Some(Requirement {
            key: key.to_owned(),
            operator,
        })
    }

    fn label_key(&mut self, key: &str, place: &str) {
        let (prefix, name) = key
            .rsplit_once('/')
            .map_or((None, key), |(prefix, name)| (Some(prefix), name));
        let prefix_is_good = prefix.is_none_or(|prefix| {
            (1..=MOST_NAME).contains(&prefix.len())
                && prefix
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
        });
        if name.is_empty() || !is_label_word(name) || !prefix_is_good {
            self.problem(place, format!("{key:?} is no label key"));
        }
    }

    fn label_value(&mut self, value: &str, place: &str) {
        if !is_label_word(value) {
            self.problem(place, format!("{value:?} is no label value"));
        }
    }

    /// A network, masked. Octets with zeros before them are decimal, as in objects from
    /// before the API server was strict. `canonical` networks must be as they are printed.
    pub(super) fn network(&mut self, value: &Value, place: &str, canonical: bool) -> Option<IpNet> {
        let text = value.as_str().unwrap_or_default();
        let Some(network) = network(text) else {
            self.problem(place, format!("{value} is no network in CIDR notation"));
            return None;
        };
        if canonical && self.origin == Origin::File && network.to_string() != text {
            self.problem(place, format!("{text} must be written {network}"));
        }
        Some(network)
    }

    /// The protocol of a port, TCP where absent.
    pub(super) fn protocol(&mut self, object: &mut Object<'_>) -> Option<Protocol> {
        let Some(value) = object.field("protocol") else {
            return Some(Protocol::Tcp);
        };
        let protocol = PROTOCOLS
            .into_iter()
            .find(|protocol| value.as_str() == Some(protocol.name()));
        if protocol.is_none() {
            self.problem(
                object.at("protocol"),
                format!("{value} is none of TCP, UDP, SCTP"),
            );
        }
        protocol
    }

    /// The name of a container port.
    pub(super) fn port_name(&mut self, name: &str, place: &str) -> Option<String> {
        let good = (1..=15).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && name.chars().any(|c| c.is_ascii_lowercase())
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if !good {
            self.problem(place, format!("{name:?} is no name of a port"));
        }
        good.then(|| name.to_owned())
    }
}

/// Empty, or at most 63 of letters, digits, `-_.` with a letter or digit at both ends.
fn is_label_word(word: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    word.len() <= MOST_LABEL
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && (word.is_empty() || word.starts_with(ends) && word.ends_with(ends))
}

fn network(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let length = length
        .parse()
        .ok()
        .filter(|_| length.bytes().all(|b| b.is_ascii_digit()))?;
    let address = match address.contains(':') {
        true => IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        false => IpAddr::V4(decimal(address)?),
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}

/// Four decimal numbers, with zeros before them or not.
fn decimal(text: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = text
        .split('.')
        .map(|octet| {
            let digits = !octet.is_empty() && octet.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| octet.parse().ok()).flatten()
        })
        .collect::<Option<_>>()?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))
}
