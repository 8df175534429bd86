//! Sums of numbers, the largest of which stands for all that are larger.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::sum_checked;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

/// The sum of a column of [`DataType::UInt64`]; absent where no row has a number.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    static SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
        let signature = Signature::exact(vec![DataType::UInt64], Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Sum { signature }))
    });
    Arc::clone(&SUM)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    signature: Signature,
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SumOfAll::default()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
        let sums = PrimitiveGroupsAccumulator::<UInt64Type, _>::new(&DataType::UInt64, add);
        Ok(Box::new(sums))
    }
}

/// The sum of all rows, which are one group.
#[derive(Debug, Default)]
struct SumOfAll(Option<u64>);

impl Accumulator for SumOfAll {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<UInt64Type>();
        if let Some(sum) = sum_checked(values).unwrap_or(Some(u64::MAX)) {
            self.0 = Some(self.0.unwrap_or(0).saturating_add(sum));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64(self.0))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt64Array;

    use super::*;

    #[test]
    fn a_sum_beyond_64_bits_is_the_largest_number_and_not_a_small_one() {
        let values: ArrayRef = Arc::new(UInt64Array::from(vec![Some(u64::MAX - 1), None, Some(5)]));
        let mut of_all = SumOfAll::default();
        assert_eq!(of_all.evaluate().unwrap(), ScalarValue::UInt64(None));
        of_all.update_batch(&[Arc::clone(&values)]).unwrap();
        assert_eq!(of_all.evaluate().unwrap(), ScalarValue::UInt64(Some(u64::MAX)));
        of_all.merge_batch(&[values]).unwrap();
        assert_eq!(of_all.evaluate().unwrap(), ScalarValue::UInt64(Some(u64::MAX)));
    }
}
