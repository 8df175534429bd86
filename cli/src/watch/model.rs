//! What is watched and what is known of it. Nothing here reads a clock, a terminal or a
//! network: [`Model::update`] says what an event changes, [`Model::wanted`] what is to be
//! asked then.

mod act;

use std::time::{Duration, Instant};

use weir_collector::api::answer::{QueryAnswer, Row};
use weir_collector::api::status::RecordsAnswer;
use weir_query::{Measure, Moment, Question, Since, ValuesRequest};

use super::grouping::Grouping;
use super::line::FilterLine;
use super::records::Records;
use super::report::{Connection, Event, Report, Wanted, WantedRecords};

/// Over which times one may look.
const WINDOWS: [u64; 8] = [10, 30, 60, 300, 900, 3_600, 21_600, 86_400];

/// What was chosen on the command line, and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whom it asks.
    pub source: String,
    /// Groups that are asked for; the rest is one sum.
    pub top: usize,
}

/// What is shown: sums by a grouping, or records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The grouping at this place.
    Sums(usize),
    /// Records.
    Records,
}

/// By what the rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The largest first.
    By(Measure),
    /// By name, of those that have most bytes.
    Name,
}

/// What stands above the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Dialog {
    /// Nothing: keys are of the table.
    None,
    /// The line in which the filter is written.
    Filter(FilterLine),
    /// What the keys do.
    Help,
    /// A record with all its fields, from a line on.
    Record(Box<Row>, usize),
}

/// The row that the person looks at. It stays when others move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Selected {
    /// The group.
    key: Option<Vec<String>>,
    /// The record.
    number: Option<u64>,
    /// Where it stood last.
    place: usize,
}

/// Where one was, to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    filter: String,
    place: Place,
    selected: Selected,
}

/// The answer that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// What was asked.
    pub of: Box<Question>,
    /// The answer, its rows in the order in which they are shown.
    pub answer: QueryAnswer,
    /// When it came.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
}

/// Everything that is shown follows from this.
#[derive(Debug, Clone)]
pub struct Model {
    /// What stays.
    pub settings: Settings,
    /// In the filter language.
    pub filter: String,
    /// By what flows can be grouped.
    pub groupings: Vec<Grouping>,
    /// What is shown.
    pub place: Place,
    /// By what sums are ordered.
    pub sort: Sort,
    /// Both directions in one row.
    pub conversation: bool,
    /// Not the primary observations alone.
    pub all_observations: bool,
    /// How far back the sums go.
    pub window: Duration,
    /// Nothing moves.
    pub paused: bool,
    /// The last sums.
    pub sums: Option<Sums>,
    /// The last records.
    pub records: Records,
    /// How it stands with the source.
    pub connection: Connection,
    /// What stands above the table.
    pub dialog: Dialog,
    /// What is said of the last key; until the next one.
    pub said: Option<String>,
    /// The person has seen enough.
    pub over: bool,
    /// The person wants the shell back for a while.
    pub suspended: bool,
    counters: Option<RecordsAnswer>,
    /// What the collector lost between the first counters and the last.
    lost: (u64, u64),
    /// How often the table of records began empty.
    emptied: u64,
    selected: Selected,
    history: Vec<Level>,
    height: usize,
}

impl Model {
    /// Nothing is known yet.
    pub fn new(settings: Settings, filter: String, groupings: Vec<Grouping>) -> Self {
        Self {
            settings,
            filter,
            groupings,
            place: Place::Sums(0),
            sort: Sort::By(Measure::Bytes),
            conversation: false,
            all_observations: false,
            window: Duration::from_secs(60),
            paused: false,
            sums: None,
            records: Records::default(),
            connection: Connection::Waiting,
            dialog: Dialog::None,
            said: None,
            over: false,
            suspended: false,
            counters: None,
            lost: (0, 0),
            emptied: 0,
            selected: Selected::default(),
            history: Vec::new(),
            height: 1,
        }
    }

    /// What is to be asked again and again.
    pub fn wanted(&self) -> Wanted {
        match self.place {
            Place::Records => Wanted::Records(self.wanted_records()),
            Place::Sums(_) if self.paused => Wanted::Nothing,
            Place::Sums(grouping) => Wanted::Sums(Box::new(self.question(grouping))),
        }
    }

    /// The values that the filter line waits for.
    pub fn wanted_values(&self) -> Option<ValuesRequest> {
        match &self.dialog {
            Dialog::Filter(line) => line.wanted(),
            _ => None,
        }
    }

    fn wanted_records(&self) -> WantedRecords {
        WantedRecords {
            filter: self.filter.clone(),
            all_observations: self.all_observations,
            window: self.window,
            emptied: self.emptied,
        }
    }

    fn question(&self, grouping: usize) -> Question {
        let by = match self.sort {
            Sort::By(measure) => measure,
            Sort::Name => Measure::Bytes,
        };
        let mut measures = vec![
            Measure::Bytes,
            Measure::Packets,
            Measure::Flows,
            Measure::DroppedPackets,
        ];
        if self.conversation {
            measures.extend([Measure::Sent, Measure::Received]);
        }
        Question {
            filter: self.filter.clone(),
            since: Since(Moment::Ago(self.window)),
            group_by: self
                .groupings
                .get(grouping)
                .map_or_else(Vec::new, |g| g.fields.clone()),
            measures,
            by,
            top: Some(self.settings.top),
            conversation: self.conversation,
            all_observations: self.all_observations,
            ..Question::default()
        }
    }

