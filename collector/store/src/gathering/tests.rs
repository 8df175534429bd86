use super::*;

fn named(name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        name: name.into(),
        ..Identity::default()
    })
}

/// Whom a batch names that goes to this memtable: the ids of the new ones, and of the others.
fn next(ids: &mut BatchIdentities, memtable: u64) -> (Vec<u32>, Vec<u32>) {
    let mut lists = None;
    ids.next_batch(|named| {
        let all: Vec<u32> = named.all.map(|(id, _)| id).collect();
        let (new, again) = all.split_at(named.new);
        lists = Some((new.to_vec(), again.to_vec()));
        memtable
    });
    lists.unwrap()
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
