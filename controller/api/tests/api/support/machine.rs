//! The state machine behind the API's ports.

use std::sync::Arc;

use busyhour_api::{
    Applied, Bring, Brought, MessageViews, Propose, ProposeError, Receipt, Views, WantedOptOuts,
};
use busyhour_base::{
    AccountSid, CallEvent, Direction, Ending, MessageSpec, Outcome, Reason, Span, Timestamp,
};
use busyhour_controller_core::{
    State,
    command::{AgentCommand, BatchCommand, CallReport, Command, Entry},
    effect::{Dial, Effect, Reply},
    forward::{About, Inquiry, Outlook},
    message::{
        AnsweredBy, Arrival, MessageCarrier, MessageCommand, MessageDeclaration, MessageId,
        MessageNumber, MessageView, OptOut, RemovedOptOut,
    },
    spec::{
        AgentIx, Application, BatchId, CallId, Carrier, Declaration, Excess, Limits, Number,
        NumberKind, Pace, Tenant, Throttle,
    },
    view::{
        AgentView, BatchView, CallView, CarrierView, Explanation, GroupView, LineFault, LineView,
        PoppersView, QueueView, Record, ShareView, TenantView, Totals,
    },
};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{A, APPLICATION_A, B, C, NOW, NUMBER_A, NUMBER_B};

/// Everything behind one lock.
pub struct Machine(Mutex<Inner>);

struct Inner {
    state: State,
    index: u64,
    at: Timestamp,
    agent: AgentIx,
    dials: Vec<Dial>,
    other: Vec<Effect>,
    /// The next proposals fail so.
    failing: Vec<ProposeError>,
    submits: Vec<usize>,
}

impl Machine {
    /// Two tenants at one call a second and a suspended one, a carrier with a hundred channels, an agent with room.
    pub fn new() -> Self {
        let mut inner = Inner {
            state: State::new(),
            index: 0,
            at: NOW,
            agent: AgentIx(0),
            dials: Vec::new(),
            other: Vec::new(),
            failing: Vec::new(),
            submits: Vec::new(),
        };
        inner.apply(Command::Declare(Box::new(declaration())));
        let up = AgentCommand::Up {
            name: "agent".into(),
            incarnation: 1,
            slots: 100,
            fence: 0,
            known: Vec::new(),
        };
        match inner.apply(Command::Agent(up)) {
            Reply::Agent { agent, .. } => inner.agent = agent,
            other => panic!("{other:?}"),
        }
        Self(Mutex::new(inner))
    }

    pub fn apply(&self, command: Command) -> Reply {
        self.0.lock().apply(command)
    }

    /// Lets time pass and gives what was dialled.
    pub fn pass(&self, span: Span) -> Vec<Dial> {
        let mut inner = self.0.lock();
        inner.at = inner.at + span;
        inner.apply(Command::Tick);
        std::mem::take(&mut inner.dials)
    }

    /// What was dialled since it was last asked.
    pub fn dials(&self) -> Vec<Dial> {
        std::mem::take(&mut self.0.lock().dials)
    }

    /// What else was asked of the outside.
    pub fn effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.0.lock().other)
    }

    /// How many calls each `Submit` held.
    pub fn submits(&self) -> Vec<usize> {
        self.0.lock().submits.clone()
    }

    /// The next proposals fail so, the last one first.
    pub fn fail(&self, errors: Vec<ProposeError>) {
        self.0.lock().failing = errors;
    }

    pub fn report(&self, dial: &Dial, event: CallEvent) {
        let agent = self.0.lock().agent;
        self.apply(Command::Reports(vec![CallReport {
            agent,
            call: dial.call,
            attempt: dial.attempt,
            heard_at: Timestamp::NEVER, // the entry's own instant
            event,
        }]));
    }

    /// Ends a call in the usual way.
    pub fn end(&self, dial: &Dial, outcome: Outcome) {
        let reason = match outcome {
            Outcome::Completed => Reason::Completed,
            Outcome::Busy => Reason::Busy,
            Outcome::NoAnswer => Reason::NoAnswer,
            Outcome::Failed => Reason::CarrierFailure,
            Outcome::Canceled => Reason::CanceledByTenant,
        };
        if outcome == Outcome::Completed {
            self.report(dial, CallEvent::Answered);
        }
        self.report(
            dial,
            CallEvent::Ended(Ending {
                outcome,
                reason,
                sip_code: if outcome == Outcome::Busy { 486 } else { 200 },
                ring: Span::from_millis(200),
                talk: if outcome == Outcome::Completed {
                    Span::from_millis(2_500)
                } else {
                    Span::ZERO
                },
                digits: "12#".to_owned(),
                confirmed: true,
            }),
        );
    }

    pub fn outbox(&self) -> Vec<Record> {
        self.0.lock().state.outbox(usize::MAX).cloned().collect()
    }

    /// Puts finished messages into the records, as the controller does. Answers how far.
    pub async fn record_messages(&self, records: &busyhour_records::Records) -> u64 {
        let rows: Vec<_> = self.read(|state| state.message_outbox(usize::MAX).cloned().collect());
        records.store_messages(&rows).await.unwrap();
        let through = rows.last().map_or(0, |row| row.seq);
        self.apply(Command::Message(MessageCommand::Recorded { through }));
        through
    }

    pub fn recorded(&self, through: u64) {
        self.apply(Command::Recorded { through });
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.lock().state)
    }
}

