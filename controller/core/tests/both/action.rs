//! What may happen in a history, drawn by chance.

use proptest::prelude::*;

use crate::model::declared::{Plan, TENANTS};

#[derive(Clone, Debug)]
pub enum Action {
    Declare { plan: Plan, routes: bool },
    Say { carrier: u8, active: u8, reserve: u8, margin: u8 },
    Submit { tenant: u128, count: usize, urgency: u8, begins: u16, lasts: u16, of: u8 },
    Batch { tenant: u128, count: usize, pace: [u8; 4], begins: u16, lasts: u16, start: bool },
    Steer { which: usize, how: u8 },
    Again { which: usize, how: u8 },
    Cancel { which: usize, how: u8 },
    Offer { tenant: u128, carrier: u8, agent: u8, rings: u16 },
    GiveUp { which: usize },
    Run { ms: u64, late_us: u64 },
    Stop { ms: u64 },
    Tell { which: usize, how: u8, ago_us: u64 },
    End { which: usize, how: u8 },
    Texts { tenant: u128, count: usize, of: u8, begins: u16, lasts: u16 },
    TextBatch { tenant: u128, count: usize, pace: [u8; 4], begins: u16, lasts: u16, start: bool },
    TextLines { which: usize, count: usize },
    Arrive { tenant: u128, brings: [u8; 4] },
    OptOuts { tenant: u128, changes: [u8; 3] },
    Asked { which: usize, how: u8 },
    Deliver { which: usize, how: u8 },
    CancelTexts { which: usize, how: u8 },
    Answer { which: usize, how: u8 },
    RestartTexts,
    Record,
    Snapshot,
    Restart,
}

pub fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let tenant = || 1..=TENANTS;
    let late = prop_oneof![2 => Just(0u64), 1 => 0u64..150_000];
    let plan =
        (any::<[[u8; 6]; 4]>(), any::<[u8; 10]>(), any::<u8>(), any::<u8>(), any::<[u8; 7]>())
            .prop_map(|(tenants, carriers, order, floors, texts)| Plan {
                tenants,
                carriers,
                order,
                floors,
                texts,
            });
    let calls = prop_oneof![
        3 => (plan, prop::bool::weighted(0.2)).prop_map(|(plan, routes)| Declare { plan, routes }),
        1 => (0u8..3, 0u8..6, 0u8..4, 0u8..4).prop_map(
            |(carrier, active, reserve, margin)| Say { carrier, active, reserve, margin }
        ),
        12 => (tenant(), 1usize..5, 0u8..4, 0u16..30, 0u16..60, any::<u8>()).prop_map(
            |(tenant, count, urgency, begins, lasts, of)| {
                Submit { tenant, count, urgency, begins, lasts, of }
            }
        ),
        3 => (tenant(), 1usize..6, any::<[u8; 4]>(), 0u16..40, 0u16..80, any::<bool>()).prop_map(
            |(tenant, count, pace, begins, lasts, start)| {
                Batch { tenant, count, pace, begins, lasts, start }
            }
        ),
        3 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Steer { which, how }),
        3 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Again { which, how }),
        2 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Cancel { which, how }),
        4 => (tenant(), 0u8..3, 0u8..2, 1u16..30).prop_map(
            |(tenant, carrier, agent, rings)| Offer { tenant, carrier, agent, rings }
        ),
        1 => any::<usize>().prop_map(|which| GiveUp { which }),
        14 => (0u64..3_000, late).prop_map(|(ms, late_us)| Run { ms, late_us }),
        1 => (0u64..5_000_000).prop_map(|ms| Stop { ms }),
        5 => (any::<usize>(), 0u8..4, 0u64..60_000).prop_map(
            |(which, how, ago_us)| Tell { which, how, ago_us }
        ),
        18 => (any::<usize>(), 0u8..12).prop_map(|(which, how)| End { which, how }),
    ];
    let texts = prop_oneof![
        6 => (tenant(), 1usize..5, any::<u8>(), 0u16..30, 0u16..60).prop_map(
            |(tenant, count, of, begins, lasts)| Texts { tenant, count, of, begins, lasts }
        ),
        1 => (any::<usize>(), 0u8..4).prop_map(|(which, how)| CancelTexts { which, how }),
        8 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Answer { which, how }),
        1 => Just(RestartTexts),
        4 => (tenant(), 1usize..6, any::<[u8; 4]>(), 0u16..40, 0u16..80, any::<bool>()).prop_map(
            |(tenant, count, pace, begins, lasts, start)| {
                TextBatch { tenant, count, pace, begins, lasts, start }
            }
        ),
        1 => (any::<usize>(), 1usize..8).prop_map(|(which, count)| TextLines { which, count }),
        4 => (tenant(), 0u8..3, 0u8..40, 1u8..4, 0u8..250).prop_map(
            |(tenant, carrier, reference, count, says)| {
                Arrive { tenant, brings: [carrier, reference, count, says] }
            }
        ),
        2 => (tenant(), any::<[u8; 3]>()).prop_map(
            |(tenant, changes)| OptOuts { tenant, changes }
        ),
        4 => (any::<usize>(), 0u8..9).prop_map(|(which, how)| Asked { which, how }),
        3 => (any::<usize>(), 0u8..3).prop_map(|(which, how)| Deliver { which, how }),
    ];
    prop_oneof![
        66 => calls,
        32 => texts,
        1 => Just(Record),
        1 => Just(Snapshot),
        2 => Just(Restart),
    ]
}
