//! A carrier within the controller, for trials, demonstrations and tests: it sends nothing anywhere. It refuses, takes,
//! delivers and fails to deliver as declared ([`Fate`]). It counts for itself what it was handed ([`Account`]).

use std::{path::Path, sync::Arc, time::Duration};

use busyhour_api::{Brought, Receipt};
use busyhour_base::MessageEvent;
use busyhour_crds::{Fate, Sending, kinds::CarrierMessages};
use futures::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;

use super::{
    account::{Account, Line},
    adapter::{Adapter, Answer, Ear, Handover, Taken},
};
use crate::clock;

/// The carrier.
pub(super) struct InProcess {
    spec: CarrierMessages,
    account: Arc<Mutex<Account>>,
    ear: Ear,
}

impl InProcess {
    pub(super) fn new(carrier: &Arc<str>, spec: &CarrierMessages, folder: &Path, ear: Ear) -> Self {
        let rate = spec.segments_per_second.max(1);
        let account = Arc::new(Mutex::new(Account::open(folder, carrier, rate)));
        Self { spec: spec.clone(), account, ear }
    }

    /// The delivery report, in its time.
    fn report(&self, reference: Arc<str>, sending: Sending, elapsed: Duration) {
        let event = match self.spec.in_process.fate(sending) {
            Fate::Delivered => MessageEvent::Delivered,
            Fate::Undelivered(reason) => MessageEvent::Undelivered(reason),
            // These it never took; a report on one would be of a carrier that was declared anew.
            Fate::Refused(_) | Fate::Unanswered => MessageEvent::Delivered,
        };
        let after = Duration::from(self.spec.in_process.reports_after(sending));
        let after = after.saturating_sub(elapsed);
        let ear = self.ear.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            ear.delivery(reference, event).await;
        });
    }
}

impl Adapter for InProcess {
    fn send(&self, Handover { sid, send }: Handover) -> BoxFuture<'static, Answer> {
        let sending = Sending::of(&send);
        let fate = self.spec.in_process.fate(sending);
        let segments = send.segments.count;
        let line = Line {
            at: clock::now(),
            message: sid.to_string(),
            attempt: send.attempt,
            segments,
            fate: fate.word(),
        };
        // The segments leave one after the other, at the contract's rate.
        self.account.lock().take(&line, self.spec.segment_spacing());
        let answer = self.spec.answers_after(sending, segments);
        let reference = sending.reference();
        let later = Self {
            spec: self.spec.clone(),
            account: Arc::clone(&self.account),
            ear: self.ear.clone(),
        };
        async move {
            tokio::time::sleep(answer.into()).await;
            match fate {
                Fate::Refused(reason) => Answer::Refused(reason),
                Fate::Unanswered => Answer::None,
                Fate::Undelivered(_) | Fate::Delivered => {
                    if later.spec.delivery_reports {
                        later.report(Arc::clone(&reference), sending, Duration::ZERO);
                    }
                    Answer::Accepted(reference)
                }
            }
        }
        .boxed()
    }

    fn bring(&self, message: Brought) -> BoxFuture<'static, Option<Receipt>> {
        let ear = self.ear.clone();
        async move { ear.arrival(message).await }.boxed()
    }

    fn resume(&self, taken: Vec<Taken>) {
        for Taken { reference, at } in taken {
            // A reference of another carrier under the same name says nothing here.
            if let Some(sending) = Sending::of_reference(&reference) {
                self.report(reference, sending, clock::now().since(at).into());
            }
        }
    }
}
