//! A template compiled into what to read and where to put it, and the loop that
//! does it. Compiled once, run over every record without allocating. What the fields of
//! a template mean together is [`targets`]' business; values that only say something
//! together are put together by [`notes`].

use crate::clock::Clock;
use crate::element::{self, Note, Reverse, Target, Wide, attributes};
use crate::options::Values;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::store;
use crate::template::Definition;

mod icmp;
mod layers;
mod notes;
mod reverse;
mod section;
mod targets;

use notes::Notes;
use reverse::ReverseFlow;
use targets::Targets;

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
    /// Type and code of ICMP have to be found or cleared.
    icmp: bool,
    /// Its records count both directions of a flow.
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
    offset: u32,
    width: u16,
    target: Target,
}

/// What becomes of values that only say something together.
trait NoteSink<'a> {
    fn note(&mut self, clock: Clock, note: Note, bytes: &'a [u8]);
}

/// For templates without such values: nothing is compiled for them.
struct NoNotes;

impl<'a> NoteSink<'a> for NoNotes {
    fn note(&mut self, _: Clock, _: Note, _: &'a [u8]) {}
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
            if field.is_variable() {
                segment.variable = Some(target);
                segments.push(std::mem::take(&mut segment));
                plan.fixed = false;
            } else {
                segment.add(field.width, target);
            }
            plan.counts |= is_counter(target);
            plan.notes |= matches!(target, Target::Note(_));
            plan.reverse |= matches!(
                target,
                Target::Note(Note::Reverse(Reverse::Octets | Reverse::Packets))
            );
            plan.structured |= element::is_structured(&field);
        }
        plan.icmp = targets.have_icmp();
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

    /// How many records one of its data records can become.
    pub(crate) fn most_records(&self) -> usize {
        1 + usize::from(self.reverse)
    }

    /// Reads one record; returns the reverse direction of its flow, if that was counted.
    pub(crate) fn run(
        &self,
        set: &mut Reader<'_>,
        clock: Clock,
        record: &mut Record,
    ) -> Result<Option<Box<ReverseFlow>>, Reject> {
        if !self.notes {
            self.read(set, clock, record, &mut NoNotes)?;
            if self.icmp {
                icmp::settle(record);
            }
            return Ok(None);
        }
        let mut notes = Notes::default();
        self.read(set, clock, record, &mut notes)?;
        notes.settle(clock, record, self.icmp);
        Ok(notes.reverse())
    }

    #[inline(always)]
    fn read<'a>(
        &self,
        set: &mut Reader<'a>,
        clock: Clock,
        record: &mut Record,
        notes: &mut impl NoteSink<'a>,
    ) -> Result<(), Reject> {
        for segment in &self.segments {
            let bytes = set.take(segment.length)?;
            for load in &segment.loads {
                // The offsets were made from the same widths as the length.
                if let Some(value) = bytes.get(load.range()) {
                    put(record, notes, clock, load.target, value);
                }
            }
            if let Some(target) = segment.variable {
                let value = take_variable(set)?;
                put(record, notes, clock, target, value);
            }
        }
        Ok(())
    }

    /// Reads one options record.
    pub(crate) fn run_options(&self, set: &mut Reader<'_>, values: &mut Values) -> Result<(), Reject> {
        for segment in &self.segments {
            let octets = set.take(segment.length)?;
            for load in &segment.loads {
                let value = octets.get(load.range());
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

impl Load {
    #[inline(always)]
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.offset as usize;
        start..start + usize::from(self.width)
    }
}

impl Segment {
    fn add(&mut self, width: u16, target: Target) {
        if target != Target::Skip && width > 0 {
            self.loads.push(Load {
                // A template has 16,384 fields of 65,535 octets at most.
                offset: u32::try_from(self.length).unwrap_or(u32::MAX),
                width,
                target,
            });
        }
        self.length += usize::from(width);
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
fn put<'a>(
    record: &mut Record,
    notes: &mut impl NoteSink<'a>,
    clock: Clock,
    target: Target,
    bytes: &'a [u8],
) {
    match target {
        Target::Skip => {}
        Target::Address(place) => store::address(record, place, bytes),
        Target::Mac(side) => store::mac(record, side, bytes),
        Target::Text(place) => store::text(record, place, bytes),
        Target::Attribute(attribute, form) => attributes::put(record, attribute, form, bytes),
        Target::Spare(spare) => store::spare(record, spare, bytes),
        Target::Note(note) => notes.note(clock, note, bytes),
        _ => {
            let Some(value) = store::integer(bytes) else {
                return;
            };
            match target {
                Target::Wide(place) => store::wide(record, place, value),
                Target::Number(place) => store::number(record, place, value),
                Target::Octet(place) => store::octet(record, place, value),
                Target::Time(side, form) => store::time(record, side, notes::absolute(clock, form, value)),
                _ => {}
            }
        }
    }
}

/// Whether it counts octets or packets of a flow.
fn is_counter(target: Target) -> bool {
    use Wide::{DroppedOctets, DroppedPackets, L2Octets, Octets, OctetsTotal, Packets, PacketsTotal};
    matches!(
        target,
        Target::Wide(
            Octets | Packets | OctetsTotal | PacketsTotal | L2Octets | DroppedOctets | DroppedPackets
        ) | Target::Note(Note::Reverse(Reverse::Octets | Reverse::Packets))
    )
}
