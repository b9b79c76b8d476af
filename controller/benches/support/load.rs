//! The clients of the benchmark of accepting: one thread, many keep-alive connections, one request at a time on each.
//!
//! It shares the processors with the controller, so that it does as little as it can: what it sends is made
//! beforehand, of an answer it reads the status and the length.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    num::NonZeroU64,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde_json::{Value, json};

/// What is due within this time is sent together, and as often answers are looked at. Latencies count it.
const TICK: Duration = Duration::from_micros(250);

/// What clients who hold back have missed for longer than this, they do not make up for.
const MADE_UP: Duration = Duration::from_millis(1);

/// Latencies for which there is memory from the start: more than any run has. A list that grew would stop the clients for as
/// long as the kernel takes to provide memory, and every answer meanwhile would seem late.
const LATENCIES: usize = 1 << 21;

/// How long requests of the measured time may be answered late, before they count as never answered.
const DRAIN: Duration = Duration::from_secs(2);

/// What is sent, and when.
pub struct Load {
    /// Where to.
    pub api: SocketAddr,
    /// Over so many connections.
    pub connections: usize,
    /// What is sent, over and over, each on whichever connection is free.
    pub requests: Vec<Vec<u8>>,
    /// How fast.
    pub pace: Pace,
    /// The measured time, after a quarter of it to warm up.
    pub measure: Duration,
}

/// When the next request is sent. Rates are requests per second, evenly spaced.
#[derive(Clone, Copy)]
pub enum Pace {
    /// A closed loop: on each connection as soon as the last is answered.
    Closed,
    /// A closed loop whose clients together hold back to a rate: what they could not send, they do not send later.
    Held(NonZeroU64),
    /// An open loop: requests are due whether or not earlier ones are answered.
    Due(NonZeroU64),
}

impl Load {
    /// Sends, and tells how many were answered within the measured time and how long those took: in a closed loop from the
    /// sending, in an open loop from the instant at which each was due, so that a wait for a free connection counts.
    pub fn run(self) -> Value {
        let mut clients = Clients::connect(self);
        clients.work();
        clients.account()
    }
}

struct Clients {
    load: Load,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections without a request, in the order in which they became free.
    free: VecDeque<usize>,
    began: Instant,
    /// When the next request may be sent, from the beginning.
    next: Duration,
    /// Requests sent, all of them.
    sent: u64,
    /// Answers, all of them.
    answered: u64,
    /// Requests that count from within the measured time, and the microseconds that each took which was answered.
    measured: u64,
    took: Vec<u32>,
}

struct Connection {
    stream: TcpStream,
    answer: Answer,
    /// Since when its request counts, from the beginning.
    since: Duration,
}

impl Clients {
    fn connect(load: Load) -> Self {
        let poll = Poll::new().expect("a poll");
        let connect = |n| {
            let stream = std::net::TcpStream::connect(load.api).expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            stream.set_nonblocking(true).expect("no blocking");
            let mut stream = TcpStream::from_std(stream);
            let registry = poll.registry();
            registry.register(&mut stream, Token(n), Interest::READABLE).expect("watched");
            Connection { stream, answer: Answer::default(), since: Duration::ZERO }
        };
        let connections: Vec<_> = (0..load.connections).map(connect).collect();
        Self {
            free: (0..connections.len()).collect(),
            connections,
            poll,
            began: Instant::now(),
            next: Duration::ZERO,
            sent: 0,
            answered: 0,
            measured: 0,
            took: touched(),
            load,
        }
    }

