//! Numbers for words: those that are equal have the same number.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// Words by number, from 0.
#[derive(Debug)]
pub(crate) struct Dictionary<Value> {
    words: Vec<Value>,
    places: HashTable<u32>,
    hasher: RandomState,
}

impl<Value> Default for Dictionary<Value> {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            places: HashTable::new(),
            hasher: RandomState::default(),
        }
    }
}

impl<Value> Dictionary<Value> {
    /// The words by number.
    pub fn words(&self) -> &[Value] {
        &self.words
    }

    /// The number of a word, given out now if it has none.
    #[inline]
    pub fn number<Sought>(&mut self, sought: &Sought) -> u32
    where
        Value: Borrow<Sought>,
        Sought: ToOwned<Owned = Value> + Eq + Hash + ?Sized,
    {
        let (words, hasher) = (&mut self.words, &self.hasher);
        let hash = hasher.hash_one(sought);
        let known = |number: &u32| words[*number as usize].borrow() == sought;
        if let Some(number) = self.places.find(hash, known) {
            return *number;
        }
        let number = words.len() as u32;
        words.push(sought.to_owned());
        let hash_of = |number: &u32| hasher.hash_one(words[*number as usize].borrow());
        self.places.insert_unique(hash, number, hash_of);
        number
    }

    /// Forgets all words.
    pub fn clear(&mut self) {
        self.words.clear();
        self.places.clear();
    }

    /// The numbers in the order of their words.
    pub fn ascending(&self) -> Vec<u32>
    where
        Value: Ord,
    {
        let mut numbers: Vec<u32> = (0..self.words.len() as u32).collect();
        numbers.sort_unstable_by_key(|number| &self.words[*number as usize]);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_number_each_and_an_order() {
        let mut dictionary = Dictionary::<String>::default();
        let texts = ["b", "", "a", "b", "c", ""];
        let numbers = texts.map(|text| dictionary.number(text));
        assert_eq!(numbers, [0, 1, 2, 0, 3, 1]);
        assert_eq!(dictionary.ascending(), [1, 2, 0, 3]);
        dictionary.clear();
        assert_eq!(dictionary.number("c"), 0);
        for number in 0..10_000 {
            assert_eq!(dictionary.number(format!("{number}").as_str()), number + 1);
        }
    }
}
