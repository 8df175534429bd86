//! Parameters of a plan.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::IntoParams;
use weir_api::Protocol;
use weir_api::network::MAX_COLLECTORS;
use weir_exports::Asked;
use weir_exports::preparation::SETTINGS;

use super::Words;

/// Parameters of `exports/plan`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanParams {
    /// Collectors of NetFlow v5, as in `exportNetworkFlows`; `none` for none; those that there are
    /// when left out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>, example = json!(["192.0.2.1:2056"]))]
    pub net_flow: Option<Words>,
    /// Collectors of sFlow, likewise.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub s_flow: Option<Words>,
    /// Collectors of IPFIX, likewise.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub ipfix: Option<Words>,
    /// The ExportProfile whose settings are to change, or that is to be made; when left out the
    /// one that has no nodeSelector.
    #[param(required = false)]
    pub profile: Option<String>,
    /// Settings of it, such as `ipfix.sampling:100`; `ipfix.sampling:default` takes one out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>, example = json!(["ipfix.sampling:100"]))]
    pub set: Option<Words>,
}

impl PlanParams {
    /// What is to change.
    ///
    /// # Errors
    /// A list is longer than it may be, or a setting has no value.
    pub fn into_asked(self) -> Result<Asked, String> {
        let lists = [
            (Protocol::NetFlow, "net_flow", self.net_flow),
            (Protocol::SFlow, "s_flow", self.s_flow),
            (Protocol::Ipfix, "ipfix", self.ipfix),
        ];
        let mut collectors = BTreeMap::new();
        for (protocol, name, list) in lists {
            let Some(Words(list)) = list else { continue };
            let list = if list == ["none"] { Vec::new() } else { list };
            collectors.insert(protocol, bounded(name, list, MAX_COLLECTORS)?);
        }
        let set = self.set.unwrap_or_default().0;
        let set = bounded("set", set, SETTINGS.len())?.into_iter().map(setting);
        Ok(Asked {
            collectors,
            profile: self.profile.filter(|name| !name.is_empty()),
            settings: set.collect::<Result<_, _>>()?,
        })
    }
}

/// A list that is no longer than it may be: each collector may be a Service that is looked up.
fn bounded(name: &str, list: Vec<String>, most: usize) -> Result<Vec<String>, String> {
    match list.len() <= most {
        true => Ok(list),
        false => Err(format!(
            "{name}: there are {}; a list may have {most}",
            list.len()
        )),
    }
}

fn setting(text: String) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((place, value)) if !place.is_empty() && !value.is_empty() => {
            Ok((place.to_owned(), value.to_owned()))
        }
        _ => Err(format!(
            "set: {text:?} is not PLACE:VALUE, as in ipfix.sampling:100"
        )),
    }
}
