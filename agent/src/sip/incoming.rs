//! Requests from the network: those of a dialog go to it, carriers' calls are told to the agent, others get the answer
//! of a user agent.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rsipstack::{
    sip::{
        Header, Method, Request, Response, StatusCode,
        prelude::{HasHeaders, HeadersExt},
    },
    transaction::{Transaction, TransactionReceiver},
};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Dispatch, instrument::WithSubscriber};

use super::{Arrival, InviteError, arrival, endpoint::Shared, message};
use crate::metric_definitions as metric;

/// Requests of the far end that may wait at one dialog; further ones get 503, and it repeats them.
const REQUESTS_MAX: usize = 4;

/// Dialogs by `Call-ID`. There is one to a `Call-ID`: we chose it, or refuse a second.
pub struct Dialogs {
    table: Mutex<HashMap<String, Entry>>,
    max: usize,
}

struct Entry {
    requests: mpsc::Sender<Box<Transaction>>,
    local_tag: String,
    target: String,
}

/// A dialog's place in the table, given up on drop.
pub struct Registration {
    dialogs: Arc<Dialogs>,
    call_id: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.dialogs.table.lock().remove(&self.call_id);
    }
}

impl Dialogs {
    /// A table that holds `max` dialogs.
    pub fn new(max: usize) -> Self {
        Self { table: Mutex::default(), max }
    }

    /// Dialogs that are alive.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Takes a place, and gives what the dialog will be told.
    pub fn register(
        self: &Arc<Self>,
        call_id: &str,
        local_tag: &str,
        target: String,
    ) -> Result<(Registration, mpsc::Receiver<Box<Transaction>>), InviteError> {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let mut table = self.table.lock();
        if table.len() >= self.max {
            return Err(InviteError::Full(self.max));
        }
        if table.contains_key(call_id) {
            return Err(InviteError::Duplicate(call_id.to_owned()));
        }
        let entry = Entry { requests, local_tag: local_tag.to_owned(), target };
        table.insert(call_id.to_owned(), entry);
        let registration = Registration { dialogs: self.clone(), call_id: call_id.to_owned() };
        Ok((registration, receiver))
    }

    /// The Request-URI of the INVITE that a response answers.
    pub fn target_of(&self, response: &Response) -> Option<String> {
        let call_id = response.call_id_header().ok()?.value();
        Some(self.table.lock().get(call_id)?.target.clone())
    }

    fn find(&self, request: &Request) -> Option<mpsc::Sender<Box<Transaction>>> {
        let call_id = request.call_id_header().ok()?.value();
        let table = self.table.lock();
        let entry = table.get(call_id)?;
        (message::to_tag(request)? == entry.local_tag).then(|| entry.requests.clone())
    }
}

/// Takes every request that starts a transaction and sees that it is answered.
pub async fn dispatch(
    mut incoming: TransactionReceiver,
    shared: Arc<Shared>,
    arrivals: mpsc::Sender<Arrival>,
) {
    let (dialogs, responder) = (&shared.dialogs, &shared.responder);
    while let Some(transaction) = incoming.recv().await {
        // In a box: a channel's memory is that of dozens of its messages, and every call has one.
        let transaction = Box::new(transaction);
        if let Some(dialog) = dialogs.find(&transaction.original) {
            match dialog.try_send(transaction) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(transaction)) => {
                    responder.respond(transaction, StatusCode::ServiceUnavailable, vec![], None);
                }
                Err(mpsc::error::TrySendError::Closed(transaction)) => {
                    responder.refuse_unknown(transaction);
                }
            }
        } else if message::to_tag(&transaction.original).is_some() {
            responder.refuse_unknown(transaction);
        } else if transaction.original.method == Method::Invite {
            arrival::take(&shared, &arrivals, transaction);
        } else {
            responder.answer_stranger(transaction);
        }
    }
}

/// The option tags that a request requires and we lack (RFC 3261, 8.2.2.3).
pub fn unsupported(request: &Request) -> Option<String> {
    let missing: Vec<&str> = request
        .headers()
        .iter()
        .filter_map(|h| match h {
            Header::Require(require) => Some(require.value()),
            _ => None,
        })
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && *tag != "timer")
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// Answers requests. Bounded: what a flood asks beyond the bound is dropped, as a lost datagram would be.
#[derive(Clone)]
pub struct Responder {
    permits: Arc<Semaphore>,
}

impl Responder {
    /// A responder that has at most `max` answers under way.
    pub fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)) }
    }

    /// Answers and sees the transaction to its end: a final response to an INVITE is repeated until its ACK.
    pub fn respond(
        &self,
        mut transaction: Box<Transaction>,
        code: StatusCode,
        headers: Vec<Header>,
        body: Option<Vec<u8>>,
    ) {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            metric::sip_dropped("overload");
            return;
        };
        let answer = async move {
            let _permit = permit;
            if transaction.reply_with(code, headers, body).await.is_err() {
                return;
            }
            while transaction.receive().await.is_some() {}
        };
        tokio::spawn(answer.with_subscriber(Dispatch::none()));
    }

    /// 481: no such dialog.
    pub fn refuse_unknown(&self, transaction: Box<Transaction>) {
        let code = StatusCode::CallTransactionDoesNotExist;
        self.respond(transaction, code, Vec::new(), None);
    }

    /// A request outside of any dialog. Known and unknown users get the same answers.
    fn answer_stranger(&self, transaction: Box<Transaction>) {
        let allow = Header::Allow(message::ALLOW.into());
        if let Some(unsupported) = unsupported(&transaction.original) {
            let header = Header::Unsupported(unsupported.into());
            return self.respond(transaction, StatusCode::BadExtension, vec![header], None);
        }
        match transaction.original.method {
            Method::Options => {
                let accept = Header::Accept("application/sdp".into());
                let supported = Header::Supported("timer".into());
                let headers = vec![allow, accept, supported];
                self.respond(transaction, StatusCode::OK, headers, None);
            }
            Method::Bye | Method::Update | Method::Info => self.refuse_unknown(transaction),
            _ => self.respond(transaction, StatusCode::MethodNotAllowed, vec![allow], None),
        }
    }
}
