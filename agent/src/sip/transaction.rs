//! Runs one client transaction of `rsipstack` to its end and passes its responses on.

use std::net::SocketAddr;

use rsipstack::{
    sip::{Request, Response, SipMessage},
    transaction::{
        Transaction, endpoint::EndpointInnerRef, key::TransactionKey, key::TransactionRole,
    },
    transport::{SipAddr, SipConnection},
};
use tokio::sync::mpsc;
use tracing::{Dispatch, instrument::WithSubscriber};

use super::message;

/// Responses of one transaction that may wait; its retransmissions are filtered below.
const REPLIES_MAX: usize = 8;

/// A response, from the far end or made up because none came.
#[derive(Debug)]
pub struct Reply {
    /// The response.
    pub response: Box<Response>,
    /// Made up: the transaction timed out.
    pub local: bool,
}

impl Reply {
    /// Status code.
    pub fn code(&self) -> u16 {
        self.response.status_code.code()
    }
}

/// Starts client transactions over our socket.
#[derive(Clone)]
pub struct Sender {
    /// The stack.
    pub endpoint: EndpointInnerRef,
    /// Our socket.
    pub connection: SipConnection,
}

impl Sender {
    /// Sends `request` to `destination` and repeats it as RFC 3261, 17.1 says. The channel closes when the
    /// transaction is over; an INVITE's stays open for 64 T1 after a 2xx, acknowledging repetitions and
    /// passing on every one, forks among them.
    pub fn send(
        &self,
        request: Request,
        destination: SocketAddr,
    ) -> Result<mpsc::Receiver<Reply>, Box<rsipstack::Error>> {
        let key = TransactionKey::from_request(&request, TransactionRole::Client)?;
        let mut transaction = Transaction::new_client(
            key,
            request,
            self.endpoint.clone(),
            Some(self.connection.clone()),
        );
        transaction.destination = Some(SipAddr {
            r#type: Some(rsipstack::sip::Transport::Udp),
            addr: destination.into(),
        });
        let (replies, receiver) = mpsc::channel(REPLIES_MAX);
        tokio::spawn(run(transaction, replies).with_subscriber(Dispatch::none()));
        Ok(receiver)
    }
}

async fn run(mut transaction: Transaction, replies: mpsc::Sender<Reply>) {
    // An error of the socket is repeated by the timers like a lost datagram.
    if transaction.send().await.is_err() {
        return;
    }
    while let Some(message) = transaction.receive().await {
        let SipMessage::Response(response) = message else {
            continue;
        };
        let local = message::is_local(&response);
        if replies.send(Reply { response: Box::new(response), local }).await.is_err() {
            // Nobody listens any more, but repeated responses still want their ACK.
            continue;
        }
    }
}
