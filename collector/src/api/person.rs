//! Who asks, as Kubernetes knows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::UserInfo;

/// Somebody whom Kubernetes knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// What tells two of one name apart.
    pub uid: Option<String>,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// What else their authenticator says of them.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl From<UserInfo> for Person {
    fn from(user: UserInfo) -> Self {
        Self {
            name: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }
    }
}

/// Who asks, as the API server says that passed the request on: an extension of requests
/// that came from it.
#[derive(Debug, Clone)]
pub struct Asserted(pub Arc<Person>);
