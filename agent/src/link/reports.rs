//! Reports to the controller, kept until they are acknowledged.

use std::collections::VecDeque;

use busyhour_base::CallEvent;
use busyhour_protocol::v1;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metric_definitions as metric;

/// Reports in one message; the controller takes up to 4,096.
const MESSAGE_MAX: usize = 1_024;

/// Reports in order. A call makes five at most, and no call begins without a link, so the slots bound them.
#[derive(Default)]
pub struct Reports {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    reports: VecDeque<v1::Report>,
    last: u64,
}

impl Reports {
    /// Adds a report.
    pub fn push(&self, call: u64, attempt: u16, event: &CallEvent) {
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        let report = v1::Report {
            seq: waiting.last,
            call,
            attempt: attempt.into(),
            event: Some(event.into()),
        };
        waiting.reports.push_back(report);
        metric::reports_waiting(waiting.reports.len());
        drop(waiting);
        self.news.notify_one();
    }

    /// The reports after number `after`, as many as go into one message.
    pub fn after(&self, after: u64) -> Vec<v1::Report> {
        let waiting = self.waiting.lock();
        let from = waiting.reports.partition_point(|report| report.seq <= after);
        waiting.reports.iter().skip(from).take(MESSAGE_MAX).cloned().collect()
    }

    /// The controller has all up to and with number `seq`.
    pub fn acknowledge(&self, seq: u64) {
        let mut waiting = self.waiting.lock();
        let known = waiting.reports.partition_point(|report| report.seq <= seq);
        waiting.reports.drain(..known);
        metric::reports_waiting(waiting.reports.len());
        drop(waiting);
        self.news.notify_one();
    }

    /// Reports that are not acknowledged.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().reports.len()
    }

    /// Returns when something was added or acknowledged. For one waiter.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_stay_until_acknowledged_and_keep_their_numbers() {
        let reports = Reports::default();
        for call in 1..=3 {
            reports.push(call, 1, &CallEvent::Sent);
        }
        let numbers =
            |after| reports.after(after).iter().map(|r| (r.seq, r.call)).collect::<Vec<_>>();
        assert_eq!(numbers(0), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(numbers(2), [(3, 3)]);
        reports.acknowledge(2);
        assert_eq!(numbers(0), [(3, 3)], "a new connection repeats what is not acknowledged");
        reports.push(4, 1, &CallEvent::Ringing);
        assert_eq!(numbers(3), [(4, 4)]);
        reports.acknowledge(99);
        assert_eq!(reports.waiting(), 0);
    }
}
