use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;

use super::*;
use crate::catalog::Catalog;
use crate::identities;
use crate::identity_ids::IdentityIds;
use crate::rows::tests::sparse;
use crate::settings::Settings;
use crate::state::State;

fn named(name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        name: name.into(),
        ..Identity::default()
    })
}

/// Whom a batch names that goes to this memtable: the ids of the new ones, and of the others.
fn next(ids: &mut BatchIdentities, memtable: u64) -> (Vec<u32>, Vec<u32>) {
    let ids_of = |named: &[(u32, Arc<Identity>)]| named.iter().map(|(id, _)| *id).collect();
    let lists = (ids_of(ids.named().new), ids_of(ids.named().again));
    ids.next_batch(memtable);
    lists
}

#[test]
fn a_batch_names_each_once_and_says_who_is_new_to_its_memtable() {
    let mut ids = BatchIdentities::default();
    let (web, db) = (named("web"), named("db"));
    let met = |_: &Arc<Identity>| panic!("it is known");
    assert_eq!([ids.id(&web, |_| 1), ids.id(&web, met)], [1, 1]);
    assert_eq!(next(&mut ids, 7), (vec![1], vec![]));
    assert_eq!(ids.id(&web, met), 1);
    assert_eq!(
        next(&mut ids, 7),
        (vec![1], vec![]),
        "nobody knew for which memtable"
    );
    assert_eq!([ids.id(&web, met), ids.id(&db, |_| 2)], [1, 2]);
    assert_eq!(next(&mut ids, 8), (vec![2], vec![1]));
    assert_eq!(ids.id(&web, met), 1);
    assert_eq!(next(&mut ids, 8), (vec![1], vec![]), "it was named in another");
    assert_eq!(ids.id(&web, met), 1);
    assert_eq!(next(&mut ids, 8), (vec![], vec![1]));
    assert_eq!(next(&mut ids, 8), (vec![], vec![]));
}

#[test]
fn more_identities_than_there_are_places_have_their_ids_all_the_same() {
    let mut ids = BatchIdentities::default();
    let many: Vec<_> = (0..2 * REFS as u32)
        .map(|id| (id, Arc::new(Identity::default())))
        .collect();
    for _ in 0..2 {
        for (id, identity) in &many {
            assert_eq!(ids.id(identity, |_| *id), *id);
        }
    }
    let (new, again) = next(&mut ids, 1);
    assert!(again.is_empty());
    let named: std::collections::HashSet<u32> = new.into_iter().collect();
    assert_eq!(named.len(), many.len());
}

#[test]
fn those_whom_no_batch_named_lately_are_let_go() {
    let mut ids = BatchIdentities::default();
    let (web, db) = (named("web"), named("db"));
    ids.id(&web, |_| 1);
    next(&mut ids, 1);
    ids.id(&db, |_| 2);
    ids.id(&web, |_| panic!("it is known"));
    next(&mut ids, 1);
    ids.id(&db, |_| panic!("it is known"));
    next(&mut ids, 2);
    assert_eq!(Arc::strong_count(&web), 2);
    ids.forget(3);
    assert_eq!((Arc::strong_count(&web), Arc::strong_count(&db)), (1, 2));
    ids.forget(4);
    assert_eq!(Arc::strong_count(&db), 1);
    assert_eq!(ids.id(&web, |_| 3), 3);
}

#[test]
fn long_texts_fill_a_batch() {
    let state = State::new(IdentityIds::default(), Catalog::default(), 1);
    let settings = Settings {
        write_age: Duration::from_secs(3_600),
        ..Settings::new("nowhere")
    };
    let shared = Shared::new(settings, "a store".to_owned(), state, Weak::new());
    let mut gathering = Gathering::default();
    let mut records = sparse(1_000);
    for (number, record) in (0..).zip(&mut records) {
        record.src.if_name = format!("{number:0200}").as_str().into();
    }
    for _ in 0..30 {
        gathering.append(&records[..500], &shared);
        gathering.append(&records[500..], &shared);
    }
    let batches = shared.lock().open.batches.len();
    // By rows alone there are three.
    assert!((5..=15).contains(&batches), "{batches}");
}

/// Whom the batches of the open memtable name, and whom it has.
fn named_and_had(shared: &Shared) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let state = shared.lock();
    let rows = state.open.batches.iter().map(|(batch, _)| batch.widen());
    let named = rows.flat_map(|rows| {
        let ids = ["src_id", "dst_id"].map(|side| rows[side].as_primitive::<UInt32Type>().values().to_vec());
        ids.into_iter().flatten()
    });
    let tables = state.open.identities.tables();
    let had = tables.iter().flat_map(|table| identities::ids(table).to_vec());
    (named.filter(|id| *id != 0).collect(), had.collect())
}

#[test]
fn a_memtable_has_all_whom_its_batches_name_whichever_they_were_gathered_for() {
    let state = State::new(IdentityIds::default(), Catalog::default(), 1);
    let shared = Shared::new(Settings::new("nowhere"), "a store".to_owned(), state, Weak::new());
    let mut gathering = Gathering::default();
    let records = sparse(40);
    for changes in [false, false, true, false, true, true, false] {
        gathering.append(&records, &shared);
        if changes {
            // A batch of others was the last that the memtable had room for.
            let mut other = Gathering::default();
            other.append(&records[..3], &shared);
            other.hand_on(&shared);
            shared.lock().fill();
        }
        gathering.hand_on(&shared);
        let (named, had) = named_and_had(&shared);
        assert!(named.len() > 10);
        assert_eq!(named, had);
    }
}
