//! Status callbacks, told beside the calls: in order for each call and each message, repeated until accepted, bounded.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use busyhour_agent_core::{
    leg::{FetchError, Request},
    webhook::sign::Key,
};
use busyhour_base::{CallSid, MessageSid};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::Http;
use crate::metric_definitions as metric;

/// Bodies of answers to callbacks are read to this size and thrown away.
const ANSWER_MAX: usize = 64 << 10;

/// Bounds of the callbacks.
#[derive(Clone, Debug)]
pub struct CallbacksConfig {
    /// Callbacks that may wait; further ones are dropped and counted.
    pub queue_max: usize,
    /// Requests under way at once.
    pub running_max: usize,
    /// Tries for one callback.
    pub tries_max: u32,
    /// Wait after the first failure; it doubles each time.
    pub backoff: Duration,
    /// Longest wait between tries.
    pub backoff_max: Duration,
}

impl Default for CallbacksConfig {
    fn default() -> Self {
        Self {
            queue_max: 16_384,
            running_max: 128,
            tries_max: 6,
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// What a callback is about: those about one thing are told in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// A call.
    Call(CallSid),
    /// A message.
    Message(MessageSid),
}

impl From<CallSid> for About {
    fn from(call: CallSid) -> Self {
        Self::Call(call)
    }
}

impl From<MessageSid> for About {
    fn from(message: MessageSid) -> Self {
        Self::Message(message)
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => call.fmt(f),
            Self::Message(message) => message.fmt(f),
        }
    }
}

/// Sends callbacks. A slow server of one tenant holds up the callbacks about its own calls only.
#[derive(Clone)]
pub struct Callbacks(Arc<Inner>);

struct Inner {
    http: Http,
    config: CallbacksConfig,
    lanes: Mutex<Lanes>,
    running: Semaphore,
    idle: Notify,
}

#[derive(Default)]
struct Lanes {
    queues: HashMap<About, VecDeque<Job>>,
    waiting: usize,
}

struct Job {
    request: Request,
    key: Key,
}

impl Callbacks {
    /// Nothing to tell yet.
    pub fn new(http: Http, config: CallbacksConfig) -> Self {
        Self(Arc::new(Inner {
            http,
            lanes: Mutex::default(),
            running: Semaphore::new(config.running_max),
            idle: Notify::new(),
            config,
        }))
    }

    /// Queues a callback behind those about the same. At the bound it is dropped, counted and logged.
    pub fn send(&self, about: About, request: Request, key: Key) {
        let mut lanes = self.0.lanes.lock();
        if lanes.waiting >= self.0.config.queue_max {
            metric::callback("dropped");
            tracing::warn!(%about, "status callback dropped: too many wait");
            return;
        }
        lanes.waiting += 1;
        let lane = lanes.queues.entry(about).or_default();
        lane.push_back(Job { request, key });
        // The lane's task takes a job out only when it is done with it.
        if lane.len() == 1 {
            tokio::spawn(self.0.clone().run_lane(about));
        }
    }

    /// Callbacks that wait or are under way.
    pub fn waiting(&self) -> usize {
        self.0.lanes.lock().waiting
    }

