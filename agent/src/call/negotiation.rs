//! Our side of the offer and answer of one call (RFC 3264).

use std::net::SocketAddr;

use busyhour_agent_core::{
    media::g711::Law,
    sdp::{Agreed, Local, SdpError},
};

/// What we offered, and what came of it.
pub struct Negotiation {
    local: Local,
}

impl Negotiation {
    /// We receive at `address` and speak what the trunk's list names, in its order; of a list without anything
    /// that we speak, mu-law and A-law are offered, which every carrier has.
    pub fn new(address: SocketAddr, codecs: &[String]) -> Self {
        let mut laws: Vec<Law> = codecs.iter().filter_map(|name| law(name)).collect();
        laws.dedup();
        if laws.is_empty() {
            laws = vec![Law::Mu, Law::A];
        }
        Self {
            local: Local {
                address: address.ip(),
                port: address.port(),
                laws,
                session: u64::from(rand::random::<u32>()),
            },
        }
    }

    /// Our offer.
    pub fn offer(&self) -> Vec<u8> {
        self.local.offer().into_bytes()
    }

    /// Judges the answer to it.
    ///
    /// # Errors
    /// [`SdpError`]: no media can flow.
    pub fn take_answer(&self, answer: &[u8]) -> Result<Agreed, SdpError> {
        self.local.accept(answer)
    }

    /// Answers an offer of the far end within the call, or repeats ours if it asks for one. `None` refuses.
    pub fn reanswer(&self, offer: Option<&[u8]>) -> Option<(Option<Agreed>, Vec<u8>)> {
        match offer {
            None => Some((None, self.offer())),
            Some(offer) => {
                let (answer, agreed) = self.local.answer(offer).ok()?;
                Some((Some(agreed), answer.into_bytes()))
            }
        }
    }
}

fn law(name: &str) -> Option<Law> {
    match name.trim().to_ascii_uppercase().as_str() {
        "PCMU" => Some(Law::Mu),
        "PCMA" => Some(Law::A),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trunks_list_gives_the_order() {
        let address = "192.0.2.1:4000".parse().unwrap();
        let laws = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            Negotiation::new(address, &names).local.laws
        };
        assert_eq!(laws(&["pcma", "G729", "PCMU"]), [Law::A, Law::Mu]);
        assert_eq!(laws(&["opus"]), [Law::Mu, Law::A]);
    }

    #[test]
    fn an_offer_in_the_call_is_answered_or_refused() {
        let negotiation = Negotiation::new("192.0.2.1:4000".parse().unwrap(), &["PCMU".into()]);
        let far = Negotiation::new("192.0.2.9:5000".parse().unwrap(), &["PCMU".into()]);
        let (agreed, _) = negotiation.reanswer(Some(&far.offer())).unwrap();
        assert_eq!(agreed.unwrap().remote, "192.0.2.9:5000".parse().unwrap());
        assert!(negotiation.reanswer(None).unwrap().0.is_none());
        assert!(negotiation.reanswer(Some(b"v=0 nonsense")).is_none());
    }
}
