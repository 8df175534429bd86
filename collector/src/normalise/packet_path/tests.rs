use super::*;
use weir_api::export::TunnelPorts;
use weir_identity::exporters::{Formats, NetFlow};

fn exporter(id_in_interfaces: bool) -> Exporter {
    let tunnels = [TunnelPorts {
        overhead: 50,
        ofports: vec![102],
    }];
    Exporter {
        bridge: "br-int".into(),
        formats: Formats {
            net_flow: Some(NetFlow::new(id_in_interfaces, None)),
            ..Formats::default()
        },
        tunnels: tunnels.into(),
        tunnel_inputs: [102, 104].into(),
        tunnel_names: ["ovn-node-b-0".into()].into(),
        ..Exporter::default()
    }
}

fn netflow(in_if: u32, out_if: u32, id_in_interfaces: bool) -> PacketPath {
    let record = Record {
        in_if: Some(in_if),
        out_if: Some(out_if),
        ..Record::new(Protocol::NetFlow5, 1)
    };
    of_ovs(&record, Some(&exporter(id_in_interfaces)))
}

#[test]
fn netflow_tells_ports_tunnels_and_no_output_apart() {
    let left = |out_if| netflow(7, out_if, false).left;
    assert_eq!(left(9), Left::Port);
    assert_eq!(left(102), Left::Tunnel);
    assert_eq!(left(65533), Left::Nowhere);
    assert_eq!(left(65534), Left::Port, "several");
    assert_eq!(left(65535), Left::Unknown, "a flood may reach no port");
    assert_eq!(netflow(7, 9, false).entered, Entered::Port);
    assert_eq!(netflow(102, 9, false).entered, Entered::Tunnel);
}

#[test]
fn a_number_that_another_bridge_has_too_is_a_tunnels_only_where_packets_come_in() {
    let path = netflow(104, 104, false);
    assert_eq!((path.entered, path.left), (Entered::Tunnel, Left::Port));
}

#[test]
fn a_tunnel_that_is_known_by_name_is_where_packets_came_in() {
    let seen = |direction| {
        let record = Record {
            direction: Some(direction),
            in_if_name: "ovn-node-b-0".into(),
            ..Record::new(Protocol::Ipfix, 1)
        };
        [Some(&exporter(false)), None].map(|exporter| of_ovs(&record, exporter).entered)
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        assert_eq!(seen(direction), [Entered::Tunnel, Entered::Port]);
    }
}

#[test]
fn the_engine_id_above_a_port_number_is_not_taken_for_a_part_of_it() {
    let id = 0x2a << 9;
    assert_eq!(netflow(7, id | 102, true).left, Left::Tunnel);
    assert_eq!(netflow(id | 102, id | 9, true).entered, Entered::Tunnel);
    assert_eq!(netflow(7, id | 0x1fd, true).left, Left::Nowhere);
    assert_eq!(netflow(7, id | 102, false).left, Left::Port);
}

#[test]
fn a_sample_tells_what_the_first_pass_put_out() {
    let left = |format, value, tunnel_direction| {
        let sample = PacketSample {
            output: SampledInterface { format, value },
            ..PacketSample::default()
        };
        let record = Record {
            tunnel_direction,
            sample: Some(sample),
            ..Record::new(Protocol::Sflow5, 1)
        };
        of_ovs(&record, None)
    };
    let none = |format, value| left(format, value, None).left;
    assert_eq!(none(SampledInterface::DISCARDED, 256), Left::Nowhere);
    assert_eq!(none(SampledInterface::SINGLE, 5), Left::Port);
    assert_eq!(none(SampledInterface::SINGLE, 0), Left::Unknown);
    assert_eq!(none(SampledInterface::MULTIPLE, 2), Left::Port);
    let into = left(SampledInterface::SINGLE, 5, Some(Direction::Egress));
    assert_eq!((into.entered, into.left), (Entered::Port, Left::Tunnel));
    let out_of = left(SampledInterface::SINGLE, 5, Some(Direction::Ingress));
    assert_eq!((out_of.entered, out_of.left), (Entered::Tunnel, Left::Port));
}

#[test]
fn ipfix_names_a_tunnel_on_the_side_of_the_observation_and_no_input_behind_a_patch() {
    let seen = |direction, tunnel_type, in_if_name: &str| {
        let record = Record {
            direction: Some(direction),
            tunnel_type,
            in_if_name: in_if_name.into(),
            ..Record::new(Protocol::Ipfix, 1)
        };
        let path = of_ovs(&record, None);
        (path.entered, path.left)
    };
    use Direction::{Egress, Ingress};
    assert_eq!(seen(Ingress, None, "pod"), (Entered::Port, Left::Unknown));
    assert_eq!(seen(Ingress, Some(7), "genev"), (Entered::Tunnel, Left::Unknown));
    assert_eq!(seen(Egress, None, "pod"), (Entered::Port, Left::Port));
    assert_eq!(seen(Egress, Some(7), "pod"), (Entered::Port, Left::Tunnel));
    assert_eq!(seen(Egress, None, ""), (Entered::Patch, Left::Port));
}
