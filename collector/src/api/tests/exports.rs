//! The pages about the export, over the objects of a cluster of two nodes.

use serde_json::Value;

use super::*;

/// Names of what an answer has.
fn parts(answer: &Value) -> Vec<&str> {
    let has = |part: &&str| {
        let part = &answer[part];
        part.is_object() || part.as_array().is_some_and(|list| !list.is_empty())
    };
    ["source", "rollout", "profiles", "nodes"]
        .into_iter()
        .filter(has)
        .collect()
}

#[tokio::test]
async fn each_part_of_the_export_is_told_to_whom_kubernetes_lets_read_it() {
    let behind = behind_kubernetes().await;
    let (status, all) = behind.get("exports", "operator-token").await;
    assert_eq!(
        (status, parts(&all)),
        (200, vec!["source", "rollout", "profiles", "nodes"]),
        "{all}"
    );
    assert_eq!(all["hidden"], serde_json::json!([]));
    // root sees all flows, and may read none of these objects.
    let (status, none) = behind.get("exports", "root-token").await;
    assert_eq!((status, parts(&none)), (200, vec![]), "{none}");
    let hidden = none["hidden"].to_string();
    for right in [
        "get networks.operator.openshift.io",
        "list nodeflowexports.weir.dev",
        "list exportprofiles.weir.dev",
        "get exportrollouts.weir.dev",
    ] {
        assert!(hidden.contains(right), "{hidden}");
    }
    assert!(!none.to_string().contains("node-a"), "{none}");
    assert_eq!(behind.get("exports", "").await.0, 401);
    let (_, me) = behind.get("me", "root-token").await;
    assert_eq!(me["cluster"], true);
}

#[tokio::test]
async fn who_has_one_right_is_told_its_part_and_no_other_and_nothing_else_is_read() {
    for (right, told, read) in [
        ("networks", vec!["source"], vec!["flowexports", "networks"]),
        // It is the Network that counts.
        ("flowexports", vec![], vec!["flowexports", "networks"]),
        ("nodeflowexports", vec!["nodes"], vec!["nodeflowexports"]),
        ("exportprofiles", vec!["profiles"], vec!["exportprofiles"]),
        ("exportrollouts", vec!["rollout"], vec!["exportrollouts"]),
        ("nodes", vec![], vec![]),
        ("controllerrevisions", vec![], vec![]),
    ] {
        let behind = behind_kubernetes().await;
        let (status, answer) = behind.get("exports", &format!("{right}-token")).await;
        assert_eq!((status, parts(&answer)), (200, told), "{right}: {answer}");
        assert_eq!(kinds_read(&behind), read, "{right}");
        assert!(!answer.to_string().contains("node-b"), "{right}: {answer}");
        let plan = behind
            .get("exports/plan?ipfix=none", &format!("{right}-token"))
            .await;
        assert_eq!(plan.0, 403, "{right}: {}", plan.1);
        assert_eq!(kinds_read(&behind), read, "{right}");
    }
}

