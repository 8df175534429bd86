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
use crate::aggregation::Aggregate;
use crate::filter::expr::Test;
use crate::groups::Keys;
use crate::identity_table::IdentityTable;
use crate::lower::{self, LoweringContext};
use crate::plan::Aggregation;

/// The rows that count, as the plan reads them.
pub(crate) struct Selection {
    reads: Vec<Read>,
    /// Totals are added up beside the groups: a flow may be in two of these.
    pub(crate) apart: bool,
    /// Each group is joined to its mirror image afterwards.
    pub(crate) joined: bool,
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
                joined: false,
            });
        }
        if keys.are_symmetric() {
            let either = Test::Any(vec![near, far]);
            return Ok(Self {
                reads: vec![read(either, false)?],
                apart: false,
                joined: true,
            });
        }
        let (near, mut far) = (read(near, false)?, read(far, true)?);
        let in_group = lower::not(lower::every(vec![as_it_is, keys.is_own_mirror()]));
        far.facts = lower::every(vec![far.facts, in_group.clone()]);
        far.sums = lower::every(vec![far.sums, in_group]);
        Ok(Self {
            reads: vec![near, far],
            apart: true,
            joined: false,
        })
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// What the engine works out: for the groups, then for the totals.
    pub(crate) fn aggregations(&self, aggregates: &[Aggregate]) -> Vec<Aggregation> {
        let of = |letter: char| {
            aggregates.iter().enumerate().map(move |(at, aggregate)| {
                let name = format!("{letter}{at}");
                let (function, columns) = aggregate.function();
                let number = (columns > 1).then(|| format!("n{at}"));
                Aggregation {
                    function,
                    args: number.into_iter().chain([name.clone()]).collect(),
                    name,
                }
            })
        };
        let totals = of('t').take(if self.apart { aggregates.len() } else { 0 });
        of('s').chain(totals).collect()
    }

    /// The columns of a read: keys, then what is worked with for the groups and the totals.
    pub(crate) fn columns(
        &self,
        read: &Read,
        keys: &Keys,
        aggregates: &[Aggregate],
        context: &Context<'_>,
    ) -> Result<Vec<Expr>> {
        let named = keys.expressions(read.mirrored).into_iter().zip(keys.names());
        let mut columns: Vec<Expr> = named.map(|(key, name)| key.alias(name)).collect();
        for (at, aggregate) in aggregates.iter().enumerate() {
            let number = aggregate.number(context.interval, context.later);
            columns.extend(number.map(|number| number.alias(format!("n{at}"))));
            columns.push(
                self.value(read, keys, *aggregate, context)?
                    .alias(format!("s{at}")),
            );
        }
        for (at, aggregate) in aggregates.iter().enumerate().filter(|_| self.apart) {
            let value = aggregate.value(context.of_sums, read.mirrored, context.who)?;
            columns.push(value_in_total(read, *aggregate, value)?.alias(format!("t{at}")));
        }
        Ok(columns)
    }

    /// What a row has for its group. A group that has no mirror image is of one end, and
    /// the other end's view is what it received; one that has is as the row is, turned
    /// round where only the image was let through.
    fn value(&self, read: &Read, keys: &Keys, aggregate: Aggregate, context: &Context<'_>) -> Result<Expr> {
        let value = aggregate.value(context.of_sums, read.mirrored, context.who)?;
        let nothing = lit(0_u64);
        match aggregate {
            Aggregate::Sent | Aggregate::Received if self.apart => {
                match (aggregate == Aggregate::Received) == read.mirrored {
                    true => Ok(value),
                    false => Ok(nothing),
                }
            }
            Aggregate::Sent => lower::chosen_by(&read.as_it_is, value, nothing),
            Aggregate::Received => lower::chosen_by(&read.as_it_is, nothing, value),
            Aggregate::Distinct(..) if self.joined => {
                let image = aggregate.value(context.of_sums, true, context.who)?;
                let is_turned = vec![keys.is_own_mirror(), lower::not(read.as_it_is.clone())];
                lower::chosen_by(&lower::every(is_turned), image, value)
            }
            _ => Ok(value),
        }
    }
}

/// What the columns of rows are made with.
pub(crate) struct Context<'a> {
    pub(crate) who: &'a IdentityTable,
    /// They are of sums, not of records.
    pub(crate) of_sums: bool,
    /// The length of an interval of peaks, in microseconds.
    pub(crate) interval: i64,
    /// How much later records are counted in intervals.
    pub(crate) later: i64,
}

/// What a row has for the totals: nothing from its far end, where it was let through as
/// it is and so was counted from its near one.
fn value_in_total(read: &Read, aggregate: Aggregate, value: Expr) -> Result<Expr> {
    let nothing = aggregate.nothing()?;
    match (aggregate, read.mirrored) {
        (Aggregate::Sent, true) | (Aggregate::Received, false) => Ok(nothing),
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
