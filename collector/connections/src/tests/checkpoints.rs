//! The state as bytes, and bytes that are no state.

use proptest::prelude::*;

use super::builder::*;
use super::scenario::{Scenario, scenario};
use crate::*;

fn checkpoint(connections: &Connections) -> Vec<u8> {
    let mut bytes = Vec::new();
    connections.checkpoint(&mut bytes).unwrap();
    bytes
}

fn some() -> Vec<u8> {
    let mut run = Run::new(config());
    run.frame(2_000, &[request(), answer(), seen_by("b", request())]);
    checkpoint(&run.connections)
}

/// Bytes with a right length and checksum.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"WEIRCONN\x02\x00".to_vec();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes
}

fn payload(bytes: &[u8]) -> &[u8] {
    &bytes[10..bytes.len() - 12]
}

/// If bytes are believed, what they say can be gone on with.
fn go_on(scenario: &Scenario, bytes: &[u8]) {
    if let Ok(mut connections) = Connections::restore(scenario.config.clone(), bytes) {
        for at in 0..scenario.frames.len() {
            connections.apply(scenario.frame(at), &mut |_| {});
        }
        connections.live().for_each(drop);
        checkpoint(&connections);
        connections.advance(u64::MAX, &mut |_| {});
    }
}

proptest! {
    #[test]
    fn what_was_restored_is_written_as_the_same_bytes(scenario in scenario()) {
        let (_, connections) = scenario.run();
        let bytes = checkpoint(&connections);
        let restored = Connections::restore(scenario.config.clone(), &bytes).unwrap();
        prop_assert_eq!(restored.position(), connections.position());
        prop_assert_eq!(checkpoint(&restored), bytes);
    }

    #[test]
    fn any_damage_is_refused(at in any::<prop::sample::Index>(), bits in 1u8..) {
        let mut bytes = some();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        prop_assert!(Connections::restore(config(), &bytes).is_err());
    }

    #[test]
    fn a_checkpoint_that_ends_early_or_late_is_refused(at in any::<prop::sample::Index>(), more in 1usize..20) {
        let bytes = some();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(Connections::restore(config(), cut).is_err());
        let long = [bytes.as_slice(), &vec![0; more]].concat();
        prop_assert!(Connections::restore(config(), &long).is_err());
    }

    #[test]
    fn no_bytes_end_the_program(scenario in scenario(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        go_on(&scenario, &bytes);
        go_on(&scenario, &sealed(&bytes));
    }

    #[test]
    fn nor_do_changed_ones_whose_checksum_is_right(
        scenario in scenario(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, connections) = scenario.run();
        let mut payload = payload(&checkpoint(&connections)).to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        go_on(&scenario, &sealed(&payload));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |bytes: &[u8]| Connections::restore(config(), bytes).unwrap_err();
    assert_eq!(refused(b"PAR1"), CheckpointError::NotACheckpoint);
    let mut other = some();
    other[8] = 9;
    assert_eq!(refused(&other), CheckpointError::Version(9));
    assert_eq!(refused(&other).kind(), "version");
    let bytes = some();
    let found = bytes.len() as u64;
    assert!(
        matches!(refused(&bytes[..bytes.len() - 1]), CheckpointError::Length { .. }),
        "{found}"
    );
    let mut damaged = some();
    damaged[30] ^= 1;
    let text = refused(&damaged).to_string();
    assert!(
        text.starts_with("the checkpoint is damaged: its checksum is "),
        "{text}"
    );
    let cluster = Config {
        cluster: "other".into(),
        ..config()
    };
    let text = Connections::restore(cluster, &bytes).unwrap_err().to_string();
    assert_eq!(text, r#"the checkpoint is of cluster "test", not of "other""#);
    let text = refused(&sealed(&payload(&bytes)[..20])).to_string();
    assert!(text.starts_with("the checkpoint is malformed at byte "), "{text}");
}

#[test]
fn a_smaller_bound_evicts_what_a_larger_one_had() {
    let mut run = Run::new(config());
    let records: Vec<_> = (0..10)
        .map(|n| Observation {
            src: end("10.0.0.9", 40_000 + n, None),
            ..request()
        })
        .collect();
    run.frame(2_000, &records);
    let small = Config {
        max_connections: 3,
        ..config()
    };
    let mut restored = Connections::restore(small, &checkpoint(&run.connections)).unwrap();
    assert_eq!(restored.len(), 10);
    let frame = Frame {
        position: Position {
            log: 1,
            head: 1,
            frame: 2,
        },
        time: ms(3_000),
        observations: &[request()],
    };
    restored.apply(frame, &mut |output| run.outputs.push(output));
    assert_eq!((restored.len(), run.outputs.len()), (3, 8));
}
