//! A template compiled into what to read and where to put it, and the loop that
//! does it. Compiled once, run over every record without allocating.

use crate::clock::{self, Clock};
use crate::element::{self, Note, Side, Target, TimeForm, Wide};
use crate::options::{self, Values};
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::store;
use crate::template::{Definition, Field};

/// A compiled template.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    segments: Box<[Segment]>,
    /// Octets of the shortest record: every variable field empty. Never 0.
    min_len: usize,
    /// All records have `min_len` octets.
    fixed: bool,
    /// Its records have a counter.
    counts: bool,
    /// Some of its values are put together at the end of a record.
    notes: bool,
    /// Its records describe the exporter, not flows.
    pub options: bool,
    /// Its records have a reverse half, which is left out.
    pub reverse: bool,
    /// Its records have lists, which are left out.
    pub structured: bool,
}

/// A run of fields of fixed width and the variable field that ends it.
#[derive(Debug, Default)]
struct Segment {
    /// Octets of the fixed fields.
    length: usize,
    loads: Vec<Load>,
    variable: Option<Target>,
}

/// One value to take out of a segment.
#[derive(Debug, Clone, Copy)]
struct Load {
    offset: usize,
    width: u16,
    target: Target,
}

/// Values of one record that are put together at its end.
#[derive(Debug, Default)]
struct Notes {
    start_uptime: Option<u64>,
    end_uptime: Option<u64>,
    system_init_ms: Option<u64>,
    sampling_interval: Option<u64>,
    sampling_space: Option<u64>,
}

impl Plan {
    /// Compiles a template whose records have octets: of others there would be no end.
    pub(crate) fn compile(definition: &Definition<'_>) -> Self {
        let mut plan = Self {
            min_len: definition.min_len,
            fixed: true,
            options: definition.options,
            ..Self::default()
        };
        let mut segments = Vec::new();
        let mut segment = Segment::default();
        let mut targets = Targets::of(definition);
        for (number, field) in definition.fields().enumerate() {
            let target = targets.next(number, &field);
            if field.is_variable() && definition.has_variable_lengths() {
                segment.variable = Some(target);
                segments.push(std::mem::take(&mut segment));
                plan.fixed = false;
            } else {
                segment.add(field.width, target);
            }
            plan.counts |= element::is_counter(target);
            plan.notes |= matches!(target, Target::Note(_));
            plan.reverse |= element::is_reverse(&field);
            plan.structured |= element::is_structured(&field);
        }
        if segment.length > 0 {
            segments.push(segment);
        }
        plan.segments = segments.into();
        plan
    }

    /// Whether its records can be flows. Two IPv4 addresses have eight octets: what is
    /// shorter, and counts nothing, tells of no flow.
    pub(crate) fn tells_of_flows(&self) -> bool {
        self.counts || !self.fixed || self.min_len >= 8
    }

    /// Whether what is left of a set can be a record; else it is padding
    /// (RFC 7011 §3.3.1).
    pub(crate) fn has_record(&self, set: &Reader<'_>) -> bool {
        set.left() >= self.min_len
    }

    /// Reads one record.
    pub(crate) fn run(&self, set: &mut Reader<'_>, clock: Clock, record: &mut Record) -> Result<(), Reject> {
        let mut notes = Notes::default();
        for segment in &self.segments {
            let octets = set.take(segment.length)?;
            for load in &segment.loads {
                // The offsets were made from the same widths as the length.
                if let Some(value) = octets.get(load.offset..load.offset + usize::from(load.width)) {
                    put(record, &mut notes, clock, load.target, value);
                }
            }
            if let Some(target) = segment.variable {
                let value = take_variable(set)?;
                put(record, &mut notes, clock, target, value);
            }
        }
        if self.notes {
            notes.settle(clock, record);
        }
        Ok(())
    }

    /// Reads one options record.
    pub(crate) fn run_options(&self, set: &mut Reader<'_>, values: &mut Values) -> Result<(), Reject> {
        for segment in &self.segments {
            let octets = set.take(segment.length)?;
            for load in &segment.loads {
                let value = octets.get(load.offset..load.offset + usize::from(load.width));
                if let (Target::Option(item), Some(value)) = (load.target, value) {
                    values.put(item, value);
                }
            }
            if let Some(target) = segment.variable {
                let value = take_variable(set)?;
                if let Target::Option(item) = target {
                    values.put(item, value);
                }
            }
        }
        Ok(())
    }

    /// Steps over all records that are left and says how many.
    pub(crate) fn skip_all(&self, set: &mut Reader<'_>) -> Result<usize, Reject> {
        let mut records = 0;
        if self.fixed {
            records = set.left() / self.min_len.max(1);
            set.take(records * self.min_len)?;
        }
        while self.has_record(set) {
            self.skip(set)?;
            records += 1;
        }
        Ok(records)
    }

    /// Steps over one record.
    pub(crate) fn skip(&self, set: &mut Reader<'_>) -> Result<(), Reject> {
        for segment in &self.segments {
            set.take(segment.length)?;
            if segment.variable.is_some() {
                take_variable(set)?;
            }
        }
        Ok(())
    }
}

