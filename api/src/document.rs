//! Resources as files, for running without Kubernetes: the text of a `Network`
//! (or of the patch that one would apply to it) and of an `ExportProfile`.
//!
//! A file has no API server that validates it, so this does: unknown fields
//! under `exportNetworkFlows`, other kinds and values out of range are errors
//! that name the place.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::network::{CLUSTER, ExportNetworkFlows, NetworkSpec};
use crate::profile::{ExportProfile, ExportProfileSpec};
use crate::unknown::unknown_fields;

/// Why a text is no such resource.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Not YAML, or a value of the wrong type; the text has line and column.
    #[error("{0}")]
    Yaml(String),
    /// Another kind or API version of resource.
    #[error("is {found:?}, but {wanted:?} is wanted")]
    Kind {
        /// What the document says.
        found: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// A `Network` of another name has no meaning.
    #[error("metadata.name is {0:?}; only the Network named \"cluster\" counts")]
    Name(String),
    /// A field that does not exist.
    #[error("{place} has no field {field:?}; it has {known}")]
    UnknownField {
        /// Where it stands.
        place: String,
        /// Its name.
        field: String,
        /// The fields that exist there.
        known: &'static str,
    },
    /// Values that OVS would refuse, one sentence each.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<S> {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    spec: S,
}

#[derive(Deserialize, Default)]
struct Metadata {
    name: Option<String>,
}

/// Reads a `Network`, or the patch that OpenShift documents (`spec:` alone).
///
/// # Errors
/// The text is no such document.
pub fn parse_network(text: &str) -> Result<Option<ExportNetworkFlows>, DocumentError> {
    let document: Document<NetworkSpec> = parse(text)?;
    check_kind(&document, "operator.openshift.io/v1 Network")?;
    if let Some(name) = document.metadata.name.filter(|n| n != CLUSTER) {
        return Err(DocumentError::Name(name));
    }
    check_fields(&parse::<Value>(text)?)?;
    Ok(document.spec.export_network_flows)
}

/// Reads an `ExportProfile` (or its `spec:` alone).
///
/// # Errors
/// The text is no such document, has a field that does not exist, or a value that nothing can
/// be made of. What the planner can put right is no error: an upgrade must not end a daemon.
pub fn parse_profile(text: &str) -> Result<ExportProfile, DocumentError> {
    let document: Document<ExportProfileSpec> = parse(text)?;
    check_kind(&document, "weir.dev/v1alpha1 ExportProfile")?;
    let mut violations = unknown_in_profile(&parse::<Value>(text)?, &document.spec);
    // What is only unwise was valid once; the planner puts it right and says so.
    violations.extend(document.spec.unusable());
    if !violations.is_empty() {
        return Err(DocumentError::Invalid(violations));
    }
    Ok(ExportProfile::new(
        document.metadata.name.as_deref().unwrap_or("file"),
        document.spec,
    ))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    serde_saphyr::from_str(text).map_err(|e| DocumentError::Yaml(e.to_string().trim_end().to_owned()))
}

fn check_kind<S>(document: &Document<S>, wanted: &'static str) -> Result<(), DocumentError> {
    let (version, kind) = wanted.split_once(' ').expect("a version, a space, a kind");
    let fits = document.api_version.as_deref().is_none_or(|v| v == version)
        && document.kind.as_deref().is_none_or(|k| k == kind);
    if fits {
        return Ok(());
    }
    let found = [document.api_version.as_deref(), document.kind.as_deref()];
    let found = found.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Err(DocumentError::Kind { found, wanted })
}

/// A file has nobody who would say that a field counts for nothing.
fn unknown_in_profile(document: &Value, spec: &ExportProfileSpec) -> Vec<String> {
    let raw = document.get("spec").unwrap_or(&Value::Null);
    let read = serde_json::to_value(spec).unwrap_or_default();
    let unknown = unknown_fields("spec", raw, &read).into_iter();
    unknown
        .map(|place| format!("{place} is no field of an ExportProfile"))
        .collect()
}

