//! Puts names on both sides of a record: by the interface as the node's daemon tells
//! it, else by address, else by the interface, else by Ethernet address; the latter two
//! as the exporting node's database knows them.

use std::sync::Arc;

use weir_flow::{FlowRecord, Found, Identity, Side};

use crate::identity::interfaces::Here;
use crate::identity::{Directory, Ports};

/// Fills in who stands on both sides. `here`: the interfaces of the switch that sent it.
pub fn enrich(record: &mut FlowRecord, directory: &Directory, here: Option<&Here>) {
    let ports = directory.nodes.get(&record.exporter_node);
    for side in [&mut record.src, &mut record.dst] {
        if let Some((identity, found)) = identify(side, directory, ports, here) {
            side.identity = Arc::clone(identity);
            side.found = found;
        }
    }
}

fn identify<'a>(
    side: &Side,
    directory: &'a Directory,
    ports: Option<&'a Ports>,
    here: Option<&'a Here>,
) -> Option<(&'a Arc<Identity>, Found)> {
    if let Some(pod) = here.and_then(|here| here.pod(side)) {
        let known = directory.pod(&pod.name);
        return Some((known.unwrap_or(&pod.identity), Found::Interface));
    }
    let by_address = side.addr.and_then(|address| directory.addresses.get(&address));
    let by_interface = || ports?.interfaces.get(side.if_name.as_str());
    let by_mac = || ports?.macs.get(&side.mac?);
    let address = by_address.map(|who| (who, Found::Address));
    let interface = || by_interface().map(|who| (who, Found::Interface));
    address
        .or_else(interface)
        .or_else(|| by_mac().map(|who| (who, Found::Mac)))
}
