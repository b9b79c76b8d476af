//! The agent's end of the protocol, held by a test.

use std::{collections::VecDeque, net::SocketAddr};

use busyhour_base::{CallEvent, Ending, Outcome, Reason, Span};
use busyhour_protocol::{
    DialOrder,
    v1::{
        self, FromAgent,
        controller_client::ControllerClient,
        from_agent,
        to_agent::{self, Message},
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{CLUSTER_TOKEN, House, Running, within};

/// A connection to a controller.
pub struct Agent {
    out: mpsc::Sender<FromAgent>,
    incoming: Streaming<v1::ToAgent>,
    pub welcome: v1::Welcome,
    /// Who may call in, as it was told last.
    pub trunks: Vec<v1::InboundTrunk>,
    /// What the controller's clock has shown, in microseconds.
    pub clocks: Vec<u64>,
    /// Callbacks that came while an acknowledgement was waited for: those that are owed come when they like.
    owed: VecDeque<Message>,
    seq: u64,
}

/// A hello that a controller takes.
pub fn hello(name: &str) -> v1::Hello {
    v1::Hello {
        name: name.to_owned(),
        incarnation: 1,
        slots: 100,
        fence: 0,
        known: Vec::new(),
        token: CLUSTER_TOKEN.to_owned(),
    }
}

pub fn known(order: &DialOrder, live: bool) -> v1::JournalEntry {
    v1::JournalEntry { call: order.call, attempt: order.attempt.into(), live }
}

/// A call that was answered and ended with its carrier's word on it.
pub fn completed() -> Ending {
    Ending {
        outcome: Outcome::Completed,
        reason: Reason::Completed,
        sip_code: 200,
        ring: Span::from_millis(1_500),
        talk: Span::from_secs(7),
        digits: "42#".to_owned(),
        confirmed: true,
    }
}

/// A controller with the usual declaration, on a folder of its own, and an agent that is connected to it.
pub async fn up() -> (House, Running, Agent) {
    let house = House::new();
    let controller = house.start().await;
    let agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    (house, controller, agent)
}

impl Agent {
    /// Connects and says hello; the status if it is not welcome.
    pub async fn greet(address: SocketAddr, hello: v1::Hello) -> Result<Self, Status> {
        within("a welcome", async {
            let client = ControllerClient::connect(format!("http://{address}")).await;
            let (out, stream) = mpsc::channel(64);
            let mut agent = Self {
                incoming: client.unwrap().link(ReceiverStream::new(stream)).await?.into_inner(),
                out,
                welcome: v1::Welcome::default(),
                trunks: Vec::new(),
                clocks: Vec::new(),
                owed: VecDeque::new(),
                seq: 0,
            };
            agent.say(from_agent::Message::Hello(hello)).await;
            match agent.next().await? {
                Some(Message::Welcome(welcome)) => agent.welcome = welcome,
                other => panic!("expected a welcome: {other:?}"),
            }
            let fence = agent.welcome.fence;
            agent.say(from_agent::Message::FenceStored(v1::FenceStored { fence })).await;
            Ok(agent)
        })
        .await
    }

    pub async fn connect(address: SocketAddr, hello: v1::Hello) -> Self {
        Self::greet(address, hello).await.unwrap()
    }

    pub async fn say(&self, message: from_agent::Message) {
        // It fails when the controller has ended the stream, which the next read then tells.
        let _ = self.out.send(FromAgent { message: Some(message) }).await;
    }

    /// The next message, or how the stream ended. Who may call in and what the clock shows is kept aside.
    pub async fn next(&mut self) -> Result<Option<to_agent::Message>, Status> {
        match self.owed.pop_front() {
            Some(owed) => Ok(Some(owed)),
            None => self.newest().await,
        }
    }

    async fn newest(&mut self) -> Result<Option<to_agent::Message>, Status> {
        loop {
            let next = within("a message of the controller", self.incoming.message()).await?;
            match next.map(|message| message.message.expect("a message that we know")) {
                Some(Message::Trunks(trunks)) => self.trunks = trunks.trunks,
                Some(Message::Clock(clock)) => self.clocks.push(clock.sent_at_us),
                next => return Ok(next),
            }
        }
    }

    /// The next order to dial; acknowledgements on the way are passed over.
    pub async fn dial(&mut self) -> DialOrder {
        loop {
            match self.next().await.unwrap() {
                Some(Message::Dial(dial)) => return dial.try_into().unwrap(),
                Some(Message::Ack(_)) => {}
                other => panic!("expected a dial: {other:?}"),
            }
        }
    }

    /// A carrier offers a call.
    pub async fn offer(&self, offer: u64, to: &str) {
        let offer = v1::Offer {
            offer,
            carrier: "north".to_owned(),
            to: to.to_owned(),
            from: "+15557654321".to_owned(),
            sip_call_id: format!("{offer}@carrier"),
        };
        self.say(from_agent::Message::Offer(offer)).await;
    }

    /// What is next said of offers; acknowledgements on the way are passed over.
    pub async fn verdict(&mut self) -> Message {
        loop {
            match self.next().await.unwrap() {
                Some(Message::Ack(_)) => {}
                Some(message) => return message,
                None => panic!("expected a verdict"),
            }
        }
    }

    /// Reports in one message; returns the last sequence number.
    pub async fn report(&mut self, order: &DialOrder, events: &[CallEvent]) -> u64 {
        self.report_of(order.call, order.attempt, events).await
    }

    /// An entry of its journal about the first attempt of a call.
    pub fn entry(&self, call: u64, live: bool) -> v1::JournalEntry {
        v1::JournalEntry { call, attempt: 1, live }
    }

    /// The same of any call.
    pub async fn report_of(&mut self, call: u64, attempt: u16, events: &[CallEvent]) -> u64 {
        let mut reports = Vec::new();
        for event in events {
            self.seq += 1;
            reports.push(v1::Report {
                seq: self.seq,
                call,
                attempt: attempt.into(),
                event: Some(event.into()),
            });
        }
        self.say(from_agent::Message::Reports(v1::Reports { reports })).await;
        self.seq
    }

    /// Waits until everything up to this number is acknowledged; what may be forgotten. Callbacks on the way are kept.
    pub async fn acknowledged(&mut self, seq: u64) -> Vec<v1::JournalEntry> {
        let mut forget = Vec::new();
        loop {
            match self.newest().await.unwrap() {
                Some(callback @ Message::Callback(_)) => self.owed.push_back(callback),
                Some(Message::Ack(ack)) => {
                    forget.extend(ack.forget);
                    if ack.seq >= seq {
                        return forget;
                    }
                }
                other => panic!("expected an acknowledgement: {other:?}"),
            }
        }
    }

    /// Plays a call to its end.
    pub async fn carry_out(&mut self, order: &DialOrder) -> u64 {
        let events = [
            CallEvent::Sent,
            CallEvent::Ringing,
            CallEvent::Answered,
            CallEvent::Ended(completed()),
        ];
        self.report(order, &events).await
    }
}
