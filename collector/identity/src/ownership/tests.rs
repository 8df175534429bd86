use super::*;
use crate::ObjectKind;
use crate::shards::Shards;

fn pod(name: &str) -> (ObjectKey, Arc<Identity>) {
    let who = Identity {
        kind: Kind::Pod,
        name: name.into(),
        ..Identity::default()
    };
    (ObjectKey::new(ObjectKind::Pod, "ns", name), Arc::new(who))
}

fn term(from: u64) -> Tenure {
    Tenure {
        created: from,
        from,
        until: None,
        leaving: false,
    }
}

/// Name, beginning and end of each holding of the one key that the tests use.
fn shown(book: &mut OwnershipHistory<u8>) -> Vec<(String, u64, u64)> {
    let mut shards = Shards::default();
    book.changed.insert(1);
    book.publish(&mut shards);
    let held: Option<&Timeline> = shards.get(&1);
    let all = held.map_or(&[][..], |held| held);
    all.iter()
        .map(|held| (held.who.name.to_string(), held.span.from, held.span.to))
        .collect()
}

#[test]
fn a_holding_lasts_until_it_is_released_and_is_kept_after_that() {
    let (mut book, (key, who)) = (OwnershipHistory::default(), pod("a"));
    book.claim(&1, &key, term(10), &who);
    assert_eq!(shown(&mut book), [("a".into(), 10, u64::MAX)]);
    book.release(&1, &key, 20);
    book.release(&1, &key, 30);
    assert_eq!(shown(&mut book), [("a".into(), 10, 20)]);
    book.expire(20, 9);
    assert_eq!(book.len(), 1);
    book.expire(21, 9);
    assert_eq!((book.len(), shown(&mut book)), (0, vec![]));
    assert!(book.ended.is_empty() && book.claims.is_empty());
}

#[test]
fn of_too_many_ends_the_oldest_go_first() {
    let mut book = OwnershipHistory::default();
    for (name, from) in [("a", 1), ("b", 3), ("c", 5)] {
        let (key, who) = pod(name);
        book.claim(&1, &key, term(from), &who);
        book.release(&1, &key, from + 1);
    }
    book.expire(0, 2);
    assert_eq!(shown(&mut book), [("b".into(), 3, 4), ("c".into(), 5, 6)]);
}

#[test]
fn one_that_is_being_deleted_loses_to_a_younger_one_and_another_does_not() {
    for (leaving, heir_leaving, end) in [
        (true, false, 50),
        (true, true, 50),
        (false, false, u64::MAX),
        (false, true, u64::MAX),
    ] {
        let (mut book, (old, old_who), (new, new_who)) =
            (OwnershipHistory::default(), pod("old"), pod("new"));
        book.claim(&1, &old, Tenure { leaving, ..term(10) }, &old_who);
        let heir = Tenure {
            leaving: heir_leaving,
            ..term(50)
        };
        book.claim(&1, &new, heir, &new_who);
        let expected = [("old".into(), 10, end), ("new".into(), 50, u64::MAX)];
        assert_eq!(shown(&mut book), expected);
    }
}

#[test]
fn what_becomes_known_later_reaches_holdings_that_ended() {
    let (mut book, (key, who), (_, other)) = (OwnershipHistory::default(), pod("a"), pod("b"));
    let ended = Tenure {
        until: Some(20),
        ..term(10)
    };
    book.claim(&1, &key, ended, &who);
    book.claim(&1, &key, ended, &other);
    assert_eq!(shown(&mut book), [("b".into(), 10, 20)]);
}

#[test]
fn a_new_object_of_the_same_name_leaves_the_old_holding_alone() {
    let (mut book, (key, who), (_, other)) = (OwnershipHistory::default(), pod("a"), pod("b"));
    book.claim(&1, &key, term(10), &who);
    book.release(&1, &key, 20);
    book.claim(&1, &key, term(20), &other);
    let expected = [("a".into(), 10, 20), ("b".into(), 20, u64::MAX)];
    assert_eq!(shown(&mut book), expected);
}
