//! The machine and the reference model on the same random history: every decision is compared, which request, when, over
//! which carrier, at which worker and what it waited for, and so is every ending. The machine is restored from snapshots
//! and from its log on the way.

mod both;
mod model;
mod regressions;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use both::{Both, action};
use model::Model;
use proptest::{prelude::*, test_runner::RngSeed};

/// Decisions that were compared over all histories: of calls, those of them that left a choice, and of messages.
static COMPARED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// The usual histories are always the same ones, so that what fails fails again. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` give
/// more and others.
fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let usual = given.cases == USUAL_CASES;
    ProptestConfig {
        cases: if usual { 100 } else { given.cases },
        rng_seed: if usual { RngSeed::Fixed(4) } else { given.rng_seed },
        failure_persistence: None,
        max_shrink_iters: given.max_shrink_iters.min(1_000),
        ..given
    }
}

/// What proptest takes where nothing is said.
const USUAL_CASES: u32 = 256;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_decision_is_the_reference_models(
        routes in any::<[u8; 3]>(), actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut both = Both::new(routes);
        for action in &actions {
            both.act(action);
        }
        both.finish();
        let Model { decisions, choices, texts, .. } = &both.model;
        for (sum, more) in COMPARED.iter().zip([*decisions, *choices, texts.decisions]) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
        let [decisions, choices, _] = COMPARED.each_ref().map(|sum| sum.load(Ordering::Relaxed));
        prop_assert!(decisions < 1_000 || choices * 2 < decisions, "{choices} of {decisions} are open");
    }
}