impl Inner {
    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        if let Command::Submit(submit) = &command {
            self.submits.push(submit.calls.len());
        }
        if let Command::Batch(BatchCommand::Take(lines)) = &command {
            self.submits.push(lines.requests.len());
        }
        let entry = Entry { index: self.index, at: self.at, command };
        let mut effects = Vec::new();
        let reply = self.state.apply(&entry, &mut effects);
        for effect in effects {
            match effect {
                Effect::Dial(dial) => self.dials.push(dial),
                Effect::Changed { .. } => {}
                other => self.other.push(other),
            }
        }
        self.state.check().unwrap();
        reply
    }
}

pub fn declaration() -> Declaration {
    let tenant = |account, name: &str, suspended| Tenant {
        account,
        name: name.into(),
        limits: Limits {
            throttle: Some(Throttle { spacing: Span::from_secs(1) }),
            caps: Vec::new(),
            excess: Excess::Schedule,
            queue_max: if account == B { 20_000 } else { 5_000 },
            wait_max: Span::from_secs(86_400),
            ..Limits::default()
        },
        shares: Vec::new(),
        applications: [(A, APPLICATION_A)]
            .into_iter()
            .filter(|(owner, _)| *owner == account)
            .map(|(_, sid)| Application { sid, pace: Pace::default() })
            .collect(),
        suspended,
    };
    Declaration {
        tenants: vec![
            tenant(A, "alpha", false),
            tenant(B, "beta", false),
            tenant(C, "gamma", true),
        ],
        carriers: vec![Carrier::new("north", 100, Span::from_millis(10))],
        numbers: vec![Number {
            number: NUMBER_A.into(),
            account: A,
            kind: NumberKind::Local,
            pace: Pace::default(),
        }],
        messages: MessageDeclaration {
            numbers: vec![number(A, NUMBER_A), number(B, NUMBER_B)],
            carriers: vec![MessageCarrier {
                name: "text".into(),
                outbound: 100,
                inbound: 100,
                segment_spacing: Span::ZERO,
                delivery_reports: true,
            }],
            ..MessageDeclaration::default()
        },
        ..Declaration::default()
    }
}

/// One segment a second.
fn number(account: AccountSid, number: &str) -> MessageNumber {
    let throttle = Some(Throttle { spacing: Span::from_secs(1) });
    MessageNumber { account, number: number.into(), throttle, caps: Vec::new() }
}

impl MessageViews for Machine {
    fn explain_message(&self, message: MessageId) -> Option<Explanation> {
        self.read(|state| state.explain_message(message))
    }

    fn segments_max(&self, account: AccountSid, number: &str) -> Option<u32> {
        self.read(|state| state.message_segments_max(account, number))
    }

    fn message(&self, message: MessageId) -> Option<MessageView> {
        self.read(|state| state.message(message))
    }

    fn messages_of(
        &self,
        account: AccountSid,
        before: Option<MessageId>,
        max: usize,
    ) -> Vec<MessageView> {
        self.read(|state| state.messages_of(account, before).take(max).collect())
    }

    fn opt_outs_of(&self, account: AccountSid, wanted: &WantedOptOuts, max: usize) -> Vec<OptOut> {
        self.read(|state| wanted.of(state, account, max))
    }

    fn removed_opt_outs_of(
        &self,
        account: AccountSid,
        before: u64,
        max: usize,
    ) -> Vec<RemovedOptOut> {
        self.read(|state| state.removed_opt_outs_of(account, before).take(max).cloned().collect())
    }
}