impl Segment {
    fn add(&mut self, width: u16, target: Target) {
        if target != Target::Skip && width > 0 {
            self.loads.push(Load {
                offset: self.length,
                width,
                target,
            });
        }
        self.length += usize::from(width);
    }
}

/// Where the fields of a template go, in order. Options data goes nowhere. Totals
/// (IE 85, 86) are taken only where the template has no delta counter: OVS sends
/// both, and its totals are those of the whole exporter.
struct Targets<'d, 'a> {
    definition: &'d Definition<'a>,
    octets: bool,
    packets: bool,
    repeats: Repeats,
}

impl<'d, 'a> Targets<'d, 'a> {
    fn of(definition: &'d Definition<'a>) -> Self {
        let has = |id| {
            definition
                .fields()
                .any(|field| field.enterprise == 0 && field.id == id)
        };
        let totals = has(85) || has(86);
        Self {
            definition,
            octets: totals && has(1),
            packets: totals && has(2),
            repeats: Repeats::default(),
        }
    }

    fn next(&mut self, number: usize, field: &Field) -> Target {
        if self.definition.options {
            return options::target(self.definition, number, field).map_or(Target::Skip, Target::Option);
        }
        match element::target(field, self.repeats.count(field)) {
            Target::Wide(Wide::OctetsTotal) if self.octets => Target::Skip,
            Target::Wide(Wide::PacketsTotal) if self.packets => Target::Skip,
            target => target,
        }
    }
}

/// Counts how often an element came before in a template. Linear in the number
/// of different elements we know, not of fields: unknown ones are not kept.
#[derive(Default)]
struct Repeats {
    seen: Vec<(Field, usize)>,
}

impl Repeats {
    fn count(&mut self, field: &Field) -> usize {
        if element::target(field, 0) == Target::Skip {
            return 0;
        }
        let same =
            |seen: &&mut (Field, usize)| seen.0.id == field.id && seen.0.enterprise == field.enterprise;
        if let Some((_, count)) = self.seen.iter_mut().find(same) {
            *count += 1;
            return *count;
        }
        self.seen.push((*field, 0));
        0
    }
}

/// RFC 7011 §7: one octet of length, or 255 and two octets.
fn take_variable<'a>(set: &mut Reader<'a>) -> Result<&'a [u8], Reject> {
    let length = match set.u8()? {
        u8::MAX => usize::from(set.u16()?),
        short => usize::from(short),
    };
    set.take(length)
}

#[inline(always)]
fn put(record: &mut Record, notes: &mut Notes, clock: Clock, target: Target, bytes: &[u8]) {
    match target {
        Target::Skip => {}
        Target::Address(place) => store::address(record, place, bytes),
        Target::Mac(side) => store::mac(record, side, bytes),
        Target::Text(place) => store::text(record, place, bytes),
        _ => {
            let Some(value) = store::integer(bytes) else {
                return;
            };
            match target {
                Target::Wide(place) => store::wide(record, place, value),
                Target::Number(place) => store::number(record, place, value),
                Target::Octet(place) => store::octet(record, place, value),
                Target::Time(side, form) => store::time(record, side, absolute(clock, form, value)),
                Target::Note(note) => notes.add(note, value),
                _ => {}
            }
        }
    }
}

fn absolute(clock: Clock, form: TimeForm, value: u64) -> Option<u64> {
    match form {
        TimeForm::Seconds => clock::from_seconds(value),
        TimeForm::Milliseconds => clock::from_milliseconds(value),
        TimeForm::Ntp => clock::from_ntp(value),
        TimeForm::DeltaMicroseconds => clock.before(value),
    }
}

impl Notes {
    fn add(&mut self, note: Note, value: u64) {
        let place = match note {
            Note::Uptime(Side::First) => &mut self.start_uptime,
            Note::Uptime(Side::Second) => &mut self.end_uptime,
            Note::SystemInit => &mut self.system_init_ms,
            Note::SamplingInterval => &mut self.sampling_interval,
            Note::SamplingSpace => &mut self.sampling_space,
        };
        *place = Some(value);
    }

    fn settle(&self, clock: Clock, record: &mut Record) {
        let at = |uptime: Option<u64>| match (uptime, self.system_init_ms) {
            (Some(uptime), Some(init)) => clock::from_milliseconds(init.checked_add(uptime)?),
            (Some(uptime), None) => clock.at_uptime(u32::try_from(uptime).ok()?),
            (None, _) => None,
        };
        record.start_ns = record.start_ns.or_else(|| at(self.start_uptime));
        record.end_ns = record.end_ns.or_else(|| at(self.end_uptime));
        record.sampling = record.sampling.or_else(|| self.sampling());
    }

    /// RFC 5477: `interval` packets are taken, `space` packets are left out.
    fn sampling(&self) -> Option<u32> {
        let interval = self.sampling_interval.filter(|&interval| interval > 0)?;
        let space = self.sampling_space.unwrap_or(0);
        u32::try_from(interval.checked_add(space)? / interval).ok()
    }
}
