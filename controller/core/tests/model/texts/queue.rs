//! What keeps a message from being sent, and which of them could be sent (MT-2, MT-3, MT-8).

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::Reason;
use busyhour_controller_core::{
    message::{MessageId, Send},
    spec::BatchId,
};

use super::{
    super::{
        Instant,
        turns::{Candidate, Scope},
    },
    Line, Place, Text, Texts, named, root,
};

impl Texts {
    pub(super) fn compare_words(&self, send: &Send) -> Result<(), String> {
        let text = &self.texts[&send.message];
        let mut words = text.held.words(self.now);
        if text.held.just_came(self.now) {
            // It may share the words of the queue that it joined at this very moment.
            let beside = self.texts.values().filter(|other| other.queue() == text.queue());
            words.extend(beside.flat_map(|other| other.held.words(self.now)));
        }
        if words.contains(&send.held_by) {
            return Ok(());
        }
        Err(format!("said {:?} of {:?}, which waited for {words:?}", send.held_by, send.message))
    }

    /// Why a message may not be sent now.
    pub(super) fn limits_on(&self, text: &Text) -> BTreeSet<Reason> {
        let (gate, suspended) = &self.tenants[&text.account];
        let number = &self.numbers[&(text.account, text.from.clone())];
        let words = (Reason::NumberThrottle, Reason::NumberCap);
        let mut reasons = number.says(text.segments, self.now, words);
        reasons.extend(gate.says(text.segments, self.now, (Reason::Throttle, Reason::Cap)));
        reasons.extend(suspended.then_some(Reason::Suspended));
        reasons.extend(text.batch.into_iter().flat_map(|batch| self.limits_of_batch(batch, text)));
        reasons
    }

    /// Its batch's pace, start, pause, hours and bound on messages that carriers have not answered (DC-3).
    fn limits_of_batch(&self, id: BatchId, text: &Text) -> BTreeSet<Reason> {
        let batch = &self.batches[&id].1;
        let words = (Reason::BatchThrottle, Reason::BatchThrottle);
        let mut reasons = batch.gate.says(text.segments, self.now, words);
        let sending = self
            .texts
            .values()
            .filter(|other| other.batch == Some(id) && matches!(other.place, Place::Sending(..)));
        reasons.extend(batch.shut_by(self.now, self.entry, sending.count() as u32));
        reasons
    }

    /// What keeps it, in words. That its batch was never started is nobody's limit.
    fn kept_by(&self, text: &Text) -> BTreeSet<Reason> {
        let mut reasons = self.limits_on(text);
        if reasons.remove(&Reason::Draft) {
            reasons.insert(Reason::Ready);
        }
        reasons
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut lanes: BTreeMap<_, (i64, MessageId)> = BTreeMap::new();
        for (message, text) in &self.texts {
            let Place::Waiting(place) = text.place else { continue };
            let front = lanes.entry(text.queue()).or_insert((place, *message));
            *front = (*front).min((place, *message));
        }
        let fronts = lanes.into_values().map(|(_, message)| {
            let text = &self.texts[&message];
            let (urgency, route, account, apart) = self.root(text);
            let queue = (None, text.batch, Some(text.from.clone()));
            let stopped_by = self.limits_on(text).into_iter().map(Scope::of).collect();
            let call = named(message);
            Candidate { urgency, route, class: 2, account, apart, queue, call, stopped_by }
        });
        fronts.collect()
    }

    /// The messages that wait for room in a cap.
    pub(super) fn capped(&self) -> Vec<MessageId> {
        let waiting = self.texts.iter().filter(|(_, text)| matches!(text.place, Place::Waiting(_)));
        let capped = waiting.filter(|(_, text)| {
            let limits = self.limits_on(text);
            limits.contains(&Reason::Cap) || limits.contains(&Reason::NumberCap)
        });
        capped.map(|(message, _)| *message).collect()
    }

    /// The first carrier that takes a message now.
    pub(super) fn able(&self) -> Option<usize> {
        let able = |line: &Line| line.has_room() && line.next() <= self.now;
        self.order.iter().copied().find(|at| able(&self.lines[*at]))
    }

    pub(super) fn look_at_waiting(&mut self) {
        let mut carriers = BTreeSet::new();
        if self.able().is_none() {
            for line in &self.lines {
                carriers.extend((!line.has_room()).then_some(Reason::CarrierChannels));
                carriers.extend((line.next() > self.now).then_some(Reason::CarrierRate));
                carriers.extend((!line.there).then_some(Reason::NoCarrier));
            }
            carriers.extend(self.lines.is_empty().then_some(Reason::NoCarrier));
        }
        // What waits behind another message in its queue is kept by what keeps that.
        let fronts: BTreeMap<_, _> = self
            .candidates()
            .into_iter()
            .filter_map(|front| self.texts.iter().find(|(id, _)| named(**id) == front.call))
            .map(|(_, text)| {
                let mut reasons = self.kept_by(text);
                // That of its tenant, by which something longer is kept whose turn comes first.
                reasons.extend(self.turns.is_held_up(&self.root(text)).then_some(Reason::Cap));
                (text.queue(), reasons)
            })
            .collect();
        let (now, apart) = (self.now, self.turns.parts_kinds());
        for text in self.texts.values_mut() {
            if !matches!(text.place, Place::Waiting(_)) {
                continue;
            }
            let mut reasons = fronts[&text.queue()].clone();
            reasons.extend(&carriers);
            // Those whom something has left behind may have waited for what that waited for: a cap of its tenant or its number.
            if self.turns.is_left_behind(&root(text, apart)) {
                reasons.extend([Reason::Cap, Reason::NumberCap]);
                text.held.also(&reasons);
            } else {
                text.held.looked(now, &reasons);
            }
        }
    }
}

impl Line {
    /// When the next message may go: a spacing after each segment of the last one.
    pub(super) fn next(&self) -> Instant {
        let spacing = self.declared.segment_spacing.0;
        self.last.map_or(0, |(at, units)| at + spacing * u64::from(units))
    }

    pub(super) fn has_room(&self) -> bool {
        self.there && self.in_use < self.declared.outbound
    }
}
