//! How a change is asked for: a patch or an object, as YAML, and the command that applies it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_api::{ExportProfile, Protocol};

use super::asked::without_nothing;
use super::{Asked, Present};
use crate::source::SourceKind;

/// What is to be written, by whoever may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// What it is about: `network.operator cluster`, `exportprofile default`.
    pub object: String,
    /// A merge patch, or the whole object where it is new.
    pub yaml: String,
    /// The command that writes it.
    pub command: String,
}

/// Settings first: collectors are not to be met by settings that are to go.
pub(super) fn of(present: &Present<'_>, asked: &Asked, profile: Option<&ExportProfile>) -> Vec<Document> {
    let profile = profile.map(|profile| {
        let name = profile.metadata.name.as_deref().unwrap_or_default();
        let is_new = !present
            .profiles
            .iter()
            .any(|one| one.metadata.name == profile.metadata.name);
        if is_new {
            let object = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportProfile",
                "metadata": {"name": name}, "spec": without_nothing(asked.settings())});
            return applied(format!("exportprofile {name}"), &object);
        }
        patched(
            format!("exportprofile {name}"),
            &json!({"spec": asked.settings()}),
        )
    });
    let source = (!asked.collectors.is_empty()).then(|| source(present.source, asked));
    profile.into_iter().chain(source).collect()
}

/// A patch of what says where flows go. Where nothing does yet it is the whole `Network`, which the
/// controller reads unless it is told otherwise: what is not there cannot be patched.
fn source(present: Option<SourceKind>, asked: &Asked) -> Document {
    let lists = Protocol::ALL.into_iter().filter_map(|protocol| {
        let entries = asked.collectors.get(&protocol)?;
        let list = match entries.is_empty() {
            true => Value::Null,
            false => json!({"collectors": entries}),
        };
        Some((protocol.field().to_owned(), list))
    });
    let lists: serde_json::Map<String, Value> = lists.collect();
    let spec = json!({"exportNetworkFlows": lists});
    let kind = present.unwrap_or(SourceKind::Network);
    let object = format!("{} {}", kind.resource(), kind.name());
    if present.is_some() {
        return patched(object, &json!({"spec": spec}));
    }
    let whole = json!({"apiVersion": kind.api_version(), "kind": kind.kind(),
        "metadata": {"name": kind.name()}, "spec": without_nothing(spec)});
    applied(object, &whole)
}

fn patched(object: String, patch: &Value) -> Document {
    Document {
        command: format!(
            "kubectl patch {object} --type merge -p {}",
            quoted(&patch.to_string())
        ),
        yaml: yaml(patch),
        object,
    }
}

fn applied(object: String, whole: &Value) -> Document {
    let yaml = yaml(whole);
    Document {
        command: format!("kubectl apply -f - <<'EOF'\n{yaml}EOF"),
        yaml,
        object,
    }
}

fn yaml(value: &Value) -> String {
    // A value of JSON can always be written.
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
