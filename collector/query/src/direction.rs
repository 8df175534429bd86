//! Which rows of a question count, in which direction, and how often.
//!
//! A conversation looks at a flow from either of its ends: as it is, and as its mirror
//! image. It counts where the filter lets one of the two through, and once in a group.
//! Where groups have mirror images (A to B, B to A, or nothing that tells them apart),
//! rows are read once and [`crate::rank`] joins the groups. Where they have none (grouped
//! by one end), a flow is in the groups of both its ends, and once in the totals.

use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{Expr, lit};
use weir_api::fields::Column;

use crate::Filter;
use crate::filter::expr::Test;
use crate::groups::Keys;
use crate::identity_table::IdentityTable;
use crate::lower::{self, LoweringContext};
use crate::measure::Sum;

/// The rows that count, as the plan reads them.
pub(crate) struct Selection {
    reads: Vec<Read>,
    /// Totals are added up beside the groups: a flow may be in two of these.
    pub(crate) apart: bool,
}

/// One way to look at rows.
pub(crate) struct Read {
    /// Records that count.
    facts: Expr,
    /// Sums that count.
    sums: Expr,
    /// From the other end.
    mirrored: bool,
    /// The filter lets the flow through as it is; else its mirror image alone.
    as_it_is: Expr,
}

impl Selection {
    /// The rows of a question. All observations, or primary ones alone.
    pub(crate) fn new(
        filter: &Filter,
        who: &IdentityTable,
        keys: &Keys,
        conversation: bool,
        all_observations: bool,
    ) -> Result<Self> {
        let over = LoweringContext::Facts(who);
        let as_it_is = match conversation {
            true => over.certain(&filter.test)?,
            false => lit(true),
        };
        let read = |test: Test, mirrored| {
            let primary = Test::Flag(Column::of("primary"));
            let sums = over.test(&test)?;
            let facts = match all_observations {
                true => sums.clone(),
                false => over.test(&Test::All(vec![primary, test]))?,
            };
            let as_it_is = as_it_is.clone();
            Ok::<_, DataFusionError>(Read {
                facts,
                sums,
                mirrored,
                as_it_is,
            })
        };
        let (near, far) = (filter.test.clone(), filter.mirrored());
        if !conversation {
            return Ok(Self {
                reads: vec![read(near, false)?],
                apart: false,
            });
        }
        if keys.are_symmetric() {
            let either = Test::Any(vec![near, far]);
            return Ok(Self {
                reads: vec![read(either, false)?],
                apart: false,
            });
        }
        let (near, mut far) = (read(near, false)?, read(far, true)?);
        let in_group = lower::not(lower::every(vec![as_it_is, keys.is_own_mirror()]));
        far.facts = lower::every(vec![far.facts, in_group.clone()]);
        far.sums = lower::every(vec![far.sums, in_group]);
        Ok(Self {
            reads: vec![near, far],
            apart: true,
        })
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// The names of what is added up: for the groups, then for the totals.
    pub(crate) fn names(&self, sums: &[Sum]) -> Vec<String> {
        let of = |letter, many| (0..many).map(move |at| format!("{letter}{at}"));
        let totals = if self.apart { sums.len() } else { 0 };
        of('s', sums.len()).chain(of('t', totals)).collect()
    }

    /// The columns of a read: keys, what is added up for the groups, and for the totals.
    pub(crate) fn columns(&self, read: &Read, keys: &Keys, sums: &[Sum], of_sums: bool) -> Result<Vec<Expr>> {
        let mut columns = keys.expressions(read.mirrored);
        for sum in sums {
            columns.push(self.added(read, *sum, sum.expression(of_sums))?);
        }
        for sum in sums.iter().filter(|_| self.apart) {
            columns.push(added_in_total(read, *sum, sum.expression(of_sums))?);
        }
        let names = keys.names().chain(self.names(sums));
        Ok(columns
            .into_iter()
            .zip(names)
            .map(|(column, name)| column.alias(name))
            .collect())
    }

    /// What a row adds to its group. A group that has no mirror image is of one end, and
    /// the other end's view is what it received; one that has is as the row is, turned
    /// round where only the image was let through.
    fn added(&self, read: &Read, sum: Sum, value: Expr) -> Result<Expr> {
        let nothing = lit(0_u64);
        match sum {
            Sum::Sent | Sum::Received if self.apart => match (sum == Sum::Received) == read.mirrored {
                true => Ok(value),
                false => Ok(nothing),
            },
            Sum::Sent => lower::chosen_by(&read.as_it_is, value, nothing),
            Sum::Received => lower::chosen_by(&read.as_it_is, nothing, value),
            _ => Ok(value),
        }
    }
}

/// What a row adds to the totals: nothing from its far end, where it was let through as
/// it is and so was counted from its near one.
fn added_in_total(read: &Read, sum: Sum, value: Expr) -> Result<Expr> {
    let nothing = lit(0_u64);
    match (sum, read.mirrored) {
        (Sum::Sent, true) | (Sum::Received, false) => Ok(nothing),
        (_, true) => lower::chosen_by(&read.as_it_is, nothing, value),
        (_, false) => Ok(value),
    }
}

impl Read {
    /// Which records count, or which sums.
    pub(crate) fn test(&self, of_sums: bool) -> Expr {
        if of_sums {
            self.sums.clone()
        } else {
            self.facts.clone()
        }
    }
}

#[cfg(test)]
mod tests;
