//! What keys change.

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::Value;
use weir_collector::api::answer::Row;
use weir_query::{Measure, Question};

use super::{Dialog, Level, Model, Place, Selected, Sort, WINDOWS};
use crate::watch::grouping::and;
use crate::watch::keys::{Action, Key};
use crate::watch::line::FilterLine;
use crate::watch::report::{Connection, Wanted};

impl Model {
    pub(super) fn press(&mut self, key: Key) {
        if key == Key::Suspend {
            self.suspended = true;
            return;
        }
        self.said = None;
        let dialog = std::mem::replace(&mut self.dialog, Dialog::None);
        match (dialog, key) {
            (_, Key::Interrupt) => self.over = true,
            (Dialog::None, key) => {
                if let Some(action) = Action::of(key) {
                    self.act(action);
                }
            }
            (Dialog::Filter(line), key) => self.write(line, key),
            (Dialog::Help, _) => {}
            (Dialog::Record(row, line), key) => self.read(row, line, key),
        }
    }

    /// A key while a filter is written.
    fn write(&mut self, mut line: FilterLine, key: Key) {
        match key {
            Key::Escape => return,
            Key::Enter => {
                match weir_query::compile(line.text().trim()) {
                    Ok(_) => return self.ask_for(line.text().trim().to_owned()),
                    Err(error) => line.problem = Some(error.to_string()),
                };
            }
            Key::Char(c) => line.insert(c.encode_utf8(&mut [0; 4])),
            Key::Tab => line.complete(false),
            Key::BackTab => line.complete(true),
            Key::Backspace => line.erase(),
            Key::Delete => line.erase_next(),
            Key::EraseWord => line.erase_word(),
            Key::EraseLine => line.erase_line(),
            Key::Left => line.left(),
            Key::Right => line.right(),
            Key::Home => line.home(),
            Key::End => line.end(),
            Key::Up
            | Key::Down
            | Key::PageUp
            | Key::PageDown
            | Key::Interrupt
            | Key::Suspend
            | Key::Other => {}
        }
        self.dialog = Dialog::Filter(line);
    }

    /// A key while a record is read.
    fn read(&mut self, row: Box<Row>, line: usize, key: Key) {
        let last = row.0.len().saturating_sub(1);
        let line = match Action::of(key) {
            Some(Action::Up) => line.saturating_sub(1),
            Some(Action::Down) => line + 1,
            Some(Action::PageUp) => line.saturating_sub(self.height),
            Some(Action::PageDown) => line + self.height,
            Some(Action::First) => 0,
            Some(Action::Last) => last,
            Some(Action::Quit) => return self.over = true,
            _ => return,
        };
        self.dialog = Dialog::Record(row, line.min(last));
    }

    fn act(&mut self, action: Action) {
        let here = self.selected().unwrap_or(0);
        match action {
            Action::Quit => self.over = true,
            Action::Help => self.dialog = Dialog::Help,
            Action::Filter => self.dialog = Dialog::Filter(FilterLine::new(&self.filter)),
            Action::Clear => self.ask_for(String::new()),
            Action::Pause => self.pause(),
            Action::Up => self.select(here.saturating_sub(1)),
            Action::Down => self.select(here + 1),
            Action::PageUp => self.select(here.saturating_sub(self.height)),
            Action::PageDown => self.select(here + self.height),
            Action::First => self.select(0),
            Action::Last => self.select(usize::MAX),
            Action::Enter => self.enter(here),
            Action::Exclude => self.exclude(here),
            Action::Back => self.back(),
            Action::Group(at) => self.go(Place::Sums(at)),
            Action::NextGroup | Action::PreviousGroup => self.turn(action == Action::NextGroup),
            Action::Records => self.go(Place::Records),
            Action::Sort(sort) => self.order(sort),
            Action::NextSort => self.order(next_sort(self.sort)),
            Action::Conversation => self.conversation = !self.conversation,
            Action::Observations => {
                self.all_observations = !self.all_observations;
                self.empty_records();
            }
            Action::Shorter | Action::Longer => self.stretch(action == Action::Longer),
        }
    }

