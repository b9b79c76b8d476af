//! SIP user agent: what the rest of the agent asks of it ([`SipStack`]) and `rsipstack` behind it.
//!
//! `rsipstack`'s messages, transactions and timers are used; its dialog layer, its digest and its socket loop
//! are not. Its queues between socket and transaction are unbounded and it logs whole messages, credentials
//! included, so datagrams are read, bounded and parsed here ([`socket`]), handed to its transactions one at a
//! time, and everything of it runs where no log is written. Dialogs ([`dialog`]) live here because the end of
//! a call is our promise: a CANCEL that crosses a 200, a fork, a lost BYE and an expired session all end it.

mod arrival;
mod auth;
mod confirmed;
mod dialog;
mod endpoint;
mod gate;
mod incoming;
mod message;
mod session;
mod socket;
mod stateless;
mod transaction;
mod uri;

use std::{net::SocketAddr, time::Duration};

use busyhour_agent_core::digest::Credentials;
use busyhour_protocol::InboundTrunk;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use arrival::{Arrival, ArrivalControl};
pub use endpoint::{SipAgent, SipConfig};
pub use uri::UriError;

/// A dialog's events that may wait to be taken; the dialog waits when they are not taken.
pub const EVENTS_MAX: usize = 16;

/// What the agent asks of a SIP stack. [`SipAgent`] is the one in use; a test may bring another.
pub trait SipStack: Send + Sync + 'static {
    /// Sends an INVITE and follows its dialog to the end, telling `events`.
    ///
    /// # Errors
    /// [`InviteError`] if nothing was sent, nor will be.
    fn invite(
        &self,
        invite: Invite,
        events: mpsc::Sender<SipEvent>,
    ) -> Result<DialogControl, InviteError>;

    /// These carriers may call in from now on, and no others. Their calls come as [`Arrival`]s.
    fn let_in(&self, trunks: Vec<InboundTrunk>);

    /// Ends a dialog of an earlier process by BYE; `true` once the far end has answered it.
    fn end_stored(&self, dialog: StoredDialog) -> oneshot::Receiver<bool>;
}

/// A call to be placed.
#[derive(Clone)]
pub struct Invite {
    /// `Call-ID`, derived from call and attempt so that a carrier's records lead back to them.
    pub call_id: String,
    /// Where the trunk listens.
    pub destination: SocketAddr,
    /// `host:port` of the trunk as declared: the domain of the called party's address.
    pub trunk: String,
    /// Called party: a number, or a `sip:` address.
    pub to: String,
    /// Calling party.
    pub from: String,
    /// SDP offer.
    pub offer: Vec<u8>,
    /// How to answer a challenge; `None` if the carrier knows us by address.
    pub credentials: Option<Credentials>,
}

/// Why no INVITE was sent.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// One of the parties cannot be written as a SIP address.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// As many dialogs as the stack holds are alive.
    #[error("{0} dialogs are alive, which is the bound")]
    Full(usize),
    /// A dialog of this `Call-ID` is alive.
    #[error("a dialog {0} is alive already")]
    Duplicate(String),
    /// The stack refused the message before sending it.
    #[error("the INVITE could not be built: {0}")]
    Build(String),
}

/// What a dialog tells its call.
#[derive(Debug)]
pub enum SipEvent {
    /// Provisional response above 100.
    Provisional(u16),
    /// 2xx, which was acknowledged: media may flow.
    Answered {
        /// The far end's SDP; of a call that a carrier began, what its ACK held.
        answer: Vec<u8>,
        /// Enough to end the dialog from another process.
        dialog: Box<StoredDialog>,
    },
    /// Final failure from the carrier.
    Refused(u16),
    /// No final response came; to a call that a carrier began, no ACK.
    Silent,
    /// BYE from the far end, answered; or CANCEL, before our answer.
    FarHangUp,
    /// Our CANCEL or BYE is settled, or given up.
    Closed {
        /// A response from the carrier says so.
        confirmed: bool,
    },
    /// A refresh of the session failed or none came in time (RFC 4028).
    SessionLost,
    /// The far end offers other media in the dialog; answer with SDP, or with `None` to refuse (488).
    Reoffered {
        /// Its SDP, or `None` if it asks for ours.
        offer: Option<Vec<u8>>,
        /// Where our SDP goes; dropping it refuses.
        answer: oneshot::Sender<Option<Vec<u8>>>,
    },
}

/// A dialog's identifiers and route, kept in the journal (RFC 3261, 12.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDialog {
    /// `Call-ID`.
    pub call_id: String,
    /// `From` with our tag.
    pub local: String,
    /// `To` with the far end's tag.
    pub remote: String,
    /// Request-URI of requests in the dialog.
    pub target: String,
    /// `Route` values, in order.
    pub routes: Vec<String>,
    /// Highest `CSeq` number that was used.
    pub cseq: u32,
    /// Where requests go if neither route nor target is an IP address.
    pub destination: SocketAddr,
}

/// What may be asked of a live dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialogCommand {
    Cancel,
    Bye,
}

/// Hold on a live dialog. Dropping it ends the dialog: by BYE if it is answered, else by CANCEL.
#[derive(Debug)]
pub struct DialogControl {
    commands: mpsc::Sender<DialogCommand>,
}

impl DialogControl {
    /// Sends CANCEL as soon as RFC 3261 allows; answered by `Refused`, `Answered` (they crossed) or `Closed`.
    pub fn cancel(&self) {
        self.command(DialogCommand::Cancel);
    }

    /// Sends BYE; answered by `Closed`.
    pub fn bye(&self) {
        self.command(DialogCommand::Bye);
    }

    /// The queue holds more commands than a call gives, so a full one repeats what is asked already.
    fn command(&self, command: DialogCommand) {
        let _ = self.commands.try_send(command);
    }
}

/// Timers of RFC 3261, 17. Shorter ones make tests quick; the ratio of the others to `t1` is the RFC's.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Offered session interval (RFC 4028), in whole seconds.
    pub session: Duration,
    /// Shortest interval that is agreed to; 90 s by the RFC.
    pub session_min: Duration,
}

impl Timers {
    /// How long an unanswered transaction is repeated: 64 times T1.
    pub const fn transaction(&self) -> Duration {
        Duration::from_nanos(self.t1.as_nanos() as u64 * 64)
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            session: Duration::from_secs(1_800),
            session_min: session::INTERVAL_MIN,
        }
    }
}
