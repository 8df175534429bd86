//! What an exporter on the cluster's own nodes says of who stands on a side (Antrea's
//! elements, PEN 56506), where the collector does not know it by itself.
//!
//! Anybody can write names into a record: they are believed only of an exporter that is
//! a part of the cluster, which the caller has to have proof of, and never against what
//! the collector knows. The same claim gives the same shared identity. Bounded.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use super::NameRoom;
use foldhash::quality::RandomState;
use weir_flow::{FlowRecord, IdentifiedBy, Identity, Judged, Kind, Side, is_of_cluster};
use wire::{Attribute, AttributeValue, Attributes};

/// What one thread keeps of claims.
#[derive(Debug)]
pub struct Claims {
    known: HashMap<String, Known, RandomState>,
    /// When there are so many, all are forgotten.
    most: usize,
    /// Memory for the key that is looked for.
    key: String,
}

#[derive(Debug)]
struct Known {
    made: Arc<Identity>,
    found: IdentifiedBy,
    /// Held so that its address, which is a part of the key, stays its own.
    _of: Arc<Identity>,
}

/// What is said of one side. Empty: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Claim<'a> {
    ns: &'a str,
    name: &'a str,
    node: &'a str,
    /// JSON: text to text.
    labels: &'a str,
    service_ns: &'a str,
    service_name: &'a str,
}

impl Default for Claims {
    fn default() -> Self {
        Self::with_room(NameRoom::THREAD)
    }
}

impl Claims {
    /// None yet, and so many at most.
    pub fn with_room(room: NameRoom) -> Self {
        Self {
            known: HashMap::default(),
            most: room.claims,
            key: String::new(),
        }
    }

    /// Completes the names of a record that has those of the collector, or takes from
    /// it what it says of the cluster, if its exporter is not `trusted`: then the answer
    /// is whether it said anything.
    pub fn apply(&mut self, record: &mut FlowRecord, trusted: bool) -> bool {
        if record.attributes.is_empty() {
            return false;
        }
        if !trusted {
            record.policy = Judged::NOT;
            return forget(&mut record.attributes);
        }
        let [src, dst] = claims(&record.attributes);
        self.complete(&mut record.src, src);
        self.complete(&mut record.dst, dst);
        false
    }

    fn complete(&mut self, side: &mut Side, claim: Claim<'_>) {
        if claim == Claim::default() {
            return;
        }
        let Claim {
            ns,
            name,
            node,
            labels,
            service_ns,
            service_name,
        } = claim;
        self.key.clear();
        let who = Arc::as_ptr(side.identity.shared()).addr();
        let parts = write!(
            self.key,
            "{who:x}\n{:?}\n{ns}\n{name}\n{node}\n{service_ns}\n{service_name}\n{labels}",
            side.found
        );
        parts.expect("a String takes whatever is written to it");
        if !self.known.contains_key(&self.key) {
            let (made, found) = completed(&side.identity, side.found, claim);
            if self.known.len() >= self.most {
                self.known.clear();
            }
            let known = Known {
                made: made.map_or_else(|| Arc::clone(side.identity.shared()), Arc::new),
                found,
                _of: Arc::clone(side.identity.shared()),
            };
            self.known.insert(self.key.clone(), known);
        }
        if let Some(known) = self.known.get(&self.key) {
            (side.identity, side.found) = (Arc::clone(&known.made).into(), known.found);
        }
    }
}