    fn order(&mut self, sort: Sort) {
        self.sort = sort;
        self.selected = Selected::default();
        // What is there is put into the new order at once; the answer to come may have others.
        let question = match self.place {
            Place::Sums(grouping) => Box::new(self.question(grouping)),
            Place::Records => return,
        };
        let Some(mut sums) = self.sums.take() else { return };
        if sums.of.group_by != question.group_by {
            self.sums = Some(sums);
            return;
        }
        let alike = Question {
            by: question.by,
            ..(*sums.of).clone()
        };
        // While it is stopped, what is shown may be of another time or filter than is asked
        // for then; it is shown in the order that its head says.
        if alike == *question {
            sums.of = question;
        }
        match (sort, self.grouping()) {
            (Sort::By(measure), _) => {
                let name = measure.to_string();
                let number = |row: &Row| row.0.get(&name).and_then(Value::as_u64);
                sums.answer.rows.sort_by_key(|row| Reverse(number(row)));
            }
            (Sort::Name, Some(grouping)) => sums.answer.rows.sort_by_cached_key(|row| grouping.cells(row)),
            (Sort::Name, None) => {}
        }
        self.sums = Some(sums);
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused {
            self.records.release();
        }
        // Nothing is tried again, so that nobody would say that it is there again.
        if self.wanted() == Wanted::Nothing && matches!(self.connection, Connection::Lost { .. }) {
            self.connection = Connection::Waiting;
        }
    }

    fn stretch(&mut self, longer: bool) {
        let mut windows = WINDOWS.map(Duration::from_secs).into_iter();
        let next = match longer {
            true => windows.find(|window| *window > self.window),
            false => windows.rev().find(|window| *window < self.window),
        };
        self.window = next.unwrap_or(self.window);
        if self.place == Place::Records {
            self.empty_records();
        }
    }

    fn turn(&mut self, forwards: bool) {
        let count = self.groupings.len();
        let next = match self.place {
            Place::Records => 0,
            Place::Sums(at) if forwards => (at + 1) % count.max(1),
            Place::Sums(at) => (at + count - 1) % count.max(1),
        };
        self.go(Place::Sums(next));
    }

    /// Shows something else of the same flows.
    fn go(&mut self, place: Place) {
        if matches!(place, Place::Sums(at) if at >= self.groupings.len()) {
            return;
        }
        if place != self.place {
            self.remember();
            self.place = place;
            self.begin();
        }
    }

    fn ask_for(&mut self, filter: String) {
        if filter != self.filter {
            self.remember();
            self.filter = filter;
            self.begin();
        }
    }

    /// What was there is of something else; and what is new is not held back.
    fn begin(&mut self) {
        self.selected = Selected::default();
        self.empty_records();
        self.paused = false;
        if matches!(self.connection, Connection::Refused(_)) {
            self.connection = Connection::Waiting;
        }
    }

    fn remember(&mut self) {
        self.history.push(Level {
            filter: self.filter.clone(),
            place: self.place,
            selected: self.selected.clone(),
        });
    }

    fn back(&mut self) {
        let Some(level) = self.history.pop() else {
            self.said = Some("this is where you began; q ends".to_owned());
            return;
        };
        (self.filter, self.place) = (level.filter, level.place);
        self.begin();
        self.selected = level.selected;
    }

    /// Goes down: the group becomes part of the filter, a record is shown whole.
    fn enter(&mut self, place: usize) {
        let Some(row) = self.selected_row(place).cloned() else {
            return;
        };
        let Some(grouping) = self.grouping() else {
            self.dialog = Dialog::Record(Box::new(row), 0);
            return;
        };
        let below = grouping
            .below(&self.groupings)
            .map_or(Place::Records, Place::Sums);
        match grouping.condition(&row) {
            Ok(condition) => {
                self.remember();
                self.filter = and(&self.filter, &condition);
                self.place = below;
                self.begin();
            }
            Err(field) => self.said = Some(no_condition(&field)),
        }
    }

    /// Leaves the group out.
    fn exclude(&mut self, place: usize) {
        let Some(grouping) = self.grouping() else {
            self.said = Some("x leaves out a group; 1 to 9 show groups".to_owned());
            return;
        };
        let Some(row) = self.selected_row(place) else {
            return;
        };
        match grouping.condition(row) {
            Ok(condition) => self.ask_for(and(&self.filter, &format!("!({condition})"))),
            Err(field) => self.said = Some(no_condition(&field)),
        }
    }
}

fn no_condition(field: &str) -> String {
    format!("no filter compares {field} with a value")
}

const fn next_sort(sort: Sort) -> Sort {
    match sort {
        Sort::By(Measure::Bytes) => Sort::By(Measure::Packets),
        Sort::By(Measure::Packets) => Sort::By(Measure::Flows),
        Sort::By(Measure::Flows) => Sort::By(Measure::DroppedPackets),
        Sort::By(_) => Sort::Name,
        Sort::Name => Sort::By(Measure::Bytes),
    }
}
