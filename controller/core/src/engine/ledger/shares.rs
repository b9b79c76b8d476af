//! Multiplexing (MT-16): tenants share the outbound channels of a group of carriers, and the maxima of their use add
//! up to more than there are.
//!
//! A tenant is guaranteed some channels, expected to use some more, and never has more than a maximum. Of the free channels of the
//! group, those that guarantees are not filled with are kept for them. So in every state
//!
//! > free channels of the group >= sum of the unfilled guarantees
//!
//! and a tenant below its guarantee finds a channel at once, whatever others have. It is kept by three rules for who takes
//! a channel:
//!
//! | class | the tenant uses | takes a channel if the free ones are more than |
//! |---|---|---|
//! | 0 | less than its guarantee | 0 |
//! | 1 | less than expected | the unfilled guarantees |
//! | 2 | what it is expected to, or more | those, what is expected, idle and not lent, and the margin |
//!
//! What is lent comes back as calls end: a freed channel is offered to the lower classes first. A tenant's own channels
//! in quarantine count in its own use, so that its misfortune is nobody else's.
//!
//! The guarantee is over calls that every carrier of the group connects. It is of channels: set-ups per second are
//! shared by turns. Only a smaller contract, or more calls inbound than what is held for them, takes channels away from under it.

use serde::{Deserialize, Serialize};

use crate::engine::soon::soon;

/// What a tenant may use of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// Kept for it.
    pub guaranteed: u32,
    /// What it usually needs; not below `guaranteed`.
    pub expected: u32,
    /// It never has more; not below `expected`.
    pub maximum: u32,
    /// How much of what it expects and does not use is lent, in thousandths.
    pub lend_permille: u16,
}

impl Default for Terms {
    /// Nothing is promised and nothing forbidden.
    fn default() -> Self {
        Self { guaranteed: 0, expected: 0, maximum: u32::MAX, lend_permille: 1_000 }
    }
}

/// A tenant's share of a group, and what it uses of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Of which group.
    pub group: u16,
    /// How much.
    pub terms: Terms,
    /// Outbound channels that it has, leased, in use or in quarantine.
    pub outbound: u32,
    /// Inbound channels that it has.
    pub inbound: u32,
}

impl Share {
    const fn new(group: u16, terms: Terms) -> Self {
        Self { group, terms, outbound: 0, inbound: 0 }
    }

    /// Its class, or `None` at its maximum.
    #[inline]
    pub const fn class(&self) -> Option<u8> {
        let Terms { guaranteed, expected, maximum, .. } = self.terms;
        if self.outbound + self.inbound >= maximum {
            None
        } else if self.outbound < guaranteed {
            Some(0)
        } else if self.outbound < expected {
            Some(1)
        } else {
            Some(2)
        }
    }

    /// What it could have more of before it is at its maximum.
    pub const fn left(&self) -> u32 {
        self.terms.maximum.saturating_sub(self.outbound).saturating_sub(self.inbound)
    }

    /// Guaranteed channels that it does not use.
    #[inline]
    pub fn unfilled(&self) -> u32 {
        self.terms.guaranteed.saturating_sub(self.outbound)
    }

    /// What it is expected to use beyond its guarantee, does not use, and does not lend.
    #[inline]
    pub fn kept(&self) -> u32 {
        if self.terms.lend_permille >= 1_000 {
            return 0;
        }
        let idle = self.terms.expected.saturating_sub(self.outbound.max(self.terms.guaranteed));
        let lent = u64::from(idle) * u64::from(self.terms.lend_permille) / 1_000;
        idle - lent as u32
    }
}

/// A group of carriers whose channels are shared as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Group {
    /// Free channels for outbound calls.
    pub room: u64,
    /// Sum of the unfilled guarantees.
    pub unfilled: u64,
    /// Sum of what is expected, idle and not lent.
    pub kept: u64,
    /// Not lent on top of that.
    pub margin: u64,
}

impl Group {
    /// More free channels than this are wanted for a call of a class.
    #[inline]
    pub const fn threshold(&self, class: u8) -> u64 {
        match class {
            0 => 0,
            1 => self.unfilled,
            _ => self.unfilled + self.kept + self.margin,
        }
    }
}

/// Most tenants have one share, which is in one cache line; those of further groups stand apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
struct Of {
    first: Option<Share>,
    more: Vec<Share>,
}

impl Of {
    #[inline]
    fn get(&self, group: u16) -> Option<&Share> {
        match &self.first {
            Some(share) if share.group == group => Some(share),
            _ => self.more.iter().find(|share| share.group == group),
        }
    }

    /// The share of a group, a new one if there is none.
    #[inline]
    fn entry(&mut self, group: u16) -> &mut Share {
        let new = || Share::new(group, Terms::default());
        let first = self.first.get_or_insert_with(new);
        if first.group == group {
            return first;
        }
        let at = self.more.iter().position(|share| share.group == group);
        let at = at.unwrap_or_else(|| {
            self.more.push(new());
            self.more.len() - 1
        });
        &mut self.more[at]
    }
}

/// Every tenant's shares, by the tenant's number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shares(Vec<Of>);

impl Shares {
    /// A tenant's share of a group; `None` if it has none and never used a channel of it.
    #[inline]
    pub fn get(&self, tenant: u32, group: u16) -> Option<&Share> {
        self.0.get(tenant as usize)?.get(group)
    }

    /// Asks memory for a tenant's shares.
    #[inline]
    pub(in crate::engine) fn soon(&self, tenant: u32) {
        if let Some(of) = self.0.get(tenant as usize) {
            soon(of);
        }
    }

    /// A tenant's shares.
    pub fn of(&self, tenant: u32) -> impl Iterator<Item = &Share> {
        self.0.get(tenant as usize).into_iter().flat_map(|of| of.first.iter().chain(&of.more))
    }

    /// Every tenant's shares.
    pub fn iter(&self) -> impl Iterator<Item = &Share> {
        self.0.iter().flat_map(|of| of.first.iter().chain(&of.more))
    }

    /// Changes a tenant's share, and the sums of its group with it. Whether its class is another one.
    #[inline]
    pub(super) fn change(
        &mut self,
        tenant: u32,
        group: u16,
        sums: &mut Group,
        change: impl FnOnce(&mut Share),
    ) -> bool {
        let at = tenant as usize;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Of::default);
        }
        let share = self.0[at].entry(group);
        let class = share.class();
        sums.unfilled -= u64::from(share.unfilled());
        sums.kept -= u64::from(share.kept());
        change(share);
        sums.unfilled += u64::from(share.unfilled());
        sums.kept += u64::from(share.kept());
        share.class() != class
    }

    /// The groups in which a tenant has a share.
    pub(super) fn groups_of(&self, tenant: u32) -> Vec<u16> {
        self.of(tenant).map(|share| share.group).collect()
    }

    /// A tenant is forgotten. The sums were told before.
    pub(super) fn forget_tenant(&mut self, tenant: u32) {
        if let Some(of) = self.0.get_mut(tenant as usize) {
            *of = Of::default();
        }
    }

    /// A group is forgotten: nobody has a channel of it.
    pub(super) fn forget_group(&mut self, group: u16) {
        for of in &mut self.0 {
            of.more.retain(|share| share.group != group);
            if of.first.is_some_and(|share| share.group == group) {
                of.first = of.more.pop();
            }
        }
    }
}
