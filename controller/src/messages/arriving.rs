//! Messages that carriers bring, on their way into the log: whose number they are for, and what their carriers are told.

use std::sync::Arc;

use busyhour_api::{Brought, Directory, Receipt};
use busyhour_base::{AccountSid, Body, Direction, MessageSpec, Reason};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{AcceptedMessage, Arrival, MessageCommand},
};
use busyhour_log::ProposeError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{declared::DialBook, metric_definitions as names, proposer::Proposer};

/// Messages that wait for the log. Behind a full queue carriers are told to bring theirs again.
pub(crate) const ARRIVING_MAX: usize = 4_096;

/// Messages in one entry of the log. One has 7 KB at most, so that they fit into the largest.
const ARRIVALS_MAX: usize = 512;

/// A message that a carrier brings, and who waits for its receipt.
pub(crate) struct Arriving {
    pub(super) carrier: Arc<str>,
    pub(super) message: Brought,
    pub(super) tell: oneshot::Sender<Receipt>,
}

/// Takes in what carriers bring, until the log is closed.
pub(crate) async fn take_in(
    mut arriving: mpsc::Receiver<Arriving>,
    (book, directory): (watch::Receiver<Arc<DialBook>>, watch::Receiver<Arc<Directory>>),
    proposer: Proposer,
) {
    let mut batch = Vec::new();
    while arriving.recv_many(&mut batch, ARRIVALS_MAX).await > 0 {
        let (known, accounts) = (book.borrow().clone(), directory.borrow().clone());
        let (mut arrivals, mut waiting) = (Vec::new(), Vec::new());
        for Arriving { carrier, message, tell } in batch.drain(..) {
            match arrival(&known, &accounts, &carrier, message) {
                Ok(arrival) => {
                    waiting.push((Arc::clone(&carrier), arrival.account, tell));
                    arrivals.push(arrival);
                }
                Err(reason) => answer(&carrier, tell, Receipt::Refused(reason)),
            }
        }
        if arrivals.is_empty() {
            continue;
        }
        let verdicts = match propose(&proposer, arrivals).await {
            Ok(verdicts) => verdicts,
            // Whether they are in the log shows after the next start: their carriers hear nothing and bring them again.
            Err(ProposeError::InDoubt | ProposeError::Closed) => return,
            Err(_) => vec![Err(Reason::QueueFull); waiting.len()],
        };
        for ((carrier, account, tell), verdict) in waiting.into_iter().zip(verdicts) {
            answer(&carrier, tell, receipt(account, verdict));
        }
    }
}

/// Whose message it is.
fn arrival(
    book: &DialBook,
    directory: &Directory,
    carrier: &Arc<str>,
    message: Brought,
) -> Result<Arrival, Reason> {
    let contract = book.message_carriers.get(carrier);
    if contract.is_none_or(|contract| contract.inbound_channels == 0) {
        return Err(Reason::CarrierUndeclared);
    }
    if message.body.text().chars().count() > Body::CHARS_MAX {
        return Err(Reason::TooLarge);
    }
    let (to, texting) = book.texting(&message.to).ok_or(Reason::UnknownNumber)?;
    let answered_by = texting.answered_by(message.body.text());
    let Brought { reference, from, body, .. } = message;
    let spec = MessageSpec { to, from, direction: Direction::Inbound, status_callback: None };
    Ok(Arrival {
        account: texting.account,
        carrier: Arc::clone(carrier),
        reference,
        answers: directory.accounts.get(&texting.account).is_some_and(|of| of.may_call(&spec.from)),
        answered_by,
        spec: Arc::new(spec),
        body,
    })
}

type Verdict = Result<AcceptedMessage, Reason>;

async fn propose(
    proposer: &Proposer,
    arrivals: Vec<Arrival>,
) -> Result<Vec<Verdict>, ProposeError> {
    let count = arrivals.len();
    let command = Command::Message(MessageCommand::Arrived(arrivals));
    match proposer.propose(command).await?.reply {
        Reply::Messages(verdicts) => Ok(verdicts),
        Reply::Refused(reason) => Ok(vec![Err(reason); count]),
        other => {
            tracing::error!(reply = ?other, "the state machine's answer to messages that came in makes no sense");
            Ok(vec![Err(Reason::WrongState); count])
        }
    }
}

/// What passes may be brought again; what does not is refused.
fn receipt(account: AccountSid, verdict: Verdict) -> Receipt {
    match verdict {
        Ok(accepted) => Receipt::Taken(account, accepted),
        Err(
            reason @ (Reason::QueueFull
            | Reason::TextsFull
            | Reason::CarrierChannels
            | Reason::OptOutsFull
            | Reason::Suspended),
        ) => Receipt::Later(reason),
        Err(reason) => Receipt::Refused(reason),
    }
}

/// A carrier that waits no longer brings its message again.
fn answer(carrier: &str, tell: oneshot::Sender<Receipt>, receipt: Receipt) {
    let (word, reason) = match receipt {
        Receipt::Taken(..) => ("taken", Reason::Ready),
        Receipt::Later(reason) => ("later", reason),
        Receipt::Refused(reason) => ("refused", reason),
    };
    let labels = [
        ("carrier", carrier.to_owned()),
        ("receipt", word.to_owned()),
        ("reason", reason.code().to_owned()),
    ];
    metrics::counter!(names::MESSAGES_BROUGHT, &labels).increment(1);
    let _ = tell.send(receipt);
}
