use proptest::prelude::*;

use super::*;

fn fails(filter: &str) -> String {
    compile(filter).expect_err(filter).to_string()
}

#[test]
fn what_cast_ai_documents_is_understood() {
    for filter in [
        r#"zone != "" && dst_zone != "" && zone != dst_zone"#,
        r#"dst_workload_kind == "internet""#,
        r#"ns in ["metrics", "kube-system"]"#,
        r#"ns == "gitlab" && pod_name.startsWith("runner-")"#,
        r#"protocol == "tcp""#,
        r#"process == "nginx" && container_name == "web""#,
        r#"dst_domain.endsWith(".amazonaws.com") || dst_domain == """#,
        r#"node_name != dst_node_name && dst_workload_kind == "private""#,
        r#"addr == "10.0.0.1" || dst_addr == "2001:db8::1""#,
        r#"!(ns == dst_ns) && dst_workload_name.contains("redis")"#,
        r#"workload_name.matches("^api-[0-9]+$")"#,
    ] {
        compile(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    }
}

#[test]
fn every_type_has_its_comparisons() {
    for filter in [
        "bytes > 1500 && packets <= 10u && bytes >= 1.5e6 && bytes != 1.5",
        r#"ns + "/" + pod_name == "a/b" && string(port) == "80" && int("7") < bytes"#,
        r#"double(bytes) / 8.0 > 1.5 && double("2") < bytes && ns.lowerAscii() == "a""#,
        r#"pod_labels["app"] == "web" && dst_pod_labels.app != "" && "x" in pod_labels"#,
        r#"bytes > size("10MiB")"#,
        r#"end - start > duration("10s")"#,
        r#"start + duration("5m") < timestamp("2026-01-31T12:00:00Z")"#,
        r#"inCIDR(addr, "10.0.0.0/8") || dst_addr.inCIDR(["fd00::/8", "192.0.2.1"])"#,
        r#""SYN" in tcp_flags && !("ACK" in tcp_flags)"#,
        r#"mac == "0A:58:0a:80:00:05""#,
        "primary && primary == true && !primary != false",
        r#"src_ns == "a" && src_port in [80, 443] && src_addr != dst_addr"#,
        r#"addr == "" || mac != """#,
        "bytes / packets > 1000 && -bytes < 0 && bytes % 2 == 1",
        r#"(dst_port == 443 ? bytes : packets) > 5 && (primary ? ns : dst_ns) == "a""#,
        r#"known(dst_port) && tunnel_type == "stt" && protocol == "47""#,
        "true || false",
        r#"nat_addr == ip("192.0.2.7") && next_hop != ip("fd00::1") && ip("10.0.0.1") == dst_nat_addr"#,
        r#"asn == 64500 && user_name != "" && forwarding_status == "dropped" && src_vrf != dst_vrf"#,
        r#"ns < "m" && dst_kind == "" && ns in [dst_ns, "x"]"#,
    ] {
        compile(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    }
}

#[test]
fn an_error_says_where_what_and_what_would_be_right() {
    for (filter, error) in [
        (
            "nss == \"a\"",
            "column 1: no field is named \"nss\"; did you mean \"ns\"?",
        ),
        (
            "nat_addr == ip(\"10.0.0.0/8\")",
            "column 16: \"10.0.0.0/8\" is no address",
        ),
        (
            "true && SrcK8S_Zone == \"a\"",
            "column 9: no field is named \"SrcK8S_Zone\"; did you mean \"zone\"?",
        ),
        (
            "NS == \"a\"",
            "column 1: no field is named \"NS\"; did you mean \"ns\"?",
        ),
        (
            "src_bytes > 1",
            "column 1: no field is named \"src_bytes\"; did you mean \"bytes\"?",
        ),
        (
            "dst_port == \"443\"",
            "column 10: dst_port is a number: write 443 without quotes",
        ),
        (
            "bytes > \"10MiB\"",
            "column 7: bytes is a number: write size(\"10MiB\")",
        ),
        ("ns == 5", "column 4: ns is text, 5 is a number"),
        (
            "addr == \"10.0.0.300\"",
            "column 6: addr is an address, and \"10.0.0.300\" is none",
        ),
        (
            "addr == \"10.0.0.0/8\"",
            "column 6: \"10.0.0.0/8\" is a network, addr an address: write inCIDR(addr, \"10.0.0.0/8\")",
        ),
        (
            "addr.startsWith(\"10.\")",
            "column 1: this is an address, not text: use inCIDR",
        ),
        (
            "verdict == \"droped\"",
            "column 1: verdict is never \"droped\": it is one of delivered, dropped, unknown; did you mean \"dropped\"?",
        ),
        (
            "protocol == \"TCP\"",
            "column 1: protocol is never \"TCP\": it is one of tcp, udp, icmp, icmp6, sctp or the number as text; did you mean \"tcp\"?",
        ),
        (
            "ns.startWith(\"a\")",
            "column 13: no function is named \"startWith\"; did you mean \"startsWith\"?",
        ),
        ("ns in \"a\"", "column 7: `in` needs a list: ns in [\"a\", \"b\"]"),
        ("ns", "column 1: ns is text, no condition: compare it"),
        (
            "tcp_flags",
            "column 1: tcp_flags is no condition: write \"SYN\" in tcp_flags",
        ),
        (
            "src.ns == \"a\"",
            "column 4: fields are written without dots; did you mean \"ns\"?",
        ),
        (
            "start > \"2026-01-31T12:00:00Z\"",
            "column 7: start is a point in time: write timestamp(\"2026-01-31T12:00:00Z\")",
        ),
        (
            "primary == \"true\"",
            "column 9: primary is true or false, without quotes",
        ),
        (
            "ns.matches(\"(\")",
            "column 12: the pattern is wrong: unclosed group",
        ),
        ("ns == \"a\" &&", "column 13: the filter ends too early"),
        ("ns = \"a\"", "column 4: '= ' means nothing here: equality is =="),
        ("\"ü\" == ns && x", "column 15: no field is named \"x\""),
        (
            "ns == gitlab",
            "column 7: no field is named \"gitlab\": text stands in quotes, \"gitlab\"",
        ),
        (
            "ns in [\"a\", shop]",
            "column 13: no field is named \"shop\": text stands in quotes, \"shop\"",
        ),
        (
            "ns == kube-system",
            "column 7: no field is named \"kube\": text stands in quotes",
        ),
        (
            "addr == localhost",
            "column 9: no field is named \"localhost\": text stands in quotes, \"localhost\"",
        ),
        (
            "ns.startsWith(team)",
            "column 15: no field is named \"team\": text stands in quotes, \"team\"",
        ),
        (
            "namespace == \"a\"",
            "column 1: no field is named \"namespace\"; did you mean \"ns\"?",
        ),
        (
            "dst_pod == \"a\"",
            "column 1: no field is named \"dst_pod\"; did you mean \"dst_pod_name\"?",
        ),
        (
            "src_ip == \"10.0.0.1\"",
            "column 1: no field is named \"src_ip\"; did you mean \"addr\"?",
        ),
        (
            "bytes * 1.5 > 1",
            "column 7: a number and a double: write double(bytes)",
        ),
        (
            "ns + bytes == \"a\"",
            "column 4: text and a number: write string(bytes)",
        ),
        (
            "bytes in [1.5]",
            "column 11: 1.5 is no whole number, and it stands beside one",
        ),
        (
            "double(bytes) % 2.0 == 0.0",
            "column 15: only whole numbers have a remainder",
        ),
        ("int(addr) == 1", "column 5: an address is no number"),
        (
            "pod_labels == \"a\"",
            "column 1: pod_labels holds several texts: ask for one of them, pod_labels[\"app\"]",
        ),
        (
            &format!("{}primary", "primary ? primary : ".repeat(40)),
            "column 661: parentheses and conditions nest more than 32 deep",
        ),
        ("has(ns)", "column 5: invalid argument to has() macro"),
        (
            "addr > \"10.0.0.1\"",
            "column 6: an address has no order: compare with ==, != or inCIDR",
        ),
    ] {
        assert_eq!(fails(filter), error, "{filter}");
    }
}

#[test]
fn hostile_text_is_refused_in_bounded_time_and_stack() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("{}primary{}", open.repeat(times), close.repeat(times))
    };
    for filter in [
        nested("(", ")", 10_000),
        format!("bytes{} > 1", " + 1".repeat(2_000)),
        format!("bytes{} > 1", " - -1".repeat(2_000)),
        "primary ? ".repeat(500) + "true" + &" : true".repeat(500),
        "x".repeat(MAX_LENGTH + 1),
        "ns.matches(\"(a{1000}){1000}\")".to_owned(),
        "[".repeat(5_000),
        "\"".to_owned(),
        "a.".repeat(1_000),
    ] {
        let text: String = filter.chars().take(40).collect();
        assert!(compile(&filter).is_err(), "{text}");
    }
}

