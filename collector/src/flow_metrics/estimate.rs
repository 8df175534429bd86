//! How many series metrics would have, before they have any: stored records are looked at as those are that are
//! counted, so that filters, flattened lists, directions and bounds mean what they will mean. Owns what
//! an estimate is and how one is made; whose turn it is and who is told are others' matter.

use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use weir_api::fields::Column;
use weir_flow::Value as FlowValue;
use weir_flowmetrics::{
    ConnectionStart, ControlBits, Definition, LabelSetCount, LabelSets, Limits, Record, ServerSide,
    StartEvidence, Value,
};
use weir_query::{
    Engine, ExportRequest, Moment, NoteKind, QueryError, RecordExport, RowValues, Since, Until, off_thread,
};

mod said;

use said::{ALL_STORED, CANNOT, FROM, in_words};
pub use said::{Telling, said_in};

/// How much one estimate looks at.
#[derive(Debug, Clone)]
pub struct EstimateBounds {
    /// Records.
    pub flows: u64,
    /// Time that it takes, about.
    pub time: Duration,
    /// Ages at which its ranges end, the youngest first: where not all fit, the youngest records are counted.
    pub ages: Vec<Duration>,
    /// Label sets of all its metrics together, each of which takes [`LabelSets::MOST_BYTES`] at most.
    pub series: usize,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for EstimateBounds {
    /// A day, of which two million records in 15 seconds at most; in ranges of which each is as long as all before it, so
    /// that little is lost where one is not looked at to its end.
    fn default() -> Self {
        let doubled = std::iter::successors(Some(MINUTE), |age| Some(*age * 2));
        Self {
            flows: 2_000_000,
            time: Duration::from_secs(15),
            ages: doubled.take_while(|age| *age < DAY).chain([DAY]).collect(),
            series: 250_000,
        }
    }
}

/// What is known of the series that a metric will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Estimate {
    /// So many.
    Series(SeriesEstimate),
    /// Nothing, and why.
    Unknown(Unknown),
}

/// How many series the stored records make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesEstimate {
    /// Label sets that occurred.
    pub series: usize,
    /// As many as the metric may have: there are more.
    pub is_bounded: bool,
    /// Not all records of the day, of what is stored of it, were looked at, or not all label sets were counted.
    pub is_part: bool,
    /// The store does not reach back as far as an estimate does.
    pub is_young: bool,
    /// Records that were looked at.
    pub flows: u64,
    /// How far they reach back.
    pub span: Duration,
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The collector has no store.
    NothingStored,
    /// Its store has no records of that time.
    NoFlows,
    /// They could not be read.
    Unread,
    /// Label sets of others took the room, so that it is to be looked at alone.
    Crowded,
}

impl Estimate {
    /// How much it tells.
    pub const fn telling(&self) -> Telling {
        match self {
            Self::Series(known) => known.telling(),
            Self::Unknown(_) => Telling::Nothing,
        }
    }

    /// Another one later would tell no more.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Unknown(Unknown::NothingStored)) || matches!(self.telling(), Telling::Enough)
    }
}

impl SeriesEstimate {
    /// There may be more in a day.
    pub const fn is_at_least(&self) -> bool {
        self.is_bounded || self.is_part || self.is_young
    }

    /// How much it tells. Where a bound was met, more time changes nothing.
    const fn telling(&self) -> Telling {
        match self.is_young && !self.is_bounded && !self.is_part {
            true => Telling::Young(self.span),
            false => Telling::Enough,
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(estimate) => estimate.fmt(f),
            Self::Unknown(why) => write!(f, "the number of series {CANNOT}: {why}"),
        }
    }
}

