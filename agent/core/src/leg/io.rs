//! What goes into a leg and what comes out of it.

use busyhour_base::{AccountSid, CallEvent, CallSid, CallSpec, Instructions, Reason, Span};

pub use crate::errands::{AudioError, AudioSource, Document, FetchError, Request, Token};

/// An order to place one call, or to answer one that a carrier offers (its direction says which).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Public id, `CA...`.
    pub call_sid: CallSid,
    /// Public id of the tenant, `AC...`.
    pub account_sid: AccountSid,
    /// What was asked.
    pub spec: CallSpec,
}

/// What happens to a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The journal has the call: it may be dialled, or answered.
    Start,
    /// The first byte of the INVITE has left. Any response implies it; without one, it is what tells
    /// "never sent" from "in doubt".
    Sent,
    /// Provisional response, 100 included; 180 and 183 count as ringing.
    Provisional(u16),
    /// 2xx to the INVITE, or ACK of ours: media flows.
    Answered,
    /// Final failure to the INVITE, from the carrier.
    Refused(u16),
    /// Nothing can have been sent: a local failure before the first byte. After [`Input::Sent`] or a response
    /// it is taken for [`Input::Silent`].
    NotSent(Reason),
    /// No final response at all (transaction timeout, transport failure after sending); or no ACK of our 200, in which case
    /// the shell sends BYE by itself and says [`Input::Closed`].
    Silent,
    /// The far end hung up, or gave up before our 200 left.
    FarHangUp,
    /// Our BYE was confirmed, or given up (`confirmed` says which); or, after our CANCEL, the INVITE's
    /// transaction ended in a way that no other input describes.
    Closed {
        /// By a response from the carrier.
        confirmed: bool,
    },
    /// No media for longer than the bound.
    MediaLost,
    /// A webhook's answer.
    Fetched {
        /// Of which request.
        token: Token,
        /// What came.
        result: Result<Document, FetchError>,
    },
    /// Audio is ready to be played, or failed.
    Prepared {
        /// Which.
        token: Token,
        /// Its length, or why there is none.
        result: Result<Span, AudioError>,
    },
    /// Audio has been played to its end.
    Played {
        /// Which.
        token: Token,
    },
    /// The far end pressed a key.
    Digit(char),
    /// The tenant or the controller ends it.
    HangUp(Reason),
    /// Go on with another document.
    Redirect(Instructions),
    /// The time that [`Leg::wake_at`](super::Leg::wake_at) asked for has come. Early or needless ones do no harm.
    Timer,
}

/// What a leg asks of its shell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send the INVITE.
    Invite,
    /// The far end hears it ring (180), while the number's document is had.
    Ring,
    /// Answer the far end's INVITE with 200; answered by `Answered` (its ACK), `FarHangUp` or `Silent`.
    Answer,
    /// Refuse the far end's INVITE; not answered.
    Refuse {
        /// A final failure of SIP.
        status: u16,
        /// Why.
        reason: Reason,
    },
    /// Send CANCEL; answered by `Refused(487)`, `Answered` (they crossed) or `Closed`. Given only after a
    /// provisional response, as RFC 3261 section 9.1 demands.
    Cancel,
    /// Send BYE; answered by `Closed`.
    Bye,
    /// Ask a webhook; answered by `Fetched`.
    Fetch {
        /// Names the answer.
        token: Token,
        /// What to ask.
        request: Request,
    },
    /// Make audio ready; answered by `Prepared`.
    Prepare {
        /// Names the answer.
        token: Token,
        /// What.
        source: AudioSource,
    },
    /// Play what is ready from its start; answered by `Played`. The same token may be played again (loops).
    Play {
        /// Which.
        token: Token,
    },
    /// Stop playing at once; not answered. A `Played` that crosses it is ignored.
    StopPlaying,
    /// This audio is not needed any more, whether ready or still being made; not answered.
    Discard {
        /// Which.
        token: Token,
    },
    /// Send keys to the far end (RFC 4733); `w` is half a second of silence. Not answered: the leg waits for
    /// as long as [`keys_last`](crate::media::dtmf::keys_last) says.
    SendDigits(String),
    /// Tell the controller.
    Report(CallEvent),
    /// Tell the tenant, beside the call.
    Callback(Request),
    /// Warn the tenant (error codes such as 12200), as an event.
    Warn {
        /// Of the field's error catalogue.
        code: u16,
        /// What and where.
        message: String,
    },
    /// It is over and everything is told: forget the leg.
    End,
}
