//! A deck of datagrams, made once from a seed and played again and again with
//! fresh sequence numbers and times. No I/O, no clock.

use crate::batched;
use crate::card::Card;
use crate::flow::Flow;
use crate::hostile::Nuisance;
use crate::random::Random;
use crate::{netflow5, ovs, sflow};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// IPFIX as Open vSwitch sends it, a record a datagram.
    OvsIpfix,
    /// IPFIX, 24 records a datagram.
    Ipfix,
    /// NetFlow v9, 24 records a datagram.
    NetFlow9,
    /// NetFlow v5, 24 records a datagram.
    NetFlow5,
    /// sFlow v5, 6 flow samples a datagram.
    Sflow5,
    /// All nuisances in turn.
    Hostile,
}

impl Traffic {
    /// What honest exporters send.
    pub const FRIENDLY: [Self; 5] = [
        Self::OvsIpfix,
        Self::Ipfix,
        Self::NetFlow9,
        Self::NetFlow5,
        Self::Sflow5,
    ];

    /// Records in one datagram; 1 for hostile ones, of which nobody knows.
    pub const fn records_per_datagram(self) -> u32 {
        match self {
            Self::OvsIpfix | Self::Hostile => 1,
            Self::Ipfix | Self::NetFlow9 => batched::RECORDS,
            Self::NetFlow5 => netflow5::RECORDS,
            Self::Sflow5 => sflow::SAMPLES,
        }
    }
}

/// What a generator is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The kind of datagram.
    pub traffic: Traffic,
    /// Exporters, at least one; each has its own sequence numbers, templates and
    /// observation domain.
    pub exporters: u32,
    /// Flows of each exporter, of which the first are the busiest.
    pub flows: u32,
    /// The same seed makes the same octets.
    pub seed: u64,
    /// Seconds since the epoch at which the flows were.
    pub start_secs: u32,
}

/// Octets of a deck, about.
const DECK_OCTETS: usize = 8 << 20;

/// Datagrams of one exporter in a row, at most.
const RUN: usize = 32;

/// Datagrams of one exporter, in the order in which they are to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The exporter's number.
    pub exporter: u32,
    /// What it sends.
    pub cards: &'a [Card],
}

/// Makes datagrams.
#[derive(Debug, Clone)]
pub struct Generator {
    plan: Plan,
    deck: Vec<Card>,
    next: usize,
    run: usize,
    sequences: Vec<u32>,
    templates: Vec<Card>,
}

impl Generator {
    /// Makes the deck.
    pub fn new(plan: Plan) -> Self {
        let exporters = plan.exporters.max(1);
        let mut random = Random::new(plan.seed);
        let size = card(&plan, 0, &mut random.clone()).bytes.len().max(300);
        let run = (DECK_OCTETS / size / exporters as usize).clamp(1, RUN);
        let rounds = (DECK_OCTETS / size / (exporters as usize * run)).max(1);
        let mut deck = Vec::with_capacity(rounds * exporters as usize * run);
        for _ in 0..rounds {
            for exporter in 0..exporters {
                deck.extend((0..run).map(|_| card(&plan, exporter, &mut random)));
            }
        }
        // Open vSwitch counts from 1.
        let first = u32::from(plan.traffic == Traffic::OvsIpfix);
        Self {
            deck,
            run,
            next: 0,
            sequences: vec![first; exporters as usize],
            templates: Vec::new(),
            plan: Plan { exporters, ..plan },
        }
    }

    /// The same datagrams in another order: so many of one exporter and one length
    /// follow each other, as far as there are so many.
    #[must_use]
    pub fn in_trains(mut self, length: usize) -> Self {
        let mut random = Random::new(self.plan.seed);
        for exporter in 0..self.sequences.len() {
            let of_exporter = |place: &usize| place / self.run % self.sequences.len() == exporter;
            let places: Vec<usize> = (0..self.deck.len()).filter(of_exporter).collect();
            let mut cards: Vec<Card> = places.iter().map(|place| self.deck[*place].clone()).collect();
            cards.sort_by_key(|card| card.octets().len());
            let mut trains: Vec<&[Card]> = cards.chunks(length.max(1)).collect();
            for last in (1..trains.len()).rev() {
                trains.swap(last, random.below(last as u32 + 1) as usize);
            }
            for (place, card) in places.into_iter().zip(trains.concat()) {
                self.deck[place] = card;
            }
        }
        self
    }

    /// What the generator was made from.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The messages that teach an exporter's templates, to be sent before its
    /// first run and as often as one likes. None where there are none.
    pub fn templates(&mut self, exporter: u32, now_secs: u32) -> Run<'_> {
        self.templates = match self.plan.traffic {
            Traffic::OvsIpfix => ovs::templates(exporter),
            Traffic::Ipfix => vec![batched::ipfix_template(exporter)],
            Traffic::NetFlow9 => vec![batched::netflow9_template(exporter)],
            Traffic::NetFlow5 | Traffic::Sflow5 | Traffic::Hostile => Vec::new(),
        };
        if let Some(sequence) = self.sequences.get_mut(exporter as usize) {
            stamp(&mut self.templates, sequence, now_secs);
        }
        Run {
            exporter,
            cards: &self.templates,
        }
    }

    /// The next datagrams of the exporter whose turn it is: at least one, at most
    /// `most`, and no more than are needed for `records` records.
    pub fn run(&mut self, most: usize, records: u64, now_secs: u32) -> Run<'_> {
        let start = self.next;
        let exporter = start / self.run % self.sequences.len();
        let needed = records.div_ceil(self.plan.traffic.records_per_datagram().into());
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        let length = (self.run - start % self.run).min(most).min(needed).max(1);
        self.next = (start + length) % self.deck.len();
        let cards = &mut self.deck[start..start + length];
        stamp(cards, &mut self.sequences[exporter], now_secs);
        Run {
            exporter: exporter as u32,
            cards,
        }
    }
}

/// Gives datagrams their sequence numbers, which count on.
fn stamp(cards: &mut [Card], sequence: &mut u32, now_secs: u32) {
    for card in cards {
        card.stamp(*sequence, now_secs);
        *sequence = sequence.wrapping_add(card.units);
    }
}

fn card(plan: &Plan, exporter: u32, random: &mut Random) -> Card {
    if plan.traffic == Traffic::Hostile {
        let kinds = Nuisance::ALL;
        return kinds[random.below(kinds.len() as u32) as usize].card(random);
    }
    let flows: Vec<_> = (0..plan.traffic.records_per_datagram())
        .map(|_| {
            let rank = random.zipf(plan.flows);
            Flow::observe(exporter, rank, random)
        })
        .collect();
    match plan.traffic {
        Traffic::Ipfix => batched::ipfix(exporter, &flows, plan.start_secs),
        Traffic::NetFlow9 => batched::netflow9(exporter, &flows),
        Traffic::NetFlow5 => netflow5::datagram(exporter, &flows),
        Traffic::Sflow5 => sflow::datagram(exporter, &flows),
        Traffic::OvsIpfix | Traffic::Hostile => ovs::record(exporter, &flows[0], random),
    }
}
