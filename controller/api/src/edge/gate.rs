//! Per-account admission before anything is proposed (`RELIABILITY.md`, overload): a rate by `governor`, and a
//! count of requests in progress.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use busyhour_base::AccountSid;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::RwLock;

use crate::{
    error::{ApiError, Code},
    platform::EdgeLimits,
};

/// Counts requests. Only accounts that have proved who they are get an entry, so that there are at most as
/// many as were ever declared.
pub(crate) struct Gate {
    limits: EdgeLimits,
    quota: Quota,
    accounts: RwLock<HashMap<AccountSid, Arc<Account>>>,
}

/// How fast an account asks, and what it has open.
struct Account {
    rate: DefaultDirectRateLimiter,
    requests: AtomicU32,
    streams: AtomicU32,
}

/// One request, or one stream, in progress until it is dropped.
pub(crate) struct Permit {
    account: Arc<Account>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Stream,
}

impl Gate {
    /// With these bounds; 0 counts as 1.
    pub(crate) fn new(limits: EdgeLimits) -> Self {
        let at_least_1 = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_1(limits.requests_per_s))
            .allow_burst(at_least_1(limits.burst));
        Self { limits, quota, accounts: RwLock::default() }
    }

    /// Admits a request or refuses it.
    pub(crate) fn admit(&self, account: AccountSid) -> Result<Permit, ApiError> {
        let account = self.account(account);
        if account.rate.check().is_err() {
            return Err(ApiError::new(
                Code::TooManyRequests,
                format!(
                    "Too many requests: {} per second are allowed to this account",
                    self.limits.requests_per_s
                ),
            ));
        }
        self.take(account, Kind::Request, self.limits.concurrent, "requests")
    }

    /// Turns a request's permit into a stream's, which has a bound of its own since it lasts long.
    pub(crate) fn stream(&self, account: AccountSid, request: Permit) -> Result<Permit, ApiError> {
        drop(request);
        let account = self.account(account);
        self.take(account, Kind::Stream, self.limits.streams, "uploads and followed results")
    }

    fn account(&self, sid: AccountSid) -> Arc<Account> {
        if let Some(known) = self.accounts.read().get(&sid) {
            return known.clone();
        }
        let account = || {
            let (requests, streams) = (AtomicU32::new(0), AtomicU32::new(0));
            Arc::new(Account { rate: RateLimiter::direct(self.quota), requests, streams })
        };
        self.accounts.write().entry(sid).or_insert_with(account).clone()
    }

    fn take(
        &self,
        account: Arc<Account>,
        kind: Kind,
        most: u32,
        what: &str,
    ) -> Result<Permit, ApiError> {
        let permit = Permit { account, kind };
        if permit.count().fetch_add(1, Ordering::Relaxed) >= most {
            return Err(ApiError::new(
                Code::TooManyRequests,
                format!("Too many {what} at once: {most} are allowed to this account"),
            ));
        }
        Ok(permit)
    }
}

impl Permit {
    fn count(&self) -> &AtomicU32 {
        match self.kind {
            Kind::Request => &self.account.requests,
            Kind::Stream => &self.account.streams,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count().fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: EdgeLimits) -> Gate {
        Gate::new(limits)
    }

    #[test]
    fn one_account_at_its_bound_leaves_the_other_alone() {
        let gate = gate(EdgeLimits { concurrent: 2, ..EdgeLimits::default() });
        let (a, b) = (AccountSid(1), AccountSid(2));
        let held = [gate.admit(a).unwrap(), gate.admit(a).unwrap()];
        assert_eq!(gate.admit(a).err().unwrap().code, Code::TooManyRequests);
        gate.admit(b).unwrap();
        drop(held);
        gate.admit(a).unwrap();
    }

    #[test]
    fn a_burst_is_admitted_and_no_more() {
        let gate = gate(EdgeLimits { requests_per_s: 1, burst: 3, ..EdgeLimits::default() });
        let admitted = (0..10).filter(|_| gate.admit(AccountSid(1)).is_ok()).count();
        assert_eq!(admitted, 3);
    }

    #[test]
    fn streams_count_apart() {
        let gate = gate(EdgeLimits { concurrent: 1, streams: 1, ..EdgeLimits::default() });
        let account = AccountSid(1);
        let stream = gate.stream(account, gate.admit(account).unwrap()).unwrap();
        let request = gate.admit(account).unwrap();
        assert!(gate.stream(account, request).is_err());
        drop(stream);
        let request = gate.admit(account).unwrap();
        gate.stream(account, request).unwrap();
    }
}
