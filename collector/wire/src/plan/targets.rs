//! Where the fields of a template go, seen together: of several elements that say the
//! same, which one is used.
//!
//! | what | the first of these that the template has |
//! |---|---|
//! | octets | 231 if it has 232, too; 1, 231, 85, 23, 171 |
//! | packets | 298 if it has 299, too; 2, 298, 86, 24, 172 |
//! | layer 2 octets | 352, 353 |
//! | octets of the other direction (29305 or IANA) | 1, 85, 23, IANA 232 |
//! | packets of the other direction | 2, 86, 24, IANA 299 |
//!
//! Totals (85, 86) of OVS are those of the whole exporter, and not used. Others export a
//! flow once, with its totals.

use super::layers::{Layers, Place};
use crate::element::{self, Icmp, Note, PEN_REVERSE, Side, Target, TimeForm};
use crate::options;
use crate::template::{Definition, Field};

/// An element: enterprise and number.
type Element = (u32, u16);

const OCTETS: [Element; 5] = [(0, 1), (0, 231), (0, 85), (0, 23), (0, 171)];
const PACKETS: [Element; 5] = [(0, 2), (0, 298), (0, 86), (0, 24), (0, 172)];
const L2_OCTETS: [Element; 2] = [(0, 352), (0, 353)];
const REVERSE_OCTETS: [Element; 4] = [(PEN_REVERSE, 1), (PEN_REVERSE, 85), (PEN_REVERSE, 23), (0, 232)];
const REVERSE_PACKETS: [Element; 4] = [(PEN_REVERSE, 2), (PEN_REVERSE, 86), (PEN_REVERSE, 24), (0, 299)];
const REVERSE_L2_OCTETS: [Element; 2] = [(PEN_REVERSE, 352), (PEN_REVERSE, 353)];

/// The fields of one template, in order.
pub(super) struct Targets<'d, 'a> {
    definition: &'d Definition<'a>,
    /// Elements that say what another one says better.
    passed_over: Vec<Element>,
    /// There are several times of the first or of the last packet.
    starts: bool,
    ends: bool,
    /// Type and code of ICMP stand in several elements.
    icmp: bool,
    has_icmp: bool,
    layers: Layers,
    repeats: Repeats,
}

impl<'d, 'a> Targets<'d, 'a> {
    pub(super) fn of(definition: &'d Definition<'a>) -> Self {
        let fields = || definition.fields();
        let count = |is: &dyn Fn(&Field) -> bool| fields().filter(|field| is(field)).count();
        let has = |id| count(&|field| field.enterprise == 0 && field.id == id) > 0;
        let several_times = |side| count(&|field| time(field).is_some_and(|(of, _)| of == side)) > 1;
        let icmp_forms = [[176, 177], [178, 179], [32, 32], [139, 139]];
        let icmp_forms = icmp_forms.into_iter().filter(|ids| ids.iter().any(|id| has(*id)));
        let icmp_forms = icmp_forms.count();
        Self {
            definition,
            passed_over: passed_over(definition),
            starts: several_times(Side::First),
            ends: several_times(Side::Second),
            icmp: icmp_forms > 1,
            has_icmp: icmp_forms > 0 || has(11) && (has(4) || has(193)),
            layers: Layers::of(definition),
            repeats: Repeats::default(),
        }
    }

    /// Whether ICMP has a place in the records.
    pub(super) fn have_icmp(&self) -> bool {
        self.has_icmp && !self.definition.options
    }

    pub(super) fn next(&mut self, number: usize, field: &Field) -> Target {
        if self.definition.options {
            return options::target(self.definition, number, field).map_or(Target::Skip, Target::Option);
        }
        match self.layers.place(field) {
            Some(Place::Record) => return element::target(field, 0),
            Some(Place::Outer(layered)) => {
                // Of a width that the element cannot have, it says nothing here either.
                let is_fit = element::target(field, 0) != Target::Skip;
                return if is_fit {
                    Target::Note(Note::Outer(layered))
                } else {
                    Target::Skip
                };
            }
            Some(Place::Nowhere) => return Target::Skip,
            None => {}
        }
        if self.passed_over.contains(&(field.enterprise, field.id)) {
            return Target::Skip;
        }
        let target = element::target(field, self.repeats.count(field));
        match (target, element::icmp(field)) {
            (Target::Time(Side::First, form), _) if self.starts => {
                Target::Note(Note::Time(Side::First, form))
            }
            (Target::Time(Side::Second, form), _) if self.ends => {
                Target::Note(Note::Time(Side::Second, form))
            }
            (Target::Number(_) | Target::Octet(_), Some(icmp)) if self.icmp => icmp_note(icmp),
            (target, _) => target,
        }
    }
}

fn icmp_note(icmp: Icmp) -> Target {
    Target::Note(Note::Icmp(icmp))
}

/// Which time of a flow the field is.
fn time(field: &Field) -> Option<(Side, TimeForm)> {
    match element::target(field, 0) {
        Target::Time(side, form) if field.enterprise == 0 => Some((side, form)),
        Target::Note(Note::Uptime(side)) => Some((side, TimeForm::Uptime)),
        _ => None,
    }
}

/// Counters that are not used because others are.
fn passed_over(definition: &Definition<'_>) -> Vec<Element> {
    let has = |element: &Element| {
        let mut fields = definition.fields();
        fields.any(|field| (field.enterprise, field.id) == *element)
    };
    let is_ovs = [138, 61, 240, 352].iter().all(|id| has(&(0, *id)));
    let mut passed_over = Vec::new();
    let mut choose = |elements: &[Element], preferred: Option<Element>| {
        let usable = |element: &&Element| has(element) && !(is_ovs && is_total(element));
        let best = preferred.or_else(|| elements.iter().find(usable).copied());
        passed_over.extend(elements.iter().filter(|element| Some(**element) != best));
    };
    // Initiator and responder: a total beside them is that of both.
    let initiator = |own, other| (has(&(0, own)) && has(&(0, other))).then_some((0, own));
    choose(&OCTETS, initiator(231, 232));
    choose(&PACKETS, initiator(298, 299));
    choose(&L2_OCTETS, None);
    choose(&REVERSE_OCTETS, None);
    choose(&REVERSE_PACKETS, None);
    choose(&REVERSE_L2_OCTETS, None);
    passed_over
}

fn is_total(element: &Element) -> bool {
    matches!(element, (0, 85 | 86 | 171 | 172 | 353))
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
