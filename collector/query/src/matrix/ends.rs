//! What the ends of a matrix are called. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use weir_store::Identities;

use super::MatrixEnds;

/// The fields that an end may be called by.
pub(super) const FIELDS: [&str; 5] = MatrixEnds::FIELDS;

/// What an end is called: a word for each of [`FIELDS`], empty where it does not matter.
pub(super) type Name = [Arc<str>; FIELDS.len()];

/// Kinds of those whom no cluster knows.
const OUTSIDE: [&str; 3] = ["internet", "private", ""];

/// The ends that identities are, each once.
#[derive(Debug)]
pub(super) struct Ends {
    /// The end of each identity's number.
    of: Vec<u32>,
    names: Vec<Name>,
    /// Of each end, its place in the order of the names.
    places: Vec<u32>,
}

impl Ends {
    /// Of these identities.
    pub fn of(identities: &Identities, by: MatrixEnds) -> Self {
        let columns = columns(identities.batch());
        let (mut ends, mut names) = (HashMap::<Name, u32>::new(), Vec::new());
        let mut words = HashMap::<&str, Arc<str>>::new();
        let of_row: Vec<u32> = (0..identities.batch().num_rows())
            .map(|row| {
                let values =
                    [0, 1, 2, 3, 4].map(|at: usize| columns[at].map_or("", |column| column.value(row)));
                let name = by
                    .shown(values)
                    .map(|word| Arc::clone(words.entry(word).or_insert_with(|| word.into())));
                *ends.entry(name).or_insert_with_key(|name| {
                    names.push(name.clone());
                    names.len() as u32 - 1
                })
            })
            .collect();
        let mut order: Vec<u32> = (0..names.len() as u32).collect();
        order.sort_unstable_by(|a, b| names[*a as usize].cmp(&names[*b as usize]));
        let mut places = vec![0; order.len()];
        for (place, end) in order.iter().enumerate() {
            places[*end as usize] = place as u32;
        }
        let rows = identities.rows().iter();
        Self {
            of: rows
                .map(|row| of_row.get(*row as usize).copied().unwrap_or_default())
                .collect(),
            names,
            places,
        }
    }

    /// The end that a number stands for; numbers that nobody has are nobody's.
    pub fn at(&self, id: u32) -> u32 {
        let end = self.of.get(id as usize).or_else(|| self.of.first());
        end.copied().unwrap_or_default()
    }

    /// What an end is called.
    pub fn name(&self, end: u32) -> Option<&Name> {
        self.names.get(end as usize)
    }

    /// Where an end stands in the order of the names.
    pub fn place(&self, end: u32) -> u32 {
        self.places.get(end as usize).copied().unwrap_or(u32::MAX)
    }
}

fn columns(table: &RecordBatch) -> [Option<&StringViewArray>; FIELDS.len()] {
    FIELDS.map(|name| {
        table
            .column_by_name(name)
            .and_then(|column: &ArrayRef| column.as_string_view_opt())
    })
}

impl MatrixEnds {
    /// What matters of the words of an identity, those of [`Self::FIELDS`]; of what it gave
    /// once, the same.
    pub fn shown(self, words: [&str; FIELDS.len()]) -> [&str; FIELDS.len()] {
        let [ns, kind, workload, pod, subnet] = words;
        let is_outside = ns.is_empty() && OUTSIDE.contains(&kind);
        match self {
            Self::Subnet if !subnet.is_empty() => ["", "", "", "", subnet],
            _ if is_outside => ["", kind, "", "", subnet],
            Self::Pod => [ns, kind, workload, pod, ""],
            // Nodes are of no namespace.
            Self::Workload => [ns, kind, workload, "", ""],
            Self::Ns | Self::Subnet if ns.is_empty() => ["", kind, "", "", ""],
            Self::Ns | Self::Subnet => [ns, "", "", "", ""],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_outside_is_called_by_its_subnet_whatever_else_is_asked_for() {
        let office = ["", "private", "private", "", "office"];
        let pod = ["shop", "Deployment", "web", "web-1", "pods"];
        let node = ["", "Node", "node-1", "", ""];
        let of = |end| {
            MatrixEnds::ALL.map(|by| {
                let shown = by.shown(end);
                assert_eq!(by.shown(shown), shown);
                shown.join(" ").split_whitespace().collect::<Vec<_>>().join("/")
            })
        };
        assert_eq!(
            of(office),
            ["private/office", "private/office", "private/office", "office"]
        );
        assert_eq!(
            of(pod),
            ["shop/Deployment/web", "shop/Deployment/web/web-1", "shop", "pods"]
        );
        assert_eq!(of(node), ["Node/node-1", "Node/node-1", "Node", "Node"]);
    }
}
