//! What an agent reports, from its messages to one command at a time.

use busyhour_base::{CallEvent, Timestamp};
use busyhour_controller_core::{
    command::CallReport,
    spec::{AgentIx, CallId},
};
use busyhour_protocol::{
    FieldError, attempt,
    v1::{self, to_agent::Message},
};

/// Reports of one connection that wait while earlier ones become durable. While so many wait, no more are
/// read, and the agent feels it by the flow control of its stream.
const WAITING_MAX: usize = 4_096;

/// Most reports of one message.
const MESSAGE_MAX: usize = 4_096;

/// Reports of one connection in their order.
#[derive(Default)]
pub(super) struct Reports {
    /// Not proposed yet.
    waiting: Vec<CallReport>,
    /// Highest sequence number taken in.
    seq: u64,
}

/// Reports that go into the log together, and what the agent hears when they are there.
pub(super) struct Batch {
    pub reports: Vec<CallReport>,
    seq: u64,
}

impl Reports {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes in a whole message or nothing of it.
    pub(super) fn take_in(
        &mut self,
        agent: AgentIx,
        message: v1::Reports,
        heard_at: Timestamp,
    ) -> Result<(), FieldError> {
        let count = message.reports.len();
        if count > MESSAGE_MAX {
            return Err(FieldError::new("reports", count, "a list of at most 4096 reports"));
        }
        let mut seq = self.seq;
        let mut fresh = Vec::with_capacity(count);
        for (n, report) in message.reports.into_iter().enumerate() {
            let at = |error: FieldError| error.within(&format!("reports[{n}]"));
            let given = report.seq;
            let report = check(agent, report, heard_at).map_err(at)?;
            // Repeated until it is acknowledged; on this connection it was heard the first time.
            if given > seq {
                seq = given;
                fresh.push(report);
            }
        }
        self.seq = seq;
        self.waiting.append(&mut fresh);
        Ok(())
    }

    /// Everything that waits, as one batch.
    pub(super) fn next_batch(&mut self) -> Batch {
        Batch { reports: std::mem::take(&mut self.waiting), seq: self.seq }
    }
}

impl Batch {
    /// The acknowledgement: what has ended may leave the journal.
    pub(super) fn ack(&self) -> Message {
        let over = |report: &&CallReport| {
            matches!(report.event, CallEvent::Ended(_) | CallEvent::NotSent(_))
        };
        let forget = self.reports.iter().filter(over).map(|report| v1::JournalEntry {
            call: report.call.0,
            attempt: report.attempt.into(),
            live: false,
        });
        Message::Ack(v1::Ack { seq: self.seq, forget: forget.collect() })
    }
}

fn check(
    agent: AgentIx,
    report: v1::Report,
    heard_at: Timestamp,
) -> Result<CallReport, FieldError> {
    let event = report.event.ok_or_else(|| FieldError::missing("event", "an event"))?;
    if report.seq == 0 {
        return Err(FieldError::new("seq", 0, "a number from 1"));
    }
    Ok(CallReport {
        agent,
        call: CallId(report.call),
        attempt: attempt("attempt", report.attempt)?,
        heard_at,
        event: event.try_into()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seq: u64, event: v1::report::Event) -> v1::Report {
        v1::Report { seq, call: 40 + seq, attempt: 1, event: Some(event) }
    }

    fn sent(seq: u64) -> v1::Report {
        report(seq, v1::report::Event::Sent(v1::Empty {}))
    }

    fn take(reports: &mut Reports, message: v1::Reports) -> Result<(), FieldError> {
        reports.take_in(AgentIx(1), message, Timestamp(9))
    }

    #[test]
    fn a_repeated_report_is_heard_once_and_acknowledged_with_the_rest() {
        let mut reports = Reports::default();
        let not_sent = report(2, v1::report::Event::NotSent("agent_full".to_owned()));
        let first = v1::Reports { reports: vec![sent(1), not_sent] };
        take(&mut reports, first.clone()).unwrap();
        let batch = reports.next_batch();
        assert_eq!(batch.reports.len(), 2);
        let Message::Ack(ack) = batch.ack() else { panic!() };
        assert_eq!(ack.seq, 2);
        assert_eq!(ack.forget.len(), 1);
        assert_eq!((ack.forget[0].call, ack.forget[0].attempt), (42, 1));

        take(&mut reports, first).unwrap();
        take(&mut reports, v1::Reports { reports: vec![sent(3)] }).unwrap();
        let batch = reports.next_batch();
        assert_eq!(batch.reports.len(), 1);
        assert_eq!(batch.reports[0].call, CallId(43));
    }

    #[test]
    fn a_message_with_one_bad_report_is_refused_whole() {
        let mut reports = Reports::default();
        let bad = report(2, v1::report::Event::NotSent("just because".to_owned()));
        let refused = take(&mut reports, v1::Reports { reports: vec![sent(1), bad] }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            r#"reports[1].not_sent: "just because" is not the code of a reason"#
        );
        assert!(reports.is_empty());
        // Nor does it count as heard.
        take(&mut reports, v1::Reports { reports: vec![sent(1)] }).unwrap();
        assert!(!reports.is_empty());
        for (bad, field) in [
            (v1::Report { event: None, ..sent(9) }, "reports[0].event"),
            (v1::Report { attempt: 0, ..sent(9) }, "reports[0].attempt"),
            (sent(0), "reports[0].seq"),
        ] {
            let refused = take(&mut reports, v1::Reports { reports: vec![bad] });
            assert_eq!(refused.unwrap_err().field, field);
        }
    }
}
