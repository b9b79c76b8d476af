//! When a snapshot is due, and when the log is too long to go on without one.

/// How many times the size at which a snapshot is due the log may grow to.
const LIMIT: u64 = 4;
/// After a failed snapshot the next is due when the log has grown by this part of the size at which
/// one is due anyway.
const RETRY: u64 = 4;

/// How much log there is since the last snapshot. `written` is a count of bytes that only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Growth {
    /// Due at this size at least.
    after: u64,
    /// What was there before the count began.
    carried: u64,
    /// The count at the last snapshot.
    from: u64,
    /// The count when the snapshot that is being written was taken.
    taken: u64,
    /// Not due before the count is here.
    not_before: u64,
}

impl Growth {
    pub(crate) fn new(after: u64, carried: u64) -> Self {
        Self { after, carried, from: 0, taken: 0, not_before: 0 }
    }

    /// Bytes of log since the last snapshot.
    pub(crate) fn bytes(&self, written: u64) -> u64 {
        self.carried + written - self.from
    }

    /// Whether to take a snapshot. A large state is worth a longer log, so that writing snapshots
    /// takes at most half of what is written.
    pub(crate) fn due(&self, written: u64, snapshot_bytes: u64) -> bool {
        let due = self.bytes(written) >= self.threshold(snapshot_bytes);
        due && (written >= self.not_before || self.over(written, snapshot_bytes))
    }

    /// Whether the log is too long.
    pub(crate) fn over(&self, written: u64, snapshot_bytes: u64) -> bool {
        self.bytes(written) >= self.threshold(snapshot_bytes).saturating_mul(LIMIT)
    }

    /// A snapshot was taken and is being written.
    pub(crate) fn take(&mut self, written: u64) {
        self.taken = written;
    }

    /// It is durable.
    pub(crate) fn done(&mut self) {
        self.carried = 0;
        self.from = self.taken;
    }

    /// It could not be written.
    pub(crate) fn failed(&mut self, written: u64) {
        self.not_before = written + self.after / RETRY;
    }

    fn threshold(&self, snapshot_bytes: u64) -> u64 {
        self.after.max(snapshot_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_while_a_snapshot_is_taken_counts_for_the_next() {
        let mut growth = Growth::new(100, 60);
        assert!(!growth.due(39, 0));
        assert!(growth.due(40, 0));
        assert!(!growth.due(40, 101), "a large state waits for a longer log");
        growth.take(40);
        growth.done();
        assert_eq!(growth.bytes(70), 30);
    }

    #[test]
    fn a_failed_snapshot_is_tried_again_later_but_always_when_the_log_is_too_long() {
        let mut growth = Growth::new(100, 0);
        growth.take(100);
        growth.failed(110);
        assert!(!growth.due(134, 0));
        assert!(growth.due(135, 0));
        growth.failed(390);
        assert!(!growth.due(399, 0) && !growth.over(399, 0));
        assert!(growth.due(400, 0) && growth.over(400, 0));
    }
}
