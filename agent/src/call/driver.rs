//! One call, from its order to its end.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_agent_core::{
    digest::Credentials,
    journal::call_id,
    leg::{
        Action, AudioError, AudioSource, Document, FetchError, Input, Leg, Order, Request, Token,
    },
    sdp::Agreed,
    webhook::sign::Key,
};
use busyhour_base::{CallEvent, Reason};
use busyhour_protocol::DialOrder;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::sleep_until};
use tracing::{Instrument, Span};

use super::{
    CallCommand, Job,
    negotiation::Negotiation,
    prepare::{Ready, prepare},
};
use crate::{
    audio::Clip,
    media::{MediaEvent, MediaSession},
    metric_definitions as metric,
    node::Node,
    sip::{self, ArrivalControl, DialogControl, Invite, InviteError, SipEvent},
};

/// Part of an order's validity that is not used, for the time between our last look at it and the first byte.
const LEASE_GUARD: Duration = Duration::from_millis(20);
/// Status for a called party that cannot be written as a SIP address: nobody would take the call, so it ends as
/// if the carrier had said so (RFC 3261, 21.4.22: 484 Address Incomplete).
const UNWRITABLE: u16 = 484;

/// Work of a leg that is under way.
type Work = BoxFuture<'static, Done>;

/// What became of it.
pub(super) enum Done {
    Fetched(Token, Result<Document, FetchError>),
    Prepared(Token, Result<Clip, AudioError>),
}

/// Places the call when it is due, if it still may be, and follows it to its end.
pub async fn place(
    node: &Arc<Node>,
    order: DialOrder,
    ordered: Instant,
    mut commands: mpsc::Receiver<CallCommand>,
) {
    match prepare(node, &order, ordered, &mut commands).await {
        Ok(Ready { destination, media, media_events, negotiation }) => {
            let (sip_sender, sip_events) = mpsc::channel(sip::EVENTS_MAX);
            let job = Job::from(&order);
            let out = Out { order, ordered, destination, sip_sender: Some(sip_sender) };
            let way = Way::Out(Box::new(out));
            let media = (media, media_events);
            let driver =
                Driver::new(node.clone(), job, way, commands, sip_events, media, negotiation);
            driver.run().await;
        }
        Err(reason) => {
            tracing::info!(%reason, "not sent");
            metric::order(reason.code());
            node.journal.forget(order.call, order.attempt);
            let event = CallEvent::NotSent(reason);
            node.reports.push(order.call, order.attempt, &event);
        }
    }
}

/// Who began the call, and what its INVITE needs.
pub(super) enum Way {
    /// We did.
    Out(Box<Out>),
    /// A carrier did.
    In {
        /// Until it is answered.
        control: Option<ArrivalControl>,
        /// Our side of the SDP.
        sdp: Vec<u8>,
        /// Where the carrier's side wants audio, if its INVITE said so.
        agreed: Option<Agreed>,
        /// The carrier's side came with its INVITE; else it comes with the ACK.
        offered: bool,
    },
}

/// What our INVITE needs.
pub(super) struct Out {
    order: DialOrder,
    ordered: Instant,
    destination: std::net::SocketAddr,
    sip_sender: Option<mpsc::Sender<SipEvent>>,
}

/// A call at work.
pub(super) struct Driver {
    pub(super) node: Arc<Node>,
    pub(super) job: Job,
    pub(super) way: Way,
    key: Key,
    leg: Leg,
    commands: mpsc::Receiver<CallCommand>,
    sip_events: mpsc::Receiver<SipEvent>,
    dialog: Option<DialogControl>,
    pub(super) media: MediaSession,
    media_events: mpsc::Receiver<MediaEvent>,
    pub(super) negotiation: Negotiation,
    work: FuturesUnordered<Work>,
    pub(super) wanted: HashSet<Token>,
    pub(super) clips: HashMap<Token, Clip>,
    pub(super) inputs: VecDeque<Input>,
    pub(super) inviting: Option<Span>,
    pub(super) playing: Option<Span>,
}

