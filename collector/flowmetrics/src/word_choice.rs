//! Which words of flattened TCP flags the conditions of a metric let through: found once, so that most
//! records, which show no connection's beginning, are passed by after a look at their bits.

use weir_fields::Column;

use crate::definition::Definition;
use crate::filter::{Filter, Reading};
use crate::parts::Part;
use crate::record::{Record, Value};
use crate::scratch::Scratch;
use crate::source::{Derived, Source};
use crate::start;

/// The words that may count, of a metric that flattens TCP flags and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordChoice {
    source: Source,
    /// Bits of words that pass, as far as conditions look at the word alone.
    words: u16,
    /// Whether a record without a word may count.
    none: bool,
}

impl WordChoice {
    /// `None` if it flattens something else, or several lists.
    pub fn of(definition: &Definition, part_filters: &[Filter]) -> Option<Self> {
        let [source] = definition.flatten[..] else {
            return None;
        };
        let is_of_words = source == Source::of("tcp_flags") || source == Source::Derived(Derived::Flags);
        let of_word = |filter: &&Filter| {
            filter
                .readings()
                .all(|reading| matches!(reading, Reading::Part { .. }))
        };
        let scratch = Scratch::new();
        let passes = |part: Option<Part<'_>>| {
            let mut filters = part_filters.iter().filter(of_word);
            filters.all(|filter| filter.passes_part(&scratch, &[part]))
        };
        is_of_words.then(|| Self {
            source,
            words: start::all_words()
                .filter(|(_, word)| passes(Some(Part::Text(word))))
                .fold(0, |words, (bit, _)| words | bit),
            none: passes(None),
        })
    }

    /// The words of a record that pass, as bits, and whether it counts for want of any word.
    #[inline]
    pub fn choose(&self, record: &impl Record) -> (u16, bool) {
        let flags = match record.value(const { Column::of("tcp_flags") }) {
            Value::Flags(flags) => Some(flags),
            _ => None,
        };
        let bits = match self.source {
            Source::Derived(_) => start::exclusive_bits(flags, record.connection_start()),
            Source::Column(_) => flags.map_or(0, start::plain_bits),
        };
        (bits & self.words, bits == 0 && self.none)
    }
}