    fn work(&mut self) {
        // A sleep of the kernel's may else last half a tick longer.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).expect("exact sleeps");
        let mut events = Events::with_capacity(self.connections.len());
        let end = self.load.measure / 4 + self.load.measure;
        loop {
            let now = self.began.elapsed();
            self.send(now, end);
            let is_over = now >= end && self.free.len() == self.connections.len();
            if is_over || now >= end + DRAIN {
                return;
            }
            // Whoever sends at once waits for answers, whoever sends at a rate for the next tick.
            let is_closed = matches!(self.load.pace, Pace::Closed);
            let wait = if is_closed { TICK * 40 } else { Duration::ZERO };
            if !is_closed {
                thread::sleep(TICK.saturating_sub(self.began.elapsed() - now));
            }
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                polled => polled.expect("polled"),
            }
            for event in &events {
                self.receive(event.token().0);
            }
            // Clients on machines of their own would not keep the server from its processors while they have more to read.
            if is_closed {
                thread::yield_now();
            }
        }
    }

    /// Sends what may be sent by now, as far as there are free connections.
    fn send(&mut self, now: Duration, end: Duration) {
        match self.load.pace {
            Pace::Closed => self.next = now,
            Pace::Held(_) => self.next = self.next.max(now.saturating_sub(MADE_UP)),
            Pace::Due(_) => {}
        }
        while self.next <= now && self.next < end {
            let Some(free) = self.free.pop_front() else { return };
            let connection = &mut self.connections[free];
            connection.since = match self.load.pace {
                // Nobody is late who waits before the next request: it begins when it is sent.
                Pace::Closed | Pace::Held(_) => self.began.elapsed(),
                Pace::Due(_) => self.next,
            };
            let request = &self.load.requests[self.sent as usize % self.load.requests.len()];
            let sent = connection.stream.write(request).expect("sent");
            assert_eq!(sent, request.len(), "a small request fits into a buffer");
            self.sent += 1;
            self.measured += u64::from(connection.since >= self.load.measure / 4);
            self.next = match self.load.pace {
                Pace::Closed => now,
                Pace::Held(rate) => self.next + Duration::from_nanos(1_000_000_000 / rate),
                Pace::Due(rate) => Duration::from_nanos(self.sent * 1_000_000_000 / rate),
            };
        }
    }

    fn receive(&mut self, n: usize) {
        let connection = &mut self.connections[n];
        if !connection.answer.read(&mut connection.stream) {
            return;
        }
        self.answered += 1;
        self.free.push_back(n);
        if connection.since >= self.load.measure / 4 {
            let took = self.began.elapsed() - connection.since;
            self.took.push(u32::try_from(took.as_micros()).expect("short"));
        }
    }

    fn account(mut self) -> Value {
        // What was due and could not even be sent is as late as what was not answered.
        let asked = match self.load.pace {
            Pace::Closed | Pace::Held(_) => self.measured,
            Pace::Due(rate) => {
                let due = self.load.measure.as_nanos() * u128::from(rate.get()) / 1_000_000_000;
                u64::try_from(due).expect("a count").max(self.measured)
            }
        };
        let accepted = self.took.len();
        self.took.resize(usize::try_from(asked).expect("a count"), u32::MAX);
        self.took.sort_unstable();
        let at = |part: usize| self.took[(self.took.len() - 1) * part / 100];
        json!({
            "all": self.answered,
            "accepted": accepted,
            "p50_us": at(50),
            "p99_us": at(99),
            "client_us": super::cpu().as_secs_f64() * 1e6 / self.answered as f64,
        })
    }
}

/// An empty list, of whose memory every page was written once.
fn touched() -> Vec<u32> {
    let mut list = vec![u32::MAX; LATENCIES];
    list.clear();
    list
}

/// An answer on its way in.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Reads what there is; whether that completes a 201.
    fn read(&mut self, stream: &mut TcpStream) -> bool {
        let mut room = [0; 4_096];
        loop {
            match stream.read(&mut room) {
                Ok(0) => panic!("the connection was closed"),
                Ok(length) => {
                    self.bytes.extend_from_slice(&room[..length]);
                    // A buffer that was not filled took all there was, so that the next answer wakes us again.
                    if length < room.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("an answer: {error}"),
            }
        }
        let Some(head) = self.bytes.windows(4).position(|at| at == b"\r\n\r\n") else {
            return false;
        };
        let is_whole = self.bytes.len() >= head + 4 + self.length(head);
        if is_whole {
            self.bytes.clear();
        }
        is_whole
    }

    fn length(&self, head: usize) -> usize {
        let head = std::str::from_utf8(&self.bytes[..head]).expect("a head in ASCII");
        assert!(head.starts_with("HTTP/1.1 201"), "{}", String::from_utf8_lossy(&self.bytes));
        let name = "content-length:";
        let is_length = |line: &&str| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let line = head.split("\r\n").find(is_length).expect("a length");
        line[name.len()..].trim().parse().expect("a number")
    }
}
