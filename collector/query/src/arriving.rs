//! Identities as they arrive: what a condition wants to know of each is found out once,
//! when a batch names it for the first time, and kept by its number. So a condition is made
//! ready once for as long as somebody watches, whoever comes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, UInt32Type};
use datafusion_common::Result;
use datafusion_expr::{Expr, col};
use datafusion_physical_expr::PhysicalExpr;
use weir_api::fields::{Column, Side};
use weir_store::{Identities, schema};

use crate::filter::expr::{self, Compare, Term, Test, Type};
use crate::function::call;
use crate::identity_table::attribute;
use crate::lower::{LoweringContext, apply, id_of, side_of, type_of};
use crate::plan::physical;

/// What conditions ask of identities, while they are lowered.
#[derive(Debug, Default)]
pub(crate) struct ArrivingIdentities(RefCell<Vec<Asked>>);

/// What is asked of each identity, and the answers so far.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Whether a condition holds.
    Test(Arc<dyn PhysicalExpr>, Arc<RwLock<Answers<bool>>>),
    /// What two fields hold, as numbers: equal where the texts are.
    Texts([Column; 2], Box<Texts>),
}

#[derive(Debug)]
pub(crate) struct Texts {
    numbers: HashMap<String, u32>,
    of: [Arc<RwLock<Answers<u32>>>; 2],
}

/// Answers by number, of those alone for whom it is another than for nobody.
#[derive(Debug, Default)]
pub(crate) struct Answers<T> {
    nobody: T,
    others: HashMap<u32, T, BuildHasherDefault<IdHasher>>,
}

/// Numbers of identities come out of the store's own counting: nobody chooses them.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, id: u32) {
        let product = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

impl<T: Copy + PartialEq> Answers<T> {
    fn set(&mut self, id: u32, answer: T) {
        if id == NOBODY {
            self.nobody = answer;
        } else if answer == self.nobody {
            self.others.remove(&id);
        } else {
            self.others.insert(id, answer);
        }
    }

    fn of(&self, id: u32) -> T {
        self.others.get(&id).copied().unwrap_or(self.nobody)
    }
}

impl Answers<bool> {
    fn of_all(&self, ids: &[u32]) -> BooleanBuffer {
        match (self.others.is_empty(), self.nobody) {
            (true, true) => BooleanBuffer::new_set(ids.len()),
            (true, false) => BooleanBuffer::new_unset(ids.len()),
            (false, _) => BooleanBuffer::collect_bool(ids.len(), |row| self.of(ids[row])),
        }
    }
}

/// The number of nobody.
const NOBODY: u32 = 0;

/// Whether all that a condition asks of identities can be found out one by one.
pub(crate) fn is_of_each(test: &Test) -> bool {
    if side_of(test).is_some() {
        return true;
    }
    match test {
        Test::Not(test) => is_of_each(test),
        Test::All(tests) | Test::Any(tests) => tests.iter().all(is_of_each),
        Test::Same(a, b) => is_of_each(a) && is_of_each(b),
        Test::If(test, yes, no) => [test, yes, no].into_iter().all(|test| is_of_each(test)),
        Test::Compare(Compare::Eq | Compare::Ne, Term::Column(a), Term::Column(b)) => {
            let columns = [a, b];
            let texts = columns
                .iter()
                .all(|column| column.field().identity && type_of(&Term::Column(**column)) == Type::Text);
            texts || columns.iter().all(|column| !column.field().identity)
        }
        leaf => {
            let mut has_identity = false;
            expr::columns(leaf, &mut |column| has_identity |= column.field().identity);
            !has_identity
        }
    }
}

