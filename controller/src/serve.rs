//! The API's connections, each on one of a few threads for as long as it lasts.
//!
//! A request is a few microseconds of work between a read and a write. Threads that take work from one another, as those of the
//! async runtime for everything else do, would wake one another for it all the time; these have a runtime each, and a
//! connection goes to the one that has the fewest.

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use axum::{Router, serve::Listener};
use futures::{
    future::FutureExt as _,
    stream::{FuturesUnordered, StreamExt as _},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::unconstrained,
};
use tokio_util::sync::CancellationToken;

use crate::proposer::lay_on_this_thread;

/// Connections on their way to a thread. Behind them new ones wait with the kernel.
const ON_THEIR_WAY: usize = 64;

/// So many more threads than processors. With as many, those of one thread wait whose processor has the log's thread too, or
/// whatever else runs; with one more none is far behind the others.
const MORE: usize = 1;

/// Serves the API until told to stop, and then until every request in progress is answered. Dropping this cuts them off.
///
/// What its threads propose waits until `hand_in` is called, which each does before it sleeps: all that it has read goes to
/// the log at once.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    hand_in: impl Fn() + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<(), String> {
    let cut_off = CancellationToken::new();
    let _cut_off = cut_off.clone().drop_guard();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let desk = |n| Desk::start(n, router.clone(), hand_in.clone(), stop.clone(), cut_off.clone());
    let desks: io::Result<Vec<_>> = (0..processors + MORE).map(desk).collect();
    let desks = desks.map_err(|error| error.to_string())?;
    while let Some((stream, _)) = stop.run_until_cancelled(Listener::accept(&mut listener)).await {
        take(&desks, stream).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a connection to the API is dropped");
        });
    }
    drop(listener);
    let ended = tokio::task::spawn_blocking(|| desks.into_iter().try_for_each(Desk::end));
    ended.await.map_err(|panic| panic.to_string())?
}

async fn take(desks: &[Desk], stream: TcpStream) -> io::Result<()> {
    // Answers are short and each is awaited: nothing is won by waiting for more to send.
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let fewest = desks.iter().min_by_key(|desk| desk.connections.load(Ordering::Relaxed));
    let gone = || io::Error::other("the thread for it is gone");
    let desk = fewest.ok_or_else(gone)?;
    let one = One::more(&desk.connections);
    desk.new.send((stream, one)).await.map_err(|_| gone())
}

/// One thread with its connections.
struct Desk {
    new: mpsc::Sender<(std::net::TcpStream, One)>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// Counts a connection until it is dropped.
struct One(Arc<AtomicUsize>);

impl One {
    fn more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    fn start(
        n: usize,
        router: Router,
        hand_in: impl Fn() + Send + Sync + 'static,
        stop: CancellationToken,
        cut_off: CancellationToken,
    ) -> io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().on_thread_park(hand_in).build()?;
        let (new, coming) = mpsc::channel(ON_THEIR_WAY);
        // Every connection looks at it all the time: one of its own needs no word with other threads.
        let stop = stop.child_token();
        let thread = thread::Builder::new().name(format!("busyhour-api-{n}")).spawn(move || {
            lay_on_this_thread();
            // The budget of a task is meant for one connection. It is a task, since the future that a runtime blocks on has to
            // ask the kernel for events each time that it wakes itself.
            let all = runtime.spawn(unconstrained(all(coming, router, stop)));
            let ended = runtime.block_on(cut_off.run_until_cancelled(all));
            if let Some(Err(panic)) = ended {
                tracing::error!(%panic, "a thread of the API lost its connections");
            }
            // What was begun beside a request need not be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { new, connections: Arc::default(), thread })
    }

    /// Waits until its connections have ended; it takes no new ones.
    fn end(self) -> Result<(), String> {
        drop(self.new);
        self.thread.join().map_err(|_| "a thread of the API panicked".to_owned())
    }
}

/// One task has all the connections of its thread: however many answers come from the log at once, they wake it once.
async fn all(
    mut coming: mpsc::Receiver<(std::net::TcpStream, One)>,
    router: Router,
    stop: CancellationToken,
) {
    let converse = |(stream, one): (_, One)| {
        let (router, stop) = (router.clone(), stop.clone());
        let connection = async move {
            converse(stream, router, &stop).await;
            drop(one);
        };
        // What goes wrong in one must not take the others with it.
        AssertUnwindSafe(connection).catch_unwind()
    };
    let mut connections = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !connections.is_empty() {
        tokio::select! {
            next = coming.recv(), if is_open => match next {
                Some(new) => connections.push(converse(new)),
                None => is_open = false,
            },
            Some(ended) = connections.next() => if ended.is_err() {
                tracing::error!("a connection to the API panicked");
            }
        }
    }
}

async fn converse(stream: std::net::TcpStream, router: Router, stop: &CancellationToken) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection to the API is dropped"),
    };
    let mut http = Builder::new(TokioExecutor::new());
    // Head and body of an answer are small: one piece is written faster than two.
    http.http1().writev(false);
    let service = TowerToHyperService::new(router);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection to the API ended");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
    };

    use super::*;

    /// Only a failure lasts so long, however slow the machine.
    const BOUND: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn told_to_stop_it_answers_what_was_asked_before_and_ends() {
        let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (entered.clone(), go_on.clone());
        let answer = || async move {
            tell.notify_one();
            wait.notified().await;
            "answered"
        };
        let router = Router::new().route("/", get(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, || {}, stop.clone()));

        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking.write_all(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n").await.unwrap();
        tokio::time::timeout(BOUND, entered.notified()).await.unwrap();
        stop.cancel();
        let mut nothing = String::new();
        tokio::time::timeout(BOUND, idle.read_to_string(&mut nothing)).await.unwrap().unwrap();
        assert_eq!(nothing, "", "a connection without a request is closed");
        assert!(!serving.is_finished(), "a request is in progress");
        go_on.notify_one();
        let mut answer = String::new();
        tokio::time::timeout(BOUND, asking.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("answered"), "{answer}");
        tokio::time::timeout(BOUND, serving).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn connections_are_spread_over_the_threads() {
        let stop = CancellationToken::new();
        let desk = |n| Desk::start(n, Router::new(), || {}, stop.clone(), stop.clone()).unwrap();
        let desks: Vec<_> = (0..2).map(desk).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(TcpStream::connect(address).await.unwrap());
            take(&desks, listener.accept().await.unwrap().0).await.unwrap();
        }
        let counts = desks.iter().map(|desk| desk.connections.load(Ordering::Relaxed));
        assert_eq!(counts.collect::<Vec<_>>(), [3, 3]);
        stop.cancel();
        let ended = tokio::task::spawn_blocking(|| desks.into_iter().try_for_each(Desk::end));
        tokio::time::timeout(BOUND, ended).await.unwrap().unwrap().unwrap();
    }
}