    /// The grouping of the sums that are shown.
    pub fn grouping(&self) -> Option<&Grouping> {
        match self.place {
            Place::Sums(at) => self.groupings.get(at),
            Place::Records => None,
        }
    }

    /// The sums that answer what is wanted now; none: they are still to come.
    pub fn current_sums(&self) -> Option<&Sums> {
        let Place::Sums(grouping) = self.place else {
            return None;
        };
        let asked = self.question(grouping);
        self.sums.as_ref().filter(|sums| *sums.of == asked)
    }

    /// Records that the collector could not keep since one began to watch: its own, and
    /// datagrams that the kernel dropped.
    pub fn lost_at_collector(&self) -> Option<(u64, u64)> {
        self.counters.as_ref().map(|_| self.lost)
    }

    /// Counts what was lost since the counters were read before. A collector that was started
    /// anew counts from nothing again: some of its counters have become less.
    fn count_lost(&mut self, now: RecordsAnswer) {
        if let Some(before) = &self.counters {
            let pairs = [
                (before.decoded, now.decoded),
                (before.stored, now.stored),
                (before.dropped, now.dropped),
                (before.kernel_drops, now.kernel_drops),
            ];
            let restarted = pairs.iter().any(|(before, now)| now < before);
            let (dropped, kernel_drops) = match restarted {
                true => (0, 0),
                false => (before.dropped, before.kernel_drops),
            };
            self.lost.0 += now.dropped - dropped;
            self.lost.1 += now.kernel_drops - kernel_drops;
        }
        self.counters = Some(now);
    }

    /// What was there is of something else.
    fn empty_records(&mut self) {
        self.records = Records::default();
        self.emptied += 1;
    }

    /// Rows of the table.
    pub fn rows(&self) -> usize {
        match self.place {
            Place::Records => self.records.len(),
            Place::Sums(_) => self.current_sums().map_or(0, |sums| sums.answer.rows.len()),
        }
    }

    /// The place of the row that the person looks at; none: there is no row.
    pub fn selected(&self) -> Option<usize> {
        let last = self.rows().checked_sub(1)?;
        let found = match self.place {
            Place::Records => self.selected.number.map(|number| self.records.place(number)),
            Place::Sums(_) => self.selected.key.as_ref().and_then(|key| {
                let (sums, grouping) = (self.current_sums()?, self.grouping()?);
                sums.answer.rows.iter().position(|row| grouping.key(row) == *key)
            }),
        };
        Some(found.unwrap_or(self.selected.place).min(last))
    }

    /// Changes what is known and wanted.
    pub fn update(&mut self, event: Event) {
        match event {
            Event::Key(key) => self.press(key),
            Event::Paste(text) => {
                if let Dialog::Filter(line) = &mut self.dialog {
                    line.insert(&text);
                }
            }
            Event::Height(rows) => self.height = rows.max(1),
            Event::Report(report) => self.hear(report),
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Sums(sums) => self.take_sums(*sums),
            Report::Records { of, rows, missed } => {
                if self.wanted() == Wanted::Records(of) {
                    self.connection = Connection::Live;
                    self.records.missed.join(missed);
                    self.records.take(rows, self.paused);
                }
            }
            Report::Connected { of } => {
                if self.wanted() == of {
                    self.connection = Connection::Live;
                }
            }
            Report::Lost { of, why, again_in } => {
                if self.wanted() == of {
                    self.connection = Connection::Lost { why, again_in };
                }
            }
            Report::Refused { of, why } => {
                if self.wanted() == of {
                    self.connection = Connection::Refused(why);
                }
            }
            Report::Collector(counters) => self.count_lost(counters),
            Report::Values {
                field,
                prefix,
                values,
            } => {
                if let Dialog::Filter(line) = &mut self.dialog {
                    line.offer(&field, &prefix, &values);
                }
            }
        }
    }

    fn take_sums(&mut self, mut sums: Sums) {
        if self.wanted() != Wanted::Sums(sums.of.clone()) {
            return;
        }
        self.connection = Connection::Live;
        if let (Sort::Name, Some(grouping)) = (self.sort, self.grouping()) {
            sums.answer.rows.sort_by_cached_key(|row| grouping.cells(row));
        }
        self.sums = Some(sums);
        self.settle();
    }

    /// The row that is gone gives way to the one in its place.
    fn settle(&mut self) {
        if let Some(place) = self.selected() {
            self.select(place);
        }
    }

    fn select(&mut self, place: usize) {
        let place = place.min(self.rows().saturating_sub(1));
        self.selected.place = place;
        // Who looks at the first row wants to see what is the first.
        let stays = place > 0;
        match self.place {
            Place::Records => self.selected.number = stays.then(|| self.records.number(place)),
            Place::Sums(_) => {
                let row = self.selected_row(place);
                let key = row.and_then(|row| Some(self.grouping()?.key(row)));
                self.selected.key = key.filter(|_| stays);
            }
        }
    }

    fn selected_row(&self, place: usize) -> Option<&Row> {
        match self.place {
            Place::Records => self.records.at(place),
            Place::Sums(_) => self.current_sums()?.answer.rows.get(place),
        }
    }
}

#[cfg(test)]
mod tests;
