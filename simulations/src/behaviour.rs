//! What called parties do: a pure function of the scenario's seed and the called number, so that the live
//! carrier and the simulated one treat every call alike.

use std::sync::Arc;

use busyhour_base::Span;
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// All called parties of a scenario.
#[derive(Clone, PartialEq, Debug)]
pub struct Behaviour {
    /// Of the scenario.
    pub seed: u64,
    /// At least one, with a weight above nothing.
    pub habits: Vec<Habit>,
}

/// One way to treat a call, and how common it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Habit {
    /// For people.
    pub name: Arc<str>,
    /// Out of the sum of all weights.
    pub weight: u32,
    /// From the INVITE to 180; without it there is no ringing.
    pub rings_after: Option<Spread>,
    /// What then happens.
    pub reaction: Reaction,
}

/// How a habit goes on.
#[derive(Clone, PartialEq, Debug)]
pub enum Reaction {
    /// It is answered.
    Answer {
        /// From the INVITE to 200.
        after: Spread,
        /// From the answer to the moment at which the called party has had enough and hangs up.
        patience: Spread,
        /// How long the called party says hello.
        greeting: Span,
        /// Choices of keys by weight; an empty choice presses nothing.
        keys: Vec<(u32, String)>,
        /// From the answer to the first key.
        keys_after: Spread,
    },
    /// It is refused with this status.
    Refuse {
        /// From the INVITE.
        after: Spread,
        /// 400 to 699.
        code: u16,
    },
    /// It rings until the caller gives up.
    NoAnswer,
}

/// How a length of time is spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// The least.
    pub min: Span,
    /// The most.
    pub max: Span,
    /// Nothing: evenly from `min` to `max`. Else the mean of an exponential tail above `min`, cut off at `max`.
    pub mean: Option<Span>,
}

/// One call's treatment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The habit that it follows.
    pub habit: Arc<str>,
    /// 180 this long after the INVITE; none when absent.
    pub rings_after: Option<Span>,
    /// How the INVITE ends.
    pub outcome: ScriptedOutcome,
}

/// How an INVITE ends when it is not cancelled before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScriptedOutcome {
    /// 200.
    Answer {
        /// From the INVITE.
        after: Span,
        /// From the answer until the called party hangs up, if the caller has not.
        patience: Span,
        /// How long the called party says hello, from the answer.
        greeting: Span,
        /// Keys, in order of time.
        keys: Vec<KeyPress>,
    },
    /// A final failure.
    Refuse {
        /// From the INVITE.
        after: Span,
        /// 400 to 699.
        code: u16,
    },
    /// It rings until it is cancelled.
    NoAnswer,
}

/// A pressed key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyPress {
    /// From the answer.
    pub after: Span,
    /// `0` to `9`, `*` or `#`.
    pub key: char,
}

/// From one key to the next when several are pressed.
pub const BETWEEN_KEYS: Span = Span::from_millis(400);

impl Behaviour {
    /// What becomes of a call to `called`: always the same for the same seed and number.
    pub fn script(&self, called: &str) -> Script {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(fnv1a(called));
        let habit = self.pick(&mut rng);
        // Drawn in the order of the call's life; a habit's parts do not disturb those before them.
        let rings_after = habit.rings_after.map(|spread| spread.draw(&mut rng));
        let outcome = match &habit.reaction {
            Reaction::Answer { after, patience, greeting, keys, keys_after } => {
                ScriptedOutcome::Answer {
                    after: after.draw(&mut rng),
                    patience: patience.draw(&mut rng),
                    greeting: *greeting,
                    keys: press(keys, keys_after.draw(&mut rng), &mut rng),
                }
            }
            Reaction::Refuse { after, code } => {
                ScriptedOutcome::Refuse { after: after.draw(&mut rng), code: *code }
            }
            Reaction::NoAnswer => ScriptedOutcome::NoAnswer,
        };
        Script { habit: habit.name.clone(), rings_after, outcome }
    }

    fn pick(&self, rng: &mut ChaCha8Rng) -> &Habit {
        let chosen = weighted(self.habits.iter().map(|habit| habit.weight), rng);
        &self.habits[chosen]
    }
}

fn press(choices: &[(u32, String)], first: Span, rng: &mut ChaCha8Rng) -> Vec<KeyPress> {
    if choices.is_empty() {
        return Vec::new();
    }
    let keys = &choices[weighted(choices.iter().map(|(weight, _)| *weight), rng)].1;
    let press = |(n, key)| KeyPress { after: first + BETWEEN_KEYS.times(n), key };
    (0..).zip(keys.chars()).map(press).collect()
}

