//! Generated policies beside those of a file: objects are compared, not their texts.

use std::collections::BTreeMap;

use weir_policy::{Policy, PolicyKey};

/// What is not the same, a line each, by name; nothing where all is. Comments, order and
/// spelling make no difference, nor do labels and annotations.
pub fn differences(made: &[Policy], there: &[Policy]) -> Vec<String> {
    let by_key = |policies: &[Policy]| -> BTreeMap<PolicyKey, Policy> {
        policies
            .iter()
            .map(|policy| (policy.key(), policy.clone()))
            .collect()
    };
    let (made, there) = (by_key(made), by_key(there));
    let named = |key: &PolicyKey| format!("{} {key}", key.kind.name());
    let mut lines: BTreeMap<&PolicyKey, String> = BTreeMap::new();
    for (key, policy) in &made {
        match there.get(key) {
            None => lines.insert(key, format!("{} is missing", named(key))),
            Some(known) if known != policy => lines.insert(key, format!("{} is another", named(key))),
            Some(_) => None,
        };
    }
    for key in there.keys().filter(|key| !made.contains_key(key)) {
        lines.insert(key, format!("{} is not generated", named(key)));
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use weir_policy::parse;

    use super::*;

    fn policies(text: &str) -> Vec<Policy> {
        parse::file(text, "shop").unwrap().policies
    }

    fn policy(name: &str, port: u16) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: \
             {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{ports: [{{port: {port}}}]}}]}}\n---\n"
        )
    }

    #[test]
    fn objects_are_compared_and_not_their_texts() {
        let made = policies(&(policy("a", 80) + &policy("b", 80)));
        let turned = "# Somebody's words.\n".to_owned()
            + &policy("b", 80).replace("policyTypes: [Ingress]", "policyTypes: [\"Ingress\"]")
            + &policy("a", 80).replace("port: 80", "protocol: TCP, port: 80");
        assert_eq!(differences(&made, &policies(&turned)), [""; 0]);
        let other = policies(&(policy("a", 81) + &policy("c", 80)));
        assert_eq!(
            differences(&made, &other),
            [
                "NetworkPolicy shop/a is another",
                "NetworkPolicy shop/b is missing",
                "NetworkPolicy shop/c is not generated"
            ]
        );
    }
}