impl ArrivingIdentities {
    /// A condition about one side's identity.
    pub(crate) fn chosen(&self, side: Side, test: &Test, wanted: bool) -> Result<Expr> {
        let condition = LoweringContext::Identities.polar(test, wanted)?;
        let condition = physical(&condition, &schema::identities())?;
        let answers = Arc::new(RwLock::new(Answers::default()));
        let known = Arc::clone(&answers);
        self.0.borrow_mut().push(Asked::Test(condition, answers));
        Ok(call(
            "chosen",
            DataType::Boolean,
            vec![col(id_of(side))],
            move |args| {
                let ids = args[0].as_primitive::<UInt32Type>().values();
                let known = known.read().unwrap_or_else(PoisonError::into_inner);
                Ok(Arc::new(BooleanArray::new(known.of_all(ids), None)) as ArrayRef)
            },
        ))
    }

    /// Both fields hold the same text.
    pub(crate) fn same(&self, a: Column, b: Column) -> Expr {
        let texts = Texts {
            numbers: HashMap::new(),
            of: Default::default(),
        };
        let known = texts.of.clone();
        self.0.borrow_mut().push(Asked::Texts([a, b], Box::new(texts)));
        let ids = [a, b].map(|column| col(id_of(column.side())));
        call("same", DataType::Boolean, ids.into(), move |args| {
            let [a, b] = [0, 1].map(|at: usize| args[at].as_primitive::<UInt32Type>().values());
            let [left, right] =
                [0, 1].map(|at: usize| known[at].read().unwrap_or_else(PoisonError::into_inner));
            let test = |row: usize| left.of(a[row]) == right.of(b[row]);
            let same = BooleanBuffer::collect_bool(a.len(), test);
            Ok(Arc::new(BooleanArray::new(same, None)) as ArrayRef)
        })
    }

    /// What was asked, of which nobody's answers are known.
    pub(crate) fn into_asked(self) -> Result<Vec<Asked>> {
        let mut asked = self.0.into_inner();
        for one in &mut asked {
            one.learn(Identities::nobody().batch())?;
        }
        Ok(asked)
    }
}

impl Asked {
    /// Forgets all but nobody.
    pub(crate) fn forget(&mut self) {
        match self {
            Self::Test(_, answers) => write(answers).others.clear(),
            // Nobody's text has the first number.
            Self::Texts(_, texts) => {
                texts.numbers.retain(|_, number| *number == 0);
                texts.of.iter().for_each(|answers| write(answers).others.clear());
            }
        }
    }

    /// Finds it out for those in a table of the schema [`schema::identities`].
    pub(crate) fn learn(&mut self, table: &RecordBatch) -> Result<()> {
        let ids = table[schema::ID].as_primitive::<UInt32Type>().values();
        match self {
            Self::Test(condition, answers) => {
                let found = apply(condition.as_ref(), table)?;
                let mut answers = write(answers);
                let found = ids.iter().zip(found.values());
                found.for_each(|(id, holds)| answers.set(*id, holds));
            }
            Self::Texts(columns, texts) => {
                for (column, answers) in columns.iter().zip(&texts.of) {
                    let values = table[attribute(*column)].as_string_view();
                    let mut answers = write(answers);
                    for (id, text) in ids.iter().zip(values) {
                        let text = text.unwrap_or_default();
                        let number = match texts.numbers.get(text) {
                            Some(number) => *number,
                            None => {
                                let fresh = texts.numbers.len() as u32;
                                texts.numbers.insert(text.to_owned(), fresh);
                                fresh
                            }
                        };
                        answers.set(*id, number);
                    }
                }
            }
        }
        Ok(())
    }
}

fn write<T>(answers: &RwLock<Answers<T>>) -> RwLockWriteGuard<'_, Answers<T>> {
    answers.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_as_nobody_is_takes_no_room() {
        let mut answers = Answers::<bool>::default();
        answers.set(NOBODY, true);
        for id in 1..100 {
            answers.set(id, id % 10 != 0);
        }
        assert_eq!(answers.others.len(), 9);
        let ids: Vec<u32> = (0..200).collect();
        let found = answers.of_all(&ids);
        assert!((0..200).all(|at| found.value(at) == (at == 0 || at % 10 != 0 || at >= 100)));
        answers.set(10, true);
        assert_eq!(answers.others.len(), 8);
        answers.others.clear();
        assert_eq!(answers.of_all(&ids).count_set_bits(), 200);
    }
}
