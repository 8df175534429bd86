use std::fs;

use super::*;
use crate::watched_files::Look;

const SHOP: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}},
   spec: {nodeName: n1}, status: {phase: Running, podIP: 10.0.0.1}}
- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, annotations: {k8s.ovn.org/node-subnets: '{\"default\": \"10.0.0.0/24\"}'}}
";

fn policy(name: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{}}}}\n---\n"
    )
}

fn names(objects: &Objects) -> Vec<String> {
    let policies = objects.cluster.policies.iter();
    policies.map(|policy| policy.key().to_string()).collect()
}

#[test]
fn objects_of_files_are_there_as_they_are_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.yaml"), SHOP).unwrap();
    fs::write(path("b.yaml"), policy("one") + &policy("two")).unwrap();
    let objects = PolicyObjects::new(None);
    assert!(objects.now().unwrap_err().contains("not listed yet"));
    let mut files = ObjectFiles::open(vec![folder.path().to_owned()], &objects);
    let first = objects.now().unwrap();
    assert_eq!(first.cluster.pods.len(), 1);
    assert_eq!(names(&first).len(), 2);
    assert!(Arc::ptr_eq(&first, &objects.now().unwrap()), "made once");
    assert_eq!(objects.profile(&first).cni, Cni::OvnKubernetes);
    assert_eq!(
        PolicyObjects::new(Some(Cni::Antrea)).profile(&first).cni,
        Cni::Antrea
    );

    fs::write(path("b.yaml"), policy("two") + &policy("three")).unwrap();
    files.look(&objects, Look::All);
    let second = objects.now().unwrap();
    assert!(
        names(&second).iter().any(|name| name.contains("three")),
        "{:?}",
        names(&second)
    );
    assert_eq!(names(&second).len(), 2);
    // What is no YAML leaves what was good before.
    fs::write(path("b.yaml"), "{").unwrap();
    files.look(&objects, Look::All);
    assert_eq!(names(&objects.now().unwrap()), names(&second));
    fs::remove_file(path("b.yaml")).unwrap();
    files.look(&objects, Look::All);
    assert_eq!(names(&objects.now().unwrap()).len(), 0);
}
