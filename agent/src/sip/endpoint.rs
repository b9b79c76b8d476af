//! The user agent: one socket, one stack, many dialogs.

use std::{io, net::SocketAddr, sync::Arc};

use busyhour_protocol::InboundTrunk;
use rsipstack::{
    sip::{Request, Transport, Uri},
    transaction::{
        Endpoint, EndpointBuilder,
        endpoint::{EndpointOption, MessageInspector, TargetLocator},
    },
    transport::{
        SipAddr, SipConnection, TransportLayer,
        udp::{UdpConnection, UdpInner},
    },
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{Dispatch, instrument::WithSubscriber};

use super::{
    Arrival, DialogControl, Invite, InviteError, SipEvent, SipStack, StoredDialog, Timers, dialog,
    gate::Gate,
    incoming,
    incoming::{Dialogs, Responder},
    message, socket,
    transaction::Sender,
    uri,
};

/// What the user agent needs to know.
#[derive(Clone, Debug)]
pub struct SipConfig {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Address that carriers reach us at, if it is not the one listened on.
    pub public: Option<SocketAddr>,
    /// Dialogs that may be alive at once; further INVITEs are refused before anything is made for them.
    pub dialogs_max: usize,
    /// Timers.
    pub timers: Timers,
    /// Where calls of carriers are told. Those that find it full are refused.
    pub arrivals: mpsc::Sender<Arrival>,
}

/// `rsipstack` behind [`SipStack`]. Dropping it closes the socket.
pub struct SipAgent {
    shared: Arc<Shared>,
    address: SocketAddr,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// What every dialog needs.
pub(super) struct Shared {
    pub sender: Sender,
    pub dialogs: Arc<Dialogs>,
    pub local: SocketAddr,
    pub timers: Timers,
    pub responder: Responder,
    pub gate: Gate,
}

/// Answers to the network's requests that may be under way at once.
const ANSWERS_MAX: usize = 8_192;

impl SipAgent {
    /// Binds the socket and starts to listen.
    ///
    /// # Errors
    /// What the operating system says about the address.
    pub async fn bind(config: SipConfig) -> io::Result<Self> {
        let socket = Arc::new(socket::bind(config.listen)?);
        let address = socket.local_addr()?;
        let local = public_address(address, config.public);
        let connection = connection(socket.clone(), local).await;
        let endpoint = endpoint(&connection, config.timers);
        let incoming = endpoint.incoming_transactions().map_err(io::Error::other)?;
        let dialogs = Arc::new(Dialogs::new(config.dialogs_max));
        let inner = endpoint.inner.clone();
        let shared = Arc::new(Shared {
            sender: Sender { endpoint: inner.clone(), connection: connection.clone() },
            dialogs: dialogs.clone(),
            local,
            timers: config.timers,
            responder: Responder::new(ANSWERS_MAX),
            gate: Gate::new(),
        });
        let timers = inner.clone();
        let tasks = vec![
            quietly(socket::read(socket, connection, inner, dialogs.clone())),
            quietly(async move { timers.process_timer().await }),
            quietly(incoming::dispatch(incoming, shared.clone(), config.arrivals)),
        ];
        Ok(Self { shared, address, _tasks: tasks })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dialogs that are alive.
    pub fn dialogs(&self) -> usize {
        self.shared.dialogs.len()
    }
}

impl SipStack for SipAgent {
    fn invite(
        &self,
        invite: Invite,
        events: mpsc::Sender<SipEvent>,
    ) -> Result<DialogControl, InviteError> {
        let to = uri::address("To", &invite.to, &invite.trunk)?;
        let from = uri::address("From", &invite.from, &self.shared.local.to_string())?;
        let target = Uri::try_from(to.as_str()).map_err(|e| InviteError::Build(e.to_string()))?;
        dialog::start(self.shared.clone(), invite, from, target, events)
    }

    fn let_in(&self, trunks: Vec<InboundTrunk>) {
        self.shared.gate.let_in(trunks);
    }

    fn end_stored(&self, dialog: StoredDialog) -> oneshot::Receiver<bool> {
        let (done, answer) = oneshot::channel();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let _ = done.send(dialog::end_stored(&shared, dialog).await);
        });
        answer
    }
}

/// Runs a part of the stack where nothing is logged: it prints whole messages, credentials included.
fn quietly(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future.with_subscriber(Dispatch::none())))
}