fn check_fields(document: &Value) -> Result<(), DocumentError> {
    let place = "spec.exportNetworkFlows";
    let Some(flows) = document.pointer("/spec/exportNetworkFlows") else {
        return Ok(());
    };
    check_keys(flows, place, "netFlow, sFlow, ipfix")?;
    let protocols = flows.as_object().into_iter().flatten();
    for (protocol, collectors) in protocols {
        check_keys(collectors, &format!("{place}.{protocol}"), "collectors")?;
    }
    Ok(())
}

fn check_keys(object: &Value, place: &str, known: &'static str) -> Result<(), DocumentError> {
    let unknown = |field: &&String| !known.split(", ").any(|k| k == field.as_str());
    match object.as_object().and_then(|o| o.keys().find(unknown)) {
        None => Ok(()),
        Some(field) => Err(DocumentError::UnknownField {
            place: place.to_owned(),
            field: field.clone(),
            known,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    const PATCH: &str =
        "spec:\n  exportNetworkFlows:\n    netFlow:\n      collectors:\n        - 192.168.1.99:2056\n";

    #[test]
    fn the_documented_patch_file_is_a_network() {
        let flows = parse_network(PATCH).unwrap().unwrap();
        assert_eq!(flows.entries(Protocol::NetFlow)[0].0, "192.168.1.99:2056");
        let whole = format!(
            "apiVersion: operator.openshift.io/v1\nkind: Network\nmetadata:\n  name: cluster\n{PATCH}  other: {{a: 1}}\n"
        );
        assert_eq!(parse_network(&whole).unwrap().unwrap(), flows);
    }

    #[test]
    fn a_network_without_the_field_exports_nothing() {
        assert_eq!(parse_network("spec: {}").unwrap(), None);
        assert_eq!(parse_network("spec: {exportNetworkFlows: null}").unwrap(), None);
    }

    #[test]
    fn errors_name_the_place() {
        let cases = [
            ("spec: {exportNetworkFlows: {netflow: {}}}", "netflow"),
            (
                "spec: {exportNetworkFlows: {netFlow: {collector: []}}}",
                "spec.exportNetworkFlows.netFlow",
            ),
            ("spec: {exportNetworkFlows: {netFlow: {collectors: 7}}}", "line 1"),
            ("kind: Pod\nspec: {}", "Pod"),
            ("metadata: {name: other}\nspec: {}", "other"),
            ("", "line 1"),
            ("metadata: {}", "spec"),
            ("spec: [", "line 1"),
        ];
        for (text, part) in cases {
            let error = parse_network(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_profile_is_read_and_checked() {
        let profile = parse_profile("spec:\n  ipfix: {sampling: 100, cacheMaxFlows: 0}\n").unwrap();
        assert_eq!(
            (profile.spec.ipfix.sampling, profile.spec.ipfix.cache_max_flows),
            (Some(100), Some(0))
        );
        for (text, part) in [
            ("spec: {ipfix: {cacheActiveTimeout: 9999}}", "cacheActiveTimeout"),
            ("spec: {ipfix: {smapling: 9}}", "spec.ipfix.smapling is no field"),
            ("spec: {colour: red}", "spec.colour is no field"),
            (
                "spec: {netFlow: {activeTimeout: -1}}",
                "netFlow.activeTimeout is -1",
            ),
            ("kind: Network\nspec: {}", "ExportProfile"),
            ("spec: {netFlow: {engineId: 256}}", "line 1"),
        ] {
            let error = parse_profile(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_profile_that_was_valid_before_is_still_read() {
        for text in [
            "spec: {ipfix: {sampling: 1, cacheMaxFlows: 0}}",
            "spec: {sFlow: {header: 1300, sampling: 1}}",
            "spec: {netFlow: {activeTimeout: 86401}}",
        ] {
            let profile = parse_profile(text).expect(text);
            assert!(!profile.spec.violations().is_empty(), "{text}: and is put right");
        }
    }
}