impl Driver {
    pub(super) fn new(
        node: Arc<Node>,
        job: Job,
        way: Way,
        commands: mpsc::Receiver<CallCommand>,
        sip_events: mpsc::Receiver<SipEvent>,
        (media, media_events): (MediaSession, mpsc::Receiver<MediaEvent>),
        negotiation: Negotiation,
    ) -> Self {
        let leg = Leg::new(Order {
            call_sid: job.call_sid,
            account_sid: job.account,
            spec: job.spec.clone(),
        });
        Self {
            key: Key::new(job.auth_token.expose().to_owned()),
            leg,
            node,
            job,
            way,
            commands,
            sip_events,
            dialog: None,
            media,
            media_events,
            negotiation,
            work: FuturesUnordered::new(),
            wanted: HashSet::new(),
            clips: HashMap::new(),
            inputs: VecDeque::from([Input::Start]),
            inviting: None,
            playing: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                if self.handle(input).is_break() {
                    return;
                }
            }
            let wake = self.leg.wake_at().map(|at| self.node.clock.instant(at));
            let at = tokio::time::Instant::from_std(wake.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(event) = self.sip_events.recv() => self.take_sip(event),
                Some(event) = self.media_events.recv() => self.take_media(event),
                Some(done) = self.work.next(), if !self.work.is_empty() => self.take_done(done),
                Some(command) = self.commands.recv() => self.inputs.push_back(match command {
                    CallCommand::HangUp(reason) => Input::HangUp(reason),
                    CallCommand::Redirect(instructions) => Input::Redirect(instructions),
                }),
                () = sleep_until(at), if wake.is_some() => self.inputs.push_back(Input::Timer),
            }
        }
    }

    /// Gives the leg one input and carries out everything that it then asks.
    fn handle(&mut self, input: Input) -> ControlFlow<()> {
        tracing::trace!(?input, phase = ?self.leg.phase(), "input");
        self.leg.handle(self.node.clock.now(), input);
        while let Some(action) = self.leg.poll() {
            self.act(action)?;
        }
        ControlFlow::Continue(())
    }

    fn act(&mut self, action: Action) -> ControlFlow<()> {
        match action {
            Action::Invite => self.invite(),
            Action::Ring => self.ring(),
            Action::Answer => self.answer(),
            Action::Refuse { status, reason } => self.refuse(status, reason),
            Action::Cancel => self.dialog.iter().for_each(DialogControl::cancel),
            Action::Bye => self.dialog.iter().for_each(DialogControl::bye),
            Action::Fetch { token, request } => self.fetch(token, request),
            Action::Prepare { token, source } => self.prepare(token, source),
            Action::Play { token } => self.play(token),
            Action::StopPlaying => {
                self.playing = None;
                self.media.stop();
            }
            Action::Discard { token } => {
                self.wanted.remove(&token);
                self.clips.remove(&token);
            }
            Action::SendDigits(keys) => self.media.send_keys(&keys),
            Action::Report(event) => self.report(&event),
            Action::Callback(request) => {
                self.node.callbacks.send(self.job.call_sid.into(), request, self.key.clone());
            }
            Action::Warn { code, message } => {
                metric::warning(code);
                tracing::warn!(code, message, "warning about the tenant's document");
            }
            Action::End => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// The last look at lease and fence is right before the first byte (RELIABILITY.md, protocol 4).
    fn invite(&mut self) {
        let Way::Out(out) = &mut self.way else {
            return self.not_sent(Reason::CarrierFailure);
        };
        let due = out.ordered + Duration::from(out.order.due_in);
        let valid = Duration::from(out.order.valid_for).saturating_sub(LEASE_GUARD);
        if self.job.fence < self.node.journal.fence() {
            return self.not_sent(Reason::Fenced);
        }
        if out.ordered.elapsed() > valid {
            return self.not_sent(Reason::LeaseExpired);
        }
        let Some(events) = out.sip_sender.take() else {
            return self.not_sent(Reason::CarrierFailure);
        };
        let trunk = &out.order.trunk;
        let invite = Invite {
            call_id: call_id(self.job.call_sid, self.job.attempt.into(), &self.node.options.name),
            destination: out.destination,
            trunk: trunk.address.clone(),
            to: self.job.spec.to.clone(),
            from: self.job.spec.from.clone(),
            offer: self.negotiation.offer(),
            credentials: trunk.username.as_ref().map(|username| Credentials {
                username: username.clone(),
                password: trunk.password.expose().to_owned(),
            }),
        };
        let span =
            tracing::info_span!("invite", carrier = %trunk.carrier, status = tracing::field::Empty);
        match self.node.sip.invite(invite, events) {
            Ok(dialog) => {
                metric::dial_lateness(due.elapsed());
                self.inviting = Some(span);
                self.dialog = Some(dialog);
                self.inputs.push_back(Input::Sent);
            }
            Err(InviteError::Uri(error)) => {
                tracing::warn!(%error, "the call cannot be placed");
                self.inputs.push_back(Input::Refused(UNWRITABLE));
            }
            Err(error) => {
                tracing::error!(%error, "the INVITE was not sent");
                self.not_sent(Reason::AgentFull);
            }
        }
    }

    fn ring(&self) {
        if let Way::In { control: Some(control), .. } = &self.way {
            control.ring();
        }
    }

    fn refuse(&mut self, status: u16, reason: Reason) {
        if let Way::In { control, .. } = &mut self.way
            && let Some(control) = control.take()
        {
            metric::arrival(reason.code());
            control.refuse(status, 0, Some(reason));
        }
    }

    fn answer(&mut self) {
        let Way::In { control, sdp, agreed, .. } = &mut self.way else {
            return self.not_sent(Reason::CarrierFailure);
        };
        if let Some(agreed) = agreed.take() {
            self.media.connect(agreed);
        }
        // A caller who has given up is told by the dialog's last event.
        self.dialog = control.take().map(|control| control.answer(std::mem::take(sdp)));
    }

    fn not_sent(&mut self, reason: Reason) {
        self.inputs.push_back(Input::NotSent(reason));
    }

    fn fetch(&mut self, token: Token, request: Request) {
        let (http, key) = (self.node.http.clone(), self.key.clone());
        let span = tracing::info_span!("fetch", url = %without_query(&request.url));
        let work = async move { Done::Fetched(token, http.document(&request, &key).await) };
        self.work.push(work.instrument(span).boxed());
    }

    fn prepare(&mut self, token: Token, source: AudioSource) {
        self.wanted.insert(token);
        let (node, key, account) = (self.node.clone(), self.key.clone(), self.job.account);
        let work = match source {
            AudioSource::Say { text, voice, .. } => {
                let span = tracing::info_span!("say", characters = text.len());
                async move { Done::Prepared(token, node.speech.say(&text, &voice).await) }
                    .instrument(span)
                    .boxed()
            }
            AudioSource::Play { url } => {
                let span = tracing::info_span!("load_audio", url = %without_query(&url));
                async move { Done::Prepared(token, node.audio.get(account, &url, &key).await) }
                    .instrument(span)
                    .boxed()
            }
        };
        self.work.push(work);
    }

    fn play(&mut self, token: Token) {
        match self.clips.get(&token) {
            Some(clip) => {
                self.playing = Some(tracing::info_span!("play", ms = clip.span().as_millis()));
                self.media.play(token, clip.clone());
            }
            // The leg asks only for what it was told is ready.
            None => self.inputs.push_back(Input::Played { token }),
        }
    }

    fn report(&mut self, event: &CallEvent) {
        let (call, attempt) = (self.job.call, self.job.attempt);
        match event {
            CallEvent::NotSent(reason) => {
                metric::order(reason.code());
                self.node.journal.forget(call, attempt);
            }
            CallEvent::Ended(ending) => {
                self.node.journal.ended(call, attempt, ending);
                metric::ended(ending.outcome.as_str());
                tracing::info!(
                    outcome = ending.outcome.as_str(),
                    reason = %ending.reason,
                    status = ending.sip_code,
                    talk_ms = ending.talk.as_millis(),
                    "ended"
                );
            }
            CallEvent::Sent | CallEvent::Ringing | CallEvent::Answered => {}
        }
        self.node.reports.push(call, attempt, event);
    }
}

/// A URL without what may hold a caller's data.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
