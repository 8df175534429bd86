//! What is kept of values that do not add up to one number: it can be joined in any order,
//! is bounded, and passes between the engine's steps as bytes.

mod cardinality;
mod tally;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeBinaryArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_common::ScalarValue;
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

pub(crate) use cardinality::{Cardinality, EXACT_VALUES, STANDARD_ERROR};
pub(crate) use tally::{EXACT_NUMBERS, Intervals, Numbers, PERCENTILE_ERROR};

/// What is kept of the values of a group.
pub(crate) trait Sketch: Clone + Default + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// What is kept of a row.
    type Item: Copy;

    /// What each row of the arguments has; none where something is absent.
    fn items(args: &[ArrayRef]) -> Vec<Option<Self::Item>>;

    /// One row more.
    fn add(&mut self, item: Self::Item);

    /// All rows of another one more.
    fn merge(&mut self, other: &Self);

    /// As bytes.
    fn encode(&self) -> Vec<u8>;

    /// Out of bytes that were written by [`Self::encode`].
    fn decode(bytes: &[u8]) -> Self;

    /// Bytes of memory that it takes beside its own size.
    fn heap(&self) -> usize;
}

/// The function of the engine that makes sketches of the rows of each group.
pub(crate) fn function<S: Sketch>(name: &'static str, args: usize) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Function::<S> {
        name,
        signature: Signature::any(args, Volatility::Immutable),
        of: PhantomData,
    }))
}

struct Function<S> {
    name: &'static str,
    signature: Signature,
    of: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Function<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<S> PartialEq for Function<S> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<S> Eq for Function<S> {}

impl<S> Hash for Function<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<S: Sketch> AggregateUDFImpl for Function<S> {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OfAll(Grouped::<S>::default())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Grouped::<S>::default()))
    }
}

/// The sketch of each group.
#[derive(Debug, Default)]
struct Grouped<S> {
    sketches: Vec<S>,
    heap: usize,
}

impl<S: Sketch> Grouped<S> {
    /// Changes the sketch of a group.
    fn change(&mut self, group: usize, change: impl FnOnce(&mut S)) {
        let sketch = &mut self.sketches[group];
        let before = sketch.heap();
        change(sketch);
        self.heap = self.heap + sketch.heap() - before;
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let sketches = emit_to.take_needed(&mut self.sketches);
        self.heap -= sketches.iter().map(Sketch::heap).sum::<usize>();
        encoded(sketches.iter())
    }
}

fn encoded<'a, S: Sketch>(sketches: impl Iterator<Item = &'a S>) -> ArrayRef {
    Arc::new(LargeBinaryArray::from_iter_values(sketches.map(Sketch::encode)))
}

impl<S: Sketch> GroupsAccumulator for Grouped<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups, S::default);
        let items = S::items(values).into_iter().zip(group_indices).enumerate();
        for (row, (item, group)) in items {
            let counts = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(item) = item.filter(|_| counts) {
                self.change(*group, |sketch| sketch.add(item));
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups, S::default);
        let states = values[0].as_binary::<i64>().iter();
        for (state, group) in states.zip(group_indices) {
            if let Some(state) = state {
                let more = S::decode(state);
                self.change(*group, |sketch| sketch.merge(&more));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut apart = Self::default();
        let each: Vec<usize> = (0..rows).collect();
        apart.update_batch(values, &each, opt_filter, rows)?;
        apart.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.heap + self.sketches.capacity() * size_of::<S>()
    }
}

/// The sketch of all rows.
#[derive(Debug)]
struct OfAll<S>(Grouped<S>);

impl<S: Sketch> Accumulator for OfAll<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.sketches.resize_with(1, S::default);
        let bytes = self.0.sketches.first().map(Sketch::encode);
        Ok(ScalarValue::LargeBinary(bytes))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}

#[cfg(test)]
mod tests;