/// What we call ourselves in `Via` and `Contact`: as told, with the bound port if none was told.
fn public_address(bound: SocketAddr, public: Option<SocketAddr>) -> SocketAddr {
    match public {
        Some(public) if public.port() == 0 => SocketAddr::new(public.ip(), bound.port()),
        Some(public) => public,
        None if bound.ip().is_unspecified() => SipConnection::resolve_bind_address(bound),
        None => bound,
    }
}

async fn connection(socket: Arc<UdpSocket>, local: SocketAddr) -> SipConnection {
    let inner = UdpInner {
        conn: socket,
        addr: SipAddr { r#type: Some(Transport::Udp), addr: local.into() },
    };
    UdpConnection::attach(inner, Some(local), None).await.into()
}

fn endpoint(connection: &SipConnection, timers: Timers) -> Endpoint {
    let transport = TransportLayer::new(CancellationToken::new());
    transport.add_transport(connection.clone());
    EndpointBuilder::new()
        .with_user_agent(message::AGENT)
        .with_transport_layer(transport)
        .with_option(EndpointOption {
            t1: timers.t1,
            t2: timers.t1 * 8,
            t4: timers.t1 * 10,
            t1x64: timers.transaction(),
            // Ringing is bounded by the call's own time-out, at most 600 s (WIRE.md); this only backs it.
            timerc: std::time::Duration::from_secs(660),
            ..EndpointOption::default()
        })
        .with_target_locator(Box::new(AddressesOnly))
        .with_inspector(Box::new(MarkLocal))
        .build()
}

/// Finds where the ACK of a 2xx goes: to an IP address, or where the INVITE went. A name that the far end
/// chose is not resolved, nor is another transport than ours used because it asks for one.
struct AddressesOnly;

#[async_trait::async_trait]
impl TargetLocator for AddressesOnly {
    async fn locate(&self, uri: &Uri) -> rsipstack::Result<SipAddr> {
        let address = message::socket_address(uri)
            .ok_or_else(|| rsipstack::Error::Error("not an IP address".into()))?;
        Ok(SipAddr { r#type: Some(Transport::Udp), addr: address.into() })
    }
}

/// Marks responses that the stack makes up on a time-out, which have no source.
struct MarkLocal;

impl MessageInspector for MarkLocal {
    fn before_send(
        &self,
        message: rsipstack::sip::SipMessage,
        _: Option<&SipAddr>,
    ) -> rsipstack::sip::SipMessage {
        message
    }

    fn after_received(
        &self,
        mut message: rsipstack::sip::SipMessage,
        from: Option<&SipAddr>,
    ) -> rsipstack::sip::SipMessage {
        if let (rsipstack::sip::SipMessage::Response(response), None) = (&mut message, from) {
            message::mark_local(&mut response.headers);
        }
        message
    }
}

impl Shared {
    /// The next request of an established dialog.
    pub fn in_dialog(
        &self,
        dialog: &mut StoredDialog,
        method: rsipstack::sip::Method,
    ) -> Result<Request, rsipstack::sip::Error> {
        dialog.cseq += 1;
        let draft = message::Draft {
            target: Uri::try_from(dialog.target.as_str())?,
            from: &dialog.local,
            to: &dialog.remote,
            call_id: &dialog.call_id,
            cseq: dialog.cseq,
            routes: &dialog.routes,
            local: self.local,
        };
        Ok(draft.request(method))
    }
}
