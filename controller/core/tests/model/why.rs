//! What a request waited for: whatever bound it when it was last looked at and not started.

use std::collections::BTreeSet;

use busyhour_base::Reason;

use super::Instant;

/// What has bound a request.
#[derive(Clone, Debug)]
pub struct Held {
    at: Instant,
    /// At `at`, and when it was looked at before.
    now: BTreeSet<Reason>,
    before: BTreeSet<Reason>,
    /// It came into its queue at this instant.
    came: Instant,
}

impl Held {
    /// It comes into its queue, where it was kept from by `why`.
    pub fn new(why: Reason, now: Instant) -> Self {
        Self { at: now, now: [why].into(), before: BTreeSet::new(), came: now }
    }

    /// All of this binds it. What was said at the same instant may have been the last word as well.
    pub fn looked(&mut self, now: Instant, reasons: &BTreeSet<Reason>) {
        if self.at == now {
            self.now.extend(reasons);
        } else {
            self.before = std::mem::replace(&mut self.now, reasons.clone());
            self.at = now;
        }
    }

    /// All of this has bound it since it came, and any of it may be said to have.
    pub fn also(&mut self, reasons: &BTreeSet<Reason>) {
        self.now.extend(reasons);
    }

    /// What may be said to have held it, if it starts now.
    pub fn words(&self, now: Instant) -> BTreeSet<Reason> {
        let before = self.before.iter().filter(|_| self.at == now && self.came != now);
        self.now.iter().chain(before).copied().collect()
    }

    /// Whether it has just come: then what it says may be what its neighbours in the queue waited for.
    pub fn just_came(&self, now: Instant) -> bool {
        self.came == now
    }

    /// Whether it came before this instant.
    pub fn before(&self, at: Instant) -> bool {
        self.came < at
    }
}