/// One carrier brings messages, to the first tenant's number.
impl Bring for Machine {
    fn bring(&self, carrier: Arc<str>, brought: Brought) -> BoxFuture<'static, Option<Receipt>> {
        let receipt = if *carrier != *"text" {
            Receipt::Refused(Reason::CarrierUndeclared)
        } else if brought.to != NUMBER_A {
            Receipt::Refused(Reason::UnknownNumber)
        } else {
            let Brought { reference, from, to, body } = brought;
            let direction = Direction::Inbound;
            let spec = MessageSpec { to, from, direction, status_callback: None };
            let arrival = Arrival {
                account: A,
                carrier,
                reference,
                spec: Arc::new(spec),
                body,
                answers: true,
                answered_by: AnsweredBy::default(),
            };
            let arrived = Command::Message(MessageCommand::Arrived(vec![arrival]));
            match self.apply(arrived) {
                Reply::Messages(verdicts) => match verdicts[0] {
                    Ok(accepted) => Receipt::Taken(A, accepted),
                    Err(reason) => Receipt::Later(reason),
                },
                other => panic!("{other:?}"),
            }
        };
        Box::pin(std::future::ready(Some(receipt)))
    }
}

impl Propose for Machine {
    fn propose(&self, command: Command) -> BoxFuture<'static, Result<Applied, ProposeError>> {
        Box::pin(std::future::ready(self.submit(command)))
    }
}

impl Machine {
    fn submit(&self, command: Command) -> Result<Applied, ProposeError> {
        let mut inner = self.0.lock();
        if let Some(error) = inner.failing.pop() {
            return Err(error);
        }
        Ok(Applied { at: inner.at, reply: inner.apply(command) })
    }
}

impl Views for Machine {
    fn call(&self, call: CallId) -> Option<CallView> {
        self.read(|state| state.call(call))
    }

    fn calls_of(&self, account: AccountSid, before: Option<CallId>, max: usize) -> Vec<CallView> {
        self.read(|state| state.calls_of(account, before).take(max).collect())
    }

    fn explain(&self, call: CallId) -> Option<Explanation> {
        self.read(|state| state.explain(call))
    }

    fn outlook(&self, now: Timestamp) -> Option<Outlook> {
        self.read(|state| state.outlook(now))
    }

    fn message_outlook(&self, now: Timestamp) -> Option<Outlook> {
        self.read(|state| state.message_outlook(now))
    }

    fn inquire(&self, about: &About, now: Timestamp) -> Option<Inquiry> {
        self.read(|state| state.inquire(about, now))
    }

    fn queues_of(&self, account: AccountSid) -> Vec<QueueView> {
        self.read(|state| state.queues_of(account).collect())
    }

    fn queues_for(&self, account: AccountSid, carrier: &str) -> Vec<QueueView> {
        self.read(|state| state.queues_for(account, carrier).collect())
    }

    fn batch(&self, batch: BatchId) -> Option<BatchView> {
        self.read(|state| state.batch(batch))
    }

    fn batches_of(
        &self,
        account: AccountSid,
        before: Option<BatchId>,
        max: usize,
    ) -> Vec<BatchView> {
        self.read(|state| {
            let older = |view: &BatchView| before.is_none_or(|before| view.batch < before);
            state.batches_of(account).filter(older).take(max).collect()
        })
    }

    fn batch_recorded(&self, batch: BatchId) -> bool {
        self.read(|state| state.batch_recorded(batch) == Some(true))
    }

    fn batch_faults(&self, batch: BatchId, after: u64, max: usize) -> Vec<(u64, LineFault)> {
        self.read(|state| {
            let faults = state.batch_faults(batch, after).take(max);
            faults.map(|(line, fault)| (line, fault.clone())).collect()
        })
    }

    fn busiest(&self, max: usize) -> Vec<TenantView> {
        self.read(|state| state.busiest(max))
    }

    fn tenant(&self, account: AccountSid) -> Option<TenantView> {
        self.read(|state| state.tenant_of(account))
    }

    fn tenant_named(&self, name: &str) -> Option<TenantView> {
        self.read(|state| state.tenant_named(name))
    }

    fn totals(&self) -> Totals {
        self.read(State::totals)
    }

    fn carriers(&self) -> Vec<CarrierView> {
        self.read(|state| state.carriers().collect())
    }

    fn groups(&self) -> Vec<GroupView> {
        self.read(|state| state.groups().collect())
    }

    fn lines(&self, max: usize) -> Vec<LineView> {
        self.read(|state| state.lines(max))
    }

    fn poppers(&self, max: usize) -> Vec<PoppersView> {
        self.read(|state| state.poppers(max))
    }

    fn shares_of(&self, account: AccountSid) -> Vec<ShareView> {
        self.read(|state| state.shares_of(account).collect())
    }

    fn agents(&self) -> Vec<AgentView> {
        self.read(|state| state.agents().collect())
    }
}
