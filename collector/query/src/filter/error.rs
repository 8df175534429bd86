//! What is wrong with a filter, and where.

use weir_api::fields::{Column, FIELDS, Side};

use crate::error::meant;

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}{}", meant(nearest.as_deref()))]
pub struct FilterError {
    /// Which character it is about, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The nearest name or word that there is.
    pub nearest: Option<String>,
}

/// The field nearest to a name that none has.
pub(crate) fn nearest_field(name: &str) -> Option<String> {
    if let Some(column) = of_netobserv(name) {
        return Some(column.name().to_owned());
    }
    if let Some(column) = of_habit(name) {
        return Some(column.name().to_owned());
    }
    let plain = name.strip_prefix("src_").unwrap_or(name);
    nearest(plain, Column::all().map(Column::name))
}

/// What stands before a name for either side, where people are used to something else.
const SIDES: [(&str, bool); 8] = [
    ("", false),
    ("src_", false),
    ("source_", false),
    ("dst_", true),
    ("dest_", true),
    ("destination_", true),
    ("src", false),
    ("dst", true),
];

/// The column that people mean who are used to other names.
fn of_habit(name: &str) -> Option<Column> {
    let name = name.to_lowercase();
    let named = |word: &str| {
        let is_it = |column: &Column| column.name() == word || column.field().also.contains(&word);
        Column::all().find(|column| column.side() != Side::Dst && is_it(column))
    };
    let of_port = [("sport", "port"), ("dport", "dst_port")];
    let of_port = of_port.into_iter().find(|(habit, _)| *habit == name);
    let sided = SIDES.into_iter().find_map(|(side, is_dst)| {
        let column = named(name.strip_prefix(side)?)?;
        Some(if is_dst { column.mirrored() } else { column })
    });
    of_port.and_then(|(_, column)| Column::find(column)).or(sided)
}

/// The column that NetObserv calls `name`.
fn of_netobserv(name: &str) -> Option<Column> {
    let as_src = name.replacen("Dst", "Src", 1);
    let field = FIELDS
        .iter()
        .find(|field| field.netobserv.split(['/', ' ']).next() == Some(as_src.as_str()))?;
    let dst = field.dst_name.filter(|_| as_src != name);
    Column::find(dst.unwrap_or(field.name))
}

/// The word nearest to `name`, unless it shares too little with it.
pub fn nearest<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    words
        .map(|word| (distance(&name, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word.to_owned())
}

/// How many characters to change, add or leave out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, b) in other.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[place + 1];
            row[place + 1] = change.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_field_is_found_or_none_is_named() {
        for (name, field) in [
            ("nss", "ns"),
            ("dst_namespace_name", "dst_ns"),
            ("workload", "workload_name"),
            ("namespace", "ns"),
            ("dst_namespace", "dst_ns"),
            ("destination_pod", "dst_pod_name"),
            ("src_ip", "addr"),
            ("dst_ip", "dst_addr"),
            ("dstip", "dst_addr"),
            ("srcPort", "port"),
            ("dport", "dst_port"),
            ("src_service", "service_name"),
            ("node", "node_name"),
            ("workloadname", "workload_name"),
            ("DST_ZONE", "dst_zone"),
            ("SrcK8S_Namespace", "ns"),
            ("DstK8S_Zone", "dst_zone"),
            ("src_pod_nam", "pod_name"),
            ("xyzzy", ""),
        ] {
            assert_eq!(nearest_field(name).unwrap_or_default(), field, "{name}");
        }
    }
}
