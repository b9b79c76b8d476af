//! What all calls share: the way out, the contract's counters, the ledger, media slots and chance.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Output, meter::Meter};
use crate::{
    Contract,
    account::{Heard, Ledger, RecordIx},
    media::Order,
};

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) sip: SocketAddr,
    pub(crate) rtp: Vec<SocketAddr>,
    pub(crate) meter: Meter,
    pub(crate) ledger: Ledger,
    /// Drained by the driver after every input, so it holds what one input gives.
    pub(crate) out: VecDeque<Output>,
    /// Rested longest first, so that late packets of the last call find an empty slot.
    free_slots: VecDeque<usize>,
    owners: Vec<RecordIx>,
    rng: ChaCha8Rng,
}

/// RFC 3261 8.1.1.7, then the call's number, so that responses find their call.
const BRANCH: &str = "z9hG4bK-c";

impl Desk {
    pub(crate) fn new(
        sip: SocketAddr,
        rtp: Vec<SocketAddr>,
        contract: Contract,
        ledger: Ledger,
        seed: u64,
    ) -> Self {
        Self {
            sip,
            free_slots: (0..rtp.len()).collect(),
            owners: vec![None; rtp.len()],
            rtp,
            meter: Meter::new(contract),
            ledger,
            out: VecDeque::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn send(&mut self, to: SocketAddr, datagram: Arc<[u8]>) {
        self.out.push_back(Output::Send { to, datagram });
    }

    pub(crate) fn media(&mut self, order: Order) {
        self.out.push_back(Output::Media(order));
    }

    /// A media slot for a call; none only while the last calls' media is still being accounted for.
    pub(crate) fn open_slot(&mut self, owner: RecordIx) -> Option<usize> {
        let slot = self.free_slots.pop_front()?;
        self.owners[slot] = owner;
        Some(slot)
    }

    /// A slot's media is accounted for.
    pub(crate) fn closed(&mut self, slot: usize, heard: Heard) {
        let Some(owner) = self.owners.get_mut(slot).map(Option::take) else {
            return;
        };
        self.ledger.heard(owner, heard);
        self.free_slots.push_back(slot);
    }

    pub(crate) fn open_slots(&self) -> usize {
        self.rtp.len() - self.free_slots.len()
    }

    pub(crate) fn random(&mut self) -> [u8; 16] {
        self.rng.random()
    }

    pub(crate) fn tag(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }

    pub(crate) fn branch(&mut self, call: u64) -> String {
        format!("{BRANCH}{call:x}-{:08x}", self.rng.random::<u32>())
    }
}

/// The call that a branch of ours belongs to.
pub(crate) fn call_of_branch(branch: &str) -> Option<u64> {
    let (call, _) = branch.strip_prefix(BRANCH)?.split_once('-')?;
    u64::from_str_radix(call, 16).ok()
}
