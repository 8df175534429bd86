//! Parameters of a plan.

use serde::Deserialize;
use utoipa::IntoParams;
use weir_api::Protocol;
use weir_exports::Asked;

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
    /// A setting has no value.
    pub fn into_asked(self) -> Result<Asked, String> {
        let lists = [
            (Protocol::NetFlow, self.net_flow),
            (Protocol::SFlow, self.s_flow),
            (Protocol::Ipfix, self.ipfix),
        ];
        let lists = lists.into_iter().filter_map(|(protocol, list)| {
            let list = list?.0;
            Some((protocol, if list == ["none"] { Vec::new() } else { list }))
        });
        let set = self.set.unwrap_or_default().0.into_iter().map(|one| {
            let pair = one
                .split_once(':')
                .filter(|(place, value)| !place.is_empty() && !value.is_empty());
            let (place, value) =
                pair.ok_or_else(|| format!("set: {one:?} is not PLACE:VALUE, as in ipfix.sampling:100"))?;
            Ok::<_, String>((place.to_owned(), value.to_owned()))
        });
        Ok(Asked {
            collectors: lists.collect(),
            profile: self.profile.filter(|name| !name.is_empty()),
            settings: set.collect::<Result<_, _>>()?,
        })
    }
}