/// Who stands there, with what is claimed of it; none if that adds nothing. A pod is
/// believed where nobody is known, a Service and labels where none are.
fn completed(who: &Identity, found: IdentifiedBy, claim: Claim<'_>) -> (Option<Identity>, IdentifiedBy) {
    let unknown = matches!(
        found,
        IdentifiedBy::Nothing | IdentifiedBy::Subnet | IdentifiedBy::Ambiguous
    );
    let is_pod = unknown && !claim.name.is_empty();
    let is_served = !claim.service_name.is_empty() && who.service_name.is_empty();
    let is_same = is_pod || (who.pod_name() == claim.name && &*who.ns == claim.ns);
    let is_labelled = is_same && !claim.labels.is_empty() && who.labels.is_empty();
    if !is_pod && !is_served && !is_labelled {
        return (None, found);
    }
    let mut made = match is_pod {
        true => Identity {
            kind: Kind::Pod,
            ns: claim.ns.into(),
            name: claim.name.into(),
            node_name: claim.node.into(),
            subnet_label: Arc::clone(&who.subnet_label),
            ..Identity::default()
        },
        false => who.clone(),
    };
    if is_served {
        made.service_name = claim.service_name.into();
        made.service_ns = claim.service_ns.into();
    }
    if is_labelled {
        made.labels = labels(claim.labels);
    }
    (Some(made), if is_pod { IdentifiedBy::Exporter } else { found })
}

/// What is said of the source and of the destination.
fn claims(attributes: &Attributes) -> [Claim<'_>; 2] {
    let text = |attribute| match attributes.get(attribute) {
        Some(AttributeValue::Text(text)) => text.as_str(),
        _ => "",
    };
    let service = service(text(Attribute::DstServicePortName));
    let (service_ns, service_name) = service.unwrap_or_default();
    let src = Claim {
        ns: text(Attribute::SrcPodNamespace),
        name: text(Attribute::SrcPodName),
        node: text(Attribute::SrcNodeName),
        labels: text(Attribute::SrcPodLabels),
        ..Claim::default()
    };
    let dst = Claim {
        ns: text(Attribute::DstPodNamespace),
        name: text(Attribute::DstPodName),
        node: text(Attribute::DstNodeName),
        labels: text(Attribute::DstPodLabels),
        service_ns,
        service_name,
    };
    [src, dst]
}

/// Namespace and name out of `namespace/name:port-name`; the port may have no name.
fn service(text: &str) -> Option<(&str, &str)> {
    let (ns, rest) = text.split_once('/')?;
    let name = rest.split_once(':').map_or(rest, |(name, _)| name);
    (!ns.is_empty() && !name.is_empty()).then_some((ns, name))
}

