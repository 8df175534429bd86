//! The items of the lists that a metric flattens: which combinations of them count, and the label set of each. A metric
//! that flattens nothing has one combination, of none.

use crate::definition::{Definition, Label, MOST_LISTS};
use crate::filter::{Filter, PartsAtHand, Reading};
use crate::parts::{Part, Parts};
use crate::record::Record;
use crate::scratch::{Scratch, combine};
use crate::source::Source;
use crate::start;
use crate::word_choice::WordChoice;

/// What a metric asks of items.
#[derive(Debug)]
pub(crate) struct Items {
    flatten: Vec<Source>,
    /// Conditions that look at an item.
    pub filters: Vec<Filter>,
    /// Set if it flattens TCP flags alone.
    words: Option<WordChoice>,
}

impl Items {
    /// Those of a metric, and its other filters, which look at the record alone. Its filters are taken.
    pub fn of(definition: &mut Definition) -> (Self, Vec<Filter>) {
        let filters = std::mem::take(&mut definition.filters).into_iter();
        let (of_items, of_record): (Vec<_>, Vec<_>) = filters.partition(Filter::reads_parts);
        let items = Self {
            flatten: definition.flatten.clone(),
            words: WordChoice::of(definition, &of_items),
            filters: of_items,
        };
        (items, of_record)
    }

    /// Calls with each combination that passes, and the hash of its label values.
    pub fn each<R: Record>(
        &self,
        labels: &[Label],
        scratch: &mut Scratch,
        record: &R,
        mut call: impl FnMut(&Scratch, PartsAtHand<'_, '_>, u64),
    ) {
        let chosen = self.words.map(|words| words.choose(record));
        if chosen == Some((0, false)) {
            return;
        }
        for filter in &self.filters {
            filter.prepare(scratch, record);
        }
        let mut one = |parts: PartsAtHand<'_, '_>| {
            let mut filters = self.filters.iter();
            if filters.all(|filter| filter.passes(scratch, parts, record)) {
                let hash = hash(labels, scratch, parts, record);
                call(scratch, parts, hash);
            }
        };
        if let Some((words, is_missing)) = chosen {
            for word in start::words(words) {
                one(&[Some(Part::Text(word))]);
            }
            if is_missing {
                one(&[None]);
            }
            return;
        }
        if let [source] = self.flatten[..] {
            let list = source.parts(record);
            for part in list.as_slice() {
                one(&[Some(*part)]);
            }
            if list.as_slice().is_empty() {
                one(&[None]);
            }
            return;
        }
        let mut lists = [Parts::NONE; MOST_LISTS];
        for (list, source) in lists.iter_mut().zip(&self.flatten) {
            *list = source.parts(record);
        }
        // A list without items has one missing item, so that the others still count.
        let combinations: usize = lists.iter().map(|list| list.as_slice().len().max(1)).product();
        let mut at_hand: [Option<Part<'_>>; MOST_LISTS] = Default::default();
        for combination in 0..combinations {
            let mut rest = combination;
            for (part, list) in at_hand.iter_mut().zip(&lists) {
                let items = list.as_slice();
                *part = items.get(rest % items.len().max(1)).copied();
                rest /= items.len().max(1);
            }
            one(&at_hand);
        }
    }
}

#[inline]
fn hash(labels: &[Label], scratch: &mut Scratch, parts: PartsAtHand<'_, '_>, record: &impl Record) -> u64 {
    labels.iter().fold(0, |hash, label| {
        let next = match label.reading {
            Reading::Record(source) => scratch.hash_of(source, record),
            part @ Reading::Part { .. } => scratch.hash(part.text(scratch, parts).unwrap_or_default()),
        };
        combine(hash, next)
    })
}
