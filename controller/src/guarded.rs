//! An object as the API server shows it, which may have a form that this version cannot
//! read: then it comes with why, and with what can be read of any object.

use std::borrow::Cow;

use kube::Resource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::rollup::cut;

/// An object, or what is left of one that cannot be read, so that one malformed object
/// does not stop a watch. (`kube::core::DeserializeGuard` leaves nothing but metadata.)
#[derive(Debug, Clone)]
pub struct Guarded<K>(pub Result<K, Invalid>);

/// An object that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    /// Why, of bounded length.
    pub why: String,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec as it stands there.
    pub spec: Value,
    /// Its status as it stands there.
    pub status: Value,
}

impl<'de, K: de::DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let error = match K::deserialize(&value) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error,
        };
        let mut part = |name: &str| value.get_mut(name).map(Value::take).unwrap_or_default();
        let metadata = serde_json::from_value(part("metadata")).map_err(de::Error::custom)?;
        Ok(Self(Err(Invalid {
            why: cut(error.to_string()),
            metadata,
            spec: part("spec"),
            status: part("status"),
        })))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}