/// The labels of a JSON object of texts; none out of anything else.
fn labels(json: &str) -> Arc<[(Arc<str>, Arc<str>)]> {
    let labels: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    labels
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// Takes out what is said of the cluster, and says whether there was any.
fn forget(attributes: &mut Attributes) -> bool {
    if !attributes.iter().any(|(attribute, _)| is_of_cluster(attribute)) {
        return false;
    }
    let mut rest = Attributes::NONE;
    for (attribute, value) in attributes.iter().filter(|(a, _)| !is_of_cluster(*a)) {
        rest.set(attribute, value.clone());
    }
    *attributes = rest;
    true
}

#[cfg(test)]
mod tests {
    use weir_flow::PacketPath;

    use super::*;
    use crate::normalise::{Context, normalise};

    fn record(said: &[(Attribute, &str)]) -> FlowRecord {
        let mut raw = wire::Record::default();
        for (attribute, text) in said {
            raw.attributes
                .set(*attribute, AttributeValue::Text((*text).into()));
        }
        raw.attributes
            .set(Attribute::SrcAs, AttributeValue::Unsigned(64_500));
        let context = Context {
            received_ns: 1,
            source: [192, 0, 2, 1].into(),
            exporter: None,
        };
        let record = normalise(raw, context);
        assert_eq!(record.path, PacketPath::NONE);
        record
    }

    fn antrea() -> FlowRecord {
        record(&[
            (Attribute::SrcPodNamespace, "shop"),
            (Attribute::SrcPodName, "web-1"),
            (Attribute::SrcNodeName, "node-a"),
            (Attribute::DstPodNamespace, "shop"),
            (Attribute::DstPodName, "db-0"),
            (Attribute::DstServicePortName, "shop/db:postgres"),
            (Attribute::DstPodLabels, r#"{"tier":"data","app":"db"}"#),
            (Attribute::IngressPolicyName, "db"),
        ])
    }

    fn keys(record: &FlowRecord) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
    }

    #[test]
    fn what_nobody_knows_is_named_as_a_trusted_exporter_says() {
        let (mut claims, mut one, mut other) = (Claims::default(), antrea(), antrea());
        assert!(!claims.apply(&mut one, true) && !claims.apply(&mut other, true));
        let said = keys(&one);
        for (key, value) in [
            ("ns", "shop"),
            ("pod_name", "web-1"),
            ("kind", "Pod"),
            ("node_name", "node-a"),
            ("identified_by", "exporter"),
            ("service_name", ""),
            ("dst_pod_name", "db-0"),
            ("dst_service_name", "db"),
            ("dst_service_ns", "shop"),
            ("ingress_policy", "db"),
        ] {
            assert_eq!(said[key], value, "{key}");
        }
        let labels: Vec<_> = said["dst_pod_labels"].as_object().unwrap().iter().collect();
        assert_eq!(
            labels,
            [
                (&"app".to_owned(), &"db".into()),
                (&"tier".to_owned(), &"data".into())
            ]
        );
        assert!(Arc::ptr_eq(
            one.src.identity.shared(),
            other.src.identity.shared()
        ));
    }

    #[test]
    fn of_an_exporter_that_is_not_trusted_nothing_of_the_cluster_is_believed() {
        let mut record = antrea();
        assert!(Claims::default().apply(&mut record, false));
        let said = keys(&record);
        assert_eq!((&said["ns"], &said["dst_service_name"]), (&"".into(), &"".into()));
        assert!(!said.contains_key("ingress_policy"));
        assert_eq!(said["asn"], 64_500, "routers may say this");
        assert!(
            !Claims::default().apply(&mut record, false),
            "there is nothing left"
        );
    }

    #[test]
    fn what_the_collector_knows_wins_and_is_only_completed() {
        let mut record = antrea();
        let known = Identity {
            kind: Kind::Pod,
            ns: "other".into(),
            name: "postgres-7".into(),
            ..Identity::default()
        };
        for side in [&mut record.src, &mut record.dst] {
            (side.identity, side.found) = (known.clone().into(), IdentifiedBy::Address);
        }
        Claims::default().apply(&mut record, true);
        let said = keys(&record);
        assert_eq!(
            (&said["ns"], &said["pod_name"]),
            (&"other".into(), &"postgres-7".into())
        );
        assert_eq!(
            (
                &said["dst_ns"],
                &said["dst_service_name"],
                &said["dst_identified_by"]
            ),
            (&"other".into(), &"db".into(), &"address".into())
        );
    }

    #[test]
    fn a_service_is_read_out_of_the_name_of_its_port() {
        assert_eq!(service("shop/db:postgres"), Some(("shop", "db")));
        assert_eq!(service("shop/db:"), Some(("shop", "db")));
        assert_eq!(service("shop/db"), Some(("shop", "db")));
        for none in ["", "db:postgres", "/db:p", "shop/:p", "shop/"] {
            assert_eq!(service(none), None, "{none}");
        }
    }

    #[test]
    fn labels_that_are_no_object_of_texts_are_none() {
        assert_eq!(labels(r#"{"b":"2","a":"1"}"#).len(), 2);
        for none in ["", "{", r#"{"a":1}"#, r#"["a"]"#, "null", r#"{"a":{"b":"c"}}"#] {
            assert!(labels(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let room = NameRoom::CONNECTION;
        let mut claims = Claims::with_room(room);
        for n in 0..=room.claims {
            let name = n.to_string();
            claims.apply(&mut record(&[(Attribute::SrcPodName, &name)]), true);
        }
        assert!(claims.known.len() <= room.claims);
    }
}
