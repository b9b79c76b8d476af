//! What must hold of the ledger in every state, checked from scratch. For tests and the simulator.

use std::collections::BTreeMap;

use super::{Carrier, Contract, Direction, Ledger, shares::Group};
use crate::engine::ring::NIL;

impl Ledger {
    /// Checks the sums of channels, groups and shares against each other.
    ///
    /// # Errors
    /// One sentence about the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let mut groups = vec![Group::default(); self.groups.len()];
        let mut held: BTreeMap<(u16, bool), u64> = BTreeMap::new();
        for (id, carrier) in self.carriers.iter() {
            check_channels(carrier).map_err(|error| format!("carrier {id}: {error}"))?;
            let Contract { group, margin, .. } = *carrier.contract();
            groups[usize::from(group)].room += u64::from(carrier.room());
            groups[usize::from(group)].margin += u64::from(margin);
            for direction in [Direction::Outbound, Direction::Inbound] {
                let nobodys = carrier
                    .quarantine
                    .iter()
                    .filter(|kept| kept.tenant == NIL && kept.direction == direction);
                *held.entry((group, direction == Direction::Inbound)).or_default() +=
                    u64::from(carrier.held(direction).total()) - nobodys.count() as u64;
            }
        }
        let mut counted: BTreeMap<(u16, bool), u64> = BTreeMap::new();
        for share in self.shares.iter() {
            groups[usize::from(share.group)].unfilled += u64::from(share.unfilled());
            groups[usize::from(share.group)].kept += u64::from(share.kept());
            *counted.entry((share.group, false)).or_default() += u64::from(share.outbound);
            *counted.entry((share.group, true)).or_default() += u64::from(share.inbound);
        }
        counted.retain(|_, count| *count > 0);
        held.retain(|_, count| *count > 0);
        if groups != self.groups || counted != held {
            return Err(format!(
                "groups are {:?} and add up to {groups:?}; tenants have {counted:?}, carriers gave {held:?}",
                self.groups
            ));
        }
        Ok(())
    }

    /// Whether every tenant below its guarantee would find a channel now.
    pub fn keeps_guarantees(&self) -> bool {
        self.groups.iter().all(|group| group.room >= group.unfilled)
    }
}

/// Free, held for inbound calls, leased, in use and in quarantine add up to the active channels, or to more only by calls that
/// a smaller contract left over.
fn check_channels(carrier: &Carrier) -> Result<(), String> {
    let (active, contract) = (carrier.active(), carrier.contract());
    let room = carrier.room_beside(carrier.held(Direction::Inbound).total());
    if carrier.room() != room {
        return Err(format!("it has room for {room}, {} are counted", carrier.room()));
    }
    if active.min(contract.channels) != active {
        return Err(format!("{active:?} are active of {contract:?}"));
    }
    let [outbound, inbound] =
        [Direction::Outbound, Direction::Inbound].map(|direction| carrier.held(direction).total());
    let spilled = outbound.saturating_sub(active.outbound) + inbound.saturating_sub(active.inbound);
    let sum = carrier.free() + carrier.in_use() + carrier.quarantined();
    if sum != active.total() + spilled.saturating_sub(active.both) {
        return Err(format!("{sum} channels of {active:?}"));
    }
    if carrier.reserved() > carrier.free() || carrier.room() + carrier.reserved() > carrier.free() {
        return Err(format!(
            "{} to take, {} reserved, {} free",
            carrier.room(),
            carrier.reserved(),
            carrier.free()
        ));
    }
    let kept =
        |direction| carrier.quarantine.iter().filter(|kept| kept.direction == direction).count();
    for direction in [Direction::Outbound, Direction::Inbound] {
        if kept(direction) != carrier.held(direction).quarantined as usize {
            return Err(format!(
                "{} in quarantine, {:?} counted",
                kept(direction),
                carrier.held(direction)
            ));
        }
    }
    Ok(())
}
