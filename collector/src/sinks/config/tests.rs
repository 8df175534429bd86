use super::*;

fn wrong(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_sink_has_what_it_says_and_the_rest_as_usual() {
    let text = "
sinks:
  - name: archive
    filter: 'ns == \"shop\"'
    columns: [time, addr, bytes]
    observations: all
    queue: {max_bytes: 2GiB, max_age: 12h}
    file:
      path: /var/log/flows.json
      rotate: {bytes: 100MB, age: 1h, keep: 3}
      sync: true
  - name: siem
    ipfix: {address: 'siem.example:4739', transport: tcp, domain: 7}
";
    let sinks = parse(text).unwrap();
    let [archive, siem] = &sinks[..] else {
        panic!("{sinks:?}")
    };
    assert!(archive.all_observations && archive.columns.len() == 3);
    assert_eq!(archive.bounds.bytes, 2 << 30);
    assert_eq!(archive.bounds.age, Some(Duration::from_secs(12 * 3600)));
    let TargetSpec::File(file) = &archive.target else {
        panic!("{archive:?}")
    };
    assert_eq!(
        (file.rotate.bytes, file.rotate.keep, file.sync),
        (100_000_000, 3, true)
    );
    assert_eq!(siem.bounds.bytes, QUEUE_BYTES);
    assert_eq!(siem.target.describe(), "ipfix tcp siem.example:4739");
    assert!(parse("").unwrap().is_empty());
    assert!(parse("sinks: []").unwrap().is_empty());
}

#[test]
fn a_wrong_key_is_told_with_its_place_and_what_was_meant() {
    let said = wrong("sinks:\n  - name: a\n    fliter: x\n    file: {path: /a}\n");
    assert!(
        said.contains("fliter") && said.contains("did you mean filter?"),
        "{said}"
    );
    assert!(said.contains("3"), "{said}");
    let said = wrong("sinks:\n  - name: a\n    file:\n      path: /a\n      format: goflow-json\n");
    assert!(said.contains("did you mean goflow2-json?"), "{said}");
}

#[test]
fn what_cannot_be_is_told_with_the_sink_and_the_remedy() {
    let of = |rest: &str| wrong(&format!("sinks:\n  - name: a\n{rest}"));
    assert!(
        of("").contains("sinks[0] \"a\": it has no target: file or ipfix"),
        "{}",
        of("")
    );
    let both = of("    file: {path: /a}\n    ipfix: {address: 'b:1'}\n");
    assert!(both.contains("two targets"), "{both}");
    let relative = of("    file: {path: a/b}\n");
    assert!(relative.contains("a/b is no absolute path"), "{relative}");
    for path in ["/a/../b", "/", "/a.position"] {
        let said = of(&format!("    file: {{path: {path}}}\n"));
        assert!(said.contains("file.path: "), "{path}: {said}");
    }
    for address in ["host", "host:0", ":4739", "2001:db8::1:4739", "host:70000"] {
        let said = of(&format!("    ipfix: {{address: '{address}'}}\n"));
        assert!(said.contains("is no HOST:PORT"), "{address}: {said}");
    }
    let filter = of("    filter: 'ns = 1'\n    file: {path: /a}\n");
    assert!(filter.starts_with("sinks[0] \"a\": "), "{filter}");
    let column = of("    columns: [adr]\n    file: {path: /a}\n");
    assert!(column.contains("addr"), "{column}");
    let columns = of("    columns: [addr]\n    ipfix: {address: 'a:1'}\n");
    assert!(columns.contains("leave them out"), "{columns}");
    let size = of("    queue: {max_bytes: many}\n    file: {path: /a}\n");
    assert!(size.contains("\"many\" is no size"), "{size}");
    let small = of("    ipfix: {address: 'a:1', message_bytes: 100}\n");
    assert!(small.contains("is not from 512 to 65507"), "{small}");
}

#[test]
fn two_sinks_share_neither_a_name_nor_a_file() {
    let names = wrong("sinks:\n  - {name: a, file: {path: /a}}\n  - {name: a, file: {path: /b}}\n");
    assert!(
        names.contains("sinks[1] \"a\": another one has this name"),
        "{names}"
    );
    let files = wrong("sinks:\n  - {name: a, file: {path: /a}}\n  - {name: b, file: {path: /a}}\n");
    assert!(files.contains("another one writes /a"), "{files}");
    let many: String = (0..33)
        .map(|n| format!("  - {{name: s{n}, file: {{path: /{n}}}}}\n"))
        .collect();
    assert!(wrong(&format!("sinks:\n{many}")).contains("33 sinks, more than 32"));
    for name in ["", "A", "a_b", "a/b", &"a".repeat(49)] {
        let said = wrong(&format!("sinks:\n  - {{name: '{name}', file: {{path: /a}}}}\n"));
        assert!(said.contains("name: use 1 to 48"), "{name}: {said}");
    }
}
