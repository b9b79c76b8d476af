//! What is declared, as the API and the orders to agents need it. Secrets stay on this side: they are
//! never part of what is proposed to the log.

use std::{collections::HashMap, sync::Arc};

use busyhour_api::{Account, Application, Directory, Number, Secret as ApiSecret};
use busyhour_base::AccountSid;
use busyhour_crds::{
    Answering, Declared, Texting,
    kinds::{ApplicationSpec, CarrierMessages, CarrierSpec, Codec, Role},
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
    /// Every number, with who is asked about the messages to it.
    pub texting: HashMap<String, Texting>,
}

impl DialBook {
    /// The number that a carrier means, in E.164, with what answers it. Carriers write it with and without its plus.
    pub fn answering(&self, called: &str) -> Option<(String, &Answering)> {
        number(&self.numbers, called)
    }

    /// The number that a carrier means, in E.164, with who is asked about the messages to it.
    pub fn texting(&self, called: &str) -> Option<(String, &Texting)> {
        number(&self.texting, called)
    }
}

fn number<'a, T>(numbers: &'a HashMap<String, T>, called: &str) -> Option<(String, &'a T)> {
    let with_plus = || Some((format!("+{called}"), numbers.get(&format!("+{called}"))?));
    numbers.get(called).map(|found| (called.to_owned(), found)).or_else(with_plus)
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
        numbers: declared.answering(),
        texting: declared.texting(),
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
    Application {
        account,
        voice: spec.first_document(),
        fallback: spec.fallback(),
        status_callback: spec.told(),
    }
}

/// The name of a payload format in SDP.
fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
    }
}
