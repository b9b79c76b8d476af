//! Media: many calls per thread on a clock of 20 ms, apart from the async runtime, whose timers jitter by more
//! than a packet (`DESIGN.md`).
//!
//! A call's thread touches no lock that anyone holds for long and never waits for the call: commands lie in a
//! small shared [`Control`], events go into the call's bounded channel.

mod ports;
mod stream;
mod thread;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use busyhour_agent_core::{leg::Token, sdp::Agreed};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::audio::Clip;

pub use ports::PortError;

/// Events of one call that may wait to be taken. At the bound digits are dropped and others wait.
pub const EVENTS_MAX: usize = 32;

/// What media needs to know.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Where RTP is received.
    pub ip: IpAddr,
    /// Which ports; the even ones are used. `None` takes any.
    pub ports: Option<RangeInclusive<u16>>,
    /// Threads.
    pub threads: usize,
    /// Silence of the far end, not a packet, after which its call is given up.
    pub inactivity: Duration,
}

/// What media tells a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// A clip was played to its end.
    Played(Token),
    /// The far end pressed a key.
    Digit(char),
    /// Nothing came for [`MediaConfig::inactivity`].
    Lost,
}

/// Counters of one call's media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets sent.
    pub sent: u64,
    /// Packets received and taken.
    pub received: u64,
    /// Packets received that were no RTP of this call.
    pub refused: u64,
    /// Interarrival jitter in microseconds (RFC 3550, 6.4.1).
    pub jitter_us: u32,
}

/// The media threads.
pub struct Media {
    ports: Arc<ports::Ports>,
    threads: Vec<thread::Handle>,
    inactivity: Duration,
}

impl Media {
    /// Starts the threads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(config: &MediaConfig) -> io::Result<Self> {
        let threads = (0..config.threads.max(1)).map(thread::start);
        Ok(Self {
            ports: ports::Ports::new(config.ip, config.ports.clone()),
            threads: threads.collect::<io::Result<_>>()?,
            inactivity: config.inactivity,
        })
    }

    /// Takes a port for a call. Nothing is sent before [`MediaSession::connect`].
    ///
    /// # Errors
    /// [`PortError`].
    pub fn open(&self, events: mpsc::Sender<MediaEvent>) -> Result<MediaSession, PortError> {
        let bound = self.ports.bind()?;
        let address = bound.address;
        let control = Arc::new(Control::default());
        let stream = stream::Stream::new(bound, control.clone(), events, self.inactivity);
        if let Some(thread) = self.threads.iter().min_by_key(|thread| thread.load()) {
            thread.add(stream);
        }
        Ok(MediaSession { control, address })
    }

    /// Calls that have a port.
    pub fn sessions(&self) -> usize {
        self.threads.iter().map(thread::Handle::load).sum()
    }
}

/// What a call wants of its stream; the stream looks at it once per packet.
#[derive(Default)]
pub(crate) struct Control {
    changed: AtomicBool,
    closed: AtomicBool,
    wishes: Mutex<Wishes>,
    stats: Mutex<Stats>,
}

/// Wishes that were not looked at yet: one of each kind, so that there is nothing to bound.
#[derive(Default)]
pub(crate) struct Wishes {
    agreed: Option<Agreed>,
    play: Option<(Token, Clip)>,
    stop: bool,
    keys: Option<String>,
}

/// A call's hold on its stream. Dropping it ends the stream and frees the port.
pub struct MediaSession {
    control: Arc<Control>,
    address: SocketAddr,
}

impl MediaSession {
    /// Where RTP is received.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to send to the far end and to take what comes from it; again, when it has moved.
    pub fn connect(&self, agreed: Agreed) {
        self.wish(|wishes| wishes.agreed = Some(agreed));
    }

    /// Plays a clip from its start in place of what is being played; answered by [`MediaEvent::Played`].
    pub fn play(&self, token: Token, clip: Clip) {
        self.wish(|wishes| wishes.play = Some((token, clip)));
    }

    /// Stops playing at once. A `Played` may still be on its way.
    pub fn stop(&self) {
        self.wish(|wishes| {
            wishes.play = None;
            wishes.stop = true;
        });
    }

    /// Presses keys after those that are being pressed; `w` waits half a second.
    pub fn send_keys(&self, keys: &str) {
        self.wish(|wishes| wishes.keys.get_or_insert_default().push_str(keys));
    }

    /// Counters, as of the last packet.
    pub fn stats(&self) -> Stats {
        *self.control.stats.lock()
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        wish(&mut self.control.wishes.lock());
        self.control.changed.store(true, Ordering::Release);
    }
}

impl Drop for MediaSession {
    fn drop(&mut self) {
        self.control.closed.store(true, Ordering::Release);
    }
}
