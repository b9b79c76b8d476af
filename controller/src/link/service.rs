//! The gRPC service that agents connect to.

use std::{pin::Pin, sync::Arc};

use busyhour_protocol::{Secret, v1};
use futures::Stream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{Links, Outgoing, QUEUE_MAX, session};
use crate::{declared::DialBook, proposer::Proposer};

/// Most connections at once, with those that have not said who they are. One more is turned away.
const CONNECTIONS_MAX: usize = 4_096;

/// What every connection works with.
#[derive(Clone)]
pub(crate) struct LinkService(Arc<Shared>);

pub(super) struct Shared {
    pub links: Links,
    pub proposer: Proposer,
    pub dial_book: watch::Receiver<Arc<DialBook>>,
    pub cluster_token: Secret,
    /// What became of webhooks that agents were asked to tell.
    pub told: mpsc::Sender<v1::Told>,
    /// What applications answered about messages.
    pub answered: mpsc::Sender<v1::Answered>,
    pub shutdown: CancellationToken,
    pub names: session::Names,
    /// Connections that have yet to say their last word to the state machine.
    sessions: TaskTracker,
    room: Arc<Semaphore>,
}

impl LinkService {
    pub(crate) fn new(
        links: Links,
        proposer: Proposer,
        dial_book: watch::Receiver<Arc<DialBook>>,
        cluster_token: Secret,
        (told, answered): (mpsc::Sender<v1::Told>, mpsc::Sender<v1::Answered>),
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            links,
            proposer,
            dial_book,
            cluster_token,
            told,
            answered,
            shutdown,
            names: session::Names::default(),
            sessions: TaskTracker::new(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }))
    }

    /// Completes when every connection has ended.
    pub(crate) async fn ended(&self) {
        self.0.sessions.close();
        self.0.sessions.wait().await;
    }
}

#[tonic::async_trait]
impl v1::controller_server::Controller for LinkService {
    type LinkStream = Pin<Box<dyn Stream<Item = Outgoing> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<v1::FromAgent>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let Ok(room) = self.0.room.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many connections of agents"));
        };
        let shared = self.0.clone();
        let incoming = request.into_inner();
        let (out, stream) = mpsc::channel(QUEUE_MAX);
        self.0.sessions.spawn(async move {
            session::run(&shared, incoming, out).await;
            drop(room);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
