//! The engine against the naive evaluator, in random worlds.

use weir_policy::Engine;

use crate::random::Random;
use crate::world::compare;

#[test]
fn engine_and_naive_evaluator_agree_in_random_worlds() {
    let mut answers = [0usize; 4];
    for seed in 0..400 {
        let mut random = Random(seed);
        let profile = random.profile();
        let cluster = random.cluster(8);
        let engine = Engine::compile(profile, cluster.clone());
        for _ in 0..60 {
            let call = random.call(&cluster);
            answers[compare(&engine, &cluster, &call).answer as usize] += 1;
        }
    }
    let [allow, deny, unknown, _] = answers;
    assert!(
        allow > 2_000 && deny > 2_000 && unknown > 500,
        "worlds are too simple: {answers:?}"
    );
}
