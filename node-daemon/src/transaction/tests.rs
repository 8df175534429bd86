//! What the daemon sends, against the gate that it may have to pass: all of it does, and one
//! edit of it does not.

use std::collections::BTreeSet;

use ovsdb::rpc::{Id, Params, request};
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_api::{
    BridgeExport, ConflictPolicy, IpfixExport, NetFlowExport, NodeFlowExportSpec, Protocol, SFlowExport,
};
use weir_ovsdb_gate::{Filter, FromClient, FromServer, Work};

use super::*;
use crate::diff::diff;
use crate::fixture::{Model, new_dialect, old_dialect};
use crate::observe::observe;
use crate::quirks::Dialect;
use crate::rows::desired_rows;
use crate::tables::{DATABASE, monitor};

const BRIDGES: [&str; 4] = ["br-int", "br-ex", "br tün", "br\n\u{7f}"];

fn targets() -> impl Strategy<Value = Vec<String>> {
    let address = prop_oneof![
        (any::<std::net::Ipv4Addr>(), 1_u16..).prop_map(|(ip, port)| format!("{ip}:{port}")),
        (any::<std::net::Ipv6Addr>(), 1_u16..).prop_map(|(ip, port)| format!("[{ip}]:{port}")),
    ];
    let target = prop_oneof![9 => address, 1 => any::<String>()];
    prop::collection::vec(target, 0..=weir_api::network::MAX_COLLECTORS + 2)
}

prop_compose! {
    fn net_flow()(
        targets in targets(),
        active_timeout in any::<Option<i64>>(),
        engine_type in any::<Option<u8>>(),
        engine_id in any::<Option<u8>>(),
        add_id_to_interface in any::<Option<bool>>(),
    ) -> NetFlowExport {
        NetFlowExport { targets, active_timeout, engine_type, engine_id, add_id_to_interface }
    }
}

prop_compose! {
    fn s_flow()(
        targets in targets(),
        agent in any::<Option<String>>(),
        sampling in any::<Option<u32>>(),
        polling in any::<Option<u32>>(),
        header in any::<Option<u32>>(),
    ) -> SFlowExport {
        SFlowExport { targets, agent, sampling, polling, header }
    }
}

prop_compose! {
    fn ipfix()(
        targets in targets(),
        numbers in any::<[Option<u32>; 4]>(),
        cache_active_timeout in any::<Option<u32>>(),
        intervals in any::<[Option<u32>; 2]>(),
        switches in any::<[Option<bool>; 3]>(),
        virtual_obs_id in prop::option::of(prop_oneof![any::<String>(), "[ -~é]{1,254}"]),
    ) -> IpfixExport {
        let [sampling, obs_domain_id, obs_point_id, cache_max_flows] = numbers;
        let [enable_input_sampling, enable_output_sampling, enable_tunnel_sampling] = switches;
        let [stats_interval, template_interval] = intervals;
        IpfixExport {
            targets, sampling, obs_domain_id, obs_point_id, cache_active_timeout, cache_max_flows,
            stats_interval, template_interval, enable_input_sampling, enable_output_sampling,
            enable_tunnel_sampling, virtual_obs_id, interface_names: Vec::new(),
        }
    }
}

prop_compose! {
    fn export()(
        name in prop::sample::select(BRIDGES.to_vec()),
        net_flow in prop::option::of(net_flow()),
        s_flow in prop::option::of(s_flow()),
        ipfix in prop::option::of(ipfix()),
    ) -> BridgeExport {
        BridgeExport { name: name.to_owned(), exporter_id: 7, net_flow, s_flow, ipfix }
    }
}

