//! What the generator makes is what it says, judged by the decoder.

use std::collections::HashSet;
use std::net::SocketAddr;

use weir_load::{Generator, Nuisance, Plan, Random, Traffic};
use wire::{Decoder, Options, Protocol, Record, Summary};

const NOW_SECS: u32 = 1_795_196_542;

fn plan(traffic: Traffic) -> Plan {
    Plan {
        traffic,
        exporters: 3,
        flows: 1000,
        seed: 1,
        start_secs: NOW_SECS - 60,
    }
}

fn session(exporter: u32) -> SocketAddr {
    SocketAddr::from(([127, 1, 0, 1], 1000 + exporter as u16))
}

/// Templates of all exporters, then some runs; a summary with its exporter for each datagram.
fn play(generator: &mut Generator, runs: usize) -> (Vec<(u32, u32, Summary)>, Vec<Record>) {
    let mut decoder = Decoder::default();
    let (mut summaries, mut records) = (Vec::new(), Vec::new());
    let exporters = generator.plan().exporters;
    for turn in 0..exporters as usize + runs {
        let run = match u32::try_from(turn) {
            Ok(exporter) if exporter < exporters => generator.templates(exporter, NOW_SECS),
            _ => generator.run(usize::MAX, u64::MAX, NOW_SECS),
        };
        for card in run.cards {
            let summary = decoder
                .decode(
                    session(run.exporter),
                    u64::from(NOW_SECS) * 1000,
                    card.octets(),
                    &mut records,
                )
                .expect("a well-formed datagram");
            summaries.push((run.exporter, card.records(), summary));
        }
    }
    (summaries, records)
}

#[test]
fn every_datagram_decodes_to_the_records_that_it_says() {
    for traffic in Traffic::FRIENDLY {
        let (summaries, records) = play(&mut Generator::new(plan(traffic)), 12);
        assert!(!records.is_empty());
        for (_, promised, summary) in &summaries {
            assert_eq!(summary.records, *promised as usize, "{traffic:?}");
            assert_eq!(
                (summary.sets_held, summary.templates_refused),
                (0, 0),
                "{traffic:?}"
            );
        }
        if traffic != Traffic::Sflow5 {
            assert!(records.iter().all(|record| record.bytes > Some(0)));
            assert!(records.iter().all(|record| record.packets > Some(0)));
        }
        assert!(
            records.iter().all(|record| record.src_addr.is_some()),
            "{traffic:?}"
        );
    }
}

#[test]
fn sequence_numbers_of_each_exporter_have_no_gap() {
    for traffic in Traffic::FRIENDLY {
        let (summaries, _) = play(&mut Generator::new(plan(traffic)), 12);
        for exporter in 0..3 {
            let mut expected = None;
            for (_, records, summary) in summaries.iter().filter(|(from, ..)| *from == exporter) {
                assert_eq!(
                    summary.sequence,
                    expected.unwrap_or(summary.sequence),
                    "{traffic:?}"
                );
                let units = match summary.protocol {
                    Protocol::NetFlow9 | Protocol::Sflow5 => 1,
                    Protocol::NetFlow5 | Protocol::Ipfix => *records,
                };
                expected = Some(summary.sequence + units);
            }
        }
    }
}

#[test]
fn a_deck_that_is_played_again_counts_on() {
    let mut generator = Generator::new(Plan {
        exporters: 1,
        ..plan(Traffic::NetFlow5)
    });
    let (summaries, records) = play(&mut generator, 1000);
    let last = &summaries[summaries.len() - 1];
    assert_eq!(last.2.sequence + last.1, records.len() as u32);
}

