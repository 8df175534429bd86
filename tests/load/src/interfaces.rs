//! What the daemon of a node tells about the ports of its switch: IPFIX options data
//! that name the pod behind each, as `weir-node` sends them.

use wire::Field;
use wire::encode::{Body, Ipfix};

use crate::flow::{PODS, namespace, pod_name, port};

/// `weir-node`'s template.
const TEMPLATE: u16 = 61_000;

/// Interfaces in one message, which fits any path.
const INTERFACES: usize = 12;

/// The messages of the daemon beside an exporter.
pub fn messages(exporter: u32, now_secs: u32) -> Vec<Vec<u8>> {
    let fields = [(10, 4), (142, 4), (82, Field::VARIABLE), (83, Field::VARIABLE)];
    let fields = fields.map(|(id, width)| Field::iana(id, width));
    let mut sequence = 0;
    let pods: Vec<_> = (0..PODS).collect();
    let message = |pods: &[u32]| {
        let mut data = Body::default();
        for number in pods {
            let (port, index) = (port(*number), exporter * PODS + number);
            let pod = format!("{}/{}", namespace(index % 20), pod_name(exporter, *number));
            data.u32(port.into()).u32(port.into());
            data.variable(name(port).as_bytes()).variable(pod.as_bytes());
        }
        let message = Ipfix::new(now_secs, sequence, exporter)
            .options_template(TEMPLATE, 1, &fields)
            .set(TEMPLATE, &data.into_bytes());
        sequence += pods.len() as u32;
        message.encode()
    };
    pods.chunks(INTERFACES).map(message).collect()
}

/// The name of an interface, of 15 octets as those of veth pairs often are.
pub(crate) fn name(interface: u16) -> String {
    format!("{interface:015x}")
}
