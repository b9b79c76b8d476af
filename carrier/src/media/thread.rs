//! Drives all sessions: a few threads with a 20 ms clock, one socket per slot.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
};

use busyhour_base::{Span, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;

use super::{Event, Order, Session, rtp::MAX_PACKET};
use crate::clock::Clock;

/// Sessions are spread over this many phases of the 20 ms, so that packets leave evenly.
const PHASES: usize = 4;

/// From one phase to the next.
const PHASE: Span = Span::from_millis(5);

/// Packets taken from one socket at a time: after a stall the rest waits for the next tick.
const MAX_BURST: usize = 8;

/// How far behind the clock may fall before ticks are left out.
const MAX_LAG: Span = Span::from_millis(200);

/// The media threads and their sockets.
pub(crate) struct Desk {
    workers: Vec<Worker>,
}

struct Worker {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

/// A media thread is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a media thread has ended")]
pub(crate) struct DeskError;

impl Desk {
    /// Starts threads over the sockets, of which slot `n` is the `n`th. Events may be at most two per open slot.
    pub(crate) fn start(
        clock: Clock,
        threads: usize,
        sockets: Vec<UdpSocket>,
        timeout: Option<Span>,
        seed: u64,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let mut shares: Vec<Vec<Slot>> = (0..threads).map(|_| Vec::new()).collect();
        let orders_max = 4 * sockets.len() + 16;
        for (slot, socket) in sockets.into_iter().enumerate() {
            shares[slot % threads].push(Slot { socket, session: None });
        }
        let mut workers = Vec::new();
        for (ix, slots) in shares.into_iter().enumerate() {
            let (orders, incoming) = sync_channel(orders_max);
            let state = Share {
                clock,
                threads,
                thread: ix,
                slots,
                timeout,
                rng: ChaCha8Rng::seed_from_u64(seed ^ ((ix as u64) << 48)),
                events: events.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("carrier-media-{ix}"))
                .spawn(move || state.run(&incoming))?;
            workers.push(Worker { orders, thread });
        }
        Ok(Self { workers })
    }

    /// Passes an order on. There are never more orders under way than the channel takes, since a slot is
    /// reused only after its event.
    pub(crate) fn order(&self, order: Order) -> Result<(), DeskError> {
        let (Order::Open { slot, .. } | Order::Retarget { slot, .. } | Order::Close { slot }) =
            &order;
        let worker = &self.workers[slot % self.workers.len()];
        worker.orders.send(order).map_err(|_| DeskError)
    }

    /// Ends the threads.
    pub(crate) fn stop(self) {
        for worker in self.workers {
            drop(worker.orders);
            if worker.thread.join().is_err() {
                tracing::error!("a media thread panicked");
            }
        }
    }
}

/// One thread's part of the slots.
struct Share {
    clock: Clock,
    threads: usize,
    thread: usize,
    slots: Vec<Slot>,
    timeout: Option<Span>,
    rng: ChaCha8Rng,
    events: mpsc::Sender<Event>,
}

struct Slot {
    socket: UdpSocket,
    session: Option<Session>,
}

impl Share {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut next = self.clock.now();
        let mut phase = 0;
        loop {
            if !self.obey_until(next, orders) {
                return;
            }
            self.serve(phase);
            phase = (phase + 1) % PHASES;
            next = next + PHASE;
            let now = self.clock.now();
            if now.since(next) > MAX_LAG {
                tracing::warn!(behind = %now.since(next), "media ticks left out");
                next = now;
            }
        }
    }

    /// Takes orders until the next phase is due; false when there will be none any more.
    fn obey_until(&mut self, due: Timestamp, orders: &Receiver<Order>) -> bool {
        loop {
            let wait = due.since(self.clock.now());
            let order = if wait == Span::ZERO {
                match orders.try_recv() {
                    Ok(order) => order,
                    Err(TryRecvError::Empty) => return true,
                    Err(TryRecvError::Disconnected) => return false,
                }
            } else {
                match orders.recv_timeout(wait.into()) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => return true,
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
            };
            self.obey(order);
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Open { slot, call, stream, talk } => {
                let chance = self.rng.random();
                let timeout = self.timeout;
                let slot = &mut self.slots[slot / self.threads];
                slot.discard();
                slot.session = Some(Session::new(now, call, stream, talk, timeout, chance));
            }
            Order::Retarget { slot, stream } => {
                if let Some(session) = &mut self.slots[slot / self.threads].session {
                    session.retarget(stream);
                }
            }
            Order::Close { slot } => {
                let own = &mut self.slots[slot / self.threads];
                own.receive(now);
                if let Some(session) = own.session.take() {
                    let heard = session.close();
                    self.tell(Event::Closed { slot, heard });
                }
            }
        }
    }

    /// One phase: receives and sends for every fourth slot.
    fn serve(&mut self, phase: usize) {
        let now = self.clock.now();
        let mut packet = Vec::with_capacity(MAX_PACKET);
        let mut died = Vec::new();
        for slot in self.slots.iter_mut().skip(phase).step_by(PHASES) {
            slot.receive(now);
            if let Some(session) = &mut slot.session {
                session.tick(now, &mut packet);
                // Lost, like any datagram, when the network does not take it.
                let _ = slot.socket.send_to(&packet, session.remote());
                if session.has_died(now) {
                    died.push(session.call());
                }
            }
        }
        for call in died {
            self.tell(Event::Inactive { call });
        }
    }

    fn tell(&self, event: Event) {
        // The channel has room for all events that can be under way; it fails only when the carrier has gone.
        if self.events.try_send(event).is_err() {
            tracing::debug!(thread = self.thread, "nobody takes media events any more");
        }
    }
}

impl Slot {
    fn receive(&mut self, now: Timestamp) {
        let Some(session) = &mut self.session else {
            return;
        };
        let mut buffer = [0; MAX_PACKET];
        for _ in 0..MAX_BURST {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => session.receive(now, source, &buffer[..length]),
                // Nothing there, or the far end's port is closed (ICMP), which the timeout deals with.
                Err(_) => return,
            }
        }
    }

    /// Throws away what came for the last call.
    fn discard(&self) {
        let mut buffer = [0; MAX_PACKET];
        for _ in 0..1_000 {
            match self.socket.recv_from(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }
}

/// Opens one RTP socket per slot: even ports of the range, or any.
pub(crate) fn open_sockets(
    ip: std::net::IpAddr,
    ports: Option<std::ops::RangeInclusive<u16>>,
    count: usize,
) -> io::Result<Vec<UdpSocket>> {
    let open = |port| {
        let socket = UdpSocket::bind(SocketAddr::new(ip, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let Some(ports) = ports else {
        return (0..count).map(|_| open(0)).collect();
    };
    let mut sockets = Vec::new();
    for port in ports.filter(|port| crate::options::is_usable(*port)) {
        if sockets.len() == count {
            break;
        }
        // Another program may have some of the range.
        match open(port) {
            Ok(socket) => sockets.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}
