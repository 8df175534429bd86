//! Numbers for identities: equal ones get the same, no number is given twice
//! while the store runs. Knows no file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use weir_flow::Identity;

use crate::identities::{self, Content, Identities};

/// Places for identities that are known by where they lie in memory. The
/// collector hands out the same few thousand again and again.
const POINTERS: usize = 1 << 16;

/// Who has which number.
#[derive(Debug)]
pub(crate) struct Book {
    /// By number.
    known: Vec<Option<Known>>,
    numbers: HashMap<Content, u32>,
    pointers: Box<[Pointer]>,
    /// The table of all, until another joins.
    table: Option<Arc<Identities>>,
}

/// Before the first head.
const NO_HEAD: u64 = 0;

/// An identity, or a free place.
type Pointer = Option<Pointed>;

#[derive(Debug)]
struct Pointed {
    identity: Arc<Identity>,
    number: u32,
    /// The last octets of the last head that named it by this pointer.
    head: u32,
}

#[derive(Debug)]
struct Known {
    content: Content,
    /// The last head that names it.
    head: u64,
}

impl Default for Book {
    fn default() -> Self {
        let mut book = Self {
            known: Vec::new(),
            numbers: HashMap::new(),
            pointers: std::iter::repeat_with(|| None).take(POINTERS).collect(),
            table: None,
        };
        book.admit(0, Content::of(&Identity::default()), u64::MAX);
        book
    }
}

impl Book {
    /// The number of an identity, and whether `head` names it for the first time.
    #[inline]
    pub fn number(&mut self, identity: &Arc<Identity>, head: u64) -> (u32, bool) {
        let place = place(identity);
        let number = match (self.at(place, identity), self.at(place ^ 1, identity)) {
            (Some((number, last)), _) | (None, Some((number, last))) if last == head as u32 => {
                return (number, false);
            }
            (Some((number, _)), _) | (None, Some((number, _))) => number,
            (None, None) => self.find(identity),
        };
        self.point(place, identity, number, head);
        let Some(Some(known)) = self.known.get_mut(number as usize) else {
            return (number, false);
        };
        let first = known.head != head && number != 0;
        if first {
            known.head = known.head.max(head);
        }
        (number, first)
    }

    /// The number, and the head that named it last.
    #[inline]
    fn at(&self, place: usize, identity: &Arc<Identity>) -> Option<(u32, u32)> {
        let known = self.pointers[place].as_ref()?;
        Arc::ptr_eq(&known.identity, identity).then_some((known.number, known.head))
    }

    fn find(&mut self, identity: &Arc<Identity>) -> u32 {
        let content = Content::of(identity);
        if let Some(number) = self.numbers.get(&content) {
            return *number;
        }
        let number = self.known.len() as u32;
        // No head has named it yet: the caller is to hear that this one does.
        self.admit(number, content, NO_HEAD);
        number
    }

    /// Keeps the number where it is found first.
    fn point(&mut self, place: usize, identity: &Arc<Identity>, number: u32, head: u64) {
        let pointed = Pointed {
            identity: Arc::clone(identity),
            number,
            head: head as u32,
        };
        // The one that was found longer ago makes room.
        if self.at(place, identity).is_none() {
            self.pointers.swap(place, place ^ 1);
        }
        self.pointers[place] = Some(pointed);
    }

    fn admit(&mut self, number: u32, content: Content, head: u64) {
        let at = number as usize;
        if self.known.len() <= at {
            self.known.resize_with(at + 1, || None);
        }
        self.numbers.insert(content.clone(), number);
        self.known[at] = Some(Known { content, head });
        self.table = None;
    }

    /// Takes in a table out of a file of heads up to `head`; what is known by
    /// its number already is only marked.
    pub fn learn(&mut self, table: &RecordBatch, head: u64) {
        for (row, &number) in identities::ids(table).iter().enumerate() {
            match self.known.get_mut(number as usize) {
                Some(Some(known)) => known.head = known.head.max(head),
                _ => self.admit(number, Content::of_row(table, row), head),
            }
        }
    }

    pub fn knows(&self, number: u32) -> bool {
        self.known.get(number as usize).is_some_and(Option::is_some)
    }

    /// How many are known.
    pub fn len(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Drops those whom only heads before this one named.
    pub fn forget(&mut self, before: u64) {
        let (known, numbers) = (&mut self.known, &mut self.numbers);
        for place in known.iter_mut() {
            if let Some(gone) = place.take_if(|known| known.head < before) {
                numbers.remove(&gone.content);
                self.table = None;
            }
        }
        if self.table.is_none() {
            self.pointers.fill_with(|| None);
        }
    }

    /// Who has these numbers. [`identities::table`] makes a table of it, which takes
    /// long where there are thousands.
    pub fn named(&self, numbers: &[u32]) -> Vec<(u32, Content)> {
        let named = numbers.iter().filter_map(|&number| {
            let known = self.known.get(number as usize)?.as_ref()?;
            Some((number, known.content.clone()))
        });
        named.collect()
    }

    /// The table of all.
    pub fn all(&mut self) -> Arc<Identities> {
        let known = &self.known;
        let table = self.table.get_or_insert_with(|| {
            let rows = known.iter().enumerate();
            let rows = rows.filter_map(|(number, known)| Some((number as u32, &known.as_ref()?.content)));
            Arc::new(Identities::new(identities::table(rows)))
        });
        Arc::clone(table)
    }
}

/// Where a pointer is looked for. Arcs are 16 octets apart at least.
fn place(identity: &Arc<Identity>) -> usize {
    let address = Arc::as_ptr(identity).addr() as u64 >> 4;
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % POINTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<Identity> {
        Arc::new(Identity {
            name: name.into(),
            ..Identity::default()
        })
    }

    #[test]
    fn equal_identities_have_one_number_wherever_they_lie() {
        let mut book = Book::default();
        let web = named("web");
        assert_eq!(book.number(&web, 1), (1, true));
        assert_eq!(book.number(&web, 1), (1, false));
        assert_eq!(book.number(&named("web"), 1), (1, false));
        assert_eq!(book.number(&named("db"), 1), (2, true));
        assert_eq!(
            book.number(&web, 2),
            (1, true),
            "the next head has to name it again"
        );
        assert_eq!(book.number(&Identity::nobody(), 2), (0, false));
        assert_eq!(book.all().batch().num_rows(), 3);
    }

    #[test]
    fn who_is_named_no_more_is_forgotten_and_has_a_new_number_later() {
        let mut book = Book::default();
        let (old, new) = (named("old"), named("new"));
        book.number(&old, 1);
        book.number(&new, 1);
        book.number(&new, 2);
        book.forget(2);
        assert_eq!((book.knows(0), book.knows(1), book.knows(2)), (true, false, true));
        assert_eq!(book.all().row(1), None);
        assert_eq!(book.number(&new, 2), (2, false));
        assert_eq!(book.number(&old, 2), (3, true));
    }

    #[test]
    fn a_book_that_learnt_a_table_gives_the_same_numbers() {
        let mut book = Book::default();
        for name in ["a", "b", "c"] {
            book.number(&named(name), 1);
        }
        let mut again = Book::default();
        again.learn(&identities::table_of(&book.named(&[1, 3])), 1);
        assert_eq!(again.number(&named("c"), 1), (3, false));
        assert_eq!(
            again.number(&named("new"), 1),
            (4, true),
            "no number that stood is given again"
        );
    }
}
