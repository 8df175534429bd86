use super::*;
use weir_identity::{Owners, Span};

const HISTORY: Duration = Duration::from_secs(600);
const NOW: u64 = 1_000_000_000_000;

fn pod(name: &str) -> (ObjectKey, Fact) {
    let fact = facts::PodFact {
        addresses: vec![([10, 0, 0, 1].into(), "primary".into())],
        ..Default::default()
    };
    (ObjectKey::new(ObjectKind::Pod, "ns", name), Fact::Pod(fact))
}

fn listed(watched: &mut Watched, names: &[&str]) {
    watched.take(Change::ListBegins(ObjectKind::Pod), NOW);
    for name in names {
        let (key, fact) = pod(name);
        watched.take(Change::Listed(key, fact), NOW);
    }
    watched.take(Change::ListEnds(ObjectKind::Pod), NOW);
}

#[test]
fn a_new_list_forgets_what_went_away_while_the_watch_was_down() {
    let mut watched = Watched::new(HISTORY);
    listed(&mut watched, &["a", "b"]);
    listed(&mut watched, &["b"]);
    assert_eq!(watched.index.len(), 1);
    let snapshot = watched.index.snapshot();
    let later = Span::since(NOW + 10_000_000_000);
    let owners = snapshot.directory.owners([10, 0, 0, 1].into(), later);
    assert!(
        matches!(owners, Owners::One(who) if &*who.name == "b"),
        "{owners:?}"
    );
}

#[test]
fn an_interrupted_list_forgets_nothing() {
    let mut watched = Watched::new(HISTORY);
    listed(&mut watched, &["a", "b"]);
    watched.take(Change::ListBegins(ObjectKind::Pod), NOW);
    watched.take(Change::Failed(ObjectKind::Pod, "gone".into()), NOW);
    watched.take(Change::ListBegins(ObjectKind::Pod), NOW);
    assert_eq!(watched.index.len(), 2);
}

#[test]
fn what_is_not_listed_yet_is_named_with_the_reason() {
    let mut watched = Watched::new(HISTORY);
    listed(&mut watched, &[]);
    watched.take(Change::Failed(ObjectKind::Job, "forbidden".into()), NOW);
    let waiting = watched.describe().unwrap_err();
    assert!(
        waiting.contains("Job: forbidden") && !waiting.contains("Pod:"),
        "{waiting}"
    );
}

#[test]
fn every_kind_that_is_watched_forgets_what_a_new_list_lacks() {
    for kind in ObjectKind::ALL {
        let mut watched = Watched::new(HISTORY);
        for names in [&["a", "b"][..], &["b"]] {
            watched.take(Change::ListBegins(kind), NOW);
            for name in names {
                let fact = Fact::Controlled(None);
                watched.take(Change::Listed(ObjectKey::new(kind, "ns", name), fact), NOW);
            }
            watched.take(Change::ListEnds(kind), NOW);
        }
        assert_eq!(watched.index.len(), 1, "{kind:?}");
        assert!(watched.complete[kind as usize]);
    }
}

#[test]
fn an_endpoint_that_went_while_the_watch_was_down_is_not_credited_any_more() {
    let slice = facts::EndpointsFact {
        service: "web".into(),
        addresses: vec![[10, 0, 0, 1].into()],
        ports: vec![(6, 80)],
        created: 1,
    };
    let mut watched = Watched::new(HISTORY);
    watched.take(Change::ListBegins(ObjectKind::EndpointSlice), NOW);
    let key = ObjectKey::new(ObjectKind::EndpointSlice, "shop", "web-x");
    watched.take(Change::Listed(key, Fact::Endpoints(slice)), NOW);
    watched.take(Change::ListEnds(ObjectKind::EndpointSlice), NOW);
    let endpoint = weir_identity::Endpoint {
        address: [10, 0, 0, 1].into(),
        proto: 6,
        port: 80,
    };
    let later = Span::since(NOW + 10_000_000_000);
    let served = |watched: &mut Watched| {
        let directory = watched.index.snapshot().directory;
        directory
            .service(endpoint, later)
            .map(|who| who.service_name.to_string())
    };
    assert_eq!(served(&mut watched).as_deref(), Some("web"));
    watched.take(Change::ListBegins(ObjectKind::EndpointSlice), NOW);
    watched.take(Change::ListEnds(ObjectKind::EndpointSlice), NOW);
    assert_eq!(served(&mut watched), None);
}