/// What happens to a switch.
#[derive(Debug, Clone)]
enum Event {
    /// It is to export this.
    Asked(Vec<BridgeExport>, ConflictPolicy),
    /// Somebody else puts a row there.
    Foreign(&'static str, Protocol),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let policy = prop::sample::select(vec![ConflictPolicy::Refuse, ConflictPolicy::Adopt]);
    let asked =
        (prop::collection::vec(export(), 0..4), policy).prop_map(|(all, policy)| Event::Asked(all, policy));
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    let foreign = (prop::sample::select(BRIDGES.to_vec()), protocol);
    let foreign = foreign.prop_map(|(bridge, protocol)| Event::Foreign(bridge, protocol));
    prop::collection::vec(prop_oneof![3 => asked, 1 => foreign], 1..6)
}

fn plan(
    model: &Model,
    exports: &[BridgeExport],
    policy: ConflictPolicy,
    dialect: &Dialect,
) -> Vec<Operation> {
    let mut spec = NodeFlowExportSpec {
        bridges: exports.to_vec(),
        ..Default::default()
    };
    // As what the API server gives is read.
    weir_api::plan::enforce(&mut spec);
    let rows = desired_rows(&spec, dialect, "node-a.example.com");
    let observed = observe(&model.replica(), &BTreeSet::new());
    transaction(
        &diff(&rows, &observed, policy, dialect).changes,
        "node-a.example.com",
    )
}

fn through(operations: &[Value]) -> FromClient {
    let mut params = vec![json!(DATABASE)];
    params.extend_from_slice(operations);
    let bytes = request("transact", Params::Array(params), &Id::Num(7));
    Filter::default().from_client(&bytes).unwrap()
}

fn notation(operations: &[Operation]) -> Vec<Value> {
    operations.iter().map(Operation::to_json).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_transaction_of_the_daemon_passes_the_gate_unchanged(events in events(), newer in any::<bool>()) {
        let dialect = if newer { new_dialect() } else { old_dialect() };
        let mut model = Model::with_bridges(&BRIDGES);
        for event in events {
            let (exports, policy) = match event {
                Event::Asked(exports, policy) => (exports, policy),
                Event::Foreign(bridge, protocol) => {
                    model.add_foreign(bridge, protocol, "198.51.100.1:1");
                    continue;
                }
            };
            // A row that is to be made anew is cleared first, and made in the next.
            for _ in 0..2 {
                let operations = plan(&model, &exports, policy, &dialect);
                let sent = notation(&operations);
                let FromClient::Pass { bytes, work: Work::Change } = through(&sent) else {
                    return Err(TestCaseError::fail(format!("{sent:?}: {:?}", through(&sent))));
                };
                let passed: Value = serde_json::from_slice(&bytes).unwrap();
                prop_assert_eq!(&passed["params"].as_array().unwrap()[1..], &sent[..]);
                model.apply(&operations).unwrap();
            }
        }
    }

    #[test]
    fn one_edit_of_a_transaction_that_touches_anything_else_is_refused(
        exports in prop::collection::vec(export(), 1..3),
        place in any::<prop::sample::Index>(),
        table in prop::sample::select(vec![
            "Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager", "Mirror", "QoS", "Queue",
            "SSL", "AutoAttach", "CT_Zone", "Datapath", "Flow_Table", "Flow_Sample_Collector_Set",
        ]),
        column in prop::sample::select(vec![
            "bridges", "manager_options", "ssl", "other_config", "external_ids", "controller", "fail_mode", "ports",
            "options", "type", "name", "mirrors", "datapath_type", "_uuid",
        ]),
    ) {
        let dialect = new_dialect();
        let mut model = Model::with_bridges(&BRIDGES);
        model.add_foreign("br-int", Protocol::NetFlow, "198.51.100.1:1");
        let operations = notation(&plan(&model, &exports, ConflictPolicy::Adopt, &dialect));
        let place = place.index(operations.len());
        for member in ["table", "row", "columns", "mutations", "where", "op"] {
            let mut edited = operations.clone();
            let operation = &mut edited[place];
            let is_map = |column: &str| ["external_ids", "other_config"].contains(&column);
            match (member, operation[member].clone()) {
                (_, Value::Null) => continue,
                ("table", was) if was == table => continue,
                ("table", _) => operation["table"] = json!(table),
                // To forget a mark, or to set one, is what it does anyway.
                ("row", row) if row.get(column).is_some() || is_map(column) => continue,
                ("row", _) => operation["row"][column] = json!("x"),
                ("columns", columns) if columns.as_array().unwrap().contains(&json!(column)) => continue,
                ("columns", _) => operation["columns"][0] = json!(column),
                ("mutations", _) => operation["mutations"][0][0] = json!(column),
                ("where", was) if was == json!([]) => operation["where"] = json!([["name", "==", "x"]]),
                ("where", _) => operation["where"] = json!([]),
                (_, was) if was == "delete" => continue,
                (_, _) => operation["op"] = json!("delete"),
            }
            prop_assert!(
                matches!(through(&edited), FromClient::Refuse { .. }) || edited == operations,
                "{member}: {}", edited[place]
            );
        }
    }
}

#[test]
fn what_is_monitored_passes_the_gate_with_the_keys_that_are_read_and_no_others() {
    let mut filter = Filter::default();
    let watched = monitor();
    let tables: serde_json::Map<String, Value> = watched
        .tables
        .iter()
        .map(|(table, columns)| (table.clone(), json!([{"columns": columns}])))
        .collect();
    let params = vec![json!(DATABASE), json!("monitor"), Value::Object(tables)];
    let bytes = request("monitor_cond", Params::Array(params), &Id::Num(1));
    assert!(matches!(
        filter.from_client(&bytes).unwrap(),
        FromClient::Pass { .. }
    ));
    let uuid = Uuid::from_u128(1).to_string();
    for ((table, column), keys) in &watched.keys {
        let mut pairs: Vec<[&str; 2]> = keys.iter().map(|key| [key.as_str(), "x"]).collect();
        let kept = json!(["map", pairs]);
        pairs.extend([["psk", "secret"], ["private_key", "secret"]]);
        let update = json!({"method": "update2", "id": null,
            "params": ["monitor", {table: {&uuid: {"insert": {column: ["map", pairs]}}}}]});
        let FromServer::Pass(bytes) = filter.from_server(update.to_string().as_bytes()).unwrap() else {
            panic!("an update of {table}");
        };
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        let told = &told["params"][1][table][&uuid]["insert"][column];
        assert_eq!(told, &kept, "{table}.{column}");
    }
}

#[test]
fn names_that_others_gave_stand_in_the_comment_without_control_characters() {
    let mut model = Model::with_bridges(&["br\n\u{1b}[2J"]);
    let uuid = model.add_foreign("br\n\u{1b}[2J", Protocol::Ipfix, "192.0.2.9:1");
    let ours = Datum::string_map([(weir_api::OWNER_KEY, "node-a")]);
    model.set("IPFIX", uuid, "external_ids", ours);
    let operations = plan(&model, &[], ConflictPolicy::Refuse, &new_dialect());
    assert_eq!(operations.len(), 5);
    let sent = notation(&operations);
    assert!(matches!(through(&sent), FromClient::Pass { .. }), "{sent:?}");
}