#[test]
fn the_same_seed_makes_the_same_octets_and_another_makes_others() {
    let octets = |seed| {
        let mut generator = Generator::new(Plan {
            seed,
            ..plan(Traffic::OvsIpfix)
        });
        let run = generator.run(usize::MAX, u64::MAX, NOW_SECS);
        run.cards
            .iter()
            .map(|card| card.octets().to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(octets(1), octets(1));
    assert_ne!(octets(1), octets(2));
}

#[test]
fn flows_repeat_and_vary() {
    let (_, records) = play(&mut Generator::new(plan(Traffic::NetFlow5)), 30);
    let keys: HashSet<_> = records
        .iter()
        .map(|record| (record.src_addr, record.dst_addr, record.src_port))
        .collect();
    assert!(
        keys.len() > 100 && keys.len() < records.len() / 2,
        "{} of {}",
        keys.len(),
        records.len()
    );
}

#[test]
fn a_run_has_no_more_datagrams_than_are_asked_for() {
    let mut generator = Generator::new(plan(Traffic::Ipfix));
    assert_eq!(generator.run(5, u64::MAX, 0).cards.len(), 5);
    assert_eq!(generator.run(usize::MAX, 25, 0).cards.len(), 2);
    assert_eq!(generator.run(0, 0, 0).cards.len(), 1);
}

#[test]
fn nuisances_are_what_they_are_called() {
    let count = |nuisance: Nuisance, what: fn(&Summary) -> usize| {
        let mut random = Random::new(5);
        let (mut decoder, mut records) = (Decoder::default(), Vec::new());
        (0..50)
            .filter_map(|_| {
                let card = nuisance.card(&mut random);
                decoder
                    .decode(session(0), 0, card.octets(), &mut records)
                    .ok()
                    .map(|summary| what(&summary))
            })
            .sum::<usize>()
    };
    assert!(count(Nuisance::TemplateFlood, |summary| summary.templates_learned) > 200);
    assert!(count(Nuisance::ManyExporters, |summary| summary.records) == 50);
    assert!(count(Nuisance::Orphans, |summary| summary.sets_held) > 40);
    assert!(count(Nuisance::Truncated, |_| 1) < 25);
}

#[test]
fn trains_are_the_same_datagrams_in_another_order_of_one_length_each() {
    let played = |generator: Generator| {
        let (mut generator, mut lengths) = (generator, Vec::new());
        for _ in 0..600 {
            let run = generator.run(8, u64::MAX, NOW_SECS);
            lengths.push((
                run.exporter,
                run.cards.iter().map(|c| c.octets().len()).collect::<Vec<_>>(),
            ));
        }
        lengths
    };
    let alike = |runs: &[(u32, Vec<usize>)]| {
        let is_train = |lengths: &&(u32, Vec<usize>)| lengths.1.iter().all(|length| *length == lengths.1[0]);
        runs.iter().filter(is_train).count()
    };
    let (single, trains) = (
        played(Generator::new(plan(Traffic::OvsIpfix))),
        played(Generator::new(plan(Traffic::OvsIpfix)).in_trains(8)),
    );
    let exporters = |runs: &[(u32, Vec<usize>)]| runs.iter().map(|run| run.0).collect::<Vec<_>>();
    assert_eq!(exporters(&single), exporters(&trains));
    assert!(
        alike(&trains) > 500 && alike(&single) < 100,
        "{} {}",
        alike(&trains),
        alike(&single)
    );
}

#[test]
fn daemons_announce_the_pods_behind_the_ports_that_flows_enter_by() {
    let (mut decoder, mut announced) = (Decoder::default(), HashSet::new());
    for message in weir_load::announcements(1, NOW_SECS) {
        assert!(message.len() <= 1_232, "{}", message.len());
        let summary = decoder
            .decode(session(9), u64::from(NOW_SECS) * 1000, &message, &mut Vec::new())
            .expect("a well-formed message");
        for record in summary.options {
            let Options::Interface(interface) = record.content else {
                panic!("{record:?} is of no interface");
            };
            announced.insert((interface.interface, interface.name.as_str().to_owned()));
        }
    }
    let mut generator = Generator::new(plan(Traffic::OvsIpfix));
    let (summaries, records) = play(&mut generator, 12);
    assert!(!summaries.is_empty());
    let of_node = records
        .iter()
        .filter(|record| record.observation_domain == Some(1));
    let entered: Vec<_> = of_node
        .filter_map(|record| Some((record.in_if?, record.in_if_name.as_str().to_owned())))
        .collect();
    assert!(!entered.is_empty() && entered.iter().all(|port| announced.contains(port)));
}
