//! `Take`: lines of a draft, and how far its upload is.
//!
//! An upload may break off at any moment, on either side. What counts is what is here: the bytes up to which lines were
//! taken move in the same entry as the lines, and a part is taken only where the last one ended, so that no
//! line is lost or taken twice.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::{Effect, Reply},
    spec::{BatchId, DedupeBy, Kind, LineRequest, Lines, NewRequest, Part, Rest, UploadFormat},
    view::{BatchStatus, LineFault, UploadView, What},
};

/// Lines of a batch of which it is kept what was wrong; the first ones.
const FAULTS_MAX: usize = 1_000;

/// Text that is kept of these, in bytes.
const FAULTS_TEXT_MAX: usize = 64 * 1_024;

/// How far an upload is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Upload {
    format: Option<UploadFormat>,
    bytes: u64,
    lines: u64,
    complete: bool,
    refused: u64,
    duplicates: u64,
    faults: BTreeMap<u64, LineFault>,
    text: usize,
}

impl Upload {
    /// Whether a part begins where the last one ended.
    fn fits(&self, part: &Part) -> bool {
        let begins = part.from == self.bytes && part.to >= part.from;
        begins && !self.complete && (part.format.is_some() || self.format.is_some())
    }

    /// Whether its last part is awaited.
    pub const fn is_open(&self) -> bool {
        self.format.is_some() && !self.complete
    }

    fn go_on(&mut self, part: &Part) {
        (self.bytes, self.lines, self.complete) =
            (part.to, part.next_line.saturating_sub(1), part.complete);
        if self.format.is_none() {
            self.format.clone_from(&part.format);
        }
    }

    fn note(&mut self, line: u64, fault: LineFault) {
        let text = fault.text();
        if let Some(before) = self.faults.get_mut(&line) {
            // The same line, sent again.
            self.text = self.text - before.text() + text;
            *before = fault;
            return;
        }
        self.refused += 1;
        if self.faults.len() < FAULTS_MAX && self.text + text <= FAULTS_TEXT_MAX {
            self.text += text;
            self.faults.insert(line, fault);
        }
    }

    pub fn view(&self) -> UploadView {
        UploadView {
            format: self.format.clone(),
            bytes: self.bytes,
            next_line: self.lines + 1,
            complete: self.complete,
            refused: self.refused,
            duplicates: self.duplicates,
            known: self.faults.len(),
        }
    }
}

impl LineFault {
    fn text(&self) -> usize {
        let message = match &self.what {
            What::Unusable(_, message) => message.len(),
            What::Refused(_) => 0,
        };
        message + self.custom_id.as_ref().map_or(0, |id| id.len())
    }
}

impl State {
    pub(super) fn take_lines(
        &mut self,
        lines: &Lines,
        fx: &mut Vec<Effect>,
    ) -> Result<Reply, Reason> {
        let tenant = self.tenant(lines.account)?;
        let batch = self.batch_of(tenant, lines.batch)?;
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        let requests = &lines.requests;
        let plan = Arc::clone(&self.batches[batch].plan);
        let keyed = matches!(plan.dedupe_by, DedupeBy::Variable(_));
        let keys = if keyed { requests.len() } else { 0 };
        if requests.len() > self.options.submit_max
            || !requests.are_well_formed()
            || lines.keys.len() != keys
        {
            return Err(Reason::TooLarge);
        }
        let draft = self.batches[batch].status == BatchStatus::Draft;
        if !draft || !requests.are_all(plan.kind) {
            return Err(Reason::WrongState);
        }
        if lines.part.as_ref().is_some_and(|part| !self.batches[batch].upload.fits(part)) {
            return Err(Reason::UploadOffset);
        }
        if plan.kind == Kind::Call
            && let Err(full) = self.has_bytes(tenant)
            && self.has_any_new(batch, lines)
        {
            return Err(full);
        }
        if let Some(part) = &lines.part {
            self.batches[batch].upload.go_on(part);
        }
        for fault in &lines.faults {
            let what = What::Unusable(fault.code, fault.message.clone());
            let told = LineFault { custom_id: fault.custom_id.clone(), what };
            self.batches[batch].upload.note(fault.line, told);
        }
        let names = requests.iter().filter_map(|(_, new)| new.custom_id);
        self.batches[batch].custom_ids.expect(names);
        Ok(match plan.kind {
            Kind::Call => Reply::Submitted(self.take_each(batch, lines, |state, line, key| {
                let LineRequest { to, custom_id, rest } = line;
                let Rest::Call(rest) = rest else { return Err(Reason::WrongState) };
                state.submit_line(tenant, batch, NewRequest { to, custom_id, rest }, key, fx)
            })),
            Kind::Message => Reply::Messages(self.take_each(batch, lines, |state, line, key| {
                state.submit_message_line(tenant, batch, line, key, fx)
            })),
        })
    }

    /// Whether a batch has not taken all of these lines before. The others need no room.
    fn has_any_new(&self, batch: u32, lines: &Lines) -> bool {
        let batch = &self.batches[batch];
        lines.requests.iter().enumerate().any(|(n, (_, new))| {
            let key = batch.plan.key(new.to, lines.keys.get(n).map(|key| &**key));
            batch.takes_line(new.custom_id, key).is_ok()
        })
    }

    /// Every line, unless one that means the same was taken; and notes what was wrong.
    fn take_each<T>(
        &mut self,
        batch: u32,
        lines: &Lines,
        mut take: impl FnMut(&mut Self, LineRequest<'_>, Option<&str>) -> Result<T, Reason>,
    ) -> Vec<Result<T, Reason>> {
        let plan = Arc::clone(&self.batches[batch].plan);
        let mut verdicts = Vec::with_capacity(lines.requests.len());
        for (n, (line, new)) in lines.requests.iter().enumerate() {
            let key = plan.key(new.to, lines.keys.get(n).map(|key| &**key));
            let verdict = take(self, new, key);
            let upload = &mut self.batches[batch].upload;
            match verdict {
                Ok(_) => {}
                // A line that is here already is no fault: it was sent again.
                Err(Reason::Duplicate) => upload.duplicates += 1,
                Err(reason) => {
                    let what = What::Refused(reason);
                    let told = LineFault { custom_id: new.custom_id.map(Arc::from), what };
                    upload.note(line, told);
                }
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// What was wrong with lines of a batch behind line `after`, in order.
    pub fn batch_faults(
        &self,
        batch: BatchId,
        after: u64,
    ) -> impl Iterator<Item = (u64, &LineFault)> {
        let batch = self.batch_index.get(&batch).map(|id| &self.batches[*id]);
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        batch.into_iter().flat_map(move |batch| {
            batch.upload.faults.range(behind).map(|(line, fault)| (*line, fault))
        })
    }
}
