//! The line in which a filter is written: its text, the cursor, and how it may go on.

use weir_query::ValuesRequest;

use crate::completion;

/// Ways to go on that are shown at a time.
pub const SHOWN: usize = 8;

/// A line that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterLine {
    text: String,
    /// In octets, between two characters.
    cursor: usize,
    /// How it may go on: what the text before the cursor would be.
    candidates: Vec<String>,
    /// The candidate that Tab chose last.
    chosen: Option<usize>,
    /// The values that somebody was asked for: of which field, what they begin with.
    asked: Option<(String, String)>,
    /// Why the filter was not taken.
    pub problem: Option<String>,
}

impl FilterLine {
    /// A line with this text, the cursor behind it.
    pub fn new(text: &str) -> Self {
        let mut line = Self {
            text: text.to_owned(),
            cursor: text.len(),
            ..Self::default()
        };
        line.changed();
        line
    }

    /// What is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before and behind the cursor.
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// How it may go on, and which way was chosen.
    pub fn candidates(&self) -> (&[String], Option<usize>) {
        (&self.candidates, self.chosen)
    }

    /// Writes at the cursor. What would steer a terminal is left out.
    pub fn insert(&mut self, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.changed();
    }

    /// Takes the character before the cursor away.
    pub fn erase(&mut self) {
        if let Some(before) = self.before() {
            self.text.replace_range(before..self.cursor, "");
            self.cursor = before;
            self.changed();
        }
    }

    /// Takes the character at the cursor away.
    pub fn erase_next(&mut self) {
        if let Some(after) = self.after() {
            self.text.replace_range(self.cursor..after, "");
            self.changed();
        }
    }

    /// Takes the word before the cursor away.
    pub fn erase_word(&mut self) {
        let before = self.halves().0.trim_end();
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
        self.changed();
    }

    /// Takes everything before the cursor away.
    pub fn erase_line(&mut self) {
        self.text.replace_range(..self.cursor, "");
        self.cursor = 0;
        self.changed();
    }

    /// To the left.
    pub fn left(&mut self) {
        self.cursor = self.before().unwrap_or(self.cursor);
        self.changed();
    }

    /// To the right.
    pub fn right(&mut self) {
        self.cursor = self.after().unwrap_or(self.cursor);
        self.changed();
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.cursor = 0;
        self.changed();
    }

    /// To the end.
    pub fn end(&mut self) {
        self.cursor = self.text.len();
        self.changed();
    }

    /// Goes on as the next candidate says, or the one before.
    pub fn complete(&mut self, backwards: bool) {
        let count = self.candidates.len();
        let next = match (self.chosen, backwards) {
            _ if count == 0 => return,
            (None, false) => 0,
            (None, true) => count - 1,
            (Some(at), false) => (at + 1) % count,
            (Some(at), true) => (at + count - 1) % count,
        };
        let candidate = &self.candidates[next];
        self.text.replace_range(..self.cursor, candidate);
        self.cursor = candidate.len();
        self.chosen = Some(next);
        self.problem = None;
        if count == 1 {
            self.changed();
        }
    }

    /// The values that are to be asked for.
    pub fn wanted(&self) -> Option<ValuesRequest> {
        let (field, prefix) = self.asked.clone()?;
        Some(ValuesRequest {
            field,
            prefix,
            limit: Some(50),
            ..ValuesRequest::default()
        })
    }

    /// Takes the values of a field. Those of another question come too late.
    pub fn offer(&mut self, field: &str, prefix: &str, values: &[String]) {
        let asked = self.asked.as_ref();
        if self.chosen.is_none() && asked.is_some_and(|(f, p)| f == field && p == prefix) {
            self.candidates = completion::candidates(self.halves().0, |_, _| values.to_vec());
        }
    }

    fn changed(&mut self) {
        self.problem = None;
        self.chosen = None;
        let before = self.halves().0.to_owned();
        let mut asked = None;
        let values = |field: &str, prefix: &str| {
            asked = Some((field.to_owned(), prefix.to_owned()));
            Vec::new()
        };
        self.candidates = completion::candidates(&before, values);
        // All fields are no help.
        if before.trim().is_empty() && asked.is_none() {
            self.candidates.clear();
        }
        self.asked = asked;
    }

    fn before(&self) -> Option<usize> {
        let last = self.halves().0.chars().next_back()?;
        Some(self.cursor - last.len_utf8())
    }

    fn after(&self) -> Option<usize> {
        let next = self.halves().1.chars().next()?;
        Some(self.cursor + next.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_and_mended_at_the_cursor() {
        let mut line = FilterLine::new("ns == \"ü\"");
        line.left();
        line.left();
        line.insert("sch\u{1b}");
        assert_eq!(line.text(), "ns == \"schü\"");
        line.erase_next();
        line.erase();
        assert_eq!(line.halves(), ("ns == \"sc", "\""));
        line.erase_word();
        assert_eq!(line.text(), "ns == \"");
        line.home();
        line.erase();
        line.right();
        line.erase_line();
        line.end();
        line.insert("x");
        assert_eq!(line.text(), "s == \"x");
    }

    #[test]
    fn tab_goes_on_with_fields_and_round_again() {
        let mut line = FilterLine::new("dst_workload");
        let (fields, _) = line.candidates();
        assert_eq!(fields, ["dst_workload_name", "dst_workload_kind"]);
        line.complete(false);
        assert_eq!(line.text(), "dst_workload_name");
        line.complete(false);
        assert_eq!(line.text(), "dst_workload_kind");
        line.complete(false);
        line.complete(true);
        assert_eq!(line.text(), "dst_workload_kind");
        line.insert(" ");
        assert_eq!(line.candidates().1, None);
        assert!(FilterLine::new("").candidates().0.is_empty());
    }

    #[test]
    fn values_are_asked_for_and_those_of_another_question_are_left() {
        let mut line = FilterLine::new("bytes > 1 && ns == \"s");
        let wanted = line.wanted().unwrap();
        assert_eq!((wanted.field.as_str(), wanted.prefix.as_str()), ("ns", "s"));
        line.offer("ns", "", &["bank".to_owned()]);
        assert!(line.candidates().0.is_empty());
        line.offer("ns", "s", &["shop".to_owned()]);
        line.complete(false);
        assert_eq!(line.text(), "bytes > 1 && ns == \"shop\"");
        assert_eq!(line.wanted(), None);
    }
}
