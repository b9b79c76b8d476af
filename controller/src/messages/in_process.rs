//! A carrier within the controller, for trials, demonstrations and tests: it sends nothing anywhere. It refuses, takes,
//! delivers and fails to deliver as declared; what it does to a message follows from its seed and the message's number alone,
//! so that a run can be repeated. It counts for itself what it was handed ([`Account`]).

use std::{path::Path, sync::Arc, time::Duration};

use busyhour_base::{MessageEvent, Reason, Span};
use busyhour_crds::kinds::{CarrierMessages, InProcessCarrier};
use futures::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;

use super::{
    account::{Account, Line},
    adapter::{Adapter, Answer, Ear, Handover, Taken},
};
use crate::clock;

/// The carrier.
pub(super) struct InProcess {
    behaviour: InProcessCarrier,
    reports: bool,
    /// From one segment to the next of a message.
    spacing: Span,
    account: Arc<Mutex<Account>>,
    ear: Ear,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Refused(Reason),
    Unanswered,
    Undelivered(Reason),
    Delivered,
}

impl InProcess {
    pub(super) fn new(carrier: &Arc<str>, spec: &CarrierMessages, folder: &Path, ear: Ear) -> Self {
        let rate = spec.segments_per_second.max(1);
        Self {
            behaviour: spec.in_process.clone(),
            reports: spec.delivery_reports,
            spacing: Span::from_micros(1_000_000 / u64::from(rate)),
            account: Arc::new(Mutex::new(Account::open(folder, carrier, rate))),
            ear,
        }
    }

    /// The delivery report, in its time.
    fn report(&self, reference: Arc<str>, number: u64, elapsed: Duration) {
        let event = match fate(&self.behaviour, number) {
            Fate::Delivered => MessageEvent::Delivered,
            Fate::Undelivered(reason) => MessageEvent::Undelivered(reason),
            // These it never took; a report on one would be of a carrier that was declared anew.
            Fate::Refused(_) | Fate::Unanswered => MessageEvent::Delivered,
        };
        let after = delay(&self.behaviour, number, Step::Delivery).saturating_sub(elapsed);
        let ear = self.ear.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            ear.delivery(reference, event).await;
        });
    }
}

impl Adapter for InProcess {
    fn send(&self, Handover { sid, send }: Handover) -> BoxFuture<'static, Answer> {
        let number = send.message.0;
        let fate = fate(&self.behaviour, number);
        let segments = send.segments.count;
        let line = Line {
            at: clock::now(),
            message: sid.to_string(),
            attempt: send.attempt,
            segments,
            fate: fate.word(),
        };
        // The segments leave one after the other, at the contract's rate.
        self.account.lock().take(&line, self.spacing);
        let rest = Duration::from(self.spacing) * u32::from(segments.saturating_sub(1));
        let answer = delay(&self.behaviour, number, Step::Answer) + rest;
        let reference: Arc<str> = format!("{number}.{}", send.attempt).into();
        let later = Self {
            behaviour: self.behaviour.clone(),
            reports: self.reports,
            spacing: self.spacing,
            account: Arc::clone(&self.account),
            ear: self.ear.clone(),
        };
        async move {
            tokio::time::sleep(answer).await;
            match fate {
                Fate::Refused(reason) => Answer::Refused(reason),
                Fate::Unanswered => Answer::None,
                Fate::Undelivered(_) | Fate::Delivered => {
                    if later.reports {
                        later.report(Arc::clone(&reference), number, Duration::ZERO);
                    }
                    Answer::Accepted(reference)
                }
            }
        }
        .boxed()
    }

    fn resume(&self, taken: Vec<Taken>) {
        for Taken { reference, at } in taken {
            // A reference of another carrier under the same name says nothing here.
            let number = reference.split('.').next().and_then(|number| number.parse().ok());
            if let Some(number) = number {
                self.report(reference, number, clock::now().since(at).into());
            }
        }
    }
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unanswered => "unanswered",
            Self::Undelivered(_) => "undelivered",
            Self::Delivered => "delivered",
        }
    }
}

/// What a delay is for.
#[derive(Clone, Copy)]
enum Step {
    Answer = 1,
    Delivery = 2,
}

fn fate(behaviour: &InProcessCarrier, number: u64) -> Fate {
    let lot = mix(behaviour.seed, number, 0);
    let lot_of_thousand = u16::try_from(lot % 1_000).unwrap_or(0);
    let refused = behaviour.refused_permille;
    let unanswered = refused + behaviour.unanswered_permille;
    let undelivered = unanswered + behaviour.undelivered_permille;
    let one_of = |reasons: &[Reason]| reasons[(lot / 1_000) as usize % reasons.len()];
    match lot_of_thousand {
        at if at < refused => {
            Fate::Refused(one_of(&[Reason::MessageRejected, Reason::MessageFiltered]))
        }
        at if at < unanswered => Fate::Unanswered,
        at if at < undelivered => Fate::Undelivered(one_of(&[
            Reason::UnreachableHandset,
            Reason::UnknownHandset,
            Reason::MessageBlocked,
        ])),
        _ => Fate::Delivered,
    }
}

fn delay(behaviour: &InProcessCarrier, number: u64, step: Step) -> Duration {
    let most = match step {
        Step::Answer => behaviour.answer_ms,
        Step::Delivery => behaviour.delivery_ms,
    };
    Duration::from_millis(mix(behaviour.seed, number, step as u64) % (u64::from(most) + 1))
}

/// A number that looks drawn (the finalizer of `SplitMix64`).
const fn mix(seed: u32, number: u64, salt: u64) -> u64 {
    let mut x = number ^ ((seed as u64) << 32) ^ (salt << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_messages_so_many_go_each_way_and_the_same_each_time() {
        let behaviour = InProcessCarrier {
            seed: 7,
            refused_permille: 100,
            unanswered_permille: 50,
            undelivered_permille: 200,
            ..InProcessCarrier::default()
        };
        let fates: Vec<_> = (0..100_000).map(|number| fate(&behaviour, number)).collect();
        let share = |word| fates.iter().filter(|fate| fate.word() == word).count() / 1_000;
        assert!((9..=10).contains(&share("refused")), "{}", share("refused"));
        assert!((4..=5).contains(&share("unanswered")));
        assert!((19..=20).contains(&share("undelivered")));
        assert!(
            fates.iter().enumerate().all(|(n, fate)| *fate == super::fate(&behaviour, n as u64))
        );
    }

    #[test]
    fn a_delay_is_at_most_the_longest() {
        let behaviour =
            InProcessCarrier { answer_ms: 20, delivery_ms: 0, ..InProcessCarrier::default() };
        let longest = (0..1_000).map(|n| delay(&behaviour, n, Step::Answer)).max();
        assert_eq!(longest, Some(Duration::from_millis(20)));
        assert_eq!(delay(&behaviour, 1, Step::Delivery), Duration::ZERO);
    }
}
