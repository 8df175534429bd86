use super::*;

const SECOND: u64 = 1_000_000_000;

fn who(kind: Kind, name: &str, network: &str) -> Arc<Identity> {
    Arc::new(Identity {
        kind,
        name: name.into(),
        network: network.into(),
        ..Identity::default()
    })
}

fn pod(name: &str) -> Arc<Identity> {
    who(Kind::Pod, name, "primary")
}

/// Seconds.
fn span(from: u64, to: u64) -> Span {
    Span {
        from: from * SECOND,
        to: to * SECOND,
    }
}

fn names(held: &[(Arc<Identity>, Span)], flow: Span) -> Vec<String> {
    let address = IpAddr::from([10, 0, 0, 1]);
    let all: Vec<Held> = held
        .iter()
        .map(|(who, span)| Held {
            span: *span,
            who: Arc::clone(who),
        })
        .collect();
    let mut directory = Directory::default();
    directory.addresses.insert(address, all.into());
    match directory.owners(address, flow) {
        Owners::Nobody => Vec::new(),
        Owners::One(who) => vec![who.name.to_string()],
        Owners::Several(all) => all.iter().map(|who| who.name.to_string()).collect(),
    }
}

#[test]
fn a_flow_is_credited_to_who_had_the_address_when_it_ran() {
    let held = [(pod("old"), span(100, 200)), (pod("new"), span(210, 900))];
    assert_eq!(names(&held, span(150, 198)), ["old"]);
    assert_eq!(names(&held, span(212, 300)), ["new"]);
    assert_eq!(names(&held, span(150, 250)), ["old", "new"]);
    assert_eq!(names(&held, span(10, 50)), [""; 0]);
    assert_eq!(names(&held[..1], span(300, 301)), [""; 0]);
}

#[test]
fn clocks_may_be_off_by_the_tolerance_and_no_more() {
    let held = [(pod("old"), span(100, 200)), (pod("new"), span(203, 900))];
    assert_eq!(names(&held, span(201, 201)), ["old"]);
    assert_eq!(names(&held, span(202, 202)), ["new"]);
    assert_eq!(names(&held[..1], span(202, 202)), [""; 0]);
    let close = [(pod("old"), span(100, 200)), (pod("new"), span(201, 900))];
    assert_eq!(names(&close, span(200, 200)), ["old", "new"]);
}

#[test]
fn a_pod_that_came_back_as_it_was_is_not_ambiguous() {
    let held = [(pod("db-0"), span(100, 200)), (pod("db-0"), span(201, 900))];
    assert_eq!(names(&held, span(150, 300)), ["db-0"]);
}

#[test]
fn a_pod_has_its_address_before_a_node_and_a_node_before_a_service() {
    let always = Span::ALWAYS;
    let service = (who(Kind::Service, "svc", ""), always);
    let node = (who(Kind::Node, "node", ""), always);
    assert_eq!(names(&[service.clone(), node.clone()], span(1, 2)), ["node"]);
    assert_eq!(names(&[service, node, (pod("p"), always)], span(1, 2)), ["p"]);
}

#[test]
fn an_address_in_two_networks_is_ambiguous() {
    let always = Span::ALWAYS;
    let node = (who(Kind::Node, "node", ""), always);
    let blue = (who(Kind::Pod, "a", "ns/blue"), always);
    let red = (who(Kind::Pod, "b", "ns/red"), always);
    assert_eq!(names(&[blue.clone(), node], span(1, 2)), ["a", "node"]);
    assert_eq!(names(&[blue, red], span(1, 2)), ["a", "b"]);
}
