//! Numbers of a group made into one: their sum, the largest of which stands for all that are
//! larger, the least of them, the most.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

/// The sum of a column of [`DataType::UInt64`]; absent where no row has a number.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    static SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Fold::function(Fold::Sum));
    Arc::clone(&SUM)
}

/// The least number of such a column, likewise.
pub(crate) fn min() -> Arc<AggregateUDF> {
    static MIN: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Fold::function(Fold::Min));
    Arc::clone(&MIN)
}

/// The largest number of such a column, likewise.
pub(crate) fn max() -> Arc<AggregateUDF> {
    static MAX: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Fold::function(Fold::Max));
    Arc::clone(&MAX)
}

/// How two numbers are made into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fold {
    Sum,
    Min,
    Max,
}

impl Fold {
    fn function(self) -> Arc<AggregateUDF> {
        let signature = Signature::exact(vec![DataType::UInt64], Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(FoldFunction {
            fold: self,
            signature,
        }))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    fn of(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Sum => a.saturating_add(b),
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }

    /// What leaves every other number as it is.
    const fn start(self) -> u64 {
        match self {
            Self::Sum | Self::Max => 0,
            Self::Min => u64::MAX,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FoldFunction {
    fold: Fold,
    signature: Signature,
}

impl AggregateUDFImpl for FoldFunction {
    fn name(&self) -> &str {
        self.fold.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OfAll {
            fold: self.fold,
            folded: None,
        }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let kind = &DataType::UInt64;
        // A closure each: what is done for each row is known to the compiler.
        macro_rules! folding {
            ($fold:expr) => {
                Box::new(
                    PrimitiveGroupsAccumulator::<UInt64Type, _>::new(kind, |folded: &mut u64, value: u64| {
                        *folded = $fold.of(*folded, value);
                    })
                    .with_starting_value($fold.start()),
                )
            };
        }
        Ok(match self.fold {
            Fold::Sum => folding!(Fold::Sum),
            Fold::Min => folding!(Fold::Min),
            Fold::Max => folding!(Fold::Max),
        })
    }
}

/// All rows, which are one group.
#[derive(Debug)]
struct OfAll {
    fold: Fold,
    folded: Option<u64>,
}

impl Accumulator for OfAll {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<UInt64Type>().iter().flatten();
        let own = self.folded;
        self.folded = own.into_iter().chain(values).reduce(|a, b| self.fold.of(a, b));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64(self.folded))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt64Array;

    use super::*;

    fn of_all(fold: Fold, values: Vec<Option<u64>>) -> Option<u64> {
        let values: ArrayRef = Arc::new(UInt64Array::from(values));
        let mut of_all = OfAll { fold, folded: None };
        of_all.update_batch(&[Arc::clone(&values)]).unwrap();
        of_all.merge_batch(&[values]).unwrap();
        of_all.folded
    }

    #[test]
    fn a_sum_beyond_64_bits_is_the_largest_number_and_not_a_small_one() {
        let values = vec![Some(u64::MAX - 1), None, Some(5)];
        assert_eq!(of_all(Fold::Sum, values), Some(u64::MAX));
        assert_eq!(of_all(Fold::Sum, vec![None]), None);
    }

    #[test]
    fn the_least_and_the_most_are_of_what_is_there() {
        let values = vec![Some(7), None, Some(u64::MAX), Some(5)];
        assert_eq!(of_all(Fold::Min, values.clone()), Some(5));
        assert_eq!(of_all(Fold::Max, values), Some(u64::MAX));
        assert_eq!(
            (of_all(Fold::Min, vec![None]), of_all(Fold::Max, Vec::new())),
            (None, None)
        );
    }
}
