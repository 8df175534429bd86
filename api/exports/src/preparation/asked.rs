//! What somebody asks to be changed: collectors of protocols, and settings of a profile.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_api::{Collectors, ExportNetworkFlows, ExportProfile, ExportProfileSpec, Protocol};

use super::NotPrepared;

/// Settings of a profile that can be prepared here, as places in its spec.
pub const SETTINGS: [&str; 8] = [
    "export",
    "ipfix.sampling",
    "ipfix.cacheActiveTimeout",
    "ipfix.cacheMaxFlows",
    "ipfix.templateInterval",
    "sFlow.sampling",
    "sFlow.polling",
    "netFlow.activeTimeout",
];

/// The profile that is made where there is none.
const FIRST_PROFILE: &str = "default";

/// What is to change; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Collectors of a protocol; an empty list: none.
    pub collectors: BTreeMap<Protocol, Vec<String>>,
    /// The profile that is to change.
    pub profile: Option<String>,
    /// Its settings, by place, as text; `default`: the setting is taken out.
    pub settings: Vec<(String, String)>,
}

impl Asked {
    /// Nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.collectors.is_empty() && self.settings.is_empty()
    }

    /// The collectors as they would be.
    pub fn flows(&self, present: Option<&ExportNetworkFlows>) -> Option<ExportNetworkFlows> {
        if self.collectors.is_empty() {
            return present.cloned();
        }
        let mut flows = present.cloned().unwrap_or_default();
        for (protocol, entries) in &self.collectors {
            let list = entries
                .iter()
                .map(|entry| entry.as_str().into())
                .collect::<Vec<_>>();
            let list = (!list.is_empty()).then_some(Collectors {
                collectors: Some(list),
            });
            match protocol {
                Protocol::NetFlow => flows.net_flow = list,
                Protocol::SFlow => flows.s_flow = list,
                Protocol::Ipfix => flows.ipfix = list,
            }
        }
        Some(flows)
    }

    /// The profile as it would be; none: no setting is to change.
    pub(super) fn profile(&self, present: &[ExportProfile]) -> Result<Option<ExportProfile>, NotPrepared> {
        if self.settings.is_empty() {
            return Ok(None);
        }
        let mut profile = self.meant(present)?;
        let mut spec = json!(profile.spec);
        for (place, text) in &self.settings {
            if !SETTINGS.contains(&place.as_str()) {
                return Err(NotPrepared::UnknownSetting(place.clone()));
            }
            set(&mut spec, place, value(text));
            profile.spec = serde_json::from_value::<ExportProfileSpec>(without_nothing(spec.clone()))
                .map_err(|error| NotPrepared::WrongSetting(place.clone(), error.to_string()))?;
        }
        Ok(Some(profile))
    }

    /// The profile that is named, or the only one of all nodes; a new one where there is none.
    fn meant(&self, present: &[ExportProfile]) -> Result<ExportProfile, NotPrepared> {
        let new = |name: &str| ExportProfile::new(name, ExportProfileSpec::default());
        let named = |name: &str| {
            present
                .iter()
                .find(|one| one.metadata.name.as_deref() == Some(name))
        };
        if let Some(name) = &self.profile {
            return match named(name) {
                Some(profile) => Ok(profile.clone()),
                None if is_name(name) => Ok(new(name)),
                None => Err(NotPrepared::ProfileName(name.clone())),
            };
        }
        let of_all: Vec<&ExportProfile> = present
            .iter()
            .filter(|one| one.spec.node_selector.is_none())
            .collect();
        match of_all.as_slice() {
            [] if named(FIRST_PROFILE).is_some() => Err(NotPrepared::NoneOfAll(FIRST_PROFILE.to_owned())),
            [] => Ok(new(FIRST_PROFILE)),
            [only] => Ok((*only).clone()),
            several => Err(NotPrepared::WhichProfile(several.len())),
        }
    }

    /// The settings as a part of a spec; what is taken out is null.
    pub(super) fn settings(&self) -> Value {
        let mut spec = json!({});
        for (place, text) in &self.settings {
            set(&mut spec, place, value(text));
        }
        spec
    }
}

fn set(spec: &mut Value, place: &str, value: Value) {
    match place.split_once('.') {
        None => spec[place] = value,
        Some((group, field)) => {
            if !spec[group].is_object() {
                spec[group] = json!({});
            }
            spec[group][field] = value;
        }
    }
}

/// What is taken out is not there.
pub(super) fn without_nothing(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        for field in fields.values_mut() {
            *field = without_nothing(field.take());
        }
    }
    value
}

fn value(text: &str) -> Value {
    match text.parse::<u64>() {
        _ if text == "default" => Value::Null,
        Ok(number) => json!(number),
        Err(_) => json!(text),
    }
}

/// RFC 1123, as Kubernetes takes it.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 253 && name.chars().all(inner) && edge(name.chars().next()) && edge(name.chars().last())
}