impl fmt::Display for SeriesEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.is_at_least() { "at least" } else { "about" };
        let span = in_words(self.span);
        write!(f, "{about} {} series{FROM}", grouped(self.series as u64))?;
        match self.is_part {
            true => write!(f, "{} flows of the last {span}", grouped(self.flows))?,
            false => write!(f, "{span} of flows")?,
        }
        match self.telling() {
            _ if self.is_bounded => f.write_str(", and more are refused"),
            Telling::Young(_) => f.write_str(ALL_STORED),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingStored => "the collector stores no flows",
            Self::NoFlows => "there are no stored flows of the last day",
            Self::Unread => "the stored flows could not be read",
            Self::Crowded => "series of other metrics took the room",
        })
    }
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many label sets stored records make of metrics, each as if it were alone; in their order.
///
/// # Errors
/// The records cannot be read.
pub async fn estimate(
    engine: &dyn Engine,
    metrics: Vec<Definition>,
    bounds: &EstimateBounds,
) -> Result<Vec<Estimate>, QueryError> {
    let mut sample = Sample::new(metrics, bounds);
    let now = Timestamp::now();
    let at = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let starts = bounds.ages.iter().map(|age| at(*age));
    let ends = std::iter::once(now).chain(bounds.ages.iter().map(|age| at(*age)));
    for (since, until) in starts.zip(ends) {
        let request = ExportRequest {
            since: Since(Moment::At(since)),
            until: Until(Moment::At(until)),
            columns: sample.columns.clone(),
            all_observations: true,
            ..ExportRequest::default()
        };
        let export = engine.export(&request, &weir_query::Limits::default()).await?;
        sample = off_thread(move || sample.count(export)).await?;
        if sample.is_cut {
            break;
        }
    }
    let from = bounds.ages.last().map_or(now, |age| at(*age));
    sample.is_young = !reaches_back(engine, from);
    Ok(sample.estimates(now))
}

/// Whether a store has files from before this time. What is in memory alone is of the last minutes.
fn reaches_back(engine: &dyn Engine, time: Timestamp) -> bool {
    let tiers = engine.status().tiers;
    let records = tiers.iter().find(|tier| tier.tier == "raw");
    let oldest = records.and_then(|tier| tier.time).map(|(oldest, _)| oldest);
    oldest.is_some_and(|oldest| oldest <= time.as_microsecond())
}

/// Records as they are looked at.
struct Sample {
    sets: LabelSets,
    columns: Vec<String>,
    /// No record may be looked at after this.
    ends: Instant,
    most: u64,
    seen: Seen,
    /// The same of the ranges alone that were looked at to their ends.
    whole: Seen,
    /// A bound was met in the middle of a range.
    is_cut: bool,
    /// Something could not be read, or is not stored any more.
    has_gaps: bool,
    is_young: bool,
}

/// What was seen.
#[derive(Debug, Clone)]
struct Seen {
    flows: u64,
    oldest_ns: u64,
    /// By metric.
    counts: Vec<LabelSetCount>,
}

impl Sample {
    fn new(metrics: Vec<Definition>, bounds: &EstimateBounds) -> Self {
        let mut sets = LabelSets::new(Limits {
            max_all: bounds.series,
            ..Limits::default()
        });
        let seen = Seen {
            flows: 0,
            oldest_ns: u64::MAX,
            counts: vec![LabelSetCount::default(); metrics.len()],
        };
        let mut columns: Vec<String> = ["time", "primary"].map(str::to_owned).to_vec();
        for definition in metrics {
            let starts: &[&str] = match definition.reads_connection_starts() {
                true => &["proto", "server", "tcp_flags"],
                false => &[],
            };
            let names = definition.columns().into_iter().map(Column::name);
            columns.extend(names.chain(starts.iter().copied()).map(str::to_owned));
            sets.add(definition);
        }
        columns.sort_unstable();
        columns.dedup();
        Self {
            sets,
            columns,
            ends: Instant::now() + bounds.time,
            most: bounds.flows,
            whole: seen.clone(),
            seen,
            is_cut: false,
            has_gaps: false,
            is_young: false,
        }
    }