/// An index, drawn by weight; the first if all weights are nothing.
fn weighted(weights: impl Iterator<Item = u32> + Clone, rng: &mut ChaCha8Rng) -> usize {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut left = rng.random_range(0..total.max(1));
    for (index, weight) in weights.enumerate() {
        match left.checked_sub(u64::from(weight)) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    0
}

impl Spread {
    /// Always the same length.
    pub const fn exactly(span: Span) -> Self {
        Self { min: span, max: span, mean: None }
    }

    /// Evenly from `min` to `max`.
    pub const fn even(min: Span, max: Span) -> Self {
        Self { min, max, mean: None }
    }

    /// One draw, in whole milliseconds, as SIP and people know nothing finer.
    pub(crate) fn draw(self, rng: &mut ChaCha8Rng) -> Span {
        let (min, max) = (self.min.as_millis(), self.max.as_millis());
        Span::from_millis(match self.mean {
            None => rng.random_range(min..=max.max(min)),
            Some(mean) => {
                let tail = mean.as_millis().saturating_sub(min) as f64;
                // 1 - u lies in (0, 1], so that the logarithm is finite.
                let drawn = -tail * (1.0 - rng.random::<f64>()).ln();
                min.saturating_add(drawn as u64).min(max)
            }
        })
    }
}

/// 64-bit FNV-1a: a fixed spread of numbers over the random generator's streams.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn demo_like() -> Behaviour {
        let s = Span::from_secs;
        let habit = |name: &str, weight, reaction| Habit {
            name: name.into(),
            weight,
            rings_after: Some(Spread::even(Span::from_millis(100), Span::from_millis(400))),
            reaction,
        };
        let answer = Reaction::Answer {
            after: Spread::even(s(1), s(4)),
            patience: Spread { min: s(5), max: s(40), mean: Some(s(15)) },
            greeting: Span::from_millis(700),
            keys: vec![(3, "1".to_owned()), (1, "23#".to_owned()), (1, String::new())],
            keys_after: Spread::even(s(2), s(3)),
        };
        let busy = Reaction::Refuse { after: Spread::exactly(s(1)), code: 486 };
        Behaviour {
            seed: 7,
            habits: vec![
                habit("answer", 60, answer),
                habit("busy", 25, busy),
                habit("nobody", 15, Reaction::NoAnswer),
            ],
        }
    }

    #[test]
    fn the_same_number_is_always_treated_alike() {
        let behaviour = demo_like();
        for n in 0..500 {
            let called = format!("+1555100{n:04}");
            assert_eq!(behaviour.script(&called), behaviour.clone().script(&called));
        }
        let other = Behaviour { seed: 8, ..behaviour.clone() };
        let differs = |n: &u32| {
            let called = format!("+1555100{n:04}");
            behaviour.script(&called) != other.script(&called)
        };
        assert!((0..100).filter(differs).count() > 80, "the seed decides");
    }

    #[test]
    fn habits_are_as_common_as_their_weights_say() {
        let behaviour = demo_like();
        let mut counts = BTreeMap::new();
        for n in 0..10_000 {
            *counts.entry(behaviour.script(&format!("+1555{n:07}")).habit).or_insert(0) += 1;
        }
        for (name, expected) in [("answer", 6_000), ("busy", 2_500), ("nobody", 1_500)] {
            let found: i32 = counts[name];
            // Five standard deviations of a binomial are at most 250 here.
            assert!((found - expected).abs() < 250, "{name}: {found}");
        }
    }

    #[test]
    fn lengths_keep_their_bounds_and_their_mean() {
        let behaviour = demo_like();
        let (mut sum, mut answers, mut choices) = (0, 0, BTreeMap::new());
        for n in 0..10_000 {
            let script = behaviour.script(&format!("+1555{n:07}"));
            let ring = script.rings_after.expect("all ring").as_millis();
            assert!((100..=400).contains(&ring));
            let ScriptedOutcome::Answer { after, patience, keys, .. } = script.outcome else {
                continue;
            };
            assert!((1_000..=4_000).contains(&after.as_millis()));
            assert!((5_000..=40_000).contains(&patience.as_millis()));
            assert!(keys.windows(2).all(|pair| pair[1].after == pair[0].after + BETWEEN_KEYS));
            let keys: String = keys.iter().map(|press| press.key).collect();
            *choices.entry(keys).or_insert(0) += 1;
            (sum, answers) = (sum + patience.as_millis(), answers + 1);
        }
        // The mean of the tail, 10 s, less what is cut off at 40 s: 5 + 10 * (1 - e^-3.5) s.
        let mean = sum / answers;
        assert!((14_300..15_100).contains(&mean), "{mean} ms");
        assert!(choices["1"] > 2 * choices["23#"] && choices[""] > 500, "{choices:?}");
    }

    /// A change here makes every recorded comparison of runs worthless; it must be meant.
    #[test]
    fn the_draws_of_a_seed_stay_what_they_were() {
        let behaviour = demo_like();
        let drawn =
            [0, 1, 2, 3].map(|n| match behaviour.script(&format!("+1555100000{n}")).outcome {
                ScriptedOutcome::Answer { after, patience, .. } => {
                    (after.as_millis(), patience.as_millis())
                }
                ScriptedOutcome::Refuse { after, code } => (after.as_millis(), u64::from(code)),
                ScriptedOutcome::NoAnswer => (0, 0),
            });
        assert_eq!(drawn, [(1_000, 486), (3_285, 9_993), (1_000, 486), (1_000, 486)]);
    }
}
