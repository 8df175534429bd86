//! Two ranges of time side by side: the groups of both, by their names, since each range
//! knows its own identities.

use std::collections::HashMap;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat, take};

use crate::QueryError;
use crate::groups::Keys;
use crate::period::Period;
use crate::rank::{Ranked, Table, comparable};

/// The groups of now and of then.
pub(crate) struct Compared {
    /// What each had now, then what it had then. Its keys are as people read them.
    pub(crate) table: Table,
    pub(crate) key_names: Vec<String>,
    /// Which rows there were.
    presence: Vec<Presence>,
}

/// When there was any traffic of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Presence {
    now: bool,
    then: bool,
}

impl Presence {
    /// In an answer.
    pub(crate) const fn word(self) -> &'static str {
        match (self.now, self.then) {
            (true, false) => "new",
            (false, true) => "gone",
            _ => "both",
        }
    }
}

impl Compared {
    /// Of the tables of two periods, the later one first.
    pub(crate) fn new(periods: &[Period], [now, then]: [&Table; 2]) -> Result<Self, QueryError> {
        let read = |at: usize, table: &Table| periods[at].read(&table.keys);
        let (keys_now, keys_then) = (read(0, now)?, read(1, then)?);
        let lengths = [now, then].map(Table::rows);
        let pairs = keys_now.iter().zip(&keys_then);
        let both = pairs.map(|((_, now), (_, then))| concat(&[now.as_ref(), then.as_ref()]));
        let both = both.collect::<Result<Vec<ArrayRef>, _>>()?;
        let names = comparable(&both, lengths[0] + lengths[1])?;
        let mut rows: Vec<[Option<usize>; 2]> = now.kept().map(|row| [Some(row), None]).collect();
        let known: HashMap<&[u8], usize> = now
            .kept()
            .enumerate()
            .map(|(at, row)| (names.row(row).data(), at))
            .collect();
        for row in then.kept() {
            match known.get(names.row(lengths[0] + row).data()) {
                Some(at) => rows[*at][1] = Some(row),
                None => rows.push([None, Some(row)]),
            }
        }
        let place = |[now, then]: &[Option<usize>; 2]| {
            let row = now.or(then.map(|then| lengths[0] + then));
            row.unwrap_or_default() as u32
        };
        let places = UInt32Array::from_iter_values(rows.iter().map(place));
        let keys = both
            .iter()
            .map(|key| take(key, &places, None))
            .collect::<Result<_, _>>()?;
        let mut columns = Vec::new();
        for (at, table) in [now, then].into_iter().enumerate() {
            let own: Vec<Option<usize>> = rows.iter().map(|row| row[at]).collect();
            for states in &table.columns {
                columns.push(states.take(&own)?);
            }
        }
        let totals = [now.totals(), then.totals()].concat();
        let presence = rows.iter().map(|[now, then]| Presence {
            now: now.is_some(),
            then: then.is_some(),
        });
        Ok(Self {
            presence: presence.collect(),
            table: Table::of(keys, columns, totals, rows.len()),
            key_names: keys_now.into_iter().map(|(name, _)| name).collect(),
        })
    }

    /// What names the groups, in an order that does not depend on the question's.
    pub(crate) fn names(&self, keys: &Keys) -> Vec<ArrayRef> {
        let places = keys.ordered().into_iter();
        places.map(|place| self.table.keys[place].clone()).collect()
    }

    /// Of each row that is shown, whether there was anything of its group: in any bucket.
    pub(crate) fn presences<'a>(&self, ranked: &'a Ranked) -> impl Iterator<Item = Presence> + 'a {
        let mut of_groups = vec![Presence::default(); ranked.shown_groups];
        for (row, group) in ranked.shown.iter().zip(&ranked.group_of) {
            let Presence { now, then } = self.presence[*row as usize];
            of_groups[*group].now |= now;
            of_groups[*group].then |= then;
        }
        ranked.group_of.iter().map(move |group| of_groups[*group])
    }
}