    /// Looks at the records of one range, until a bound is met.
    fn count(mut self, mut export: Box<dyn RecordExport>) -> Result<Self, QueryError> {
        while let Some(rows) = export.next()? {
            let values = rows.values();
            let is_over = Instant::now() >= self.ends || (self.seen.flows >= self.most && !values.is_empty());
            if is_over && self.seen.flows > 0 {
                // There may be none left, but who knows.
                self.is_cut = true;
                break;
            }
            for row in 0..values.len() {
                let record = StoredRecord { values: &values, row };
                self.seen.oldest_ns = self.seen.oldest_ns.min(record.time_ns());
                self.seen.flows += 1;
                self.sets.observe(&record);
            }
        }
        let gaps = [NoteKind::Unreadable, NoteKind::Expired];
        self.has_gaps |= export.notes().iter().any(|note| gaps.contains(&note.kind));
        self.seen.counts = self.sets.counts().collect();
        if !self.is_cut {
            self.whole = self.seen.clone();
        }
        Ok(self)
    }

    /// Of ranges that were looked at to their ends; of the first, if there is no other, what was seen of it.
    fn estimates(&self, now: Timestamp) -> Vec<Estimate> {
        let told = match self.whole.flows {
            0 => &self.seen,
            _ => &self.whole,
        };
        if told.flows == 0 {
            return vec![Estimate::Unknown(Unknown::NoFlows); told.counts.len()];
        }
        let now_ns = u64::try_from(now.as_nanosecond()).unwrap_or_default();
        let is_alone = told.counts.len() == 1;
        let of = |count: &LabelSetCount| match count.crowded && !is_alone {
            true => Estimate::Unknown(Unknown::Crowded),
            false => Estimate::Series(SeriesEstimate {
                series: count.series,
                is_bounded: count.refused,
                is_part: self.is_cut || self.has_gaps || count.crowded,
                is_young: self.is_young,
                flows: told.flows,
                span: Duration::from_nanos(now_ns.saturating_sub(told.oldest_ns)),
            }),
        };
        told.counts.iter().map(of).collect()
    }
}

/// A record out of the store.
struct StoredRecord<'v, 'r> {
    values: &'v RowValues<'r>,
    row: usize,
}

impl StoredRecord<'_, '_> {
    fn time_ns(&self) -> u64 {
        match self.value(const { Column::of("time") }) {
            Value::Time(ns) => ns,
            _ => 0,
        }
    }
}

impl Record for StoredRecord<'_, '_> {
    fn value(&self, column: Column) -> Value<'_> {
        match self.values.get(self.row, column) {
            Some(FlowValue::Text(std::borrow::Cow::Borrowed(text))) => Value::Text(text),
            Some(FlowValue::Bool(yes)) => Value::Bool(yes),
            Some(FlowValue::Unsigned(number)) => Value::Unsigned(number),
            Some(FlowValue::Address(address)) => Value::Address(address),
            Some(FlowValue::Mac(bytes)) => Value::Mac(bytes),
            Some(FlowValue::Time(ns)) => Value::Time(ns),
            Some(FlowValue::Flags(flags)) => Value::Flags(ControlBits {
                bits: flags.bits,
                of_one_packet: flags.of_one_packet,
            }),
            Some(FlowValue::Text(_) | FlowValue::Map(_)) | None => Value::Absent,
        }
    }

    /// Where a format has no flags, each record may be the first that is counted: label sets are those of
    /// all records of a connection, which differ seldom.
    fn connection_start(&self) -> ConnectionStart {
        let protocol = match self.value(const { Column::of("proto") }) {
            Value::Unsigned(number) => u8::try_from(number).ok(),
            _ => None,
        };
        let flags = match self.value(const { Column::of("tcp_flags") }) {
            Value::Flags(flags) => Some(flags),
            _ => None,
        };
        ConnectionStart::judge(&StartEvidence {
            protocol,
            flags,
            server: match self.value(const { Column::of("server") }) {
                Value::Text("src") => ServerSide::Source,
                Value::Text("dst") => ServerSide::Destination,
                _ => ServerSide::Unknown,
            },
            first_record: true,
        })
    }
}

#[cfg(test)]
mod tests;
