//! Who may call in: a source's network tells its carrier, and a carrier may have to show that it knows a password.

use std::{net::SocketAddr, time::Instant};

use busyhour_agent_core::digest::{Denied, Server};
use busyhour_base::{Span, Timestamp};
use busyhour_protocol::InboundTrunk;
use parking_lot::RwLock;
use rsipstack::sip::{Header, Request, prelude::HasHeaders};

/// What carriers are asked to authenticate for.
const REALM: &str = "busyhour";
/// How long a challenge may be answered.
const NONCE_LIFETIME: Span = Span::from_secs(30);

/// Carriers that call in. Nobody does until [`Gate::let_in`].
pub struct Gate {
    trunks: RwLock<Vec<InboundTrunk>>,
    digest: Server,
    started: Instant,
}

/// What becomes of a request at the gate.
#[derive(Debug)]
pub enum Judged {
    /// It is this carrier's.
    Welcome(Box<InboundTrunk>),
    /// It must show a password first: the headers of the challenge.
    Challenged(Vec<Header>),
    /// It comes from nowhere that a carrier calls in from, or its password is wrong.
    Stranger,
}

impl Gate {
    /// A gate that lets nobody in.
    pub fn new() -> Self {
        Self {
            trunks: RwLock::default(),
            digest: Server::new(REALM, rand::random(), NONCE_LIFETIME),
            started: Instant::now(),
        }
    }

    /// These carriers may call in from now on, and no others.
    pub fn let_in(&self, trunks: Vec<InboundTrunk>) {
        *self.trunks.write() = trunks;
    }

    /// Judges an INVITE that came from `source`.
    pub fn judge(&self, source: SocketAddr, request: &Request) -> Judged {
        let ip = source.ip().to_canonical();
        let trunks = self.trunks.read();
        let from_here = |trunk: &&InboundTrunk| trunk.networks.iter().any(|n| n.contains(&ip));
        let Some(trunk) = trunks.iter().find(from_here) else { return Judged::Stranger };
        let welcome = || Judged::Welcome(Box::new(trunk.clone()));
        let Some(username) = &trunk.username else { return welcome() };
        let shown = request.headers().iter().find_map(|h| match h {
            Header::Authorization(value) => Some(value.value()),
            _ => None,
        });
        let Some(shown) = shown else { return self.challenge(false) };
        let password_of =
            |user: &str| (user == username).then(|| trunk.password.expose().to_owned());
        let (now, uri) = (self.now(), request.uri.to_string());
        match self.digest.verify(now, shown, "INVITE", &uri, password_of) {
            Ok(_) => welcome(),
            Err(Denied::Stale) => self.challenge(true),
            Err(Denied::Foreign) => self.challenge(false),
            Err(Denied::Header(_) | Denied::Wrong) => Judged::Stranger,
        }
    }

    fn challenge(&self, stale: bool) -> Judged {
        let challenges = self.digest.challenges(self.now(), stale);
        Judged::Challenged(challenges.map(|value| Header::WwwAuthenticate(value.into())).into())
    }

    /// Time since the start: nonces are good for this process only.
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use busyhour_agent_core::digest::{Challenge, Client, Credentials};
    use busyhour_protocol::Secret;

    use super::*;

    const FROM: &str = "192.0.2.7:5060";

    fn invite(shown: Option<String>) -> Request {
        let mut request = Request::try_from(
            "INVITE sip:+15550100001@192.0.2.1:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKx\r\n\
             From: <sip:+1@192.0.2.7>;tag=a\r\nTo: <sip:+15550100001@192.0.2.1>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        )
        .unwrap();
        let shown = shown.map(|value| Header::Authorization(value.into()));
        request.headers.extend(shown.into_iter().collect());
        request
    }

    fn gate(username: Option<&str>) -> Gate {
        let gate = Gate::new();
        gate.let_in(vec![InboundTrunk {
            carrier: "north".to_owned(),
            networks: vec!["192.0.2.0/28".parse().unwrap()],
            username: username.map(str::to_owned),
            password: Secret::new("hunter2"),
            codecs: vec!["PCMU".to_owned()],
        }]);
        gate
    }

    /// What a carrier of this name and password would show.
    fn shown(gate: &Gate, username: &str, password: &str) -> String {
        let Judged::Challenged(headers) = gate.judge(FROM.parse().unwrap(), &invite(None)) else {
            panic!("it is asked")
        };
        let values = headers.iter().filter_map(|h| match h {
            Header::WwwAuthenticate(value) => Some(value.value()),
            _ => None,
        });
        let mut client = Client::new(Challenge::choose(values).unwrap());
        let (username, password) = (username.to_owned(), password.to_owned());
        let who = Credentials { username, password };
        client.authorize(&who, "INVITE", &invite(None).uri.to_string(), "abc")
    }

    #[test]
    fn a_network_tells_the_carrier_and_nobody_else_is_let_in() {
        let judged = |gate: &Gate, from: &str| gate.judge(from.parse().unwrap(), &invite(None));
        assert!(matches!(judged(&Gate::new(), FROM), Judged::Stranger));
        assert!(matches!(judged(&gate(None), FROM), Judged::Welcome(_)));
        assert!(matches!(judged(&gate(None), "[::ffff:192.0.2.7]:5060"), Judged::Welcome(_)));
        assert!(matches!(judged(&gate(None), "192.0.2.16:5060"), Judged::Stranger));
    }

    #[test]
    fn where_a_password_is_wanted_only_the_right_one_lets_in() {
        let gate = gate(Some("north"));
        let judged = |shown| gate.judge(FROM.parse().unwrap(), &invite(Some(shown)));
        assert!(matches!(judged(shown(&gate, "north", "hunter2")), Judged::Welcome(_)));
        assert!(matches!(judged(shown(&gate, "north", "hunter3")), Judged::Stranger));
        assert!(matches!(judged(shown(&gate, "south", "hunter2")), Judged::Stranger));
        let other = super::tests::gate(Some("north"));
        let foreign = shown(&other, "north", "hunter2");
        assert!(matches!(judged(foreign), Judged::Challenged(_)), "another's challenge");
    }
}
