use proptest::prelude::*;

use super::*;

fn pair(number: u64) -> Identities {
    Identities {
        src: number / 1_000,
        dst: number % 1_000,
    }
}

/// So many rows, which tell whose they are.
fn rows(number: u64, many: usize) -> Vec<Row> {
    (0..many as u32)
        .map(|batch| Row {
            at: number as u32,
            batch,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whoever comes and goes: rows that are found are those of the pair.
    #[test]
    fn rows_are_those_of_their_pair_also_when_room_was_given_back(many in 12..64_usize, seed in 0..1_000_u64) {
        let mut cache = PairCache::default();
        cache.reset(2);
        let (mut found, mut gave_back) = (0, false);
        // Each twice, so that remembering pays.
        for number in (seed..seed + 50_000).flat_map(|number| [number, number]) {
            let Some(place) = cache.place(pair(number)) else { continue };
            if let Known::Rows(but) = cache.known(place) {
                prop_assert_eq!(cache.rows(place), &rows(number, many)[..]);
                prop_assert_eq!(u64::from(but), number % 7);
                found += 1;
                continue;
            }
            let before = cache.rows.len();
            cache.know_rows(place, Some(&rows(number, many)), (number % 7) as u32);
            gave_back |= cache.rows.len() < before;
            prop_assert!(cache.rows.len() <= MOST_ROWS);
        }
        prop_assert!(found > 40_000 && gave_back, "{found} {gave_back}");
    }
}

/// How many of these records have a place.
fn placed(cache: &mut PairCache, pairs: impl Iterator<Item = u64>) -> u32 {
    pairs
        .map(|number| u32::from(cache.place(pair(number)).is_some()))
        .sum()
}

#[test]
fn where_pairs_only_take_the_place_of_others_nothing_is_remembered_until_they_are_found_again() {
    let mut cache = PairCache::default();
    cache.reset(2);
    let records = 2_000_000;
    // New ones alone, more than there are places.
    let placed_of_new = placed(&mut cache, 0..records);
    assert!(u64::from(placed_of_new) < records / 10, "{placed_of_new}");
    // The same few.
    let placed_of_few = placed(&mut cache, (0..records).map(|number| number % 1_000));
    assert!(u64::from(placed_of_few) > records / 10 * 9, "{placed_of_few}");
}

#[test]
fn what_was_met_once_has_no_rows_and_no_room_for_them() {
    let mut cache = PairCache::default();
    cache.reset(2);
    let place = cache.place(pair(7)).unwrap();
    assert_eq!(cache.known(place), Known::Nothing);
    cache.meet(place);
    assert_eq!(cache.known(place), Known::Met);
    assert!(cache.rows.is_empty());
    cache.know_rows(place, None, 0);
    assert_eq!((cache.known(place), cache.rows(place)), (Known::NoRows, &[][..]));
    cache.know_rows(place, Some(&rows(7, 3)), 1);
    assert_eq!(
        (cache.known(place), cache.rows(place)),
        (Known::Rows(1), &rows(7, 3)[..])
    );
    cache.forget();
    let place = cache.place(pair(7)).unwrap();
    assert_eq!(cache.known(place), Known::Nothing);
}