#[test]
fn what_is_within_the_bounds_is_understood() {
    for filter in [
        format!("bytes{} > 1", " + 1".repeat(60)),
        format!("{}primary{}", "(".repeat(24), ")".repeat(24)),
        format!("{}primary", "!".repeat(60)),
        vec!["ns == \"a\""; 400].join(" || "),
        format!("dst_port in [{}]", vec!["443"; 5000].join(", ")),
    ] {
        let text: String = filter.chars().take(40).collect();
        compile(&filter).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// What checking the text costs, and how many nodes its tree has. That the filter is
/// wrong is no matter: an error ends the work.
fn work_and_nodes(text: &str) -> (usize, usize) {
    let counted = parse::parse(text, |tree, source| {
        let checker = Checker::new(source);
        let _ = checker.test(tree);
        Ok((checker.work(), parse::size(tree)))
    });
    counted.unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn checking_costs_one_step_a_node_however_deep_conditions_nest() {
    for (before, after) in [
        ("primary ? primary : ", ""),
        ("primary ? (", ") : primary"),
        ("primary ? primary : (", ")"),
        ("(", ") ? primary : !primary"),
        ("(", ") == primary"),
        ("primary != (", ")"),
        ("!(", ")"),
    ] {
        let mut nodes = 0;
        // The parser counts parentheses and what stands in them, up to 32.
        for depth in [1, 5, 10, 14] {
            let text = format!("{}primary{}", before.repeat(depth), after.repeat(depth));
            let (work, all) = work_and_nodes(&text);
            assert!(work <= all && nodes < all, "{text}: {work} steps for {all} nodes");
            nodes = all;
            compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

/// Conditions and values that stand in each other in any way, well typed or not.
fn nested() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "primary",
        "bytes",
        "ns",
        "5",
        "\"a\"",
        "addr",
        "tcp_flags",
        "duration(\"1s\")",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(12, 48, 3, |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            pair().prop_map(|(a, b)| format!("({a} == {b})")),
            pair().prop_map(|(a, b)| format!("({a} + {b})")),
            pair().prop_map(|(a, b)| format!("({a} || !{b})")),
            pair().prop_map(|(a, b)| format!("({a} in [{b}, 7])")),
            inner.clone().prop_map(|a| format!("({a}).contains(\"x\")")),
        ]
    })
}

proptest! {
    #[test]
    fn checking_is_linear_in_the_tree(text in nested()) {
        let (work, nodes) = work_and_nodes(&text);
        // A value beside a list is copied for each element: two here.
        prop_assert!(work <= 3 * nodes, "{work} steps for {nodes} nodes: {text}");
    }
}

#[test]
fn a_filter_that_costs_too_much_is_refused_with_the_place_where_it_does() {
    let long = vec!["primary"; 500].join(" && ");
    let fields = vec!["dst_ns"; 1_000].join(", ");
    let error = fails(&format!("(({long}) ? ns : zone) in [{fields}]"));
    assert!(error.contains("the filter is too large"), "{error}");
    let patterns = vec!["ns.matches(\"a\")"; 100].join(" || ");
    assert!(fails(&patterns).contains("the filter is too large"));
    compile(&vec!["ns.matches(\"a\")"; 40].join(" || ")).unwrap();
}
