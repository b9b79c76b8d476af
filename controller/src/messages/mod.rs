//! Messages on their way to carriers and back: every carrier behind one small trait ([`Adapter`]), its answers and delivery
//! reports into the log, and the tenants' status callbacks.
//!
//! - A message is handed over once for each attempt, after its intent is durable and not before it is due.
//! - What the carrier said is in the log before anything follows from it. A process that ends in between leaves a message in
//!   doubt: the next one says so ([`MessageCommand::Restarted`]), and it is never handed over again.
//! - A message that a carrier brings is in the log before its carrier is told that it was taken, and the tenant's application is
//!   asked about it after that ([`Asker`]).

mod account;
mod adapter;
mod arriving;
mod asking;
mod in_process;
mod notices;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use busyhour_api::{Bring, Brought, Receipt};
use busyhour_base::{MessageEvent, Reason, SidKey};
use busyhour_controller_core::{
    command::Command,
    message::{MessageCommand, MessageReport, Reported, Send},
};
use busyhour_crds::kinds::CarrierMessages;
use futures::future::{BoxFuture, FutureExt as _, ready};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::{
    clock, declared::DialBook, metric_definitions as names, options::RunError, proposer::Proposer,
};
use adapter::{Adapter, Answer, Ear, Handover, Taken};
use in_process::InProcess;

pub(crate) use arriving::{ARRIVING_MAX, Arriving, take_in};
pub(crate) use asking::{ANSWERED_MAX, Asker, Asks};
pub(crate) use notices::notice;

/// What carriers said and the log has not taken yet. Behind a full queue adapters wait.
pub(crate) const HEARD_MAX: usize = 65_536;

/// Reports in one entry of the log.
const REPORTS_MAX: usize = 4_096;

/// The longest time that a carrier may take to answer. Whether it has the message is unknown then.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long answers under way are awaited when the controller stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Every carrier that takes messages, and what is with them. Clones share it.
#[derive(Clone)]
pub(crate) struct Couriers(Arc<Inner>);

struct Inner {
    book: watch::Receiver<Arc<DialBook>>,
    heard: mpsc::Sender<MessageReport>,
    arriving: mpsc::Sender<Arriving>,
    /// Messages handed over whose answer is not in the log.
    open: watch::Sender<usize>,
    /// Where carriers within this process keep their own accounts.
    folder: PathBuf,
    sid_key: SidKey,
    adapters: Mutex<HashMap<Arc<str>, Present>>,
}

/// A carrier's adapter, and what it was made of.
struct Present {
    spec: CarrierMessages,
    adapter: Arc<dyn Adapter>,
}

impl Couriers {
    /// # Errors
    /// If there can be no folder for accounts.
    pub(crate) fn new(
        book: watch::Receiver<Arc<DialBook>>,
        (heard, arriving): (mpsc::Sender<MessageReport>, mpsc::Sender<Arriving>),
        data: &Path,
        sid_key: SidKey,
    ) -> Result<Self, RunError> {
        let folder = data.join("message-carriers");
        std::fs::create_dir_all(&folder).map_err(crate::durable::io("create", &folder))?;
        let (open, adapters) = (watch::Sender::new(0), Mutex::default());
        Ok(Self(Arc::new(Inner { book, heard, arriving, open, folder, sid_key, adapters })))
    }

    /// Hands a message to its carrier, when it is due. Waits for nothing.
    pub(crate) fn hand(&self, send: Send) {
        self.0.open.send_modify(|open| *open += 1);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.carry(send).await });
    }

    /// Tells carriers which of their messages still await a report, of those that an earlier process handed over.
    pub(crate) fn resume(&self, proposer: &Proposer) {
        let unreported: Vec<_> = proposer.read(|state| state.messages_unreported().collect());
        let mut by_carrier = HashMap::<Arc<str>, Vec<Taken>>::new();
        for (carrier, reference, at) in unreported {
            by_carrier.entry(carrier).or_default().push(Taken { reference, at });
        }
        for (carrier, taken) in by_carrier {
            if let Some(adapter) = self.0.adapter(&carrier) {
                adapter.resume(taken);
            }
        }
    }

    /// Waits, for a while, until every answer is in the log.
    pub(crate) async fn drained(&self) {
        let mut open = self.0.open.subscribe();
        let drained = open.wait_for(|open| *open == 0);
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            let open = *self.0.open.borrow();
            tracing::warn!(open, "messages without an answer from their carrier stay in doubt");
        }
    }
}

