use ovsdb::Uuid;
use proptest::prelude::*;

use super::*;
use crate::fixture::{Model, bridge, new_dialect, old_dialect, spec};
use crate::observe::observe;
use crate::transaction::transaction;

fn rows_for(export: IpfixExport, dialect: &Dialect) -> RowSpec {
    let mut bridge = bridge("br-int", &[], "");
    bridge.ipfix = Some(export);
    let mut rows = desired_rows(&spec(vec![bridge]), dialect, "node-a");
    rows.pop_first().expect("one row").1
}

fn other_config(row: &RowSpec, key: &'static str) -> Option<String> {
    let column = OTHER_CONFIG;
    row.keys[&MapKey { column, key }].clone()
}

fn ipfix(targets: &[&str]) -> IpfixExport {
    IpfixExport {
        targets: targets.iter().map(|t| (*t).to_owned()).collect(),
        ..Default::default()
    }
}

#[test]
fn every_row_carries_the_mark_of_its_node() {
    let rows = desired_rows(
        &spec(vec![bridge("br-int", &Protocol::ALL, "192.0.2.9:1")]),
        &new_dialect(),
        "node-a",
    );
    assert_eq!(rows.len(), 3);
    let (column, key) = (EXTERNAL_IDS, OWNER_KEY);
    for row in rows.values() {
        assert_eq!(row.keys[&MapKey { column, key }].as_deref(), Some("node-a"));
    }
}

#[test]
fn what_has_no_targets_is_not_exported() {
    let rows = desired_rows(&spec(vec![bridge("br-int", &[], "")]), &new_dialect(), "n");
    assert!(rows.is_empty());
    let mut empty = bridge("br-int", &[], "");
    empty.ipfix = Some(ipfix(&[]));
    assert!(desired_rows(&spec(vec![empty]), &new_dialect(), "n").is_empty());
}

#[test]
fn ipfix_sampling_of_zero_makes_no_row() {
    let mut bridge = bridge("br-int", &[], "");
    bridge.ipfix = Some(IpfixExport {
        sampling: Some(0),
        ..ipfix(&["192.0.2.9:1"])
    });
    assert!(desired_rows(&spec(vec![bridge]), &new_dialect(), "n").is_empty());
}

#[test]
fn columns_that_this_ovs_lacks_are_not_written() {
    let export = IpfixExport {
        template_interval: Some(60),
        stats_interval: Some(30),
        ..ipfix(&["192.0.2.9:1"])
    };
    let old = rows_for(export.clone(), &old_dialect());
    assert!(!old.columns.contains_key("template_interval") && !old.columns.contains_key("stats_interval"));
    let new = rows_for(export, &new_dialect());
    assert_eq!(new.columns["template_interval"], Datum::from(60));
    assert_eq!(new.columns["stats_interval"], Datum::from(30));
}

#[test]
fn the_sampling_switches_are_written_as_this_ovs_reads_them() {
    let export = IpfixExport {
        enable_input_sampling: Some(false),
        enable_output_sampling: Some(true),
        enable_tunnel_sampling: Some(false),
        ..ipfix(&["192.0.2.9:1"])
    };
    let old = rows_for(export.clone(), &old_dialect());
    let new = rows_for(export, &new_dialect());
    assert_eq!(other_config(&old, INPUT_SAMPLING).as_deref(), Some("true"));
    assert_eq!(other_config(&new, INPUT_SAMPLING).as_deref(), Some("false"));
    for row in [old, new] {
        assert_eq!(other_config(&row, OUTPUT_SAMPLING), None);
        assert_eq!(other_config(&row, TUNNEL_SAMPLING).as_deref(), Some("false"));
    }
}

#[test]
fn zero_is_written_and_unset_is_the_empty_set() {
    let export = IpfixExport {
        cache_max_flows: Some(0),
        ..ipfix(&["192.0.2.9:1"])
    };
    let row = rows_for(export, &new_dialect());
    assert_eq!(row.columns["cache_max_flows"], Datum::from(0));
    assert_eq!(row.columns["cache_active_timeout"], Datum::empty());
}

#[test]
fn a_negative_timeout_of_somebody_else_is_told_as_what_it_does() {
    let mut model = Model::with_bridges(&["br-int"]);
    let uuid = model.add_foreign("br-int", Protocol::NetFlow, "192.0.2.9:1");
    model.set("NetFlow", uuid, "active_timeout", -1);
    let observed = observe(&model.replica(), &Default::default());
    let row = observed.row("br-int", Protocol::NetFlow).unwrap();
    assert_eq!(read_net_flow(&row.data).active_timeout, Some(600));
}

#[test]
fn numbers_that_fit_no_setting_are_not_told() {
    let mut model = Model::with_bridges(&["br-int"]);
    let uuid = model.add_foreign("br-int", Protocol::SFlow, "192.0.2.9:1");
    model.set("sFlow", uuid, "sampling", -5);
    let observed = observe(&model.replica(), &Default::default());
    let row = observed.row("br-int", Protocol::SFlow).unwrap();
    assert_eq!(read_s_flow(&row.data).sampling, None);
}

fn any_switch() -> impl Strategy<Value = Option<bool>> {
    proptest::option::of(any::<bool>())
}

prop_compose! {
    fn any_ipfix()(
        targets in prop::collection::btree_set("[a-z0-9.]{1,9}:[1-9]", 1..4),
        sampling in proptest::option::of(1u32..),
        cache_max_flows: Option<u32>,
        obs_domain_id: Option<u32>,
        (enable_input_sampling, enable_output_sampling, enable_tunnel_sampling)
            in (any_switch(), any_switch(), any_switch()),
        virtual_obs_id in proptest::option::of("[a-z]{1,8}"),
    ) -> IpfixExport {
        IpfixExport {
            targets: targets.into_iter().collect(),
            sampling,
            cache_max_flows,
            obs_domain_id,
            enable_input_sampling,
            enable_output_sampling,
            enable_tunnel_sampling,
            virtual_obs_id,
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_in_every_version(export in any_ipfix(), old: bool) {
        let dialect = if old { old_dialect() } else { new_dialect() };
        let mut model = Model::with_bridges(&["br-int"]);
        let mut bridge = bridge("br-int", &[], "");
        bridge.ipfix = Some(export.clone());
        let rows = desired_rows(&spec(vec![bridge]), &dialect, "n");
        let observed = observe(&model.replica(), &Default::default());
        let changes = crate::diff::diff(&rows, &observed, Default::default(), &dialect).changes;
        model.apply(&transaction(&changes, "n")).unwrap();
        let observed = observe(&model.replica(), &Default::default());
        let read = observed.bridge_status("br-int", &dialect).ipfix.unwrap();
        let told = IpfixExport {
            enable_input_sampling: Some(export.enable_input_sampling.unwrap_or(true)),
            enable_output_sampling: Some(export.enable_output_sampling.unwrap_or(true)),
            enable_tunnel_sampling: Some(export.enable_tunnel_sampling.unwrap_or(true)),
            ..export
        };
        prop_assert_eq!(read, told);
        prop_assert_ne!(observed.bridges["br-int"].uuid, Uuid::ZERO);
    }
}
