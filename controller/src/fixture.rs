//! Worlds for tests: objects as the API server writes them, listed to the end.

use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::table::Change;
use crate::world::{Sight, World};

/// An object from its JSON.
pub fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

/// A world in which every kind was listed and nothing exists.
pub fn empty() -> World {
    let mut world = World::default();
    for sight in [
        Sight::Network(Event::InitDone),
        Sight::Profile(Event::InitDone),
        Sight::FlowsConfig(Event::InitDone),
        Sight::Node(Event::InitDone),
        Sight::Export(Event::InitDone),
        Sight::Service(Event::InitDone),
    ] {
        world.see(sight);
    }
    world
}

/// Sees the `Network` with that `spec.exportNetworkFlows`.
pub fn patch(world: &mut World, flows: Value) -> Change {
    world.see(Sight::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 7},
        "spec": {"exportNetworkFlows": flows},
    })))))
}

/// A Node with an address, which may be empty.
pub fn node(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"name": name}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

/// Sees a Node come or change.
pub fn add_node(world: &mut World, name: &str, address: &str) -> Change {
    world.see(Sight::Node(Event::Apply(object(node(name, address)))))
}

/// Sees a Node go.
pub fn remove_node(world: &mut World, name: &str) -> Change {
    world.see(Sight::Node(Event::Delete(object(node(name, "")))))
}

/// Sees a Service in namespace `flows`.
pub fn add_service(world: &mut World, name: &str, spec: Value) -> Change {
    world.see(Sight::Service(Event::Apply(object(json!({
        "metadata": {"name": name, "namespace": "flows"},
        "spec": spec,
    })))))
}