impl Bring for Couriers {
    fn bring(&self, carrier: Arc<str>, message: Brought) -> BoxFuture<'static, Option<Receipt>> {
        match self.0.adapter(&carrier) {
            Some(adapter) => adapter.bring(message),
            None => ready(Some(Receipt::Refused(Reason::CarrierUndeclared))).boxed(),
        }
    }
}

impl Inner {
    async fn carry(&self, send: Send) {
        wait_until_due(&send).await;
        let of = Reported::Attempt { message: send.message, attempt: send.attempt };
        let (message, carrier) = (send.message, Arc::clone(&send.carrier));
        let answer = if send.expires.is_some_and(|expires| expires <= clock::now()) {
            Answer::NotSent(Reason::Expired)
        } else {
            match self.adapter(&send.carrier) {
                Some(adapter) => {
                    let sid = self.sid_key.message(message.0);
                    let answer = adapter.send(Handover { sid, send });
                    tokio::time::timeout(ANSWER_MAX, answer).await.unwrap_or(Answer::None)
                }
                None => Answer::NotSent(Reason::NoCarrier),
            }
        };
        metrics::counter!(names::MESSAGE_ANSWERS, "carrier" => carrier.to_string(), "answer" => answer.word())
            .increment(1);
        let event = match answer {
            Answer::Accepted(reference) => MessageEvent::Accepted(reference),
            Answer::Refused(reason) => MessageEvent::Refused(reason),
            Answer::NotSent(reason) => MessageEvent::NotSent(reason),
            Answer::None => MessageEvent::InDoubt(Reason::InDoubtNoAnswer),
        };
        // Closed only when the controller stops; the next process finds it in doubt.
        let _ = self.heard.send(MessageReport { of, event }).await;
    }

    /// The adapter of a carrier as it is declared now.
    fn adapter(&self, carrier: &Arc<str>) -> Option<Arc<dyn Adapter>> {
        let book = self.book.borrow().clone();
        let spec = book.message_carriers.get(carrier)?;
        let mut adapters = self.adapters.lock();
        if let Some(present) = adapters.get(carrier).filter(|present| present.spec == *spec) {
            return Some(Arc::clone(&present.adapter));
        }
        let ear = Ear::new(Arc::clone(carrier), self.heard.clone(), self.arriving.clone());
        let adapter: Arc<dyn Adapter> = Arc::new(InProcess::new(carrier, spec, &self.folder, ear));
        let present = Present { spec: spec.clone(), adapter: Arc::clone(&adapter) };
        adapters.insert(Arc::clone(carrier), present);
        Some(adapter)
    }
}

async fn wait_until_due(send: &Send) {
    loop {
        let wait = send.at.since(clock::now());
        if wait == busyhour_base::Span::ZERO {
            return;
        }
        tokio::time::sleep(wait.into()).await;
    }
}

/// Brings what carriers say into the log, in their order, until the log is closed.
pub(crate) async fn listen(
    couriers: Couriers,
    mut heard: mpsc::Receiver<MessageReport>,
    proposer: Proposer,
) {
    let mut batch = Vec::new();
    while heard.recv_many(&mut batch, REPORTS_MAX).await > 0 {
        let reports = std::mem::take(&mut batch);
        let answers =
            reports.iter().filter(|report| matches!(report.of, Reported::Attempt { .. })).count();
        let command = || Command::Message(MessageCommand::Reports(reports.clone()));
        if proposer.insist(command).await.is_err() {
            return;
        }
        couriers.0.open.send_modify(|open| *open = open.saturating_sub(answers));
    }
}
