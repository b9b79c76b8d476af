//! Calls that carriers offer: the controller is asked before anything is answered (MT-6, MT-9).

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use busyhour_agent_core::leg::given_up;
use busyhour_base::{CallEvent, Reason, Span};
use busyhour_protocol::{AnswerOrder, Refusal, v1};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::Instrument;

use super::{
    Job, Slot,
    driver::{Driver, Way},
    negotiation::Negotiation,
    offers::{Waiting, Word},
    prepare,
};
use crate::{
    metric_definitions as metric,
    node::Node,
    sip::{Arrival, ArrivalControl, SipEvent},
};

/// How long a call may ring at most, whatever the controller means to do: three minutes, as carriers do, and some more,
/// so that the controller is the first to end it.
const PATIENCE: Duration = Duration::from_secs(200);
/// Not acceptable here (RFC 3261, 21.4.26): no codec is common.
const NO_COMMON_CODEC: u16 = 488;

/// Takes calls in as they come, until the agent is gone.
pub async fn receive(node: Weak<Node>, mut arrivals: mpsc::Receiver<Arrival>) {
    while let Some(arrival) = arrivals.recv().await {
        let Some(node) = node.upgrade() else { return };
        let span = tracing::info_span!(
            parent: None, "inbound", carrier = %arrival.trunk.carrier, call_id = %arrival.call_id,
        );
        tokio::spawn(offer(node, arrival).instrument(span));
    }
}

/// Offers one call to the controller and does what it says.
async fn offer(node: Arc<Node>, arrival: Arrival) {
    let Arrival { trunk, to, from, call_id, offer, mut events, control } = arrival;
    if node.load().1 {
        return refuse(control, &Refusal::of(Reason::AgentDraining));
    }
    // Before the ledger is asked: a call that cannot be heard needs no channel.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let probe = Negotiation::new(nowhere, &trunk.codecs);
    if offer.is_some() && probe.reanswer(offer.as_deref()).is_none() {
        metric::arrival("no_common_codec");
        return control.refuse(NO_COMMON_CODEC, 0, None);
    }
    let carrier = trunk.carrier.clone();
    let draft = v1::Offer { offer: 0, carrier, to, from, sip_call_id: call_id };
    let Some(mut waiting) = node.offers.make(draft) else {
        return refuse(control, &Refusal::of(Reason::LinkLost));
    };
    let started = Instant::now();
    let verdict = decided(&node, &mut waiting, &mut events, &control, started).await;
    drop(waiting);
    match verdict {
        Verdict::Answer(order) => {
            let caller = Caller { offer, events, control, codecs: trunk.codecs, since: started };
            answer(&node, *order, caller).await;
        }
        Verdict::Refuse(refusal) => refuse(control, &refusal),
        Verdict::Gone => {}
    }
}

fn refuse(control: ArrivalControl, refusal: &Refusal) {
    tracing::info!(reason = %refusal.reason, status = refusal.sip_code, "refused");
    metric::arrival(refusal.reason.code());
    control.refuse(refusal.sip_code, refusal.retry_after_s, Some(refusal.reason));
}

enum Verdict {
    Answer(Box<AnswerOrder>),
    Refuse(Refusal),
    /// The caller has given up, and the controller knows.
    Gone,
}

/// Waits for the controller's word. A caller who gives up is reported as soon as the controller has said which call it is.
async fn decided(
    node: &Node,
    waiting: &mut Waiting<'_>,
    events: &mut mpsc::Receiver<SipEvent>,
    control: &ArrivalControl,
    started: Instant,
) -> Verdict {
    let (mut gone, mut taken_in) = (false, None);
    loop {
        tokio::select! {
            word = waiting.word() => match word {
                None => return Verdict::Refuse(Refusal::of(Reason::LinkLost)),
                Some(Word::Refuse(refusal)) if !gone => return Verdict::Refuse(refusal),
                Some(Word::Refuse(_)) => return Verdict::Gone,
                Some(Word::Answer(order)) if !gone => return Verdict::Answer(order),
                Some(Word::Answer(order)) => {
                    gave_up(node, order.call, order.attempt, started);
                    return Verdict::Gone;
                }
                Some(Word::Ring { call, attempt }) if gone => {
                    gave_up(node, call, attempt, started);
                    return Verdict::Gone;
                }
                Some(Word::Ring { call, attempt }) => {
                    taken_in = Some((call, attempt));
                    control.ring();
                }
            },
            // Of a call that is not answered, nothing else is told.
            _ = events.recv(), if !gone => {
                tracing::info!("the caller has given up");
                gone = true;
                if let Some((call, attempt)) = taken_in {
                    gave_up(node, call, attempt, started);
                    return Verdict::Gone;
                }
            }
            () = sleep_until(started + PATIENCE) => {
                return Verdict::Refuse(Refusal::of(Reason::Workers));
            }
        }
    }
}

/// Reports that a call's caller hung up before the answer.
fn gave_up(node: &Node, call: u64, attempt: u16, since: Instant) {
    let ring = Span(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    node.reports.push(call, attempt, &CallEvent::Ended(given_up(ring)));
}

/// What there is of a caller.
struct Caller {
    offer: Option<Vec<u8>>,
    events: mpsc::Receiver<SipEvent>,
    control: ArrivalControl,
    codecs: Vec<String>,
    /// When it began to call.
    since: Instant,
}

/// Lets the call run: its document decides whether it is answered. Follows it to its end.
async fn answer(node: &Arc<Node>, order: AnswerOrder, caller: Caller) {
    let mut job = Job::from(order);
    let name = (job.call, job.attempt);
    let fail = |control: ArrivalControl, reason: Reason| {
        metric::order(reason.code());
        refuse(control, &Refusal::of(reason));
        node.reports.push(name.0, name.1, &CallEvent::NotSent(reason));
    };
    if job.fence < node.journal.fence() {
        return fail(caller.control, Reason::Fenced);
    }
    let Ok(commands) = node.calls.admit(name) else {
        return fail(caller.control, Reason::AgentFull);
    };
    metric::order("accepted");
    metric::load(node.calls.in_use(), node.options.slots);
    let _slot = Slot { node: node.clone(), name };
    let (media, media_events) = match prepare::media(node) {
        Ok(media) => media,
        Err(reason) => return fail(caller.control, reason),
    };
    let negotiation = Negotiation::new(prepare::media_address(node, &media), &caller.codecs);
    let Some((agreed, sdp)) = negotiation.reanswer(caller.offer.as_deref()) else {
        return fail(caller.control, Reason::CarrierFailure);
    };
    if let Err(reason) = prepare::journal(node, &job).await {
        return fail(caller.control, reason);
    }
    // It has rung while it waited for room.
    let rung = Span(u64::try_from(caller.since.elapsed().as_micros()).unwrap_or(u64::MAX));
    job.spec.ring_timeout = Span(job.spec.ring_timeout.0.saturating_sub(rung.0));
    let offered = caller.offer.is_some();
    let way = Way::In { control: Some(caller.control), sdp, agreed, offered };
    let span = tracing::info_span!("call", sid = %job.call_sid);
    let driver = Driver::new(
        node.clone(),
        job,
        way,
        commands,
        caller.events,
        (media, media_events),
        negotiation,
    );
    driver.run().instrument(span).await;
}
