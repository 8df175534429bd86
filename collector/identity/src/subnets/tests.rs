use super::*;

fn parse(text: &str) -> Result<Labels, String> {
    Labels::parse(text, Path::new("labels.yaml")).map_err(|e| e.to_string())
}

fn label(labels: &Labels, address: &str) -> Option<String> {
    labels.get(address.parse().unwrap()).map(ToString::to_string)
}

const NESTED: &str = "
customLabels:
- name: all
  cidrs: [10.0.0.0/8, '2001:db8::/32']
- name: offices
  cidrs: [10.1.2.3/16, '2001:db8:1::/48']
- name: printer
  cidrs: [10.1.0.9/32]
";

#[test]
fn the_smallest_network_around_an_address_names_it() {
    let labels = parse(NESTED).unwrap();
    assert_eq!(labels.len(), 5);
    for (address, expected) in [
        ("10.9.9.9", Some("all")),
        ("10.1.255.255", Some("offices")),
        ("10.1.0.9", Some("printer")),
        ("::ffff:10.1.0.9", Some("printer")),
        ("2001:db8:1::9", Some("offices")),
        ("2001:db8:2::9", Some("all")),
        ("192.0.2.1", None),
        ("2001:db9::", None),
    ] {
        assert_eq!(label(&labels, address).as_deref(), expected, "{address}");
    }
}

#[test]
fn the_part_of_a_flow_collector_is_read_too_and_an_empty_file_labels_nothing() {
    let whole =
        "subnetLabels:\n  openShiftAutoDetect: false\n  customLabels:\n  - {name: a, cidrs: [10.0.0.0/8]}\n";
    assert_eq!(label(&parse(whole).unwrap(), "10.0.0.1").as_deref(), Some("a"));
    assert!(parse("").unwrap().is_empty());
    assert!(parse("customLabels: []").unwrap().is_empty());
}

#[test]
fn an_error_names_the_file_and_the_entry() {
    for (entry, why) in [
        (
            "{name: b, cidrs: [10.0.0.0/33]}",
            "customLabels[1] (\"b\"): \"10.0.0.0/33\" is no network",
        ),
        (
            "{name: b, cidrs: [10.0.0.1]}",
            "customLabels[1] (\"b\"): \"10.0.0.1\" is no network",
        ),
        ("{cidrs: [10.0.0.0/8]}", "customLabels[1] (\"\"): it has no name"),
        (
            "{name: b, cidrs: [10.0.0.0/8]}",
            "customLabels[1] (\"b\"): 10.0.0.0/8 is \"a\" already",
        ),
        ("{name: b, cidr: 10.0.0.0/8}", "cidr"),
    ] {
        let text = format!("customLabels:\n- {{name: a, cidrs: [10.0.0.0/8]}}\n- {entry}\n");
        let error = parse(&text).unwrap_err();
        assert!(
            error.starts_with("labels.yaml: ") && error.contains(why),
            "{error}"
        );
    }
}

#[test]
fn of_labels_of_two_sources_the_first_holds_for_a_network_and_the_smallest_network_for_an_address() {
    let first = parse("customLabels: [{name: a, cidrs: [10.0.0.0/8, '2001:db8::/32']}]").unwrap();
    let others = parse(
        "customLabels: [{name: b, cidrs: [10.0.0.0/8, 10.1.0.0/16, '2001:db8::/32']}, {name: c, cidrs: ['::/0']}]",
    );
    let both = first.or(&others.unwrap());
    let label = |address: &str| both.get(address.parse().unwrap()).map(|name| &**name);
    for (address, name) in [
        ("10.0.0.1", Some("a")),
        ("10.1.0.1", Some("b")),
        ("192.0.2.1", None),
        ("2001:db8::1", Some("a")),
        ("2001:db9::1", Some("c")),
    ] {
        assert_eq!(label(address), name, "{address}");
    }
}