    /// Returns once nothing waits any more; for shutdown.
    pub async fn drained(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.waiting() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Inner {
    async fn run_lane(self: Arc<Self>, about: About) {
        loop {
            let next = {
                let lanes = self.lanes.lock();
                let front = lanes.queues.get(&about).and_then(VecDeque::front);
                front.map(|job| (job.request.clone(), job.key.clone()))
            };
            let Some((request, key)) = next else { return };
            self.deliver(about, &request, &key).await;
            if self.finish(about) {
                return;
            }
        }
    }

    /// Takes the delivered job out; `true` if it was the lane's last.
    fn finish(&self, about: About) -> bool {
        let mut lanes = self.lanes.lock();
        lanes.waiting -= 1;
        if lanes.waiting == 0 {
            self.idle.notify_waiters();
        }
        let lane = lanes.queues.entry(about).or_default();
        lane.pop_front();
        let empty = lane.is_empty();
        if empty {
            lanes.queues.remove(&about);
        }
        empty
    }

    async fn deliver(&self, about: About, request: &Request, key: &Key) {
        let mut wait = self.config.backoff;
        for left in (0..self.config.tries_max).rev() {
            let result = {
                let _permit = self.running.acquire().await;
                self.http.ask(request, key, ANSWER_MAX).await
            };
            match result {
                Ok(_) => return metric::callback("accepted"),
                Err(error) if left == 0 || !worth_another_try(&error) => {
                    metric::callback("given_up");
                    tracing::warn!(%about, %error, "status callback given up");
                    return;
                }
                Err(_) => metric::callback("repeated"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.config.backoff_max);
        }
    }
}

/// A server that says no to this very request will say it again.
fn worth_another_try(error: &FetchError) -> bool {
    match error {
        FetchError::Transport(_) => true,
        FetchError::Status(status) => *status >= 500 || matches!(status, 408 | 425 | 429),
        FetchError::Forbidden(_) | FetchError::TooLarge => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Router, extract::State, http::StatusCode, routing::post};
    use busyhour_base::Method;

    use super::*;
    use crate::http::{Guard, HttpConfig};

    #[derive(Clone, Default)]
    struct Seen {
        bodies: Arc<Mutex<Vec<String>>>,
        failures: Arc<AtomicUsize>,
    }

    async fn take(State(seen): State<Seen>, body: String) -> StatusCode {
        let failing =
            seen.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if failing.is_ok() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        seen.bodies.lock().push(body);
        StatusCode::NO_CONTENT
    }

    async fn server(seen: Seen) -> String {
        let app = Router::new()
            .route("/", post(take))
            .route("/gone", post(|| async { StatusCode::GONE }))
            .with_state(seen);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn callbacks(config: CallbacksConfig) -> Callbacks {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        Callbacks::new(Http::new(guard, HttpConfig::default()).unwrap(), config)
    }

    fn job(url: &str, number: usize) -> (Request, Key) {
        let params = vec![("SequenceNumber".to_owned(), number.to_string())];
        let request = Request { url: url.to_owned(), method: Method::Post, params };
        (request, Key::new("secret".into()))
    }

    /// SP-2: callbacks of one call come in order, and come again until they are accepted.
    #[tokio::test]
    async fn callbacks_are_repeated_in_order_until_accepted() {
        let seen = Seen::default();
        seen.failures.store(3, Ordering::Relaxed);
        let url = server(seen.clone()).await;
        let callbacks = callbacks(CallbacksConfig {
            backoff: Duration::from_millis(1),
            ..CallbacksConfig::default()
        });
        for number in 0..4 {
            let (request, key) = job(&url, number);
            callbacks.send(CallSid(1).into(), request, key);
        }
        tokio::time::timeout(Duration::from_secs(60), callbacks.drained()).await.unwrap();
        let wanted: Vec<String> = (0..4).map(|n| format!("SequenceNumber={n}")).collect();
        assert_eq!(*seen.bodies.lock(), wanted);
        assert_eq!(callbacks.0.lanes.lock().queues.len(), 0);
    }

    #[tokio::test]
    async fn refusals_and_dead_servers_are_given_up_and_the_queue_is_bounded() {
        let seen = Seen::default();
        let url = server(seen.clone()).await;
        let callbacks = callbacks(CallbacksConfig {
            queue_max: 2,
            tries_max: 3,
            backoff: Duration::from_millis(1),
            ..CallbacksConfig::default()
        });
        for (call, url) in [(1, format!("{url}/gone")), (2, "http://127.0.0.1:9/".into()), (3, url)]
        {
            let (request, key) = job(&url, 0);
            callbacks.send(CallSid(call).into(), request, key);
        }
        assert_eq!(callbacks.waiting(), 2, "the third is over the bound");
        tokio::time::timeout(Duration::from_secs(60), callbacks.drained()).await.unwrap();
        assert!(seen.bodies.lock().is_empty());
    }
}
