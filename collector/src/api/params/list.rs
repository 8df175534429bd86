//! Lists in query parameters: words with commas in between, or a word at a time.

use std::borrow::Cow;

use axum::http::Uri;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Parameters that are lists.
const LISTS: [&str; 10] = [
    "columns",
    "group_by",
    "measures",
    "ns",
    "delete",
    "set_label",
    "net_flow",
    "s_flow",
    "ipfix",
    "set",
];

/// The address with each list once, where one comes several times: many clients write
/// lists so.
pub(super) fn joined(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    let mut pairs = Vec::<(Cow<'_, str>, String)>::new();
    let mut has_repeated = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_list = LISTS.contains(&name.as_ref());
        match pairs.iter_mut().find(|(known, _)| is_list && *known == name) {
            Some((_, list)) => {
                has_repeated = true;
                list.push(',');
                list.push_str(&value);
            }
            None => pairs.push((name, value.into_owned())),
        }
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&pairs)
        .finish();
    has_repeated.then(|| format!("{}?{query}", uri.path()).parse().ok())?
}

/// Several words, with commas in between; none of them is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        if words.iter().any(String::is_empty) {
            return Err(D::Error::custom(
                "a list with an empty word; leave the parameter out for none",
            ));
        }
        Ok(Self(words))
    }
}