/// The kinds of objects that were read.
fn kinds_read(behind: &Behind) -> Vec<String> {
    let paths = crate::exports::tests::paths(&behind.read);
    let kinds = paths.iter().map(|path| path.trim_end_matches("/cluster"));
    let kinds = kinds.filter_map(|path| path.rsplit('/').next());
    let mut kinds: Vec<String> = kinds.map(str::to_owned).collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn what_was_changed_is_told_without_reading_nodes_and_to_strangers_without_reading_anything() {
    let behind = behind_kubernetes().await;
    for page in ["exports", "exports/changes", "exports/plan?ipfix=none"] {
        behind.get(page, "root-token").await;
    }
    assert_eq!(kinds_read(&behind), Vec::<String>::new());
    behind.get("exports/changes", "operator-token").await;
    let read = ["controllerrevisions", "exportrollouts", "flowexports", "networks"];
    assert_eq!(kinds_read(&behind), read);
}

#[tokio::test]
async fn conditions_have_a_remedy_and_a_node_without_export_has_a_row() {
    let behind = behind_kubernetes().await;
    let (_, all) = behind.get("exports", "operator-token").await;
    let conditions = all["source"]["conditions"].as_array().unwrap();
    let degraded = conditions
        .iter()
        .find(|one| one["type"] == "FlowExportDegraded")
        .unwrap();
    assert_eq!(
        (&degraded["level"], degraded["remedy"].is_string()),
        (&"fault".into(), true)
    );
    let nodes = all["nodes"].as_array().unwrap();
    let told: Vec<_> = nodes
        .iter()
        .map(|node| (node["node"].as_str().unwrap(), node["well"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [("node-a", true), ("node-b", false)]);
    assert_eq!(
        nodes[0]["programmed"][0]["targets"],
        serde_json::json!(["10.96.0.9:4739"])
    );
    assert_eq!(nodes[0]["received"], serde_json::json!([]));
    assert!(
        nodes[1]["trouble"]
            .as_str()
            .unwrap()
            .contains("no NodeFlowExport")
    );
}

#[tokio::test]
async fn the_last_change_is_known_without_revisions_and_what_cannot_be_read_is_said() {
    let behind = behind_kubernetes().await;
    let (status, told) = behind.get("exports/changes", "operator-token").await;
    assert_eq!(status, 200, "{told}");
    let change = &told["changes"][0];
    assert_eq!(
        (&change["time"], &change["by"]),
        (&"2026-11-30T01:00:00Z".into(), &"kubectl-patch".into())
    );
    assert!(
        told["unread"].to_string().contains("revisions are secret"),
        "{told}"
    );
    // Who may not read them is not told why they cannot be read, either.
    let (_, hidden) = behind.get("exports/changes", "root-token").await;
    assert_eq!(hidden["changes"], serde_json::json!([]));
    assert!(!hidden.to_string().contains("secret"), "{hidden}");
}

#[tokio::test]
async fn a_change_is_planned_for_who_may_read_all_that_it_depends_on() {
    let behind = behind_kubernetes().await;
    let asks =
        "exports/plan?ipfix=weir-collector.weir-system.svc:4739,weir-collector.flows.svc:4740,x.bank.svc:1";
    let (status, plan) = behind.get(asks, "operator-token").await;
    assert_eq!(status, 200, "{plan}");
    assert_eq!((&plan["changed"], &plan["total"]), (&2.into(), &2.into()));
    let command = plan["documents"][0]["command"].as_str().unwrap();
    assert!(
        command.starts_with("kubectl patch network.operator cluster --type merge -p '{"),
        "{command}"
    );
    // Of a namespace whose Services they may not get not even that there is one is told.
    let problems = plan["problems"].to_string();
    assert!(
        problems.contains("may not see") && problems.contains("bank"),
        "{problems}"
    );
    let (status, refused) = behind.get(asks, "root-token").await;
    assert_eq!(status, 403);
    assert!(
        refused["detail"].as_str().unwrap().contains("who may"),
        "{refused}"
    );
    for (wrong, says) in [
        ("exports/plan", "say what is to change"),
        ("exports/plan?set=ipfix.sampling", "PLACE:VALUE"),
        ("exports/plan?set=ipfix.speed:9", "ipfix.sampling"),
        ("exports/plan?net_flow=", "empty word"),
        (
            "exports/plan?s_flow=a,b,c,d,e,f,g,h,i,j,k",
            "s_flow: there are 11",
        ),
    ] {
        let (status, problem) = behind.get(wrong, "operator-token").await;
        let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && detail.contains(says), "{wrong}: {problem}");
    }
    let (status, off) = behind.get("exports/plan?ipfix=none", "operator-token").await;
    assert!(
        status == 200
            && off["warnings"]
                .to_string()
                .contains("nothing is exported any more"),
        "{off}"
    );
}
