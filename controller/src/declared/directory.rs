//! What is declared, as the API and the orders to agents need it. Secrets stay on this side: they are
//! never part of what is proposed to the log.

use std::{collections::HashMap, sync::Arc};

use busyhour_api::{Account, Application, Directory, Number, Secret as ApiSecret};
use busyhour_base::{AccountSid, CallSpec, Direction, Instructions, Span, StatusEvents, Webhook};
use busyhour_crds::{
    Declared,
    kinds::{
        ApplicationSpec, CallbackEvent, CarrierMessages, CarrierSpec, Codec, Role, StatusCallback,
    },
};
use busyhour_protocol::{InboundTrunk, Secret, Trunk};

/// What an order to an agent carries beyond what the state machine knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct DialBook {
    /// Tokens that sign webhooks.
    pub tokens: HashMap<AccountSid, Secret>,
    /// Trunks by name of the carrier.
    pub trunks: HashMap<Arc<str>, Trunk>,
    /// Carriers that take messages, by name.
    pub message_carriers: HashMap<Arc<str>, CarrierMessages>,
    /// Networks beyond public space that webhooks may reach.
    pub allowed_networks: Vec<String>,
    /// Who may call in.
    pub callers: Vec<InboundTrunk>,
    /// Numbers that may be called, with what answers them.
    pub numbers: HashMap<String, Answering>,
}

/// What answers a number's calls (SP-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answering {
    /// Whose number it is.
    pub account: AccountSid,
    /// First document.
    pub voice: Webhook,
    /// Asked when the first fails.
    pub fallback: Option<Webhook>,
    /// Told of progress, and of which.
    pub status_callback: Option<(Webhook, StatusEvents)>,
    /// How long a call may ring for want of capacity.
    pub ring_for: Span,
}

/// Most that an inbound call lasts, as for calls that the API places (`calls.create`, TimeLimit).
const TIME_LIMIT: Span = Span::from_secs(14_400);

impl Answering {
    /// A call to this number.
    pub fn call(&self, to: String, from: String) -> CallSpec {
        let (hook, events) = self.status_callback.clone().unzip();
        CallSpec {
            to,
            from,
            instructions: Instructions::Url(self.voice.clone()),
            fallback: self.fallback.clone(),
            status_callback: hook,
            status_events: events.unwrap_or_default(),
            send_digits: None,
            ring_timeout: self.ring_for,
            time_limit: TIME_LIMIT,
            direction: Direction::Inbound,
        }
    }
}

impl DialBook {
    /// The number that a carrier means, in E.164, with what answers it. Carriers write it with and without its plus.
    pub fn answering(&self, called: &str) -> Option<(String, &Answering)> {
        let with_plus = || Some((format!("+{called}"), self.numbers.get(&format!("+{called}"))?));
        self.numbers.get(called).map(|found| (called.to_owned(), found)).or_else(with_plus)
    }
}

/// The orders' side of what is declared.
pub(crate) fn dial_book(declared: &Declared) -> DialBook {
    let tokens = declared.tenants.values().map(|tenant| {
        let token = Secret::new(tenant.token.reveal());
        (tenant.spec.account, token)
    });
    let trunks = declared.carriers.iter().map(|(name, carrier)| {
        let spec = &carrier.spec;
        let password = carrier.password.as_ref();
        let trunk = Trunk {
            carrier: name.clone(),
            address: spec.address.clone(),
            username: spec.username.clone(),
            password: password.map(|p| Secret::new(p.reveal())).unwrap_or_default(),
            codecs: codecs(spec),
        };
        (Arc::from(name.as_str()), trunk)
    });
    let message_carriers = declared.carriers.iter().filter_map(|(name, carrier)| {
        Some((Arc::from(name.as_str()), carrier.spec.messages.clone()?))
    });
    let routers = declared.pools.values().filter(|pool| pool.role == Role::Router);
    let mut allowed_networks: Vec<String> =
        routers.flat_map(|pool| pool.allowed_networks.iter().map(ToString::to_string)).collect();
    allowed_networks.sort();
    allowed_networks.dedup();
    DialBook {
        tokens: tokens.collect(),
        trunks: trunks.collect(),
        message_carriers: message_carriers.collect(),
        allowed_networks,
        callers: callers(declared),
        numbers: answering(declared),
    }
}

fn callers(declared: &Declared) -> Vec<InboundTrunk> {
    let calling = declared.carriers.iter().filter_map(|(name, carrier)| {
        let inbound = carrier.spec.inbound.as_ref()?;
        let asks = inbound.authenticate;
        let password = carrier.password.as_ref().filter(|_| asks);
        Some(InboundTrunk {
            carrier: name.clone(),
            networks: inbound.networks.clone(),
            username: carrier.spec.username.clone().filter(|_| asks),
            password: password.map(|p| Secret::new(p.reveal())).unwrap_or_default(),
            codecs: codecs(&carrier.spec),
        })
    });
    calling.collect()
}

fn answering(declared: &Declared) -> HashMap<String, Answering> {
    let numbers = declared.numbers.values().filter_map(|spec| {
        let account = declared.tenants.get(&spec.tenant)?.spec.account;
        let answers = declared.applications.get(spec.application.as_ref()?)?;
        let Application { voice, fallback, status_callback, .. } = application(account, answers);
        let ring_for = spec.ring_for.0;
        let answering = Answering { account, voice, fallback, status_callback, ring_for };
        Some((spec.number.clone(), answering))
    });
    numbers.collect()
}

fn codecs(spec: &CarrierSpec) -> Vec<String> {
    spec.codecs.iter().map(|codec| codec_name(*codec).to_owned()).collect()
}

/// The API's side of what is declared.
pub(crate) fn directory(declared: &Declared) -> Directory {
    let account_of = |tenant: &str| declared.tenants.get(tenant).map(|t| t.spec.account);
    let accounts = declared.tenants.iter().map(|(name, tenant)| {
        let account = Account {
            name: Arc::from(name.as_str()),
            token: ApiSecret::new(tenant.token.reveal()),
            suspended: tenant.spec.suspended,
            created: None,
            destinations: tenant.spec.allowed_destinations.clone(),
        };
        (tenant.spec.account, account)
    });
    let applications = declared.applications.values().filter_map(|spec| {
        let account = account_of(&spec.tenant)?;
        Some((spec.sid, application(account, spec)))
    });
    let numbers = declared.numbers.values().filter_map(|spec| {
        let account = account_of(&spec.tenant)?;
        Some((spec.number.clone(), Number { account, sid: None }))
    });
    Directory {
        accounts: accounts.collect(),
        keys: HashMap::new(),
        applications: applications.collect(),
        numbers: numbers.collect(),
    }
}

fn application(account: AccountSid, spec: &ApplicationSpec) -> Application {
    let voice = &spec.voice;
    Application {
        account,
        voice: Webhook { url: voice.url.clone(), method: voice.method.into() },
        fallback: voice
            .fallback_url
            .as_ref()
            .map(|url| Webhook { url: url.clone(), method: voice.fallback_method.into() }),
        status_callback: spec.status_callback.as_ref().map(|callback| {
            let hook = Webhook { url: callback.url.clone(), method: callback.method.into() };
            (hook, status_events(callback))
        }),
    }
}

fn status_events(callback: &StatusCallback) -> StatusEvents {
    let wants = |event| callback.events.contains(&event);
    StatusEvents {
        initiated: wants(CallbackEvent::Initiated),
        ringing: wants(CallbackEvent::Ringing),
        answered: wants(CallbackEvent::Answered),
        completed: wants(CallbackEvent::Completed),
    }
}

/// The name of a payload format in SDP.
fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
    }
}
