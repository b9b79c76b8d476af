//! What carriers say of messages (MT-8).

use busyhour_base::{MessageEvent, MessageStatus, Reason};
use busyhour_controller_core::message::{MessageId, MessageReport, Reported};

use super::{
    super::{outcomes::ATTEMPTS_MAX, why::Held},
    Place, Text, Texts,
};

impl Texts {
    pub(super) fn report(&mut self, report: &MessageReport) {
        let Some(message) = self.reported(&report.of) else { return };
        let at_carrier = matches!(self.texts[&message].place, Place::Sending(..));
        match &report.event {
            MessageEvent::NotSent(reason) if at_carrier => self.not_sent(message, *reason),
            MessageEvent::Accepted(reference) if at_carrier => self.taken(message, reference),
            MessageEvent::Refused(_) if at_carrier => {
                self.answered(message);
                self.came_to_nothing(message, MessageStatus::Failed);
            }
            MessageEvent::InDoubt(_) if at_carrier => {
                self.answered(message);
                self.end(message, MessageStatus::Failed);
            }
            MessageEvent::Delivered if !at_carrier => self.end(message, MessageStatus::Delivered),
            MessageEvent::Undelivered(_) if !at_carrier => {
                self.came_to_nothing(message, MessageStatus::Undelivered);
            }
            _ => {}
        }
    }

    /// The message that a report is about, if that is with a carrier or awaits its report.
    fn reported(&self, of: &Reported) -> Option<MessageId> {
        let of_it = |message: &MessageId, text: &Text| match (of, &text.place) {
            (
                Reported::Attempt { message: named, attempt },
                Place::Sending(..) | Place::Sent { .. },
            ) => message == named && u32::from(*attempt) == text.attempts,
            (
                Reported::Reference { carrier, reference },
                Place::Sent { carrier: by, reference: name, .. },
            ) => **carrier == **by && **reference == **name,
            _ => false,
        };
        self.texts.iter().find(|(message, text)| of_it(message, text)).map(|(message, _)| *message)
    }

    /// It goes back to where it waited (MT-4), unless it is over or was tried too often.
    fn not_sent(&mut self, message: MessageId, reason: Reason) {
        let Place::Sending(_, _, stood) = self.texts[&message].place else { return };
        self.answered(message);
        let (now, place) = (self.now, Place::Waiting(stood));
        let text = self.texts.get_mut(&message).expect("it is known");
        text.unsent += 1;
        let text = text.clone();
        let over = text.expires.is_some_and(|at| at <= now);
        let fits = self.fits(text.account, &text.from, text.segments);
        let batch_over = text.batch.is_some_and(|batch| self.batches[&batch].1.over);
        if text.unsent >= ATTEMPTS_MAX || over || !fits {
            return self.end(message, MessageStatus::Failed);
        }
        if batch_over {
            let canceled = text.batch.is_some_and(|batch| self.batches[&batch].1.canceled);
            let status = if canceled { MessageStatus::Canceled } else { MessageStatus::Failed };
            return self.end(message, status);
        }
        let text = self.texts.get_mut(&message).expect("it is known");
        (text.place, text.held) = (place, Held::new(reason, now));
    }

    /// The carrier has it: a report is awaited if it sends any.
    fn taken(&mut self, message: MessageId, reference: &str) {
        let line = self.answered(message);
        let declared = &self.lines[line].declared;
        if !declared.delivery_reports {
            return self.end(message, MessageStatus::Sent);
        }
        let (carrier, reference) = (declared.name.to_string(), reference.to_owned());
        let until = self.now + self.options.report_wait.0;
        let text = self.texts.get_mut(&message).expect("it is known");
        text.place = Place::Sent { carrier, reference, until };
    }

    /// A carrier has answered: its channel is free.
    fn answered(&mut self, message: MessageId) -> usize {
        let text = self.texts.get_mut(&message).expect("it is known");
        let Place::Sending(line, ..) = std::mem::replace(&mut text.place, Place::Over) else {
            unreachable!("it is with a carrier")
        };
        self.lines[line].in_use -= 1;
        line
    }

    /// What was handed over and not answered is in doubt when the process that did so has ended. What the entry in hand
    /// handed over is handed over by the process that has begun.
    pub(super) fn doubt(&mut self) {
        let index = self.index;
        let doubtful = self
            .texts
            .iter()
            .filter(|(_, text)| matches!(text.place, Place::Sending(_, since, _) if since < index));
        for message in doubtful.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.answered(message);
            self.end(message, MessageStatus::Failed);
        }
    }
}
