//! Gates: the throttle, the caps and the bound on calls in progress of one scope. A request passes the gates of all its
//! scopes, and starts only when every one of them allows (MT-2, MT-3).
//!
//! A request takes as many units of each gate as it has: a call one, a message its segments. A throttle lets the next
//! request pass so many spacings after the last one's due instant; a cap counts every unit.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    caps::{Caps, Window},
    gcra::Gcra,
    lanes::URGENCIES,
    ring::Ring,
};

/// What a gate belongs to. Requests pass from the narrowest to the widest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// A tenant's calls, or its messages.
    Tenant,
    /// An application's.
    Application,
    /// A batch's.
    Batch,
    /// A number's.
    Number,
}

impl Scope {
    const fn throttle(self) -> Reason {
        match self {
            Self::Tenant => Reason::Throttle,
            Self::Application => Reason::ApplicationThrottle,
            Self::Batch => Reason::BatchThrottle,
            Self::Number => Reason::NumberThrottle,
        }
    }

    const fn cap(self) -> Reason {
        match self {
            Self::Tenant | Self::Batch => Reason::Cap,
            Self::Application => Reason::ApplicationCap,
            Self::Number => Reason::NumberCap,
        }
    }
}

/// The limits of one scope.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GateLimits {
    /// Microseconds from one unit to the next; 0 without a throttle.
    pub spacing: u64,
    /// Caps.
    pub windows: Vec<Window>,
    /// Most requests in progress at once; counted for batches only.
    pub concurrent: Option<u32>,
}

/// One gate. It fills a cache line and its caps the next one, since every start reads and writes those of all its scopes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub struct Gate {
    gcra: Gcra,
    /// The instant from which the caps allow one unit.
    cap_free: u64,
    pub(super) in_progress: u32,
    pub(super) concurrent: u32,
    /// Nodes that wait for the gate to be opened by hand, or for one of its requests to end; or calls' nodes that wait for
    /// the instant from which it lets one pass, with one timer for all of them.
    pub(super) waiting: Ring,
    /// Requests that wait behind it, by urgency.
    pub(super) queued: [u32; URGENCIES],
    /// Lanes behind it in which something waits.
    pub(super) lanes: u32,
    scope: Scope,
    pub(super) shut: Option<Reason>,
    /// Of the last request that passed.
    units: u16,
    caps: Caps,
}

const _: () = assert!(size_of::<Gate>() == 128, "a gate fills two cache lines");

/// Requests of this urgency and of those that go before it, of as many of each.
pub(super) fn up_to(queued: &[u32; URGENCIES], urgency: u8) -> u64 {
    queued[..=usize::from(urgency)].iter().map(|count| u64::from(*count)).sum()
}

/// What a gate says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may pass.
    Open,
    /// It may pass from this instant on.
    Until(u64, Reason),
    /// It may pass when something else happens.
    Shut(Reason),
}

impl Gate {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            gcra: Gcra::default(),
            cap_free: 0,
            in_progress: 0,
            concurrent: u32::MAX,
            waiting: Ring::default(),
            queued: [0; URGENCIES],
            lanes: 0,
            scope,
            shut: None,
            units: 1,
            caps: Caps::default(),
        }
    }

    /// Other limits from now on. What has passed counts on.
    pub(super) fn set(&mut self, limits: GateLimits) {
        if self.gcra.spacing() != limits.spacing {
            self.gcra.respace(limits.spacing, u32::from(self.units));
        }
        self.concurrent = limits.concurrent.unwrap_or(u32::MAX);
        if limits.windows.is_empty() {
            (self.caps, self.cap_free) = (Caps::default(), 0);
            return;
        }
        if !self.caps.windows().eq(limits.windows.iter().copied()) {
            self.caps.set(&limits.windows);
        }
        self.cap_free = self.caps.next(1);
    }

    /// Whether a request of so many units may pass at `now`; of none, if it has passed the throttle and the caps before.
    #[inline]
    pub(super) fn verdict(&self, units: u32, now: u64) -> Verdict {
        if let Some(reason) = self.shut {
            return Verdict::Shut(reason);
        }
        if self.in_progress >= self.concurrent {
            return Verdict::Shut(Reason::BatchConcurrency);
        }
        if units == 0 {
            return Verdict::Open;
        }
        let cap_free = if units > 1 { self.caps.next(units) } else { self.cap_free };
        let next = self.gcra.next().max(cap_free);
        if next <= now {
            Verdict::Open
        } else if cap_free > self.gcra.next() {
            Verdict::Until(cap_free, self.scope.cap())
        } else {
            Verdict::Until(next, self.scope.throttle())
        }
    }

    /// A request of so many units that was due at `due` passes; its intent entered the log at `now`.
    #[inline]
    pub(super) fn pass(&mut self, units: u32, due: u64, now: u64) {
        if units == 0 {
            return;
        }
        self.gcra.take(due, units);
        self.units = u16::try_from(units).unwrap_or(u16::MAX);
        if !self.caps.is_empty() {
            self.cap_free = self.caps.take(now, units);
        }
    }

    /// Its caps and what they remember.
    pub(super) const fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Whether one more may be in progress, and nothing else but time keeps it from passing.
    #[inline]
    pub(super) const fn has_room(&self) -> bool {
        self.shut.is_none() && self.in_progress < self.concurrent
    }

    /// Its throttle.
    pub const fn gcra(&self) -> &Gcra {
        &self.gcra
    }

    /// Requests in progress.
    pub const fn in_progress(&self) -> u32 {
        self.in_progress
    }

    /// Most requests in progress.
    pub const fn concurrent(&self) -> u32 {
        self.concurrent
    }

    /// Why nothing passes until it is opened by hand, if so.
    pub const fn shut(&self) -> Option<Reason> {
        self.shut
    }

    /// Requests behind it that are of this urgency or go before it.
    pub fn queued(&self, urgency: u8) -> u64 {
        up_to(&self.queued, urgency)
    }

    /// Lanes behind it in which something waits.
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    /// What it belongs to.
    pub(super) const fn scope(&self) -> Scope {
        self.scope
    }

    /// The words for its throttle and its caps.
    pub(super) const fn reasons(&self) -> (Reason, Reason) {
        (self.scope.throttle(), self.scope.cap())
    }
}
