//! From a call's number to its place. Numbers are given in order and calls leave in about that order, so pages of
//! consecutive numbers are a few bytes a call; a page goes when its last call does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{engine::ring::NIL, spec::CallId};

const PAGE: u64 = 256;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Page {
    slots: Vec<u32>,
    used: u16,
}

/// Slots by call number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index(BTreeMap<u64, Page>);

impl Index {
    pub fn insert(&mut self, call: CallId, slot: u32) {
        let page = self
            .0
            .entry(call.0 / PAGE)
            .or_insert_with(|| Page { slots: vec![NIL; PAGE as usize], used: 0 });
        page.slots[(call.0 % PAGE) as usize] = slot;
        page.used += 1;
    }

    pub fn get(&self, call: CallId) -> Option<u32> {
        let slot = self.0.get(&(call.0 / PAGE))?.slots[(call.0 % PAGE) as usize];
        (slot != NIL).then_some(slot)
    }

    pub fn remove(&mut self, call: CallId) {
        let Some(page) = self.0.get_mut(&(call.0 / PAGE)) else { return };
        let slot = std::mem::replace(&mut page.slots[(call.0 % PAGE) as usize], NIL);
        page.used -= u16::from(slot != NIL);
        if page.used == 0 {
            self.0.remove(&(call.0 / PAGE));
        }
    }
}
